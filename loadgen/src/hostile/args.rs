//! Which clients are hostile, and how: the options, and the plan that they come to.

use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use record::HostileKind;

/// A herd is as large as this share of the clients unless its size is given.
const HERD_SHARE: u32 = 10;

/// A churning client stays for so long.
pub(super) const CHURN_STAY: Duration = Duration::from_millis(500);

/// Which clients are hostile, and how.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Hostile clients, beside the others and counted apart")]
pub(crate) struct HostileArgs {
    /// So many further clients that read only so many bytes a second each, as in 10:2000
    #[arg(long, value_name = "N:BYTES_PER_S")]
    slow_clients: Option<Slow>,

    /// So many further clients that join and never read
    #[arg(long, value_name = "N", default_value_t = 0)]
    stalled_clients: u32,

    /// So many further clients a second that join, stay for half a second, and leave
    #[arg(long, value_name = "N/s")]
    churn: Option<Churn>,

    /// A herd of further clients (a tenth of --clients, unless :N says how many) that leave together
    /// at this time of the measurement, and come back at once
    #[arg(long, value_name = "TIME[:N]")]
    reconnect_herd_at: Option<Herd>,

    /// So many further connections that never send more than a part of their first header
    #[arg(long, value_name = "N", default_value_t = 0)]
    half_open: u32,

    /// So many further clients that send what is no frame, and come back a second after the server
    /// has closed them; every other one joins first
    #[arg(long, value_name = "N", default_value_t = 0)]
    garbage_clients: u32,
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

/// The hostile clients of one run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HostilePlan {
    /// How many of each kind there are from the start.
    pub(super) members: Vec<(HostileKind, u32)>,
    pub(super) slow_bytes_per_second: f64,
    pub(super) churn_per_second: f64,
    /// Since the beginning of the measured time.
    pub(super) herd_at: Duration,
}

impl HostileArgs {
    /// The plan of a run with so many well-behaved clients; `None` without hostile ones.
    pub(crate) fn plan(&self, clients: u32) -> Option<HostilePlan> {
        let slow = self.slow_clients.map_or(0, |slow| slow.clients);
        let herd = self.reconnect_herd_at.map_or(0, |herd| {
            herd.clients.unwrap_or((clients / HERD_SHARE).max(1))
        });
        let churn_per_second = self.churn.map_or(0.0, |churn| churn.0);
        let mut members = vec![
            (HostileKind::Slow, slow),
            (HostileKind::Stalled, self.stalled_clients),
            (HostileKind::Herd, herd),
            (HostileKind::HalfOpen, self.half_open),
            (HostileKind::Garbage, self.garbage_clients),
        ];
        members.retain(|(_, count)| *count > 0);
        if members.is_empty() && churn_per_second <= 0.0 {
            return None;
        }
        Some(HostilePlan {
            members,
            slow_bytes_per_second: self.slow_clients.map_or(0.0, |slow| slow.bytes_per_second),
            churn_per_second,
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
            at: cli::duration(at)?,
            clients,
        })
    }
}

fn positive(text: &str) -> Option<f64> {
    let number: f64 = text.parse().ok()?;
    (number.is_finite() && number > 0.0).then_some(number)
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
        assert_eq!(plan("--stalled-clients 0", 500), None);
    }

    #[test]
    fn options_name_how_many_are_hostile_and_how() {
        let plan = plan(
            "--slow-clients 3:2000 --stalled-clients 2 --churn 50/s \
             --reconnect-herd-at 1.5s --half-open 4 --garbage-clients 5",
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
            ]
        );
        assert_eq!(plan.herd_at, Duration::from_millis(1500));
        assert_eq!(plan.sockets(), 64 + 50);
    }

    #[test]
    fn a_herd_may_have_its_own_size() {
        assert_eq!(
            plan("--reconnect-herd-at 2s:7", 500).unwrap().members,
            [(HostileKind::Herd, 7)]
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
