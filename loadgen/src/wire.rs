//! The wire: the protocols that can be spoken, a file each, and what a client's stream holds in any of
//! them. Bytes only: no socket, no clock, nothing of the run.
//!
//! Besides uringcast's own there are those of three brokers, so that any of them can be measured by
//! the same schedule, ledger and verdict. With a broker, clients subscribe and publishers of their
//! own send: a Redis connection that subscribes cannot publish, an MQTT 3.1.1 subscriber would be
//! sent its own messages, and for NATS, which could do both, the load is to be the same.
//!
//! `stamp` and `names` mark a message, `identity` recognizes it, `packets` is what the brokers'
//! protocols share, `inbox` and `outbox` are the two directions of one client.

pub(crate) mod codec;
pub(crate) mod disconnects;
pub(crate) mod identity;
pub(crate) mod inbox;
mod mqtt;
mod names;
mod nats;
pub(crate) mod outbox;
mod packets;
pub(crate) mod recent;
mod redis;
pub(crate) mod stamp;
mod uringcast;
