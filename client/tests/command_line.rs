//! The command line from outside: what is wrong is one line with its exit status, and where a name comes
//! from.

mod support;

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
    for arguments in [
        &["--nonsense"][..],
        &["--addr", "nowhere"],
        &["--name", "*server*"],
        &["--name", ""],
        &["--json", "--raw"],
        &["--count", "none"],
    ] {
        let mut command = command();
        command.args(arguments);
        let finished = run(command, b"");
        assert_eq!(finished.code, Some(2), "{arguments:?}");
        assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
        assert!(
            finished.stderr.starts_with("client: "),
            "{}",
            finished.stderr
        );
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
