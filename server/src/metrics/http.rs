//! A small HTTP/1.1 server: one thread, one request a connection, everything bounded.
//!
//! A connection has [`DEADLINE`] to ask and to take its answer, and [`CONNECTIONS_MAX`] are held at
//! once; when more come, the oldest goes. So nobody who hangs, trickles or floods keeps the next one
//! from being served. A descriptor is held in reserve: clients that take up all others keep nobody from
//! looking at why. Heads are parsed by `httparse`; bodies of requests are not read.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use rustix::io::{DupFlags, dup3, fcntl_dupfd_cloexec};
use slab::Slab;

/// How long a connection may take from its first packet to its last.
const DEADLINE: Duration = Duration::from_secs(5);

/// How long those who wait for a descriptor are left alone.
const STARVED_PAUSE: Duration = Duration::from_millis(100);

/// How many connections are held.
const CONNECTIONS_MAX: usize = 64;

/// The longest head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 8 * 1024;

const HEADERS_MAX: usize = 64;

const LISTENER: Token = Token(usize::MAX);
/// The token of the waker that ends [`serve`].
pub(super) const END: Token = Token(usize::MAX - 1);

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Request<'a> {
    pub(super) path: &'a str,
    /// What follows the `?`; empty without one.
    pub(super) query: &'a str,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) status: Status,
    pub(super) content_type: &'static str,
    pub(super) body: String,
}

/// The statuses that are in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Ok,
    BadRequest,
    NotFound,
    MethodNotAllowed,
    HeadTooLarge,
    Unavailable,
}

impl Status {
    const fn line(self) -> &'static str {
        match self {
            Self::Ok => "200 OK",
            Self::BadRequest => "400 Bad Request",
            Self::NotFound => "404 Not Found",
            Self::MethodNotAllowed => "405 Method Not Allowed",
            Self::HeadTooLarge => "431 Request Header Fields Too Large",
            Self::Unavailable => "503 Service Unavailable",
        }
    }
}

impl Response {
    /// One line of text.
    pub(super) fn text(status: Status, line: impl Into<String>) -> Self {
        Self {
            status,
            content_type: "text/plain; charset=utf-8",
            body: line.into() + "\n",
        }
    }

    fn into_bytes(self, with_body: bool) -> Vec<u8> {
        let Self {
            status,
            content_type,
            body,
        } = self;
        let allow = match status {
            Status::MethodNotAllowed => "Allow: GET, HEAD\r\n",
            _ => "",
        };
        // The page may use what it holds itself and ask this server, and nothing else.
        let head = format!(
            "HTTP/1.1 {}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n{allow}\
             Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\
             Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; \
             script-src 'unsafe-inline'; connect-src 'self'; img-src data:; frame-ancestors 'none'\r\n\
             Connection: close\r\n\r\n",
            status.line(),
            body.len(),
        );
        let mut bytes = head.into_bytes();
        if with_body {
            bytes.extend_from_slice(body.as_bytes());
        }
        bytes
    }
}

/// Serves until the waker of [`END`] calls.
///
/// # Errors
/// When the kernel refuses to watch the listener, or to wait, or has no descriptor for the reserve.
pub(super) fn serve(
    mut listener: TcpListener,
    poll: Poll,
    answer: impl FnMut(&Request<'_>) -> Response,
) -> io::Result<()> {
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut shell = Shell {
        poll,
        reserve: Some(fcntl_dupfd_cloexec(&listener, 0)?),
        listener,
        is_starved: false,
        connections: Slab::new(),
        answer,
    };
    let mut events = Events::with_capacity(128);
    loop {
        match shell.poll.poll(&mut events, shell.patience()) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        let now = Instant::now();
        for event in &events {
            match event.token() {
                END => return Ok(()),
                LISTENER => shell.accept(now),
                Token(key) => shell.go_on(key),
            }
        }
        let late = shell.connections.iter();
        let late = late.filter(|(_, it)| it.until <= now).map(|(key, _)| key);
        for key in late.collect::<Vec<_>>() {
            shell.end(key);
        }
        if shell.is_starved {
            // The listener tells of newcomers once.
            shell.accept(now);
        }
    }
}

struct Shell<A> {
    poll: Poll,
    listener: TcpListener,
    /// Holds a descriptor, unless a connection has it.
    reserve: Option<OwnedFd>,
    /// There was no descriptor for somebody who waits at the listener.
    is_starved: bool,
    connections: Slab<Connection>,
    answer: A,
}

struct Connection {
    stream: TcpStream,
    until: Instant,
    state: State,
}

enum State {
    /// What came of the request's head.
    Asking(Vec<u8>),
    /// The answer, and how much of it is gone.
    Answering(Vec<u8>, usize),
    /// All is said: the peer is to hang up, so that a reset does not destroy what it has not read.
    Parting,
}

impl<A: FnMut(&Request<'_>) -> Response> Shell<A> {
    /// Until the next deadline, or until those who wait for a descriptor are looked at again: a serving
    /// thread may have been faster to take the reserve.
    fn patience(&self) -> Option<Duration> {
        let next = self.connections.iter().map(|(_, it)| it.until).min();
        let next = next.map(|until| until.saturating_duration_since(Instant::now()));
        let again = self.is_starved.then_some(STARVED_PAUSE);
        next.into_iter().chain(again).min()
    }

    fn accept(&mut self, now: Instant) {
        self.is_starved = false;
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if is_of_the_peer(&error) => continue,
                // The process may open no more: the next to come gets the reserve.
                Err(_) if self.reserve.take().is_some() => continue,
                // It is in use: the queue keeps who comes until that is over.
                Err(_) => {
                    self.is_starved = true;
                    return;
                }
            };
            if self.connections.len() == CONNECTIONS_MAX {
                self.drop_oldest();
            }
            let entry = self.connections.vacant_entry();
            let interest = Interest::READABLE | Interest::WRITABLE;
            let token = Token(entry.key());
            if self
                .poll
                .registry()
                .register(&mut stream, token, interest)
                .is_ok()
            {
                entry.insert(Connection {
                    stream,
                    until: now + DEADLINE,
                    state: State::Asking(Vec::new()),
                });
            }
        }
    }

    fn drop_oldest(&mut self) {
        let oldest = self.connections.iter().min_by_key(|(_, it)| it.until);
        if let Some((key, _)) = oldest {
            self.end(key);
        }
    }

    /// Closes a connection; its descriptor becomes the reserve, if that is in use. It is never free
    /// in between, when a serving thread could take it for a client.
    fn end(&mut self, key: usize) {
        let stream = self.connections.remove(key).stream;
        if self.reserve.is_none() {
            let mut descriptor = OwnedFd::from(std::net::TcpStream::from(stream));
            self.reserve = dup3(&self.listener, &mut descriptor, DupFlags::CLOEXEC)
                .is_ok()
                .then_some(descriptor);
        }
    }

    /// Does for a connection what can be done, until it would block or is over.
    fn go_on(&mut self, key: usize) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        let over = loop {
            match connection.step(&mut self.answer) {
                Ok(true) => {}
                Ok(false) => break true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break error.kind() != io::ErrorKind::WouldBlock,
            }
        };
        if over {
            self.end(key);
        }
    }
}

