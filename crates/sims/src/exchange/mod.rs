//! An exchange, Binance spot flavoured: trades and order-book messages over WebSocket, snapshots over REST, and the truth.
//!
//! # Time and the listeners
//! Exchange time starts at [`Config::start_ms`] and runs [`Config::speed`] times as fast as the clock on the wall. By default
//! **it stands still while nobody listens** ([`WhenIdle::Pause`]): when the last listener leaves, the tape stops, and the next listener
//! goes on exactly after the last message that was sent. So a program that is stopped and started again misses nothing, and a test can
//! demand that it stored everything. With [`WhenIdle::RunOn`] it behaves as a real exchange does: who comes later has missed what was before.
//!
//! # The truth
//! [`Exchange::truth`] holds every trade of the tape and whether it was *sent*: written whole to at least one socket. A session stops
//! sending the moment it sees the client's close frame and answers with its own, so for a client that reads on until that answer, sent is
//! the same as received. On a connection that breaks, the last messages may count as sent, or be sent again to the next listener,
//! although nobody read them or somebody did; a client tells by the ids.
//!
//! # What it does not do yet
//! The order book is not kept: `/api/v3/depth` answers what was recorded at the beginning of the present loop. No request weights, no
//! limits on connections or messages; of faults only [`Config::garble_every`] and
//! [`Exchange::cut`].

mod generator;
mod replay;
mod rest;
mod tape;
mod trade;
mod truth;
mod ws;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpSocket},
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};

pub use self::{
    generator::Generated,
    trade::{Trade, decimal},
    truth::{Level, Minute, Truth},
};
use self::{
    generator::Generator,
    replay::Replay,
    tape::{Tape, Tick},
};

/// Messages that wait in the kernel for a slow reader; small, so that *sent* stays close to *received*.
const SEND_BUFFER_BYTES: u32 = 64 * 1024;
/// How long [`Exchange::stop`] waits for clients to answer its close frame.
const FAREWELL: Duration = Duration::from_secs(1);

/// What kind of market this is.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the WebSocket listens; port 0 picks a free one.
    pub ws: SocketAddr,
    /// Where REST listens; port 0 picks a free one.
    pub rest: SocketAddr,
    /// Where the messages come from.
    pub source: Source,
    /// Exchange milliseconds per millisecond on the wall; infinity sends as fast as the listeners read.
    pub speed: f64,
    /// The exchange time of the beginning, in milliseconds since 1970. Ids rise with it as if the market had always been running, so that
    /// a simulator started later does not use an id twice (at a speed of 1). `None`: the time of the recording, or 2023-11-14T22:13:20Z.
    pub start_ms: Option<u64>,
    /// What happens after the last message of a source that ends.
    pub at_end: AtEnd,
    /// What the market does while nobody listens.
    pub when_idle: WhenIdle,
    /// After every n-th message of a session comes one that is broken in some way; it carries no trade.
    pub garble_every: Option<u64>,
}

impl Default for Config {
    /// The recording in a loop, on free ports of the loopback interface, at the speed of the wall clock.
    fn default() -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            ws: any,
            rest: any,
            source: Source::Recording { looped: true },
            speed: 1.0,
            start_ms: None,
            at_end: AtEnd::Silent,
            when_idle: WhenIdle::Pause,
            garble_every: None,
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
    /// Trades from a seed: `aggTrade` messages, the same for the same seed.
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
    /// Time goes on, and so do the trades. A listener that falls 65,536 messages behind is disconnected (1008).
    RunOn,
}

/// A running exchange. Dropping it ends it at once; [`stop`](Self::stop) says goodbye first.
#[derive(Debug)]
pub struct Exchange {
    /// Where the WebSocket listens.
    pub ws: SocketAddr,
    /// Where REST listens.
    pub rest: SocketAddr,
    tape: Arc<Tape>,
    stop: watch::Sender<bool>,
    cut: watch::Sender<u64>,
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
        let market = Market::new(&config)?;
        let (ws, ws_at) = listen(config.ws)?;
        let (rest, rest_at) = listen(config.rest)?;

