//! What the tests are made of: servers in this process and as a program, and peers that talk to
//! them.

#[macro_use]
mod setup;

mod attack;
mod gathering;
mod http;
mod memory;
mod message;
mod peer;
mod program;
mod roster;
mod served;
mod tutorial;
mod web;

use std::time::Duration;

pub(crate) use attack::{ATTACKERS, Attack, beside};
pub(crate) use gathering::{gather, introduce};
pub(crate) use http::{get, samples, send};
pub(crate) use message::{Message, counted_text, said};
pub(crate) use peer::{End, Peer, frame};
pub(crate) use program::Program;
pub(crate) use roster::Roster;
pub(crate) use served::Served;
pub(crate) use server::{Driver, hub::Reason};
pub(crate) use setup::Setup;
pub(crate) use tutorial::Tutorial;
pub(crate) use web::{Requests, UPGRADE, WebPeer, masked, post};

/// Nothing takes so long unless it hangs.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);
