//! uringcast's event streams, and publishing: HTTP/1.1 and Server-Sent Events.
//!
//! A client that receives asks for `GET /events` and has joined when the stream begins; one that only
//! sends says each message with a `POST /messages` on the same connection, without waiting for the
//! answers, and counts as joined once it is connected.

use protocol::json::{Closing, Message, Missed, ServerObject};
use record::Protocol;
use serde::Deserialize;

use super::codec::{Codec, Hello, PAYLOAD_BYTES_MAX, Publish, Undecodable};
use super::http::{self, ANSWER_BEGINS};
use super::identity::{Arrival, Identity};
use super::packets::{Packet, Packets, Scan, Stop};
use super::websocket::arrival;

const LINE_BREAK: u8 = b'\n';

/// What one client hears of a server of events.
#[derive(Debug)]
pub(crate) struct Events {
    packets: Packets<EventStream>,
    /// What the server said last that was no message, in words.
    notice: String,
}

/// The stream of a server: the head of an answer and then events, or one answer after the other.
#[derive(Debug)]
pub(crate) struct EventStream;

/// What a packet of it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Begun,
    Posted,
    Refused,
    Event,
}

impl Events {
    /// At the beginning of a stream.
    pub(crate) const fn new() -> Self {
        Self {
            packets: Packets::new(),
            notice: String::new(),
        }
    }
}

impl Codec for Events {
    fn put_hello(out: &mut Vec<u8>, hello: &Hello<'_>) {
        if hello.receives {
            let (name, host) = (hello.name, &hello.identity.host);
            let request = format!(
                "GET /events?name={name} HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\n\r\n"
            );
            out.extend_from_slice(request.as_bytes());
        }
    }

    fn put_payload(out: &mut Vec<u8>, identity: &Identity, said: &Publish<'_>) {
        let (name, host) = (identity.names.of(said.client), &identity.host);
        let request = format!(
            "POST /messages?name={name} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\n\r\n",
            said.payload.len()
        );
        out.extend_from_slice(request.as_bytes());
        out.extend_from_slice(said.payload);
    }

    fn next<'d, 'i: 'd>(
        &'d mut self,
        input: &mut &'i [u8],
        identity: &Identity,
    ) -> Result<Option<Arrival<'d>>, Undecodable> {
        let Some((kind, body)) = self.packets.packet(input)? else {
            return Ok(None);
        };
        Ok(Some(match kind {
            Kind::Begun => Arrival::Joined,
            Kind::Posted => Arrival::Chatter,
            Kind::Refused => Arrival::Notice(body.trim_ascii_end()),
            Kind::Event => event(body, identity, &mut self.notice)?,
        }))
    }

    fn is_mid_message(&self) -> bool {
        self.packets.is_partial()
    }
}

impl Scan for EventStream {
    const PROTOCOL: Protocol = Protocol::Events;
    type Kind = Kind;

    fn scan(bytes: &[u8]) -> Result<Packet<Kind>, Stop> {
        if bytes[0] != ANSWER_BEGINS {
            return block(bytes);
        }
        let answer = http::answer(bytes, Protocol::Events)?;
        match answer.status {
            200 if answer.header("transfer-encoding").is_none() => Ok(Packet {
                kind: Kind::Begun,
                bytes: answer.bytes,
                body: 0..0,
            }),
            200 => Err(Self::malformed("a stream has no transfer coding")),
            202 => answer.whole(bytes, Kind::Posted),
            _ => answer.whole(bytes, Kind::Refused),
        }
    }
}

/// The lines up to an empty one.
fn block(bytes: &[u8]) -> Result<Packet<Kind>, Stop> {
    let mut at = 0;
    while let Some(length) = bytes[at..].iter().position(|&byte| byte == LINE_BREAK) {
        if length == 0 {
            return Ok(Packet {
                kind: Kind::Event,
                bytes: at + 1,
                body: 0..at,
            });
        }
        at += length + 1;
    }
    if bytes.len() > PAYLOAD_BYTES_MAX {
        return Err(EventStream::malformed("an event has up to 16 MiB"));
    }
    Err(Stop::OpenLine)
}

