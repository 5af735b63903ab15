//! Ratios of the server to the best peer in the same repeat, and the bounds they have to meet.
//!
//! What is INVALID is not quoted: of the server never, of a peer only where it has collapsed, since
//! then that is what was measured. Nor is a peer that lost anything: what is not delivered costs nothing.

use benches::Spread;
use serde::Serialize;

use crate::candidate::Candidate;
use crate::figures::Figure;
use crate::run::{Load, Run};

/// A ratio, and what it has to be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bound {
    load: Load,
    figure: Figure,
    demand: Demand,
}

#[derive(Debug, Clone, Copy)]
enum Demand {
    AtMost(f64),
    AtLeast(f64),
}

/// A bound, and what was measured.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Judged {
    pub(crate) name: String,
    pub(crate) demand: String,
    /// Over the repeats; absent when no repeat has both figures.
    pub(crate) measured: Option<Spread>,
    /// By the median; a bound that was not measured is not met.
    pub(crate) is_met: bool,
}

/// Every bound there is.
pub(crate) const BOUNDS: [Bound; 4] = [
    Bound {
        load: Load::Rate(100),
        figure: Figure::P99,
        demand: Demand::AtMost(0.6),
    },
    Bound {
        load: Load::Rate(500),
        figure: Figure::P99,
        demand: Demand::AtMost(0.05),
    },
    Bound {
        load: Load::FindMax,
        figure: Figure::Highest,
        demand: Demand::AtLeast(4.0),
    },
    Bound {
        load: Load::Rate(500),
        figure: Figure::RssMib,
        demand: Demand::AtMost(0.05),
    },
];

impl Bound {
    pub(crate) fn load(&self) -> Load {
        self.load
    }

    pub(crate) fn judge(&self, runs: &[Run]) -> Judged {
        let ratios: Vec<f64> = runs
            .iter()
            .filter(|run| run.load == self.load && run.candidate == Candidate::Uringcast)
            .filter(|run| run.is_valid())
            .filter_map(|run| Some(self.figure.of(run)? / self.best_peer(run.repeat, runs)?))
            .filter(|ratio| ratio.is_finite())
            .collect();
        let measured = (!ratios.is_empty()).then(|| Spread::of(ratios));
        let (demand, is_met) = match self.demand {
            Demand::AtMost(most) => (
                format!("<= {most}"),
                measured.is_some_and(|ratio| ratio.median <= most),
            ),
            Demand::AtLeast(least) => (
                format!(">= {least}"),
                measured.is_some_and(|ratio| ratio.median >= least),
            ),
        };
        let figure = self.figure.name();
        let name = match self.load {
            Load::Rate(rate) => format!("{figure} at {rate} messages/s"),
            Load::FindMax => figure.to_owned(),
        };
        Judged {
            name,
            demand,
            measured,
            is_met,
        }
    }

    /// The figure of the peer that did best in `repeat`.
    fn best_peer(&self, repeat: u32, runs: &[Run]) -> Option<f64> {
        runs.iter()
            .filter(|run| (run.repeat, run.load) == (repeat, self.load))
            .filter(|run| run.candidate != Candidate::Uringcast)
            .filter(|run| !run.has_lost() && (run.is_valid() || run.collapse().is_some()))
            .filter_map(|run| self.figure.of(run))
            .reduce(|one, other| {
                if self.figure.is_better(other, one) {
                    other
                } else {
                    one
                }
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::tests::run;
    use Candidate::{Mosquitto, Nats, Redis, Uringcast};

    #[test]
    fn the_server_is_compared_with_the_best_peer_of_the_same_repeat() {
        let at = Load::Rate(100);
        let runs = [
            run(0, Uringcast, at, 10.0),
            run(0, Redis, at, 40.0),
            run(0, Nats, at, 20.0),
            run(1, Nats, at, 50.0),
            run(1, Uringcast, at, 20.0),
            run(2, Uringcast, at, 1.0),
        ];
        let judged = BOUNDS[0].judge(&runs);
        let measured = judged.measured.unwrap();
        assert_eq!((measured.min, measured.max), (0.4, 0.5));
        assert!(judged.is_met);
    }

    #[test]
    fn of_highest_rates_more_is_better() {
        let at = Load::FindMax;
        let runs = [
            run(0, Uringcast, at, 1000.0),
            run(0, Redis, at, 200.0),
            run(0, Mosquitto, at, 250.0),
        ];
        let judged = BOUNDS[2].judge(&runs);
        assert_eq!(judged.measured.unwrap().median, 4.0);
        assert!(judged.is_met);
    }

    #[test]
    fn what_is_invalid_is_not_compared_with_unless_it_collapsed() {
        let at = Load::Rate(500);
        let mut runs = [run(0, Uringcast, at, 10.0), run(0, Redis, at, 400.0)];
        runs[1].report.as_mut().unwrap().valid = false;
        assert!(BOUNDS[1].judge(&runs).measured.is_none());
        let report = runs[1].report.as_mut().unwrap();
        report.latency_ms.delivery.p99 = Some(1500.0);
        assert!(BOUNDS[1].judge(&runs).is_met);
        runs[1].report.as_mut().unwrap().lost = 1;
        assert!(BOUNDS[1].judge(&runs).measured.is_none());
        runs[1].report.as_mut().unwrap().lost = 0;
        runs[0].report.as_mut().unwrap().valid = false;
        assert!(BOUNDS[1].judge(&runs).measured.is_none());
    }

    #[test]
    fn what_was_not_measured_is_not_met() {
        let judged = BOUNDS[1].judge(&[run(0, Uringcast, Load::Rate(500), 1.0)]);
        assert!(judged.measured.is_none() && !judged.is_met);
    }
}
