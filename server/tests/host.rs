//! The program and the machine it runs on: its configuration, its log, and a service manager.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

const PROGRAM: &str = env!("CARGO_BIN_EXE_server");

/// Nothing takes so long unless it hangs.
const DEADLINE: Duration = Duration::from_secs(30);

/// The program, on a free port, without what the tests' own environment says.
fn server() -> Command {
    let mut server = Command::new(PROGRAM);
    server
        .args(["--listen", "127.0.0.1:0", "--driver", "epoll"])
        .env_remove("NOTIFY_SOCKET")
        .env_remove("JOURNAL_STREAM")
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    server
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// What it says, to the line that has `part`.
fn hear(stderr: &mut impl BufRead, part: &str) -> String {
    let mut said = String::new();
    while !said.contains(part) {
        let from = said.len();
        assert!(
            stderr.read_line(&mut said).unwrap() > 0,
            "no {part:?} in:\n{said}"
        );
        if said[from..].contains(part) {
            return said[from..].trim_end().into();
        }
    }
    said
}

fn address(ready: &str) -> SocketAddr {
    let address = ready.split("listening on ").nth(1).unwrap();
    address.split(' ').next().unwrap().parse().unwrap()
}

fn say(mut stream: &TcpStream, text: &str) {
    write!(stream, "{:<10}{text}", text.len()).unwrap();
}

/// Reads exactly what is expected.
fn expect(mut stream: &TcpStream, wire: &str) {
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut bytes = vec![0; wire.len()];
    stream.read_exact(&mut bytes).unwrap();
    assert_eq!(String::from_utf8(bytes).unwrap(), wire);
}

/// What `--check-config` says of a file.
fn check(text: &str) -> (Option<i32>, String) {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(&file, text).unwrap();
    let Output { status, stderr, .. } = Command::new(PROGRAM)
        .args(["--check-config", "--config"])
        .arg(file.path())
        .output()
        .unwrap();
    let said = String::from_utf8(stderr).unwrap();
    let path = file.path().display().to_string();
    (status.code(), said.replace(&path, "FILE"))
}

#[test]
fn check_config_names_file_line_and_remedy() {
    assert_eq!(check("threads = 2\n"), (Some(0), String::new()));
    let unknown = "error: FILE:2: there is no option thread; did you mean threads?\n";
    assert_eq!(check("\nthread = 2\n"), (Some(2), unknown.into()));
    let (status, together) = check("# small\n\nlog-bytes = 1000\n");
    assert_eq!(status, Some(2));
    assert!(
        together.starts_with("error: FILE:3: a log of 1000 bytes"),
        "{together}"
    );
    assert!(
        together.contains("raise --log-bytes or lower"),
        "{together}"
    );
}

#[test]
fn check_config_warns_of_variables_that_mean_nothing() {
    let output = Command::new(PROGRAM)
        .arg("--check-config")
        .env("URINGCAST_MAX_CLIENT", "7")
        .output()
        .unwrap();
    assert!(output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.starts_with("warning: ") && said.ends_with(": URINGCAST_MAX_CLIENT\n"),
        "{said}"
    );
}

#[test]
fn a_text_that_finds_no_room_is_no_success() {
    for arguments in [&["default-config"][..], &["man"], &["--print-config"]] {
        let full = fs::File::create("/dev/full").unwrap();
        let output = Command::new(PROGRAM)
            .args(arguments)
            .stdout(full)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            said.starts_with("error: cannot write standard output: No space left"),
            "{said}"
        );
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn the_guide_explains_every_reason_and_the_package_has_the_guide() {
    let guide = include_str!("../../docs/refusals.md");
    for reason in server::hub::Reason::ALL {
        let row = format!("| `{}` |", reason.name());
        assert!(guide.contains(&row), "no row {row}");
    }
    let script = include_str!("../dist/scripts/build-package");
    assert!(script.contains("for page in docs/*.md; do put "));
}

#[test]
fn print_config_says_who_said_what() {
    let output = Command::new(PROGRAM)
        .args(["--print-config", "--threads", "2"])
        .env("URINGCAST_MAX_CLIENTS", "7")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let origin = |option: &str| {
        let line = text.lines().find(|line| line.starts_with(option)).unwrap();
        line.split_once(" # ").unwrap().1.to_owned()
    };
    assert!(output.status.success());
    assert_eq!(origin("threads = 2"), "command line");
    assert_eq!(
        origin("max-clients = 7"),
        "environment URINGCAST_MAX_CLIENTS"
    );
    assert_eq!(origin("driver = \"auto\""), "default");
}

#[test]
fn many_lines_of_a_kind_do_not_drown_the_log() {
    let mut child = server().args(["--log-format", "json"]).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let address = address(&hear(&mut stderr, "listening on "));
    let many: Vec<_> = (0..200)
        .map(|number| {
            let peer = TcpStream::connect(address).unwrap();
            say(&peer, &number.to_string());
            peer
        })
        .collect();
    // Who is heard has been taken in, and so have those before it.
    let last = TcpStream::connect(address).unwrap();
    say(&last, "last");
    say(&last, "hello");
    expect(&many[0], "4         last5         hello");
    signal(&child, Signal::TERM);
    let mut said = String::new();
    stderr.read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success());
    let joined = said.matches("\"message\":\"joined\"").count();
    let left_out = said
        .lines()
        .filter(|line| line.contains("\"kind\":\"joined\""));
    let left_out: usize = left_out
        .map(|line| {
            let number = line.split("\"lines\":").nth(1).unwrap();
            number.split(',').next().unwrap().parse::<usize>().unwrap()
        })
        .sum();
    assert!(left_out > 0, "{said}");
    assert_eq!(joined + left_out, 201, "{said}");
    assert!(said.lines().all(|line| line.starts_with('{')), "{said}");
}

#[test]
fn a_log_that_nobody_reads_holds_nobody_up() {
    let mut child = server().args(["--log", "debug"]).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let address = address(&hear(&mut stderr, "listening on "));
    let [ann, bob] = ["ann", "bob"].map(|name| {
        let peer = TcpStream::connect(address).unwrap();
        say(&peer, name);
        peer
    });
    say(&ann, "are you there?");
    // Bob may have come after that.
    say(&bob, "yes");
    expect(&ann, "3         bob3         yes");
    // A line for each is far more than the pipe holds, from which nobody reads.
    for _ in 0..4000 {
        say(&bob, "this is a message of some length");
        expect(
            &ann,
            "3         bob32        this is a message of some length",
        );
    }
    signal(&child, Signal::TERM);
    // Still nobody reads: the end does not wait for it.
    assert!(child.wait().unwrap().success());
    drop(stderr);
}

#[test]
fn a_name_forges_nothing_in_the_log() {
    const NAMES: [&str; 4] = [
        "x peer=10.9.9.9:1",
        "\u{202e}nna",
        "\u{2028}2026-11-25T00:00:00Z ERROR server: disk full",
        "\"} {\"level\":\"ERROR\"",
    ];
    for format in ["text", "json"] {
        let mut child = server().args(["--log-format", format]).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let address = address(&hear(&mut stderr, "listening on "));
        for name in NAMES {
            let peer = TcpStream::connect(address).unwrap();
            say(&peer, name);
            let joined = hear(&mut stderr, "joined");
            assert!(!joined.contains(['\u{202e}', '\u{2028}']), "{joined:?}");
            if format == "json" {
                let fields: serde_json::Value = serde_json::from_str(&joined).unwrap();
                assert_eq!(fields["name"], name);
                assert_eq!(fields["target"], "server::session");
                continue;
            }
            let line = joined
                .split_once(" server::session: joined name=\"")
                .unwrap();
            // Whatever the name is, the field that follows it is ours.
            let (_, rest) = line.1.rsplit_once("\" peer=").unwrap();
            let peer: SocketAddr = rest.parse().unwrap();
            assert!(peer.ip().is_loopback());
        }
        signal(&child, Signal::TERM);
        stderr.read_to_string(&mut String::new()).unwrap();
        assert!(child.wait().unwrap().success());
    }
}

#[test]
fn journald_is_given_levels_and_no_times() {
    let mut child = Command::new("/bin/sh");
    // The shell knows which pipe its standard error is.
    let stream = "export JOURNAL_STREAM=$(stat -Lc %d:%i /proc/self/fd/2) && exec \"$0\" \"$@\"";
    let mut child = child
        .args(["-c", stream, PROGRAM, "--listen", "127.0.0.1:0"])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    hear(&mut stderr, "listening on ");
    signal(&child, Signal::TERM);
    let line = hear(&mut stderr, "draining");
    assert!(line.starts_with("<6> INFO "), "{line}");
    stderr.read_to_string(&mut String::new()).unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn every_line_of_the_log_names_a_target_that_does_not_move_with_the_code() {
    const TARGETS: [&str; 9] = [
        "server",
        "server::config",
        "server::confinement",
        "server::driver",
        "server::log",
        "server::message",
        "server::metrics",
        "server::session",
        "server::systemd",
    ];
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut lines = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.extension().is_none_or(|it| it != "rs") {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            for call in ["error!(", "warn!(", "info!(", "debug!("] {
                for (_, rest) in text.match_indices(call).map(|(at, _)| text.split_at(at)) {
                    let arguments = rest[call.len()..].trim_start();
                    let target = arguments.strip_prefix("target: \"");
                    let target = target.and_then(|rest| rest.split_once('"'));
                    let target = target.map_or("none", |(target, _)| target);
                    assert!(TARGETS.contains(&target), "{target} in {}", path.display());
                    lines += 1;
                }
            }
        }
    }
    assert!(lines > 20, "{lines}");
}

/// A notify socket of our own, and the states that it is told.
struct Manager(UnixDatagram);

impl Manager {
    fn new(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        Self(socket)
    }

    /// The next state that has a line which begins with `part`.
    fn hear(&self, part: &str) -> String {
        let mut datagram = [0; 4096];
        loop {
            let bytes = self.0.recv(&mut datagram).unwrap();
            let state = String::from_utf8_lossy(&datagram[..bytes]).into_owned();
            if state.lines().any(|line| line.starts_with(part)) {
                return state;
            }
        }
    }
}

#[test]
fn a_service_manager_is_told_of_readiness_reloads_life_and_the_end() {
    a_service_manager_is_told(&[]);
}

/// It was connected to before that was given up.
#[test]
fn a_service_manager_is_told_by_a_confined_server() {
    a_service_manager_is_told(&["--confine"]);
}

fn a_service_manager_is_told(arguments: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let manager = Manager::new(&path);
    let mut child = server()
        .stderr(Stdio::null())
        .args(["--threads", "2"])
        .args(arguments)
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "400000")
        .env_remove("WATCHDOG_PID")
        .spawn()
        .unwrap();
    let ready = manager.hear("READY=1");
    assert!(ready.contains("STATUS=listening on 127.0.0.1:"), "{ready}");
    for _ in 0..3 {
        manager.hear("WATCHDOG=1");
    }
    signal(&child, Signal::HUP);
    assert!(manager.hear("RELOADING=1").contains("MONOTONIC_USEC="));
    manager.hear("READY=1");
    signal(&child, Signal::TERM);
    assert!(manager.hear("STOPPING=1").contains("STATUS=draining"));
    assert!(child.wait().unwrap().success());
}

