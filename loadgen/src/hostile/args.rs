//! Which clients are hostile, and how: the options, and the plan that they come to.

use std::time::Duration;

use clap::Args;
use record::HostileKind;

use super::web;

/// A herd is as large as this share of the clients unless its size is given.
const HERD_SHARE: u32 = 10;

/// A churning client stays for so long.
pub(super) const CHURN_STAY: Duration = Duration::from_millis(500);

/// Deaf joiners that are there at once unless that is given: with one more, the oldest leaves.
const DEAF_AT_ONCE: u32 = 300;

/// Pause of a burst reader unless it is given.
const BURST_PAUSE: Duration = Duration::from_secs(1);

/// The longest message of a flooder.
const FLOOD_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Which clients are hostile, and how.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Hostile clients, beside the others and counted apart")]
pub(crate) struct HostileArgs {
    /// Add N clients that each read BYTES a second, as in 10:2000; without BYTES, as many as --slow-rate
    /// says
    #[arg(long, value_name = "N[:BYTES/s]", value_parser = several(bytes))]
    slow_clients: Option<Several<u64>>,

    /// Let slow clients read BYTES a second each, at least 1, as in 60kB/s
    #[arg(long, value_name = "BYTES/s", default_value = "2000", value_parser = bytes)]
    slow_rate: u64,

    /// Add N clients that join and never read
    #[arg(long, value_name = "N", default_value_t = 0)]
    stalled_clients: u32,

    /// Add N clients that read everything, then pause for TIME [default: 1s], again and again
    #[arg(long, value_name = "N[:TIME]", value_parser = several(cli::duration))]
    burst_readers: Option<Several<Duration>>,

    /// Add N clients that send as fast as the server reads, and read all they receive
    #[arg(long, value_name = "N", default_value_t = 0)]
    flooders: u32,

    /// Let flooders send messages of BYTES, 0 or more
    #[arg(long, value_name = "BYTES", default_value = "1000", value_parser = bytes)]
    flood_size: u64,

    /// Add R clients a second that join and never read. When N are connected [default: 300], the oldest
    /// leaves for each new one
    #[arg(long, value_name = "R/s[:N]", value_parser = joiners)]
    deaf_joiners: Option<Joiners>,

    /// Add R clients a second that join, stay for half a second, and leave
    #[arg(long, value_name = "R/s", value_parser = per_second)]
    churn: Option<f64>,

    /// Add N clients [default: a tenth of --clients] that leave together TIME after the measurement began,
    /// and reconnect at once
    #[arg(long, value_name = "TIME[:N]", value_parser = herd)]
    reconnect_herd_at: Option<Herd>,

    /// Add N connections that send a part of their first header and nothing more
    #[arg(long, value_name = "N", default_value_t = 0)]
    half_open: u32,

    /// Add N clients that abuse HTTP or WebSocket, beside clients of any --protocol but a broker's;
    /// repeatable. KIND is unmasked, oversized, fragments (without an end), pings, half-handshake, pieces
    /// (of a handshake), slow-head, smuggling (of requests) or close (after each message)
    #[arg(long, value_name = "KIND:N", value_parser = web_clients)]
    hostile_web: Vec<(HostileKind, u32)>,

    /// Add N clients that send malformed frames, and reconnect 1 s after being closed; every other one
    /// joins first
    #[arg(long, value_name = "N", default_value_t = 0)]
    garbage_clients: u32,
}

/// So many clients, and perhaps what they are to do.
#[derive(Debug, Clone, Copy)]
struct Several<T> {
    clients: u32,
    how: Option<T>,
}

/// Clients that keep coming, and how many stay.
#[derive(Debug, Clone, Copy)]
struct Joiners {
    per_second: f64,
    at_once: u32,
}

/// Clients that come back all at once.
#[derive(Debug, Clone, Copy)]
struct Herd {
    at: Duration,
    clients: Option<u32>,
}

/// The hostile clients of one run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HostilePlan {
    /// How many of each kind there are from the start.
    pub(super) members: Vec<(HostileKind, u32)>,
    pub(super) slow_bytes_per_second: f64,
    pub(super) burst_pause: Duration,
    pub(super) flood_bytes: usize,
    pub(super) churn_per_second: f64,
    pub(super) deaf_per_second: f64,
    pub(super) deaf_at_once: u32,
    /// Since the beginning of the measured time.
    pub(super) herd_at: Duration,
}

