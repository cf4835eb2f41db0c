//! Receives trades over a WebSocket, and connects again when it breaks.

use std::{
    io,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::{SinkExt, StreamExt, future::BoxFuture};
use serde_json::json;
use softstop::{BoxError, Policy, Restart, Result, Scope};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::{mpsc, watch},
    time,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{
        self, Error, Message,
        http::{Uri, uri::Authority},
    },
};

use crate::{
    Progress, Skipped, TRADES, Tell,
    count::Input,
    wire::{self, Event},
};

const ENDED: &str = "the aggregator has ended";

const CONNECT: Duration = Duration::from_secs(10);
/// Binance pings every 20 s: who says nothing for three times as long has gone.
const SILENCE: Duration = Duration::from_secs(60);
/// On a stop, how long the exchange may say nothing before it answers the close frame, and how long it may take in all.
const FAREWELL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5));
/// The same in all where the stop leaves no time to drain; well within the grace of a cancelled task.
const HASTY_FAREWELL: Duration = Duration::from_millis(500);

type Socket = WebSocketStream<Box<dyn Connection>>;

/// Bytes to and from the exchange, over which WebSocket is spoken.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// Connects to a host and port, such as `127.0.0.1:9443`; dropped before it completes, nothing is open.
pub type Connect = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Box<dyn Connection>>> + Send + Sync>;

/// Connects over TCP.
pub fn tcp() -> Connect {
    Arc::new(|to| Box::pin(async move { Ok(Box::new(TcpStream::connect(to).await?) as Box<dyn Connection>) }))
}

/// Reads where the exchange listens, such as `ws://127.0.0.1:9443`.
///
/// # Errors
/// What is wrong with it, and what to type instead.
pub fn address(text: &str) -> Result<String, String> {
    Ok(format!("ws://{}", authority(text, "ws", "ws://127.0.0.1:9443")?))
}

/// Reads where the exchange answers requests, such as `http://127.0.0.1:8080`, as host and port.
///
/// # Errors
/// What is wrong with it, and what to type instead.
pub fn rest_address(text: &str) -> Result<String, String> {
    let authority = authority(text, "http", "http://127.0.0.1:8080")?;
    Ok(if authority.port().is_some() { authority.to_string() } else { format!("{authority}:80") })
}

fn authority(text: &str, scheme: &str, example: &str) -> Result<Authority, String> {
    let expected = format!("expected an address without a path, such as {example}");
    let uri: Uri = text.parse().map_err(|error| format!("address {text:?}: {error}; {expected}"))?;
    match (uri.scheme_str(), uri.authority(), uri.path_and_query().map_or("/", |path| path.as_str())) {
        (Some(tls @ ("wss" | "https")), ..) => {
            Err(format!("address {text:?}: {tls}:// (TLS) is not in this version; {expected}"))
        }
        (Some(given), Some(authority), "/") if given == scheme && !authority.host().is_empty() => Ok(authority.clone()),
        _ => Err(format!("address {text:?}: {expected}")),
    }
}

pub(crate) struct Feed {
    /// As [`address`] gives it.
    pub(crate) ws: String,
    pub(crate) connect: Connect,
    /// Upper case, in order.
    pub(crate) symbols: Vec<String>,
    pub(crate) inputs: mpsc::Sender<Input>,
    pub(crate) tell: Tell,
    pub(crate) skipped: Arc<Skipped>,
    /// Counts connections, for who fetches what came before them.
    pub(crate) connected: watch::Sender<u64>,
}

impl Feed {
    /// Receives until the stop, however often the connection breaks.
    pub(crate) fn start(self, scope: &Scope) {
        let feed = Arc::new(self);
        scope.supervise("receive", Policy::Restart(Restart::forever()), move |scope| {
            let feed = Arc::clone(&feed);
            async move {
                let Err(error) = feed.connection(&scope).await else { return Ok(()) };
                (feed.tell)(Progress::Disconnected(error.to_string()));
                // Who leaves anyway does not mind that the exchange left first.
                if scope.is_draining() { Ok(()) } else { Err(error) }
            }
        });
    }

