//! Collects trades from an exchange into UTC minutes by price level, in one SQLite file.
//!
//! Six components: `store` ← `aggregator` and `books` ← `feed`, `aggregator` ← `refill`, and `clock` by itself; with a Redis a seventh,
//! `store` ← `redis` ← `aggregator` and `books`. On a stop the feed says goodbye to the exchange and takes in what was still sent; the
//! aggregator empties its channel and writes the open minute, `redis` passes that on, and only then is the file closed. The next start
//! goes on where this one ended: what it has stored already it recognizes by the ids.
//!
//! # Guarantees
//! - A trade is in the journal before it is counted, and committed as soon as the transaction before is: what came meanwhile is the next
//!   one. So `kill -9` loses what came during one transaction; the next start counts what is in the journal, and fetches the rest.
//! - A trade that was received is written, or declared as a loss in the report of the stop. None is counted twice.
//! - Numbers are exact: integers in units of the tick and the step size from the wire to the file. A sum that does not fit is an error, not
//!   a wrong number.
//! - A disk that is full, or does not answer, loses nothing either: what is to be written is kept and tried again, the exchange is not read
//!   meanwhile, and what it sent in vain is fetched by id. A stop that comes before there is room declares what it cannot write as a loss.
//! - What is missing between two trades that were received is known by its ids, fetched by them over REST, and counted in the minute it
//!   belongs to; so is what came in the minute of the first trade before it. What the exchange does not have either is a hole: marked, and
//!   not asked for again.
//! - An order book is the exchange's at the update it names, or it is not there: see [`book`]. One that missed a change is fetched anew,
//!   alone, and holds up neither trades nor other books.
//! - Redis has in the end what the file has, each minute once, and nothing waits for it: see [`Sink`].
//!
//! # What it does not do yet
//! A power cut may cost the last moments, which the next start fetches.
//!
//! Modules in reading order. Pure: [`wire`] reads what the exchange sends, `scale` and `trade` hold its numbers as integers, `chain` knows
//! which ids are missing, `minutes` counts by price, `track` does both for one symbol, `budget`, `connects` and `backoff` say when the
//! exchange may be asked, `stall` how long a stream may be silent, [`book`] keeps an order book. Around them: `store` keeps the file,
//! `count` is the aggregator, `rest` asks, `refill` fetches what is missing, `books` keeps and stores order books, `clock` asks what time
//! it is, `feed` receives, `redis` passes on what the file holds, [`table`] shows; [`config`] reads settings from a file.

mod address;
mod backoff;
pub mod book;
mod books;
mod budget;
mod chain;
mod clock;
pub mod config;
mod connects;
mod count;
mod feed;
pub mod keep;
mod minutes;
mod net;
mod progress;
mod pulse;
mod redis;
mod refill;
mod rest;
mod scale;
mod second;
mod skipped;
mod stall;
mod store;
pub mod table;
mod track;
mod trade;
pub mod utc;
pub mod wire;

use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::Duration};

use softstop::{Dep, Scope, Service};
use tokio::sync::{mpsc, watch};

pub use self::{
    address::{Address, Scheme},
    minutes::Level,
    net::{Connect, Connection, internet, tcp},
    progress::{Progress, Saved, Tell},
    redis::{RedisProgress, Sink},
    scale::decimal,
    second::{Second, Standing},
    store::{Collected, FileStatus, Footprint, Missing, Reader, State, StoredDepth, Summary},
    wire::Scale,
};
use self::{
    books::{Books, Changes},
    clock::{Clock, Offset},
    count::{Counter, Need},
    feed::Feed,
    pulse::Pulse,
    refill::Refill,
    rest::{Allowance, Client},
    skipped::Skipped,
    store::{Order, Store, Writer},
    track::Track,
};

/// What is accepted and not on disk yet: the name of the account in the report.
pub const TRADES: &str = "trades";

/// Trades between the feed and the aggregator: at 5,000 a second some 200 ms, in which a slow write goes unnoticed.
const CHANNEL: usize = 1024;

