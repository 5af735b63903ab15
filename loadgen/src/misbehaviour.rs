//! Misbehaviour: clients that a server must survive, beside the well-behaved ones whose figures show
//! whether it did.
//!
//! They run on a thread and connections of their own (`crowd`), send no message that anybody could
//! receive, and enter none of the run's figures. What became of them is told apart, by kind, with
//! the server's own words. They join with the warm-up and end with the run.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::command_line::duration;
use crate::departures::Departures;

mod crowd;
mod member;

pub(crate) use crowd::Crowd;

/// A herd is as large as this share of the clients unless its size is given.
const HERD_SHARE: u32 = 10;

/// A churning client stays for so long.
pub(crate) const CHURN_STAY: Duration = Duration::from_millis(500);

/// Which clients misbehave, and how.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Misbehaving clients, beside the others and counted apart")]
pub(crate) struct MisbehaviourFlags {
    /// So many further clients that read only so many bytes a second each, as in 10:2000
    #[arg(long, value_name = "N:BYTES_PER_S")]
    pub(crate) slow_clients: Option<Slow>,

    /// So many further clients that join and never read
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) stalled_clients: u32,

    /// So many further clients a second that join, stay for half a second, and leave
    #[arg(long, value_name = "N/s")]
    pub(crate) churn: Option<Churn>,

    /// A herd of further clients (a tenth of --clients, unless :N says how many) that leave together
    /// at this time of the measurement, and come back at once
    #[arg(long, value_name = "TIME[:N]")]
    pub(crate) reconnect_herd_at: Option<Herd>,

    /// So many further connections that never send more than a part of their first header
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) half_open: u32,

    /// So many further clients that send what is no frame, and come back a second after the server
    /// has closed them; every other one joins first
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) garbage_clients: u32,
}

/// Clients that read slowly.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Slow {
    clients: u32,
    bytes_per_second: f64,
}

/// Clients that come and go, a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Churn(f64);

/// Clients that come back all at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Herd {
    at: Duration,
    clients: Option<u32>,
}

/// How a client misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Slow,
    Stalled,
    Churn,
    Herd,
    HalfOpen,
    Garbage,
}

/// The misbehaving clients of one run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cast {
    /// How many of each kind there are from the start.
    members: Vec<(Kind, u32)>,
    slow_bytes_per_second: f64,
    churn_per_second: f64,
    /// Since the beginning of the measured time.
    herd_at: Duration,
}

/// What became of the misbehaving clients, by kind.
pub(crate) type Fates = BTreeMap<Kind, Fate>;

/// What became of those of one kind.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Fate {
    /// Connections that were asked for, those of clients that came back included.
    pub(crate) attempts: u64,
    /// Of these, those that came about.
    pub(crate) connected: u64,
    /// Connections that were there when the run ended.
    pub(crate) still_there: u64,
    /// Connections that they left by themselves.
    pub(crate) left: u64,
    pub(crate) received_bytes: u64,
    /// Those that the server let go of, and what it said.
    pub(crate) departures: Departures,
    /// Of a herd: from its leaving until the last of it heard somebody speak again. `None` if some
    /// never did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) herd_back_seconds: Option<f64>,
}

impl MisbehaviourFlags {
    /// Whom they name; `None` if everybody is to behave.
    pub(crate) fn cast(&self, clients: u32) -> Option<Cast> {
        let slow = self.slow_clients.map_or(0, |slow| slow.clients);
        let herd = self.reconnect_herd_at.map_or(0, |herd| {
            herd.clients.unwrap_or((clients / HERD_SHARE).max(1))
        });
        let churn_per_second = self.churn.map_or(0.0, |churn| churn.0);
        let mut members = vec![
            (Kind::Slow, slow),
            (Kind::Stalled, self.stalled_clients),
            (Kind::Herd, herd),
            (Kind::HalfOpen, self.half_open),
            (Kind::Garbage, self.garbage_clients),
        ];
        members.retain(|(_, count)| *count > 0);
        if members.is_empty() && churn_per_second <= 0.0 {
            return None;
        }
        Some(Cast {
            members,
            slow_bytes_per_second: self.slow_clients.map_or(0.0, |slow| slow.bytes_per_second),
            churn_per_second,
            herd_at: self.reconnect_herd_at.map_or(Duration::MAX, |herd| herd.at),
        })
    }
}