impl HostileArgs {
    /// Whether any of them speak HTTP.
    pub(crate) fn speak_http(&self) -> bool {
        !self.hostile_web.is_empty()
    }

    /// The plan of a run with so many well-behaved clients; `None` without hostile ones.
    pub(crate) fn plan(&self, clients: u32) -> Option<HostilePlan> {
        let slow = self.slow_clients;
        let slow_rate = slow.and_then(|slow| slow.how).unwrap_or(self.slow_rate);
        let burst = self.burst_readers;
        let burst_pause = burst.and_then(|burst| burst.how);
        let herd = self.reconnect_herd_at.map_or(0, |herd| {
            herd.clients.unwrap_or((clients / HERD_SHARE).max(1))
        });
        let mut members = vec![
            (HostileKind::Slow, slow.map_or(0, |slow| slow.clients)),
            (HostileKind::Stalled, self.stalled_clients),
            (HostileKind::Herd, herd),
            (HostileKind::HalfOpen, self.half_open),
            (HostileKind::Garbage, self.garbage_clients),
            (HostileKind::Flooder, self.flooders),
            (
                HostileKind::BurstReader,
                burst.map_or(0, |burst| burst.clients),
            ),
        ];
        members.extend(&self.hostile_web);
        members.retain(|(_, count)| *count > 0);
        if members.is_empty() && self.churn.is_none() && self.deaf_joiners.is_none() {
            return None;
        }
        Some(HostilePlan {
            members,
            slow_bytes_per_second: slow_rate as f64,
            burst_pause: burst_pause.unwrap_or(BURST_PAUSE),
            flood_bytes: usize::try_from(self.flood_size).unwrap_or(usize::MAX),
            churn_per_second: self.churn.unwrap_or(0.0),
            deaf_per_second: self.deaf_joiners.map_or(0.0, |it| it.per_second),
            deaf_at_once: self.deaf_joiners.map_or(0, |it| it.at_once),
            herd_at: self.reconnect_herd_at.map_or(Duration::MAX, |herd| herd.at),
        })
    }
}

impl HostilePlan {
    /// How many sockets they have open at once, at most.
    pub(crate) fn sockets(&self) -> u32 {
        let lasting: u32 = self.members.iter().map(|(_, count)| count).sum();
        // Twice the mean number, since those who leave late overlap with those who come.
        let churning = self.churn_per_second * CHURN_STAY.as_secs_f64() * 2.0;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the rate is bounded where it is read"
        )]
        let churning = churning.ceil() as u32;
        lasting
            .saturating_add(churning)
            .saturating_add(self.deaf_at_once)
    }

    /// How many of a kind there are from the start.
    pub(super) fn count(&self, kind: HostileKind) -> u32 {
        let of_kind = self.members.iter().filter(|(one, _)| *one == kind);
        of_kind.map(|(_, count)| count).sum()
    }
}

/// A number of bytes, perhaps a second: `1`, `60kB/s`, `8MB`.
fn bytes(text: &str) -> Result<u64, String> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    let number = number.strip_suffix('B').unwrap_or(number);
    let (number, factor) = match (number.strip_suffix(['k', 'K']), number.strip_suffix('M')) {
        (Some(thousands), _) => (thousands, 1_000),
        (_, Some(millions)) => (millions, 1_000_000),
        (None, None) => (number, 1),
    };
    let bytes = number.parse::<u64>().ok();
    let bytes = bytes.and_then(|number| number.checked_mul(factor));
    bytes
        .filter(|bytes| *bytes <= FLOOD_BYTES_MAX)
        .ok_or_else(|| "write bytes up to 8 MiB, as in 2000, 60kB or 60kB/s".into())
}

fn per_second(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix("/s").unwrap_or(text).parse().ok();
    number
        .filter(|rate: &f64| *rate > 0.0 && *rate <= 1e6)
        .ok_or_else(|| "write clients a second, as in 50/s".into())
}

fn several<T>(
    how: fn(&str) -> Result<T, String>,
) -> impl Fn(&str) -> Result<Several<T>, String> + Clone {
    move |text| {
        let (clients, rest) = split(text);
        let clients = clients
            .parse()
            .map_err(|_| "write how many, and perhaps how, as in 10:2000 or 10:2s")?;
        let how = rest.map(how).transpose()?;
        Ok(Several { clients, how })
    }
}

