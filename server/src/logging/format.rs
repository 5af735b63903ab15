//! How events become lines: fields that nobody can forge, JSON that shows what is in it, and what journald
//! wants in front.
//!
//! What always holds: a line is one event, and no value holds a character that changes how the rest of the
//! line is shown or read. In text a value that has a space, `=`, a quote or a backslash is quoted.

use std::env;
use std::fmt::{self, Debug, Write};
use std::io;

use protocol::text;
use rustix::fs::fstat;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// The fields of a line of text: the message, then each `name=value`.
pub(super) struct Fields;

impl<'w> FormatFields<'w> for Fields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut visitor = Visitor {
            writer,
            separator: "",
            result: Ok(()),
        };
        fields.record(&mut visitor);
        visitor.result
    }
}

struct Visitor<'w> {
    writer: Writer<'w>,
    separator: &'static str,
    result: fmt::Result,
}

impl Visitor<'_> {
    fn write(&mut self, field: &Field, value: &str) -> fmt::Result {
        self.writer.write_str(self.separator)?;
        self.separator = " ";
        match field.name() {
            "message" => escape(&mut self.writer, value, |_| false),
            name => {
                write!(self.writer, "{name}=")?;
                self.write_value(value)
            }
        }
    }

    fn write_value(&mut self, value: &str) -> fmt::Result {
        let is_special = |c: char| c.is_whitespace() || matches!(c, '=' | '"' | '\\');
        let needs_quotes = |c| is_special(c) || text::is_deceptive(c);
        if !value.is_empty() && !value.contains(needs_quotes) {
            return self.writer.write_str(value);
        }
        self.writer.write_char('"')?;
        escape(&mut self.writer, value, |c| matches!(c, '"' | '\\'))?;
        self.writer.write_char('"')
    }
}

impl Visit for Visitor<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if self.result.is_ok() {
            self.result = self.write(field, value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

/// Writes `value` with what deceives as `\u{..}`, and a backslash before each character that `also` says.
fn escape(writer: &mut impl Write, value: &str, also: impl Fn(char) -> bool) -> fmt::Result {
    for character in value.chars() {
        match character {
            '\n' => writer.write_str("\\n")?,
            '\t' => writer.write_str("\\t")?,
            it if text::is_deceptive(it) => write!(writer, "{}", it.escape_unicode())?,
            it if also(it) => write!(writer, "\\{it}")?,
            it => writer.write_char(it)?,
        }
    }
    Ok(())
}

/// JSON in which what deceives is escaped, as JSON can but need not.
pub(super) struct Escaped<F>(pub(super) F);

impl<S, N, F> FormatEvent<S, N> for Escaped<F>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    N: for<'w> FormatFields<'w> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::new();
        self.0
            .format_event(context, Writer::new(&mut line), event)?;
        for character in line.trim_end().chars() {
            if text::is_deceptive(character) {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            } else {
                writer.write_char(character)?;
            }
        }
        writer.write_char('\n')
    }
}

/// Whether standard error is the stream that journald gave to this process, and not one to which it
/// was redirected since.
pub(super) fn journald_listens() -> bool {
    let stream = env::var("JOURNAL_STREAM");
    let (Ok(stream), Ok(stat)) = (stream, fstat(io::stderr())) else {
        return false;
    };
    stream == format!("{}:{}", stat.st_dev, stat.st_ino)
}

/// Lines as journald takes them: the level in front as `<N>`, see sd-daemon(3).
pub(super) struct Prefixed<F>(pub(super) F);

impl<S, N, F> FormatEvent<S, N> for Prefixed<F>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    N: for<'w> FormatFields<'w> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        write!(writer, "<{}>", priority(*event.metadata().level()))?;
        self.0.format_event(context, writer, event)
    }
}

/// The priority of syslog(3).
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::sync::Mutex;

    use tracing_subscriber::fmt as lines;
    use tracing_subscriber::prelude::*;

    use super::*;

    /// What is written when somebody of this name joins, as text and as JSON.
    fn joined(name: &str) -> [String; 2] {
        let (mut reader, writer) = io::pipe().unwrap();
        let text = lines::layer()
            .with_writer(Mutex::new(writer.try_clone().unwrap()))
            .with_ansi(false)
            .without_time()
            .fmt_fields(Fields);
        let json = lines::layer()
            .json()
            .with_writer(Mutex::new(writer))
            .event_format(Escaped(lines::format().json().flatten_event(true)));
        let subscriber = tracing_subscriber::registry().with(text).with(json);
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(target: "server::session", name = %name, peer = "127.0.0.1:1", "joined");
        });
        let mut said = String::new();
        reader.read_to_string(&mut said).unwrap();
        let mut said: Vec<String> = said.split_inclusive('\n').map(Into::into).collect();
        assert_eq!(said.len(), 2, "a line each: {said:?}");
        said.sort_by_key(|line| line.starts_with('{'));
        said.try_into().unwrap()
    }

    #[test]
    fn values_that_could_be_mistaken_are_quoted_and_escaped() {
        for (name, written) in [
            ("ann", "ann"),
            ("Jörg", "Jörg"),
            ("", r#""""#),
            ("a b", r#""a b""#),
            ("x peer=10.9.9.9:1", r#""x peer=10.9.9.9:1""#),
            ("=", r#""=""#),
            (r#"q"uote"#, r#""q\"uote""#),
            (r"back\slash", r#""back\\slash""#),
            ("a\nb\tc", r#""a\nb\tc""#),
            ("\u{202e}evil", r#""\u{202e}evil""#),
            ("\u{2028}line", r#""\u{2028}line""#),
            ("\u{200b}ann", r#""\u{200b}ann""#),
            ("\u{9b}31m", r#""\u{9b}31m""#),
            ("\u{a0}", "\"\u{a0}\""),
        ] {
            let [text, json] = joined(name);
            let expected =
                format!(" INFO server::session: joined name={written} peer=127.0.0.1:1\n");
            assert_eq!(text, expected);
            let parsed: serde_json::Value = serde_json::from_str(&json).unwrap();
            assert_eq!(parsed["name"], name, "nothing is lost: {json}");
            let line = json.trim_end_matches('\n');
            assert!(!line.contains(text::is_deceptive), "{json:?}");
        }
    }

    #[test]
    fn a_message_that_quotes_a_peer_is_one_line() {
        let mut line = String::new();
        escape(&mut line, "no such file: a\n\u{2029}b", |_| false).unwrap();
        assert_eq!(line, "no such file: a\\n\\u{2029}b");
    }
}
