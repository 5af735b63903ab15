//! The body of the fuzz target `hub_session`: a simulated world in which the input decides.
//!
//! Every choice that the simulation would draw from a seed (limits, odds, events, where input and
//! sends are cut, when time passes, how it ends) takes a byte of the input, so the fuzzer learns which
//! bytes lead where. The invariants are the simulation's, checked after every step.

use std::collections::VecDeque;
use std::convert::Infallible;

use rand::{Rng, SeedableRng, TryRng, rngs::StdRng};

use super::Counters;
use super::simulation::{STEPS, World};

/// Bytes that an average step takes.
const STEP_BYTES: usize = 4;

/// Runs the world that `input` describes.
///
/// # Panics
/// When an invariant does not hold.
pub fn hub_session(input: &[u8]) -> Counters {
    let steps = u32::try_from(input.len() / STEP_BYTES).unwrap_or(STEPS);
    let choices = Choices {
        left: VecDeque::from(input.to_vec()),
        then: StdRng::seed_from_u64(0),
    };
    World::new(Box::new(choices)).run(steps.min(STEPS))
}

/// Draws from the input, a byte each; once it is used up, from a fixed seed.
struct Choices {
    left: VecDeque<u8>,
    then: StdRng,
}

impl TryRng for Choices {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        // The byte comes first, because ranges are drawn from the high bits.
        Ok(match self.left.pop_front() {
            Some(byte) => u32::from_be_bytes([byte; 4]),
            None => self.then.next_u32(),
        })
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(match self.left.pop_front() {
            Some(byte) => u64::from_be_bytes([byte; 8]),
            None => self.then.next_u64(),
        })
    }

    fn try_fill_bytes(&mut self, into: &mut [u8]) -> Result<(), Infallible> {
        for place in into {
            *place = self.try_next_u32()?.to_be_bytes()[0];
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_input_of_the_corpus_keeps_the_invariants() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/hub_session");
        let mut total = Counters::default();
        for entry in fs::read_dir(&corpus).expect("the corpus is part of the repository") {
            let path = entry.unwrap().path();
            println!("{}", path.display());
            total += hub_session(&fs::read(&path).unwrap());
        }
        assert!(total.delivered > 0 && total.short_sends > 0, "{total:?}");
    }

    #[test]
    fn the_input_decides_and_nothing_else() {
        let input: Vec<u8> = (0..2000u32).map(|i| (i * i / 7).to_be_bytes()[3]).collect();
        assert_eq!(hub_session(&input), hub_session(&input));
    }
}
