//! An exchange in memory: a WebSocket server at the other end of a pipe, in a component of the service under test, so that its polls
//! are points of a sweep as well. It sends the same few trades every time, and notes which of them the collector was handed.

#[path = "memory/rest.rs"]
pub(crate) mod rest;

use std::{
    io,
    path::Path,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_util::{SinkExt, StreamExt};
use softstop::Service;
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf},
    sync::mpsc,
    time::{Instant, timeout_at},
};
use tokio_tungstenite::{
    WebSocketStream, accept_async,
    tungstenite::{self, Message},
};

/// Between two trades, where there is a pause.
const PAUSE: Duration = Duration::from_millis(130);
/// How long the whole script takes, and somewhat more than the second after which the open minutes are written.
pub(crate) const SCRIPT: Duration = Duration::from_millis(2600);
/// A whole minute.
const BEGIN_MS: i64 = 1_700_000_040_000;

/// One trade; price and quantity in units of 10⁻⁸.
#[derive(Debug, Clone)]
pub(crate) struct Trade {
    pub(crate) symbol: &'static str,
    pub(crate) id: i64,
    pub(crate) first: i64,
    pub(crate) last: i64,
    pub(crate) time_ms: i64,
    pub(crate) price: i64,
    pub(crate) quantity: i64,
    pub(crate) buyer_is_maker: bool,
}

/// Two symbols over four minutes, six trades each: both sides, prices that come again, aggregates, and one id that is missing.
pub(crate) fn script() -> Vec<Trade> {
    let (mut next, mut ids) = ([1000, 70], [500, 40]);
    let trade = |n: i64| {
        let of_b = n % 3 == 2;
        let next = &mut next[usize::from(of_b)];
        let first = *next + i64::from(n == 9);
        let last = first + n % 2;
        *next = last + 1;
        let id = &mut ids[usize::from(of_b)];
        *id += 1 + i64::from(n == 9);
        Trade {
            id: *id,
            symbol: if of_b { "BBBUSDT" } else { "AAAUSDT" },
            first,
            last,
            time_ms: BEGIN_MS + n / 6 * 60_000 + n % 6 * 9_999,
            price: 100_000_000 + n % 2,
            quantity: 1 << n,
            buyer_is_maker: n % 4 > 1,
        }
    };
    (0..24).map(trade).collect()
}

/// How an exchange behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// It sends at its pace, pings, and answers the close frame.
    Polite,
    /// The same without pauses.
    Hasty,
    /// It breaks the first connection in the middle of a message, and sends some trades again over the second.
    Breaks,
    /// It does not read what the collector says: it goes on sending after the close frame, and never answers it.
    Deaf,
}

/// Places in the script.
pub(crate) type Places = Arc<Mutex<Vec<usize>>>;

/// What became of the trades, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// The exchange has written these whole.
    pub(crate) sent: Places,
    /// The collector was handed these.
    pub(crate) received: Places,
}

pub(crate) struct Exchange {
    pub(crate) seen: Seen,
    connections: mpsc::UnboundedSender<DuplexStream>,
    /// Where requests are answered, if they are.
    requests: Option<mpsc::UnboundedSender<DuplexStream>>,
}

impl Exchange {
    /// Adds it to a service. It ends when the last connection has, or, without one, when the service stops.
    pub(crate) fn add(service: &mut Service, manner: Manner) -> Self {
        Self::adding(service, manner, false)
    }

    /// The same, and requests are answered.
    pub(crate) fn with_rest(service: &mut Service, manner: Manner) -> Self {
        Self::adding(service, manner, true)
    }

    fn adding(service: &mut Service, manner: Manner, rest: bool) -> Self {
        let (connections, mut accepted) = mpsc::unbounded_channel();
        let (requests, asked) = mpsc::unbounded_channel();
        let (seen, happened) = (Seen::default(), Arc::<AtomicUsize>::default());
        let sent = Arc::clone(&seen.sent);
        service.component("exchange", (), async move |scope, ()| {
            if rest {
                let happened = Arc::clone(&happened);
                scope.spawn_with("requests", async move |scope| {
                    rest::serve(scope, asked, happened).await;
                    Ok(())
                });
            }
            scope.spawn_with("serve", async move |scope| {
                let mut session = Session { manner, script: script(), at: 0, sent, happened, books: false };
                while let Some(stream) = scope.until_draining(accepted.recv()).await.flatten() {
                    // An error is a connection that broke: the collector mends it.
                    let _ = session.serve(stream).await;
                }
                Ok(())
            });
            Ok(())
        });
        Self { seen, connections, requests: rest.then_some(requests) }
    }

    /// The same for requests.
    pub(crate) fn ask(&self) -> io::Result<DuplexStream> {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let requests = self.requests.as_ref().ok_or(io::ErrorKind::ConnectionRefused)?;
        requests.send(ours).map_err(|_| io::ErrorKind::ConnectionRefused)?;
        Ok(theirs)
    }

    /// The collector's end of a new connection.
    pub(crate) fn connect(&self) -> io::Result<Tap> {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        self.connections.send(ours).map_err(|_| io::ErrorKind::ConnectionRefused)?;
        Ok(Tap { pipe: theirs, ahead: Vec::new(), upgraded: false, received: Arc::clone(&self.seen.received) })
    }
}