fn web_clients(text: &str) -> Result<(HostileKind, u32), String> {
    let (name, clients) = split(text);
    let named = web::KINDS.iter().find(|(kind, _)| *kind == name);
    match (named, clients.and_then(positive)) {
        (Some(&(_, kind)), Some(clients)) => Ok((kind, clients)),
        _ => {
            let names = web::KINDS.map(|(name, _)| name).join(", ");
            Err(format!(
                "write a kind and how many, as in unmasked:5; kinds are {names}"
            ))
        }
    }
}

fn joiners(text: &str) -> Result<Joiners, String> {
    let (rate, at_once) = split(text);
    let at_once = at_once.map_or(Some(DEAF_AT_ONCE), positive);
    Ok(Joiners {
        per_second: per_second(rate)?,
        at_once: at_once.ok_or("write clients a second and how many stay, as in 150/s:300")?,
    })
}

fn herd(text: &str) -> Result<Herd, String> {
    let (at, clients) = split(text);
    let refusal = "write a time and how many, as in 5s:500";
    Ok(Herd {
        at: cli::duration(at)?,
        clients: clients
            .map(|clients| positive(clients).ok_or(refusal))
            .transpose()?,
    })
}

/// What stands before the colon, and behind it if there is one.
fn split(text: &str) -> (&str, Option<&str>) {
    let (first, second) = text.split_once(':').unzip();
    (first.unwrap_or(text), second)
}

fn positive(text: &str) -> Option<u32> {
    text.parse().ok().filter(|number| *number > 0)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        hostile: HostileArgs,
    }

    fn plan(options: &str, clients: u32) -> Option<HostilePlan> {
        let words = ["loadgen"].into_iter().chain(options.split_whitespace());
        Program::try_parse_from(words)
            .unwrap()
            .hostile
            .plan(clients)
    }

    #[test]
    fn without_options_nobody_is_hostile() {
        assert_eq!(plan("", 500), None);
        assert_eq!(plan("--stalled-clients 0 --slow-rate 5", 500), None);
    }

    #[test]
    fn options_name_how_many_are_hostile_and_how() {
        let plan = plan(
            "--slow-clients 3:2000 --stalled-clients 2 --churn 50/s --reconnect-herd-at 1.5s \
             --half-open 4 --garbage-clients 5 --flooders 6 --flood-size 65kB --deaf-joiners 150/s:30 \
             --burst-readers 7:250ms --hostile-web slow-head:8 --hostile-web pings:9",
            500,
        )
        .unwrap();
        assert_eq!(
            plan.members,
            [
                (HostileKind::Slow, 3),
                (HostileKind::Stalled, 2),
                (HostileKind::Herd, 50),
                (HostileKind::HalfOpen, 4),
                (HostileKind::Garbage, 5),
                (HostileKind::Flooder, 6),
                (HostileKind::BurstReader, 7),
                (HostileKind::SlowHead, 8),
                (HostileKind::PingFlood, 9),
            ]
        );
        assert_eq!(plan.herd_at, Duration::from_millis(1500));
        assert_eq!(plan.burst_pause, Duration::from_millis(250));
        assert_eq!((plan.flood_bytes, plan.deaf_at_once), (65_000, 30));
        assert_eq!(plan.sockets(), 94 + 50 + 30);
    }

    #[test]
    fn a_rate_may_be_given_with_the_slow_clients_or_apart() {
        let rate = |options| plan(options, 500).unwrap().slow_bytes_per_second;
        assert_eq!(rate("--slow-clients 10:60kB/s"), 60_000.0);
        assert_eq!(rate("--slow-clients 10 --slow-rate 1"), 1.0);
        assert_eq!(rate("--slow-clients 10"), 2_000.0);
    }

    #[test]
    fn a_herd_may_have_its_own_size() {
        let plan = plan("--reconnect-herd-at 2s:7", 500).unwrap();
        assert_eq!(plan.count(HostileKind::Herd), 7);
    }

    #[test]
    fn refusals_say_how_to_write_it() {
        for (refused, said) in [
            (several(bytes)("ten").err(), "10:2000"),
            (several(bytes)("10:x").err(), "60kB/s"),
            (several(cli::duration)("10:x").err(), "250ms"),
            (per_second("-1/s").err(), "50/s"),
            (joiners("5/s:0").err(), "150/s:300"),
            (web_clients("unmasked").err(), "unmasked:5"),
            (web_clients("teapot:1").err(), "slow-head"),
            (herd("2s:0").err(), "5s:500"),
            (herd("soon").err(), "250ms"),
        ] {
            let refused = refused.unwrap();
            assert!(refused.contains(said), "{refused}");
        }
    }
}
