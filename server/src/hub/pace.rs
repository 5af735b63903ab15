//! Pace: how soon a subscriber is sent to again.
//!
//! Rounds that follow each other without a breath keep the receivers' side of the kernel as busy as
//! ours: every send then meets a reader that is behind, and carries little. A subscriber that is left
//! alone for a little longer than a round takes is sent the same messages in fewer sends, sooner.
//! The automatic pace measures what a send costs while there is no pause between turns, and leaves
//! each subscriber alone for a quarter more than a round of all of them takes. Nobody is left alone
//! where nothing would gather: when a round takes next to no time, or when messages are further apart
//! than that, so that each has time for a round of its own.

use std::time::{Duration, Instant};

/// Least time between two sends of messages to the same receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coalesce {
    /// A quarter more than a round takes, as measured.
    Auto,
    /// This long; 0 is never.
    Fixed(Duration),
}

/// The pace of one hub.
#[derive(Debug)]
pub(super) struct Pace {
    coalesce: Coalesce,
    /// The turn of the driver that is under way.
    turn: Option<Turn>,
    /// What a send costs when nothing disturbs it; 0 until it was measured.
    send_ns: u64,
    messages: Messages,
    steps: Steps,
}

/// Times in whole steps, so that many subscribers are due at once and a turn of the driver is worth its
/// while. Step 0 has always come.
#[derive(Debug)]
struct Steps {
    length: Duration,
    began: Option<Instant>,
    /// The step of the last time that was asked for.
    last: Option<(Instant, u64)>,
}

#[derive(Debug, Clone, Copy)]
struct Turn {
    at: Instant,
    sends: u32,
    /// Nothing more was due in it: the driver may sleep before the next.
    exhausted: bool,
    /// Before this step those who are sent to in it are not sent to again.
    until: u64,
}

/// How far messages are apart.
#[derive(Debug, Clone, Copy, Default)]
struct Messages {
    /// Since when they are counted, and the first that counts.
    since: Option<(Instant, u64)>,
    /// On the average of the last count; 0 until then.
    apart: Duration,
}

/// How long messages are counted, at least.
const COUNT: Duration = Duration::from_secs(1);

/// The shortest step; steps are longer for a pause of which [`STEPS_MAX`] would be exceeded.
const STEP: Duration = Duration::from_millis(1);

/// No subscriber is put off for more steps.
pub(super) const STEPS_MAX: u64 = 255;

/// Rounds shorter than this need no pause.
const ROUND_MIN: Duration = Duration::from_millis(2);

/// Nobody is left alone for longer.
const PAUSE_MAX: Duration = Duration::from_millis(250);

/// The estimate follows a cheaper turn by 1/8 and a dearer one by 1/64 of the difference: a turn in
/// which the thread had to wait for a processor is no measure of a send.
const FALL: u64 = 8;
const RISE: u64 = 64;

impl Pace {
    pub(super) fn new(coalesce: Coalesce) -> Self {
        Self {
            coalesce,
            turn: None,
            send_ns: 0,
            messages: Messages::default(),
            steps: Steps::new(coalesce),
        }
    }

    /// Another pace from the next send to each on. Steps of before mean nothing any more.
    pub(super) fn set_coalesce(&mut self, coalesce: Coalesce) {
        self.coalesce = coalesce;
        self.steps = Steps::new(coalesce);
        self.turn = None;
    }

    /// The last step that has come at `now`.
    #[inline]
    pub(super) fn step(&mut self, now: Instant) -> u64 {
        self.steps.at(now)
    }

    /// When `step` comes.
    pub(super) fn time_of(&self, step: u64) -> Option<Instant> {
        self.steps.time_of(step)
    }

    /// A send to one of `subscribers` is given to the driver in its turn at `now`, when the log's next
    /// message has the number `head`: returns before which step that subscriber is not sent to again. It
    /// is worked out once a turn.
    #[inline]
    pub(super) fn sends(&mut self, subscribers: u64, head: u64, now: Instant) -> u64 {
        match &mut self.turn {
            Some(turn) if turn.at == now => {
                turn.sends += 1;
                turn.until
            }
            _ => self.begin_turn(subscribers, head, now),
        }
    }

    fn begin_turn(&mut self, subscribers: u64, head: u64, now: Instant) -> u64 {
        if let Some(before) = self.turn.take_if(|before| !before.exhausted) {
            self.learn(before, now);
        }
        self.messages.count(head, now);
        let until = self.next(subscribers, now);
        self.turn = Some(Turn {
            at: now,
            sends: 1,
            exhausted: false,
            until,
        });
        until
    }

    /// Nothing more is due in this turn.
    pub(super) fn exhausted(&mut self) {
        if let Some(turn) = &mut self.turn {
            turn.exhausted = true;
        }
    }

    /// Before which step one of `subscribers`, sent to at `now`, is not sent to again.
    fn next(&mut self, subscribers: u64, now: Instant) -> u64 {
        let pause = match self.coalesce {
            Coalesce::Fixed(pause) => pause,
            Coalesce::Auto => {
                let round = Duration::from_nanos(self.send_ns.saturating_mul(subscribers));
                let pause = round + round / 4;
                if round < ROUND_MIN || pause < self.messages.apart {
                    return 0;
                }
                pause.min(PAUSE_MAX)
            }
        };
        if pause.is_zero() {
            return 0;
        }
        self.steps.not_before(pause, now)
    }

