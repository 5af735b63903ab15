//! What the processes of a run used, as a whole and second by second.

use serde::{Deserialize, Serialize};

use crate::measured::Percentiles;

/// What a process used over a stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Consumption {
    /// CPU time, user and system.
    pub cpu_seconds: Option<f64>,
    /// CPU seconds a second: 1 is one core, all the time.
    pub cpu_cores: Option<f64>,
    /// CPU time in user space.
    pub cpu_user_seconds: Option<f64>,
    /// CPU time in the kernel.
    pub cpu_system_seconds: Option<f64>,
    /// The peak of resident memory since the process started.
    pub rss_peak_bytes: Option<u64>,
    /// Descriptors that were open in the end.
    #[serde(default)]
    pub descriptors: Option<u64>,
    /// Times that a thread gave up its processor because it had to wait for something.
    #[serde(default)]
    pub voluntary_switches: Option<u64>,
    /// Times that a thread had to give up its processor.
    #[serde(default)]
    pub involuntary_switches: Option<u64>,
}

/// What the load generator itself used.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Generator {
    /// As of any process.
    #[serde(flatten)]
    pub consumption: Consumption,
    /// User CPU of the measured time, by its deliveries.
    pub user_ns_per_delivery: Option<f64>,
    /// Reads that brought bytes, in the measured time: what came between two looks at a socket is one.
    #[serde(default)]
    pub reads: u64,
    /// Share of the measured time in which the event loop worked; of several, the busiest.
    pub busy_share: f64,
    /// How long the turns of the event loop took; of several, all turns together.
    pub turn_ms: Percentiles,
    /// Each thread's own.
    #[serde(default)]
    pub threads: Vec<GeneratorThread>,
}

/// What one thread of the load generator did in the measured time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GeneratorThread {
    /// Share of the measured time in which its loop worked.
    pub busy_share: f64,
    /// Share of the measured time in which it ran on a processor; `None` where the kernel does not
    /// say.
    pub ran_share: Option<f64>,
    /// Share in which it was ready to run, and others had the processors.
    pub waited_share: Option<f64>,
    /// How long its turns took.
    pub turn_ms: Percentiles,
}

/// One second of a run. Messages and deliveries are those that count, without the warm-up's.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Second {
    /// Since the beginning of the measured time.
    pub from_seconds: f64,
    /// Since the beginning of the measured time.
    pub to_seconds: f64,
    /// Whether this was after the measured time, when only what was owed came.
    pub drain: bool,
    /// Messages that were sent.
    pub messages: u64,
    /// Deliveries that came.
    pub deliveries: u64,
    /// By the length of this second.
    pub deliveries_per_second: f64,
    /// Of this second's deliveries, from the intended time.
    pub p50_ms: Option<f64>,
    /// Of this second's deliveries, from the intended time.
    pub p99_ms: Option<f64>,
    /// Of this second's deliveries, from the intended time.
    pub max_ms: Option<f64>,
    /// Deliveries still to come, at its end.
    pub owed: u64,
    /// The longest turn of the generator's loop.
    pub turn_max_ms: Option<f64>,
    /// CPU seconds a second.
    pub server_cpu_cores: Option<f64>,
    /// Resident memory at its end.
    pub server_rss_bytes: Option<u64>,
    /// Descriptors open at its end.
    #[serde(default)]
    pub server_descriptors: Option<u64>,
    /// Times that a thread gave up its processor to wait for something.
    #[serde(default)]
    pub server_voluntary_switches: Option<u64>,
    /// Times that a thread had to give up its processor.
    #[serde(default)]
    pub server_involuntary_switches: Option<u64>,
    /// CPU seconds a second.
    pub generator_cpu_cores: Option<f64>,
    /// Resident memory at its end.
    pub generator_rss_bytes: Option<u64>,
    /// Descriptors open at its end.
    #[serde(default)]
    pub generator_descriptors: Option<u64>,
    /// Times that a thread gave up its processor to wait for something.
    #[serde(default)]
    pub generator_voluntary_switches: Option<u64>,
    /// Times that a thread had to give up its processor.
    #[serde(default)]
    pub generator_involuntary_switches: Option<u64>,
}
