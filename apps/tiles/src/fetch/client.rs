//! Asks servers: one HTTP/1.1 connection for each request on its way, or few HTTP/2 connections for all of them, as the server likes it.

use std::{
    collections::HashMap,
    error::Error,
    future::poll_fn,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, AtomicUsize, Ordering},
    },
    time::Duration,
};

use hyper::{client::conn::http2, rt::Executor};
use hyper_util::rt::{TokioIo, TokioTimer};
use softstop::{Held, Scope};
use tokio::time::{Instant, timeout, timeout_at};

use super::{
    body,
    line::{self, Line, Raw},
    request::{Manners, Nothing},
};
use crate::{
    address::Address,
    answer::{Broken, End},
    check::Format,
    headers::Headers,
    net::{Connect, Dialed, Target},
    store::Http,
};

/// So many connections are kept for each request that was on its way at once: to the server itself, and to where it redirects.
const KEPT: usize = 2;
/// Requests at once on one HTTP/2 connection, at most: what most servers allow.
const STREAMS: usize = 100;
/// What may be on the wire before it is read: more than a round trip brings.
const WINDOW: u32 = 4 << 20;

/// How long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Until there is a connection.
    pub connect: Duration,
    /// Without a byte.
    pub idle: Duration,
    /// From asking to the last byte.
    pub total: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let [connect, idle, total] = [10, 10, 30].map(Duration::from_secs);
        Self { connect, idle, total }
    }
}

/// An answer, read.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Headers,
    pub(crate) body: Vec<u8>,
    pub(crate) end: End,
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asking<'a> {
    pub(crate) address: &'a Address,
    /// Whether it is the server that the template names.
    pub(crate) own: bool,
    pub(crate) format: Option<Format>,
    pub(crate) stored: Option<&'a Http>,
    /// Whether it is asked once more where a connection that had been kept has ended.
    pub(crate) forgiving: bool,
}

/// What all slots have in common.
pub(crate) struct Client {
    connect: Connect,
    manners: Manners,
    patience: Patience,
    hosts: Mutex<HashMap<Origin, Arc<Host>>>,
    lines: Mutex<Lines>,
    /// What was wrong with the last connection that there was not.
    why: Mutex<Option<String>>,
    scope: Scope,
}

/// The HTTP/1.1 connections. A server may allow only a few: the one that was used last goes first, so that there are never more than
/// requests on their way at once.
#[derive(Default)]
struct Lines {
    idle: Vec<(Origin, Held<Line>)>,
    busy: usize,
    /// The most that were busy at once.
    most: usize,
}

/// A request on its way.
struct Busy<'a>(&'a Mutex<Lines>);

impl<'a> Busy<'a> {
    fn new(lines: &'a Mutex<Lines>) -> Self {
        let mut busy = lock(lines);
        busy.busy += 1;
        busy.most = busy.most.max(busy.busy);
        drop(busy);
        Self(lines)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        lock(self.0).busy -= 1;
    }
}

type Origin = (bool, String, u16);

/// What is known of one server.
#[derive(Default)]
struct Host {
    /// 0 while it is not known.
    speaks: AtomicU8,
    /// While it is not known what it speaks, one slot finds out; later, one makes the next HTTP/2 connection.
    dialing: tokio::sync::Mutex<()>,
    shared: Mutex<Vec<Shared>>,
}

const HTTP1: u8 = 1;
const HTTP2: u8 = 2;

/// An HTTP/2 connection; it ends when the last of these has gone.
#[derive(Clone)]
struct Shared {
    sender: http2::SendRequest<Nothing>,
    /// How many streams the server allows, as far as it has said.
    allowed: Arc<AtomicUsize>,
    streams: Arc<AtomicUsize>,
}

/// A place among the streams of a connection.
struct Stream(Shared);

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Lines {
    /// The connection to a server, if there is one.
    fn take(&mut self, origin: &Origin) -> Option<Held<Line>> {
        let at = self.idle.iter().rposition(|(to, _)| to == origin)?;
        Some(self.idle.remove(at).1)
    }

    /// Keeps a connection; answers with one that is too many.
    fn keep(&mut self, origin: &Origin, line: Held<Line>) -> Option<Held<Line>> {
        self.idle.push((origin.clone(), line));
        (self.idle.len() > KEPT * self.most).then(|| self.idle.remove(0).1)
    }
}

