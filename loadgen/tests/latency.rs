//! The latencies against servers whose delays are known: the figures come out as they must.

mod support;

use std::thread;
use std::time::Duration;

use support::{Action, Faults, RelayServer, measure};

#[test]
fn a_delay_of_the_server_is_found_in_the_latencies() {
    let server = RelayServer::start(Faults {
        delay: Duration::from_millis(20),
        ..Faults::default()
    });
    // Far enough apart that the delays do not add up.
    let flags = "--clients 5 --rate 20 --duration 2s --warmup 0s";
    let (code, report) = measure(&server, flags);
    assert_eq!(code, 0, "{report:#}");
    for latency in ["delivery", "delivery_from_send", "completion"] {
        let p50 = report["latency_ms"][latency]["p50"].as_f64().unwrap();
        // No delivery can be faster; three digits are kept.
        assert!(p50 >= 20.0 * 0.999, "{latency} {p50}");
        let waited = server.median_delay_ms();
        assert!(p50 < waited + 10.0, "{latency} {p50}, waited {waited}");
    }
}

/// A generator that waited for the server would send nothing during the stall, and see one slow
/// message where there were a hundred.
#[test]
fn a_stall_is_seen_by_every_message_that_was_due_in_it() {
    let stall = Duration::from_secs(1);
    let mut stalled = false;
    let server = RelayServer::start(Faults {
        action: Box::new(move |delivery| {
            if delivery.message == 50 && !stalled {
                stalled = true;
                thread::sleep(stall);
            }
            Action::Deliver
        }),
        ..Faults::default()
    });
    let flags = "--clients 5 --rate 100 --duration 2s --warmup 0s";
    let (code, report) = measure(&server, flags);
    assert_eq!(code, 0, "{report:#}");
    // Message 50 waits for the whole stall, and each later one for 10 ms less.
    let mut waits_ms: Vec<f64> = (0..200)
        .map(|message| match message {
            50..150 => 1000.0 - 10.0 * f64::from(message - 50),
            _ => 0.0,
        })
        .collect();
    waits_ms.sort_by(f64::total_cmp);
    for (percentile, rank) in [("p50", 100), ("p90", 180), ("p99", 198), ("max", 200)] {
        let found = report["latency_ms"]["completion"][percentile].as_f64();
        let (found, predicted) = (found.unwrap(), waits_ms[rank - 1]);
        // Nothing can be faster; how much slower it is, is the business of whatever else runs here.
        let tolerated = predicted * 0.999 - 1.0..predicted + 250.0;
        assert!(
            tolerated.contains(&found),
            "{percentile} {found}, not {predicted}"
        );
    }
}
