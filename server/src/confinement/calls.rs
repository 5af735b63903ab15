//! The system calls that a serving process may make: an allow-list, measured with strace(1) on every
//! driver through serving, metrics, reload, draining, panics and aborts, and from the sources of glibc
//! for what newer and older versions call instead.
//!
//! Every other call fails with EPERM, and the kernel logs it (audit type 1326: `dmesg`, `ausearch -m
//! SECCOMP`) with its number and the name of the thread, so that a call which is missing here is found.

use std::collections::BTreeMap;
use std::os::fd::RawFd;

use libc::{
    CLONE_NEWCGROUP, CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWTIME,
    CLONE_NEWUSER, CLONE_NEWUTS, CLONE_THREAD, CLONE_VM, c_int,
};
use seccompiler::SeccompCmpArgLen::{Dword, Qword};
use seccompiler::SeccompCmpOp::{Eq, MaskedEq, Ne};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch,
};

use super::ConfinementError;
use crate::driver::Driver;

/// Takes away, from all threads, the system calls that serving with `driver` never makes. `listeners` are
/// the listening sockets: they can no longer be shut down for reading, which would make of them a socket
/// that can be sent out with (MSG_FASTOPEN). To be called once every thread serves.
///
/// # Errors
/// When the kernel cannot.
pub(crate) fn confine_calls(driver: Driver, listeners: &[RawFd]) -> Result<(), ConfinementError> {
    let wrong = |error: BackendError| ConfinementError::Seccomp(error.to_string());
    // clone3 hides its flags from a filter. Without it, libc starts threads by clone. This is no attack,
    // and is not logged.
    let unknown = vec![(libc::SYS_clone3, Vec::new())];
    take(&filter(unknown, ENOSYS, false).map_err(wrong)?, 0)?;
    // One filter has room for 4,096 instructions.
    for listeners in listeners.chunks(256) {
        let rules = stay_listening(listeners).map_err(wrong)?;
        // Not logged: drivers try it when they drain, and do without.
        let shutdown = vec![(libc::SYS_shutdown, rules)];
        take(&filter(shutdown, EPERM, false).map_err(wrong)?, 0)?;
    }
    let allowed = allowed(driver).map_err(wrong)?;
    let allow_list = filter(allowed, EPERM, true).map_err(wrong)?;
    take(&allow_list, libc::SECCOMP_FILTER_FLAG_LOG)
}

const EPERM: u32 = 1;
const ENOSYS: u32 = 38;

/// Calls, each with the rules of which one has to hold; without rules, any arguments will do.
type Calls = Vec<(i64, Vec<SeccompRule>)>;

/// A filter that answers `errno` to all calls but these (`allows`), or to these alone.
fn filter(calls: Calls, errno: u32, allows: bool) -> Result<BpfProgram, BackendError> {
    let mut otherwise = SeccompAction::Errno(errno);
    let mut matched = SeccompAction::Allow;
    if !allows {
        std::mem::swap(&mut otherwise, &mut matched);
    }
    let calls: BTreeMap<_, _> = calls.into_iter().collect();
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    SeccompFilter::new(calls, otherwise, matched, arch)?.try_into()
}

/// Shutting down one of these listeners for reading.
fn stay_listening(listeners: &[RawFd]) -> Result<Vec<SeccompRule>, BackendError> {
    let rules = listeners.iter().map(|&listener| {
        let is_this = argument(0, Dword, Eq, listener)?;
        let ends_reading = argument(1, Dword, Ne, libc::SHUT_WR)?;
        SeccompRule::new(vec![is_this, ends_reading])
    });
    rules.collect()
}

