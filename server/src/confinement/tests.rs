//! What code in a confined process can still do, tried from inside: each test is carried out by a
//! process of its own, which confines itself as a server does and tries.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Error, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{self, UnixDatagram};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Output, Stdio};
use std::thread;

use libc::{c_int, c_long};

use super::*;
use crate::driver::Driver;

/// Set in the process that confines itself: it could not go back to being a test.
const CONFINED: &str = "URINGCAST_TEST_CONFINED";

/// Whether this is the process of a test that is to confine itself.
fn is_inside() -> bool {
    std::env::var_os(CONFINED).is_some()
}

/// Runs the test of this name in a process of its own.
fn outside(test: &str) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("confinement::tests::{test}")])
        .args(["--nocapture", "--test-threads=1"])
        .env(CONFINED, "1")
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&said).into_owned()
}

/// Has a process of its own carry out `inside`, which is to succeed.
fn in_a_process_of_its_own(test: &str, inside: fn()) {
    if is_inside() {
        return inside();
    }
    let output = outside(test);
    let said = said(&output);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
}

/// A listener, and a connection to it: what a server has when it is confined.
struct Served {
    listener: TcpListener,
    accepted: TcpStream,
    peer: TcpStream,
    /// Where nobody is to be reached from inside.
    elsewhere: TcpListener,
}

/// Confines this process as a server with this driver is.
fn confine(driver: Driver) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    confine_reach().unwrap();
    confine_ports().unwrap();
    confine_calls(driver, &[listener.as_raw_fd()]).unwrap();
    Served {
        listener,
        accepted,
        peer,
        elsewhere,
    }
}

/// What the kernel says to a system call.
fn call(number: c_long, arguments: [i64; 6]) -> io::Result<i64> {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: the calls of these tests are refused, or change no memory that Rust knows of.
    match unsafe { libc::syscall(number, a, b, c, d, e, f) } {
        -1 => Err(Error::last_os_error()),
        answer => Ok(answer),
    }
}

#[track_caller]
fn refused(number: c_long, arguments: [i64; 6]) {
    let answer = call(number, arguments);
    let error = answer.as_ref().err().and_then(Error::raw_os_error);
    assert_eq!(error, Some(libc::EPERM), "call {number}: {answer:?}");
}

fn arguments<const N: usize>(given: [i64; N]) -> [i64; 6] {
    let mut all = [0; 6];
    all[..N].copy_from_slice(&given);
    all
}

#[track_caller]
#[allow(clippy::needless_pass_by_value, reason = "what a call returns")]
fn is_denied<T: std::fmt::Debug>(answer: io::Result<T>) {
    let kind = answer.as_ref().err().map(Error::kind);
    assert_eq!(kind, Some(io::ErrorKind::PermissionDenied), "{answer:?}");
}

#[test]
fn what_serving_needs_goes_on() {
    in_a_process_of_its_own("what_serving_needs_goes_on", || {
        let served = confine(Driver::Epoll);
        let mut byte = [0];
        (&served.peer).write_all(b"x").unwrap();
        (&served.accepted).read_exact(&mut byte).unwrap();
        (&served.accepted).write_all(b"y").unwrap();
        (&served.peer).read_exact(&mut byte).unwrap();
        assert_eq!(&byte, b"y");
        assert!(!fs::read("/proc/self/status").unwrap().is_empty());
        // libc asks for clone3, and falls back to clone.
        let named = thread::Builder::new().name("late".into());
        named.spawn(|| ()).unwrap().join().unwrap();
        served.accepted.set_nonblocking(true).unwrap();
        served.accepted.set_nodelay(true).unwrap();
        drop(vec![1_u8; 64 << 20]);
        served.accepted.shutdown(std::net::Shutdown::Both).unwrap();
        drop(served.peer);
    });
}

