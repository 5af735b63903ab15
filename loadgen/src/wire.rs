//! The wire: the protocols that can be spoken, a file each, and what a client's stream holds in any of
//! them. Bytes only: no socket, no clock, nothing of the run.
//!
//! Besides uringcast's own (frames, WebSocket, events) there are those of three brokers, and WebSocket
//! as any server may speak it, so that any of them can be measured by the same schedule, ledger and
//! verdict. With a broker, clients subscribe and publishers of their own send: a Redis connection that
//! subscribes cannot publish, an MQTT 3.1.1 subscriber would be sent its own messages, and for NATS, which
//! could do both, the load is to be the same. A listener of events cannot send either.
//!
//! `stamp` and `names` mark a message, `identity` recognizes it, `packets` is what all but frames share,
//! `dialect` what other WebSocket servers expect, `inbox` and `outbox` are the two directions of one client.

pub(crate) mod codec;
pub(crate) mod dialect;
pub(crate) mod disconnects;
mod events;
mod http;
pub(crate) mod identity;
pub(crate) mod inbox;
mod mqtt;
pub(crate) mod names;
mod nats;
pub(crate) mod outbox;
mod packets;
pub(crate) mod recent;
mod redis;
pub(crate) mod stamp;
mod uringcast;
pub(crate) mod websocket;
