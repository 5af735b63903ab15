//! Answers to a command line: what was asked for on standard output, what is wrong in one line on
//! standard error.

use std::ffi::OsString;
use std::io::{self, ErrorKind, Write as _};
use std::path::Path;
use std::process::ExitCode;

/// What clap says against a command line of `program`, in one line without an end.
///
/// clap says it in several paragraphs. What is wrong and the tips are kept, and where to read more is
/// named.
#[must_use]
pub fn usage_error(error: &clap::Error, program: &str) -> String {
    let text = error.render().to_string();
    let is_kept = |paragraph: &&str| {
        !paragraph.starts_with("Usage:") && !paragraph.starts_with("For more information")
    };
    let joined = |paragraph: &str| {
        let words: Vec<&str> = paragraph.split_whitespace().collect();
        words.join(" ")
    };
    let said = text.strip_prefix("error: ").unwrap_or(&text).trim_end();
    let kept = said.split("\n\n").filter(is_kept);
    let kept: Vec<String> = kept.map(joined).collect();
    format!("{}; see '{program} --help'", kept.join("; "))
}

/// Answers a command line of `program` that clap did not accept: prints the help or the version if that
/// was asked for (status 0), else `label: what is wrong` in one line (status 2).
#[must_use]
pub fn refuse(error: &clap::Error, label: &str, program: &str) -> ExitCode {
    if !error.use_stderr() {
        return print_or_fail(&error.render().to_string(), label);
    }
    // There is nowhere else to say it.
    let _ = writeln!(io::stderr(), "{label}: {}", usage_error(error, program));
    ExitCode::from(2)
}

/// Prints `text` as it is to standard output. A reader that has gone away has read enough, which is no
/// error; a full disk is one.
///
/// # Errors
/// In one line, what keeps it from being written and what to do.
pub fn print(text: &str) -> Result<(), String> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(text.as_bytes());
    match written.and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(format!(
            "cannot write standard output: {error}; choose a place that can be written"
        )),
        _ => Ok(()),
    }
}

/// [`print()`], and the exit status: 1, with a line on standard error that begins with `label`, if it
/// cannot be written.
#[must_use]
pub fn print_or_fail(text: &str, label: &str) -> ExitCode {
    match print(text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            let _ = writeln!(io::stderr(), "{label}: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// What a program was called as, by the first of its `words`: `default` where that does not tell.
#[must_use]
pub fn program(words: &[OsString], default: &str) -> String {
    let name = words.first().map(Path::new).and_then(Path::file_name);
    name.map_or(default.into(), |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use clap::{Arg, Command, value_parser};

    use super::*;

    fn refusal(words: &str) -> String {
        let threads = Arg::new("threads").long("threads");
        let threads = threads.value_parser(value_parser!(u16).range(1..=1024));
        let command = Command::new("example").arg(threads);
        let command = command.arg(Arg::new("listen").long("listen"));
        let command = command.subcommand(Command::new("show").arg(Arg::new("dir").required(true)));
        let words = ["example"].into_iter().chain(words.split_whitespace());
        usage_error(&command.try_get_matches_from(words).unwrap_err(), "example")
    }

    #[test]
    fn what_is_wrong_is_one_line_with_where_to_read_more() {
        for words in ["--frobnicate", "--threads x", "--listen", "show", "-1"] {
            let line = refusal(words);
            assert!(line.ends_with("; see 'example --help'"), "{line}");
            let is_clean = !line.contains('\n') && !line.contains("Usage:");
            assert!(is_clean && !line.starts_with("error: "), "{line}");
        }
        assert_eq!(
            refusal("--threads 0"),
            "invalid value '0' for '--threads <threads>': 0 is not in 1..=1024; see 'example --help'"
        );
        let similar = refusal("--lisen 1");
        assert!(
            similar.contains("; tip: a similar argument exists: '--listen'; see"),
            "{similar}"
        );
    }

    #[test]
    fn the_program_is_named_as_it_was_called() {
        let words = [OsString::from("/usr/bin/uringcast-example")];
        assert_eq!(program(&words, "example"), "uringcast-example");
        assert_eq!(program(&[], "example"), "example");
    }
}
