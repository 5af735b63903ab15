//! What is a problem, what is a note, and how each is said.

use super::*;

fn percentiles(p99: f64, count: u64) -> Percentiles {
    Percentiles {
        p99: Some(p99),
        count,
        ..Percentiles::default()
    }
}

const IDLE: GeneratorThread = GeneratorThread {
    busy_share: 0.5,
    ran_share: Some(0.48),
    waited_share: Some(0.02),
    turn_ms: Percentiles {
        p50: None,
        p90: None,
        p99: Some(1.0),
        p999: None,
        max: None,
        mean: None,
        count: 5000,
    },
};

const BUSY: GeneratorThread = GeneratorThread {
    busy_share: 1.0,
    ran_share: Some(0.97),
    ..IDLE
};

fn good() -> Evidence<'static> {
    let measured = Account {
        sent: 1000,
        expected: 9000,
        delivered: 9000,
        ..Account::default()
    };
    Evidence {
        audit: Audit {
            measured,
            ..Audit::default()
        },
        corrupt: 0,
        foreign: 0,
        clients: 10,
        publishers: 0,
        receivers: 9,
        keeps_one_order: true,
        order: Order::default(),
        disconnected: 0,
        publishers_disconnected: 0,
        disconnects_in_words: "",
        completed: true,
        cut_short: None,
        server_ended: false,
        cuts: Cuts::default(),
        rate_requested: 100.0,
        rate_achieved: 100.0,
        messages: 1000,
        delivery: percentiles(20.0, 9000),
        completion: percentiles(30.0, 1000),
        send_lag: percentiles(0.1, 1000),
        unrecorded: Unrecorded::default(),
        threads: &[IDLE],
        backlog_at_end: 10,
    }
}

