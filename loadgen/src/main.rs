//! The load generator's program.

fn main() -> std::process::ExitCode {
    loadgen::run(std::env::args_os())
}
