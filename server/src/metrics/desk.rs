//! Where the metrics thread asks the serving threads what they see, without ever holding one up.
//!
//! A question is a word in an atomic and a ring of the bell; the thread answers on its next turn by
//! sending a copy through a channel. Nobody who serves takes a lock, waits, or does anything for it
//! unless somebody asked. The one who asks waits no longer than [`PATIENCE`], asks no more often than
//! every [`INTERVAL`], and goes on with what it heard last of a thread that does not answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::control::Control;
use crate::driver::RingCounters;
use crate::hub::{ConnectionInfo, ConnectionList, Ended, Hub, Snapshot, SortBy};

/// How long a thread may take to answer.
const PATIENCE: Duration = Duration::from_millis(250);

/// Least time between two questions.
const INTERVAL: Duration = Duration::from_millis(50);

/// What one serving thread reports.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Figures {
    pub(super) snapshot: Snapshot,
    /// Of drivers that have a ring of their own.
    pub(super) ring: Option<RingCounters>,
}

/// The first connections of one serving thread by some order, and the last that ended.
#[derive(Debug, Default)]
pub(super) struct Roll {
    pub(super) first: Vec<ConnectionInfo>,
    pub(super) ended: Vec<Ended>,
}

#[derive(Debug)]
enum Answer {
    Figures(Box<Figures>),
    Roll(Roll),
    /// The thread has ended; these are its last figures.
    Last(Box<Snapshot>),
}

/// What was asked of each thread; 0 is nothing.
type Questions = Arc<[AtomicU64]>;

const FIGURES: u64 = 1;
const ROLL: u64 = 2;
const SORT_SHIFT: u32 = 8;
const LIMIT_SHIFT: u32 = 16;

const SORTS: [SortBy; 4] = [SortBy::Backlog, SortBy::Age, SortBy::Sent, SortBy::Stalled];

/// The side of the metrics thread.
#[derive(Debug)]
pub(super) struct Inquirer {
    control: Arc<Control>,
    questions: Questions,
    answers: Receiver<(usize, Answer)>,
    threads: Vec<Known>,
    asked_at: Option<Instant>,
}

/// What is known of a serving thread.
#[derive(Debug, Default)]
struct Known {
    figures: Figures,
    roll: Option<Roll>,
    answered: bool,
    ended: bool,
}

/// The side of a serving thread, used on that thread.
#[derive(Debug)]
pub(crate) struct Reporter {
    thread: usize,
    control: Arc<Control>,
    questions: Questions,
    answers: Sender<(usize, Answer)>,
    list: Option<ConnectionList>,
}

/// Tells the metrics thread what a serving thread saw last, however that has ended.
#[derive(Debug)]
pub(crate) struct LastWord {
    thread: usize,
    answers: Sender<(usize, Answer)>,
}

/// A desk for so many serving threads.
pub(super) fn desk(control: &Arc<Control>, threads: usize) -> (Inquirer, Vec<Reporter>) {
    let questions: Questions = (0..threads).map(|_| AtomicU64::new(0)).collect();
    let (tell, answers) = channel();
    let reporters = (0..threads).map(|thread| Reporter {
        thread,
        control: Arc::clone(control),
        questions: Arc::clone(&questions),
        answers: tell.clone(),
        list: None,
    });
    let reporters = reporters.collect();
    let inquirer = Inquirer {
        control: Arc::clone(control),
        questions,
        answers,
        threads: (0..threads).map(|_| Known::default()).collect(),
        asked_at: None,
    };
    (inquirer, reporters)
}

impl Reporter {
    /// Answers what was asked, if anything was. To be called when the bell has rung.
    pub(crate) fn report(&mut self, hub: &Hub, ring: Option<RingCounters>, now: Instant) {
        let question = self.questions[self.thread].swap(0, Ordering::Acquire);
        match question & 0xff {
            FIGURES => self.tell(Answer::Figures(Box::new(Figures {
                snapshot: hub.snapshot(),
                ring,
            }))),
            ROLL => self.list = Some(list_of(question)),
            _ => {}
        }
        let Some(list) = &mut self.list else {
            return;
        };
        if hub.list_connections(list, now) {
            let first = self.list.take().map(ConnectionList::into_infos);
            self.tell(Answer::Roll(Roll {
                first: first.unwrap_or_default(),
                ended: hub.last_ended().cloned().collect(),
            }));
        } else {
            // The rest is for the next turn, after everyone had theirs.
            self.control.ring(self.thread);
        }
    }

    /// For when the thread has ended.
    pub(crate) fn last_word(&self) -> LastWord {
        LastWord {
            thread: self.thread,
            answers: self.answers.clone(),
        }
    }

    fn tell(&self, answer: Answer) {
        // Nobody listens any more when the metrics thread has ended.
        let _ = self.answers.send((self.thread, answer));
    }
}

impl LastWord {
    /// The thread has ended.
    pub(crate) fn say(self, snapshot: Snapshot) {
        let answer = Answer::Last(Box::new(snapshot));
        let _ = self.answers.send((self.thread, answer));
    }
}

impl Inquirer {
    /// The figures of all threads, and how many of these did not answer in time.
    pub(super) fn figures(&mut self) -> (Figures, usize) {
        let unanswered = self.ask(FIGURES);
        let mut all = Figures::default();
        for known in &self.threads {
            all.snapshot += known.figures.snapshot;
            if let Some(ring) = known.figures.ring {
                *all.ring.get_or_insert_default() += ring;
            }
        }
        (all, unanswered)
    }