impl Client {
    pub(crate) fn new(scope: &Scope, connect: Connect, manners: Manners, patience: Patience) -> Self {
        let (hosts, lines, why) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { connect, manners, patience, hosts, lines, why, scope: scope.clone() }
    }

    /// Why there was no connection the last time that there was none.
    pub(crate) fn why(&self) -> Option<String> {
        lock(&self.why).clone()
    }

    /// Closes the connections that nobody uses.
    pub(crate) async fn close(&self) {
        let idle = std::mem::take(&mut lock(&self.lines).idle);
        for (_, line) in idle {
            let _ = line.close().await;
        }
    }

    /// Asks, and takes in the whole answer.
    ///
    /// # Cancel safety
    /// Dropped before it completes, its connection is closed with the component.
    pub(crate) async fn ask(&self, asking: Asking<'_>) -> Result<Reply, Broken> {
        let origin = origin(asking.address);
        let until = Instant::now() + self.patience.total;
        let mut raw = self.once(&origin, asking, true, until).await;
        if asking.forgiving && matches!(raw, Err(Broken::Stale)) {
            raw = self.once(&origin, asking, false, until).await;
        }
        let Raw { head, body, end } = raw?;
        let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
        let (body, end) = match body::plain(body, header("content-encoding")) {
            Ok(plain) if plain.proven && end == End::Closed => (plain.body, End::Whole),
            Ok(plain) => (plain.body, end),
            Err(wrong) if head.status.is_success() && end != End::Cut => {
                return Err(match wrong {
                    body::Wrong::Encoding => Broken::Encoding,
                    body::Wrong::TooLarge => Broken::TooLarge,
                });
            }
            // What stands there does not matter.
            Err(_) => (Vec::new(), end),
        };
        Ok(Reply { status: head.status.as_u16(), headers: Headers::read(header), body, end })
    }

    /// Asks once, on a connection that was kept or not.
    async fn once(&self, origin: &Origin, asking: Asking<'_>, kept: bool, until: Instant) -> Result<Raw, Broken> {
        let _busy = Busy::new(&self.lines);
        let mut line = if kept { lock(&self.lines).take(origin) } else { None };
        let raw = timeout_at(until, self.raw(&mut line, origin, asking)).await.unwrap_or(Err(Broken::Timeout));
        // What is left of an answer on its way would be taken for the next one.
        let whole = matches!(raw, Ok(Raw { end: End::Whole, .. }));
        let gone = match line {
            Some(line) if whole && line.is_open() => lock(&self.lines).keep(origin, line),
            line => line,
        };
        if let Some(line) = gone {
            // Closing it is dropping it, which cannot fail.
            let _ = line.close().await;
        }
        raw
    }

    async fn raw(&self, kept: &mut Option<Held<Line>>, origin: &Origin, asking: Asking<'_>) -> Result<Raw, Broken> {
        if let Some(line) = kept {
            return self.on_line(line, asking).await;
        }
        let host = Arc::clone(lock(&self.hosts).entry(origin.clone()).or_default());
        let speaks = || host.speaks.load(Ordering::Acquire);
        if let Some(stream) = host.stream() {
            return self.on_stream(stream, asking).await;
        }
        // One finds out what a server speaks, and one at a time makes the next connection for all.
        let turn = if speaks() == HTTP1 { None } else { Some(host.dialing.lock().await) };
        if let Some(stream) = host.stream() {
            return self.on_stream(stream, asking).await;
        }
        let dialed = self.dial(asking.address).await?;
        if dialed.http2 {
            let stream = self.share(&host, dialed.wire).await?;
            host.speaks.store(HTTP2, Ordering::Release);
            drop(turn);
            return self.on_stream(stream, asking).await;
        }
        host.speaks.store(HTTP1, Ordering::Release);
        drop(turn);
        let line = self.scope.open("connection", Line::new(dialed.wire), async |line| {
            drop(line);
            Ok(())
        });
        let line = line.await.map_err(|_| Broken::Unreachable)?;
        // Another slot may use it next.
        let line = line.hand_on(&self.scope).map_err(|_| Broken::Unreachable)?;
        self.on_line(kept.insert(line), asking).await
    }

