//! The spread of repeated measurements: a median alone says nothing about how far to trust it.

use serde::Serialize;

/// Minimum, quartiles and maximum.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
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
    /// The spread of `values`, in any order.
    ///
    /// Quartiles are interpolated between the two values next to them (type 7 of Hyndman and Fan,
    /// "Sample Quantiles in Statistical Packages", 1996).
    ///
    /// # Panics
    /// Without a value, or with one that is not a number.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        assert!(!sorted.is_empty(), "nothing was measured");
        assert!(
            sorted.iter().all(|value| !value.is_nan()),
            "every measured value is a number"
        );
        sorted.sort_by(f64::total_cmp);
        Self {
            min: sorted[0],
            q1: quantile(&sorted, 1),
            median: quantile(&sorted, 2),
            q3: quantile(&sorted, 3),
            max: sorted[sorted.len() - 1],
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_of_five_are_three_of_them() {
        let spread = Spread::of([5.0, 1.0, 4.0, 2.0, 3.0]);
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
        let spread = Spread::of([1.0, 2.0, 3.0, 4.0]);
        assert_eq!((spread.q1, spread.median, spread.q3), (1.75, 2.5, 3.25));
        let spread = Spread::of([10.0, 20.0]);
        assert_eq!((spread.q1, spread.median, spread.q3), (12.5, 15.0, 17.5));
    }

    #[test]
    fn one_value_has_no_spread() {
        let spread = Spread::of([7.0]);
        assert_eq!((spread.min, spread.median, spread.max), (7.0, 7.0, 7.0));
        assert_eq!(spread.relative_range(), 0.0);
        assert_eq!(Spread::of([0.0, 0.0]).relative_range(), 0.0);
    }

    #[test]
    fn the_range_is_relative_to_the_median() {
        assert_eq!(Spread::of([8.0, 10.0, 13.0]).relative_range(), 0.5);
    }

    #[test]
    #[should_panic(expected = "nothing was measured")]
    fn nothing_has_no_spread() {
        let _ = Spread::of([]);
    }
}
