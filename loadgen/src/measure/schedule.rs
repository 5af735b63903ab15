//! The schedule: when each message is due, who sends it and how long it is.
//!
//! Open loop: it is fixed before the run by the plan and its seed, and nothing the server does
//! moves it. It is drawn as it goes, in constant memory. Times count from the start of the load.
//!
//! A Poisson process with a given number of events in a given time is a sequence of exponential
//! gaps, scaled to fill that time. Their sum is found beforehand by drawing the gaps once more from
//! the same seed.

use std::ops::Range;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use record::{Arrival, Sizes};

use super::plan::{Plan, Span};
use crate::host::clock::nanoseconds;

/// One message that is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Due {
    /// When, since the start of the load.
    pub(crate) due_ns: u64,
    /// The client or publisher that sends it.
    pub(crate) author: u32,
    /// How long it is.
    pub(crate) payload_bytes: usize,
}

/// All messages of a run, in the order of their times.
#[derive(Debug)]
pub(crate) struct Schedule {
    times: [Times; 2],
    choices: StdRng,
    clients: u32,
    senders: u32,
    /// Where there are publishers: the number of the first, for they are the senders.
    first_publisher: Option<u32>,
    sizes: Sizes,
}

impl Schedule {
    /// The schedule of `plan`: its warm-up, then what is measured.
    pub(crate) fn new(plan: &Plan) -> Self {
        let warmup_ns = nanoseconds(plan.warmup.duration);
        Self {
            times: [
                Times::new(plan.warmup, 0, plan.arrival, plan.seed ^ 0x5741_524d),
                Times::new(plan.measure, warmup_ns, plan.arrival, plan.seed),
            ],
            choices: StdRng::seed_from_u64(plan.seed),
            clients: plan.clients,
            senders: plan.senders,
            first_publisher: (plan.publishers > 0).then_some(plan.clients),
            sizes: plan.sizes,
        }
    }

    /// The messages of `clients`, with the numbers that they have among all.
    pub(crate) fn share_of(self, clients: Range<u32>) -> Share {
        Share {
            all: self,
            next: 0,
            clients,
        }
    }

    /// Senders are drawn, not taken in turn: a server may serve its clients in turn, and a schedule
    /// in step with it would always meet it at the same place.
    fn draw_author(&mut self) -> u32 {
        let sender = self.choices.random_range(0..self.senders);
        if let Some(first) = self.first_publisher {
            return first + sender;
        }
        let client = u64::from(sender) * u64::from(self.clients) / u64::from(self.senders);
        u32::try_from(client).unwrap_or(sender)
    }
}

impl Iterator for Schedule {
    type Item = Due;

    fn next(&mut self) -> Option<Due> {
        let due_ns = self.times.iter_mut().find_map(Iterator::next)?;
        Some(Due {
            due_ns,
            author: self.draw_author(),
            payload_bytes: self.choices.random_range(self.sizes.min..=self.sizes.max),
        })
    }
}

/// The part of a schedule that some of the clients send.
#[derive(Debug)]
pub(crate) struct Share {
    all: Schedule,
    /// The number of the next message of all.
    next: u32,
    clients: Range<u32>,
}

impl Iterator for Share {
    type Item = (u32, Due);

    fn next(&mut self) -> Option<(u32, Due)> {
        loop {
            let due = self.all.next()?;
            let number = self.next;
            self.next += 1;
            if self.clients.contains(&due.author) {
                return Some((number, due));
            }
        }
    }
}

/// The times of one stretch.
#[derive(Debug)]
struct Times {
    starts_ns: u64,
    lasts_ns: u64,
    messages: u32,
    next: u32,
    gaps: Option<Gaps>,
}

/// Exponential gaps, as a share of the whole stretch.
#[derive(Debug)]
struct Gaps {
    random: StdRng,
    /// Of all gaps, the one after the last event included.
    sum: f64,
    /// Of the gaps so far.
    reached: f64,
}

impl Times {
    fn new(span: Span, starts_ns: u64, arrival: Arrival, seed: u64) -> Self {
        Self {
            starts_ns,
            lasts_ns: nanoseconds(span.duration),
            messages: span.messages,
            next: 0,
            gaps: (arrival == Arrival::Poisson).then(|| Gaps::new(span.messages, seed)),
        }
    }
}