/// What it means that these lines came.
fn event<'a>(
    lines: &[u8],
    identity: &Identity,
    notice: &'a mut String,
) -> Result<Arrival<'a>, Undecodable> {
    let malformed = || Undecodable::Malformed {
        protocol: Protocol::Events,
        what: "an event is as docs/web.md has it",
    };
    let lines = str::from_utf8(lines).map_err(|_| malformed())?;
    let (mut kind, mut data) = ("", "");
    for line in lines.lines() {
        match line.split_once(": ") {
            Some(("event", value)) => kind = value,
            Some(("data", value)) => data = value,
            // A comment keeps the connection, `id` says where it stands.
            _ => {}
        }
    }
    let object = match kind {
        "" => return Ok(Arrival::Chatter),
        "message" => read::<Message<'_>>(data).map(ServerObject::Message),
        "missed" => read::<Missed>(data).map(ServerObject::Missed),
        "closing" => read::<Closing<'_>>(data).map(ServerObject::Closing),
        "presence" => read(data).map(ServerObject::Presence),
        _ => return Ok(Arrival::Chatter),
    };
    Ok(arrival(&object.ok_or_else(malformed)?, identity, notice))
}

fn read<'a, T: Deserialize<'a>>(data: &'a str) -> Option<T> {
    serde_json::from_str(data).ok()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::wire::identity::tests::identity_of;
    use crate::wire::inbox::tests::{fault, read, said};
    use crate::wire::stamp::Stamp;

    fn message(number: u32) -> String {
        let stamp = Stamp {
            number,
            previous: None,
            intended_ns: 5,
            sent_ns: 6,
        };
        let identity = identity_of(Protocol::Events);
        let text = String::from_utf8(identity.stamper.message(&stamp, 3, 64)).unwrap();
        format!(
            "id: 00000000000000aa.{number}\nevent: message\n\
             data: {{\"name\":\"load-00003\",\"text\":\"{text}\"}}\n\n"
        )
    }

    pub(in crate::wire) fn conversation() -> Vec<u8> {
        [
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
            &message(1),
            ": still here\n\n",
            "event: missed\ndata: {\"messages\":17}\n\n",
            "event: presence\ndata: {\"left\":\"ann\"}\n\n",
            &message(2),
            "event: message\ndata: {\"name\":\"ann\",\"text\":\"hi\"}\n\n",
            "event: closing\ndata: {\"reason\":\"too slow\"}\n\n",
        ]
        .concat()
        .into_bytes()
    }

    #[test]
    fn each_kind_of_arrival_is_told_from_the_others() {
        let said = read(&identity_of(Protocol::Events), &conversation(), &[]);
        let notice = |text: &str| format!("{:?}", Arrival::Notice(text.as_bytes()));
        assert!(
            said[1].starts_with("Message(Stamp { number: 1,"),
            "{said:#?}"
        );
        assert!(
            said[5].starts_with("Message(Stamp { number: 2,"),
            "{said:#?}"
        );
        assert_eq!((&said[0][..], &said[2][..]), ("Joined", "Chatter"));
        assert_eq!(
            said[3..5],
            [notice("missed 17 messages"), "Presence".into()]
        );
        assert_eq!(said[6..], ["Foreign".into(), notice("closing: too slow")]);
    }

    #[test]
    fn each_answer_to_what_is_posted_is_read_to_its_end() {
        let stream = b"HTTP/1.1 202 Accepted\r\nContent-Length: 3\r\n\r\n{} \
                       HTTP/1.1 503 Service Unavailable\r\nContent-Length: 5\r\n\r\nfull\n";
        let notice = format!("{:?}", Arrival::Notice(b"full"));
        let said = read(&identity_of(Protocol::Events), stream, &[]);
        assert_eq!(said, ["Chatter", &notice]);
    }

    #[test]
    fn a_publisher_says_nothing_first_and_posts() {
        let identity = &identity_of(Protocol::Events);
        let hello = |receives| {
            let (mut out, name, after) = (Vec::new(), "n", None);
            let hello = Hello {
                identity,
                name,
                receives,
                after,
            };
            Events::put_hello(&mut out, &hello);
            out
        };
        assert!(hello(true).starts_with(b"GET /events?name=n HTTP/1.1\r\nHost: localhost\r\n"));
        assert!(hello(false).is_empty());
        let mut out = Vec::new();
        Events::put_payload(&mut out, identity, &said(b"abc"));
        assert_eq!(
            str::from_utf8(&out).unwrap(),
            "POST /messages?name=load-00003 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc"
        );
    }

    #[test]
    fn what_is_no_event_stream_is_an_error_that_says_so() {
        let identity = identity_of(Protocol::Events);
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert!(fault(&identity, chunked).contains("no transfer coding"));
        assert!(fault(&identity, b"HTTP/9.9 200 OK\r\n\r\n").contains("HTTP/1.1"));
        assert!(fault(&identity, b"event: message\ndata: {}\n\n").contains("as docs/web.md"));
        assert!(
            fault(&identity, b"HTTP/1.1 202 OK\r\nContent-Length: x\r\n\r\n").contains("length")
        );
    }
}
