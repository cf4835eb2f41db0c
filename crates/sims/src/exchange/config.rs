//! What kind of market this is.

use std::{io, net::SocketAddr, time::Duration};

use super::{Generated, Script};

/// What kind of market this is.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the WebSocket listens; port 0 picks a free one.
    pub ws: SocketAddr,
    /// Where REST listens; port 0 picks a free one.
    pub rest: SocketAddr,
    /// Whether both speak TLS, with [`CERTIFICATE`](super::CERTIFICATE).
    pub tls: bool,
    /// Where the messages come from.
    pub source: Source,
    /// How many prices a generated book has on each side; 20 to 5000.
    pub book_levels: usize,
    /// Exchange milliseconds per millisecond on the wall; infinity sends as fast as the listeners read.
    pub speed: f64,
    /// No trade happens before [`Exchange::advance`](super::Exchange::advance) says so.
    pub stepped: bool,
    /// The exchange time of the beginning, in milliseconds since 1970. Ids rise with it as if the market had always been running, so that
    /// a simulator started later does not use an id twice (at a speed of 1). `None`: the time of the recording, or 2023-11-14T22:13:20Z.
    pub start_ms: Option<u64>,
    /// What happens after the last message of a source that ends.
    pub at_end: AtEnd,
    /// What the market does while nobody listens.
    pub when_idle: WhenIdle,
    /// After every n-th message of a session comes one that is broken in some way; it carries no trade.
    pub garble_every: Option<u64>,
    /// What clients may do, and how long connections live.
    pub limits: Limits,
    /// What goes wrong.
    pub script: Script,
}

impl Default for Config {
    /// The recording in a loop, on free ports of the loopback interface, at the speed of the wall clock, under Binance's limits.
    fn default() -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            ws: any,
            rest: any,
            tls: false,
            source: Source::Recording { looped: true },
            book_levels: 1000,
            speed: 1.0,
            stepped: false,
            start_ms: None,
            at_end: AtEnd::Silent,
            when_idle: WhenIdle::Pause,
            garble_every: None,
            limits: Limits::default(),
            script: Script::default(),
        }
    }
}

/// Where the messages come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// Half a minute of Binance spot from 2021, message by message as recorded; the text is changed in times and ids only.
    Recording {
        /// Whether it begins again every whole minute, with times and ids moved on so that every chain continues without gap or repeat.
        looped: bool,
    },
    /// Trades, books and candles from a seed, the same for the same seed.
    Generated(Generated),
}

/// What happens after the last message of a source that ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtEnd {
    /// The connections stay open and nothing more comes but pings.
    Silent,
    /// The exchange closes every connection with code 1000.
    Close,
}

/// What the market does while nobody listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenIdle {
    /// Time stands still, and runs no further ahead of the slowest listener than 1024 messages.
    Pause,
    /// Time goes on, and so do the trades. A listener that falls [`Limits::behind`] messages behind is disconnected (1008).
    RunOn,
}

/// What clients may do, and how long connections live; all times are those of the clock on the wall.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Frames a client may send on one connection within a second: pings, pongs and commands. One more, and it is closed (1008).
    pub messages_per_second: usize,
    /// Connections one address may open within [`connect_window`](Self::connect_window). One more is refused with status 429.
    pub connects: usize,
    /// How long a connection counts.
    pub connect_window: Duration,
    /// How many streams one connection may listen to.
    pub streams: usize,
    /// How many messages a listener may be behind in a market that [runs on](WhenIdle::RunOn). One more, and it is closed (1008).
    pub behind: u64,
    /// How often a connection is sent a ping with a payload.
    pub ping_every: Duration,
    /// How long a client may take to answer one with the same payload before it is closed (1008). A pong with another payload while
    /// one is due closes it at once.
    pub pong_within: Duration,
    /// How long a connection lives.
    pub lifetime: Duration,
    /// Weight of the requests one address may send within [`weight_window`](Self::weight_window). Beyond it, 429.
    pub weight: u64,
    /// Over which weight is counted; after each window it starts from nothing.
    pub weight_window: Duration,
    /// How many requests within a window may ignore a 429 before the address is banned (418).
    pub ignored: u64,
    /// How long a ban lasts.
    pub ban: Duration,
}

impl Default for Limits {
    /// Binance's, as of July 2026. Not documented are how many requests may ignore a 429, here ten, and how far a listener may be
    /// behind, here 65,536 messages.
    fn default() -> Self {
        Self {
            messages_per_second: 5,
            connects: 300,
            connect_window: Duration::from_secs(300),
            streams: 1024,
            behind: 65_536,
            ping_every: Duration::from_secs(20),
            pong_within: Duration::from_secs(60),
            lifetime: Duration::from_secs(24 * 3600),
            weight: 6000,
            weight_window: Duration::from_secs(60),
            ignored: 10,
            ban: Duration::from_secs(120),
        }
    }
}

impl Limits {
    /// The same with nothing to count: any number of messages, connections and requests.
    pub fn none() -> Self {
        let most = usize::MAX;
        Self { messages_per_second: most, connects: most, streams: most, weight: u64::MAX, ..Self::default() }
    }
}

pub(crate) fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}
