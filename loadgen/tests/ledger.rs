//! The ledger against servers that do one thing wrong: every count comes out exactly.

mod support;

use serde_json::{Value, json};
use support::{Action, Faults, RelayServer, faults_of, measure};

/// 12 clients, 100 measured messages of one author: 1,100 deliveries.
const ONE_SENDER: &str =
    "--clients 12 --senders 1 --rate 200 --duration 500ms --warmup 0s --drain-timeout 1s";

/// 12 clients, 20 messages of warm-up and 100 measured ones, of all clients: 1,100 deliveries.
const ALL_SEND: &str = "--clients 12 --rate 200 --duration 500ms --warmup 100ms --drain-timeout 1s";

fn faulty(action: impl FnMut(support::Delivery) -> Action + Send + 'static) -> RelayServer {
    RelayServer::start(Faults {
        action: Box::new(action),
        ..Faults::default()
    })
}

fn problems_of(report: &Value) -> String {
    report["problems"].to_string()
}

#[test]
fn a_correct_server_has_a_clean_ledger() {
    let server = RelayServer::start(Faults::default());
    let (code, report) = measure(&server, ALL_SEND);
    assert_eq!((code, &report["valid"]), (0, &json!(true)), "{report:#}");
    assert_eq!(report["problems"], json!([]));
    assert_eq!(report["expected"], json!(1100));
    assert_eq!(report["delivered"], json!(1100));
    assert_eq!(report["messages"], json!(100));
    assert_eq!(report["warmup"]["delivered"], json!(220));
    assert_eq!(faults_of(&report), json!({}));
    assert_eq!(report["deliveries_per_second"], json!(2200.0));
}

#[test]
fn every_dropped_delivery_is_lost_and_nothing_else() {
    let server = faulty(|delivery| match delivery.message * 11 + delivery.receiver {
        pick if pick % 50 == 7 => Action::Drop,
        _ => Action::Deliver,
    });
    let (code, report) = measure(&server, ONE_SENDER);
    let dropped = server.misdeeds();
    assert!(dropped > 10);
    assert_eq!(code, 3);
    assert_eq!(
        faults_of(&report),
        json!({"lost": dropped, "lost_while_connected": dropped})
    );
    assert_eq!(report["delivered"], json!(1100 - dropped));
}

#[test]
fn every_duplicate_is_counted_even_the_very_last() {
    let server = faulty(|delivery| match delivery.message {
        message if message % 10 == 9 => Action::Twice,
        _ => Action::Deliver,
    });
    let (code, report) = measure(&server, ONE_SENDER);
    assert_eq!(server.misdeeds(), 110);
    assert_eq!(code, 3);
    assert_eq!(faults_of(&report), json!({"duplicated": 110}));
    assert_eq!(report["delivered"], json!(1100));
}

#[test]
fn every_swap_of_two_messages_of_an_author_is_one_reordering() {
    let server = faulty(|delivery| match delivery.message {
        message if message % 25 == 3 && delivery.receiver % 2 == 1 => Action::Hold,
        _ => Action::Deliver,
    });
    let (code, report) = measure(&server, ONE_SENDER);
    let swaps = server.misdeeds();
    assert!(swaps >= 4 * 5);
    assert_eq!(code, 3);
    assert_eq!(faults_of(&report), json!({"reordered": swaps}));
}

#[test]
fn a_changed_byte_anywhere_is_corrupt_and_so_not_a_delivery() {
    let server = faulty(|delivery| match delivery.message {
        // In the tag, in the number, in the checksum, in the padding, and in the name.
        10 => Action::Corrupt(3),
        20 => Action::Corrupt(12),
        30 => Action::Corrupt(50),
        40 => Action::Corrupt(63),
        50 => Action::CorruptName(2),
        60 => Action::CorruptName(9),
        _ => Action::Deliver,
    });
    let (code, report) = measure(&server, ONE_SENDER);
    let corrupt = server.misdeeds();
    assert_eq!((code, corrupt), (3, 66));
    assert_eq!(
        faults_of(&report),
        json!({"corrupt": corrupt, "lost": corrupt, "lost_while_connected": corrupt})
    );
}

#[test]
fn a_message_back_to_its_author_is_an_echo() {
    let server = RelayServer::start(Faults {
        echo: true,
        ..Faults::default()
    });
    let (code, report) = measure(&server, ONE_SENDER);
    assert_eq!(code, 3);
    assert_eq!(faults_of(&report), json!({"echoed": 100}));
}

