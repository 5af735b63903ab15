//! The audit: at the end of a run, every bit that is not set is explained.
//!
//! A delivery that never came is lost. It is put down to a disconnect when its receiver had been
//! disconnected and nothing proves that it was skipped before (the author's next message reached
//! that receiver), or when its author had been disconnected and nobody has it. Every other one was
//! lost while all concerned were connected.
//!
//! A gap in an author's order that was filled later was a reordering; one that never was is a loss.

use record::Account;

use super::{Ledger, OwnCopies};

/// What the ledger says in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Audit {
    /// The messages of the warm-up.
    pub(crate) warmup: Account,
    /// The measured messages.
    pub(crate) measured: Account,
}

impl Ledger {
    /// Explains every delivery that has not come. To be asked when nothing more can come.
    pub(crate) fn audit(&self) -> Audit {
        let mut accounts = [self.opening_account(false), self.opening_account(true)];
        let own_is_owed = self.own_copies == OwnCopies::Owed;
        let numbers = (0..).zip(&self.sent).filter(|&(_, &sent)| sent);
        for (number, _) in numbers {
            let author = self.messages[number as usize].author;
            let missing = self.received.missing(number);
            for receiver in missing.filter(|&receiver| receiver != author || own_is_owed) {
                self.book_loss(receiver, number, &mut accounts);
            }
        }
        let [warmup, measured] = accounts;
        Audit { warmup, measured }
    }

    fn opening_account(&self, measured: bool) -> Account {
        let tally = self.tallies[usize::from(measured)];
        Account {
            sent: tally.sent,
            unsent: tally.due - tally.sent,
            expected: tally.sent * u64::from(self.everybody),
            delivered: tally.delivered,
            duplicated: tally.duplicated,
            // Gaps that a loss explains are taken off as the losses are found.
            reordered: tally.gaps,
            echoed: tally.echoed,
            ..Account::default()
        }
    }

    fn book_loss(&self, receiver: u32, number: u32, accounts: &mut [Account; 2]) {
        let message = &self.messages[number as usize];
        let overtaken_by = message
            .next
            .filter(|&next| self.received.is_set(next, receiver));
        if let Some(next) = overtaken_by {
            accounts[usize::from(self.is_measured(next))].reordered -= 1;
        }
        let receiver_left = self.clients[receiver as usize].disconnected && overtaken_by.is_none();
        let author_left =
            self.clients[message.author as usize].disconnected && message.receivers == 0;
        let account = &mut accounts[usize::from(self.is_measured(number))];
        if receiver_left || author_left {
            account.lost_to_disconnects += 1;
        } else {
            account.lost_while_connected += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::{deliver, ledger_of};

    #[test]
    fn a_swap_of_two_messages_is_one_reordering_per_receiver() {
        let mut ledger = ledger_of(3, 0, &[0, 0, 0]);
        for number in [0, 1, 2] {
            deliver(&mut ledger, 1, number, 0);
        }
        for number in [1, 0, 2] {
            deliver(&mut ledger, 2, number, 0);
        }
        let account = ledger.audit().measured;
        assert_eq!((account.delivered, account.lost()), (6, 0));
        assert_eq!(account.reordered, 1);
    }

    #[test]
    fn messages_of_different_authors_may_come_in_any_order() {
        let mut ledger = ledger_of(3, 0, &[0, 1]);
        for (receiver, number) in [(2, 1), (2, 0), (1, 0), (0, 1)] {
            deliver(&mut ledger, receiver, number, 0);
        }
        assert!(ledger.audit().measured.is_clean());
    }

    #[test]
    fn a_loss_is_no_reordering() {
        let mut ledger = ledger_of(2, 0, &[0, 0, 0]);
        deliver(&mut ledger, 1, 0, 0);
        deliver(&mut ledger, 1, 2, 0);
        let account = ledger.audit().measured;
        assert_eq!((account.lost_while_connected, account.reordered), (1, 0));
    }

    #[test]
    fn what_a_disconnected_receiver_misses_is_told_from_what_it_was_refused() {
        let mut ledger = ledger_of(2, 0, &[0, 0, 0, 0]);
        deliver(&mut ledger, 1, 0, 0);
        deliver(&mut ledger, 1, 2, 0);
        ledger.disconnected(1);
        let account = ledger.audit().measured;
        assert_eq!(account.lost_while_connected, 1, "message 1 was skipped");
        assert_eq!(account.lost_to_disconnects, 1, "message 3 came too late");
    }

    #[test]
    fn what_a_disconnected_author_could_not_hand_over_is_put_down_to_the_disconnect() {
        let mut ledger = ledger_of(3, 0, &[0, 0]);
        deliver(&mut ledger, 1, 0, 0);
        ledger.disconnected(0);
        let account = ledger.audit().measured;
        assert_eq!(account.lost_while_connected, 1, "client 2 misses message 0");
        assert_eq!(account.lost_to_disconnects, 2, "nobody has message 1");
    }

    #[test]
    fn the_warm_up_is_accounted_for_apart() {
        let mut ledger = ledger_of(2, 2, &[0, 0, 0]);
        deliver(&mut ledger, 1, 1, 0);
        deliver(&mut ledger, 1, 2, 0);
        deliver(&mut ledger, 1, 2, 0);
        let audit = ledger.audit();
        assert_eq!((audit.warmup.lost(), audit.warmup.duplicated), (1, 0));
        assert_eq!((audit.measured.lost(), audit.measured.duplicated), (0, 1));
    }

    proptest! {
        /// Whatever is delivered in whatever order: the books balance.
        #[test]
        fn delivered_and_lost_make_up_what_was_expected(
            authors in proptest::collection::vec(0_u32..5, 1..150),
            deliveries in proptest::collection::vec((0_u32..5, any::<prop::sample::Index>()), 0..800),
            warmup_messages in 0_u32..150,
            leaver in proptest::option::of(0_u32..5),
        ) {
            let mut ledger = ledger_of(5, warmup_messages, &authors);
            for (receiver, number) in deliveries {
                let number = u32::try_from(number.index(authors.len())).unwrap();
                deliver(&mut ledger, receiver, number, 0);
            }
            if let Some(leaver) = leaver {
                ledger.disconnected(leaver);
            }
            let audit = ledger.audit();
            let total = audit.warmup.expected + audit.measured.expected;
            prop_assert_eq!(total, authors.len() as u64 * 4);
            for account in [audit.warmup, audit.measured] {
                prop_assert_eq!(account.delivered + account.lost(), account.expected);
                prop_assert!(account.reordered <= account.delivered);
            }
        }
    }
}
