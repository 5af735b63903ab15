//! How a program that measures ends: what came of it, as an exit status.

use std::fmt::Display;
use std::process::ExitCode;

/// Measured, but a bound is missed or a run is invalid.
pub const MISSED: u8 = 3;

/// The exit status for what came of a measurement: 0 every bound is met, 1 it could not be made, which is
/// told on standard error, [`MISSED`].
pub fn outcome<E: Display>(met: Result<bool, E>) -> ExitCode {
    match met {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(MISSED),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
