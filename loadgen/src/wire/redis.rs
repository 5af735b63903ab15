//! Redis pub/sub in RESP2 (the protocol of every Redis since 1.2, and of its kin).
//!
//! A subscriber says SUBSCRIBE and is told so; a publisher, which may not be a subscriber, says PING
//! once, and has joined when that is answered. Redis answers every PUBLISH with how many it went to,
//! which is read and thrown away: the ledger counts for itself.

use record::Protocol;

use super::codec::{Hello, Publish};
use super::identity::{Identity, Login};
use super::packets::{Broker, Kind, LINE_END, Packet, Scan, Stop, decimal, line, payload_line};

/// More than any answer to what is asked here has.
const ELEMENTS_MAX: usize = 16;

/// What is spoken with Redis.
#[derive(Debug)]
pub(crate) struct Redis;

impl Broker for Redis {
    fn put_hello(out: &mut Vec<u8>, hello: &Hello<'_>) {
        if let Some(Login { username, password }) = &hello.identity.login {
            let username = username.iter().map(String::as_bytes);
            let words = [&b"AUTH"[..]].into_iter().chain(username);
            let words: Vec<&[u8]> = words.chain([password.as_bytes()]).collect();
            put_command(out, &words);
        }
        if hello.receives {
            put_command(out, &[b"SUBSCRIBE", hello.identity.topic.as_bytes()]);
        } else {
            put_command(out, &[b"PING"]);
        }
    }

    fn put_payload(out: &mut Vec<u8>, identity: &Identity, said: &Publish<'_>) {
        put_command(out, &[b"PUBLISH", identity.topic.as_bytes(), said.payload]);
    }
}

impl Scan for Redis {
    const PROTOCOL: Protocol = Protocol::Redis;
    type Kind = Kind;

    fn scan(bytes: &[u8]) -> Result<Packet<Kind>, Stop> {
        let (head, next) = line(bytes, 0)?;
        let said = &bytes[head.clone()];
        let simple = |kind| Packet {
            kind,
            bytes: next,
            body: 1..head.end,
        };
        match said.first() {
            Some(b'*') => array(bytes, &said[1..], next),
            Some(b'-') => Ok(simple(Kind::Notice)),
            Some(b'+') if said == b"+PONG" => Ok(simple(Kind::Joined)),
            Some(b'+' | b':') => Ok(simple(Kind::Chatter)),
            _ => Err(Redis::malformed("a reply begins with one of * - + :")),
        }
    }
}

fn put_command(out: &mut Vec<u8>, words: &[&[u8]]) {
    out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(LINE_END);
    }
}

fn array(bytes: &[u8], count: &[u8], mut at: usize) -> Result<Packet<Kind>, Stop> {
    let count = decimal(count)
        .filter(|count| *count <= ELEMENTS_MAX)
        .ok_or_else(|| Redis::malformed("an array has up to 16 elements"))?;
    let mut first = 0..0;
    let mut last = 0..0;
    for element in 0..count {
        let (head, next) = line(bytes, at)?;
        let said = &bytes[head];
        (last, at) = match said.first() {
            Some(b':') => (0..0, next),
            Some(b'$') if &said[1..] == b"-1" => (0..0, next),
            Some(b'$') => {
                let length =
                    decimal(&said[1..]).ok_or_else(|| Redis::malformed("a string has a length"))?;
                payload_line::<Redis>(bytes, next, length)?
            }
            _ => return Err(Redis::malformed("an element is a string or a number")),
        };
        if element == 0 {
            first = last.clone();
        }
    }
    let kind = match &bytes[first] {
        b"message" if count == 3 => Kind::Message,
        b"subscribe" => Kind::Joined,
        _ => Kind::Chatter,
    };
    Ok(Packet {
        kind,
        bytes: at,
        body: last,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::wire::identity::Arrival;
    use crate::wire::identity::tests::identity_of;
    use crate::wire::inbox::tests::{fault, read, said, stamped};

    fn message(payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        put_command(&mut out, &[b"message", b"a.topic", payload]);
        out
    }

    pub(in crate::wire) fn conversation() -> Vec<u8> {
        [
            &b"*3\r\n$9\r\nsubscribe\r\n$7\r\na.topic\r\n:1\r\n"[..],
            b"+PONG\r\n:5\r\n+OK\r\n",
            &message(&stamped(Protocol::Redis, 1)),
            &message(b"hello\r\n*3\r\n"),
            b"*2\r\n$-1\r\n$4\r\npong\r\n",
            &message(b""),
            b"-ERR max number of clients reached\r\n",
            &message(&stamped(Protocol::Redis, 2)),
        ]
        .concat()
    }

    #[test]
    fn each_kind_of_arrival_is_told_from_the_others() {
        let said = read(&identity_of(Protocol::Redis), &conversation(), &[]);
        assert_eq!(said[..4], ["Joined", "Joined", "Chatter", "Chatter"]);
        assert!(
            said[4].starts_with("Message(Stamp { number: 1,"),
            "{}",
            said[4]
        );
        assert_eq!(said[5..8], ["Foreign", "Chatter", "Foreign"]);
        let notice = Arrival::Notice(b"ERR max number of clients reached");
        assert_eq!(said[8], format!("{notice:?}"));
        assert!(said[9].starts_with("Message(Stamp { number: 2,"));
    }

    #[test]
    fn what_a_client_says_is_an_array_of_strings() {
        let mut out = Vec::new();
        Redis::put_payload(&mut out, &identity_of(Protocol::Redis), &said(b"abc"));
        assert_eq!(
            out,
            b"*3\r\n$7\r\nPUBLISH\r\n$7\r\na.topic\r\n$3\r\nabc\r\n"
        );
    }

    #[test]
    fn what_is_not_resp_is_an_error_that_says_so() {
        let identity = identity_of(Protocol::Redis);
        assert!(fault(&identity, b"GET / HTTP/1.1\r\n").starts_with("what came is not redis"));
        assert!(fault(&identity, b"*999999\r\n").contains("16 elements"));
        assert!(fault(&identity, b"*1\r\n$99999999\r\n").contains("over the limit"));
        assert!(fault(&identity, b"*1\r\n$1\r\nabc\r\n").contains("ends with its line"));
    }
}
