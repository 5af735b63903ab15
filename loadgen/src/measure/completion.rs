//! Completion over several threads: when the first, the median and the last of all receivers had a
//! message, exactly, though no thread sees more than its own clients.
//!
//! A thread keeps the times at which a message came to its clients, and hands them over here when
//! the last of them has it: one lock per message and thread, none per delivery. When every thread
//! has, the times are looked through once and dropped.
//!
//! A message that never reaches somebody is never complete, and its times are kept until the run
//! ends: 8 bytes a delivery, in a run that is INVALID.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::latency::Latencies;
use super::ledger::Completion;

/// Puts together what the threads hand over.
#[derive(Debug)]
pub(crate) struct Gathering {
    threads: usize,
    /// Messages that some threads' clients all have: their times, a list per thread, in order.
    unfinished: HashMap<u32, Vec<Vec<u64>>>,
    /// Of which only the completions are recorded.
    pub(crate) latencies: Latencies,
}

impl Gathering {
    /// For what `threads` threads hand over.
    pub(crate) fn new(threads: usize) -> Self {
        Self {
            threads,
            unfinished: HashMap::new(),
            latencies: Latencies::new(),
        }
    }

    /// All clients of one thread have message `number`, since `times`, which are in order.
    pub(crate) fn hand_over(&mut self, number: u32, intended_ns: u64, times: Vec<u64>) {
        let lists = match self.unfinished.entry(number) {
            Entry::Occupied(mut lists) if lists.get().len() + 1 < self.threads => {
                lists.get_mut().push(times);
                return;
            }
            Entry::Occupied(lists) => {
                let mut lists = lists.remove();
                lists.push(times);
                lists
            }
            Entry::Vacant(place) => {
                place.insert(vec![times]);
                return;
            }
        };
        if let Some(completion) = completion(&lists) {
            self.latencies.completed(intended_ns, completion);
        }
    }
}

/// Of lists that are each in order; `None` if nobody was to receive anything.
fn completion(lists: &[Vec<u64>]) -> Option<Completion> {
    let receivers: usize = lists.iter().map(Vec::len).sum();
    Some(Completion {
        first_ns: *lists.iter().filter_map(|list| list.first()).min()?,
        median_ns: smallest(lists, receivers.div_ceil(2)),
        last_ns: *lists.iter().filter_map(|list| list.last()).max()?,
    })
}

/// The time at which `rank` receivers had it, found by halving the range of times.
fn smallest(lists: &[Vec<u64>], rank: usize) -> u64 {
    let (mut low_ns, mut high_ns) = (0, u64::MAX);
    while low_ns < high_ns {
        let middle_ns = low_ns + (high_ns - low_ns) / 2;
        let reached = |list: &Vec<u64>| list.partition_point(|&at_ns| at_ns <= middle_ns);
        if lists.iter().map(reached).sum::<usize>() >= rank {
            high_ns = middle_ns;
        } else {
            low_ns = middle_ns + 1;
        }
    }
    low_ns
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::measure::latency::Kind;

    proptest! {
        #[test]
        fn the_median_is_that_of_all_receivers_together(
            lists in proptest::collection::vec(proptest::collection::vec(0_u64..500, 1..40), 2..5)
        ) {
            let mut lists = lists;
            lists.iter_mut().for_each(|list| list.sort_unstable());
            let mut all = lists.concat();
            all.sort_unstable();
            let wanted = Completion {
                first_ns: all[0],
                median_ns: all[all.len().div_ceil(2) - 1],
                last_ns: all[all.len() - 1],
            };
            prop_assert_eq!(completion(&lists), Some(wanted));
        }
    }

    #[test]
    fn a_message_is_complete_when_every_thread_has_handed_its_times_over() {
        let mut gathering = Gathering::new(3);
        gathering.hand_over(7, 10, vec![20, 30]);
        gathering.hand_over(8, 10, vec![21]);
        gathering.hand_over(7, 10, vec![15]);
        assert_eq!(
            gathering.latencies.of(Kind::Completion).percentiles().count,
            0
        );
        gathering.hand_over(7, 10, vec![60, 90]);
        let of = |kind| gathering.latencies.of(kind).histogram().max();
        assert_eq!(of(Kind::CompletionFirst), 5);
        assert_eq!(of(Kind::CompletionMedian), 20);
        assert_eq!(of(Kind::Completion), 80);
        assert_eq!(gathering.unfinished.len(), 1, "message 8 is not complete");
    }
}
