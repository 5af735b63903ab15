//! Hostile clients that abuse HTTP and WebSocket: what each kind says first, at once or byte by byte, and
//! what it goes on saying.

use std::time::Duration;

use record::{HostileKind, Protocol};

use crate::wire::websocket::{CONTINUATION, FINAL, MASKED, PING, TEXT, frame, head};

/// Each kind, by its name on the command line.
pub(super) const KINDS: [(&str, HostileKind); 9] = [
    ("unmasked", HostileKind::Unmasked),
    ("oversized", HostileKind::Oversized),
    ("fragments", HostileKind::EndlessFragments),
    ("pings", HostileKind::PingFlood),
    ("half-handshake", HostileKind::HalfHandshake),
    ("pieces", HostileKind::InPieces),
    ("slow-head", HostileKind::SlowHead),
    ("smuggling", HostileKind::Smuggling),
    ("close", HostileKind::CloseEach),
];

/// What an oversized message claims to have: a terabyte.
const OVERSIZED_BYTES: usize = 1 << 40;

/// As many as the longest head that uringcast takes.
const HEAD_BYTES: usize = 8 * 1024;

const FRAGMENT_BYTES: usize = 1000;
const PING_BYTES: usize = 125;

/// What no server may take for a message.
const SMUGGLED: &str =
    "POST /messages?name=smuggler HTTP/1.1\r\nHost: h\r\nContent-Length: 8\r\n\r\nsmuggled";

/// Requests whose end two readers may see in different places: `SMUGGLED` lies in the body of one, and is
/// a request to the other.
const DISPUTED: [&str; 6] = [
    "Content-Length: LENGTH\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "Content-Length: LENGTH\r\nContent-Length: 0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "Content-Length: 0, LENGTH\r\n\r\n",
    "Content-Length : LENGTH\r\n\r\n",
    "Content-Length: +0\r\n X: LENGTH\r\n\r\n",
];

/// What a client says bit by bit: so many bytes at a time, and a pause.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub(super) bytes: usize,
    pub(super) pause: Duration,
}

/// What a client says over and over.
#[derive(Debug)]
pub(super) struct Flood {
    pub(super) bytes: Vec<u8>,
    /// Of one message in it.
    pub(super) frame_bytes: usize,
}

impl Flood {
    /// Frames in batches of some `batch_bytes`, or one if it is longer.
    pub(super) fn of(frame: &[u8], batch_bytes: usize) -> Self {
        Self {
            bytes: frame.repeat((batch_bytes / frame.len()).max(1)),
            frame_bytes: frame.len(),
        }
    }
}

/// What a kind speaks, if it is one of these.
pub(super) fn protocol(kind: HostileKind) -> Option<Protocol> {
    match kind {
        HostileKind::Smuggling | HostileKind::CloseEach => Some(Protocol::Events),
        _ => KINDS
            .iter()
            .any(|&(_, web)| web == kind)
            .then_some(Protocol::WebSocket),
    }
}

/// What a client of `kind` says first: `handshake`, or something in its place.
pub(super) fn opening(kind: HostileKind, number: u64, host: &str, handshake: Vec<u8>) -> Vec<u8> {
    let post =
        |fields: &str| format!("POST /messages?name=poster HTTP/1.1\r\nHost: {host}\r\n{fields}");
    match kind {
        HostileKind::Unmasked => {
            let unmasked = b"{\"text\":\"unmasked\"}";
            [
                &handshake[..],
                &head(FINAL | TEXT, 0, unmasked.len()),
                unmasked,
            ]
            .concat()
        }
        HostileKind::Oversized => {
            let claim = head(FINAL | TEXT, MASKED, OVERSIZED_BYTES);
            [&handshake[..], &claim, &[0; 64]].concat()
        }
        HostileKind::EndlessFragments => [handshake, frame(TEXT, b"{\"text\":\"")].concat(),
        HostileKind::HalfHandshake => handshake[..handshake.len() / 2].to_vec(),
        HostileKind::SlowHead => {
            let begin = format!("GET / HTTP/1.1\r\nHost: {host}\r\nX-Slow: ");
            let filler = vec![b'x'; HEAD_BYTES - begin.len()];
            [begin.as_bytes(), &filler].concat()
        }
        HostileKind::Smuggling => {
            let way = usize::try_from(number).unwrap_or(0) % DISPUTED.len();
            let fields = DISPUTED[way].replace("LENGTH", &SMUGGLED.len().to_string());
            [post(&fields), SMUGGLED.to_owned()].concat().into_bytes()
        }
        HostileKind::CloseEach => {
            post("Connection: close\r\nContent-Length: 5\r\n\r\nhello").into_bytes()
        }
        _ => handshake,
    }
}

/// How a kind says it, if not at once.
pub(super) fn pace(kind: HostileKind) -> Option<Pace> {
    match kind {
        HostileKind::InPieces => Some(Pace {
            bytes: 7,
            pause: Duration::ZERO,
        }),
        HostileKind::SlowHead => Some(Pace {
            bytes: 1,
            pause: Duration::from_secs(1),
        }),
        _ => None,
    }
}

/// What a kind goes on saying as fast as it can.
pub(super) fn flood(kind: HostileKind, batch_bytes: usize) -> Option<Flood> {
    let frame = match kind {
        HostileKind::EndlessFragments => frame(CONTINUATION, &[b'x'; FRAGMENT_BYTES]),
        HostileKind::PingFlood => frame(FINAL | PING, &[b'x'; PING_BYTES]),
        _ => return None,
    };
    Some(Flood::of(&frame, batch_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_disputed_request_holds_the_length_of_what_is_smuggled() {
        for number in 0..6 {
            let said = opening(HostileKind::Smuggling, number, "h", Vec::new());
            let said = String::from_utf8(said).unwrap();
            assert!(
                said.ends_with(SMUGGLED) && !said.contains("LENGTH"),
                "{said}"
            );
        }
    }

    #[test]
    fn a_slow_head_is_the_longest_and_has_no_end() {
        let said = opening(HostileKind::SlowHead, 1, "h", Vec::new());
        assert_eq!(said.len(), HEAD_BYTES);
        assert!(!said.ends_with(b"\r\n"));
    }
}
