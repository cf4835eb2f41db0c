//! The command `softstop`.

mod prove;
mod render;

use std::{path::Path, process::ExitCode};

use clap::Command;
use softstop_fleet::selftest;

/// Everything is as it should be, a rule is broken, the command line is wrong or nothing could be started.
const OK: u8 = 0;
const BROKEN: u8 = 1;
const WRONG: u8 = 2;

fn main() -> ExitCode {
    softstop_fleet::trampoline();
    ExitCode::from(match command().try_get_matches() {
        Ok(matches) => match matches.subcommand_name() {
            Some("prove") => return matches.subcommand_matches("prove").map_or(ExitCode::from(WRONG), prove::run),
            Some("selftest") => self_test(),
            _ => WRONG,
        },
        Err(error) => {
            let _ = error.print();
            if error.use_stderr() { WRONG } else { OK }
        }
    })
}

fn command() -> Command {
    let self_test = Command::new("selftest").about("Shows how well programs are contained on this machine").long_about(
        "Starts programs that try to escape, at every level of containment, as this user and, where this is root, as\n\
         an ordinary one too, and counts who is left. Takes half a minute. Exit status 0 if nobody escapes from a level\n\
         that promises so, else 1.",
    );
    Command::new("softstop")
        .about("Shows how well programs stop")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(prove::command())
        .subcommand(self_test)
}

fn self_test() -> u8 {
    match selftest::run(Path::new("/proc/self/exe")) {
        Ok(found) => {
            render::line(&found);
            if found.passes() { OK } else { BROKEN }
        }
        Err(error) => {
            render::error(&error, error.hint());
            WRONG
        }
    }
}
