//! Confinement: the process gives up what a server does not need while it serves, so that code which
//! takes over a serving thread gains little. What exactly holds, and what does not: docs/confinement.md.
//!
//! Two layers. Landlock (landlock(7)) limits what can be reached: files are read only, nothing can be
//! connected to, and no port can be bound once the server listens. It also holds for rings. It is taken
//! before the threads start that it is for. Seccomp (seccomp(2), [`calls`]) limits which system calls
//! there are. It is taken once every thread serves.
//!
//! What is given up stays given up, for every thread there is and will be.

mod calls;
#[cfg(test)]
mod tests;

use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, PathFd, PathFdError,
    Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};
use thiserror::Error;

pub(crate) use calls::confine_calls;

/// Why the process cannot be confined.
#[derive(Debug, Error)]
pub enum ConfinementError {
    /// The kernel has no landlock, or it is switched off.
    #[error("this kernel has no landlock (Linux 5.13 or later, CONFIG_SECURITY_LANDLOCK, lsm=...)")]
    NoLandlock,
    /// The kernel refused the landlock rules.
    #[error(transparent)]
    Landlock(#[from] RulesetError),
    /// The root of the file system cannot be opened.
    #[error(transparent)]
    NoRoot(#[from] PathFdError),
    /// The kernel refused the filter, or there is none for this processor.
    #[error("no seccomp filter: {0}")]
    Seccomp(String),
}

/// The newest landlock whose rights are asked for; an older kernel enforces those it knows.
const NEWEST: ABI = ABI::V10;

/// Lets this thread, and all threads that it starts, only read files, connect to nothing, and signal only
/// this process. To be called before there are other threads.
///
/// # Errors
/// When the kernel cannot.
pub(crate) fn confine_reach() -> Result<(), ConfinementError> {
    let everything = PathFd::new(Path::new("/"))?;
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST) & !AccessNet::BindTcp)?
        .scope(Scope::from_all(NEWEST))?
        .create()?
        .add_rule(PathBeneath::new(everything, read))?;
    match ruleset.restrict_self()?.ruleset {
        RulesetStatus::NotEnforced => Err(ConfinementError::NoLandlock),
        RulesetStatus::PartiallyEnforced | RulesetStatus::FullyEnforced => Ok(()),
    }
}

/// Keeps this thread, and all threads that it starts, from binding a TCP port (Linux 6.7). To be called
/// once the server listens, before it starts the threads that serve.
///
/// # Errors
/// When the kernel cannot.
pub(crate) fn confine_ports() -> Result<(), ConfinementError> {
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessNet::BindTcp)?
        .create()?;
    ruleset.restrict_self()?;
    Ok(())
}