fn only_problem(evidence: &Evidence<'_>) -> Problem {
    let mut found = problems(evidence);
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

#[test]
fn a_clean_run_is_valid_and_needs_no_note() {
    assert_eq!(problems(&good()), []);
    assert_eq!(notes(&good()), []);
}

#[test]
fn each_entry_of_the_ledger_is_a_problem_of_its_own() {
    let mut evidence = good();
    evidence.audit.measured.lost_while_connected = 2;
    evidence.audit.measured.duplicated = 1;
    evidence.audit.measured.reordered = 3;
    evidence.audit.measured.echoed = 4;
    evidence.audit.measured.unsent = 5;
    evidence.corrupt = 6;
    let said: Vec<_> = problems(&evidence).iter().map(Problem::to_string).collect();
    assert_eq!(
        said,
        [
            "2 deliveries were lost: 2 while all concerned were connected, 0 to disconnects",
            "1 delivery was duplicated",
            "3 deliveries were ahead of the previous message of the same author",
            "6 deliveries were corrupt",
            "4 deliveries were made to the author",
            "5 messages were due and could not be sent before the run ended",
        ]
    );
}

#[test]
fn a_fault_in_the_warm_up_is_a_problem_too() {
    let mut evidence = good();
    evidence.audit.warmup.duplicated = 1;
    assert!(matches!(only_problem(&evidence), Problem::WarmUp(_)));
}

#[test]
fn a_schedule_slips_when_more_than_one_message_in_a_hundred_is_late() {
    let mut evidence = good();
    evidence.rate_achieved = 99.0;
    assert_eq!(problems(&evidence), []);
    evidence.rate_achieved = 98.9;
    evidence.send_lag.p99 = Some(140.0);
    assert_eq!(
        only_problem(&evidence).to_string(),
        "the schedule slipped: 98.9 of 100 messages a second were sent on time, which is within 100 ms; p99 of the send lag is 140 ms"
    );
}

#[test]
fn a_busy_loop_is_a_problem_only_together_with_a_backlog() {
    let mut evidence = good();
    evidence.threads = &[IDLE, BUSY];
    assert_eq!(problems(&evidence), []);
    evidence.backlog_at_end = 3000;
    assert_eq!(
        only_problem(&evidence).to_string(),
        "the load generator was the bottleneck: thread 2 of 2 worked 100 % of the time, in turns of up to 1.00 ms (p99), and fell behind"
    );
}

#[test]
fn a_thread_that_others_kept_from_running_is_not_called_the_bottleneck() {
    let mut evidence = good();
    let starved = [GeneratorThread {
        ran_share: Some(0.55),
        waited_share: Some(0.43),
        ..BUSY
    }];
    evidence.threads = &starved;
    assert_eq!(
        problems(&evidence),
        [],
        "as long as nothing came late of it"
    );
    evidence.backlog_at_end = 3000;
    assert_eq!(
        only_problem(&evidence).to_string(),
        "other processes took the CPU: the load generator ran 55 % of the time, and was ready to run and did not 43 % of it; end them, or give it a core of its own"
    );
}

#[test]
fn a_backlog_beside_an_idle_generator_is_the_servers() {
    let mut evidence = good();
    evidence.backlog_at_end = 2250;
    assert_eq!(problems(&evidence), []);
    assert!(matches!(
        notes(&evidence)[..],
        [Note::FellBehind {
            deliveries: 2250,
            ..
        }]
    ));
    evidence.backlog_at_end = 2700;
    assert_eq!(
        only_problem(&evidence).to_string(),
        "the server did not keep up: 2,700 deliveries (30 % of all, 3.0 s worth) were owed when the sending ended, so the latencies grow with --duration"
    );
    assert_eq!(notes(&evidence), []);
}

#[test]
fn percentiles_without_samples_are_a_problem() {
    let mut evidence = good();
    evidence.delivery.count = 99;
    assert_eq!(
        only_problem(&evidence),
        Problem::TooFewSamples { count: 99 }
    );
}

#[test]
fn lost_clients_are_named_with_what_the_server_said() {
    let mut evidence = good();
    evidence.disconnected = 1;
    evidence.disconnects_in_words = "1 closed by the server, 1 x \"closing: slow\"";
    assert_eq!(
        only_problem(&evidence).to_string(),
        "1 client was disconnected: 1 closed by the server, 1 x \"closing: slow\""
    );
    evidence.disconnected = 2;
    evidence.publishers_disconnected = 1;
    let said = only_problem(&evidence).to_string();
    assert!(said.starts_with("1 client and 1 publisher were disconnected: "));
    evidence.disconnected = 11;
    evidence.publishers = 2;
    let said = only_problem(&evidence).to_string();
    assert!(said.starts_with("10 of 10 clients and 1 of 2 publishers were disconnected, so"));
    evidence.publishers_disconnected = 0;
    evidence.disconnected = 9;
    evidence.disconnects_in_words = "9 closed by the server";
    assert_eq!(
        only_problem(&evidence).to_string(),
        "9 of 10 clients were disconnected, so the server ended, was restarted, or disconnected everybody: 9 closed by the server"
    );
}

#[test]
fn what_cannot_be_a_share_is_not_printed() {
    let mut evidence = good();
    evidence.audit.measured.expected = 100;
    evidence.audit.measured.delivered = 100;
    evidence.backlog_at_end = 20_000;
    let said = only_problem(&evidence).to_string();
    assert!(said.contains("20,000 deliveries (22.2 s worth)"), "{said}");
    assert!(!said.contains("% of all"), "{said}");
    evidence.backlog_at_end = 0;
    evidence.rate_achieved = 0.0;
    evidence.send_lag.p99 = None;
    assert_eq!(
        only_problem(&evidence).to_string(),
        "the schedule slipped: 0 of 100 messages a second were sent on time, which is within 100 ms"
    );
}

#[test]
fn another_order_is_a_problem_where_one_is_promised() {
    let mut evidence = good();
    evidence.order = Order {
        sampled: 8,
        disordered: 1,
    };
    assert_eq!(
        only_problem(&evidence).to_string(),
        "1 of 8 sampled clients received the messages in another order than the others"
    );
    evidence.keeps_one_order = false;
    assert_eq!(problems(&evidence), []);
}

#[test]
fn a_run_that_a_signal_cut_short_is_valid_and_says_so() {
    let mut evidence = good();
    evidence.cut_short = Some((2.5, Duration::from_secs(10)));
    assert_eq!(problems(&evidence), []);
    assert_eq!(
        notes(&evidence)[0].to_string(),
        "cut short by a signal after 2.5 s of 10s: rates and latencies are of that time"
    );
}
