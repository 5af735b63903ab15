//! The server's own view of a run, from its metrics, beside what the clients saw.
//!
//! The server counts what it accepted, handed to the kernel and gave up; the clients count what they
//! sent and received, probes and warm-up included. Where nobody was disconnected the two must be
//! equal to the message, and the report says whether they are. All is read outside the loop that
//! measures: before the run, by a thread of its own during it, and after it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use record::{Quantiles, ServerSecond, ServerView};

use crate::host::clock::Waiting;
use crate::measure::observation::Traffic;

mod sampler;
mod scrape;

use sampler::{Sample, Sampler};
use scrape::Samples;
pub(crate) use scrape::{MetricsUrl, NoMetrics};

/// How long after a run what is still on its way is waited for.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(2);

/// The most connections that a server lists.
const LISTED_MAX: u32 = 10_000;

/// Reads the metrics of one server, run for run.
#[derive(Debug)]
pub(crate) struct ServerMetrics {
    url: MetricsUrl,
    clients: u32,
    run: Option<Run>,
}

/// A run that is under way.
#[derive(Debug)]
struct Run {
    before: Samples,
    /// What our connections had been sent; `None` when all that the server sends is for us.
    sent_before: Option<u64>,
    sampler: Sampler,
    settling: Option<Waiting>,
    settled: Option<Settled>,
}

/// What both had counted when it was the same. Later they may be told of joins and leaves, and not at
/// the same moment.
#[derive(Debug)]
struct Settled {
    after: Samples,
    sent_after: Option<u64>,
    counted: Traffic,
}

impl ServerMetrics {
    /// For runs of so many clients.
    ///
    /// # Errors
    /// When no metrics are there.
    pub(crate) fn new(url: MetricsUrl, clients: u32) -> Result<Self, NoMetrics> {
        url.samples()?;
        Ok(Self {
            url,
            clients,
            run: None,
        })
    }

    /// A run begins, with others on the same server if `shared`. Failures are found by the end.
    pub(crate) fn begin_run(&mut self, shared: bool) {
        let listed = shared && self.clients <= LISTED_MAX;
        self.run = self.url.samples().ok().map(|before| Run {
            before,
            sent_before: listed.then(|| self.sent().unwrap_or_default()),
            sampler: Sampler::start(self.url.clone()),
            settling: None,
            settled: None,
        });
    }

    /// The measured time begins.
    pub(crate) fn measure(&self) {
        if let Some(run) = &self.run {
            run.sampler.measure();
        }
    }

    /// After the run: whether there is nothing more to wait for, since both have counted the same, or
    /// waiting has been in vain.
    pub(crate) fn is_settled(&mut self, counted: Traffic) -> bool {
        let (url, clients) = (self.url.clone(), self.clients);
        let Some(run) = &mut self.run else {
            return true;
        };
        let now = Instant::now();
        let settling = run.settling.get_or_insert_with(|| Waiting::since(now));
        let waited = settling.until(now);
        let Ok(after) = url.samples() else {
            return true;
        };
        let sent_after = run.sent_before.and_then(|_| sent_to(&url, clients).ok());
        let deliveries = run.deliveries_to_clients(&after, sent_after);
        // Hostile clients may be owed something for as long as they like.
        let owed = run.sent_before.is_none() && after.count("uringcast_deliveries_pending") > 0;
        if !owed && deliveries == Some(counted.arrivals) {
            run.settled = Some(Settled {
                after,
                sent_after,
                counted,
            });
            return true;
        }
        counted.disconnected > 0 || waited > SETTLE_TIMEOUT
    }

