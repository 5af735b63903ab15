//! `benches::main` under this name.

fn main() -> std::process::ExitCode {
    benches::main("results")
}
