//! Axes: which value stands where, and what is written there.

use record::figures::rate;

/// Round steps between ticks.
const STEPS: [f64; 3] = [1.0, 2.0, 5.0];

/// An axis with its ticks.
#[derive(Debug, Clone)]
pub struct Axis {
    scale: Scale,
    writing: Writing,
    pub(super) label: &'static str,
    pub(super) ticks: Vec<(f64, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Scale {
    /// From zero.
    Linear {
        max: f64,
    },
    Logarithmic {
        min: f64,
        max: f64,
    },
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Writing {
    /// As it is, or with k, M, G.
    Amount,
    /// 1 / (1 - quantile), written as a percentile.
    Percentile,
}

impl Axis {
    /// Time, from zero.
    pub(crate) fn seconds(max: f64) -> Self {
        Self::linear(max, "seconds", 6.0)
    }

    /// Anything that begins at zero.
    #[must_use]
    pub fn amount(max: f64, label: &'static str) -> Self {
        let step = round_up(max.max(f64::MIN_POSITIVE) / 5.0);
        let last_tick = (max / step).ceil() * step;
        Self::linear(last_tick, label, 5.0)
    }

    /// Anything above zero that spans orders of magnitude.
    #[must_use]
    pub fn logarithmic(values: impl Iterator<Item = f64>, label: &'static str) -> Self {
        let (min, max) = values
            .filter(|value| *value > 0.0)
            .fold((f64::INFINITY, 0.0_f64), |(min, max), value| {
                (min.min(value), max.max(value))
            });
        let (min, max) = if min <= max { (min, max) } else { (0.1, 10.0) };
        let min = round_down(min);
        let max = round_up(max * 1.02).max(min * 10.0);
        let scale = Scale::Logarithmic { min, max };
        let writing = Writing::Amount;
        // Over many decades the 2 and the 5 of each would touch.
        let steps = if max / min > 2e4 { &STEPS[..1] } else { &STEPS };
        let ticks = decades(min, max)
            .flat_map(|decade| steps.iter().map(move |step| step * decade))
            .filter(|value| (min * 0.999..=max * 1.001).contains(value))
            .map(|value| (value, writing.text_of(value)))
            .collect();
        Self {
            scale,
            writing,
            label,
            ticks,
        }
    }

    /// Percentiles, each nine as wide as the one before, as far as `count` samples reach.
    pub(crate) fn percentiles(count: u64) -> Self {
        let max = (count.max(100) as f64).min(1e9);
        let writing = Writing::Percentile;
        let values = [1.0, 2.0, 10.0, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8];
        let ticks = values
            .into_iter()
            .filter(|value| *value <= max)
            .map(|value| (value, writing.text_of(value)))
            .collect();
        Self {
            scale: Scale::Logarithmic { min: 1.0, max },
            writing,
            label: "percentile",
            ticks,
        }
    }

    fn linear(max: f64, label: &'static str, ticks_wanted: f64) -> Self {
        let max = if max > 0.0 { max } else { 1.0 };
        let step = round_up(max / ticks_wanted);
        let writing = Writing::Amount;
        let ticks = (0..)
            .map(|at| f64::from(at) * step)
            .take_while(|value| *value <= max * 1.001)
            .map(|value| (value, writing.text_of(value)))
            .collect();
        Self {
            scale: Scale::Linear { max },
            writing,
            label,
            ticks,
        }
    }

    /// How far along the axis `value` stands, from 0 to 1.
    pub(super) fn share(&self, value: f64) -> f64 {
        let share = match self.scale {
            Scale::Linear { max } => value / max,
            Scale::Logarithmic { min, max } => (value.max(min) / min).ln() / (max / min).ln(),
        };
        share.clamp(0.0, 1.0)
    }

    pub(super) fn text_of(&self, value: f64) -> String {
        self.writing.text_of(value)
    }
}

impl Writing {
    fn text_of(self, value: f64) -> String {
        match self {
            Self::Amount => amount(value),
            Self::Percentile => {
                let percentile = 100.0 * (1.0 - 1.0 / value);
                let text = format!("{percentile:.6}");
                text.trim_end_matches('0').trim_end_matches('.').to_owned()
            }
        }
    }
}

/// `1500000` as `1.5M`.
fn amount(value: f64) -> String {
    let units = [(1e9, "G"), (1e6, "M"), (1e4, "k")];
    match units.iter().find(|(least, _)| value >= *least) {
        Some((1e4, unit)) => format!("{}{unit}", rate(value / 1e3)),
        Some((least, unit)) => format!("{}{unit}", rate(value / least)),
        None if value >= 0.1 || value == 0.0 => rate(value),
        None => {
            let text = format!("{value:.5}");
            text.trim_end_matches('0').to_owned()
        }
    }
}

fn decades(min: f64, max: f64) -> impl Iterator<Item = f64> {
    let first = min.log10().floor();
    (0..=20)
        .map(move |at| 10_f64.powf(first + f64::from(at)))
        .take_while(move |decade| *decade <= max * 1.001)
}

/// The next of 1, 2, 5, 10, ... that is not below `value`.
fn round_up(value: f64) -> f64 {
    let decade = 10_f64.powf(value.log10().floor());
    let step = STEPS.iter().find(|step| **step * decade >= value * 0.999);
    step.map_or(10.0 * decade, |step| step * decade)
}

/// The last of 1, 2, 5, 10, ... that is not above `value`.
fn round_down(value: f64) -> f64 {
    let decade = 10_f64.powf(value.log10().floor());
    let step = STEPS.iter().rev().find(|step| **step * decade <= value);
    step.map_or(decade, |step| step * decade)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, text)| text.as_str()).collect()
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(texts(&Axis::seconds(10.0)), ["0", "2", "4", "6", "8", "10"]);
        let deliveries = Axis::amount(540_000.0, "");
        assert_eq!(texts(&deliveries), ["0", "200k", "400k", "600k"]);
        let latencies = Axis::logarithmic([3.0, 80.0].into_iter(), "");
        assert_eq!(texts(&latencies), ["2", "5", "10", "20", "50", "100"]);
    }

    #[test]
    fn percentiles_are_written_as_such_and_each_nine_is_as_wide() {
        let axis = Axis::percentiles(10_000);
        assert_eq!(texts(&axis), ["0", "50", "90", "99", "99.9", "99.99"]);
        assert!((axis.share(100.0) - 0.5).abs() < 1e-9);
        assert!((axis.share(f64::INFINITY) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn an_axis_of_nothing_can_be_drawn() {
        assert!(Axis::amount(0.0, "").share(0.0) < 1e-9);
        assert!(!Axis::logarithmic(std::iter::empty(), "").ticks.is_empty());
    }

    #[test]
    fn small_values_keep_their_digits() {
        assert_eq!(amount(0.02), "0.02");
        assert_eq!(amount(0.0), "0");
        assert_eq!(amount(1_500_000.0), "1.5M");
        assert_eq!(amount(5_000.0), "5,000");
    }
}
