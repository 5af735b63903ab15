//! Confinement: the process gives up what a server never needs, so that whoever takes it over gains
//! little. The tree of files can only be read (landlock, see landlock(7)); programs cannot be started,
//! and neither sockets that reach out, new rings, nor privileges be had (seccomp, see seccomp(2)).
//!
//! What always holds: what is given up stays given up, for every thread there is and will be. What a
//! ring may do is confined by the ring itself: seccomp does not see it.

use std::collections::BTreeMap;
use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, PathFd, PathFdError,
    Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter_all_threads,
};
use thiserror::Error;

/// Why the process cannot be confined.
#[derive(Debug, Error)]
pub enum ConfinementError {
    /// The kernel has no landlock, or it is switched off.
    #[error("this kernel has no landlock (Linux 5.13 or later, CONFIG_SECURITY_LANDLOCK, lsm=...)")]
    NoLandlock,
    /// The kernel refused the rules for files.
    #[error(transparent)]
    Landlock(#[from] RulesetError),
    /// The root of the tree of files cannot be opened.
    #[error(transparent)]
    NoRoot(#[from] PathFdError),
    /// The kernel refused the filter, or there is none for this processor.
    #[error("no seccomp filter: {0}")]
    Seccomp(String),
}

/// Lets this thread, and all that it starts, read files and no more: nothing is written, made, removed
/// or executed. To be called before there are other threads.
///
/// # Errors
/// When the kernel cannot.
pub(crate) fn confine_files() -> Result<(), ConfinementError> {
    let everything = PathFd::new(Path::new("/"))?;
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(ABI::V5))?
        .handle_access(AccessNet::ConnectTcp)?
        .create()?
        .add_rule(PathBeneath::new(
            everything,
            AccessFs::ReadFile | AccessFs::ReadDir,
        ))?;
    match ruleset.restrict_self()?.ruleset {
        RulesetStatus::NotEnforced => Err(ConfinementError::NoLandlock),
        RulesetStatus::PartiallyEnforced | RulesetStatus::FullyEnforced => Ok(()),
    }
}

/// Takes away, from all threads, the system calls that serving never makes. To be called once
/// everything that serves has begun.
///
/// # Errors
/// When the kernel cannot.
pub(crate) fn confine_calls() -> Result<(), ConfinementError> {
    let wrong = |error: &dyn std::fmt::Display| ConfinementError::Seccomp(error.to_string());
    let filters = [refusing(ENOSYS, unknown()), refusing(EPERM, denied())];
    for filter in filters {
        let filter = filter.map_err(|error| wrong(&error))?;
        apply_filter_all_threads(&filter).map_err(|error| wrong(&error))?;
    }
    Ok(())
}

const EPERM: u32 = 1;
const ENOSYS: u32 = 38;

type Rules = Result<BTreeMap<i64, Vec<SeccompRule>>, seccompiler::BackendError>;

/// A filter that answers `errno` where a rule holds.
fn refusing(errno: u32, rules: Rules) -> Result<BpfProgram, seccompiler::BackendError> {
    SeccompFilter::new(
        rules?,
        SeccompAction::Allow,
        SeccompAction::Errno(errno),
        TargetArch::try_from(std::env::consts::ARCH)?,
    )?
    .try_into()
}

/// `clone3` hides its flags from a filter; where there is none, libc makes threads by `clone`.
fn unknown() -> Rules {
    Ok(BTreeMap::from([(libc::SYS_clone3, Vec::new())]))
}

fn denied() -> Rules {
    let no_service_manager = SeccompCondition::new(
        0,
        SeccompCmpArgLen::Dword,
        SeccompCmpOp::Ne,
        libc::AF_UNIX as u64,
    )?;
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        DENIED.iter().map(|&call| (call, Vec::new())).collect();
    // The service manager is told through a socket of its own kind.
    rules.insert(
        libc::SYS_socket,
        vec![SeccompRule::new(vec![no_service_manager])?],
    );
    // A new namespace of users has all capabilities in it: the way around `unshare`.
    let in_new_namespaces = NAMESPACES.map(|flag| {
        let flag = u64::from(flag.unsigned_abs());
        let is_set = SeccompCmpOp::MaskedEq(flag);
        let condition = SeccompCondition::new(0, SeccompCmpArgLen::Dword, is_set, flag)?;
        SeccompRule::new(vec![condition])
    });
    let in_new_namespaces = in_new_namespaces.into_iter().collect::<Result<_, _>>()?;
    rules.insert(libc::SYS_clone, in_new_namespaces);
    Ok(rules)
}

/// Flags of clone(2).
const NAMESPACES: [libc::c_int; 7] = [
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWUTS,
];

/// What takes over, looks into or changes the system or other processes.
const DENIED: [i64; 38] = [
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_io_uring_setup,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setgroups,
    libc::SYS_capset,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
];

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::ErrorKind;
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixDatagram;
    use std::process::Command;
    use std::thread;

