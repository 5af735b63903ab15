//! The ledger over WebSocket: every test of `ledger.rs` holds there as well.

#[path = "ledger.rs"]
mod ledger;