/// Starts the program with `listener` as its descriptor 3, as systemd does.
fn activate(listener: &TcpListener, driver: &str, threads: &str) -> Child {
    let script = format!(
        "exec 3<&{} && LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" \"$@\"",
        listener.as_raw_fd()
    );
    let duplicate = rustix::io::fcntl_getfd(listener).unwrap();
    rustix::io::fcntl_setfd(listener, duplicate - rustix::io::FdFlags::CLOEXEC).unwrap();
    let child = Command::new("/bin/sh")
        .args([
            "-c",
            &script,
            PROGRAM,
            "--driver",
            driver,
            "--threads",
            threads,
        ])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    rustix::io::fcntl_setfd(listener, duplicate).unwrap();
    child
}

#[test]
fn a_passed_socket_is_served_and_whoever_comes_between_two_servers_is_served_by_the_next() {
    for (driver, threads) in [
        ("epoll", "1"),
        ("epoll", "3"),
        ("uring", "1"),
        ("uring", "3"),
        #[cfg(feature = "tokio-uring")]
        ("tokio-uring", "1"),
        #[cfg(feature = "tokio-uring")]
        ("tokio-uring", "3"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut first = activate(&listener, driver, threads);
        let mut stderr = BufReader::new(first.stderr.take().unwrap());
        let ready = hear(&mut stderr, "listening on ");
        assert!(ready.contains(&address.to_string()), "{ready}");
        let ann = TcpStream::connect(address).unwrap();
        say(&ann, "ann");
        hear(&mut stderr, "joined");
        signal(&first, Signal::TERM);
        expect(
            &ann,
            "8         *server*32        closing: server is shutting down",
        );
        drop(ann);
        stderr.read_to_string(&mut String::new()).unwrap();
        assert!(first.wait().unwrap().success());

        // The socket still listens, though nobody accepts.
        let [bob, carl] = ["bob", "carl"].map(|name| {
            let peer = TcpStream::connect(address).unwrap();
            say(&peer, name);
            peer
        });
        let mut second = activate(&listener, driver, threads);
        let mut stderr = BufReader::new(second.stderr.take().unwrap());
        hear(&mut stderr, "joined");
        hear(&mut stderr, "joined");
        say(&bob, "made it");
        expect(&carl, "3         bob7         made it");
        drop((bob, carl));
        signal(&second, Signal::TERM);
        stderr.read_to_string(&mut String::new()).unwrap();
        assert!(second.wait().unwrap().success());
    }
}

/// As a socket unit with Accept=yes passes it.
#[test]
fn a_passed_socket_that_does_not_listen_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connected = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let mut server = activate(&OwnedFd::from(connected).into(), "epoll", "1");
    let mut said = String::new();
    let stderr = server.stderr.as_mut().unwrap();
    stderr.read_to_string(&mut said).unwrap();
    assert_eq!(server.wait().unwrap().code(), Some(1), "{said}");
    assert!(said.contains("it does not listen"), "{said}");
    assert!(said.contains("Accept=no"), "{said}");
}

