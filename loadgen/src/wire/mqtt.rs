//! MQTT 3.1.1 (OASIS, 2014) at QoS 0: a byte that says what comes, a length, and the rest.
//!
//! A client says CONNECT and, without waiting, SUBSCRIBE if it is to receive, which SUBACK confirms;
//! one that only sends says PINGREQ instead, so that PINGRESP shows it has been let in. Sessions are
//! clean. The keep-alive is 0, which switches it off, so that who only listens need not say a word.

use record::Protocol;

use super::codec::{Hello, Publish};
use super::identity::{Identity, Login};
use super::packets::{Broker, Kind, Packet, Scan, Stop, payload};

const CONNECT: u8 = 0x10;
const PUBLISH: u8 = 0x30;
const SUBSCRIBE: u8 = 0x82;
const PINGREQ: &[u8] = &[0xC0, 0];

/// Protocol name and level.
const CONNECT_HEAD: &[u8] = &[0, 4, b'M', b'Q', b'T', b'T', 4];

const CLEAN_SESSION: u8 = 0b10;

/// User name and password follow.
const WITH_LOGIN: u8 = 0b1100_0000;

const NO_KEEP_ALIVE: [u8; 2] = [0, 0];

/// A length has so many bytes at most.
const LENGTH_BYTES_MAX: usize = 4;

/// What is spoken with a broker of MQTT.
#[derive(Debug)]
pub(crate) struct Mqtt;

impl Broker for Mqtt {
    fn put_hello(out: &mut Vec<u8>, hello: &Hello<'_>) {
        // Every broker takes an identifier of up to 23 letters and digits; two alike drive each
        // other out.
        let letters = hello.name.chars().filter(char::is_ascii_alphanumeric);
        let identity = hello.identity;
        let identifier: String = format!("{:08x}", identity.run)
            .chars()
            .chain(letters)
            .collect();
        let mut connect = CONNECT_HEAD.to_vec();
        let login = identity.login.as_ref();
        connect.push(CLEAN_SESSION | login.map_or(0, |_| WITH_LOGIN));
        connect.extend_from_slice(&NO_KEEP_ALIVE);
        put_text(&mut connect, &identifier);
        if let Some(Login { username, password }) = login {
            // A password takes a user name, be it an empty one.
            put_text(&mut connect, username.as_deref().unwrap_or_default());
            put_text(&mut connect, password);
        }
        put_packet(out, CONNECT, &[&connect]);
        if !hello.receives {
            out.extend_from_slice(PINGREQ);
            return;
        }
        let packet_identifier = [0, 1];
        let mut subscribe = packet_identifier.to_vec();
        put_text(&mut subscribe, &identity.topic);
        let quality = 0;
        subscribe.push(quality);
        put_packet(out, SUBSCRIBE, &[&subscribe]);
    }

    fn put_payload(out: &mut Vec<u8>, identity: &Identity, said: &Publish<'_>) {
        let mut head = Vec::with_capacity(2 + identity.topic.len());
        put_text(&mut head, &identity.topic);
        put_packet(out, PUBLISH, &[&head, said.payload]);
    }
}

impl Scan for Mqtt {
    const PROTOCOL: Protocol = Protocol::Mqtt;
    type Kind = Kind;

    fn scan(bytes: &[u8]) -> Result<Packet<Kind>, Stop> {
        let (length, head_bytes) = remaining_length(bytes)?;
        let rest = payload(bytes, head_bytes, length)?;
        let packet = |kind, body| Packet {
            kind,
            bytes: head_bytes + length,
            body,
        };
        let content = &bytes[rest.clone()];
        let kind = match (bytes[0] >> 4, content) {
            (3, _) => {
                let body_at = published_at(bytes[0], content)?;
                return Ok(packet(Kind::Message, rest.start + body_at..rest.end));
            }
            (2, &[_, 0]) => Kind::Chatter,
            (2, &[_, code]) => Kind::Code(refusal(code)),
            (9, &[_, _, 0..=2]) | (13, []) => Kind::Joined,
            (9, &[_, _, _]) => Kind::Code("the subscription was refused"),
            (14, _) => Kind::Code("DISCONNECT"),
            _ => {
                return Err(Mqtt::malformed(
                    "a packet is CONNACK, SUBACK, PUBLISH, PINGRESP or DISCONNECT",
                ));
            }
        };
        Ok(packet(kind, rest))
    }
}