/// What `market collect` collects, from where, into which file.
pub struct Config {
    /// The exchange's WebSocket.
    pub ws: Address,
    /// Its REST side; `None`: what is missing is marked and not fetched.
    pub rest: Option<Address>,
    /// The order books that are kept, and how often they are stored; `None`, or without REST: none.
    pub depth: Option<config::Depth>,
    /// How both are reached: [`internet`], [`tcp`], or what a test puts in their place.
    pub connect: Connect,
    /// At least one, as [`symbol`] gives them.
    pub symbols: BTreeSet<String>,
    /// The SQLite file; made where there is none, in a folder that exists.
    pub db: PathBuf,
    /// What goes to Redis; `None`: nothing.
    pub redis: Option<Sink>,
    /// Where progress goes.
    pub tell: Tell,
    /// The file grows no larger than this, less its log of some megabytes; then it is as if the disk were full. `None`: as large as it gets.
    pub most_bytes: Option<u64>,
    /// What is older than the newest minute by this, at least five minutes, is dropped; `None`: nothing is. See [`keep::parse`].
    pub keep: Option<Duration>,
    /// How long things may take: the default, or what a test puts in its place.
    pub times: Times,
}

impl Config {
    /// These symbols from this exchange into this file, over TCP, with nothing fetched, no order books, and nobody told.
    pub fn new(ws: Address, symbols: impl IntoIterator<Item = String>, db: impl Into<PathBuf>) -> Self {
        let symbols = symbols.into_iter().collect();
        Self {
            ws,
            rest: None,
            depth: None,
            connect: tcp(),
            symbols,
            db: db.into(),
            redis: None,
            tell: Arc::new(drop),
            most_bytes: None,
            keep: None,
            times: Times::default(),
        }
    }
}

/// How long things may take, and how long to wait before they are tried again.
#[derive(Debug, Clone)]
pub struct Times {
    /// To make a connection.
    pub connect: Duration,
    /// The first pause before a connection is made again that broke or could not be made, and the longest.
    pub reconnect: (Duration, Duration),
    /// A connection as old as this is replaced.
    pub lifetime: Duration,
    /// The exchange has gone when nothing has come for so long, not even a ping.
    pub silence: Duration,
    /// How long a symbol may be silent before REST is asked whether it is quiet or its stream is dead: as its pauses are long, between
    /// these two.
    pub stall: (Duration, Duration),
    /// A request over REST, from the first byte to the last.
    pub request: Duration,
    /// The first pause before something is tried again, and the longest.
    pub retry: (Duration, Duration),
    /// The first pause before something is written again that could not be, as on a full disk, and the longest.
    pub rewrite: (Duration, Duration),
    /// Before something is asked for again that the exchange refuses, such as a symbol that it does not know.
    pub rejected: Duration,
    /// Before what is missing is asked for: it may only be late.
    pub patience: Duration,
    /// Between two looks at the exchange's clock.
    pub clock: Duration,
    /// After a connection was made, before the newest trades of a symbol are asked for of which nothing has come.
    pub quiet: Duration,
    /// The first pause before Redis is tried again, and the longest.
    pub redis_retry: (Duration, Duration),
    /// How often Redis is looked at although nothing has changed: it may have lost what it had.
    pub redis_look: Duration,
    /// How long a stop may wait for Redis.
    pub redis_stop: Duration,
}

impl Times {
    /// How often connections are looked after.
    fn look(&self) -> Duration {
        (self.stall.0 / 10).clamp(Duration::from_millis(10), Duration::from_secs(1))
    }
}

impl Default for Times {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            reconnect: (Duration::from_millis(100), Duration::from_secs(30)),
            // The exchange closes it after 24 h.
            lifetime: Duration::from_secs(23 * 3600),
            // It pings every 20 s.
            silence: Duration::from_secs(60),
            stall: (Duration::from_secs(5), Duration::from_secs(60)),
            request: Duration::from_secs(10),
            retry: (Duration::from_millis(500), Duration::from_secs(30)),
            rewrite: (Duration::from_millis(100), Duration::from_secs(5)),
            rejected: Duration::from_secs(600),
            patience: Duration::from_millis(200),
            clock: Duration::from_secs(300),
            quiet: Duration::from_secs(2),
            redis_retry: (Duration::from_millis(100), Duration::from_secs(10)),
            redis_look: Duration::from_secs(1),
            redis_stop: Duration::from_secs(1),
        }
    }
}

/// Reads a symbol that a person typed; upper case.
///
/// # Errors
/// It cannot be one; the message says what to type instead.
pub fn symbol(typed: &str) -> Result<String, String> {
    if typed.is_empty() || !typed.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(format!("symbol {typed:?}: it has to be letters and digits, such as BTCUSDT"));
    }
    Ok(typed.to_ascii_uppercase())
}

/// Adds the collector to a service.
pub fn service(service: &mut Service, config: Config) {
    let skipped = Arc::new(Skipped::default());
    let store = store(service, &config, &skipped);
    let changed = store.changing.subscribe();
    let store = service.component("store", (), async move |scope, ()| store.start(&scope).await);
    if let Some(sink) = config.redis.clone() {
        redis::component(service, store, sink, &config, changed);
    }
    collect(service, store, config, skipped);
}