/// A folder for a file that is written a lot: in memory, where the system has a place for that.
pub(crate) fn folder() -> io::Result<TempDir> {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }
}

struct Session {
    manner: Manner,
    script: Vec<Trade>,
    /// The next trade.
    at: usize,
    sent: Places,
    /// How far the market is.
    happened: Arc<AtomicUsize>,
    /// Changes of order books are asked for.
    books: bool,
}

impl Session {
    async fn serve(&mut self, stream: DuplexStream) -> tungstenite::Result<()> {
        let mut socket = accept_async(stream).await?;
        let Some(Ok(Message::Text(subscribe))) = socket.next().await else { return Ok(()) };
        self.books = subscribe.contains("@depth");
        socket.send(Message::text(r#"{"result":null,"id":1}"#)).await?;
        while self.at < self.script.len() {
            match self.at {
                9 if self.manner == Manner::Breaks => {
                    self.manner = Manner::Polite;
                    self.at -= 3;
                    return Ok(socket.get_mut().write_all(b"\x81\x50{\"stream\"").await?);
                }
                12 => socket.send(Message::Ping("12".into())).await?,
                n if n % 4 != 1 => self.pause(&mut socket).await?,
                _ => {}
            }
            self.happened.fetch_max(self.at + 1, Ordering::Relaxed);
            socket.send(Message::text(self.event())).await?;
            self.sent.lock().unwrap().push(self.at);
            self.at += 1;
            if self.books && self.at - 1 != rest::LEFT_OUT {
                socket.send(Message::text(rest::change(self.at - 1))).await?;
            }
        }
        if self.manner == Manner::Deaf {
            let mut pipe = socket.into_inner();
            while pipe.read(&mut [0; 64]).await? > 0 {}
            return Ok(());
        }
        while let Some(Ok(_)) = socket.next().await {}
        Ok(())
    }

    /// Listens to the collector meanwhile; an error when it has gone, which the answer to its close frame makes it do.
    async fn pause(&self, socket: &mut WebSocketStream<DuplexStream>) -> tungstenite::Result<()> {
        let until = Instant::now() + PAUSE;
        match self.manner {
            Manner::Deaf => tokio::time::sleep_until(until).await,
            Manner::Hasty => {}
            Manner::Polite | Manner::Breaks => {
                while let Ok(message) = timeout_at(until, socket.next()).await {
                    message.unwrap_or(Err(tungstenite::Error::ConnectionClosed))?;
                }
            }
        }
        Ok(())
    }

    /// The message of the next trade. The time of sending, which no collector needs, says its place in the script.
    fn event(&self) -> String {
        let Trade { symbol, id, first, last, time_ms, price, quantity, buyer_is_maker } = &self.script[self.at];
        let [p, q] = [price, quantity].map(|units| decimal(*units));
        let (stream, n) = (symbol.to_ascii_lowercase(), self.at);
        format!(
            r#"{{"stream":"{stream}@aggTrade","data":{{"e":"aggTrade","E":{n},"s":"{symbol}","a":{id},"p":"{p}","q":"{q}","f":{first},"l":{last},"T":{time_ms},"m":{buyer_is_maker},"M":true}}}}"#
        )
    }
}

/// Of units of 10⁻⁸.
fn decimal(units: i64) -> String {
    format!("{}.{:08}", units / 100_000_000, units % 100_000_000)
}

/// Hands out one frame a read. So a trade is noted in the poll in which the collector is handed it, and none lies unread in a buffer.
pub(crate) struct Tap {
    pipe: DuplexStream,
    ahead: Vec<u8>,
    /// The answer to the HTTP request has passed.
    upgraded: bool,
    received: Places,
}

impl Tap {
    /// How long the first whole frame is that was read ahead, and how much of it is its head.
    fn frame(&self) -> Option<(usize, usize)> {
        if !self.upgraded {
            return self.ahead.windows(4).position(|end| end == b"\r\n\r\n").map(|at| (at + 4, at + 4));
        }
        let (head, length) = match *self.ahead.get(1)? {
            126 => (4, usize::from(u16::from_be_bytes([*self.ahead.get(2)?, *self.ahead.get(3)?]))),
            short => (2, usize::from(short)),
        };
        (head + length <= self.ahead.len()).then_some((head + length, head))
    }

    fn note(&self, payload: &[u8]) {
        let message: serde_json::Value = serde_json::from_slice(payload).unwrap_or_default();
        if message["data"]["e"] == "aggTrade"
            && let Some(n) = message["data"]["E"].as_u64()
        {
            self.received.lock().unwrap().push(usize::try_from(n).unwrap());
        }
    }
}

impl AsyncRead for Tap {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            if let Some((length, head)) = self.frame() {
                let frame: Vec<u8> = self.ahead.drain(..length).collect();
                self.upgraded = true;
                self.note(&frame[head..]);
                out.put_slice(&frame);
                return Poll::Ready(Ok(()));
            }
            let mut bytes = [0; 4096];
            let mut more = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut self.pipe).poll_read(cx, &mut more))?;
            if more.filled().is_empty() {
                // Part of a frame is worth nothing.
                return Poll::Ready(Ok(()));
            }
            self.ahead.extend_from_slice(more.filled());
        }
    }
}

impl AsyncWrite for Tap {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.pipe).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_shutdown(cx)
    }
}
