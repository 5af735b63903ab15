//! See [`benches::programs::drivers`].

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    benches::programs::drivers::main()
}