#[test]
fn threads_that_were_there_before_are_confined_as_well() {
    in_a_process_of_its_own(
        "threads_that_were_there_before_are_confined_as_well",
        || {
            let (go, gone) = std::sync::mpsc::channel();
            confine_reach().unwrap();
            let early = thread::spawn(move || {
                gone.recv().unwrap();
                is_denied(UnixDatagram::unbound());
                is_denied(Command::new("/bin/true").status());
            });
            confine_calls(Driver::Epoll, &[]).unwrap();
            go.send(()).unwrap();
            early.join().unwrap();
        },
    );
}

#[test]
fn files_are_read_and_nothing_else() {
    in_a_process_of_its_own("files_are_read_and_nothing_else", || {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "as it was").unwrap();
        let name = CString::new(file.to_str().unwrap()).unwrap();
        let at = name.as_ptr() as i64;
        let _served = confine(Driver::Epoll);
        assert_eq!(fs::read_to_string(&file).unwrap(), "as it was");
        is_denied(File::create(&file));
        is_denied(File::create(folder.path().join("new")));
        is_denied(File::options().append(true).open(&file));
        is_denied(fs::remove_file(&file));
        is_denied(fs::rename(&file, folder.path().join("other")));
        is_denied(fs::hard_link(&file, folder.path().join("other")));
        is_denied(fs::create_dir(folder.path().join("folder")));
        is_denied(fs::set_permissions(
            &file,
            std::os::unix::fs::PermissionsExt::from_mode(0o777),
        ));
        is_denied(std::os::unix::fs::chown(&file, Some(1), Some(1)));
        let cwd = i64::from(libc::AT_FDCWD);
        refused(libc::SYS_utimensat, arguments([cwd, at]));
        refused(libc::SYS_truncate, arguments([at]));
        refused(libc::SYS_acct, arguments([at]));
        refused(libc::SYS_memfd_create, arguments([at]));
        refused(libc::SYS_mount, [0; 6]);
        refused(libc::SYS_chroot, arguments([at]));
        // Without the filter landlock holds alone: it does so for rings, too.
        assert_eq!(fs::read_to_string(&file).unwrap(), "as it was");
        std::mem::forget(folder);
    });
}

#[test]
fn nobody_is_reached_by_tcp() {
    in_a_process_of_its_own("nobody_is_reached_by_tcp", || {
        let served = confine(Driver::Epoll);
        let elsewhere = served.elsewhere.local_addr().unwrap();
        is_denied(TcpStream::connect(elsewhere));
        is_denied(TcpListener::bind("127.0.0.1:0"));
        let accepted = i64::from(served.accepted.as_raw_fd());
        let listener = i64::from(served.listener.as_raw_fd());
        let family = socket_address(elsewhere);
        let at = family.as_ptr() as i64;
        // An accepted socket is not dissolved, a listener is not turned into another socket.
        let unspecified = [0_u8; 16];
        let nowhere = unspecified.as_ptr() as i64;
        refused(libc::SYS_connect, arguments([accepted, nowhere, 16]));
        for how in [libc::SHUT_RD, libc::SHUT_RDWR] {
            refused(libc::SYS_shutdown, arguments([listener, how.into()]));
        }
        for socket in [accepted, listener] {
            refused(libc::SYS_bind, arguments([socket, at, 16]));
            refused(libc::SYS_listen, arguments([socket, 1]));
            refused(libc::SYS_connect, arguments([socket, at, 16]));
            let fast_open = i64::from(libc::MSG_FASTOPEN);
            refused(libc::SYS_sendto, [socket, at, 1, fast_open, at, 16]);
            refused(libc::SYS_sendto, [socket, at, 1, 0, at, 16]);
            refused(libc::SYS_sendto, [socket, at, 1, fast_open, 0, 0]);
            refused(libc::SYS_sendmsg, arguments([socket, at, 0]));
            refused(libc::SYS_sendmmsg, arguments([socket, at, 0]));
            let repair = [libc::IPPROTO_TCP, libc::TCP_REPAIR].map(i64::from);
            refused(
                libc::SYS_setsockopt,
                [socket, repair[0], repair[1], at, 4, 0],
            );
            refused(libc::SYS_dup, arguments([socket]));
            let duplicate = libc::F_DUPFD_CLOEXEC.into();
            refused(libc::SYS_fcntl, arguments([socket, duplicate]));
        }
        let nobody = served.elsewhere.accept().unwrap_err();
        assert_eq!(nobody.kind(), io::ErrorKind::WouldBlock);
    });
}

