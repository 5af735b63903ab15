//! Doubts: why figures may be off, found by the program itself and printed with them.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::Spread;

/// Repeats that lie further apart than this are no steady figure.
const RELATIVE_RANGE_MAX: f64 = 0.25;

/// A thread that sends without a pause has a processor for more than this of the time.
const ON_CPU_SHARE_MIN: f64 = 0.95;

/// A reason to doubt figures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Doubt {
    /// Sender and reader share one processor.
    OneCpu,
    /// Something else took the sender's processor.
    Preempted {
        /// Share of the sending time without a processor.
        off_cpu_share: f64,
    },
    /// Repeats lie far apart.
    Unsteady {
        /// Which figure.
        figure: &'static str,
        /// From minimum to maximum, as a share of the median.
        relative_range: f64,
    },
    /// Frames were not read whole.
    InParts {
        /// Frames sent.
        sends: u64,
        /// Reads that these took.
        reads: u64,
    },
}

impl Doubt {
    pub(crate) fn one_cpu(cpus: usize) -> Option<Self> {
        (cpus == 1).then_some(Self::OneCpu)
    }

    pub(crate) fn preempted(on_cpu_share: f64) -> Option<Self> {
        (on_cpu_share < ON_CPU_SHARE_MIN).then_some(Self::Preempted {
            off_cpu_share: 1.0 - on_cpu_share,
        })
    }

    /// Of a figure whose repeats have this spread, if that is too wide.
    #[must_use]
    pub fn unsteady(figure: &'static str, spread: Spread) -> Option<Self> {
        let relative_range = spread.relative_range();
        (relative_range > RELATIVE_RANGE_MAX).then_some(Self::Unsteady {
            figure,
            relative_range,
        })
    }

    pub(crate) fn in_parts(sends: u64, reads: u64) -> Option<Self> {
        (sends != reads).then_some(Self::InParts { sends, reads })
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::OneCpu => write!(
                f,
                "there is one processor, so reading stands still while a pass is sent"
            ),
            Self::Preempted { off_cpu_share } => write!(
                f,
                "the sending thread waited for a processor for {:.0} % of its passes: see what else runs here",
                off_cpu_share * 100.0
            ),
            Self::Unsteady {
                figure,
                relative_range,
            } => write!(
                f,
                "{figure} differs by {:.0} % between repeats: measure on a quieter machine, or with more repeats",
                relative_range * 100.0
            ),
            Self::InParts { sends, reads } => {
                write!(f, "frames came in parts: {reads} reads for {sends} sends")
            }
        }
    }
}

impl Serialize for Doubt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
