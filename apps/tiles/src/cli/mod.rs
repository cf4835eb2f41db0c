//! The command line: reads what a person says, and says what came of it.

mod args;
mod ask;
mod convert;
mod files;
mod get;
mod plan;
mod selftest;

use std::{fmt, io::Write as _, process::ExitCode};

/// Wrong arguments or a file that cannot be used: nothing was begun.
const USAGE: u8 = 78;

/// What a person is told: what is wrong, and what to do about it.
#[derive(Debug)]
pub(crate) struct Wrong {
    what: String,
    hint: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, hint } = self;
        if hint.is_empty() { f.write_str(what) } else { write!(f, "{what}\nhint: {hint}") }
    }
}

impl std::error::Error for Wrong {}

/// An error with its causes, and its hint.
pub(crate) fn wrong(error: &dyn std::error::Error, hint: &str) -> Wrong {
    let mut what = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        what.push_str(&format!(": {error}"));
        cause = error.source();
    }
    Wrong { what, hint: hint.to_owned() }
}

/// The same in one word: `wrong!(Area::circle(…))?`.
macro_rules! hinted {
    ($result:expr) => {
        $result.map_err(|error| $crate::cli::wrong(&error, error.hint()))
    };
}
pub(crate) use hinted;

pub(crate) fn main() -> ExitCode {
    let matches = match args::command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { USAGE } else { 0 });
        }
    };
    let done = match matches.subcommand() {
        Some(("get", matches)) => match get::wish(matches) {
            Ok(get::Wish::Get(wish)) => return get::run(*wish),
            Ok(get::Wish::Status(path)) => files::status(&path, false),
            Err(error) => return refuse(&error),
        },
        Some(("convert", matches)) => return convert::convert(matches),
        Some(("take-over", matches)) => match convert::take_over(matches) {
            Ok(status) => return status,
            Err(error) => return refuse(&error),
        },
        Some(("selftest", _)) => return selftest::run(),
        Some(("plan", matches)) => plan::run(matches),
        Some(("status", matches)) => files::status(&args::path(matches, "out"), matches.get_flag("json")),
        Some(("finish", matches)) => files::finish(&args::path(matches, "out"), matches.get_flag("incomplete")),
        Some(("verify", matches)) => files::verify(&args::path(matches, "out")),
        _ => unreachable!("a subcommand is required"),
    };
    match done {
        Ok(status) => status,
        Err(error) => refuse(&error),
    }
}

fn refuse(error: &Wrong) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "error: {error}");
    ExitCode::from(USAGE)
}

/// A closed stdout changes nothing.
pub(crate) fn print(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
