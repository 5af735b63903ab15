//! Peers of the other wires: a WebSocket client, a listener of events and a publisher, as blocking sockets
//! that share no code with the server.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use serde_json::{Value, json};
use socket2::Socket;

use super::{DEADLINE, Message};

/// One that joined over WebSocket or listens to events.
#[derive(Debug)]
pub(crate) struct WebPeer {
    stream: BufReader<TcpStream>,
    is_websocket: bool,
    /// What it was told when it joined.
    pub(crate) joined: Value,
}

/// An answer of HTTP.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

pub(crate) const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                                  Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

impl WebPeer {
    /// Joins over WebSocket, behind the position `after` if there is one.
    pub(crate) fn join(address: SocketAddr, name: &str, after: Option<&str>) -> Self {
        Self::join_over(connect(address), name, after)
    }

    pub(crate) fn join_over(socket: TcpStream, name: &str, after: Option<&str>) -> Self {
        let mut object = json!({ "name": name });
        if let Some(after) = after {
            object["after"] = after.into();
        }
        let hello = masked(0x81, object.to_string().as_bytes());
        let request = format!("GET /ws HTTP/1.1\r\nHost: h\r\n{UPGRADE}\r\n");
        Self::begin(socket, &[request.as_bytes(), &hello].concat(), 101)
    }

    /// Listens to events.
    pub(crate) fn listen(address: SocketAddr, name: &str, after: Option<&str>) -> Self {
        let after = after.map_or(String::new(), |after| format!("Last-Event-ID: {after}\r\n"));
        let request = format!("GET /events?name={name} HTTP/1.1\r\nHost: h\r\n{after}\r\n");
        Self::begin(connect(address), request.as_bytes(), 200)
    }

    fn begin(socket: TcpStream, request: &[u8], status: u16) -> Self {
        (&socket).write_all(request).unwrap();
        let mut peer = Self {
            stream: BufReader::new(socket),
            is_websocket: status == 101,
            joined: Value::Null,
        };
        let head = head(&mut peer.stream);
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        peer.joined = peer.hear();
        assert_eq!(peer.joined["type"], "joined", "{:?}", peer.joined);
        peer
    }

    /// Says a message, with a number of its own if it is to be told that it was accepted.
    pub(crate) fn say(&self, text: &str, id: Option<u64>) {
        let mut object = json!({ "text": text });
        if let Some(id) = id {
            object["id"] = id.into();
        }
        self.write(&masked(0x81, object.to_string().as_bytes()));
    }

    /// Sends bytes as they are.
    pub(crate) fn write(&self, bytes: &[u8]) {
        self.socket().write_all(bytes).expect("the server reads");
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        self.stream.get_ref()
    }

    /// The next object, with what an event stream says beside it.
    pub(crate) fn hear(&mut self) -> Value {
        if self.is_websocket {
            let (first, payload) = self.frame();
            assert_eq!(first, 0x81, "{:?}", String::from_utf8_lossy(&payload));
            return serde_json::from_slice(&payload).unwrap();
        }
        let mut object = Value::Null;
        let (mut kind, mut position) = (None, None);
        loop {
            let mut line = String::new();
            assert!(self.stream.read_line(&mut line).unwrap() > 0, "the end");
            match line.trim_end().split_once(": ") {
                Some(("id", id)) => position = Some(id.to_owned()),
                Some(("event", name)) => kind = Some(name.to_owned()),
                Some(("data", data)) => object = serde_json::from_str(data).unwrap(),
                _ if kind.is_none() => {}
                _ => {
                    object["type"] = kind.into();
                    if let Some(position) = position {
                        object["position"] = position.into();
                    }
                    return object;
                }
            }
        }
    }

    /// The next frame of WebSocket: its first byte and its payload.
    pub(crate) fn frame(&mut self) -> (u8, Vec<u8>) {
        let [first, length] = self.take();
        let length = match length {
            126 => u16::from_be_bytes(self.take()).into(),
            127 => u64::from_be_bytes(self.take()),
            length => length.into(),
        };
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        self.stream.read_exact(&mut payload).unwrap();
        (first, payload)
    }

    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.stream.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// The next message, and the position behind it.
    pub(crate) fn hear_message(&mut self) -> (Message, String) {
        let object = self.hear();
        assert_eq!(object["type"], "message", "{object}");
        let field = |name: &str| object[name].as_str().unwrap().to_owned();
        let message = super::said(&field("name"), field("text"));
        (message, field("position"))
    }

    #[track_caller]
    pub(crate) fn expect(&mut self, author: &str, text: &str) {
        assert_eq!(self.hear_message().0, super::said(author, text));
    }

    /// The next has to be why it is closed; over WebSocket with this code behind it.
    #[track_caller]
    pub(crate) fn expect_closing(&mut self, why: &str, code: u16) {
        let object = self.hear();
        assert_eq!(
            (object["type"].as_str(), object["reason"].as_str()),
            (Some("closing"), Some(why))
        );
        if self.is_websocket {
            let (first, payload) = self.frame();
            assert_eq!(first, 0x88);
            assert_eq!(payload[..2], code.to_be_bytes());
        }
        assert_eq!(self.stream.read(&mut [0]).unwrap(), 0, "nothing follows");
    }

    /// Breaks the connection.
    pub(crate) fn reset(self) {
        let socket = Socket::from(self.stream.into_inner());
        socket.set_linger(Some(std::time::Duration::ZERO)).unwrap();
    }

    /// Says that it will say nothing more.
    pub(crate) fn close_half(&self) {
        self.socket().shutdown(Shutdown::Write).unwrap();
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).expect("the server listens");
    socket.set_nodelay(true).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket.set_write_timeout(Some(DEADLINE)).unwrap();
    socket
}

/// One frame of a client.
pub(crate) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = vec![first];
    match u16::try_from(payload.len()) {
        Ok(length @ ..126) => frame.push(0x80 | length.to_be_bytes()[1]),
        Ok(length) => {
            frame.push(0x80 | 126);
            frame.extend(length.to_be_bytes());
        }
        Err(_) => {
            frame.push(0x80 | 127);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend(MASK);
    let keys = MASK.iter().cycle();
    frame.extend(payload.iter().zip(keys).map(|(byte, key)| byte ^ key));
    frame
}

/// A request that says `text`.
pub(crate) fn post(name: &str, text: &str) -> String {
    let bytes = text.len();
    format!(
        "POST /messages?name={name} HTTP/1.1\r\nHost: h\r\nContent-Length: {bytes}\r\n\r\n{text}"
    )
}

/// A connection for requests.
#[derive(Debug)]
pub(crate) struct Requests(BufReader<TcpStream>);

impl Requests {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self(BufReader::new(connect(address)))
    }

    pub(crate) fn write(&self, request: &str) {
        self.0.get_ref().write_all(request.as_bytes()).unwrap();
    }

    pub(crate) fn answer(&mut self) -> Answer {
        let head = head(&mut self.0);
        let field = |name| head.lines().find_map(|line| line.strip_prefix(name));
        let bytes = field("Content-Length: ").map_or(0, |bytes| bytes.parse().unwrap());
        let mut body = vec![0; bytes];
        self.0.read_exact(&mut body).unwrap();
        Answer {
            status: head[9..12].parse().unwrap(),
            body: String::from_utf8(body).unwrap(),
        }
    }

    pub(crate) fn is_at_its_end(&mut self) -> bool {
        self.0.read(&mut [0]).unwrap() == 0
    }
}

fn head(stream: &mut BufReader<TcpStream>) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        let read = stream.read_line(&mut head).unwrap();
        assert!(read > 0, "the end inside {head:?}");
    }
    head
}
