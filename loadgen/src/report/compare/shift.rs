//! By how much one set of repeats is above another, without supposing how they are distributed.
//!
//! The estimate is that of Hodges and Lehmann (1963): the median of the ratios of each run of B to
//! each of A. Its interval is made of the same ratios, cut off at both ends as the distribution of
//! the Mann-Whitney statistic allows (Hollander and Wolfe, "Nonparametric Statistical Methods",
//! section 4.3). For few runs it is exact; and where they are too few for 95 %, even the widest
//! interval holds less, which is said instead of hidden.

/// What intervals are meant to hold.
pub(super) const CONFIDENCE: f64 = 0.95;

/// B in relation to A.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Shift {
    /// B is so many times A.
    pub(super) ratio: f64,
    /// `None` for a single run on each side, which says nothing about chance.
    pub(super) interval: Option<Interval>,
}

/// Where the true ratio lies, with this confidence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Interval {
    pub(super) low: f64,
    pub(super) high: f64,
    /// What it holds; [`CONFIDENCE`] or more unless the runs are too few.
    pub(super) confidence: f64,
}

/// What may be said about a shift.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finding {
    /// B differs.
    Differs,
    /// B may differ, but the runs are too few to say so.
    MayDiffer,
    /// It could be chance.
    NotShown,
    /// One run on each side.
    Unknown,
}

impl Shift {
    /// Of two sets of figures, all above zero; else `None`.
    pub(super) fn of(a: &[f64], b: &[f64]) -> Option<Self> {
        let positive = |figures: &[f64]| figures.iter().all(|figure| *figure > 0.0);
        if a.is_empty() || b.is_empty() || !positive(a) || !positive(b) {
            return None;
        }
        let mut ratios: Vec<f64> = b
            .iter()
            .flat_map(|b| a.iter().map(move |a| b / a))
            .collect();
        ratios.sort_by(f64::total_cmp);
        let (cut, confidence) = cut(a.len(), b.len());
        let interval = Interval {
            low: ratios[cut],
            high: ratios[ratios.len() - 1 - cut],
            confidence,
        };
        Some(Self {
            ratio: median(&ratios),
            interval: (confidence > 0.0).then_some(interval),
        })
    }

    pub(super) fn finding(&self) -> Finding {
        match self.interval {
            None => Finding::Unknown,
            Some(interval) if (interval.low..=interval.high).contains(&1.0) => Finding::NotShown,
            Some(interval) if interval.confidence >= CONFIDENCE => Finding::Differs,
            Some(_) => Finding::MayDiffer,
        }
    }
}

/// What an interval of so many runs can hold, at 95 % or the most below it.
pub(super) fn confidence(a: usize, b: usize) -> f64 {
    cut(a, b).1
}

/// The middle of sorted figures; there must be one.
pub(crate) fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    } else {
        sorted[middle]
    }
}

/// How many of the sorted ratios may be left out at either end, and what the rest holds.
fn cut(a: usize, b: usize) -> (usize, f64) {
    let ways = ways(a, b);
    let all: f64 = ways.iter().sum();
    let (mut cut, mut tail) = (0, ways[0] / all);
    let mut confidence = 1.0 - 2.0 * tail;
    while cut + 1 < ways.len() {
        tail += ways[cut + 1] / all;
        if 1.0 - 2.0 * tail < CONFIDENCE {
            break;
        }
        confidence = 1.0 - 2.0 * tail;
        cut += 1;
    }
    (cut, confidence.max(0.0))
}

/// In how many orders of `a` and `b` figures the Mann-Whitney statistic is 0, 1, 2, ...: the
/// coefficients of the Gaussian binomial, the product of (1 - x^(b+i)) / (1 - x^i).
fn ways(a: usize, b: usize) -> Vec<f64> {
    let mut ways = vec![0.0; a * b + 1];
    ways[0] = 1.0;
    for i in 1..=a {
        for at in (b + i..ways.len()).rev() {
            ways[at] -= ways[at - b - i];
        }
        for at in i..ways.len() {
            ways[at] += ways[at - i];
        }
    }
    ways
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distribution_is_that_of_the_tables() {
        assert_eq!(ways(2, 2), [1.0, 1.0, 2.0, 1.0, 1.0]);
        assert_eq!(ways(5, 5).iter().sum::<f64>(), 252.0);
        // Two-sided critical values at 5 %: 0 for 4 and 4, 2 for 5 and 5, 23 for 10 and 10.
        assert_eq!(cut(4, 4).0, 0);
        assert_eq!(cut(5, 5).0, 2);
        assert_eq!(cut(10, 10).0, 23);
        assert!((cut(4, 4).1 - (1.0 - 2.0 / 70.0)).abs() < 1e-12);
    }

    #[test]
    fn too_few_runs_cannot_show_a_difference_however_large() {
        let shift = |runs: usize| Shift::of(&vec![1.0; runs], &vec![9.0; runs]).unwrap();
        assert_eq!(shift(1).finding(), Finding::Unknown);
        assert_eq!(shift(3).finding(), Finding::MayDiffer);
        assert!((shift(3).interval.unwrap().confidence - 0.9).abs() < 1e-12);
        assert_eq!(shift(4).finding(), Finding::Differs);
    }

    #[test]
    fn the_estimate_is_the_ratio_and_the_interval_is_around_it() {
        let a = [10.0, 10.2, 9.9, 10.1, 10.3];
        let b = a.map(|figure| figure * 1.5);
        let shift = Shift::of(&a, &b).unwrap();
        assert!((shift.ratio - 1.5).abs() < 0.01);
        let interval = shift.interval.unwrap();
        assert!(interval.low < 1.5 && interval.high > 1.5 && interval.low > 1.4);
        assert_eq!(shift.finding(), Finding::Differs);
        assert_eq!(Shift::of(&a, &a).unwrap().finding(), Finding::NotShown);
    }

    #[test]
    fn a_zero_has_no_ratio() {
        assert_eq!(Shift::of(&[0.0], &[1.0]), None);
        assert_eq!(Shift::of(&[], &[1.0]), None);
    }
}
