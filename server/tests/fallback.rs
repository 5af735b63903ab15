//! Which driver runs where io_uring is refused, or is there and out of reach.
//!
//! The refusals are real: the program runs under a seccomp filter, or as an ordinary user with next
//! to no memory to lock. A test that needs root says so and passes where it is not root.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch, apply_filter};

const PROGRAM: &str = env!("CARGO_BIN_EXE_server");

/// System calls by which a ring is made, and used.
const OF_RINGS: [i64; 2] = [libc::SYS_io_uring_setup, libc::SYS_io_uring_enter];

#[test]
fn auto_takes_uring_where_a_ring_can_be_had() {
    let said = said_until_ready(server("auto").spawn().unwrap());
    assert!(said.contains("(driver uring, "), "{said}");
}

#[test]
fn auto_falls_back_to_epoll_under_a_filter_and_says_why() {
    let errnos = [libc::EPERM, libc::ENOSYS, libc::EACCES, libc::EOPNOTSUPP];
    for (call, errno) in OF_RINGS
        .iter()
        .flat_map(|call| errnos.map(|errno| (*call, errno)))
    {
        let said = said_until_ready(spawn_without(call, errno, server("auto")));
        assert!(said.contains("(driver epoll, "), "{said}");
        let reason = said.lines().find(|line| line.contains("WARN"));
        let reason = reason.expect("the log says why");
        assert!(
            reason.contains("driver=epoll")
                && reason.contains(&format!("os error {errno}"))
                && reason.contains("seccomp"),
            "{reason}"
        );
        assert_eq!(said.matches("WARN").count(), 1, "one line says it: {said}");
    }
}

#[test]
fn what_a_filter_refuses_at_the_start_is_named() {
    let said = said_until_the_end(spawn_without(
        libc::SYS_clone3,
        libc::EPERM,
        server("epoll"),
    ));
    let error = said.lines().last().unwrap();
    assert!(
        error.starts_with("error: cannot start: the kernel gives no thread ("),
        "{said}"
    );
    assert!(error.contains("seccomp filter refuses clone3"), "{said}");
    let served = said_until_ready(spawn_without(
        libc::SYS_prlimit64,
        libc::EPERM,
        server("epoll"),
    ));
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let descriptors = format!(", {} descriptors)", limit.current.unwrap_or(u64::MAX));
    assert!(served.contains(&descriptors), "as it was: {served}");
}

const DRIVERS_WITH_A_RING: &[&str] = &[
    "uring",
    #[cfg(feature = "tokio-uring")]
    "tokio-uring",
];

#[test]
#[cfg(not(feature = "tokio-uring"))]
fn a_driver_that_was_left_out_of_the_build_is_named() {
    let mut server = server("tokio-uring").spawn().unwrap();
    let mut said = String::new();
    let stderr = server.stderr.as_mut().unwrap();
    stderr.read_to_string(&mut said).unwrap();
    assert_eq!(server.wait().unwrap().code(), Some(1));
    assert_eq!(
        said,
        "error: the tokio-uring driver cannot run: this program was built without it; build it with the \
         cargo feature tokio-uring, or choose --driver uring\n"
    );
}

#[test]
fn a_driver_that_was_asked_for_is_not_replaced() {
    for (call, driver) in OF_RINGS
        .iter()
        .flat_map(|call| DRIVERS_WITH_A_RING.iter().map(move |it| (*call, it)))
    {
        let said = said_until_the_end(spawn_without(call, libc::EPERM, server(driver)));
        let error = said.lines().last().unwrap();
        assert!(
            error.starts_with(&format!("error: the {driver} driver cannot run: ")),
            "{said}"
        );
        assert!(error.contains("--driver epoll"), "{error}");
        assert!(!said.contains("listening"), "{said}");
    }
}

#[test]
fn too_little_memory_to_lock_is_an_error_with_a_remedy() {
    if !rustix::process::geteuid().is_root() {
        testing::skip("needs root, to become an ordinary user with a limit of its own");
        return;
    }
    // An ordinary user may not reach the build folder.
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let program = folder.path().join("server");
    std::fs::copy(PROGRAM, &program).unwrap();
    let nobody = 65_534;
    let output = Command::new("/bin/sh")
        .args(["-c", "ulimit -l 4 && exec \"$0\" \"$@\""])
        .arg(&program)
        .args(["--listen", "127.0.0.1:0", "--driver", "auto"])
        .current_dir(folder.path())
        .gid(nobody)
        .uid(nobody)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("LimitMEMLOCK="), "{said}");
    assert!(
        !said.contains("(driver epoll"),
        "no silent fallback: {said}"
    );
}

fn server(driver: &str) -> Command {
    let mut server = Command::new(PROGRAM);
    server
        .args(["--listen", "127.0.0.1:0", "--driver", driver])
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    server
}

/// Starts a program to which the system call `call` answers `errno`.
fn spawn_without(call: i64, errno: i32, mut command: Command) -> Child {
    let filter = refusing(call, errno);
    // SAFETY: between fork and exec nothing happens but system calls.
    unsafe { command.pre_exec(move || apply_filter(&filter).map_err(io::Error::other)) };
    command.spawn().unwrap()
}

fn refusing(call: i64, errno: i32) -> BpfProgram {
    let arch: TargetArch = std::env::consts::ARCH.try_into().unwrap();
    let refused = BTreeMap::from([(call, Vec::new())]);
    let matched = SeccompAction::Errno(errno.unsigned_abs());
    let filter = SeccompFilter::new(refused, SeccompAction::Allow, matched, arch).unwrap();
    filter.try_into().unwrap()
}

/// All that a server says which does not start.
fn said_until_the_end(mut server: Child) -> String {
    let mut said = String::new();
    let stderr = server.stderr.as_mut().unwrap();
    stderr.read_to_string(&mut said).unwrap();
    assert_eq!(server.wait().unwrap().code(), Some(1), "{said}");
    said
}

/// What a server says up to the line that says that it listens; then it is ended.
fn said_until_ready(mut server: Child) -> String {
    let mut said = String::new();
    let mut lines = BufReader::new(server.stderr.take().unwrap());
    while !said.contains("listening on ") && lines.read_line(&mut said).unwrap() > 0 {}
    let id = Pid::from_child(&server);
    kill_process(id, Signal::TERM).unwrap();
    // What it says in its end is taken too, so that it never waits for a reader.
    lines.read_to_string(&mut String::new()).unwrap();
    assert!(server.wait().unwrap().success(), "{said}");
    said
}
