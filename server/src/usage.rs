//! Wrong usage in one line. clap says it in several paragraphs: what is wrong, tips, the usage and where
//! to read more. What is wrong and the tips are kept, and where to read more is named.

/// What clap says against a command line of `program`, in one line without an end.
pub(crate) fn one_line(error: &clap::Error, program: &str) -> String {
    let text = error.render().to_string();
    let is_kept = |paragraph: &&str| {
        !paragraph.starts_with("Usage:") && !paragraph.starts_with("For more information")
    };
    let kept = text.trim_end().split("\n\n").filter(is_kept);
    let kept: Vec<String> = kept.map(joined).collect();
    format!("{}; see '{program} --help'", kept.join("; "))
}

fn joined(paragraph: &str) -> String {
    let words: Vec<&str> = paragraph.split_whitespace().collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::command_line::CommandLine;

    fn refusal(words: &str) -> String {
        let words = ["server"].into_iter().chain(words.split_whitespace());
        let error = CommandLine::command()
            .try_get_matches_from(words)
            .unwrap_err();
        one_line(&error, "server")
    }

    #[test]
    fn what_is_wrong_is_one_line_with_where_to_read_more() {
        for words in ["--frobnicate", "--threads x", "--listen", "--driver none"] {
            let line = refusal(words);
            assert!(
                line.starts_with("error: ") && !line.contains('\n'),
                "{line}"
            );
            assert!(line.ends_with("; see 'server --help'"), "{line}");
            assert!(!line.contains("Usage:"), "{line}");
        }
        assert_eq!(
            refusal("--driver none"),
            "error: invalid value 'none' for '--driver <DRIVER>' [possible values: auto, uring, tokio-uring, epoll]; see 'server --help'"
        );
        let similar = refusal("--lisen 1");
        assert!(
            similar.contains("tip: a similar argument exists: '--listen'"),
            "{similar}"
        );
    }
}
