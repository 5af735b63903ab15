//! The client protocol of NATS: lines, and payloads whose length the line before says.
//!
//! A client says CONNECT, SUB if it is to receive, and PING, and has joined when that is answered:
//! NATS serves a connection's words in order. From then on it is NATS that asks with PING.

use record::Protocol;

use super::codec::{Hello, Publish};
use super::identity::{Identity, Login};
use super::packets::{Broker, Kind, LINE_END, Packet, Scan, Stop, decimal, line, payload_line};

/// What is spoken with NATS.
#[derive(Debug)]
pub(crate) struct Nats;

impl Broker for Nats {
    const PONG: &'static [u8] = b"PONG\r\n";

    fn put_hello(out: &mut Vec<u8>, hello: &Hello<'_>) {
        // Names of clients are of letters, digits and '-': nothing that JSON would escape.
        let login = hello
            .identity
            .login
            .as_ref()
            .map_or_else(String::new, login);
        let connect = format!(
            "CONNECT {{\"verbose\":false,\"pedantic\":false,\"tls_required\":false,{login}\
             \"name\":\"{}\",\"lang\":\"rust\",\"version\":\"{}\",\"protocol\":0,\"echo\":true}}\r\n",
            hello.name,
            env!("CARGO_PKG_VERSION")
        );
        out.extend_from_slice(connect.as_bytes());
        if hello.receives {
            let topic = &hello.identity.topic;
            out.extend_from_slice(format!("SUB {topic} 1\r\n").as_bytes());
        }
        out.extend_from_slice(b"PING\r\n");
    }

    fn put_payload(out: &mut Vec<u8>, identity: &Identity, said: &Publish<'_>) {
        let (topic, payload) = (&identity.topic, said.payload);
        out.extend_from_slice(format!("PUB {topic} {}\r\n", payload.len()).as_bytes());
        out.extend_from_slice(payload);
        out.extend_from_slice(LINE_END);
    }
}

impl Scan for Nats {
    const PROTOCOL: Protocol = Protocol::Nats;
    type Kind = Kind;

    fn scan(bytes: &[u8]) -> Result<Packet<Kind>, Stop> {
        let (head, next) = line(bytes, 0)?;
        let said = &bytes[head.clone()];
        let simple = |kind, body_at: usize| Packet {
            kind,
            bytes: next,
            body: body_at.min(head.end)..head.end,
        };
        let word = said.split(|&byte| byte == b' ').next().unwrap_or_default();
        match word {
            b"MSG" => message(bytes, said, next),
            b"PING" => Ok(simple(Kind::Ping, head.end)),
            b"PONG" => Ok(simple(Kind::Joined, head.end)),
            b"-ERR" => Ok(simple(Kind::Notice, word.len() + 1)),
            b"INFO" | b"+OK" => Ok(simple(Kind::Chatter, head.end)),
            _ => Err(Nats::malformed(
                "a line begins with one of MSG PING PONG INFO +OK -ERR",
            )),
        }
    }
}

/// The fields of CONNECT that let a user in: a password without a user is a token.
fn login(login: &Login) -> String {
    let text = |text: &str| serde_json::Value::from(text).to_string();
    let password = text(&login.password);
    match &login.username {
        Some(username) => format!("\"user\":{},\"pass\":{password},", text(username)),
        None => format!("\"auth_token\":{password},"),
    }
}

/// `MSG subject sid [reply-to] bytes`, then the payload.
fn message(bytes: &[u8], said: &[u8], next: usize) -> Result<Packet<Kind>, Stop> {
    let length = said.rsplit(|&byte| byte == b' ').next().unwrap_or_default();
    let length = decimal(length).ok_or_else(|| Nats::malformed("MSG ends with a length"))?;
    let (body, end) = payload_line::<Nats>(bytes, next, length)?;
    Ok(Packet {
        kind: Kind::Message,
        bytes: end,
        body,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::wire::identity::Arrival;
    use crate::wire::identity::tests::identity_of;
    use crate::wire::inbox::tests::{fault, read, said, stamped};

    fn message(payload: &[u8], reply_to: &str) -> Vec<u8> {
        let head = format!("MSG a.topic 1 {reply_to}{}\r\n", payload.len());
        [head.as_bytes(), payload, LINE_END].concat()
    }

    pub(in crate::wire) fn conversation() -> Vec<u8> {
        [
            &b"INFO {\"server_id\":\"x\",\"max_payload\":1048576}\r\n"[..],
            b"PONG\r\n",
            &message(&stamped(Protocol::Nats, 1), ""),
            b"PING\r\n",
            &message(b"hello\r\nPING\r\n", "_INBOX.1 "),
            &message(b"", ""),
            b"+OK\r\n-ERR 'Slow Consumer'\r\n",
            &message(&stamped(Protocol::Nats, 2), ""),
        ]
        .concat()
    }

    #[test]
    fn each_kind_of_arrival_is_told_from_the_others() {
        let said = read(&identity_of(Protocol::Nats), &conversation(), &[]);
        assert_eq!(said[..2], ["Chatter", "Joined"]);
        assert!(
            said[2].starts_with("Message(Stamp { number: 1,"),
            "{}",
            said[2]
        );
        let pong = format!("{:?}", Arrival::Asked(b"PONG\r\n"));
        assert_eq!(said[3..7], [&pong, "Foreign", "Foreign", "Chatter"]);
        assert_eq!(
            said[7],
            format!("{:?}", Arrival::Notice(b"'Slow Consumer'"))
        );
        assert!(said[8].starts_with("Message(Stamp { number: 2,"));
    }

    #[test]
    fn one_that_only_sends_does_not_subscribe() {
        let identity = &identity_of(Protocol::Nats);
        let hello = |receives| {
            let mut out = Vec::new();
            Nats::put_hello(
                &mut out,
                &Hello {
                    identity,
                    name: "n",
                    receives,
                    after: None,
                },
            );
            String::from_utf8(out).unwrap()
        };
        assert!(hello(true).ends_with("\r\nSUB a.topic 1\r\nPING\r\n"));
        assert!(!hello(false).contains("SUB"));
        let mut out = Vec::new();
        Nats::put_payload(&mut out, identity, &said(b"abc"));
        assert_eq!(out, b"PUB a.topic 3\r\nabc\r\n");
    }

    #[test]
    fn what_is_not_nats_is_an_error_that_says_so() {
        let identity = identity_of(Protocol::Nats);
        assert!(fault(&identity, b"HTTP/1.1 400\r\n").starts_with("what came is not nats"));
        assert!(fault(&identity, b"MSG t 1 x\r\n").contains("ends with a length"));
        assert!(fault(&identity, b"MSG t 1 99999999\r\n").contains("over the limit"));
        assert!(fault(&identity, b"MSG t 1 1\r\nabcd").contains("ends with its line"));
    }
}
