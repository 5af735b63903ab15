//! Under construction.

/// Runs the server with `arguments` (the program's name first); returns the exit status.
pub mod hub;

pub fn run<I, T>(arguments: I) -> std::process::ExitCode
where
    I: IntoIterator<Item = T>,
    T: Into<std::ffi::OsString> + Clone,
{
    let _ = arguments.into_iter().count();
    std::process::ExitCode::FAILURE
}
