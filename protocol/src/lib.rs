//! The wire format that the server, the load generator and the client share.
//!
//! A frame is a header of exactly [`HEADER_BYTES`] ASCII bytes that says how many payload bytes
//! follow, then the payload. A client's first frame is its name, every later one a message. The
//! server relays a message as two frames back to back: the author's name, then the message.
//!
//! This crate knows bytes only: no sockets, no clock, no `unsafe`.
//!
//! * [`header`] says and reads a payload's length.
//! * [`frame`] builds frames once, as shared [`bytes::Bytes`].
//! * [`Decoder`] takes a stream apart again, however it was cut.
//! * [`json`] is what WebSocket and event streams carry, and [`Position`] says how far one has got.
//! * [`presence`] words what the server says about who comes and goes.
//! * [`websocket`] takes and makes the frames of RFC 6455.
//! * [`text`] decides which names and messages are fit to be relayed.

#![forbid(unsafe_code)]

pub mod decoder;
pub mod frame;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzz;
pub mod header;
pub mod json;
pub mod position;
pub mod presence;
pub mod text;
pub mod websocket;

pub use decoder::{DecodeError, Decoder};
pub use header::{HEADER_BYTES, HeaderError};
pub use position::Position;
pub use text::{MessageError, NameError, SERVER_NAME};
