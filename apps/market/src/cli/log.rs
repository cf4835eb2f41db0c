//! The log file: lines in a format of Python's logging, in files that are set aside as its `RotatingFileHandler` does. It is written on
//! a thread of its own, so that a full or slow disk delays nothing.

mod file;
mod format;

use std::time::Duration;

use market::config::{Level, Logging};

use self::{
    file::Rotating,
    format::{Format, Record},
};
use super::{now_ms, outlet::Outlet};

/// The format of the collector that this one replaces.
const FORMAT: &str = "%(asctime)s - %(name)s - %(levelname)s - %(message)s";

/// The way to the log file.
pub(crate) struct Log {
    level: Level,
    format: Format,
    outlet: Outlet,
}

impl Log {
    /// Opens the file, and makes its folder. `complain` is told once when it cannot be written any more.
    ///
    /// # Errors
    /// It cannot be opened, or the format has a field that is not known.
    pub(crate) fn open(logging: &Logging, complain: impl Fn(String) + Send + 'static) -> Result<Self, String> {
        let text = logging.format.as_deref().unwrap_or(FORMAT);
        let format = Format::read(text).map_err(|why| format!("`logging.format` is `{text}`: {why}"))?;
        let file = Rotating::open(logging.file.clone(), logging.max_bytes, logging.backups, Box::new(complain));
        let file = file.map_err(|error| {
            format!(
                "cannot write the log to {}: {error}; name another file as `logging.file_path`",
                logging.file.display()
            )
        })?;
        Ok(Self { level: logging.level, format, outlet: Outlet::start("market-log", file) })
    }

    /// Never waits.
    pub(crate) fn write(&self, level: Level, message: &str) {
        if level >= self.level {
            let record = Record { time_ms: now_ms(), level, message };
            self.outlet.send(self.format.line(&record));
        }
    }

    /// Waits until all is written, but no longer than `limit`.
    pub(crate) fn finish(&self, limit: Duration) {
        self.outlet.finish(limit);
    }
}
