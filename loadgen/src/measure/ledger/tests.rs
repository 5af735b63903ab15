//! What a ledger books, of all clients and of parts of them.

use super::*;

/// A ledger in which the given authors' messages have all been sent.
pub(super) fn ledger_of(clients: u32, warmup_messages: u32, authors: &[u32]) -> Ledger {
    let mut ledger = empty(clients, 0..clients, warmup_messages, authors);
    send_all(&mut ledger);
    ledger
}

fn empty(clients: u32, here: Range<u32>, warmup_messages: u32, authors: &[u32]) -> Ledger {
    let extent = Extent {
        clients,
        publishers: 0,
        here,
        own_copies: OwnCopies::Never,
    };
    Ledger::new(extent, authors.iter().copied(), warmup_messages)
}

/// Sends the messages of all authors that belong here.
fn send_all(ledger: &mut Ledger) {
    let here = ledger.first_client..ledger.first_client + ledger.receivers;
    for number in 0..u32::try_from(ledger.messages.len()).unwrap() {
        if here.contains(&ledger.messages[number as usize].author) {
            ledger.due(number);
            ledger.sent(number);
        }
    }
}

/// Delivers message `number` to `receiver` with the stamp its author would have written.
pub(super) fn deliver(ledger: &mut Ledger, receiver: u32, number: u32, now_ns: u64) -> Receipt {
    let previous = ledger
        .messages
        .iter()
        .position(|message| message.next == Some(number))
        .map(|previous| u32::try_from(previous).unwrap());
    let stamp = Stamp {
        number,
        previous,
        intended_ns: 0,
        sent_ns: 0,
    };
    ledger.receive(receiver, &stamp, now_ns)
}

#[test]
fn a_message_names_the_authors_previous() {
    let mut ledger = empty(3, 0..3, 0, &[2, 1, 2, 2]);
    let previous = [0, 1, 2, 3].map(|number| ledger.due(number));
    assert_eq!(previous, [None, None, Some(0), Some(2)]);
}

/// Three ledgers of two clients each, which together are to say what one of six says.
#[test]
fn ledgers_of_parts_add_up_to_that_of_the_whole() {
    let authors = [0, 3, 3, 5, 1, 3];
    let mut whole = ledger_of(6, 2, &authors);
    let mut parts = [0..2, 2..4, 4..6].map(|here| empty(6, here, 2, &authors));
    parts.iter_mut().for_each(send_all);
    // Client 4 misses message 1, client 2 goes after message 3, client 0 has message 2 twice.
    for number in 0..6 {
        for receiver in 0..6 {
            if (receiver, number) == (4, 1) || (receiver == 2 && number > 3) {
                continue;
            }
            let times = if (receiver, number) == (0, 2) { 2 } else { 1 };
            for _ in 0..times {
                deliver(&mut whole, receiver, number, 7);
                deliver(&mut parts[receiver as usize / 2], receiver, number, 7);
            }
        }
    }
    whole.disconnected(2);
    parts[1].disconnected(2);
    let [mut first, second, third] = parts;
    first.join(second);
    first.join(third);
    assert_eq!(first.balance(), whole.balance());
    assert_eq!(first.audit(), whole.audit());
    assert_eq!(first.audit().measured.lost_while_connected, 0);
    assert_eq!(first.audit().measured.lost_to_disconnects, 2);
    assert_eq!(first.audit().warmup.lost_while_connected, 1);
}

#[test]
fn a_part_hands_over_its_times_when_all_its_clients_have_a_message() {
    let mut part = empty(6, 2..4, 0, &[0, 3]);
    assert!(matches!(
        deliver(&mut part, 2, 0, 5),
        Receipt::Fresh {
            reach: Reach::Some,
            ..
        }
    ));
    let reach = |receipt| match receipt {
        Receipt::Fresh { reach, .. } => reach,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        reach(deliver(&mut part, 3, 0, 9)),
        Reach::AllHere(vec![5, 9])
    );
    assert_eq!(
        reach(deliver(&mut part, 2, 1, 11)),
        Reach::AllHere(vec![11])
    );
}

#[test]
fn completion_names_the_first_the_median_and_the_last_receiver() {
    let mut ledger = ledger_of(6, 0, &[0]);
    let receipts: Vec<_> = (1..6)
        .map(|receiver| deliver(&mut ledger, receiver, 0, u64::from(receiver) * 10))
        .collect();
    let unfinished = Receipt::Fresh {
        measured: true,
        reach: Reach::Some,
    };
    assert!(receipts[..4].iter().all(|receipt| *receipt == unfinished));
    assert_eq!(
        receipts[4],
        Receipt::Fresh {
            measured: true,
            reach: Reach::All(Completion {
                first_ns: 10,
                median_ns: 30,
                last_ns: 50,
            })
        }
    );
}

