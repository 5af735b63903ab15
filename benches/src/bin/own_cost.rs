//! See [`benches::programs::own_cost`].

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    benches::programs::own_cost::main()
}
