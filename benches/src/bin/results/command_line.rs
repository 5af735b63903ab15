//! The command line of the program that writes results/.

use std::path::PathBuf;

use clap::Parser;

use crate::report::{self, Extent, Report};

/// Measures everything that results/ holds, and renews the figures in README.md, results/README.md and
/// docs/tuning.md.
///
/// Run it by benches/run.sh, which builds what it needs. Exit status: 0 all reports are written, 1 one
/// could not be made, 2 wrong usage. Whether bounds are met is what the reports say.
#[derive(Debug, Parser)]
#[command(name = "results", version, max_term_width = 100)]
pub(crate) struct CommandLine {
    /// About 13 minutes instead of 45: fewer repeats and points, for a first look
    #[arg(long, conflicts_with = "trial")]
    quick: bool,

    /// A minute, with so few clients that the figures mean nothing: to see that everything works
    #[arg(long)]
    trial: bool,

    /// Measure nothing: renew the texts from the reports that are there
    #[arg(long, conflicts_with_all = ["quick", "trial"])]
    pub(crate) texts: bool,

    /// Renew only these reports, by their folders, and leave the others as they are
    #[arg(long, value_name = "FOLDER", value_delimiter = ',', conflicts_with = "texts",
          value_parser = report::ALL.map(|report| report.folder))]
    only: Vec<String>,

    /// The folder that has README.md and results/
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) root: PathBuf,
}

impl CommandLine {
    pub(crate) const fn extent(&self) -> Extent {
        match (self.quick, self.trial) {
            (true, _) => Extent::Quick,
            (_, true) => Extent::Trial,
            _ => Extent::Whole,
        }
    }

    /// Whether only some of the reports are wanted.
    pub(crate) fn is_partial(&self) -> bool {
        !self.only.is_empty()
    }

    pub(crate) fn wants(&self, report: &Report) -> bool {
        !self.is_partial() || self.only.iter().any(|folder| folder == report.folder)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn all_reports_are_wanted_unless_some_are_named() {
        let wanted = |arguments: &[&str]| {
            let demand = CommandLine::parse_from([&["results"], arguments].concat());
            let wanted = report::ALL.iter().filter(|report| demand.wants(report));
            wanted.map(|report| report.folder).collect::<Vec<_>>()
        };
        assert_eq!(wanted(&[]).len(), report::ALL.len());
        assert_eq!(wanted(&["--only", "limits,job"]), ["job", "limits"]);
        assert!(CommandLine::try_parse_from(["results", "--only", "x"]).is_err());
    }

    #[test]
    fn the_definition_is_consistent() {
        CommandLine::command().debug_assert();
    }
}