/// The bytes of a `sockaddr_in`.
fn socket_address(address: SocketAddr) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..2].copy_from_slice(&u16::try_from(libc::AF_INET).unwrap().to_ne_bytes());
    bytes[2..4].copy_from_slice(&address.port().to_be_bytes());
    bytes[4..8].copy_from_slice(&[127, 0, 0, 1]);
    bytes
}

#[test]
fn no_other_socket_can_be_had_and_no_unix_socket_reached() {
    in_a_process_of_its_own(
        "no_other_socket_can_be_had_and_no_unix_socket_reached",
        || {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("socket");
            let _by_path = UnixDatagram::bind(&path).unwrap();
            let manager = UnixDatagram::unbound().unwrap();
            manager.connect(&path).unwrap();
            let _served = confine(Driver::Epoll);
            // The service manager, which was connected to before, is told as ever.
            manager.send(b"READY=1").unwrap();
            is_denied(manager.send_to(b"hello", &path));
            let abstract_name = net::SocketAddr::from_abstract_name(b"uringcast-test").unwrap();
            is_denied(manager.send_to_addr(b"hello", &abstract_name));
            is_denied(manager.connect(&path));
            for family in 0..46 {
                for kind in [libc::SOCK_STREAM, libc::SOCK_DGRAM, libc::SOCK_RAW] {
                    refused(libc::SYS_socket, arguments([family, kind.into(), 0]));
                }
            }
            is_denied(UnixDatagram::pair());
            std::mem::forget(folder);
        },
    );
}

/// A process that ends with this value, of the same user.
struct Other(Child);

impl Drop for Other {
    fn drop(&mut self) {
        // From inside this is refused; then it ends with its standard input.
        let _ = self.0.kill();
    }
}

#[test]
fn other_processes_are_left_alone_and_none_is_started() {
    in_a_process_of_its_own("other_processes_are_left_alone_and_none_is_started", || {
        let other = Command::new("/bin/cat").stdin(Stdio::piped()).spawn();
        let other = Other(other.unwrap());
        let pid = i64::from(other.0.id());
        let _served = confine(Driver::Epoll);
        let term = i64::from(libc::SIGTERM);
        refused(libc::SYS_kill, arguments([pid, term]));
        refused(libc::SYS_tkill, arguments([pid, term]));
        refused(libc::SYS_tgkill, arguments([pid, pid, term]));
        refused(libc::SYS_rt_sigqueueinfo, arguments([pid, term]));
        refused(libc::SYS_pidfd_open, arguments([pid]));
        refused(libc::SYS_ptrace, arguments([16, pid]));
        refused(libc::SYS_process_vm_readv, arguments([pid]));
        refused(libc::SYS_process_vm_writev, arguments([pid]));
        refused(libc::SYS_kcmp, arguments([pid, pid]));
        // By landlock.
        is_denied(File::open(format!("/proc/{pid}/mem")));
        let files = i64::from(libc::RLIMIT_NOFILE);
        let limit = [1_u64, 1];
        let at = limit.as_ptr() as i64;
        refused(libc::SYS_prlimit64, arguments([pid, files, 0, at]));
        refused(libc::SYS_prlimit64, arguments([0, files, at, 0]));
        call(libc::SYS_prlimit64, arguments([0, files, 0, at])).unwrap();
        refused(libc::SYS_setpriority, arguments([0, pid, 19]));
        refused(libc::SYS_sched_setaffinity, arguments([pid]));
        is_denied(Command::new("/bin/true").status());
        refused(libc::SYS_execve, [0; 6]);
        let child = i64::from(libc::SIGCHLD);
        refused(libc::SYS_clone, arguments([child]));
        let in_namespace = libc::CLONE_VM | libc::CLONE_THREAD | libc::CLONE_NEWNET;
        refused(libc::SYS_clone, arguments([in_namespace.into()]));
        let clone3 = call(libc::SYS_clone3, [0; 6]).unwrap_err();
        assert_eq!(clone3.raw_os_error(), Some(libc::ENOSYS));
        #[cfg(target_arch = "x86_64")]
        for call in [libc::SYS_fork, libc::SYS_vfork] {
            refused(call, [0; 6]);
        }
    });
}

