//! Torture: herds, churn, cut lines, killed clients and backlogs, each beside healthy clients that
//! miss nothing, and with descriptors and memory back where they were when it is over.
//!
//! The ordinary tests are short. `URINGCAST_TORTURE=10min cargo test -p server --test torture`
//! has herds come back, and guests come and go, for that long, shared among the drivers;
//! `URINGCAST_TORTURE_DRIVER=uring` beside it leaves all of it to one. Tests need the limit on open files
//! to be 10,600 at least, and the rights to make a network namespace; without them they say so and are
//! skipped.

#![allow(clippy::unwrap_used, reason = "a test may fail this way")]

#[allow(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "conformance uses more of it"
)]
#[macro_use]
#[path = "../conformance/support/mod.rs"]
mod support;

mod backlog;
mod baseline;
mod churn;
mod ending;
mod half_open;
mod herds;
