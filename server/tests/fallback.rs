//! Which driver runs where io_uring is refused, or is there and out of reach.
//!
//! The refusals are real: the program runs under a seccomp filter, or as an ordinary user with next
//! to no memory to lock. A test that needs root says so and passes where it is not root.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch, apply_filter};

const PROGRAM: &str = env!("CARGO_BIN_EXE_server");

/// `io_uring_setup(2)` has this number on every architecture.
const IO_URING_SETUP: i64 = 425;

#[test]
fn auto_takes_uring_where_a_ring_can_be_had() {
    let said = said_until_ready(server("auto").spawn().unwrap());
    assert!(said.contains("(driver uring, "), "{said}");
}

#[test]
fn auto_falls_back_to_epoll_under_a_filter_and_says_why() {
    const EPERM: u32 = 1;
    const ENOSYS: u32 = 38;
    for (errno, named) in [(EPERM, "os error 1"), (ENOSYS, "os error 38")] {
        let said = said_until_ready(spawn_without_io_uring(server("auto"), errno));
        assert!(said.contains("(driver epoll, "), "{said}");
        let reason = said.lines().find(|line| line.contains("WARN"));
        let reason = reason.expect("the log says why");
        assert!(
            reason.contains("driver=\"epoll\"")
                && reason.contains(named)
                && reason.contains("seccomp"),
            "{reason}"
        );
        assert_eq!(said.matches("WARN").count(), 1, "one line says it: {said}");
    }
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
    for driver in DRIVERS_WITH_A_RING {
        let mut server = spawn_without_io_uring(server(driver), 1);
        let mut said = String::new();
        server
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        assert_eq!(server.wait().unwrap().code(), Some(1));
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

/// Starts a program to which `io_uring_setup` answers `errno`.
fn spawn_without_io_uring(mut command: Command, errno: u32) -> Child {
    // A filter binds the thread that takes it, and the processes that this thread starts.
    let confined = move || {
        apply_filter(&refusing_io_uring(errno)).unwrap();
        command.spawn().unwrap()
    };
    thread::spawn(confined).join().unwrap()
}

fn refusing_io_uring(errno: u32) -> BpfProgram {
    let arch: TargetArch = std::env::consts::ARCH.try_into().unwrap();
    let refused = BTreeMap::from([(IO_URING_SETUP, Vec::new())]);
    let (otherwise, matched) = (SeccompAction::Allow, SeccompAction::Errno(errno));
    let filter = SeccompFilter::new(refused, otherwise, matched, arch).unwrap();
    filter.try_into().unwrap()
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
