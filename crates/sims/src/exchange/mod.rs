//! An exchange as Binance spot is one: WebSocket streams, REST, limits, faults on demand, and the truth.
//!
//! ```
//! # async fn example() -> std::io::Result<()> {
//! use sims::exchange::{Config, Exchange, Generated, Source};
//!
//! let generated = Generated { seed: 1, symbols: vec!["BTCUSDT".into()], rate: 1000, count: None };
//! let script = "socket 1 after 500 close 1008; request depth 1 stale; market BTCUSDT after 800 hole 20";
//! let exchange = Exchange::start(Config {
//!     source: Source::Generated(generated),
//!     speed: f64::INFINITY,
//!     script: script.parse().map_err(std::io::Error::other)?,
//!     ..Config::default()
//! })
//! .await?;
//! // A program connects to ws://{exchange.ws} and http://{exchange.rest} …
//! exchange.until(|truth| truth.count() >= 1000).await;
//! let (truth, log) = (exchange.truth(), exchange.log());
//! assert!(log.offences.is_empty(), "{:?}", log.offences);
//! let _what_it_should_have_stored = truth.minutes("BTCUSDT");
//! # Ok(())
//! # }
//! ```
//!
//! # What it speaks
//! As of the documents of July 2026. Streams `aggTrade`, `trade`, `depth`, `depth@100ms`, `depth5|10|20` with and without `@100ms`,
//! `bookTicker`, `kline_1m`, raw and combined, with SUBSCRIBE, UNSUBSCRIBE, LIST_SUBSCRIPTIONS, SET_PROPERTY and GET_PROPERTY, and
//! `timeUnit=MICROSECOND`. REST under `/api/v3/`: `ping`, `time`, `exchangeInfo`, `depth`, `aggTrades`, `historicalTrades`, `trades`,
//! `klines`, with weights, `X-MBX-USED-WEIGHT-1M`, 429, 418 and Retry-After. [`Limits`] has the rest. A recording has the streams that were recorded.
//!
//! # Time and the listeners
//! Exchange time starts at [`Config::start_ms`] and runs [`Config::speed`] times as fast as the clock on the wall. By default
//! **it stands still while nobody listens** ([`WhenIdle::Pause`]): when the last listener leaves, the tape stops, and the next listener
//! goes on exactly after the last message that was sent. So a program that is stopped and started again misses nothing, and a test can
//! demand that it stored everything. With [`WhenIdle::RunOn`] it behaves as a real exchange does: who comes later has missed what was before.
//!
//! # The truth
//! [`Exchange::truth`] holds every trade of the market and whether it was *sent*: written whole to at least one socket. A session stops
//! sending the moment it sees the client's close frame and answers with its own, so for a client that reads on until that answer, sent is
//! the same as received. On a connection that breaks, the last messages may count as sent, or be sent again to the next listener,
//! although nobody read them or somebody did; a client tells by the ids. [`Exchange::book`] is the order book, now or at an update id;
//! the same over HTTP: `GET /truth/trades`, `/truth/minutes`, `/truth/holes`, `/truth/book?id=N` (all with `symbol=S`), `/truth/log`.
//!
//! # What it is not
//! Orders, accounts, SBE, other intervals of candles than a minute, tickers over 24 hours. How the exchange refuses too many connections
//! is not documented; here the handshake fails with status 429.

mod answers;
mod body;
mod book;
mod candle;
mod config;
mod desk;
mod generator;
mod log;
mod market;
mod outbox;
mod parse;
mod random;
mod replay;
mod rest;
mod script;
mod session;
mod tape;
mod trade;
mod truth;
mod walk;
mod wants;
mod watch_client;
mod weight;
mod wire;
mod ws;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpSocket},
    sync::watch,
    task::JoinSet,
    time::timeout,
};

pub use self::{
    book::Book,
    config::{AtEnd, Config, Limits, Source, WhenIdle},
    generator::Generated,
    log::{Asked, Log, Offence},
    parse::ScriptError,
    script::{Event, Happening, RequestFault, Rule, Script, SocketFault},
    trade::{Trade, decimal},
    truth::{Hole, Level, Minute, Truth},
};
use self::{
    config::invalid,
    desk::{Desk, Order},
    market::Market,
    tape::Tape,
};
pub use crate::tls::CERTIFICATE;

/// Messages that wait in the kernel for a slow reader; small, so that *sent* stays close to *received*.
const SEND_BUFFER_BYTES: u32 = 64 * 1024;
/// How long [`Exchange::stop`] waits for clients to answer its close frame.
const FAREWELL: Duration = Duration::from_secs(1);

