//! See [`benches::programs::hostile`].

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    benches::programs::hostile::main()
}
