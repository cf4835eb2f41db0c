//! `market collect`, `minutes`, `status`, `export` and `selftest`.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