/// A running exchange. Dropping it ends it at once; [`stop`](Self::stop) says goodbye first.
#[derive(Debug)]
pub struct Exchange {
    /// Where the WebSocket listens.
    pub ws: SocketAddr,
    /// Where REST listens.
    pub rest: SocketAddr,
    tls: bool,
    desk: Arc<Desk>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Exchange {
    /// Listens on both ports and starts the market.
    ///
    /// # Errors
    /// An address that cannot be listened on, or a configuration that makes no sense; the message names it.
    ///
    /// # Cancel safety
    /// Cancel safe: dropped, it closes what it opened.
    pub async fn start(config: Config) -> io::Result<Self> {
        if config.speed.is_nan() || config.speed <= 0.0 {
            return Err(invalid(format!("speed {}: it has to be above 0", config.speed)));
        }
        let (market, world) = Market::new(&config)?;
        let acceptor = if config.tls { Some(crate::tls::acceptor(false)?) } else { None };
        let (ws, ws_at) = listen(config.ws)?;
        let (rest, rest_at) = listen(config.rest)?;

        let symbols = world.truth.records.iter().map(|record| record.symbol.clone()).collect();
        let begins_ms = market.due_ms().unwrap_or_default();
        let tape = Arc::new(Tape::new(&config, world, begins_ms));
        let desk = Desk::new(Arc::clone(&tape), symbols, config.limits, config.garble_every, config.script);
        let desk = Arc::new(desk);
        let (stop, stopping) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let (playing, mut stopping_play) = (market::play(market, tape, config.speed), stopping.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = playing => {}
                () = stopped(&mut stopping_play) => {}
            }
        });
        tasks.spawn(ws::serve(ws, Arc::clone(&desk), acceptor.clone(), stopping.clone()));
        tasks.spawn(rest::serve(rest, Arc::clone(&desk), acceptor, stopping));
        Ok(Self { ws: ws_at, rest: rest_at, tls: config.tls, desk, stop, tasks })
    }

    /// Such as `ws://127.0.0.1:9443`, or `wss://…` with TLS.
    pub fn ws_url(&self) -> String {
        format!("{}://{}", if self.tls { "wss" } else { "ws" }, self.ws)
    }

    /// Such as `http://127.0.0.1:8080`, or `https://…` with TLS.
    pub fn rest_url(&self) -> String {
        format!("{}://{}", if self.tls { "https" } else { "http" }, self.rest)
    }

    // ---- what happened ----

    /// Every trade so far, and which of them were sent.
    pub fn truth(&self) -> Truth {
        self.desk.tape.truth()
    }

    /// The order book of a symbol: now, or right after the change with this id. `None` for a symbol that is not traded here, for an id
    /// that is still to come, and for one more than 200,000 changes ago.
    pub fn book(&self, symbol: &str, at: Option<u64>) -> Option<Book> {
        self.desk.tape.read(|world| {
            let place = world.truth.records.iter().position(|record| record.symbol == symbol)?;
            let book = &world.books[place];
            at.map_or_else(|| Some(book.now.clone()), |id| book.at(id))
        })
    }

    /// What clients did so far, and what was done to them.
    pub fn log(&self) -> Log {
        self.desk.log()
    }

    /// Completes when `enough` finds what it looks for in the log; it is asked again whenever something was written, and has to
    /// answer soon: everybody waits for it.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn until_log(&self, mut enough: impl FnMut(&Log) -> bool) {
        loop {
            let written = self.desk.written();
            if self.desk.read_log(&mut enough) {
                return;
            }
            written.await;
        }
    }

    /// The time of the exchange, in milliseconds since 1970.
    pub fn now_ms(&self) -> u64 {
        self.desk.tape.now_ms()
    }

    /// Completes when `enough` finds what it looks for in the truth; it is asked again whenever messages were sent, and has to
    /// answer soon: the market waits for it.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn until(&self, mut enough: impl FnMut(&Truth) -> bool) {
        loop {
            let sent = self.desk.tape.sent();
            if self.desk.tape.read(|world| enough(&world.truth)) {
                return;
            }
            sent.await;
        }
    }

    // ---- what is to happen ----

    /// Lets so many more trades happen in a market that is [`stepped`](Config::stepped), and completes when they have, or the
    /// source has ended. A market that pauses needs a listener for it.
    ///
    /// # Cancel safety
    /// Dropped, the trades happen all the same.
    pub async fn advance(&self, trades: u64) {
        let tape = &self.desk.tape;
        let enough = tape.trades() + usize::try_from(trades).unwrap_or(usize::MAX);
        tape.allow(trades);
        loop {
            let printed = tape.printed();
            if tape.trades() >= enough || tape.has_ended() {
                return;
            }
            printed.await;
        }
    }

    /// Begins another script: its counts of connections and requests start now.
    pub fn set_script(&self, script: Script) {
        self.desk.set_script(script);
    }

    /// Breaks every WebSocket connection without a goodbye. The next listener of a market that pauses gets the last `again` trades and
    /// what was between them once more, as far as they are among the last 1024 messages.
    pub fn cut(&self, again: u64) {
        self.desk.orders.send_replace(Order::Cut(again));
    }

    /// Says `serverShutdown` on every WebSocket connection, and closes those after so long (1001). New ones are accepted.
    pub fn announce_shutdown(&self, lead: Duration) {
        self.desk.orders.send_replace(Order::Shutdown(lead));
    }

    /// Breaks every connection and request, and resets new ones until told otherwise.
    pub fn set_gone(&self, gone: bool) {
        self.desk.set_gone(gone);
    }

    /// Closes every connection (1001), waits a second at most for the answers, and returns the truth.
    ///
    /// # Cancel safety
    /// Dropped before it completes, it ends everything at once.
    pub async fn stop(mut self) -> Truth {
        self.stop.send_replace(true);
        let all_gone = async { while self.tasks.join_next().await.is_some() {} };
        let _ = timeout(FAREWELL * 2, all_gone).await;
        self.desk.tape.truth()
    }
}

fn listen(at: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("cannot listen on {at}: {error}"));
    let socket = if at.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.map_err(named)?;
    socket.set_reuseaddr(true).map_err(named)?;
    socket.set_send_buffer_size(SEND_BUFFER_BYTES).map_err(named)?;
    socket.bind(at).map_err(named)?;
    let listener = socket.listen(128).map_err(named)?;
    let really = listener.local_addr().map_err(named)?;
    Ok((listener, really))
}

/// Completes when the exchange is stopped, or dropped.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}