/// Gives the filter to all threads.
fn take(program: &BpfProgram, flags: libc::c_ulong) -> Result<(), ConfinementError> {
    // seccompiler applies filters as well, but without the log.
    let length = u16::try_from(program.len())
        .map_err(|_| ConfinementError::Seccomp("too long".to_owned()))?;
    let program = libc::sock_fprog {
        len: length,
        filter: program.as_ptr().cast_mut().cast(),
    };
    rustix::thread::set_no_new_privs(true)
        .map_err(|error| ConfinementError::Seccomp(error.to_string()))?;
    let flags = flags | libc::SECCOMP_FILTER_FLAG_TSYNC;
    // SAFETY: the kernel copies the program, whose length is right, and writes to no memory.
    let answer = unsafe {
        let operation = libc::SECCOMP_SET_MODE_FILTER;
        libc::syscall(libc::SYS_seccomp, operation, flags, &raw const program)
    };
    match answer {
        0 => Ok(()),
        -1 => Err(std::io::Error::last_os_error().to_string()),
        thread => Err(format!("thread {thread} has a filter of its own")),
    }
    .map_err(ConfinementError::Seccomp)
}

fn argument(
    index: u8,
    length: SeccompCmpArgLen,
    operator: SeccompCmpOp,
    value: impl Into<i64>,
) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(index, length, operator, value.into().cast_unsigned())
}

/// No bit of `mask` is set in the argument.
fn without(index: u8, mask: c_int) -> Result<SeccompCondition, BackendError> {
    argument(index, Dword, MaskedEq(u64::from(mask.cast_unsigned())), 0)
}

/// One rule for each of these values of the argument.
fn one_of<T: Into<i64>>(
    index: u8,
    values: impl IntoIterator<Item = T>,
) -> Result<Vec<SeccompRule>, BackendError> {
    let rules = values
        .into_iter()
        .map(|value| SeccompRule::new(vec![argument(index, Dword, Eq, value)?]));
    rules.collect()
}

/// Calls that do no harm, whatever their arguments.
const ANY_ARGUMENTS: &[i64] = &[
    // What is open, and no more is to be had.
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_lseek,
    libc::SYS_fstat,
    libc::SYS_close,
    // Connections.
    libc::SYS_accept4,
    libc::SYS_recvfrom,
    libc::SYS_shutdown,
    libc::SYS_getsockopt,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    // Waiting.
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_ppoll,
    libc::SYS_futex,
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    libc::SYS_restart_syscall,
    // Memory.
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    // Threads: their beginning, their end, signals to handlers.
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_sigaltstack,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_exit,
    libc::SYS_exit_group,
    // Time and chance, where the vDSO does not answer.
    libc::SYS_clock_gettime,
    libc::SYS_gettimeofday,
    libc::SYS_getcpu,
    libc::SYS_getrandom,
    // Names of files: a reload, and the backtrace of a panic.
    libc::SYS_statx,
    libc::SYS_newfstatat,
    libc::SYS_readlinkat,
    libc::SYS_getcwd,
    // Refused by a filter of its own, with the error that libc understands.
    libc::SYS_clone3,
];

/// What older libraries call on x86-64 in place of a call above.
#[cfg(target_arch = "x86_64")]
const ANY_ARGUMENTS_OLD: &[i64] = &[
    libc::SYS_epoll_wait,
    libc::SYS_poll,
    libc::SYS_readlink,
    libc::SYS_stat,
    libc::SYS_time,
];
#[cfg(not(target_arch = "x86_64"))]
const ANY_ARGUMENTS_OLD: &[i64] = &[];

/// Options of sockets, of SOL_SOCKET and of IPPROTO_TCP, that change how a connection is served and no
/// more. (TCP_REPAIR would dissolve one.)
const SOCKET_OPTIONS: [c_int; 4] = [
    libc::SO_LINGER,
    libc::SO_KEEPALIVE,
    libc::SO_SNDBUF,
    libc::SO_RCVBUF,
];
const TCP_OPTIONS: [c_int; 4] = [
    libc::TCP_NODELAY,
    libc::TCP_QUICKACK,
    libc::TCP_USER_TIMEOUT,
    libc::TCP_NOTSENT_LOWAT,
];

