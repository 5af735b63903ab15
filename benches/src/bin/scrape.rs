//! See [`benches::programs::scrape`].

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    benches::programs::scrape::main()
}
