//! The command line: reads what a person says, and says what came of it. Nothing else prints or reads the environment.

mod arguments;
mod asked;
mod board;
mod collect;
mod console;
mod export;
mod json;
mod log;
mod minutes;
mod outlet;
mod selftest;
mod status;

use std::{
    io::Write as _,
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

/// Wrong arguments or settings: nothing was begun.
const USAGE: u8 = 78;

pub(crate) fn main() -> ExitCode {
    let matches = match arguments::command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { USAGE } else { 0 });
        }
    };
    match matches.subcommand() {
        Some(("collect", matches)) => collect::run(matches),
        Some(("minutes", matches)) => done(minutes::run(matches)),
        Some(("export", matches)) => done(export::run(matches)),
        Some(("status", matches)) => done(status::run(matches)),
        Some(("selftest", _)) => selftest::run(),
        _ => unreachable!("a subcommand is required"),
    }
}

/// The exit status of a command that is over at once.
fn done(result: softstop::Result) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn refuse(error: &str) -> ExitCode {
    complain(&format!("error: {error}"));
    ExitCode::from(USAGE)
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

/// A closed stdout changes nothing.
pub(crate) fn print(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// The same on stderr.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
