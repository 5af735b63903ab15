//! See [`benches::programs::peers`].

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    benches::programs::peers::main()
}
