//! A sweep: the rates of a curve, written as `10,20,50,100..1000`. A range stands for the steps 1, 2
//! and 5 of each decade between its ends, which lie evenly on a logarithmic axis.

use std::str::FromStr;

use thiserror::Error;

/// More rates than a curve needs are a mistake.
const RATES_MAX: usize = 100;

/// The rates, in messages a second, in the order they are to be measured in.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sweep {
    pub(crate) rates: Vec<f64>,
}

/// What is wrong with a sweep.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum SweepError {
    #[error("'{0}' is no rate: write messages a second, as in 10,20,50,100..1000")]
    NoRate(String),
    #[error("'{0}' runs backwards: write the lower rate first")]
    Backwards(String),
    #[error("more than {RATES_MAX} rates: leave some out")]
    TooMany,
}

impl FromStr for Sweep {
    type Err = SweepError;

    fn from_str(text: &str) -> Result<Self, SweepError> {
        let mut rates = Vec::new();
        for part in text.split(',').map(str::trim) {
            match part.split_once("..") {
                None => rates.push(rate(part)?),
                Some((from, to)) => {
                    let (from, to) = (rate(from)?, rate(to)?);
                    if from > to {
                        return Err(SweepError::Backwards(part.to_owned()));
                    }
                    rates.extend(steps(from, to).take(RATES_MAX + 1));
                }
            }
            if rates.len() > RATES_MAX {
                return Err(SweepError::TooMany);
            }
        }
        rates.dedup_by(|a, b| a.total_cmp(b).is_eq());
        Ok(Self { rates })
    }
}

fn rate(text: &str) -> Result<f64, SweepError> {
    text.trim()
        .parse()
        .ok()
        .filter(|rate: &f64| rate.is_finite() && *rate > 0.0)
        .ok_or_else(|| SweepError::NoRate(text.to_owned()))
}

/// `from`, the round numbers between, and `to`.
fn steps(from: f64, to: f64) -> impl Iterator<Item = f64> {
    let decade = 10_f64.powf(from.log10().floor());
    let round = (0..)
        .flat_map(move |power| [1.0, 2.0, 5.0].map(|digit| digit * decade * 10_f64.powi(power)))
        .skip_while(move |step| *step <= from)
        .take_while(move |step| *step < to);
    let last = (from < to).then_some(to);
    [from].into_iter().chain(round).chain(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(text: &str) -> Vec<f64> {
        text.parse::<Sweep>().unwrap().rates
    }

    #[test]
    fn ranges_stand_for_the_round_numbers_between_their_ends() {
        assert_eq!(rates("10,20,50"), [10.0, 20.0, 50.0]);
        assert_eq!(
            rates("50,100..1000"),
            [50.0, 100.0, 200.0, 500.0, 1000.0],
            "both ends belong to it"
        );
        assert_eq!(rates("30..300"), [30.0, 50.0, 100.0, 200.0, 300.0]);
        assert_eq!(rates("7..7"), [7.0]);
        assert_eq!(rates("10..100,100,50"), [10.0, 20.0, 50.0, 100.0, 50.0]);
    }

    #[test]
    fn what_is_no_sweep_is_refused_with_the_part_that_is_wrong() {
        for (text, wanted) in [
            ("", "'' is no rate"),
            ("10,x", "'x' is no rate"),
            ("0", "'0' is no rate"),
            ("10..", "'' is no rate"),
            ("50..10", "'50..10' runs backwards"),
            ("1e-300..1e300", "more than 100 rates"),
        ] {
            let error = text.parse::<Sweep>().unwrap_err().to_string();
            assert!(error.starts_with(wanted), "{text}: {error}");
        }
    }
}
