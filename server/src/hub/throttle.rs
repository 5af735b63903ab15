//! Throttle: how fast one client may speak. Whoever is too fast is not read from until it is time
//! again, so that TCP makes it wait; nothing is dropped.
//!
//! Two token buckets, one of messages and one of bytes. Each holds what may be said in a second and is
//! written down as the time at which it is full again. A message that costs more than the bucket holds
//! is taken when there is a token, and paid for afterwards.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::Limits;

/// What one client has said of late.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    messages: Bucket,
    bytes: Bucket,
    /// What it had of the log, whatever the limits.
    log_bytes: Bucket,
    /// While it is not read from: until when.
    pub(super) until: Option<Instant>,
}

#[derive(Debug, Default)]
struct Bucket {
    /// `None`: it is full.
    full_at: Option<Instant>,
}

/// Those who are not read from, by the time at which they will be.
#[derive(Debug, Default)]
pub(super) struct Throttled(BTreeSet<(Instant, u32)>);

/// The most that one may have of the log, in bytes a second as the log charges them, and be no flooder.
const LIGHT_BYTES_PER_SECOND: u32 = 8 * 1024;

/// How long a flooder is taken for one after it has stopped.
const FLOOD_MEMORY: Duration = Duration::from_secs(10);

/// What a bucket holds.
const BURST: Duration = Duration::from_secs(1);

impl Throttle {
    /// When the next message may be taken, if that is not before `now`.
    pub(super) fn wait(&self, limits: &Limits, now: Instant) -> Option<Instant> {
        let messages = limits.messages_per_second_max;
        let bytes = limits.bytes_per_second_max;
        let times = [
            messages.and_then(|rate| self.messages.ready_at(rate)),
            bytes.and_then(|rate| self.bytes.ready_at(rate)),
        ];
        times.into_iter().flatten().max().filter(|&at| at > now)
    }

    /// A message was taken that came as `bytes`.
    pub(super) fn charge(&mut self, limits: &Limits, bytes: usize, now: Instant) {
        if let Some(rate) = limits.messages_per_second_max {
            self.messages.take(1, rate, now);
        }
        if let Some(rate) = limits.bytes_per_second_max {
            self.bytes.take(bytes as u64, rate, now);
        }
    }

    /// The log charged so many bytes for what was taken.
    pub(super) fn count_log_bytes(&mut self, limits: &Limits, charged: usize, now: Instant) {
        let log_bytes = &mut self.log_bytes;
        log_bytes.take(charged as u64, light_bytes_per_second(limits), now);
        log_bytes.full_at = log_bytes.full_at.min(Some(now + BURST + FLOOD_MEMORY));
    }

    /// Whether the client has said little of late, whatever the limits.
    pub(super) fn is_light(&self, limits: &Limits, now: Instant) -> bool {
        let ready_at = self.log_bytes.ready_at(light_bytes_per_second(limits));
        ready_at.is_none_or(|at| at <= now)
    }
}

/// A sixteenth of what authors may be ahead by.
pub(super) fn light_bytes_per_second(limits: &Limits) -> u32 {
    let rate = u32::try_from(limits.lead_bytes_max / 16).unwrap_or(u32::MAX);
    rate.clamp(1, LIGHT_BYTES_PER_SECOND)
}

impl Bucket {
    /// When there is at least one token.
    fn ready_at(&self, rate: u32) -> Option<Instant> {
        (self.full_at? + tokens(1, rate)).checked_sub(BURST)
    }

    fn take(&mut self, amount: u64, rate: u32, now: Instant) {
        let full_at = self.full_at.map_or(now, |at| at.max(now));
        self.full_at = Some(full_at + tokens(amount, rate));
    }
}

/// How long `amount` tokens take at `rate` a second, which is not 0.
fn tokens(amount: u64, rate: u32) -> Duration {
    Duration::from_secs(amount) / rate
}

impl Throttled {
    pub(super) fn insert(&mut self, until: Instant, slot: u32) {
        self.0.insert((until, slot));
    }

    pub(super) fn remove(&mut self, until: Instant, slot: u32) {
        self.0.remove(&(until, slot));
    }

    /// The next whose time has come.
    pub(super) fn pop(&mut self, now: Instant) -> Option<u32> {
        let &(until, slot) = self.0.first()?;
        if until > now {
            return None;
        }
        self.0.pop_first();
        Some(slot)
    }

    /// When the next one's time comes.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.first().map(|&(until, _)| until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(messages: Option<u32>, bytes: Option<u32>) -> Limits {
        Limits {
            messages_per_second_max: messages,
            bytes_per_second_max: bytes,
            ..Limits::default()
        }
    }

    /// Messages that are taken within `time` from a client that never stops talking.
    fn taken_within(time: Duration, limits: &Limits, message_bytes: usize) -> u32 {
        let mut throttle = Throttle::default();
        let began = Instant::now();
        let mut now = began;
        let mut taken = 0;
        while now < began + time {
            match throttle.wait(limits, now) {
                Some(at) => now = at,
                None => {
                    throttle.charge(limits, message_bytes, now);
                    taken += 1;
                }
            }
        }
        taken
    }

    #[test]
    fn a_flood_is_taken_at_its_rate_after_a_burst_of_one_second() {
        let ten_seconds = Duration::from_secs(10);
        for rate in [1, 7, 100] {
            let taken = taken_within(ten_seconds, &limits(Some(rate), None), 1);
            assert!(
                (11 * rate - 1..=11 * rate).contains(&taken),
                "{taken} at {rate}"
            );
        }
        let taken = taken_within(ten_seconds, &limits(None, Some(1000)), 100);
        assert!((109..=110).contains(&taken), "{taken}");
    }

    #[test]
    fn a_message_larger_than_the_bucket_is_taken_and_paid_for() {
        let limits = limits(None, Some(1000));
        let now = Instant::now();
        let mut throttle = Throttle::default();
        assert_eq!(throttle.wait(&limits, now), None);
        throttle.charge(&limits, 5000, now);
        let at = throttle.wait(&limits, now).unwrap();
        assert_eq!(at, now + Duration::from_millis(4001));
    }

    #[test]
    fn without_a_limit_nobody_waits() {
        let limits = limits(None, None);
        let mut throttle = Throttle::default();
        let now = Instant::now();
        throttle.charge(&limits, usize::MAX, now);
        assert_eq!(throttle.wait(&limits, now), None);
    }
}