/// A signal to another process, where landlock is all there is (6.12 or later).
#[test]
fn landlock_alone_keeps_signals_and_connections_at_home() {
    let test = "landlock_alone_keeps_signals_and_connections_at_home";
    in_a_process_of_its_own(test, || {
        let other = Command::new("/bin/cat").stdin(Stdio::piped()).spawn();
        let other = Other(other.unwrap());
        let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
        let name = net::SocketAddr::from_abstract_name(std::process::id().to_le_bytes()).unwrap();
        let _abstract = UnixDatagram::bind_addr(&name).unwrap();
        confine_reach().unwrap();
        drop(TcpListener::bind("127.0.0.1:0").unwrap());
        confine_ports().unwrap();
        is_denied(TcpListener::bind("127.0.0.1:0"));
        is_denied(TcpStream::connect(elsewhere.local_addr().unwrap()));
        let unix = UnixDatagram::unbound().unwrap();
        let pid = i64::from(other.0.id());
        let abi = call(libc::SYS_landlock_create_ruleset, arguments([0, 0, 1])).unwrap();
        if abi < 6 {
            return testing::skip("landlock of this kernel has no scopes (6.12)");
        }
        is_denied(unix.connect_addr(&name));
        refused(libc::SYS_kill, arguments([pid, libc::SIGTERM.into()]));
        call(libc::SYS_kill, arguments([std::process::id().into(), 0])).unwrap();
    });
}

