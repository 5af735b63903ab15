//! The `client` command: see `client --help`.

#![forbid(unsafe_code)]

use std::io::{self, Write as _};
use std::process::ExitCode;

use client::command_line::{Settings, Stop};
use client::session::Outcome;

fn main() -> ExitCode {
    let ended = Settings::parse(std::env::args_os()).and_then(|settings| client::run(&settings));
    match ended {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Failed) => ExitCode::from(1),
        Ok(Outcome::Interrupted) => ExitCode::from(130),
        Err(Stop::Answer(text)) => print(&text),
        Err(Stop::Unable(text)) => fail(&text, 1),
        Err(Stop::Usage(text)) => fail(&text, 2),
    }
}

/// A reader that has gone away has read enough; a disk that is full has not taken it.
fn print(text: &str) -> ExitCode {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(text.as_bytes());
    match written.and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => fail(
            &format!("cannot write standard output: {error}; choose a place that can be written"),
            1,
        ),
        _ => ExitCode::SUCCESS,
    }
}

fn fail(problem: &str, status: u8) -> ExitCode {
    // There is nowhere else to say it.
    let _ = writeln!(io::stderr(), "client: {problem}");
    ExitCode::from(status)
}
