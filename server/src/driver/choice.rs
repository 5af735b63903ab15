//! Which driver runs: the one that was asked for, or the best that this kernel lets us have.

use std::io;

use rustix::io::Errno;
use thiserror::Error;
use tracing::warn;

use super::{Driver, RingSizes, uring};

/// What an operator may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum DriverChoice {
    /// Use uring where the kernel allows it, else epoll
    Auto,
    /// Use a raw io_uring in each thread: the fastest
    Uring,
    /// Use the tokio-uring runtime
    TokioUring,
    /// Use epoll, where io_uring is switched off
    Epoll,
}

/// The kernel has io_uring and yet gives no ring: the operator is to help, not to be worked around.
#[derive(Debug, Error)]
#[error("the kernel gives no ring: {error}; {remedy}, or choose --driver epoll")]
pub struct NoRing {
    error: io::Error,
    remedy: &'static str,
}

/// The driver for `choice`. Where `auto` falls back to epoll, one line of the log says why.
///
/// # Errors
/// When `auto` finds that a ring could be had, but for a limit.
pub(crate) fn choose(choice: DriverChoice, ring: RingSizes) -> Result<Driver, NoRing> {
    match choice {
        DriverChoice::Uring => Ok(Driver::Uring),
        DriverChoice::TokioUring => Ok(Driver::TokioUring),
        DriverChoice::Epoll => Ok(Driver::Epoll),
        DriverChoice::Auto => match uring::probe(ring) {
            Ok(()) => Ok(Driver::Uring),
            Err(error) => fall_back(error),
        },
    }
}

fn fall_back(error: io::Error) -> Result<Driver, NoRing> {
    if let Some(remedy) = remedy(&error) {
        return Err(NoRing { error, remedy });
    }
    let cause = likely_cause(&error, setting().as_deref());
    warn!(target: "server::driver", driver = "epoll", %error, cause, "io_uring cannot be used here; epoll is used instead");
    Ok(Driver::Epoll)
}

/// What an operator can do about a limit; `None` when the error is no limit.
fn remedy(error: &io::Error) -> Option<&'static str> {
    match Errno::from_io_error(error) {
        Some(Errno::NOMEM) => {
            Some("raise the limit on locked memory (ulimit -l, LimitMEMLOCK=) or lower --threads")
        }
        Some(Errno::MFILE | Errno::NFILE) => {
            Some("raise the limit on open files (ulimit -n, LimitNOFILE=)")
        }
        _ => None,
    }
}

impl Driver {
    /// What an operator can do when this driver, asked for by name, cannot run.
    pub(crate) fn remedy(self, error: &io::Error) -> String {
        let remedy = remedy(error);
        match self {
            Self::TokioUring if cfg!(not(feature = "tokio-uring")) => {
                "build it with the cargo feature tokio-uring, or choose --driver uring".into()
            }
            Self::Epoll => remedy.unwrap_or("see the kernel's log").into(),
            Self::Uring | Self::TokioUring => match remedy {
                Some(remedy) => format!("{remedy}, or choose --driver epoll"),
                None => format!(
                    "the likely cause is {}; choose --driver epoll",
                    likely_cause(error, setting().as_deref())
                ),
            },
        }
    }
}

/// The sysctl `kernel.io_uring_disabled`, where the kernel has it.
fn setting() -> Option<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok()?;
    Some(text.trim().into())
}

/// Why a kernel that may well have io_uring refuses it; `setting` is `kernel.io_uring_disabled`.
fn likely_cause(error: &io::Error, setting: Option<&str>) -> &'static str {
    match (Errno::from_io_error(error), setting) {
        (Some(Errno::PERM), Some("2")) => "sysctl kernel.io_uring_disabled is 2",
        (Some(Errno::PERM), Some("1")) => {
            "sysctl kernel.io_uring_disabled is 1, and this user is not in its io_uring_group"
        }
        (Some(Errno::PERM | Errno::ACCESS | Errno::OPNOTSUPP), _) => {
            "a seccomp filter, such as that of a container"
        }
        (Some(Errno::NOSYS), _) => {
            "a kernel without io_uring, or a seccomp filter such as that of a container"
        }
        _ => "a kernel that is too old (5.19 is needed)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn os(errno: Errno) -> io::Error {
        io::Error::from(errno)
    }

    #[test]
    fn a_switched_off_io_uring_falls_back() {
        for errno in [Errno::PERM, Errno::NOSYS, Errno::INVAL, Errno::OPNOTSUPP] {
            assert_eq!(fall_back(os(errno)).unwrap(), Driver::Epoll, "{errno}");
        }
    }

    #[test]
    fn a_limit_is_an_error_with_a_remedy() {
        let text = |errno| fall_back(os(errno)).unwrap_err().to_string();
        assert!(text(Errno::NOMEM).contains("LimitMEMLOCK="));
        assert!(text(Errno::MFILE).contains("LimitNOFILE="));
    }

    #[test]
    fn the_cause_is_named() {
        let cause = |errno, setting| likely_cause(&os(errno), setting);
        assert!(cause(Errno::PERM, Some("2")).contains("io_uring_disabled is 2"));
        assert!(cause(Errno::PERM, Some("0")).contains("seccomp"));
        for errno in [Errno::PERM, Errno::ACCESS, Errno::OPNOTSUPP, Errno::NOSYS] {
            assert!(cause(errno, None).contains("seccomp"), "{errno}");
        }
        assert!(cause(Errno::INVAL, None).contains("5.19"));
    }
}