/// The store, not started yet.
fn store(service: &mut Service, config: &Config, skipped: &Arc<Skipped>) -> Store {
    let (leave, leaving) = watch::channel(false);
    service.before_stop(move |_| {
        leave.send_replace(true);
    });
    Store {
        path: config.db.clone(),
        symbols: config.symbols.iter().cloned().collect(),
        most_bytes: config.most_bytes,
        rewrite: config.times.rewrite,
        tell: Arc::clone(&config.tell),
        skipped: Arc::clone(skipped),
        leaving,
        changing: watch::Sender::new(()),
    }
}

/// The way to the store, and where each symbol stands in it.
type Stored = (Writer, Vec<Track>);

/// All that comes before the store.
fn collect(service: &mut Service, store: Dep<Stored>, config: Config, skipped: Arc<Skipped>) {
    let Config { ws, rest, depth, connect, symbols, tell, times, keep, db: _, redis, most_bytes: _ } = config;
    let (symbols, times): (Vec<String>, _) = (symbols.into_iter().collect(), Arc::new(times));
    let (connected, connections) = watch::channel(0);
    let (checks, to_check) = mpsc::channel(symbols.len().max(1));
    let checks = rest.is_some().then_some(checks);

    let (names, counted, telling) = (symbols.clone(), Arc::clone(&skipped), Arc::clone(&tell));
    let offset = Offset::default();
    let lag = Arc::clone(&offset);
    let aggregator = service.component("aggregator", store, async move |scope: Scope, (store, tracks)| {
        let (inputs, received) = mpsc::channel(CHANNEL);
        let (needs, needed) = watch::channel(tracks.iter().map(Need::of).collect());
        let (order, done, pulse) = (Order::default(), Vec::new(), Pulse::new(&names, lag));
        let (symbols, skipped, tell) = (names, counted, telling);
        let floor = i64::MIN;
        let counter = Counter { symbols, tracks, store, needs, skipped, order, done, pulse, tell, keep, floor };
        let task = scope.spawn_with("count", async move |scope| counter.run(&scope, received).await);
        scope.on_stop(async move |_| task.await?.finish().await);
        Ok((inputs, needed))
    });
    let mut books = None;
    if let Some(rest) = rest {
        let allowance = Allowance::new();
        let client = || Client::new(rest.clone(), Arc::clone(&connect), times.request, allowance.clone());
        if let Some(depth) = depth {
            let shared = (Arc::clone(&times), Arc::clone(&tell), Arc::clone(&skipped));
            books = Some(keep_books(service, store, symbols.clone(), depth, client(), shared));
        }
        let clock = Clock { client: client(), offset, times: Arc::clone(&times), tell: Arc::clone(&tell) };
        service.component("clock", (), async move |scope: Scope, ()| {
            scope.spawn("ask", clock.run());
            Ok(())
        });
        let (symbols, tell, times, client) = (symbols.clone(), Arc::clone(&tell), Arc::clone(&times), client());
        service.component("refill", aggregator, async move |scope: Scope, (inputs, needs)| {
            let refill =
                Refill { symbols, client, inputs, needs, connected: connections, checks: to_check, times, tell };
            // Dropped by a stop at whatever it waits for: what it had not handed on, the next start asks for again.
            scope.spawn("fetch", refill.run(scope.clone()));
            Ok(())
        });
    }

    if redis.is_some() {
        // What these write at the end has to go there too.
        service.options(aggregator).after(redis::COMPONENT);
        books.map(|books| service.options(books).after(redis::COMPONENT));
    }

    service.component("feed", (aggregator, books), async move |scope: Scope, ((inputs, _), changes)| {
        Feed { ws, connect, symbols, inputs, changes, tell, skipped, connected, checks, times }.start(&scope);
        Ok(())
    });
}

/// The component that keeps order books; what it hands on is where their changes go.
fn keep_books(
    service: &mut Service,
    store: Dep<Stored>,
    symbols: Vec<String>,
    depth: config::Depth,
    client: Client,
    shared: (Arc<Times>, Tell, Arc<Skipped>),
) -> Dep<Changes> {
    service.component("books", store, async move |scope: Scope, (store, _)| {
        let (to, changes) = Changes::new(Arc::clone(&shared.2));
        // Dropped by a stop at whatever it waits for: books are fetched anew by the next start.
        scope.spawn("follow", Books::new(symbols, changes, depth, (client, store), shared).run());
        Ok(to)
    })
}

#[cfg(test)]
#[path = "lib_tests.rs"]
mod tests;
