//! The pipe: every line of standard input is a message, every message a line of standard output;
//! everything else goes to standard error.
//!
//! Standard output is written in order and never dropped: a slow reader slows the client down.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Stdin, Stdout, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::thread;

use protocol::SERVER_NAME;
use rustix::event::{PollFd, PollFlags, poll};

use crate::command_line::{Format, Settings};
use crate::display::{self, Colours, Tabs};
use crate::inbox::{Sender, Typed};
use crate::output::Output;
use crate::session::notice_text;
use crate::wire::Message;

/// Standard output for messages, standard error for the rest.
pub(crate) struct Pipe {
    stdout: BufWriter<Stdout>,
    format: Format,
    timestamps: bool,
    colours: Colours,
}

impl Pipe {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            stdout: BufWriter::with_capacity(64 * 1024, io::stdout()),
            format: settings.format(),
            timestamps: settings.timestamps,
            colours: settings.colours(),
        }
    }
}

impl Output for Pipe {
    fn message(&mut self, message: &Message) -> io::Result<()> {
        let time = self.timestamps.then(display::timestamp);
        let time = time.as_deref();
        let Message { name, text, .. } = message;
        let line = match self.format {
            Format::Json => json_line(time, message).into_bytes(),
            Format::Plain => {
                let shown = display::author(name);
                let shown = self.colours.name(name, &shown);
                let text = display::safe(text, Tabs::Keep);
                format!("{}{shown} > {text}", stamp(time)).into_bytes()
            }
            Format::Raw => [stamp(time).as_bytes(), name, b" > ", text].concat(),
        };
        self.stdout.write_all(&line)?;
        self.stdout.write_all(b"\n")
    }

    fn server_notice(&mut self, text: &[u8]) {
        let text = notice_text(text);
        let _ = writeln!(io::stderr(), "{SERVER_NAME} > {text}");
    }

    fn aside(&mut self, text: &str) {
        // Without standard error there is nobody to complain to.
        let _ = writeln!(io::stderr(), "client: {text}");
    }

    fn trouble(&mut self, text: &str) {
        self.aside(text);
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stdout.flush()
    }

    fn reader(&self) -> Option<BorrowedFd<'_>> {
        Some(self.stdout.get_ref().as_fd())
    }
}

fn stamp(time: Option<&str>) -> String {
    time.map_or(String::new(), |time| format!("{time} "))
}

/// A message as one line of JSON, for `jq` and its like: `{"name":"ann","text":"hello"}`, with `"time"` in
/// front when timestamps are asked for, and with `"position"` over WebSocket. What is not UTF-8 is replaced in the text and kept in full, as
/// hexadecimal, in `name_hex`/`text_hex`. Characters that a terminal may act on are escaped.
fn json_line(time: Option<&str>, message: &Message) -> String {
    let Message {
        name,
        text,
        position,
    } = message;
    let (name_hex, text_hex) = (hex_unless_utf8(name), hex_unless_utf8(text));
    let fields = [
        ("time", time.map(Cow::Borrowed)),
        ("name", Some(String::from_utf8_lossy(name))),
        ("text", Some(String::from_utf8_lossy(text))),
        (
            "position",
            position.map(|position| position.to_string().into()),
        ),
        ("name_hex", name_hex.map(Cow::Owned)),
        ("text_hex", text_hex.map(Cow::Owned)),
    ];
    let fields = fields.into_iter().filter_map(|(key, value)| {
        let value = serde_json::Value::from(value?);
        Some(format!("\"{key}\":{value}"))
    });
    escape_harmful(format!("{{{}}}", fields.collect::<Vec<_>>().join(",")))
}

fn hex_unless_utf8(bytes: &[u8]) -> Option<String> {
    str::from_utf8(bytes).is_err().then(|| {
        bytes.iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    })
}

/// JSON must escape C0 only. The rest of what is harmful stands inside of strings here, where
/// `\uXXXX` says the same.
fn escape_harmful(json: String) -> String {
    if !json.chars().any(display::is_harmful) {
        return json;
    }
    json.chars().fold(String::new(), |mut out, character| {
        if display::is_harmful(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(character);
        }
        out
    })
}

/// Reads standard input on a thread of its own and leaves every line with `sender`.
pub(crate) fn read_stdin(settings: &Settings, sender: Sender) {
    let raw = settings.format() == Format::Raw;
    let fit = Fit {
        limit: settings.max_message_bytes,
        keeps_returns: raw,
        text_needed_because: match (settings.addr.is_websocket(), raw) {
            (true, _) => Some("ws:// carries only text"),
            (false, false) => Some("or send it as it is with --raw"),
            (false, true) => None,
        },
    };
    thread::spawn(move || {
        let input = BufReader::with_capacity(64 * 1024, Blocking(io::stdin()));
        let end = read_lines(input, &fit, &mut |typed| sender.typed(typed));
        let reason = end
            .err()
            .map(|error| format!("cannot read standard input: {error}"));
        sender.typed(Typed::Ended(reason));
    });
}

