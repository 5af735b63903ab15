//! The command line from outside: what is wrong is one line with its exit status, and where a name comes
//! from.

mod support;

use std::os::unix::process::CommandExt as _;

use support::process::{command, run, start};
use support::server::Tutorial;

#[test]
fn nobody_listening_is_exit_code_1_and_says_what_to_do() {
    let address = support::tutorial::listen().1; // Closed again at once.
    let finished = start(address, &["--name", "x"]).finish();
    assert_eq!(finished.code, Some(1));
    assert!(
        finished.stderr.starts_with(&format!(
            "client: cannot connect to {address}: Connection refused"
        )) && finished.stderr.contains("is the server running there?"),
        "{}",
        finished.stderr
    );
}

#[test]
fn usage_errors_are_one_line_and_exit_code_2() {
    for (arguments, expected) in [
        (
            &["--addr", "localhost"][..],
            "'--addr <ADDR>': it has no port; give HOST:PORT",
        ),
        (
            &["--addr", "h:99999"],
            "its port is not a number from 1 to 65535",
        ),
        (&["--addr", "::1:9989"], "an IPv6 address needs brackets"),
        (
            &["--addr", "ws://"],
            "it has no host; give HOST:PORT or ws://",
        ),
        (&["--addr", "ws://h:0/ws"], "its port is not a number"),
        (&["--addr", "ws://h/a b"], "it is no URL"),
        (
            &["--addr", "wss://h"],
            "it asks for TLS, which this client does not speak",
        ),
        (&["--addr", "http://h"], "'http' is none of its kinds"),
        (
            &["--name", "*server*"],
            "'--name <NAME>': name begins with '*'",
        ),
        (&["--name", "a\x1b[2J"], "name holds the control character"),
        (&["--name", ""], "name is empty"),
        (&["--name", " "], "name is empty"),
        (&["--count", "0"], "'--count <N>'"),
        (&["--count", "none"], "'--count <N>'"),
        (&["--idle-exit", "1 dya"], "such as 250ms, 10s or 2min"),
        (&["--idle-exit", "0s"], "shorter than 1ms"),
        (&["--idle-exit", "9999999999d"], "longer than 365 days"),
        (
            &["--max-message-bytes", "0"],
            "'--max-message-bytes <BYTES>'",
        ),
        (&["--json", "--raw"], "cannot be used with"),
        (&["--nonsense"], "unexpected argument '--nonsense'"),
        (
            &["--jso"],
            "found; tip: a similar argument exists: '--json'; see 'client --help'",
        ),
        (&["completions", "csh"], "bash"),
        (&["--json", "man"], "cannot be used with"),
    ] {
        let mut command = command();
        command.args(arguments);
        let finished = run(command, b"");
        let said = finished.stderr;
        assert_eq!(finished.code, Some(2), "{arguments:?}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(
            said.starts_with("client: ") && said.contains(expected),
            "{said}"
        );
        assert!(!said.contains('\x1b'), "{said}");
    }
}

#[test]
fn the_manual_and_the_completions_know_every_flag() {
    let answer = |words: &[&str]| {
        let mut command = command();
        command.arg0("/usr/bin/uringcast-client").args(words);
        run(command, b"").stdout
    };
    let help = answer(&["--help"]);
    let flags = help.lines().map(str::trim_start);
    let flags =
        flags.filter_map(|line| line.strip_prefix("-v, ").or(Some(line))?.strip_prefix("--"));
    let flags: Vec<&str> = flags
        .filter_map(|line| line.split([' ', ',']).next())
        .collect();
    assert!(flags.len() > 12 && flags.contains(&"verbose"), "{flags:?}");
    for asked in [
        &["man"][..],
        &["completions", "bash"],
        &["completions", "zsh"],
        &["completions", "fish"],
    ] {
        let text = answer(asked);
        assert!(text.contains("uringcast-client"), "{text}");
        for flag in &flags {
            let escaped = flag.replace('-', "\\-");
            assert!(
                text.contains(flag) || text.contains(&escaped),
                "{asked:?} lacks {flag}"
            );
        }
    }
}

#[test]
fn the_name_comes_from_option_environment_or_login_in_this_order() {
    let server = Tutorial::start();
    let address = server.address.to_string();
    let run_with = |arguments: &[&str], environment: &[(&str, &str)]| {
        let mut command = command();
        command.env("URINGCAST_ADDR", &address).args(arguments);
        command.envs(environment.iter().copied());
        run(command, b"")
    };
    let named = ("URINGCAST_NAME", "from the environment");
    assert_eq!(run_with(&["--name", "option"], &[named]).code, Some(0));
    server.joined("option");
    server.left("option");
    assert_eq!(run_with(&[], &[named]).code, Some(0));
    server.joined("from the environment");
    server.left("from the environment");
    assert_eq!(run_with(&[], &[]).code, Some(0));
    server.joined("login");
    server.left("login");
    let nameless = run_with(&[], &[("USER", "")]);
    assert_eq!(nameless.code, Some(2));
    assert_eq!(
        nameless.stderr,
        "client: no name to chat under: give one with --name\n"
    );
}

#[test]
fn what_finds_no_room_on_standard_output_is_no_success() {
    for argument in ["--help", "man"] {
        let full = std::fs::File::create("/dev/full").unwrap();
        let output = command().arg(argument).stdout(full).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(
            said.starts_with("client: cannot write standard output: No space left"),
            "{said}"
        );
    }
}
