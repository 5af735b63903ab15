//! The order of messages, compared over a sample of receivers: a server that keeps one order gives it
//! to all of them.
//!
//! A sampled receiver keeps the numbers of its first messages as they come. In the end, of every two
//! receivers the messages that both have are to be in the same order; own messages, which nobody
//! receives, do not count.

/// Receivers of one ledger that are sampled.
const SAMPLED: u32 = 8;

/// Messages that one receiver keeps: 256 KiB.
const KEPT_MAX: usize = 1 << 16;

/// What the sample shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Order {
    /// Receivers that were sampled.
    pub(crate) sampled: u64,
    /// Those whose order differs from that of the most.
    pub(crate) disordered: u64,
}

/// The messages of sampled receivers, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Sample(Vec<Vec<u32>>);

/// Which of so many receivers are sampled.
pub(super) fn sampled(receivers: u32) -> impl Iterator<Item = u32> {
    let step = (receivers / SAMPLED).max(1) as usize;
    (0..receivers).step_by(step).take(SAMPLED as usize)
}

impl Sample {
    /// Of so many receivers.
    pub(super) fn of(receivers: u32) -> Self {
        Self(sampled(receivers).map(|_| Vec::new()).collect())
    }

    /// The receiver at `place` of the sampled ones has got one more message. Hot: once per delivery to
    /// one of them.
    pub(super) fn keep(&mut self, place: u8, number: u32) {
        if let Some(numbers) = self.0.get_mut(usize::from(place))
            && numbers.len() < KEPT_MAX
        {
            numbers.push(number);
        }
    }

    /// Adds the receivers of another ledger.
    pub(super) fn join(&mut self, next: Self) {
        self.0.extend(next.0);
    }

    /// How many receivers got their messages otherwise than the most.
    pub(super) fn order(&self) -> Order {
        let agreeing = |one: &Vec<u32>| {
            let places = Places::of(one);
            let agrees = |other: &&Vec<u32>| places.agree(other);
            self.0.iter().filter(agrees).count()
        };
        let most = self.0.iter().map(agreeing).max().unwrap_or(0);
        Order {
            sampled: self.0.len() as u64,
            disordered: (self.0.len() - most) as u64,
        }
    }
}

/// The place of each message in the order of one receiver.
struct Places(Vec<Option<u32>>);

impl Places {
    fn of(numbers: &[u32]) -> Self {
        let largest = numbers
            .iter()
            .max()
            .map_or(0, |&number| number as usize + 1);
        let mut places = vec![None; largest];
        for (place, &number) in (0..).zip(numbers) {
            places[number as usize] = Some(place);
        }
        Self(places)
    }

    /// Whether what both receivers have came to them in the same order.
    fn agree(&self, numbers: &[u32]) -> bool {
        let place = |&number: &u32| self.0.get(number as usize).copied().flatten();
        numbers.iter().filter_map(place).is_sorted()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(receivers: &[&[u32]]) -> Order {
        let mut sample = Sample::of(u32::try_from(receivers.len()).unwrap());
        for (place, numbers) in (0..).zip(receivers) {
            numbers
                .iter()
                .for_each(|&number| sample.keep(place, number));
        }
        sample.order()
    }

    #[test]
    fn gaps_and_own_messages_are_no_disorder_and_a_swap_is() {
        let same = order(&[&[1, 2, 3, 5], &[0, 2, 3], &[0, 1, 3, 5], &[]]);
        assert_eq!((same.sampled, same.disordered), (4, 0));
        assert_eq!(order(&[&[0, 1, 2], &[0, 2, 1], &[0, 1, 2]]).disordered, 1);
        assert_eq!(order(&[&[1, 0], &[0, 1]]).disordered, 1);
    }

    #[test]
    fn the_sample_is_spread_and_bounded() {
        assert_eq!(sampled(3).collect::<Vec<_>>(), [0, 1, 2]);
        let many: Vec<_> = sampled(805).collect();
        assert_eq!(many, [0, 100, 200, 300, 400, 500, 600, 700]);
        let mut sample = Sample::of(1);
        (0..100_000).for_each(|number| sample.keep(0, number));
        assert_eq!(sample.0[0].len(), KEPT_MAX);
    }
}
