//! Hostile clients: what a server must survive, beside the well-behaved clients whose figures show
//! whether it did.
//!
//! They run on a thread and connections of their own (`clients`), and enter none of the run's figures.
//! Their outcome is told by kind, with the server's own words. They join with the warm-up and end with
//! the run.

mod args;
mod client;
mod clients;
mod web;

pub(crate) use args::{HostileArgs, HostilePlan};
pub(crate) use clients::HostileClients;
