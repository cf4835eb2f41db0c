//! What a person watching wants to know, and how it is said.

use std::{fmt, sync::Arc};

use crate::{
    config::Level,
    redis::RedisProgress,
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
    /// So many single trades of this symbol are missing between others; they are fetched where there is REST.
    Missing(String, i64),
    /// Nothing of this symbol is missing any more: so many single trades were fetched.
    Filled(String, i64),
    /// The exchange does not have so many single trades of this symbol either, whose ids are missing.
    Hole(String, i64),
    /// A message that cannot be used, and why: the first of its kind. The others are counted, see [`Saved`].
    Odd(String),
    /// This file cannot be written, and why; it is tried again, and meanwhile nothing is taken from the exchange. Said once, until it works.
    Unwritten(String, String),
    /// This file can be written again.
    Written(String),
    /// What has to be added to this machine's clock to get that of the exchange, and how much that may be wrong, in milliseconds.
    Clock(i64, i64),
    /// This machine's clock is so wrong that a person should look after it: what has to be added to it, in milliseconds. Said once.
    ClockOff(i64),
    /// The order book of this symbol is there and follows the exchange.
    DepthLive(String),
    /// The order book of this symbol was given up, and why; it is fetched anew. Nothing else is touched.
    DepthLost(String, String),
    /// The order book of this symbol could not be fetched, and why; it is tried again.
    DepthUnfetched(String, String),
    /// The order book of this symbol is on disk: when its last change was sent, by the exchange's clock in milliseconds since 1970, and
    /// how many bids and asks.
    DepthStored(String, i64, (usize, usize)),
    /// So many trades of this symbol are missing and older than what is kept: they are not fetched any more.
    GivenUp(String, i64),
    /// A minute is over and on disk.
    Minute(Summary),
    /// A second has passed: how everything stands.
    Second(Second),
    /// What becomes of Redis.
    Redis(RedisProgress),
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
    /// Messages that nobody asked for.
    pub ignored: u64,
    /// Order books written.
    pub depths: u64,
    /// Changes of order books that came faster than they could be taken in: each cost its book, which was fetched anew.
    pub dropped: u64,
}

impl Progress {
    /// How much it matters.
    pub fn level(&self) -> Level {
        match self {
            Self::Second(_) | Self::Clock(..) | Self::DepthStored(..) => Level::Debug,
            Self::Connected
            | Self::Replacing(_)
            | Self::Filled(..)
            | Self::Written(_)
            | Self::DepthLive(_)
            | Self::Minute(_)
            | Self::Saved(_) => Level::Info,
            Self::Disconnected(_)
            | Self::Missing(..)
            | Self::Hole(..)
            | Self::Odd(_)
            | Self::GivenUp(..)
            | Self::Unfilled(..)
            | Self::ClockOff(_)
            | Self::DepthLost(..)
            | Self::DepthUnfetched(..) => Level::Warning,
            Self::Unwritten(..) => Level::Error,
            Self::Redis(redis) => redis.level(),
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
            Self::Odd(why) => {
                write!(f, "a message that cannot be used: {why}; others of this kind are counted and not told")
            }
            Self::Missing(symbol, trades) => write!(f, "{symbol}: {} missing", count(*trades, "trade")),
            Self::Filled(symbol, trades) => {
                write!(f, "{symbol}: fetched {} that had not come; nothing is missing", count(*trades, "trade"))
            }
            Self::Hole(symbol, trades) => {
                write!(
                    f,
                    "{symbol}: the exchange does not have {} either, whose ids are missing",
                    count(*trades, "trade")
                )
            }
            Self::Unwritten(file, error) => {
                write!(
                    f,
                    "cannot write to {file}: {error}; trying again, and taking nothing from the exchange meanwhile"
                )
            }
            Self::Written(file) => write!(f, "{file} can be written again"),
            Self::Clock(offset, within) => {
                write!(f, "the exchange's clock is {offset} ms ahead of this machine's, give or take {within} ms")
            }
            Self::ClockOff(offset) => {
                let wrong = if *offset < 0 { "ahead of" } else { "behind" };
                let off = offset.unsigned_abs();
                write!(f, "this machine's clock is {off} ms {wrong} that of the exchange: set it, or let it be set")
            }
            Self::DepthLive(symbol) => write!(f, "{symbol}: the order book is there"),
            Self::DepthLost(symbol, why) => write!(f, "{symbol}: the order book is given up: {why}; fetching it anew"),
            Self::DepthUnfetched(symbol, error) => {
                write!(f, "{symbol}: cannot fetch the order book: {error}; trying again")
            }
            Self::DepthStored(symbol, _, (bids, asks)) => {
                let (bids, asks) = (count(*bids as u64, "bid"), count(*asks as u64, "ask"));
                write!(f, "{symbol}: stored the order book, {bids} and {asks}")
            }
            Self::GivenUp(symbol, trades) => {
                write!(
                    f,
                    "{symbol}: {} missing are older than what is kept; not fetched any more",
                    count(*trades, "trade")
                )
            }
            Self::Minute(minute) => f.write_str(&line(minute)),
            Self::Second(second) => second.fmt(f),
            Self::Redis(redis) => redis.fmt(f),
            Self::Saved(saved) => saved.fmt(f),
        }
    }
}

impl fmt::Display for Saved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { minutes, trades, known, malformed, ignored, depths, dropped } = self;
        write!(f, "saved {}, {}", count(*minutes, "minute"), count(*trades, "trade"))?;
        for (number, words) in [
            (known, format!("{known} known already")),
            (malformed, count(*malformed, "malformed message") + " skipped"),
            (ignored, count(*ignored, "other message")),
            (depths, count(*depths, "order book")),
            (dropped, count(*dropped, "change") + " of order books dropped"),
        ] {
            if *number > 0 {
                write!(f, ", {words}")?;
            }
        }
        Ok(())
    }
}
