//! A simulated peer with its TCP connection: what is under way in each direction, and what it has
//! heard, which is checked.

use std::collections::BTreeMap;

use protocol::Decoder;

/// Bytes that the kernels hold of what one side sends and the other has not taken.
const ROOM: usize = 500;

#[derive(Debug)]
pub(super) struct Peer {
    number: usize,
    pub(super) said: u32,
    /// On the way to the server.
    pub(super) to_server: Vec<u8>,
    /// Sent by the server and not taken yet.
    from_server: Vec<u8>,
    /// It says nothing more.
    pub(super) ended: bool,
    /// The connection is broken.
    pub(super) broken: bool,
    /// The server has closed its sending side, or all.
    pub(super) server_ended: bool,
    decoder: Decoder,
    /// The name frame of a message whose second frame has not come.
    author: Option<Vec<u8>>,
    /// The last number heard of each author.
    heard: BTreeMap<usize, u32>,
    /// The server said goodbye.
    dismissed: bool,
}

impl Peer {
    pub(super) fn new(number: usize) -> Self {
        let mut peer = Self {
            number,
            said: 0,
            to_server: Vec::new(),
            from_server: Vec::new(),
            ended: false,
            broken: false,
            server_ended: false,
            decoder: Decoder::new(1000),
            author: None,
            heard: BTreeMap::new(),
            dismissed: false,
        };
        if peer.has_name() {
            peer.say(number.to_string().as_bytes());
        }
        peer
    }

    /// Its next message: its count, and something to make sends and receives come out short.
    pub(super) fn speak(&mut self, padding: usize) {
        if self.has_name() {
            self.said += 1;
            let text = format!("{} {}", self.said, "x".repeat(padding));
            self.say(text.as_bytes());
        }
    }

    /// Whether what it says finds room on the way.
    pub(super) fn can_speak(&self) -> bool {
        self.to_server.len() < ROOM
    }

    /// Whether the server has to serve it.
    pub(super) fn is_live(&self) -> bool {
        let gone = self.ended || self.broken || self.server_ended || self.dismissed;
        self.has_name() && !gone
    }

    /// The number of the last message of `author` that it has heard.
    pub(super) fn has_heard(&self, author: &Self) -> u32 {
        self.heard.get(&author.number).copied().unwrap_or(0)
    }

    pub(super) fn hears_nobody(&self) -> bool {
        self.heard.is_empty()
    }

    /// Whether `author`, who is somebody else, has said more than it has heard.
    pub(super) fn has_not_all_of(&self, author: &Self) -> bool {
        self.number != author.number && self.has_heard(author) < author.said
    }

    /// One in eight never gives its name.
    fn has_name(&self) -> bool {
        self.number % 8 != 7
    }

    /// What breaks the protocol; nothing it says later counts.
    pub(super) fn err(&mut self) {
        if !self.ended {
            self.to_server.extend_from_slice(b"no header!");
            self.ended = true;
        }
    }

    fn say(&mut self, text: &[u8]) {
        if !self.ended {
            let header = format!("{:<10}", text.len());
            self.to_server.extend_from_slice(header.as_bytes());
            self.to_server.extend_from_slice(text);
        }
    }

    /// How many bytes a send finds room for.
    pub(super) fn room(&self) -> usize {
        ROOM.saturating_sub(self.from_server.len())
    }

    pub(super) fn is_sent(&mut self, bytes: &[u8]) {
        self.from_server.extend_from_slice(bytes);
    }

    /// Takes `bytes` of what was sent to it, and checks it.
    pub(super) fn take(&mut self, bytes: usize) {
        let taken: Vec<u8> = self.from_server.drain(..bytes).collect();
        let mut input = &taken[..];
        while let Some(frame) = self.decoder.next(&mut input).expect("whole frames") {
            let frame = frame.to_vec();
            match self.author.take() {
                None => self.author = Some(frame),
                Some(author) => self.hear(&author, &frame),
            }
        }
    }

    fn hear(&mut self, author: &[u8], text: &[u8]) {
        assert!(!self.dismissed, "nothing follows the goodbye");
        if author == b"*server*" {
            self.dismissed = true;
            return;
        }
        let author = str::from_utf8(author).expect("a name");
        let author = author.parse().expect("a number");
        assert_ne!(author, self.number, "its own message");
        let text = str::from_utf8(text).expect("text");
        let (count, _) = text.split_once(' ').expect("a count");
        let count = count.parse().expect("a count");
        let last = self.heard.insert(author, count);
        assert!(
            last.is_none_or(|last| count == last + 1),
            "{last:?}, then {count}"
        );
    }

    /// Nothing more happens on its side.
    pub(super) fn is_gone(&self) -> bool {
        self.broken || (self.ended && self.server_ended && self.untaken() == 0)
    }

    pub(super) fn untaken(&self) -> usize {
        self.from_server.len()
    }
}
