//! The client in a real (pseudo-)terminal, as a person drives it.
//!
//! An emulator draws what the client writes, and a test waits for what a person would see. Nothing
//! sleeps, but where a pace is what is tested.

#[path = "../support/mod.rs"]
mod support;

mod chat;
mod display;
mod editing;
mod ending;
mod history;
mod streams;
