//! The flags that say how often, how fast and how well: several runs from one command, and what is
//! demanded of each.

use clap::Args;

use crate::slo::Slo;
use crate::sweep::Sweep;

/// What is to be found out, and what counts as good.
#[derive(Debug, Clone, Args)]
pub(crate) struct RunFlags {
    /// Demand this of the figures, which have the names of the JSON, as in
    /// 'delivery.p99<100ms,lost==0'; repeatable. Exit status 4 if it is broken
    #[arg(long, value_name = "CONDITIONS")]
    pub(crate) slo: Vec<Slo>,

    /// Measure so many times on the same connections, and report the spread; each repeat has a seed
    /// of its own
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) repeat: u32,

    /// Measure these rates one after the other on the same connections; a range stands for its round
    /// numbers (1, 2 and 5 of each decade), as in 10,20,50,100..1000
    #[arg(long, value_name = "RATES", conflicts_with_all = ["repeat", "find_max", "rate", "rate_per_client"])]
    pub(crate) sweep: Option<Sweep>,

    /// Search for the highest rate at which the measurement is valid and every --slo holds, beginning
    /// with --rate
    #[arg(long, conflicts_with = "repeat")]
    pub(crate) find_max: bool,
}
