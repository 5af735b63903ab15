//! The latencies, on three threads: every test of `latency.rs` holds there as well.

#[path = "latency.rs"]
mod latency;