/// Flags of open(2) with which a file is changed or made.
const OPEN_TO_CHANGE: c_int = libc::O_ACCMODE
    | libc::O_CREAT
    | libc::O_TRUNC
    | libc::O_APPEND
    | (libc::O_TMPFILE & !libc::O_DIRECTORY);

const NEW_NAMESPACES: c_int = CLONE_NEWCGROUP
    | CLONE_NEWIPC
    | CLONE_NEWNET
    | CLONE_NEWNS
    | CLONE_NEWPID
    | CLONE_NEWTIME
    | CLONE_NEWUSER
    | CLONE_NEWUTS;

/// `PR_SET_VMA` of `linux/prctl.h`: libc gives names to memory.
const PR_SET_VMA: c_int = 0x5356_4d41;

/// What serving with `driver` calls.
fn allowed(driver: Driver) -> Result<Calls, BackendError> {
    let any = ANY_ARGUMENTS.iter().chain(ANY_ARGUMENTS_OLD);
    let mut calls: Calls = any.map(|&call| (call, Vec::new())).collect();
    let rule = |conditions| Ok::<_, BackendError>(vec![SeccompRule::new(conditions)?]);
    let process = std::process::id();

    calls.push((libc::SYS_openat, rule(vec![without(2, OPEN_TO_CHANGE)?])?));
    #[cfg(target_arch = "x86_64")]
    calls.push((libc::SYS_open, rule(vec![without(1, OPEN_TO_CHANGE)?])?));

    // Memory is never executable that was not so when the program began.
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        calls.push((call, rule(vec![without(2, libc::PROT_EXEC)?])?));
    }

    // To nobody by address: a connection, or the service manager's socket, is sent to as it is.
    let no_address = argument(4, Qword, Eq, 0)?;
    let no_connecting = without(3, libc::MSG_FASTOPEN)?;
    calls.push((libc::SYS_sendto, rule(vec![no_address, no_connecting])?));
    let mut options = Vec::new();
    for (level, names) in [
        (libc::SOL_SOCKET, SOCKET_OPTIONS),
        (libc::IPPROTO_TCP, TCP_OPTIONS),
    ] {
        for name in names {
            let is_named = argument(2, Dword, Eq, name)?;
            options.push(SeccompRule::new(vec![
                argument(1, Dword, Eq, level)?,
                is_named,
            ])?);
        }
    }
    calls.push((libc::SYS_setsockopt, options));

    let flags = [libc::F_GETFD, libc::F_SETFD, libc::F_GETFL, libc::F_SETFL];
    calls.push((libc::SYS_fcntl, one_of(1, flags)?));
    calls.push((libc::SYS_ioctl, one_of(1, [libc::FIONBIO as i64])?));
    let names = [libc::PR_SET_NAME, PR_SET_VMA];
    calls.push((libc::SYS_prctl, one_of(0, names)?));

    // Threads may start, processes and namespaces may not.
    let thread = CLONE_VM | CLONE_THREAD;
    let mask = u64::from((thread | NEW_NAMESPACES).cast_unsigned());
    let starts_thread = argument(0, Dword, MaskedEq(mask), thread)?;
    calls.push((libc::SYS_clone, rule(vec![starts_thread])?));
    // An abort is a signal to oneself.
    calls.push((libc::SYS_tgkill, one_of(0, [process])?));
    // Limits may be read, one's own.
    let reads = || argument(2, Qword, Eq, 0);
    let of_itself =
        [0, process].map(|whose| SeccompRule::new(vec![argument(0, Dword, Eq, whose)?, reads()?]));
    let of_itself = of_itself.into_iter().collect::<Result<_, _>>()?;
    calls.push((libc::SYS_prlimit64, of_itself));

    match driver {
        Driver::Uring => {
            calls.push((libc::SYS_io_uring_enter, Vec::new()));
            // The ring itself is confined to what the driver registers.
            calls.push((libc::SYS_io_uring_register, Vec::new()));
        }
        Driver::TokioUring => calls.push((libc::SYS_io_uring_enter, Vec::new())),
        Driver::Epoll => {}
    }
    Ok(calls)
}
