//! The command line of the program that writes results/.

use std::path::PathBuf;

use clap::Parser;

use crate::report::Extent;

/// Measures everything that results/ holds, and renews the figures in README.md, results/README.md and
/// docs/tuning.md.
///
/// Run it by benches/run.sh, which builds what it needs. Exit status: 0 all reports are written, 1 one
/// could not be made, 2 wrong usage. Whether bounds are met is what the reports say.
#[derive(Debug, Parser)]
#[command(name = "results", version, max_term_width = 100)]
pub(crate) struct CommandLine {
    /// About 9 minutes instead of 35: fewer repeats and points, for a first look
    #[arg(long, conflicts_with = "trial")]
    quick: bool,

    /// A minute, with so few clients that the figures mean nothing: to see that everything works
    #[arg(long)]
    trial: bool,

    /// Measure nothing: renew the texts from the reports that are there
    #[arg(long, conflicts_with_all = ["quick", "trial"])]
    pub(crate) texts: bool,

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
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        CommandLine::command().debug_assert();
    }
}
