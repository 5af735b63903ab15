//! A WebSocket server whose every word the test decides.

use std::net::{Shutdown, SocketAddr, TcpStream};

use serde_json::{Value, json};
use tungstenite::{Error, Message, WebSocket};

use super::DEADLINE;
use super::server::Scripted;

/// What `--addr` says of a WebSocket at `address`.
pub(crate) fn url(address: SocketAddr) -> String {
    format!("ws://{address}")
}

/// A position, as servers write it.
pub(crate) fn at(sequence: u64) -> String {
    format!("00000000000000ab.{sequence}")
}

/// One end of a connection.
pub(crate) struct WebSocketPeer(pub(crate) WebSocket<TcpStream>);

impl WebSocketPeer {
    /// The next client of `server`, which is to join with `join`.
    pub(crate) fn accept(server: &Scripted, join: &Value) -> Self {
        let stream = server.accept_any().0;
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut peer = Self(tungstenite::accept(stream).expect("a handshake"));
        peer.hears(join);
        peer
    }

    /// The next client of `server`, which is to be ann without a position; it has joined at `sequence`.
    pub(crate) fn ann(server: &Scripted, sequence: u64) -> Self {
        let mut peer = Self::accept(server, &json!({"name": "ann"}));
        peer.joined(sequence, false);
        peer
    }

    /// The next client of `server`, which is to be ann with the position after `sequence`.
    pub(crate) fn ann_again(server: &Scripted, sequence: u64) -> Self {
        Self::accept(server, &json!({"name": "ann", "after": at(sequence)}))
    }

    pub(crate) fn say(&mut self, object: &Value) {
        self.0.send(Message::text(object.to_string())).unwrap();
    }

    pub(crate) fn joined(&mut self, sequence: u64, resumed: bool) {
        let position = at(sequence);
        self.say(
            &json!({"type": "joined", "name": "ann", "position": position, "resumed": resumed}),
        );
    }

    pub(crate) fn relay(&mut self, sequence: u64, name: &str, text: &str) {
        let position = at(sequence);
        self.say(&json!({"type": "message", "position": position, "name": name, "text": text}));
    }

    pub(crate) fn accepted(&mut self, id: u64, sequence: u64) {
        self.say(&json!({"type": "accepted", "id": id, "position": at(sequence)}));
    }

    /// What the client says next.
    pub(crate) fn hear(&mut self) -> Value {
        match self.0.read().expect("an object") {
            Message::Text(text) => serde_json::from_str(&text).expect("JSON"),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn hears(&mut self, expected: &Value) {
        assert_eq!(self.hear(), *expected);
    }

    /// Waits for a line with this text and number.
    pub(crate) fn hears_line(&mut self, id: u64, text: &str) {
        self.hears(&json!({"text": text, "id": id}));
    }

    /// Waits for the client to close in order, and lets it.
    pub(crate) fn ends(mut self) {
        assert!(matches!(self.0.read(), Ok(Message::Close(_))), "no close");
        assert!(matches!(self.0.read(), Err(Error::ConnectionClosed)));
    }

    /// Ends the connection without a word.
    pub(crate) fn cut(self) {
        let _ = self.0.get_ref().shutdown(Shutdown::Both);
    }
}