impl Iterator for Times {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        if self.next == self.messages {
            return None;
        }
        let into_ns = match &mut self.gaps {
            None => {
                let share = u128::from(self.lasts_ns) * u128::from(self.next);
                u64::try_from(share / u128::from(self.messages)).unwrap_or(self.lasts_ns)
            }
            Some(gaps) => scale(self.lasts_ns, gaps.next_share()),
        };
        self.next += 1;
        Some(self.starts_ns + into_ns)
    }
}

impl Gaps {
    fn new(messages: u32, seed: u64) -> Self {
        let mut rehearsal = StdRng::seed_from_u64(seed);
        Self {
            random: StdRng::seed_from_u64(seed),
            sum: (0..=messages).map(|_| gap(&mut rehearsal)).sum(),
            reached: 0.0,
        }
    }

    fn next_share(&mut self) -> f64 {
        self.reached += gap(&mut self.random);
        self.reached / self.sum
    }
}

/// An exponentially distributed gap of mean 1.
fn gap(random: &mut StdRng) -> f64 {
    // `random` is below 1, so the logarithm is of a number above 0.
    -(1.0 - random.random::<f64>()).ln()
}

fn scale(whole_ns: u64, share: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share is between 0 and 1"
    )]
    let part = (whole_ns as f64 * share) as u64;
    part.min(whole_ns)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::host::clock::SECOND_NS;

    /// A second of warm-up and one that is measured.
    fn plan(clients: u32, rate: f64) -> Plan {
        Plan {
            clients,
            senders: clients,
            rate,
            warmup: Span::of(Duration::from_secs(1)),
            measure: Span::of(Duration::from_secs(1)),
            ..Plan::default()
        }
    }

    fn schedule(plan: &Plan) -> Vec<Due> {
        Schedule::new(&plan.clone().checked(String::new()).unwrap()).collect()
    }

    #[test]
    fn fixed_intervals_do_not_drift() {
        let due = schedule(&plan(10, 300.0));
        assert_eq!(due.len(), 600);
        for (number, due) in (0_u64..).zip(&due) {
            assert_eq!(due.due_ns, number * SECOND_NS / 300);
        }
    }

    #[test]
    fn a_poisson_process_has_the_same_number_of_messages_and_exponential_gaps() {
        let due = schedule(&Plan {
            arrival: Arrival::Poisson,
            ..plan(10, 10_000.0)
        });
        assert_eq!(due.len(), 20_000);
        assert!(due.is_sorted_by_key(|due| due.due_ns));
        assert!(due[9_999].due_ns <= SECOND_NS && due[10_000].due_ns >= SECOND_NS);
        assert!(due[19_999].due_ns <= 2 * SECOND_NS);
        // Of exponential gaps a share of 1/e is longer than the mean; five standard deviations
        // of 20,000 draws are 0.017.
        let long = due
            .windows(2)
            .filter(|pair| pair[1].due_ns - pair[0].due_ns > SECOND_NS / 10_000)
            .count();
        assert!((long as f64 / 20_000.0 - (-1.0_f64).exp()).abs() < 0.017);
    }

    #[test]
    fn the_seed_decides_everything_drawn() {
        let drawn = Plan {
            arrival: Arrival::Poisson,
            sizes: Sizes { min: 64, max: 128 },
            ..plan(100, 100.0)
        };
        assert_eq!(schedule(&drawn), schedule(&drawn));
        assert_ne!(schedule(&drawn), schedule(&drawn.with_seed(2)));
    }

    #[test]
    fn only_the_chosen_number_of_clients_sends_and_all_of_them_do() {
        let mut authors: Vec<_> = schedule(&Plan {
            senders: 4,
            ..plan(100, 1000.0)
        })
        .iter()
        .map(|due| due.author)
        .collect();
        authors.sort_unstable();
        authors.dedup();
        assert_eq!(authors, [0, 25, 50, 75]);
    }

    #[test]
    fn lengths_stay_in_their_range() {
        let due = schedule(&Plan {
            sizes: Sizes { min: 60, max: 62 },
            ..plan(10, 1000.0)
        });
        for bytes in [60, 61, 62] {
            assert!(due.iter().any(|due| due.payload_bytes == bytes));
        }
        assert!(due.iter().all(|due| (60..=62).contains(&due.payload_bytes)));
    }
}
