//! What a typed line asks for: a command, or something to say.

pub(crate) const HELP: &[&str] = &[
    "/help    this list",
    "/stats   what was sent and received, and since when",
    "/who     who is there, if the server tells",
    "/quit    leave (so does Ctrl-D on an empty line)",
    "//text   say \"/text\" instead of running a command",
    "Keys: Ctrl-C clears the line, Up and Down walk through the history, Ctrl-R searches it,",
    "Ctrl-L clears the screen. A paste of several lines is sent line by line on Enter.",
];

/// A typed line, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command<'a> {
    /// Send these lines, one message each; none for an empty line.
    Say(Vec<&'a str>),
    Quit,
    Help,
    Stats,
    Who,
    /// Begins with `/` and is none of ours.
    Unknown(&'a str),
}

/// Understands one typed line. Several lines can only come from a paste, and a paste is never a
/// command.
pub(crate) fn parse(line: &str) -> Command<'_> {
    if line.contains(['\n', '\r']) {
        let lines = line.split(['\n', '\r']);
        return Command::Say(lines.filter(|line| !line.is_empty()).collect());
    }
    if line.is_empty() {
        return Command::Say(Vec::new());
    }
    match line.strip_prefix('/') {
        None => Command::Say(vec![line]),
        Some(rest) if rest.starts_with('/') => Command::Say(vec![rest]),
        Some(rest) => match rest.trim_end() {
            "quit" | "exit" => Command::Quit,
            "help" => Command::Help,
            "stats" => Command::Stats,
            "who" => Command::Who,
            _ => Command::Unknown(line),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_said_and_commands_are_run() {
        assert_eq!(parse("hello"), Command::Say(vec!["hello"]));
        assert_eq!(parse(" /quit"), Command::Say(vec![" /quit"]));
        assert_eq!(parse(""), Command::Say(vec![]));
        assert_eq!(parse("/quit "), Command::Quit);
        assert_eq!(parse("/help"), Command::Help);
        assert_eq!(parse("/stats"), Command::Stats);
        assert_eq!(parse("/who"), Command::Who);
        assert_eq!(parse("/quiet now"), Command::Unknown("/quiet now"));
        assert_eq!(parse("//quit"), Command::Say(vec!["/quit"]));
    }

    #[test]
    fn a_paste_is_said_line_by_line_and_runs_nothing() {
        assert_eq!(
            parse("one\n/quit\r\n\nlast\n"),
            Command::Say(vec!["one", "/quit", "last"])
        );
    }
}
