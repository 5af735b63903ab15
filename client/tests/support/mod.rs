//! What the tests of the client need: servers to talk to, processes and terminals to run it in.
//! Everything waits for events, with one generous deadline.

#![allow(dead_code, reason = "each test program uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test may fail this way")]

pub(crate) mod process;
pub(crate) mod pty;
pub(crate) mod server;
pub(crate) mod tutorial;
pub(crate) mod websocket;

use std::time::Duration;

/// Nothing here takes so long unless it hangs.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);