        let tape = Arc::new(Tape::new(config.when_idle, config.at_end, market.symbols()));
        let snapshots = match &market {
            Market::Replay(replay) => replay.snapshots(),
            Market::Generator(_) => Vec::new(),
        };
        let (stop, stopping) = watch::channel(false);
        let (cut, cutting) = watch::channel(0);
        let mut tasks = JoinSet::new();
        let (playing, mut stopping_play) = (play(market, Arc::clone(&tape), config.speed), stopping.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = playing => {}
                () = stopped(&mut stopping_play) => {}
            }
        });
        tasks.spawn(ws::serve(ws, Arc::clone(&tape), config.garble_every, stopping.clone(), cutting));
        tasks.spawn(rest::serve(rest, Arc::new(rest::Desk::new(Arc::clone(&tape), snapshots)), stopping));
        Ok(Self { ws: ws_at, rest: rest_at, tape, stop, cut, tasks })
    }

    /// Every trade so far, and which of them were sent.
    pub fn truth(&self) -> Truth {
        self.tape.truth()
    }

    /// Completes when `enough` finds what it looks for in the truth; it is asked again whenever messages were sent, and has to
    /// answer soon: the market waits for it.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn until(&self, mut enough: impl FnMut(&Truth) -> bool) {
        loop {
            let sent = self.tape.sent();
            if self.tape.read(&mut enough) {
                return;
            }
            sent.await;
        }
    }

    /// Breaks every connection without a goodbye. The next listener of a market that pauses gets the last `again` messages once more,
    /// 1024 at most.
    pub fn cut(&self, again: u64) {
        self.cut.send_replace(again);
    }

    /// Closes every connection (1001), waits a second at most for the answers, and returns the truth.
    ///
    /// # Cancel safety
    /// Dropped before it completes, it ends everything at once.
    pub async fn stop(mut self) -> Truth {
        self.stop.send_replace(true);
        let all_gone = async { while self.tasks.join_next().await.is_some() {} };
        let _ = timeout(FAREWELL * 2, all_gone).await;
        self.tape.truth()
    }
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
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

/// The sequence of everything that happens, in order of time; it knows nothing of the wall clock.
enum Market {
    Replay(Replay),
    Generator(Generator),
}

impl Market {
    fn new(config: &Config) -> io::Result<Self> {
        Ok(match &config.source {
            Source::Recording { looped } => Self::Replay(Replay::new(*looped, config.start_ms)),
            Source::Generated(generated) => {
                Self::Generator(Generator::new(generated, config.start_ms).map_err(invalid)?)
            }
        })
    }

    fn symbols(&self) -> Vec<String> {
        match self {
            Self::Replay(replay) => replay.symbols(),
            Self::Generator(generator) => generator.symbols(),
        }
    }

    fn next(&mut self) -> Option<Tick> {
        match self {
            Self::Replay(replay) => replay.next(),
            Self::Generator(generator) => generator.next(),
        }
    }
}

/// Puts the market on the tape at the pace of exchange time. After every pause the time counts anew from the next message.
async fn play(mut market: Market, tape: Arc<Tape>, speed: f64) {
    let mut anchor = None;
    while let Some(tick) = market.next() {
        loop {
            if tape.room().await {
                anchor = None;
            }
            let now = Instant::now();
            let (began, began_ms) = *anchor.get_or_insert((now, tick.at_ms));
            let passed_ms = tick.at_ms.saturating_sub(began_ms);
            let wait = Duration::try_from_secs_f64(Duration::from_millis(passed_ms).as_secs_f64() / speed);
            let due = began + wait.unwrap_or(Duration::MAX / 4);
            if due <= now {
                break;
            }
            sleep_until(due).await;
        }
        tape.push(tick);
        // A market at full speed must let its listeners run on a runtime of one thread.
        tokio::task::coop::consume_budget().await;
    }
    tape.end();
}
