//! HTTP/1.1 as a client speaks it: requests of one write, and what a server answers.

use httparse::{EMPTY_HEADER, Status};
use record::Protocol;

use super::codec::Undecodable;
use super::packets::{Packet, Stop, payload};

/// The first byte of an answer; no event stream and no WebSocket frame of a server begins so.
pub(super) const ANSWER_BEGINS: u8 = b'H';

/// The longest head that is read.
const HEAD_BYTES_MAX: usize = 16 * 1024;

const HEADERS_MAX: usize = 64;

/// The head of an answer.
#[derive(Debug)]
pub(super) struct Answer<'a> {
    pub(super) status: u16,
    /// Of the head.
    pub(super) bytes: usize,
    headers: Vec<httparse::Header<'a>>,
}

impl Answer<'_> {
    /// The value of a header.
    pub(super) fn header(&self, name: &str) -> Option<&[u8]> {
        let mut headers = self.headers.iter();
        let header = headers.find(|header| header.name.eq_ignore_ascii_case(name));
        header.map(|header| header.value)
    }

    /// The whole answer as a packet of this kind, the body as its body. Where there is none, the status
    /// line is.
    pub(super) fn whole<K>(&self, bytes: &[u8], kind: K) -> Result<Packet<K>, Stop> {
        let length = self.header("content-length").map_or(Some(0), |value| {
            str::from_utf8(value).ok()?.trim().parse().ok()
        });
        let length = length.ok_or(malformed(Protocol::Events, "a body has a length"))?;
        let body = payload(bytes, self.bytes, length)?;
        let line = bytes.iter().position(|&byte| byte == b'\r').unwrap_or(0);
        Ok(Packet {
            kind,
            bytes: body.end,
            body: if body.is_empty() { 0..line } else { body },
        })
    }
}

/// The head of an answer at the head of `bytes`.
pub(super) fn answer(bytes: &[u8], protocol: Protocol) -> Result<Answer<'_>, Stop> {
    let mut headers = vec![EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Response::new(&mut headers);
    match parsed.parse(bytes) {
        Ok(Status::Complete(head_bytes)) => Ok(Answer {
            status: parsed.code.unwrap_or_default(),
            bytes: head_bytes,
            headers: parsed.headers.to_vec(),
        }),
        Ok(Status::Partial) if bytes.len() < HEAD_BYTES_MAX => Err(Stop::OpenLine),
        Ok(Status::Partial) => Err(malformed(protocol, "a head has up to 16 KiB")),
        Err(_) => Err(malformed(protocol, "an answer is HTTP/1.1")),
    }
}

fn malformed(protocol: Protocol, what: &'static str) -> Stop {
    Stop::Undecodable(Undecodable::Malformed { protocol, what })
}
