//! The programs. Each declares a study: candidates, loads, figures and bounds.

pub mod curves;
pub mod drivers;
pub mod floor;
pub mod hostile;
pub mod own_cost;
pub mod peers;
pub mod results;
pub mod scrape;

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::{curves, drivers, floor, hostile, own_cost, peers, results, scrape};

    #[test]
    fn every_command_line_is_consistent() {
        curves::Args::command().debug_assert();
        drivers::Args::command().debug_assert();
        floor::Args::command().debug_assert();
        hostile::Args::command().debug_assert();
        own_cost::Args::command().debug_assert();
        peers::Args::command().debug_assert();
        results::Args::command().debug_assert();
        scrape::Args::command().debug_assert();
    }
}
