//! `tiles get`, `plan`, `status`, `finish`, `convert`, `verify` and `selftest`.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