/// Not before the first drains: there would be two rooms on one port.
#[test]
fn a_second_server_takes_over_the_port_of_one_with_several_threads_that_drains() {
    for driver in [
        "epoll",
        "uring",
        #[cfg(feature = "tokio-uring")]
        "tokio-uring",
    ] {
        let spawn = |listen: &str| {
            let mut child = Command::new(PROGRAM)
                .args(["--driver", driver, "--threads", "2", "--listen", listen])
                .stdin(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let stderr = BufReader::new(child.stderr.take().unwrap());
            (child, stderr)
        };
        let (mut first, mut first_says) = spawn("127.0.0.1:0");
        let address = address(&hear(&mut first_says, "listening on "));
        let (mut refused, mut why) = spawn(&address.to_string());
        hear(&mut why, &format!("error: cannot listen on {address}: "));
        assert_eq!(refused.wait().unwrap().code(), Some(1));
        // Somebody who does not hang up when it is told goodbye keeps the first one there.
        let mut stays = TcpStream::connect(address).unwrap();
        say(&stays, "stays");
        hear(&mut first_says, "joined");
        signal(&first, Signal::TERM);
        stays.read_to_end(&mut Vec::new()).unwrap();
        let (mut second, mut second_says) = spawn(&address.to_string());
        hear(&mut second_says, "listening on ");
        let peers: Vec<_> = (0..8)
            .map(|number| {
                let peer = TcpStream::connect(address).unwrap();
                say(&peer, &number.to_string());
                hear(&mut second_says, "joined");
                peer
            })
            .collect();
        drop((stays, peers));
        first_says.read_to_string(&mut String::new()).unwrap();
        assert!(first.wait().unwrap().success());
        signal(&second, Signal::TERM);
        second_says.read_to_string(&mut String::new()).unwrap();
        assert!(second.wait().unwrap().success());
    }
}

#[test]
fn a_reload_changes_what_is_logged() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(&file, "log = \"warn\"\n").unwrap();
    let mut server = server();
    let mut child = server.arg("--config").arg(file.path()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let address = address(&hear(&mut stderr, "listening on "));
    let quiet = ["first", "quiet"].map(|name| {
        let peer = TcpStream::connect(address).unwrap();
        say(&peer, name);
        peer
    });
    // Who is answered has joined. The first may have come after what the second said.
    say(&quiet[0], "are you there?");
    say(&quiet[1], "yes");
    expect(&quiet[0], "5         quiet3         yes");
    fs::write(&file, "log = \"info\"\n").unwrap();
    signal(&child, Signal::HUP);
    // The first line there is: who joined before was not logged.
    let mut changed = String::new();
    stderr.read_line(&mut changed).unwrap();
    assert!(
        changed.contains("changed option=log from=warn to=info"),
        "{changed}"
    );
    let loud = TcpStream::connect(address).unwrap();
    say(&loud, "loud");
    hear(&mut stderr, "joined name=loud");
    signal(&child, Signal::TERM);
    stderr.read_to_string(&mut String::new()).unwrap();
    assert!(child.wait().unwrap().success());
}
