//! See [`benches::programs::results`].

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    benches::programs::results::main()
}