    async fn dial(&self, address: &Address) -> Result<Dialed, Broken> {
        let host = address.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let target = Target { host, port: address.port(), tls: address.is_tls() };
        let dialed = timeout(self.patience.connect, (self.connect)(target)).await;
        let dialed = dialed.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
        dialed.map_err(|error| {
            *lock(&self.why) = Some(error.to_string());
            Broken::Unreachable
        })
    }

    async fn on_line(&self, line: &mut Line, asking: Asking<'_>) -> Result<Raw, Broken> {
        line.ask(self.request(asking, false)?, self.patience.idle).await
    }

    fn request(&self, asking: Asking<'_>, http2: bool) -> Result<hyper::Request<Nothing>, Broken> {
        let Asking { address, own, format, stored, .. } = asking;
        // An address has been checked when it was read.
        self.manners.request(address, own, format, stored, http2).ok_or(Broken::Unreachable)
    }

    /// Makes a connection of which many may have a stream, and takes one.
    async fn share(&self, host: &Host, wire: Box<dyn crate::net::Wire>) -> Result<Stream, Broken> {
        let mut builder = http2::Builder::new(Spawn(self.scope.clone()));
        builder.initial_stream_window_size(WINDOW).initial_connection_window_size(WINDOW);
        // A connection that is dead without a word would take all that is asked on it along.
        let idle = self.patience.idle;
        builder.timer(TokioTimer::new()).keep_alive_interval(idle).keep_alive_timeout(idle);
        let (sender, driver) = builder.handshake(TokioIo::new(wire)).await.map_err(|_| Broken::Unreachable)?;
        let allowed = Arc::new(AtomicUsize::new(STREAMS));
        let says = Arc::clone(&allowed);
        self.scope.spawn("http2", async move {
            let mut driver = pin!(driver);
            // How it ended, the streams have been told.
            let _ = poll_fn(|cx| {
                let ended = driver.as_mut().poll(cx);
                says.store(driver.current_max_send_streams(), Ordering::Relaxed);
                ended
            })
            .await;
            Ok(())
        });
        let shared = Shared { sender, allowed, streams: Arc::new(AtomicUsize::new(1)) };
        lock(&host.shared).push(shared.clone());
        Ok(Stream(shared))
    }

    async fn on_stream(&self, mut stream: Stream, asking: Asking<'_>) -> Result<Raw, Broken> {
        let request = self.request(asking, true)?;
        let sender = &mut stream.0.sender;
        let answer = async {
            sender.ready().await?;
            sender.send_request(request).await
        };
        let answer = timeout(self.patience.idle, answer).await.map_err(|_| Broken::Timeout)?;
        line::answered(answer.map_err(|error| broken(&error))?, self.patience.idle).await
    }
}

impl Shared {
    /// So many streams it may have: what is asked beyond that would wait, and look as if the server were slow.
    fn most(&self) -> usize {
        STREAMS.min(self.allowed.load(Ordering::Relaxed)).max(1)
    }
}

impl Host {
    /// A place on a connection that has one.
    fn stream(&self) -> Option<Stream> {
        let mut shared = lock(&self.shared);
        shared.retain(|connection| !connection.sender.is_closed());
        let free = shared.iter().find(|connection| connection.streams.load(Ordering::Relaxed) < connection.most())?;
        free.streams.fetch_add(1, Ordering::Relaxed);
        Some(Stream(free.clone()))
    }
}

/// Of an error before the answer, the kind.
fn broken(error: &hyper::Error) -> Broken {
    let http2 = error.source().and_then(|source| source.downcast_ref::<h2::Error>());
    match http2 {
        Some(http2) if http2.is_go_away() && http2.is_remote() => Broken::TurnedAway,
        Some(http2) if http2.reason() == Some(h2::Reason::REFUSED_STREAM) => Broken::TurnedAway,
        // The connection had ended before it was asked.
        _ if error.is_canceled() || error.is_closed() => Broken::TurnedAway,
        _ => Broken::Reset,
    }
}

/// Where the tasks of an HTTP/2 connection run.
#[derive(Clone)]
struct Spawn(Scope);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Spawn {
    fn execute(&self, future: F) {
        self.0.spawn("http2", async move {
            future.await;
            Ok(())
        });
    }
}

fn origin(address: &Address) -> Origin {
    (address.is_tls(), address.host().to_owned(), address.port())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
