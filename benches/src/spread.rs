//! The spread of repeated measurements: a median alone says nothing about how far to trust it.

use serde::{Deserialize, Serialize};

/// Minimum, quartiles and maximum.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spread {
    pub(crate) min: f64,
    pub(crate) q1: f64,
    pub(crate) median: f64,
    pub(crate) q3: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// The spread of `values`, in any order; `None` without a value.
    ///
    /// Quartiles are interpolated between the two values next to them (type 7 of Hyndman and Fan,
    /// "Sample Quantiles in Statistical Packages", 1996).
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        let quantile = |quarters: usize| {
            let (below, rest) = (quarters * last / 4, quarters * last % 4);
            let above = (below + 1).min(last);
            sorted[below] + (sorted[above] - sorted[below]) * rest as f64 / 4.0
        };
        let [min, q1, median, q3, max] = [0, 1, 2, 3, 4].map(quantile);
        Some(Self {
            min,
            q1,
            median,
            q3,
            max,
        })
    }

    /// How far minimum and maximum lie apart, as a share of the median.
    pub(crate) fn relative_range(&self) -> f64 {
        if self.max == self.min {
            0.0
        } else {
            (self.max - self.min) / self.median
        }
    }
}

/// `value` with three significant digits: `1234`, `12.3`, `1.23`, `0.123`.
pub(crate) fn digits(value: f64) -> String {
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

    fn five(values: &[f64]) -> [f64; 5] {
        let it = Spread::of(values.iter().copied()).unwrap();
        [it.min, it.q1, it.median, it.q3, it.max]
    }

    #[test]
    fn quartiles_are_values_or_interpolated_between_them() {
        assert_eq!(five(&[5.0, 1.0, 4.0, 2.0, 3.0]), [1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(five(&[1.0, 2.0, 3.0, 4.0]), [1.0, 1.75, 2.5, 3.25, 4.0]);
        assert_eq!(five(&[10.0, 20.0]), [10.0, 12.5, 15.0, 17.5, 20.0]);
        assert_eq!(five(&[7.0]), [7.0; 5]);
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn the_range_is_relative_to_the_median() {
        let range = |values: [f64; 3]| Spread::of(values).unwrap().relative_range();
        assert_eq!(range([8.0, 10.0, 13.0]), 0.5);
        assert_eq!(range([0.0; 3]), 0.0);
    }

    #[test]
    fn three_digits_are_shown() {
        let shown = [1234.5, 12.345, 1.2345, 0.12345, 0.0].map(digits);
        assert_eq!(shown, ["1234", "12.3", "1.23", "0.123", "0"]);
    }
}
