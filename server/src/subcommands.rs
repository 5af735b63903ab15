//! The subcommands: what a package is made of, printed.

use std::process::ExitCode;

use clap::Subcommand;

use crate::command_line::SECTIONS;
use crate::configuration::{command, commented_defaults};

/// What to do instead of serving.
#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum Task {
    /// Print a configuration file with every option, its default and what it does
    DefaultConfig,
    #[command(flatten)]
    Describe(cli::Describe),
}

impl Task {
    /// Does it; `program` is what this program is called where it is installed.
    pub(crate) fn carry_out(self, program: &str) -> ExitCode {
        let text = match self {
            Self::DefaultConfig => commented_defaults(&command()),
            Self::Describe(describe) => describe.text(command(), program, SECTIONS),
        };
        cli::print_or_fail(&text, "error")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_knows_the_flags_and_the_exit_status() {
        let manual = cli::Describe::Man.text(command(), "server", SECTIONS);
        for part in ["\\-\\-max\\-clients", "EXIT STATUS", "SIGHUP"] {
            assert!(manual.contains(part), "{part}");
        }
    }
}