    /// The first `limit` connections of all threads, and those that ended last, the latest first.
    pub(super) fn roll(&mut self, sort: SortBy, limit: u16) -> Roll {
        let index = SORTS.iter().position(|&it| it == sort).unwrap_or_default();
        self.ask(ROLL | (index as u64) << SORT_SHIFT | u64::from(limit) << LIMIT_SHIFT);
        let mut all = Roll::default();
        for roll in self.threads.iter_mut().filter_map(|it| it.roll.take()) {
            all.first.extend(roll.first);
            all.ended.extend(roll.ended);
        }
        all.first
            .sort_by_key(|info| std::cmp::Reverse(sort.rank(info)));
        all.first.truncate(usize::from(limit));
        all.ended.sort_by_key(|ended| std::cmp::Reverse(ended.at));
        all
    }

    /// Asks every thread that has not ended, and waits; says how many have not answered.
    fn ask(&mut self, question: u64) -> usize {
        if let Some(asked_at) = self.asked_at {
            // A limit on how often threads are asked, however often we are.
            thread::sleep(INTERVAL.saturating_sub(asked_at.elapsed()));
        }
        let now = Instant::now();
        self.asked_at = Some(now);
        // Whatever is there answers an earlier question.
        while let Ok((thread, answer)) = self.answers.try_recv() {
            self.threads[thread].hear(answer);
        }
        for (thread, known) in self.threads.iter_mut().enumerate() {
            known.answered = false;
            known.roll = None;
            if !known.ended {
                self.questions[thread].store(question, Ordering::Release);
                self.control.ring(thread);
            }
        }
        let missing = |threads: &[Known]| {
            let missing = threads.iter().filter(|it| !it.ended && !it.answered);
            missing.count()
        };
        while missing(&self.threads) > 0 {
            let left = PATIENCE.saturating_sub(now.elapsed());
            let Ok((thread, answer)) = self.answers.recv_timeout(left) else {
                break;
            };
            let wanted = matches!(answer, Answer::Roll(_)) == (question & 0xff == ROLL);
            self.threads[thread].hear(answer);
            self.threads[thread].answered |= wanted;
        }
        missing(&self.threads)
    }
}

impl Known {
    fn hear(&mut self, answer: Answer) {
        match answer {
            Answer::Figures(figures) => self.figures = *figures,
            Answer::Roll(roll) => self.roll = Some(roll),
            Answer::Last(snapshot) => {
                self.figures.snapshot = *snapshot;
                self.ended = true;
            }
        }
    }
}

fn list_of(question: u64) -> ConnectionList {
    let byte = |shift: u32| (question >> shift) & 0xff;
    let sort = usize::try_from(byte(SORT_SHIFT)).unwrap_or_default();
    let limit = u16::try_from(question >> LIMIT_SHIFT).unwrap_or_default();
    ConnectionList::new(SORTS[sort], usize::from(limit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::{Limits, Log};
    use std::net::SocketAddr;

    fn hub_with(clients: u16, now: Instant) -> Hub {
        let mut hub = Hub::new(Limits::default(), Log::new(1 << 20));
        for port in 0..clients {
            hub.accept(SocketAddr::from(([127, 0, 0, 1], port)), now);
        }
        hub
    }

    /// Serves one thread's desk until its bell has been silent for good.
    fn answer_all(reporter: &mut Reporter, hub: &Hub, stop: &std::sync::atomic::AtomicBool) {
        while !stop.load(Ordering::Acquire) {
            reporter.report(hub, None, Instant::now());
            thread::yield_now();
        }
    }

    #[test]
    fn answers_of_all_threads_are_put_together() {
        let now = Instant::now();
        let control = Arc::new(Control::new(2, Duration::ZERO).unwrap());
        let (mut inquirer, reporters) = desk(&control, 2);
        let stop = std::sync::atomic::AtomicBool::new(false);
        thread::scope(|scope| {
            for (mut reporter, clients) in reporters.into_iter().zip([2000, 3000]) {
                let stop = &stop;
                scope.spawn(move || answer_all(&mut reporter, &hub_with(clients, now), stop));
            }
            let (figures, unanswered) = inquirer.figures();
            let roll = inquirer.roll(SortBy::Age, 7);
            stop.store(true, Ordering::Release);
            assert_eq!(unanswered, 0);
            assert_eq!(figures.snapshot.counters.connections, 5000);
            assert_eq!(roll.first.len(), 7);
        });
    }

    #[test]
    fn who_does_not_answer_is_not_waited_for_for_ever_and_keeps_its_last_figures() {
        let control = Arc::new(Control::new(1, Duration::ZERO).unwrap());
        let (mut inquirer, mut reporters) = desk(&control, 1);
        let hub = hub_with(3, Instant::now());
        assert_eq!(inquirer.figures().1, 1);
        // The answer comes late, and is there the next time.
        reporters[0].report(&hub, None, Instant::now());
        let (figures, unanswered) = inquirer.figures();
        assert_eq!(unanswered, 1);
        assert_eq!(figures.snapshot.counters.connections, 3);
        reporters[0].last_word().say(Snapshot::default());
        assert_eq!(inquirer.figures().1, 0, "who has ended is not asked");
    }

    #[test]
    fn nothing_is_said_unasked() {
        let control = Arc::new(Control::new(1, Duration::ZERO).unwrap());
        let (inquirer, mut reporters) = desk(&control, 1);
        reporters[0].report(&hub_with(1, Instant::now()), None, Instant::now());
        assert!(inquirer.answers.try_recv().is_err());
    }
}
