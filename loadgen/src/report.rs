//! Reports: the record of a run is drawn up here, judged, summarized, written in every format, read
//! back, merged and compared.
//!
//! What was measured comes from `measure`; nothing here measures, or knows the command line.

pub mod chart;
pub(crate) mod compare;
pub(crate) mod export;
pub(crate) mod folder;
pub(crate) mod measurement;
pub(crate) mod merge;
pub(crate) mod summary;
mod verdict;