    fn learn(&mut self, turn: Turn, now: Instant) {
        let turn_ns = u64::try_from((now - turn.at).as_nanos()).unwrap_or(u64::MAX);
        let send_ns = turn_ns / u64::from(turn.sends);
        self.send_ns = if self.send_ns == 0 {
            send_ns
        } else if send_ns < self.send_ns {
            self.send_ns - (self.send_ns - send_ns) / FALL
        } else {
            let rise = (send_ns - self.send_ns).min(self.send_ns);
            self.send_ns + rise.div_ceil(RISE)
        };
    }
}

impl Steps {
    fn new(coalesce: Coalesce) -> Self {
        let pause_max = match coalesce {
            Coalesce::Auto => PAUSE_MAX,
            Coalesce::Fixed(pause) => pause,
        };
        // One more step is lost by rounding up at either end.
        let least = pause_max / u32::try_from(STEPS_MAX - 2).expect("a small number");
        Self {
            length: least.max(STEP),
            began: None,
            last: None,
        }
    }

    #[inline]
    fn at(&mut self, now: Instant) -> u64 {
        match self.last {
            Some((at, step)) if at == now => step,
            _ => self.count_to(now),
        }
    }

    fn count_to(&mut self, now: Instant) -> u64 {
        let Some(began) = self.began else {
            return 0;
        };
        let step = whole((now - began).as_nanos() / self.length.as_nanos());
        self.last = Some((now, step));
        step
    }

    /// The first step that comes no sooner than `pause` after `now`.
    fn not_before(&mut self, pause: Duration, now: Instant) -> u64 {
        let began = *self.began.get_or_insert(now);
        let since = (now + pause - began).as_nanos();
        whole(since.div_ceil(self.length.as_nanos()))
    }

    fn time_of(&self, step: u64) -> Option<Instant> {
        let nanos = self.length.as_nanos().checked_mul(step.into())?;
        Some(self.began? + Duration::from_nanos(whole(nanos)))
    }
}

/// As good as for ever where it is too much.
fn whole(count: u128) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

impl Messages {
    fn count(&mut self, head: u64, now: Instant) {
        let (at, first) = *self.since.get_or_insert((now, head));
        if now - at >= COUNT {
            let came = u32::try_from(head - first).unwrap_or(u32::MAX);
            self.apart = (now - at) / came.max(1);
            self.since = Some((now, head));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Turns of 100 sends, each of which takes 5 us, for 2 s; messages are this far apart.
    fn after_some_turns(pace: &mut Pace, began: Instant, apart: Duration) -> Instant {
        let mut now = began;
        for _ in 0..4_000 {
            let head = (now - began).as_micros() / apart.as_micros();
            for _ in 0..100 {
                pace.sends(5_000, u64::try_from(head).unwrap(), now);
            }
            now += Duration::from_micros(500);
        }
        now
    }

    /// How long one of `subscribers`, sent to at `now`, is left alone.
    fn pause(pace: &mut Pace, subscribers: u64, now: Instant) -> Option<Duration> {
        match pace.next(subscribers, now) {
            0 => None,
            step => Some(pace.time_of(step).unwrap() - now),
        }
    }

    const OFTEN: Duration = Duration::from_millis(10);

    #[test]
    fn the_automatic_pace_is_a_quarter_more_than_a_round() {
        let mut pace = Pace::new(Coalesce::Auto);
        let began = Instant::now();
        assert_eq!(pause(&mut pace, 5_000, began), None, "nothing is known yet");
        let now = after_some_turns(&mut pace, began, OFTEN);
        let alone = pause(&mut pace, 5_000, now).unwrap();
        let quarter_more = Duration::from_micros(5_000 * 5 * 5 / 4);
        assert!(alone >= quarter_more && alone <= quarter_more + STEP);
        assert_eq!(
            pause(&mut pace, 100, now),
            None,
            "a short round needs no pause"
        );
    }

    #[test]
    fn nobody_is_left_alone_while_each_message_has_time_for_a_round_of_its_own() {
        let mut pace = Pace::new(Coalesce::Auto);
        let round = Duration::from_micros(5_000 * 5);
        let now = after_some_turns(&mut pace, Instant::now(), round * 3 / 2);
        assert_eq!(pause(&mut pace, 5_000, now), None);
        assert!(
            pause(&mut pace, 10_000, now).is_some(),
            "a round takes twice as long"
        );
    }

    #[test]
    fn time_that_the_driver_slept_is_no_measure() {
        let mut pace = Pace::new(Coalesce::Auto);
        let now = after_some_turns(&mut pace, Instant::now(), OFTEN);
        let before = pace.send_ns;
        pace.sends(5_000, 200, now);
        pace.exhausted();
        pace.sends(5_000, 200, now + Duration::from_secs(9));
        assert_eq!(pace.send_ns, before);
    }

    #[test]
    fn a_fixed_pace_is_never_shorter_than_it_says_nor_longer_than_the_wheel() {
        let ms = Duration::from_millis;
        for fixed in [
            Duration::from_micros(2_500),
            ms(250),
            ms(3_000),
            ms(600_000),
        ] {
            let mut pace = Pace::new(Coalesce::Fixed(fixed));
            let began = Instant::now();
            let step = pace.steps.length;
            for offset_us in [0, 1, 400, 999, 1_000, 123_456] {
                let now = began + Duration::from_micros(offset_us);
                let alone = pause(&mut pace, 1, now).unwrap();
                assert!(alone >= fixed && alone < fixed + step);
                assert!(pace.next(1, now) - pace.step(now) <= STEPS_MAX);
            }
        }
        let mut none = Pace::new(Coalesce::Fixed(Duration::ZERO));
        assert_eq!(pause(&mut none, 9, Instant::now()), None);
    }
}
