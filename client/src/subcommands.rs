//! The subcommands: what a package takes from the program itself, printed.

use clap::{Command, Subcommand};
use clap_complete::Shell;

/// What to do instead of chatting.
#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum Task {
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page, in roff
    Man,
}

impl Task {
    /// What it prints of `command`; `program` is what this is called where it is installed.
    pub(crate) fn text(self, command: Command, program: &str) -> String {
        match self {
            Self::Completions { shell } => completions(command, program, shell),
            Self::Man => manual(command, program),
        }
    }
}

fn completions(mut command: Command, program: &str, shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, program, &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

fn manual(command: Command, program: &str) -> String {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.name(program.to_owned()))
        .render(&mut page)
        .expect("memory takes all that is written");
    String::from_utf8_lossy(&page).into_owned()
}
