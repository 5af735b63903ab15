//! The pipe: every line of standard input is a message, every message a line of standard output;
//! everything else goes to standard error.
//!
//! Standard output is written in order and never dropped: a slow reader slows the client down.

use std::io::{self, BufRead, BufWriter, Stdout, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::thread;

use protocol::SERVER_NAME;
use rustix::event::{PollFd, PollFlags, poll};

use crate::clock;
use crate::colours::Colours;
use crate::command_line::{Format, Settings};
use crate::display::{self, Tabs};
use crate::face::Face;
use crate::inbox::{Sender, Typed};
use crate::json;
use crate::session::notice_text;

/// Standard output for messages, standard error for the rest.
#[derive(Debug)]
pub struct Pipe {
    stdout: BufWriter<Stdout>,
    format: Format,
    timestamps: bool,
    colours: Colours,
}

impl Pipe {
    /// As `settings` ask.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        Self {
            stdout: BufWriter::with_capacity(64 * 1024, io::stdout()),
            format: settings.format,
            timestamps: settings.timestamps,
            colours: settings.colours,
        }
    }
}

impl Face for Pipe {
    fn message(&mut self, name: &[u8], text: &[u8]) -> io::Result<()> {
        let time = self.timestamps.then(clock::in_full);
        let line = match self.format {
            Format::Json => json::line(time.as_deref(), name, text).into_bytes(),
            Format::Plain => {
                let shown = display::safe(name, Tabs::Show);
                let shown = self.colours.name(name, &shown);
                let text = display::safe(text, Tabs::Keep);
                format!("{}{shown} > {text}", stamp(time.as_deref())).into_bytes()
            }
            Format::Raw => [stamp(time.as_deref()).as_bytes(), name, b" > ", text].concat(),
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

/// Reads standard input on a thread of its own and leaves every line with `sender`.
pub fn read_stdin(settings: &Settings, sender: Sender) {
    let limit = settings.message_bytes_max;
    let raw = settings.format == Format::Raw;
    thread::spawn(move || {
        let end = read_lines(io::stdin().lock(), limit, raw, &mut |typed| {
            sender.typed(typed);
        });
        let reason = end
            .err()
            .map(|error| format!("cannot read standard input: {error}"));
        sender.typed(Typed::Ended(reason));
    });
}

/// Takes `input` apart into lines of up to `limit` bytes. A longer line is refused and passed over,
/// in memory that the limit bounds; so is one that is not UTF-8, unless `raw`.
fn read_lines(
    mut input: impl BufRead,
    limit: usize,
    raw: bool,
    sink: &mut dyn FnMut(Typed),
) -> io::Result<()> {
    let mut line = Vec::new();
    let mut number = 1_u64;
    let mut line_bytes = 0_u64;
    loop {
        let available = match input.fill_buf() {
            Ok(available) => available,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                wait_for_stdin()?;
                continue;
            }
            Err(error) => return Err(error),
        };
        let end_of_input = available.is_empty();
        let newline = available.iter().position(|&byte| byte == b'\n');
        let part = &available[..newline.unwrap_or(available.len())];
        line_bytes += part.len() as u64;
        // One byte more than the limit may be a carriage return.
        let room = (limit + 1).saturating_sub(line.len());
        line.extend_from_slice(&part[..part.len().min(room)]);
        let used = part.len() + usize::from(newline.is_some());
        input.consume(used);
        if newline.is_some() || (end_of_input && line_bytes > 0) {
            sink(finished(
                std::mem::take(&mut line),
                line_bytes,
                number,
                limit,
                raw,
            ));
            (number, line_bytes) = (number + 1, 0);
        }
        if end_of_input {
            return Ok(());
        }
    }
}

fn finished(mut line: Vec<u8>, bytes: u64, number: u64, limit: usize, raw: bool) -> Typed {
    let carriage_return = !raw && bytes == line.len() as u64 && line.last() == Some(&b'\r');
    if carriage_return {
        line.pop();
    }
    if bytes - u64::from(carriage_return) > limit as u64 {
        return Typed::Refused(format!(
            "line {number} not sent: {bytes} bytes are over the limit of {limit} (--max-message-bytes)"
        ));
    }
    match str::from_utf8(&line) {
        Err(error) if !raw => Typed::Refused(format!(
            "line {number} not sent: not UTF-8 (byte {}); convert it, or send it as it is with --raw",
            error.valid_up_to() + 1
        )),
        _ => Typed::Line(line),
    }
}

/// Somebody made standard input non-blocking; wait as if it were not.
fn wait_for_stdin() -> io::Result<()> {
    let stdin = rustix::stdio::stdin();
    match poll(&mut [PollFd::new(&stdin, PollFlags::IN)], None) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(input: &[u8], buffer: usize, limit: usize, raw: bool) -> Vec<String> {
        let input = io::BufReader::with_capacity(buffer, input);
        let mut seen = Vec::new();
        read_lines(input, limit, raw, &mut |typed| {
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
}
