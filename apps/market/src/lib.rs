//! Collects trades from an exchange into UTC minutes by price level, in one SQLite file.
//!
//! Three components: `store` ← `aggregator` ← `feed`. On a stop the feed says goodbye to the exchange and takes in what was still sent;
//! the aggregator empties its channel and writes the open minute; only then is the file closed. The next start goes on where this one
//! ended: what it has stored already it recognizes by the ids.
//!
//! # Guarantees
//! - A trade that was received is written, or declared as a loss in the report of the stop. None is counted twice.
//! - Numbers are exact: integers in units of 10⁻⁸ from the wire to the file. A sum that does not fit is an error, not a wrong number.
//! - Trades that are missing between two that were received show as missing in the minute.
//!
//! # What it does not do yet
//! It does not fetch what it missed while it was away. `kill -9` loses what came since the last write, a second at most. No TLS.
//!
//! Modules in reading order. Pure: [`wire`] reads what the exchange sends, `scale` and `trade` hold its numbers as integers, `chain`
//! knows which ids are missing, `minutes` counts by price, `track` does both for one symbol, [`book`] keeps an order book. Around them:
//! `store` keeps the file, `count` is the aggregator, `feed` receives, [`table`] shows; [`config`] reads settings from a file.

pub mod book;
mod chain;
pub mod config;
mod count;
mod feed;
mod minutes;
mod scale;
mod store;
pub mod table;
mod track;
mod trade;
pub mod wire;

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{Arc, atomic::AtomicU64},
};

use softstop::{Dep, Scope, Service};
use tokio::sync::mpsc;

use self::{
    count::Counter,
    feed::Feed,
    store::{Order, Writer},
    track::Track,
};
pub use self::{
    feed::{Connect, Connection, address, tcp},
    minutes::Level,
    scale::decimal,
    store::{Reader, State, Summary},
    wire::Scale,
};

/// What is accepted and not on disk yet: the name of the account in the report.
pub const TRADES: &str = "trades";

/// Trades between the feed and the aggregator: at 5,000 a second some 200 ms, in which a slow write goes unnoticed.
const CHANNEL: usize = 1024;

/// Told what happens, from the threads on which it happens: it has to return soon.
pub type Tell = Arc<dyn Fn(Progress) + Send + Sync>;

/// What `market collect` collects, from where, into which file.
pub struct Config {
    /// The exchange's WebSocket, as [`address`] gives it.
    pub ws: String,
    /// How it is reached: [`tcp`], or what a test puts in its place.
    pub connect: Connect,
    /// At least one, as [`symbol`] gives them.
    pub symbols: BTreeSet<String>,
    /// The SQLite file; made where there is none, in a folder that exists.
    pub db: PathBuf,
    /// Where progress goes.
    pub tell: Tell,
}

/// What a person watching wants to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The exchange is connected.
    Connected,
    /// The connection could not be made or broke, and why; it is tried again.
    Disconnected(String),
    /// A minute is over and on disk.
    Minute(Summary),
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

/// Messages that were no trades.
#[derive(Default)]
struct Skipped {
    malformed: AtomicU64,
    ignored: AtomicU64,
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
    let (db, tell, counted) = (config.db.clone(), Arc::clone(&config.tell), Arc::clone(&skipped));
    let symbols = config.symbols.iter().cloned().collect();
    let store =
        service.component("store", (), async move |scope, ()| Writer::start(&scope, db, symbols, tell, counted).await);
    collect(service, store, config, skipped);
}

/// The way to the store, and where each symbol stands in it.
type Stored = (Writer, Vec<Track>);

/// All that comes before the store.
fn collect(service: &mut Service, store: Dep<Stored>, config: Config, skipped: Arc<Skipped>) {
    let symbols: Vec<String> = config.symbols.iter().cloned().collect();
    let names = symbols.clone();
    let aggregator = service.component("aggregator", store, async move |scope: Scope, (store, tracks)| {
        let (inputs, received) = mpsc::channel(CHANNEL);
        let counter = Counter { symbols: names, tracks, store, order: Order::default() };
        let task = scope.spawn_with("count", async move |scope| counter.run(&scope, received).await);
        scope.on_stop(async move |_| task.await?.finish().await);
        Ok(inputs)
    });

    service.component("feed", aggregator, async move |scope, inputs| {
        let Config { ws, connect, tell, .. } = config;
        Feed { ws, connect, symbols, inputs, tell, skipped }.start(&scope);
        Ok(())
    });
}

#[cfg(test)]
#[path = "lib_tests.rs"]
mod tests;