#[test]
fn memory_is_never_made_executable() {
    in_a_process_of_its_own("memory_is_never_made_executable", || {
        let _served = confine(Driver::Epoll);
        let private = i64::from(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        let write = i64::from(libc::PROT_READ | libc::PROT_WRITE);
        let execute = i64::from(libc::PROT_EXEC);
        let page = call(libc::SYS_mmap, [0, 4096, write, private, -1, 0]).unwrap();
        refused(libc::SYS_mmap, [0, 4096, execute, private, -1, 0]);
        refused(libc::SYS_mmap, [0, 4096, write | execute, private, -1, 0]);
        refused(libc::SYS_mprotect, arguments([page, 4096, execute]));
        refused(
            libc::SYS_pkey_mprotect,
            arguments([page, 4096, execute, -1]),
        );
        refused(libc::SYS_personality, arguments([0x0400_0000]));
        refused(libc::SYS_shmat, [0; 6]);
        call(libc::SYS_munmap, arguments([page, 4096])).unwrap();
    });
}

#[test]
fn the_system_is_not_changed_even_by_root() {
    in_a_process_of_its_own("the_system_is_not_changed_even_by_root", || {
        let _served = confine(Driver::Epoll);
        for number in [
            libc::SYS_sethostname,
            libc::SYS_setdomainname,
            libc::SYS_acct,
            libc::SYS_reboot,
            libc::SYS_settimeofday,
            libc::SYS_clock_settime,
            libc::SYS_setuid,
            libc::SYS_setgroups,
            libc::SYS_capset,
            libc::SYS_unshare,
            libc::SYS_setns,
            libc::SYS_bpf,
            libc::SYS_perf_event_open,
            libc::SYS_userfaultfd,
            libc::SYS_init_module,
            libc::SYS_kexec_load,
            libc::SYS_keyctl,
            libc::SYS_add_key,
            libc::SYS_swapon,
            libc::SYS_pivot_root,
            libc::SYS_open_by_handle_at,
            libc::SYS_quotactl,
            libc::SYS_syslog,
        ] {
            refused(number, [0; 6]);
        }
        let name = i64::from(libc::PR_SET_DUMPABLE);
        refused(libc::SYS_prctl, arguments([name, 1]));
        let seize_input = i64::try_from(libc::TIOCSTI).unwrap();
        refused(libc::SYS_ioctl, arguments([0, seize_input]));
        let own = libc::F_SETOWN.into();
        refused(libc::SYS_fcntl, arguments([0, own, 1]));
    });
}

#[test]
fn a_driver_without_a_ring_gets_none_and_others_get_no_further_one() {
    let test = "a_driver_without_a_ring_gets_none_and_others_get_no_further_one";
    in_a_process_of_its_own(test, || {
        let _served = confine(Driver::Epoll);
        assert!(io_uring::IoUring::new(2).is_err());
        for call in [libc::SYS_io_uring_enter, libc::SYS_io_uring_register] {
            refused(call, arguments([-1]));
        }
    });
}

/// What the ring of the uring driver may be asked for: a send to an address needs a socket that is not
/// connected, and there is none.
#[test]
fn a_ring_sends_to_those_who_are_connected_alone() {
    let test = "a_ring_sends_to_those_who_are_connected_alone";
    in_a_process_of_its_own(test, || {
        let mut ring = io_uring::IoUring::new(4).unwrap();
        // How it would be done: a listener that is shut down is a socket that is not connected.
        let former_listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let victim = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket_address(victim.local_addr().unwrap());
        rustix::net::shutdown(&former_listener, rustix::net::Shutdown::Both).unwrap();
        send_by_ring(&mut ring, former_listener.as_raw_fd(), &address);
        victim.accept().unwrap();
        drop(former_listener);
        let served = confine(Driver::Uring);
        assert!(io_uring::IoUring::new(2).is_err(), "no further ring");
        let elsewhere = socket_address(served.elsewhere.local_addr().unwrap());
        for socket in [served.accepted.as_raw_fd(), served.listener.as_raw_fd()] {
            let error = send_by_ring(&mut ring, socket, &elsewhere);
            assert_eq!(error, -libc::EISCONN);
        }
        let nobody = served.elsewhere.accept().unwrap_err();
        assert_eq!(nobody.kind(), io::ErrorKind::WouldBlock);
    });
}

/// Asks for data to be sent to an address with MSG_FASTOPEN, which connects a socket.
fn send_by_ring(ring: &mut io_uring::IoUring, socket: RawFd, address: &[u8; 16]) -> c_int {
    let entry = io_uring::opcode::Send::new(io_uring::types::Fd(socket), b"x".as_ptr(), 1)
        .flags(libc::MSG_FASTOPEN)
        .dest_addr(address.as_ptr().cast())
        .dest_addr_len(16)
        .build();
    // SAFETY: the bytes and the address outlive the operation, which is waited for.
    unsafe { ring.submission().push(&entry) }.unwrap();
    ring.submit_and_wait(1).unwrap();
    ring.completion().next().unwrap().result()
}

#[test]
fn a_panic_tells_where_and_an_abort_is_one() {
    let test = "a_panic_tells_where_and_an_abort_is_one";
    if is_inside() {
        let _served = confine(Driver::Epoll);
        let panicked = thread::spawn(|| panic!("as a test of it")).join();
        assert!(panicked.is_err());
        std::process::abort();
    }
    let output = outside(test);
    let said = said(&output);
    assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{said}");
    assert!(said.contains("as a test of it"), "{said}");
    let traced = outside_with_backtrace(test);
    assert!(traced.contains("a_panic_tells_where"), "{traced}");
}

fn outside_with_backtrace(test: &str) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("confinement::tests::{test}")])
        .args(["--nocapture", "--test-threads=1"])
        .env(CONFINED, "1")
        .env("RUST_BACKTRACE", "full")
        .output()
        .unwrap();
    said(&output)
}
