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
        Err(Stop::Answer(text)) => {
            let _ = write!(io::stdout(), "{text}");
            ExitCode::SUCCESS
        }
        Err(Stop::Usage(text)) => {
            let _ = writeln!(io::stderr(), "client: {text}");
            ExitCode::from(2)
        }
    }
}
