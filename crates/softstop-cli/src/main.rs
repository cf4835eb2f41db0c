//! The command `softstop`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let command = clap::Command::new("softstop").about("Shows how well programs stop").arg_required_else_help(true);
    match command.try_get_matches() {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = error.print();
            ExitCode::from(if error.use_stderr() { 2 } else { 0 })
        }
    }
}
