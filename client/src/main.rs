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
        Err(Stop::Answer(text)) => cli::print_or_fail(&text, "client"),
        Err(Stop::Unable(text)) => fail(&text, 1),
        Err(Stop::Usage(text)) => fail(&text, 2),
    }
}

fn fail(problem: &str, status: u8) -> ExitCode {
    // There is nowhere else to say it.
    let _ = writeln!(io::stderr(), "client: {problem}");
    ExitCode::from(status)
}