/// A text with its length before it. Names and topics are far below the limit of 65,535 bytes.
fn put_text(out: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn put_packet(out: &mut Vec<u8>, kind: u8, parts: &[&[u8]]) {
    out.push(kind);
    let mut length: usize = parts.iter().map(|part| part.len()).sum();
    loop {
        let seven_bits = u8::try_from(length % 128).unwrap_or_default();
        length /= 128;
        out.push(seven_bits | if length > 0 { 0x80 } else { 0 });
        if length == 0 {
            break;
        }
    }
    for part in parts {
        out.extend_from_slice(part);
    }
}

/// What follows the first bytes, and how many those are.
fn remaining_length(bytes: &[u8]) -> Result<(usize, usize), Stop> {
    let mut length = 0;
    for at in 0..LENGTH_BYTES_MAX {
        let Some(&byte) = bytes.get(1 + at) else {
            return Err(Stop::AtLeast(2 + at));
        };
        length |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok((length, 2 + at));
        }
    }
    Err(Mqtt::malformed("a length has up to 4 bytes"))
}

/// Where the payload of a PUBLISH begins.
fn published_at(first: u8, content: &[u8]) -> Result<usize, Stop> {
    if first & 0b110 != 0 {
        return Err(Mqtt::malformed(
            "a message of QoS 1 or 2 came, and QoS 0 was asked for",
        ));
    }
    let [high, low, rest @ ..] = content else {
        return Err(Mqtt::malformed("a message has a topic"));
    };
    let topic_bytes = usize::from(u16::from_be_bytes([*high, *low]));
    if rest.len() < topic_bytes {
        return Err(Mqtt::malformed("a topic lies within its packet"));
    }
    Ok(2 + topic_bytes)
}

/// What the standard's return codes of CONNACK say.
fn refusal(code: u8) -> &'static str {
    match code {
        1 => "the connection was refused: MQTT 3.1.1 is not spoken",
        2 => "the connection was refused: the client identifier is not taken",
        3 => "the connection was refused: the server is unavailable",
        4 => "the connection was refused: bad user name or password",
        5 => "the connection was refused: not authorized",
        _ => "the connection was refused",
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::identity::Arrival;
    use crate::wire::identity::tests::identity_of;
    use crate::wire::inbox::tests::{fault, read, said, stamped};

    fn message(payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        Mqtt::put_payload(&mut out, &identity_of(Protocol::Mqtt), &said(payload));
        out
    }

    pub(in crate::wire) fn conversation() -> Vec<u8> {
        [
            &[0x20, 2, 0, 0][..],
            &[0x90, 3, 0, 1, 0],
            PINGRESP,
            &message(&stamped(Protocol::Mqtt, 1)),
            &message(&[b'x'; 300]),
            &message(b""),
            &[0x20, 2, 0, 5],
            &[0x90, 3, 0, 1, 0x80],
            &[0xE0, 0],
            &message(&stamped(Protocol::Mqtt, 2)),
        ]
        .concat()
    }

    const PINGRESP: &[u8] = &[0xD0, 0];

    #[test]
    fn each_kind_of_arrival_is_told_from_the_others() {
        let said = read(&identity_of(Protocol::Mqtt), &conversation(), &[]);
        assert_eq!(said[..3], ["Chatter", "Joined", "Joined"]);
        assert!(
            said[3].starts_with("Message(Stamp { number: 1,"),
            "{}",
            said[3]
        );
        assert_eq!(said[4..6], ["Foreign", "Foreign"]);
        let notices = [
            "the connection was refused: not authorized",
            "the subscription was refused",
            "DISCONNECT",
        ]
        .map(|text| format!("{:?}", Arrival::Notice(text.as_bytes())));
        assert_eq!(said[6..9], notices);
        assert!(said[9].starts_with("Message(Stamp { number: 2,"));
    }

    proptest! {
        #[test]
        fn a_length_is_read_as_it_was_written(length in 0_usize..100_000) {
            let mut out = Vec::new();
            put_packet(&mut out, PUBLISH, &[&vec![0; length]]);
            prop_assert_eq!(remaining_length(&out).unwrap(), (length, out.len() - length));
        }
    }

    #[test]
    fn an_identifier_is_one_that_every_broker_takes() {
        let mut out = Vec::new();
        let hello = Hello {
            identity: &Identity {
                run: u32::MAX,
                ..identity_of(Protocol::Mqtt)
            },
            name: "load-1999999",
            receives: false,
            after: None,
        };
        Mqtt::put_hello(&mut out, &hello);
        let identifier = &out[14..out.len() - PINGREQ.len()];
        assert_eq!(identifier, b"ffffffffload1999999");
        assert!(identifier.len() <= 23);
    }

    #[test]
    fn what_is_not_mqtt_is_an_error_that_says_so() {
        let identity = identity_of(Protocol::Mqtt);
        assert!(fault(&identity, b"\x00\x00").starts_with("what came is not mqtt"));
        assert!(fault(&identity, b"\x30\xff\xff\xff\xff").contains("up to 4 bytes"));
        assert!(fault(&identity, b"\x30\xff\xff\xff\x7f").contains("over the limit"));
        assert!(fault(&identity, b"\x32\x03\x00\x01a").contains("QoS"));
        assert!(fault(&identity, b"\x30\x03\x00\x09a").contains("within its packet"));
    }
}