    /// One connection, from opening to closing. It ends well only on a stop.
    async fn connection(&self, scope: &Scope) -> Result {
        let ws = &self.ws;
        let connect = async {
            let connected = time::timeout(CONNECT, self.connect()).await;
            let connected = connected.map_err(|_| format!("no answer from {ws} within {CONNECT:?}"))?;
            Ok::<_, BoxError>(connected.map_err(|error| format!("cannot connect to {ws}: {error}"))?)
        };
        // The farewell belongs to `receive`, which still takes in trades; what is left is dropping the socket.
        let close = async |socket: Socket| {
            drop(socket);
            Ok(())
        };
        let Some(socket) = scope.until_draining(scope.open("websocket", connect, close)).await else { return Ok(()) };
        let mut socket = socket?;
        (self.tell)(Progress::Connected);
        self.connected.send_modify(|connections| *connections += 1);
        let received = self.receive(scope, &mut socket).await;
        socket.close().await?;
        received
    }

    async fn connect(&self) -> Result<Socket, Error> {
        let url: Uri = format!("{}/stream", self.ws).parse().map_err(tungstenite::http::Error::from)?;
        let to = format!("{}:{}", url.host().unwrap_or_default(), url.port_u16().unwrap_or(80));
        Ok(client_async(url, (self.connect)(to).await?).await?.0)
    }

    /// Subscribes by command and not in the address: so nothing is sent to a connection that a stop drops half-open.
    async fn receive(&self, scope: &Scope, socket: &mut Socket) -> Result {
        let lost = |error: Error| format!("lost the connection to {}: {error}", self.ws);
        let streams = self.symbols.iter().map(|symbol| format!("{}@aggTrade", symbol.to_ascii_lowercase()));
        let subscribe = json!({ "method": "SUBSCRIBE", "params": streams.collect::<Vec<_>>(), "id": 1 });
        socket.send(Message::text(subscribe.to_string())).await.map_err(lost)?;
        loop {
            let next = tokio::select! { biased;
                _ = scope.draining() => return self.farewell(scope, socket).await,
                next = time::timeout(SILENCE, socket.next()) => next,
            };
            let message = next.map_err(|_| format!("nothing from {} for {SILENCE:?}", self.ws))?;
            self.take(scope, message.unwrap_or(Err(Error::ConnectionClosed)).map_err(lost)?).await?;
        }
    }

    /// Sends the close frame, and takes in what the exchange has sent before it saw that: until it answers, is silent, or time is over.
    async fn farewell(&self, scope: &Scope, socket: &mut Socket) -> Result {
        // Told to return now without a drain before, as when the stop comes while the service starts.
        let hasty = scope.is_cancelled();
        let until = time::Instant::now() + if hasty { HASTY_FAREWELL } else { FAREWELL.1 };
        let Ok(Ok(())) = time::timeout(FAREWELL.0, socket.send(Message::Close(None))).await else { return Ok(()) };
        loop {
            let next = tokio::select! { biased;
                _ = scope.cancelled(), if !hasty => return Ok(()),
                next = time::timeout_at(until.min(time::Instant::now() + FAREWELL.0), socket.next()) => next,
            };
            let Ok(Some(Ok(message))) = next else { return Ok(()) };
            self.take(scope, message).await?;
        }
    }

    fn symbol(&self, name: &str) -> Option<usize> {
        self.symbols.binary_search_by(|symbol| symbol.as_str().cmp(name)).ok()
    }

    /// Hands a trade on; counts what is none.
    async fn take(&self, scope: &Scope, message: Message) -> Result {
        let skipped = match message {
            Message::Text(text) => match wire::read(&text) {
                Ok(Event::AggTrade { symbol, trade, .. }) => match self.symbol(&symbol) {
                    Some(at) => {
                        scope.owe(TRADES, 1);
                        return Ok(self.inputs.send(Input::Trade(at, trade)).await.map_err(|_| ENDED)?);
                    }
                    None => &self.skipped.ignored,
                },
                Ok(Event::Answer { .. }) => return Ok(()),
                Ok(Event::Refused { why, .. }) => {
                    return Err(format!("{} refused the subscription: {why}", self.ws).into());
                }
                Ok(_) => &self.skipped.ignored,
                Err(_) => &self.skipped.malformed,
            },
            Message::Binary(_) => &self.skipped.malformed,
            _ => return Ok(()),
        };
        skipped.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

#[cfg(test)]
#[path = "feed_tests.rs"]
mod tests;
