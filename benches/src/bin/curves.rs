//! See [`benches::programs::curves`].

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    benches::programs::curves::main()
}
