//! The subcommands: what a package is made of, printed.

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use clap::Subcommand;
use clap_complete::Shell;

use crate::configuration::{command, commented_defaults};

/// What to do instead of serving.
#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum Task {
    /// Print a configuration file with every option, its default and what it does
    DefaultConfig,
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page, in roff
    Man,
}

impl Task {
    /// Does it; `program` is what this program is called where it is installed.
    pub(crate) fn carry_out(self, program: &str) -> ExitCode {
        let text = match self {
            Self::DefaultConfig => commented_defaults(&command()),
            Self::Completions { shell } => completions(program, shell),
            Self::Man => manual(program),
        };
        print(&text)
    }
}

/// Writes `text` to standard output. A reader that has gone away has read enough; a disk that is full
/// has not taken it.
pub(crate) fn print(text: &str) -> ExitCode {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(text.as_bytes());
    match written.and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            eprintln!(
                "error: cannot write standard output: {error}; choose a place that can be written"
            );
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

fn completions(program: &str, shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command(), program, &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

fn manual(program: &str) -> String {
    let mut page = Vec::new();
    clap_mangen::Man::new(command().name(program.to_owned()))
        .render(&mut page)
        .expect("memory takes all that is written");
    String::from_utf8_lossy(&page).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_and_the_completions_know_the_flags() {
        assert!(manual("server").contains("\\-\\-max\\-clients"));
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            assert!(
                completions("server", shell).contains("max-clients"),
                "{shell}"
            );
        }
    }
}
