//! See [`benches::programs::floor`].

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    benches::programs::floor::main()
}