    /// The server's view of the run that has ended; `None` if its metrics could not be read.
    pub(crate) fn end_run(&mut self, counted: Traffic) -> Option<ServerView> {
        let mut run = self.run.take()?;
        let Settled {
            after,
            sent_after,
            counted,
        } = match run.settled.take() {
            Some(settled) => settled,
            None => Settled {
                sent_after: run.sent_before.and_then(|_| self.sent().ok()),
                after: self.url.samples().ok()?,
                counted,
            },
        };
        let deliveries_to_clients = run.deliveries_to_clients(&after, sent_after);
        let before = run.before;
        let samples = run.sampler.end();
        let since = |name: &str| after.count(name).saturating_sub(before.count(name));
        let first = samples.iter().find(|it| it.at.is_some());
        let measured = first.map_or(&before, |it| &it.samples);
        let (sends, sums) = (
            "uringcast_messages_per_send_count",
            "uringcast_messages_per_send_sum",
        );
        let sent = after.count(sends).saturating_sub(measured.count(sends));
        let carried = after.count(sums).saturating_sub(measured.count(sums));
        let messages_accepted = since("uringcast_messages_received_total");
        Some(ServerView {
            url: self.url.url(),
            driver: after.label("uringcast_build_info", "driver"),
            agrees: messages_accepted == counted.handed_over
                && deliveries_to_clients.is_none_or(|it| it == counted.arrivals),
            messages_sent: counted.handed_over,
            messages_accepted,
            deliveries_received: counted.arrivals,
            deliveries_to_clients,
            deliveries_owed: since("uringcast_deliveries_owed_total"),
            deliveries: since("uringcast_deliveries_total"),
            deliveries_pending: after.count("uringcast_deliveries_pending"),
            deliveries_discarded: by_reason(
                &before,
                &after,
                "uringcast_deliveries_discarded_total",
            ),
            disconnects: by_reason(&before, &after, "uringcast_disconnects_total"),
            sends: since("uringcast_sends_total"),
            short_sends: since("uringcast_short_sends_total"),
            fanout_ms: quantiles("uringcast_fanout_duration_seconds", measured, &after),
            queue_to_wire_ms: quantiles("uringcast_queue_to_wire_seconds", measured, &after),
            messages_per_send: (sent > 0).then(|| carried as f64 / sent as f64),
            seconds: seconds(&samples),
        })
    }

    fn sent(&self) -> Result<u64, NoMetrics> {
        sent_to(&self.url, self.clients)
    }
}

/// What the server has sent to the clients that measure.
fn sent_to(url: &MetricsUrl, clients: u32) -> Result<u64, NoMetrics> {
    url.sent_to(|name| name.starts_with("load-"), clients)
}

impl Run {
    fn deliveries_to_clients(&self, after: &Samples, sent_after: Option<u64>) -> Option<u64> {
        const DELIVERIES: &str = "uringcast_deliveries_total";
        match self.sent_before {
            Some(before) => sent_after.map(|after| after.saturating_sub(before)),
            None => Some(
                after
                    .count(DELIVERIES)
                    .saturating_sub(self.before.count(DELIVERIES)),
            ),
        }
    }
}

/// Quantiles of what a histogram of seconds took between two readings, in milliseconds.
fn quantiles(name: &str, before: &Samples, after: &Samples) -> Quantiles {
    let before = before.buckets(name);
    let buckets = after.buckets(name).into_iter().enumerate();
    let buckets: Vec<(f64, u64)> = buckets
        .map(|(at, (bound, count))| {
            let earlier = before.get(at).map_or(0, |&(_, count)| count);
            (bound, count.saturating_sub(earlier))
        })
        .collect();
    let total = buckets.last().map_or(0, |&(_, count)| count);
    let below = |part: f64| {
        let found = buckets.iter().find(|it| it.1 as f64 >= part * total as f64);
        found
            .map(|it| it.0 * 1e3)
            .filter(|it| total > 0 && it.is_finite())
    };
    Quantiles {
        p50: below(0.5),
        p99: below(0.99),
    }
}

fn by_reason(before: &Samples, after: &Samples, name: &str) -> BTreeMap<String, u64> {
    let before = before.by_label(name);
    let earlier = |reason: &str| before.get(reason).copied().unwrap_or(0);
    after
        .by_label(name)
        .into_iter()
        .map(|(reason, count)| (count.saturating_sub(earlier(&reason)), reason))
        .filter(|(count, _)| *count > 0)
        .map(|(count, reason)| (reason, count))
        .collect()
}

/// The readings of the measured time and after it.
fn seconds(samples: &[Sample]) -> Vec<ServerSecond> {
    let discarded = |it: &Samples| -> u64 {
        let by_label = it.by_label("uringcast_deliveries_discarded_total");
        by_label.values().sum()
    };
    let pairs = samples.windows(2).filter_map(|pair| match pair {
        [before, after] if before.at.is_some() => Some((&before.samples, after)),
        _ => None,
    });
    pairs
        .map(|(before, Sample { at, samples })| {
            let since = |name: &str| samples.count(name).saturating_sub(before.count(name));
            ServerSecond {
                at_seconds: at.unwrap_or_default().as_secs_f64(),
                connections: samples.count("uringcast_connections"),
                messages: since("uringcast_messages_received_total"),
                deliveries: since("uringcast_deliveries_total"),
                discarded: discarded(samples).saturating_sub(discarded(before)),
                backlog_bytes_max: samples.count("uringcast_backlog_bytes_max"),
                log_bytes: samples.count("uringcast_log_bytes"),
                fanout_p99_ms: quantiles("uringcast_fanout_duration_seconds", before, samples).p99,
            }
        })
        .collect()
}
