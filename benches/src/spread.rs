//! The spread of repeated measurements: a median alone says nothing about how far to trust it.

use serde::{Deserialize, Serialize};

/// Minimum, quartiles and maximum.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The smallest value.
    pub min: f64,
    /// A quarter of the values are below.
    pub q1: f64,
    /// Half of the values are below.
    pub median: f64,
    /// Three quarters of the values are below.
    pub q3: f64,
    /// The largest value.
    pub max: f64,
}

impl Spread {
    /// The spread of `values`, in any order; `None` without a value.
    ///
    /// Quartiles are interpolated between the two values next to them (type 7 of Hyndman and Fan,
    /// "Sample Quantiles in Statistical Packages", 1996).
    ///
    /// # Panics
    /// With a value that is not a number.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        assert!(
            sorted.iter().all(|value| !value.is_nan()),
            "every measured value is a number"
        );
        sorted.sort_by(f64::total_cmp);
        Some(Self {
            min: *sorted.first()?,
            q1: quantile(&sorted, 1),
            median: quantile(&sorted, 2),
            q3: quantile(&sorted, 3),
            max: *sorted.last()?,
        })
    }

    /// How far minimum and maximum lie apart, as a share of the median.
    #[must_use]
    pub fn relative_range(&self) -> f64 {
        if self.max == self.min {
            0.0
        } else {
            (self.max - self.min) / self.median
        }
    }
}

/// The value that `quarters` quarters of the `sorted` values are below.
fn quantile(sorted: &[f64], quarters: usize) -> f64 {
    let position = quarters * (sorted.len() - 1);
    let (below, rest) = (position / 4, position % 4);
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (sorted[above] - sorted[below]) * rest as f64 / 4.0
}

/// `value` with three significant digits: `1234`, `12.3`, `1.23`, `0.123`.
#[must_use]
pub fn digits(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread<const N: usize>(values: [f64; N]) -> Spread {
        Spread::of(values).unwrap()
    }

    #[test]
    fn quartiles_of_five_are_three_of_them() {
        let spread = spread([5.0, 1.0, 4.0, 2.0, 3.0]);
        let expected = Spread {
            min: 1.0,
            q1: 2.0,
            median: 3.0,
            q3: 4.0,
            max: 5.0,
        };
        assert_eq!(spread, expected);
    }

    #[test]
    fn quartiles_between_values_are_interpolated() {
        let four = spread([1.0, 2.0, 3.0, 4.0]);
        assert_eq!((four.q1, four.median, four.q3), (1.75, 2.5, 3.25));
        let two = spread([10.0, 20.0]);
        assert_eq!((two.q1, two.median, two.q3), (12.5, 15.0, 17.5));
    }

    #[test]
    fn one_value_has_no_spread() {
        let one = spread([7.0]);
        assert_eq!((one.min, one.median, one.max), (7.0, 7.0, 7.0));
        assert_eq!(one.relative_range(), 0.0);
        assert_eq!(spread([0.0, 0.0]).relative_range(), 0.0);
    }

    #[test]
    fn the_range_is_relative_to_the_median() {
        assert_eq!(spread([8.0, 10.0, 13.0]).relative_range(), 0.5);
    }

    #[test]
    fn nothing_has_no_spread() {
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn three_digits_are_shown() {
        let shown = [1234.5, 12.345, 1.2345, 0.12345, 0.0].map(digits);
        assert_eq!(shown, ["1234", "12.3", "1.23", "0.123", "0"]);
    }
}
