//! What else a figure depends on: programs and their commits, the machine, its kernel and how that
//! is set up. What could not be read is left out, never guessed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Everything a run took place in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Environment {
    /// The program that measured.
    pub loadgen: Program,
    /// The server, if the load generator started it.
    pub server: Program,
    /// The server's driver, if it said so.
    pub driver: Option<String>,
    /// The line in which the server said that it listens.
    pub server_ready_line: Option<String>,
    /// Whether the server is on this host, reached without a network.
    pub loopback: bool,
    /// The processor's model.
    pub cpu: Option<String>,
    /// Those that the load generator may use.
    pub cores: Option<usize>,
    /// Of the machine.
    pub memory_bytes: Option<u64>,
    /// Its release.
    pub kernel: Option<String>,
    /// What scales the processor's frequency.
    pub governor: Option<String>,
    /// What the kernel does about each flaw of the processor that affects it.
    pub mitigations: BTreeMap<String, String>,
    /// Of the load generator.
    pub limits: Limits,
    /// Settings of the kernel, by name.
    pub sysctls: BTreeMap<String, String>,
}

/// One of the programs that took part.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// As in its Cargo.toml.
    pub version: Option<String>,
    /// Of the sources it was built from.
    pub commit: Option<String>,
}

/// Limits of the load generator's process; `None` is unlimited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// `RLIMIT_NOFILE`, soft.
    pub open_files: Option<u64>,
    /// `RLIMIT_NOFILE`, hard.
    pub open_files_hard: Option<u64>,
    /// `RLIMIT_MEMLOCK`, soft.
    pub locked_memory_bytes: Option<u64>,
}

impl Program {
    /// Version and commit as far as they are known.
    #[must_use]
    pub fn in_words(&self) -> String {
        match (&self.version, &self.commit) {
            (Some(version), Some(commit)) => format!("{version}, commit {commit}"),
            (Some(version), None) => format!("{version}, commit unknown"),
            (None, _) => "unknown".to_owned(),
        }
    }
}
