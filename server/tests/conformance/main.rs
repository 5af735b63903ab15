//! What the server promises, checked from outside on every driver, on one thread and on three.
//!
//! A test is a function of a [`Setup`](support::Setup); `on_every_driver!` makes one test of it for
//! each way of running a server, such as `order::epoll_on_3_threads::all_receivers_see_one_order`.
//! Peers are plain blocking sockets that share no code with the server. Nothing sleeps, but for a freeze: a
//! test waits for bytes, with a deadline that only a server that hangs can reach.
//!
//! Where the kernel has no io_uring: `cargo test -p server --test conformance epoll`.

#![allow(clippy::unwrap_used, reason = "a test may fail this way")]

#[macro_use]
mod support;

mod admission;
mod backpressure;
mod chat;
mod churn;
mod confinement;
mod descriptors;
mod framing;
mod freeze;
mod hostile;
mod hostile_peers;
mod metrics;
mod order;
mod page;
mod pinning;
mod presence;
mod prometheus;
mod reload;
mod shutdown;
mod slow;
mod web;
mod wires;
