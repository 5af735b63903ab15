//! The search for the highest rate that holds: bracket by doubling or halving, then bisect.
//!
//! Pure: it says which rate to try next and is told whether that one held. It ends when the highest
//! rate that held and the lowest that did not are close enough, when the generator itself can go no
//! further, or after the last step. Always: `held` < `failed`.

/// Neighbours this close to each other, as a factor, are close enough.
pub(crate) const RESOLUTION: f64 = 1.05;

/// No search takes more steps.
pub(crate) const STEPS_MAX: usize = 24;

/// Below this, in messages a second, nothing is searched for.
const RATE_MIN: f64 = 1.0;

/// A search under way.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Search {
    start: f64,
    /// The highest rate that held.
    held: Option<f64>,
    /// The lowest rate that did not, or that cannot be tried.
    failed: Option<f64>,
    steps: usize,
}

impl Search {
    /// A search that begins with the rate `start`.
    pub(crate) fn new(start: f64) -> Self {
        Self {
            start,
            held: None,
            failed: None,
            steps: 0,
        }
    }

    /// The highest rate that held so far.
    pub(crate) fn held(&self) -> Option<f64> {
        self.held
    }

    /// The lowest rate that did not.
    pub(crate) fn failed(&self) -> Option<f64> {
        self.failed
    }

    /// The rate to try next; `None` when the search is over.
    pub(crate) fn next(&self) -> Option<f64> {
        if self.steps >= STEPS_MAX {
            return None;
        }
        match (self.held, self.failed) {
            (None, None) => Some(self.start),
            (Some(held), None) => Some(held * 2.0),
            (None, Some(failed)) if failed <= RATE_MIN => None,
            (None, Some(failed)) => Some(round(failed / 2.0).max(RATE_MIN)),
            (Some(held), Some(failed)) if failed / held <= RESOLUTION => None,
            (Some(held), Some(failed)) => {
                // The mean of the ratios, so that a bracket of 100 to 200 and one of 1000 to 2000
                // take the same number of steps.
                let middle = round((held * failed).sqrt());
                (held < middle && middle < failed).then_some(middle)
            }
        }
    }

    /// Tells what came of trying `rate`.
    pub(crate) fn record(&mut self, rate: f64, did_hold: bool) {
        self.steps += 1;
        if did_hold {
            self.held = Some(self.held.map_or(rate, |held| held.max(rate)));
        } else {
            self.failed = Some(self.failed.map_or(rate, |failed| failed.min(rate)));
        }
    }
}

/// To whole messages a second where that loses nothing.
fn round(rate: f64) -> f64 {
    if rate >= 20.0 {
        rate.round()
    } else {
        (rate * 10.0).round() / 10.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A server that holds all rates up to `capacity`; the search, and the rates it tried.
    fn search(start: f64, capacity: f64) -> (Search, Vec<f64>) {
        let mut search = Search::new(start);
        let mut tried = Vec::new();
        while let Some(rate) = search.next() {
            tried.push(rate);
            search.record(rate, rate <= capacity);
        }
        (search, tried)
    }

    #[test]
    fn it_brackets_by_doubling_and_then_bisects() {
        let (search, tried) = search(100.0, 730.0);
        assert_eq!(tried[..4], [100.0, 200.0, 400.0, 800.0]);
        assert_eq!(tried[4], 566.0);
        assert!(search.held().unwrap() <= 730.0 && search.failed().unwrap() > 730.0);
    }

    #[test]
    fn it_goes_down_when_the_first_rate_fails() {
        let (search, tried) = search(100.0, 30.0);
        assert_eq!(tried[..3], [100.0, 50.0, 25.0]);
        assert!((28.0..=30.0).contains(&search.held().unwrap()));
    }

    #[test]
    fn a_server_that_holds_nothing_is_given_up() {
        let (search, tried) = search(100.0, 0.5);
        assert_eq!((search.held(), search.failed()), (None, Some(1.0)));
        assert!(tried.len() < 10);
    }

    #[test]
    fn a_server_without_bounds_ends_the_search_too() {
        let (search, tried) = search(100.0, f64::MAX);
        assert_eq!(tried.len(), STEPS_MAX);
        assert_eq!(search.failed(), None);
    }

    proptest! {
        /// Wherever the capacity lies and the search begins, its neighbours are found around it.
        #[test]
        fn the_neighbours_enclose_the_capacity(
            start in 1.0_f64..5_000.0,
            capacity in 2.0_f64..100_000.0,
        ) {
            let (search, _) = search(start, capacity);
            let (held, failed) = (search.held().unwrap(), search.failed().unwrap());
            prop_assert!(held <= capacity && capacity < failed);
            prop_assert!(failed / held <= RESOLUTION + 0.05, "{} {}", held, failed);
        }

        /// A server whose limit moves from step to step never leads it astray for ever.
        #[test]
        fn it_ends_whatever_the_server_does(held in proptest::collection::vec(any::<bool>(), 64)) {
            let mut search = Search::new(100.0);
            let mut steps = 0;
            while let Some(rate) = search.next() {
                search.record(rate, held[steps]);
                steps += 1;
            }
            prop_assert!(steps <= STEPS_MAX);
        }
    }
}