    use super::*;

    /// Set in the process that confines itself: it could not go back to being a test.
    const CONFINED: &str = "URINGCAST_TEST_CONFINED";

    #[test]
    fn what_was_given_up_is_refused_and_what_serving_needs_is_not() {
        if std::env::var_os(CONFINED).is_some() {
            return try_everything();
        }
        let test = "confinement::tests::what_was_given_up_is_refused_and_what_serving_needs_is_not";
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture", "--test-threads=1"])
            .env(CONFINED, "1")
            .output()
            .unwrap();
        let said =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && said.contains("1 passed"),
            "{said}"
        );
    }

    /// The error of a clone that cannot succeed, filter or not: the flags exclude each other, and clone3
    /// is given nothing to read.
    fn clone(call: libc::c_long, flags: libc::c_int) -> u32 {
        // SAFETY: the kernel refuses the arguments before it makes anything, and reads no memory of ours.
        let made = unsafe { libc::syscall(call, i64::from(flags), 0, 0, 0, 0) };
        assert_eq!(made, -1);
        let error = std::io::Error::last_os_error().raw_os_error();
        error.unwrap().unsigned_abs()
    }

    fn try_everything() {
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let before = TcpStream::connect(address).unwrap();
        assert_ne!(
            clone(libc::SYS_clone, libc::CLONE_NEWUSER | libc::CLONE_FS),
            EPERM
        );
        confine_files().unwrap();
        // One that was there before the calls were taken away, as the threads of a server are.
        let (go, gone) = std::sync::mpsc::channel();
        let early = thread::spawn(move || {
            gone.recv().unwrap();
            Command::new("/bin/true").status().unwrap_err().kind()
        });
        let file = folder.path().join("file");
        assert_eq!(
            File::create(&file).unwrap_err().kind(),
            ErrorKind::PermissionDenied
        );
        let refused = Command::new("/bin/true").status().unwrap_err();
        assert_eq!(
            refused.kind(),
            ErrorKind::PermissionDenied,
            "files cannot be executed"
        );
        confine_calls().unwrap();
        go.send(()).unwrap();
        assert_eq!(early.join().unwrap(), ErrorKind::PermissionDenied);
        assert!(io_uring::IoUring::new(2).is_err(), "no new ring");
        let reaches_out = TcpStream::connect(address).unwrap_err();
        assert_eq!(reaches_out.kind(), ErrorKind::PermissionDenied);
        assert!(rustix::process::chroot("/").is_err());
        assert_eq!(
            clone(libc::SYS_clone, libc::CLONE_NEWUSER | libc::CLONE_FS),
            EPERM
        );
        assert_eq!(clone(libc::SYS_clone3, 0), ENOSYS);
        // And what a server does.
        assert!(!fs::read("/proc/self/status").unwrap().is_empty());
        UnixDatagram::unbound().unwrap();
        listener.accept().unwrap();
        thread::spawn(|| ()).join().unwrap();
        drop(before);
    }
}
