//! Passes on to Redis what the file holds, as the collector that `market` replaces did: the list `trades_window`, a minute each, newest first,
//! and `depth_snapshot_<limit>`.
//!
//! The file is the queue: what has changed in it since the place that stands beside the list is read from it, in bounded pieces, and put
//! there by one script, together with the new place. So nothing waits in memory however long Redis is away, nothing else waits for Redis,
//! and what is sent twice, late or to a Redis that has lost everything ends in the same list.
//!
//! - A minute that is over is put in its place in the list, in the place of what stood there of it; so a minute that was filled later is
//!   corrected. The open minute is put there by a stop, or when the clock says that it is over although no later trade has come.
//! - What is more than the window goes into files first and is dropped only then.
//! - `trade_count` counts single trades, not aggregates: of aggregates the file does not know how many there were at a price.
//!
//! Pure: `levels`, `text`, `place`. Around them: `client` asks, `overflow` keeps files, `publish` brings them together.

mod client;
mod levels;
mod overflow;
mod place;
mod publish;
mod text;

use std::{fmt, sync::Arc, time::Duration};

use softstop::{Dep, Scope, Service};
use tokio::sync::watch;

use self::publish::{Publisher, Wake};
use crate::{
    Config, Stored, Times,
    backoff::Pauses,
    config::{Level, Redis, Settings},
    store::Changes,
    wire::Decimal,
};

/// What goes to Redis, and where it is: the list `trades_window`, a minute each, newest first, and `depth_snapshot_<limit>`, in the words
/// of the collector that this one replaces; with several symbols each has keys of its own, which end in `:SYMBOL`.
///
/// In the end the list is the last [`window_minutes`](Self::window_minutes) of the file, each once, whatever becomes of Redis, its
/// connections or this process. Nothing waits for it, and a stop no longer than [`Times::redis_stop`]; what Redis lacks then, the next
/// start puts there. What the list drops is in a file of [`Redis::storage_dir`] first.
#[derive(Debug, Clone, PartialEq)]
pub struct Sink {
    /// Where it is, and what is kept of what the list drops.
    pub to: Redis,
    /// How many minutes the list keeps; at least 1.
    pub window_minutes: u32,
    /// The width of a price level; above 0.
    pub price_precision: Decimal,
    /// Levels of each side of a snapshot; its key is named after it.
    pub depth_limit: u32,
}

impl Sink {
    /// To this Redis as the collector before did it without further settings.
    pub fn new(to: Redis) -> Self {
        let Settings { window_minutes, price_precision, depth, .. } = Settings::default();
        Self { to, window_minutes, price_precision, depth_limit: depth.limit }
    }

    /// As the settings say; `None` where they have no section `redis`.
    pub fn of(settings: &Settings) -> Option<Self> {
        let Settings { redis, window_minutes, price_precision, depth, .. } = settings;
        let (window_minutes, price_precision) = (*window_minutes, *price_precision);
        redis.clone().map(|to| Self { to, window_minutes, price_precision, depth_limit: depth.limit })
    }
}

/// What a person watching wants to know of Redis; as text, one line of words.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RedisProgress {
    /// It is there; by its address.
    Connected(String),
    /// It cannot be reached or does not take what it is given, and why; said once until it takes something again.
    Away(String),
    /// It has all that is over; so many minutes were put there since it was connected.
    CaughtUp(u64),
    /// The stop goes on without it; how many minutes it lacks, where that is known. The next start goes on there.
    Behind(Option<u64>),
    /// What the list drops cannot be kept, and why; the list grows meanwhile.
    Unkept(String),
    /// What the list drops can be kept again.
    Kept,
}

impl RedisProgress {
    /// How much it matters.
    pub fn level(&self) -> Level {
        match self {
            Self::Connected(_) | Self::CaughtUp(_) | Self::Kept => Level::Info,
            Self::Away(_) | Self::Behind(_) => Level::Warning,
            Self::Unkept(_) => Level::Error,
        }
    }
}

impl fmt::Display for RedisProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected(to) => write!(f, "Redis at {to} is connected"),
            Self::Away(why) => write!(f, "Redis: {why}; trying again"),
            Self::CaughtUp(minutes) => {
                write!(f, "Redis has all minutes, {minutes} of them new")
            }
            Self::Behind(Some(1)) => f.write_str("Redis is 1 minute behind; the next start goes on"),
            Self::Behind(Some(minutes)) => write!(f, "Redis is {minutes} minutes behind; the next start goes on"),
            Self::Behind(None) => f.write_str("Redis was not reached; the next start goes on where it stands"),
            Self::Unkept(why) => write!(f, "{why}; the list in Redis grows until that works; trying again"),
            Self::Kept => f.write_str("what the list in Redis drops is kept again"),
        }
    }
}

/// The keys of one symbol.
#[derive(Debug, Clone)]
struct Keys {
    symbol: String,
    /// In the names of keys and files, where there are several.
    suffix: Option<String>,
    list: String,
    /// Where the list stands.
    place: String,
    depth: String,
    /// Which snapshot that is.
    depth_place: String,
}

impl Keys {
    /// Those of the collector before where there is one symbol; with `:SYMBOL` at their end where there are several.
    fn of(symbols: &[String], depth_limit: u32) -> Vec<Self> {
        let keys = |symbol: &String| {
            let suffix = (symbols.len() > 1).then(|| symbol.clone());
            let end = suffix.as_ref().map_or(String::new(), |symbol| format!(":{symbol}"));
            let (list, depth) = (format!("trades_window{end}"), format!("depth_snapshot_{depth_limit}{end}"));
            let (place, depth_place) = (format!("{list}:place"), format!("{depth}:place"));
            Self { symbol: symbol.clone(), suffix, list, place, depth, depth_place }
        };
        symbols.iter().map(keys).collect()
    }
}

/// How long things may take; see [`Times`].
#[derive(Debug, Clone, Copy)]
struct Patience {
    retry: Pauses,
    look: Duration,
    stop: Duration,
}

/// The name of the component: who writes to the file comes after it, so that a stop passes on their last words.
pub(crate) const COMPONENT: &str = "redis";

/// Adds the component. Its start waits for nothing but the file, and it never fails because of Redis.
pub(crate) fn component(
    service: &mut Service,
    store: Dep<Stored>,
    sink: Sink,
    config: &Config,
    changed: watch::Receiver<()>,
) {
    let symbols: Vec<String> = config.symbols.iter().cloned().collect();
    let (keys, db, tell) = (Keys::of(&symbols, sink.depth_limit), config.db.clone(), Arc::clone(&config.tell));
    let Times { redis_retry: retry, redis_look: look, redis_stop: stop, .. } = config.times;
    let wake = Wake { changed, patience: Patience { retry, look, stop } };
    service.component(COMPONENT, store, async move |scope: Scope, _| {
        let open = move |_: softstop::Flag| {
            let file = Changes::open(&db)?;
            // Before anybody writes to it: what stands in Redis of later changes was lost here.
            let (name, last) = file.file()?;
            Ok((file, name, last))
        };
        let file = scope.spawn_blocking("open", open).await?;
        let publisher = Publisher::new(sink, keys, file, tell, wake);
        scope.spawn_with("publish", async move |scope| publisher.run(&scope).await);
        Ok(())
    });
}

/// Behind a lock that is held by a blocking job and never across an await: a job may outlive the call that waited for it.
type SharedFile = Arc<std::sync::Mutex<Changes>>;
