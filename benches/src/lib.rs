//! Comparisons of the server with itself, with other servers, and with the limit of the kernel.
//!
//! A program is a file in `comparisons/` that declares candidates, loads, figures and bounds. `cases` makes of
//! it what is measured, `measure` measures a case on a server of its own, `study` repeats and interleaves. The
//! `comparison` that results is data.json, from which every table, page and plot is made; `results` runs the
//! programs and renews the texts that quote them.
//!
//! The server, the load generator and the readers are processes of the measuring program itself, so
//! that nothing that is measured can be an old build.

#![forbid(unsafe_code)]

mod args;
mod bound;
mod broken;
mod cases;
mod comparison;
mod declared;
mod error;
mod figure;
mod floor;
mod host;
mod idle;
mod measure;
mod own_cost;
mod page;
mod peers;
mod process;
mod reader;
mod results;
mod run;
mod serving;
mod study;

/// The `main` of the program of this name.
#[must_use]
pub fn main(program: &'static str) -> std::process::ExitCode {
    if let Some(status) = process::run_if_asked() {
        return status;
    }
    match program {
        "results" => results::main(),
        _ => measure::main(program),
    }
}