impl Connection {
    /// One read or write; `false` when the connection is over.
    fn step(&mut self, answer: impl FnMut(&Request<'_>) -> Response) -> io::Result<bool> {
        match &mut self.state {
            State::Asking(head) => {
                let mut buffer = [0; 1024];
                let bytes = self.stream.read(&mut buffer)?;
                if bytes == 0 {
                    return Ok(false);
                }
                head.extend_from_slice(&buffer[..bytes]);
                if let Some(answer) = answer_to(head, answer) {
                    self.state = State::Answering(answer, 0);
                }
            }
            State::Answering(bytes, sent) => {
                *sent += self.stream.write(&bytes[*sent..])?;
                if *sent == bytes.len() {
                    self.stream.shutdown(Shutdown::Write)?;
                    self.state = State::Parting;
                }
            }
            State::Parting => return Ok(self.stream.read(&mut [0; 1024])? > 0),
        }
        Ok(true)
    }
}

/// The bytes to answer with, once the head is whole or hopeless.
fn answer_to(head: &[u8], mut answer: impl FnMut(&Request<'_>) -> Response) -> Option<Vec<u8>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let (response, with_body) = match request.parse(head) {
        Ok(httparse::Status::Partial) if head.len() < HEAD_BYTES_MAX => return None,
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => (
            Response::text(
                Status::HeadTooLarge,
                format!(
                    "the head of a request may have {HEAD_BYTES_MAX} bytes and {HEADERS_MAX} fields"
                ),
            ),
            true,
        ),
        Err(error) => {
            let line = format!("not an HTTP request: {error}");
            (Response::text(Status::BadRequest, line), true)
        }
        Ok(httparse::Status::Complete(_)) => {
            let target = request.path.unwrap_or_default();
            let (path, query) = target.split_once('?').unwrap_or((target, ""));
            match request.method {
                Some("GET") => (answer(&Request { path, query }), true),
                Some("HEAD") => (answer(&Request { path, query }), false),
                _ => {
                    let line = "only GET and HEAD are answered here";
                    (Response::text(Status::MethodNotAllowed, line), true)
                }
            }
        }
    };
    Some(response.into_bytes(with_body))
}

/// The connection at the head of the queue broke; the next may be fine.
fn is_of_the_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(head: &str) -> Option<String> {
        let echo = |request: &Request<'_>| {
            Response::text(Status::Ok, format!("{} {}", request.path, request.query))
        };
        answer_to(head.as_bytes(), echo).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn a_request_is_answered_once_its_head_is_whole() {
        let head = "GET /connections?limit=3 HTTP/1.1\r\nHost: here\r\n\r\n";
        for end in 0..head.len() {
            assert_eq!(asked(&head[..end]), None, "{end}");
        }
        let answer = asked(head).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(
            answer.ends_with("\r\n\r\n/connections limit=3\n"),
            "{answer}"
        );
    }

    #[test]
    fn what_is_no_request_is_refused_as_what_it_is() {
        let status = |head: &str| asked(head).unwrap()[9..12].to_owned();
        assert_eq!(status("5         ann\r\n\r\n"), "400");
        assert_eq!(status("\u{0}\u{1}\u{2}"), "400");
        assert_eq!(status("GET / HTTP/4.2\r\n\r\n"), "400");
        assert_eq!(
            status("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n"),
            "405"
        );
        assert_eq!(
            status(&format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(65))),
            "431"
        );
        assert_eq!(
            status(&format!("GET /{} HTTP/1.1\r\n", "x".repeat(HEAD_BYTES_MAX))),
            "431"
        );
    }

    #[test]
    fn a_head_is_answered_without_the_body() {
        let answer = asked("HEAD /x HTTP/1.1\r\n\r\n").unwrap();
        assert!(answer.contains("Content-Length: 4\r\n") && answer.ends_with("\r\n\r\n"));
    }
}
