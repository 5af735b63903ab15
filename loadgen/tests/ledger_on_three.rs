//! The ledger, on three threads: every test of `ledger.rs` holds there as well.

#[path = "ledger.rs"]
mod ledger;
