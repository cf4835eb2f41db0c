//! What a person watching wants to know, and how it is said.

use std::{fmt, sync::Arc};

use crate::{
    config::Level,
    second::Second,
    store::Summary,
    table::{count, line},
};

/// Told what happens, from the threads on which it happens: it has to return soon.
pub type Tell = Arc<dyn Fn(Progress) + Send + Sync>;

/// What a person watching wants to know; as text, one line of words.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// The exchange is connected.
    Connected,
    /// The connection could not be made or broke, and why; it is tried again.
    Disconnected(String),
    /// A new connection is made beside the present one, and why.
    Replacing(String),
    /// What is missing of this symbol could not be asked for, and why; it is tried again.
    Unfilled(String, String),
    /// This file cannot be written, and why; it is tried again, and meanwhile nothing is taken from the exchange. Said once, until it works.
    Unwritten(String, String),
    /// This file can be written again.
    Written(String),
    /// A minute is over and on disk.
    Minute(Summary),
    /// A second has passed: how everything stands.
    Second(Second),
    /// Everything is on disk and the file is closed.
    Saved(Saved),
}

/// What came of one run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Saved {
    /// Minutes that were written to, the open ones among them.
    pub minutes: u64,
    /// Aggregated trades written.
    pub trades: u64,
    /// Trades that were on disk already.
    pub known: u64,
    /// Messages that could not be read.
    pub malformed: u64,
    /// Messages that are no trades of these symbols.
    pub ignored: u64,
}

impl Progress {
    /// How much it matters.
    pub fn level(&self) -> Level {
        match self {
            Self::Second(_) => Level::Debug,
            Self::Connected | Self::Replacing(_) | Self::Written(_) | Self::Minute(_) | Self::Saved(_) => Level::Info,
            Self::Disconnected(_) | Self::Unfilled(..) => Level::Warning,
            Self::Unwritten(..) => Level::Error,
        }
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected => f.write_str("connected"),
            Self::Disconnected(error) => write!(f, "{error}; trying again"),
            Self::Replacing(why) => write!(f, "{why}; making a new one"),
            Self::Unfilled(symbol, error) => {
                write!(f, "{symbol}: cannot fetch what is missing: {error}; trying again")
            }
            Self::Unwritten(file, error) => {
                write!(
                    f,
                    "cannot write to {file}: {error}; trying again, and taking nothing from the exchange meanwhile"
                )
            }
            Self::Written(file) => write!(f, "{file} can be written again"),
            Self::Minute(minute) => f.write_str(&line(minute)),
            Self::Second(second) => second.fmt(f),
            Self::Saved(saved) => saved.fmt(f),
        }
    }
}

impl fmt::Display for Saved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { minutes, trades, known, malformed, ignored } = self;
        write!(f, "saved {}, {}", count(*minutes, "minute"), count(*trades, "trade"))?;
        for (number, words) in [
            (known, format!("{known} known already")),
            (malformed, count(*malformed, "malformed message") + " skipped"),
            (ignored, count(*ignored, "other message")),
        ] {
            if *number > 0 {
                write!(f, ", {words}")?;
            }
        }
        Ok(())
    }
}
