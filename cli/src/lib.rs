//! What the command lines of all programs share, so that they read and answer alike.
//!
//! * [`duration`] and [`duration_within`] read times; all programs accept the same forms.
//! * [`Describe`] is the subcommands `completions` and `man`.
//! * [`refuse`] answers a command line that clap did not accept, in one line; [`print()`] prints what was
//!   asked for.
//!
//! The only I/O here is that printing.
//!
//! ```
//! use std::time::Duration;
//!
//! use clap::{CommandFactory, Parser, Subcommand};
//!
//! /// Does something for a while.
//! #[derive(Parser)]
//! #[command(name = "example", after_help = cli::help_sections(SECTIONS))]
//! struct Arguments {
//!     #[command(subcommand)]
//!     task: Option<Task>,
//!     /// Stop after TIME
//!     #[arg(long, value_name = "TIME", default_value = "10s", value_parser = cli::duration)]
//!     after: Duration,
//! }
//!
//! #[derive(Subcommand)]
//! enum Task {
//!     #[command(flatten)]
//!     Describe(cli::Describe),
//! }
//!
//! const SECTIONS: &[cli::Section] = &[cli::Section {
//!     title: "Exit status",
//!     entries: &[("0", "Done"), ("2", "Wrong usage")],
//! }];
//!
//! fn run(words: &[std::ffi::OsString]) -> std::process::ExitCode {
//!     let arguments = match Arguments::try_parse_from(words) {
//!         Ok(arguments) => arguments,
//!         Err(error) => return cli::refuse(&error, "error", "example"),
//!     };
//!     if let Some(Task::Describe(describe)) = arguments.task {
//!         let program = cli::program(words, "example");
//!         return cli::print_or_fail(&describe.text(Arguments::command(), &program, SECTIONS), "error");
//!     }
//!     std::process::ExitCode::SUCCESS
//! }
//!
//! let words: Vec<_> = ["example", "man"].into_iter().map(Into::into).collect();
//! assert_eq!(run(&words), std::process::ExitCode::SUCCESS);
//! ```

#![forbid(unsafe_code)]

mod describe;
mod duration;
mod usage;

pub use describe::{Describe, Section, help_sections};
pub use duration::{DURATION_MAX, duration, duration_within};
pub use usage::{print, print_or_fail, program, refuse, usage_error};
