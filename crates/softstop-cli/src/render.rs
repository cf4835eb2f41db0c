//! The only place that writes for people.

use std::{
    error::Error,
    fmt::Display,
    io::{self, Write},
};

/// Columns of the text where nobody looks at a terminal.
const WIDTH: u16 = 100;

/// The columns of the terminal on stdout, if it is one.
pub(crate) fn width() -> u16 {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok();
    size.map(|size| size.ws_col).filter(|columns| *columns > 0).unwrap_or(WIDTH)
}

/// A closed output changes nothing about what was found.
pub(crate) fn line(text: impl Display) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// What is said beside it.
pub(crate) fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

pub(crate) fn error(error: &dyn Error, hint: &str) {
    let mut text = format!("error: {error}\n");
    for cause in std::iter::successors(error.source(), |error| (*error).source()) {
        text.push_str(&format!("caused by: {cause}\n"));
    }
    let _ = writeln!(io::stderr(), "{text}hint: {hint}");
}