#[test]
fn duplicates_echoes_and_unknown_numbers_are_told_apart() {
    let mut ledger = ledger_of(3, 0, &[0]);
    deliver(&mut ledger, 1, 0, 1);
    assert_eq!(deliver(&mut ledger, 1, 0, 2), Receipt::Duplicate);
    assert_eq!(deliver(&mut ledger, 0, 0, 3), Receipt::Echo);
    assert_eq!(deliver(&mut ledger, 1, 1, 4), Receipt::NeverSent);
}

#[test]
fn outstanding_counts_what_is_owed_to_those_present() {
    let mut ledger = ledger_of(4, 0, &[0, 1]);
    assert_eq!(ledger.balance().outstanding(), 6);
    deliver(&mut ledger, 2, 0, 1);
    assert_eq!(ledger.balance().outstanding(), 5);
    ledger.disconnected(2);
    assert_eq!(
        ledger.balance().outstanding(),
        4,
        "client 2 was owed message 1"
    );
    ledger.disconnected(0);
    assert_eq!(
        ledger.balance().outstanding(),
        3,
        "client 0 was owed message 1"
    );
    for (receiver, number) in [(1, 0), (3, 0), (3, 1)] {
        deliver(&mut ledger, receiver, number, 2);
    }
    assert_eq!(ledger.balance().outstanding(), 0);
}

#[test]
fn what_publishers_send_is_owed_to_every_client() {
    let extent = Extent {
        clients: 3,
        publishers: 2,
        here: 0..5,
        own_copies: OwnCopies::Never,
    };
    let mut ledger = Ledger::new(extent, [3, 4].into_iter(), 0);
    for number in 0..2 {
        ledger.due(number);
        ledger.sent(number);
    }
    assert_eq!(ledger.balance().outstanding(), 6);
    for receiver in 0..3 {
        assert!(matches!(
            deliver(&mut ledger, receiver, 0, 5),
            Receipt::Fresh { reach, .. } if (reach == Reach::Some) == (receiver < 2)
        ));
    }
    let state = |ledger: &Ledger| (ledger.balance().present, ledger.balance().outstanding());
    ledger.disconnected(3);
    assert_eq!(state(&ledger), (3, 3));
    ledger.disconnected(0);
    assert_eq!(state(&ledger), (2, 2));
    let measured = ledger.audit().measured;
    assert_eq!((measured.expected, measured.delivered), (6, 3));
    assert_eq!(measured.lost(), 3);
    assert_eq!(measured.lost_to_disconnects, 1);
}

#[test]
fn own_copies_are_owed_where_they_are_expected() {
    let extent = Extent {
        clients: 3,
        publishers: 0,
        here: 0..3,
        own_copies: OwnCopies::Owed,
    };
    let mut ledger = Ledger::new(extent, [0, 1].into_iter(), 0);
    send_all(&mut ledger);
    assert_eq!(ledger.balance().outstanding(), 6);
    for receiver in 0..3 {
        assert!(matches!(
            deliver(&mut ledger, receiver, 0, 5),
            Receipt::Fresh { reach, .. } if (reach == Reach::Some) == (receiver < 2)
        ));
    }
    ledger.disconnected(2);
    assert_eq!(ledger.balance().outstanding(), 2);
    let measured = ledger.audit().measured;
    assert_eq!((measured.expected, measured.delivered), (6, 3));
    assert_eq!((measured.lost(), measured.lost_to_disconnects), (3, 1));
    assert_eq!(measured.echoed, 0);
}

#[test]
fn own_copies_that_may_come_are_no_deliveries_and_come_once() {
    let extent = Extent {
        clients: 3,
        publishers: 0,
        here: 0..3,
        own_copies: OwnCopies::Perhaps,
    };
    let mut ledger = Ledger::new(extent, [0].into_iter(), 0);
    send_all(&mut ledger);
    assert_eq!(deliver(&mut ledger, 0, 0, 1), Receipt::Returned);
    assert_eq!(deliver(&mut ledger, 0, 0, 2), Receipt::Duplicate);
    assert_eq!(ledger.balance().outstanding(), 2);
    deliver(&mut ledger, 1, 0, 3);
    let measured = ledger.audit().measured;
    assert_eq!((measured.expected, measured.delivered), (2, 1));
    assert_eq!((measured.lost(), measured.duplicated), (1, 1));
}
