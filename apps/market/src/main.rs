//! `market collect` and `market minutes`.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
