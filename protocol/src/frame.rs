//! Frames: a header and its payload, built once and shared by all who are sent them.

use bytes::{BufMut, Bytes, BytesMut};

use crate::header::{self, HEADER_BYTES};

/// One frame as it goes on the wire.
///
/// # Panics
/// When the payload is longer than a header can say: see [`header::encode`].
#[must_use]
pub fn encode(payload: &[u8]) -> Bytes {
    let mut wire = BytesMut::with_capacity(HEADER_BYTES + payload.len());
    put(&mut wire, payload);
    wire.freeze()
}

/// What every receiver of `message` is sent: the author's name and the message, two frames in one
/// contiguous buffer.
///
/// # Panics
/// When a payload is longer than a header can say: see [`header::encode`].
#[must_use]
pub fn broadcast(name: &[u8], message: &[u8]) -> Bytes {
    let mut wire = BytesMut::with_capacity(broadcast_bytes(name, message));
    put(&mut wire, name);
    put(&mut wire, message);
    wire.freeze()
}

/// How long [`broadcast`] of the same arguments is, in bytes.
#[must_use]
pub const fn broadcast_bytes(name: &[u8], message: &[u8]) -> usize {
    2 * HEADER_BYTES + name.len() + message.len()
}

/// Appends one frame to `wire`.
///
/// # Panics
/// When the payload is longer than a header can say: see [`header::encode`].
pub fn put(wire: &mut impl BufMut, payload: &[u8]) {
    wire.put_slice(&header::encode(payload.len()));
    wire.put_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broadcast_is_a_name_frame_and_a_message_frame() {
        let wire = broadcast(b"ann", b"hello");
        assert_eq!(&wire[..], b"3         ann5         hello");
        assert_eq!(wire.len(), broadcast_bytes(b"ann", b"hello"));
        assert_eq!(
            wire,
            [encode(b"ann"), encode(b"hello")].concat(),
            "two single frames say the same"
        );
    }

    #[test]
    fn an_empty_message_is_a_bare_header() {
        assert_eq!(&encode(b"")[..], b"0         ");
    }
}