/// Which lines can be sent.
struct Fit {
    /// In bytes.
    limit: usize,
    /// A carriage return before the end belongs to the line.
    keeps_returns: bool,
    /// What is said of a line that is not UTF-8; `None` if it can be sent.
    text_needed_because: Option<&'static str>,
}

/// Takes `input` apart into lines. A longer one than is fit is refused and passed over, in memory that the
/// limit bounds.
fn read_lines(mut input: impl BufRead, fit: &Fit, sink: &mut dyn FnMut(Typed)) -> io::Result<()> {
    for number in 1_u64.. {
        let mut line = Vec::new();
        // A carriage return and the end of the line come on top.
        let part_bytes_max = fit.limit as u64 + 2;
        let mut part = input.by_ref().take(part_bytes_max);
        let mut bytes = part.read_until(b'\n', &mut line)?;
        let mut rest = Vec::new();
        while bytes > 0 && rest.last().or(line.last()) != Some(&b'\n') {
            rest.clear();
            match input
                .by_ref()
                .take(part_bytes_max)
                .read_until(b'\n', &mut rest)?
            {
                0 => break,
                more => bytes += more,
            }
        }
        if bytes == 0 {
            break;
        }
        bytes -= usize::from(rest.last().or(line.last()) == Some(&b'\n'));
        sink(finished(line, bytes, number, fit));
    }
    Ok(())
}

/// The line of `bytes` bytes that begins with `line`.
fn finished(mut line: Vec<u8>, mut bytes: usize, number: u64, fit: &Fit) -> Typed {
    line.truncate(bytes);
    let is_whole = bytes == line.len();
    if is_whole && !fit.keeps_returns && line.pop_if(|last| *last == b'\r').is_some() {
        bytes -= 1;
    }
    let limit = fit.limit;
    if bytes > limit {
        return Typed::Refused(format!(
            "line {number} not sent: {bytes} bytes are over the limit of {limit} (--max-message-bytes)"
        ));
    }
    match (str::from_utf8(&line), fit.text_needed_because) {
        (Err(error), Some(because)) => Typed::Refused(format!(
            "line {number} not sent: not UTF-8 (byte {}); convert it, {because}",
            error.valid_up_to() + 1
        )),
        _ => Typed::Line(line),
    }
}

/// Standard input that blocks also where somebody has made it non-blocking.
struct Blocking(Stdin);

impl Read for Blocking {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let _ = poll(&mut [PollFd::new(&self.0, PollFlags::IN)], None);
                }
                result => return result,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(input: &[u8], buffer: usize, limit: usize, raw: bool) -> Vec<String> {
        let input = BufReader::with_capacity(buffer, input);
        let fit = Fit {
            limit,
            keeps_returns: raw,
            text_needed_because: (!raw).then_some("or else"),
        };
        let mut seen = Vec::new();
        read_lines(input, &fit, &mut |typed| {
            seen.push(match typed {
                Typed::Line(line) => line.escape_ascii().to_string(),
                Typed::Refused(reason) => reason,
                other => panic!("{other:?}"),
            });
        })
        .unwrap();
        seen
    }

    #[test]
    fn lines_are_the_same_however_they_come() {
        let input = b"one\r\n\nthree\rx\nlast";
        for buffer in 1..input.len() {
            assert_eq!(
                lines(input, buffer, 8, false),
                ["one", "", "three\\rx", "last"]
            );
            assert_eq!(lines(input, buffer, 8, true)[0], "one\\r");
        }
        assert!(lines(b"", 8, 8, false).is_empty());
        assert_eq!(lines(b"\n", 8, 8, false), [""]);
    }

    #[test]
    fn lines_over_the_limit_are_passed_over() {
        let input = b"12345678\r\n123456789\nok\n123456789";
        for buffer in 1..input.len() {
            let seen = lines(input, buffer, 8, false);
            assert_eq!(seen[0], "12345678");
            assert!(seen[1].starts_with("line 2 not sent: 9 bytes"), "{seen:?}");
            assert_eq!(seen[2], "ok");
            assert!(seen[3].starts_with("line 4 not sent: 9 bytes"), "{seen:?}");
        }
    }

    #[test]
    fn lines_that_are_not_text_need_raw() {
        assert!(lines(b"a\xff\n", 8, 8, false)[0].contains("not UTF-8 (byte 2)"));
        assert_eq!(lines(b"a\xff\n", 8, 8, true), ["a\\xff"]);
    }

    proptest! {
        #[test]
        fn any_text_comes_back_as_it_was(name in ".*", text in "\\PC*|.*") {
            let message = Message {
                name: name.clone().into_bytes(),
                text: text.clone().into_bytes(),
                position: None,
            };
            let json = json_line(None, &message);
            let back: serde_json::Value = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(&back["name"], &name);
            prop_assert_eq!(&back["text"], &text);
            prop_assert!(!json.chars().any(display::is_harmful));
        }
    }
}