impl Cast {
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
        lasting.saturating_add(churning)
    }
}

impl FromStr for Slow {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.split_once(':')
            .and_then(|(clients, bytes)| {
                Some(Self {
                    clients: clients.parse().ok()?,
                    bytes_per_second: positive(bytes)?,
                })
            })
            .ok_or_else(|| "write how many and how slow, as in 10:2000".into())
    }
}

impl FromStr for Churn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        positive(text.strip_suffix("/s").unwrap_or(text))
            .filter(|rate| *rate <= 1e6)
            .map(Self)
            .ok_or_else(|| "write clients a second, as in 50/s".into())
    }
}

impl FromStr for Herd {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (at, clients) = match text.split_once(':') {
            None => (text, None),
            Some((at, clients)) => {
                let clients = clients.parse().ok().filter(|clients| *clients > 0);
                let Some(clients) = clients else {
                    return Err("write a time and how many, as in 5s:500".into());
                };
                (at, Some(clients))
            }
        };
        Ok(Self {
            at: duration(at)?,
            clients,
        })
    }
}

fn positive(text: &str) -> Option<f64> {
    let number: f64 = text.parse().ok()?;
    (number.is_finite() && number > 0.0).then_some(number)
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Slow => "slow",
            Self::Stalled => "stalled",
            Self::Churn => "churning",
            Self::Herd => "herd",
            Self::HalfOpen => "half open",
            Self::Garbage => "garbage",
        })
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} connected of {} attempts, {} still there, {} left, {} let go of",
            self.connected,
            self.attempts,
            self.still_there,
            self.left,
            self.departures.count()
        )?;
        if self.departures.count() > 0 {
            write!(f, " ({})", self.departures.in_words())?;
        }
        match self.herd_back_seconds {
            None => Ok(()),
            Some(seconds) => write!(f, ", all back after {seconds:.3} s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::command_line::CommandLine;

    fn cast(flags: &str) -> Option<Cast> {
        let words = ["loadgen"].into_iter().chain(flags.split_whitespace());
        let demand = CommandLine::try_parse_from(words).unwrap();
        demand.misbehaviour.cast(demand.clients)
    }

    #[test]
    fn without_flags_everybody_behaves() {
        assert_eq!(cast(""), None);
        assert_eq!(cast("--stalled-clients 0"), None);
    }

    #[test]
    fn flags_name_how_many_misbehave_and_how() {
        let cast = cast(
            "--clients 500 --slow-clients 3:2000 --stalled-clients 2 --churn 50/s \
             --reconnect-herd-at 1.5s --half-open 4 --garbage-clients 5",
        )
        .unwrap();
        assert_eq!(
            cast.members,
            [
                (Kind::Slow, 3),
                (Kind::Stalled, 2),
                (Kind::Herd, 50),
                (Kind::HalfOpen, 4),
                (Kind::Garbage, 5),
            ]
        );
        assert_eq!(cast.herd_at, Duration::from_millis(1500));
        assert_eq!(cast.sockets(), 64 + 50);
    }

    #[test]
    fn a_herd_may_have_its_own_size() {
        assert_eq!(
            cast("--reconnect-herd-at 2s:7").unwrap().members,
            [(Kind::Herd, 7)]
        );
    }

    #[test]
    fn refusals_say_how_to_write_it() {
        assert!("10".parse::<Slow>().unwrap_err().contains("10:2000"));
        assert!("10:0".parse::<Slow>().is_err());
        assert!("-1/s".parse::<Churn>().unwrap_err().contains("50/s"));
        assert!("2s:0".parse::<Herd>().unwrap_err().contains("5s:500"));
        assert!("soon".parse::<Herd>().is_err());
    }
}