#[test]
fn a_fault_in_the_warm_up_makes_a_run_invalid_but_is_not_among_the_measured() {
    let server = faulty(|delivery| match delivery.message {
        4 => Action::Drop,
        _ => Action::Deliver,
    });
    let (code, report) = measure(&server, ALL_SEND);
    assert_eq!(code, 3);
    assert_eq!(faults_of(&report), json!({}));
    assert_eq!(report["warmup"]["lost_while_connected"], json!(11));
    assert!(problems_of(&report).contains("the warm-up was not clean: 11 lost"));
}

#[test]
fn what_an_evicted_client_misses_is_told_from_what_was_lost() {
    let server = faulty(|delivery| match (delivery.message, delivery.receiver) {
        (10, 5) => Action::Drop,
        (40, 5 | 6) => Action::Evict("closing: 40 messages behind"),
        _ => Action::Deliver,
    });
    let (code, report) = measure(&server, ONE_SENDER);
    assert_eq!(code, 3);
    let missed = 2 * 60;
    assert_eq!(
        faults_of(&report),
        json!({
            "lost": missed + 1,
            "lost_while_connected": 1,
            "lost_to_disconnects": missed,
        })
    );
    assert_eq!(report["departures"]["closed"], json!(2));
    let notices = &report["departures"]["notices"];
    assert_eq!(
        notices["closing: N messages behind"],
        json!({"count": 2, "example": "closing: 40 messages behind"})
    );
    assert!(problems_of(&report).contains("2 clients were disconnected"));
}

#[test]
fn a_torn_message_is_told_from_an_orderly_close() {
    let server = faulty(|delivery| match (delivery.message, delivery.receiver) {
        (40, 5) => Action::Tear,
        (50, 6) => Action::Evict("closing: enough"),
        _ => Action::Deliver,
    });
    let (code, report) = measure(&server, ONE_SENDER);
    assert_eq!(code, 3);
    assert_eq!(report["departures"]["torn"], json!(1), "{report:#}");
    assert_eq!(report["departures"]["closed"], json!(1));
}

#[test]
fn a_run_whose_clients_are_all_gone_is_cut_short() {
    let server = faulty(|delivery| match delivery.message {
        20 => Action::Evict("closing: shutting down"),
        _ => Action::Deliver,
    });
    let (code, report) = measure(&server, ONE_SENDER);
    assert_eq!(code, 3);
    assert!(problems_of(&report).contains("cut short"));
    assert_eq!(report["departures"]["closed"], json!(11));
}

#[test]
fn one_dropped_in_a_thousand_is_exactly_that() {
    // 20 receivers of 200 messages: 4,000 deliveries.
    let flags = "--clients 21 --senders 1 --rate 400 --duration 500ms --warmup 0s";
    let mut offered = 0;
    let server = faulty(move |_| {
        offered += 1;
        if offered % 1000 == 500 {
            Action::Drop
        } else {
            Action::Deliver
        }
    });
    let (code, report) = measure(&server, &format!("{flags} --drain-timeout 1s"));
    assert_eq!(code, 3);
    assert_eq!(report["expected"], json!(4000));
    assert_eq!(
        faults_of(&report),
        json!({"lost": 4, "lost_while_connected": 4})
    );
}

#[test]
fn a_server_that_lets_go_of_everybody_is_told_from_one_that_loses_clients() {
    let server = faulty(|delivery| match delivery.message {
        50.. => Action::Evict("closing: shutting down"),
        _ => Action::Deliver,
    });
    let (code, report) = measure(&server, ALL_SEND);
    assert_eq!(code, 3);
    let problems = problems_of(&report);
    assert!(
        problems.contains(" of 12 clients were disconnected, so the server ended"),
        "{problems}"
    );
    assert!(problems.contains("shutting down"), "{problems}");
}

#[test]
fn one_that_gets_another_order_than_the_others_is_found_though_each_author_is_in_order() {
    let server = RelayServer::start(Faults {
        action: Box::new(|delivery| match (delivery.message, delivery.receiver) {
            (7 | 31, 0) => Action::Hold,
            _ => Action::Deliver,
        }),
        ..Faults::default()
    });
    let flags = "--clients 60 --rate 100 --duration 500ms --warmup 0s --seed 5";
    let (code, report) = measure(&server, flags);
    assert_eq!(report["disordered"], json!(1), "{report:#}");
    assert_eq!(report["reordered"], json!(0));
    assert_eq!(code, 3);
    let problem = report["problems"][0].to_string();
    assert!(
        problem.contains("another order than the others"),
        "{problem}"
    );
}
