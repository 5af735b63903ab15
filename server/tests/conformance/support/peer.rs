//! A peer: one blocking socket that says whatever a test wants, and takes what it hears apart.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::{DEADLINE, Message};

const HEADER_BYTES: usize = 10;

/// Buffers of a narrow connection. With less, the kernels wait for timers instead of each other.
const NARROW_BYTES: usize = 16 * 1024;
const SEGMENT_BYTES: u32 = 1400;

/// A connection to the server.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) name: String,
    stream: BufReader<TcpStream>,
}

/// How what a peer hears came to an end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// After a whole message.
    Orderly,
    /// Inside a message, of which this came.
    Torn(Vec<u8>),
    /// The connection was reset.
    Reset,
}

impl Peer {
    /// Connects and says nothing.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        Self::over(stream)
    }

    /// Connects from another address of this machine.
    pub(crate) fn connect_from(source: IpAddr, address: SocketAddr) -> Self {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::new(source, 0).into()).unwrap();
        socket.connect(&address.into()).expect("the server listens");
        Self::over(socket.into())
    }

    /// Connects with small buffers and segments, so that the kernels on both sides hold next to
    /// nothing and large sends come out short.
    pub(crate) fn connect_narrow(address: SocketAddr) -> Self {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(NARROW_BYTES).unwrap();
        socket.set_send_buffer_size(NARROW_BYTES).unwrap();
        // The server's kernel sizes its buffer by the segments that we take.
        socket.set_tcp_mss(SEGMENT_BYTES).unwrap();
        socket.connect(&address.into()).expect("the server listens");
        Self::over(socket.into())
    }

    /// Takes over a connection.
    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        Self {
            name: String::new(),
            stream: BufReader::new(stream),
        }
    }

    /// Says its name, which is its first frame.
    pub(crate) fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self.say(name);
        self
    }

    /// Sends one frame.
    pub(crate) fn say(&self, text: impl AsRef<[u8]>) {
        self.write(&frame(text));
    }

    /// Sends bytes as they are.
    pub(crate) fn write(&self, bytes: &[u8]) {
        self.socket().write_all(bytes).expect("the server reads");
    }

    /// The socket, to be used beside what is heard.
    pub(crate) fn socket(&self) -> &TcpStream {
        self.stream.get_ref()
    }

    /// The next message, or how it ended.
    pub(crate) fn hear_or_end(&mut self) -> Result<Message, End> {
        let mut taken = Vec::new();
        let frames = self
            .take_frame(&mut taken)
            .and_then(|name| Ok((name, self.take_frame(&mut taken)?)));
        match frames {
            Ok((name, text)) => Ok(Message {
                name: String::from_utf8(name).expect("names are UTF-8"),
                text,
            }),
            Err(error) => Err(match error.kind() {
                io::ErrorKind::UnexpectedEof if taken.is_empty() => End::Orderly,
                io::ErrorKind::UnexpectedEof => End::Torn(taken),
                io::ErrorKind::ConnectionReset => End::Reset,
                _ => panic!("{} heard nothing for {DEADLINE:?}: {error}", self.name),
            }),
        }
    }

    /// The next message.
    pub(crate) fn hear(&mut self) -> Message {
        let heard = self.hear_or_end();
        heard.unwrap_or_else(|end| panic!("{} was closed: {end:?}", self.name))
    }

    /// All messages until the connection ends, and how it does.
    pub(crate) fn hear_to_the_end(&mut self) -> (Vec<Message>, End) {
        let mut heard = Vec::new();
        loop {
            match self.hear_or_end() {
                Ok(message) => heard.push(message),
                Err(end) => return (heard, end),
            }
        }
    }

    /// All messages up to `last`, without it.
    pub(crate) fn hear_until(&mut self, last: &Message) -> Vec<Message> {
        std::iter::repeat_with(|| self.hear())
            .take_while(|heard| heard != last)
            .collect()
    }

    /// The next message has to be this one.
    #[track_caller]
    pub(crate) fn expect(&mut self, author: &str, text: impl AsRef<[u8]>) {
        let heard = self.hear();
        assert_eq!(heard, super::said(author, text), "heard by {}", self.name);
    }

    /// The next message has to be the server's goodbye, and nothing may follow it.
    #[track_caller]
    pub(crate) fn expect_goodbye(&mut self, why: &str) {
        self.expect("*server*", format!("closing: {why}"));
        assert_eq!(self.hear_or_end(), Err(End::Orderly), "after the notice");
    }

    /// Whether anything comes within `patience`.
    pub(crate) fn hears_something_within(&mut self, patience: Duration) -> bool {
        self.socket().set_read_timeout(Some(patience)).unwrap();
        let came = self.stream.fill_buf().is_ok();
        self.socket().set_read_timeout(Some(DEADLINE)).unwrap();
        came
    }

    /// Says that it will say nothing more, and goes on listening.
    pub(crate) fn close_half(&self) {
        self.socket().shutdown(Shutdown::Write).unwrap();
    }

    /// The connection alone; what was read ahead is lost.
    pub(crate) fn into_socket(self) -> TcpStream {
        self.stream.into_inner()
    }

    /// Breaks the connection.
    pub(crate) fn reset(self) {
        let socket = Socket::from(self.stream.into_inner());
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// Takes one frame off the stream; what was taken is appended to `taken` whether it is whole or
    /// not.
    fn take_frame(&mut self, taken: &mut Vec<u8>) -> io::Result<Vec<u8>> {
        let begin = taken.len();
        self.take(HEADER_BYTES, taken)?;
        let header = str::from_utf8(&taken[begin..]).expect("headers are ASCII");
        assert_eq!(header.len(), HEADER_BYTES);
        let digits = header.trim_end();
        let payload_bytes = digits.parse().unwrap_or_else(|_| {
            panic!("{} was sent {header:?} for a header", self.name);
        });
        self.take(payload_bytes, taken)?;
        Ok(taken[begin + HEADER_BYTES..].to_vec())
    }

    fn take(&mut self, bytes: usize, taken: &mut Vec<u8>) -> io::Result<()> {
        let wanted = self.stream.by_ref().take(bytes as u64);
        match { wanted }.read_to_end(taken)? {
            came if came == bytes => Ok(()),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// A frame as the tutorial writes it: `f"{len(text):<10}"`, then the text.
pub(crate) fn frame(text: impl AsRef<[u8]>) -> Vec<u8> {
    let text = text.as_ref();
    [format!("{:<10}", text.len()).as_bytes(), text].concat()
}
