//! The latencies against servers whose delays are known, by the servers' own clocks: the figures come
//! out as they must.
//!
//! The monotonic clock is one and the same in all processes, so the server's word can be taken to the
//! microsecond. What comes between its write and the load generator's read is the scheduler's doing:
//! a test that finds more of it than it allows tries again, while an instrument that is wrong would
//! be wrong every time.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to panic")]

mod support;

use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{Action, Faults, Passage, RelayServer, measure};

const ATTEMPTS: usize = 6;

/// Whether one of several attempts succeeds. The last one's complaint is shown if none does.
fn eventually(attempt: impl Fn() -> Result<(), String>) {
    let complaints: Vec<_> = (0..ATTEMPTS).map_while(|_| attempt().err()).collect();
    assert!(complaints.len() < ATTEMPTS, "{complaints:#?}");
}

fn milliseconds(report: &Value, latency: &str, percentile: &str) -> f64 {
    let found = &report["latency_ms"][latency][percentile];
    found.as_f64().unwrap_or_else(|| panic!("{report:#}"))
}

/// The value that `percent` of the samples, which are in order, do not exceed.
fn at_percentile(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted[rank - 1]
}

#[test]
fn a_delay_of_20_ms_is_found_within_a_millisecond() {
    eventually(|| {
        let server = RelayServer::start(Faults {
            delay: Duration::from_millis(20),
            ..Faults::default()
        });
        // Far enough apart that the delays do not add up.
        let flags = "--clients 6 --rate 20 --duration 2s --warmup 0s";
        let (code, report) = measure(&server, flags);
        if code != 0 {
            return Err(format!("exit status {code}: {}", report["problems"]));
        }
        let mut delays_ms: Vec<f64> = server
            .passages()
            .iter()
            .map(|passage| (passage.half_written - passage.received).as_secs_f64() * 1e3)
            .collect();
        delays_ms.sort_by(f64::total_cmp);
        let delayed_ms = at_percentile(&delays_ms, 50);
        assert!(delayed_ms >= 20.0);
        for latency in ["delivery", "delivery_from_send", "completion"] {
            let p50_ms = milliseconds(&report, latency, "p50");
            // No delivery can be faster, but three digits are kept.
            assert!(p50_ms >= 20.0 * 0.999, "{latency} {p50_ms}");
            if p50_ms > delayed_ms + 1.0 {
                return Err(format!("{latency} {p50_ms}, the server says {delayed_ms}"));
            }
        }
        Ok(())
    });
}

const STALLED_RATE: u32 = 100;
const STALL: Duration = Duration::from_secs(2);
const STALLED_MESSAGE: u64 = 50;

/// A generator that waited for the server would send nothing during the stall, and see one slow
/// message where there were two hundred.
#[test]
fn a_stall_is_seen_by_every_message_that_was_due_in_it() {
    eventually(|| {
        let mut stalled = false;
        let server = RelayServer::start(Faults {
            action: Box::new(move |delivery| {
                if delivery.message == STALLED_MESSAGE && !stalled {
                    stalled = true;
                    thread::sleep(STALL);
                }
                Action::Deliver
            }),
            ..Faults::default()
        });
        let flags = format!("--clients 6 --rate {STALLED_RATE} --duration 4s --warmup 0s");
        let (code, report) = measure(&server, &flags);
        if code != 0 {
            return Err(format!("exit status {code}: {}", report["problems"]));
        }
        let passages = server.passages();
        assert_eq!(passages.len(), 400);
        let (ideal, waited) = (ideal_waits_ms(passages.len()), waits_ms(&passages));
        for (name, percent) in [("p50", 50), ("p90", 90), ("p99", 99), ("max", 100)] {
            let found_ms = milliseconds(&report, "completion", name);
            // The mathematics of the stall alone: nothing can be faster.
            let ideal_ms = at_percentile(&ideal, percent);
            assert!(
                found_ms >= ideal_ms * 0.999 - 1.0,
                "{name} {found_ms} {ideal_ms}"
            );
            // With what the server's own clock says of each message: it is no slower either, but for
            // what a busy machine adds between the server's write and our read of the slowest few.
            let predicted_ms = at_percentile(&waited, percent);
            let tolerated_ms = predicted_ms * 1.01 + 2.0;
            if found_ms > tolerated_ms {
                return Err(format!("{name} {found_ms}, predicted {predicted_ms}"));
            }
        }
        Ok(())
    });
}

/// What each message waits if nothing but the stall takes time: the one that stalls for all of it,
/// and each later one for one interval less.
fn ideal_waits_ms(messages: usize) -> Vec<f64> {
    let interval_ms = 1e3 / f64::from(STALLED_RATE);
    let mut waits_ms: Vec<f64> = (0..messages)
        .map(|message| match message as u64 {
            before if before < STALLED_MESSAGE => 0.0,
            after => (STALL.as_secs_f64() * 1e3 - interval_ms * (after - STALLED_MESSAGE) as f64)
                .max(0.0),
        })
        .collect();
    waits_ms.sort_by(f64::total_cmp);
    waits_ms
}

/// What each message waited by the server's clock, from when it was due. The schedule began when the
/// message that was the least late had come, less its intervals.
fn waits_ms(passages: &[Passage]) -> Vec<f64> {
    let due = |message: u32| Duration::from_secs(message.into()) / STALLED_RATE;
    let began: Instant = (0..)
        .zip(passages)
        .map(|(message, passage)| passage.received - due(message))
        .min()
        .unwrap();
    let mut waits_ms: Vec<f64> = (0..)
        .zip(passages)
        .map(|(message, passage)| (passage.written - (began + due(message))).as_secs_f64() * 1e3)
        .collect();
    waits_ms.sort_by(f64::total_cmp);
    waits_ms
}
