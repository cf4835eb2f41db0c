//! Makes connections and subscribes.

use std::sync::{MutexGuard, PoisonError};

use futures_util::SinkExt;
use serde_json::json;
use softstop::{BoxError, Held, Result};
use tokio::time;
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        Error, Message,
        http::{self, Uri},
        protocol::WebSocketConfig,
    },
};

use super::{
    Feed, Run,
    take::{Took, next},
};
use crate::{Connection, Times, connects::Connects, wire::LONGEST_MESSAGE};

/// What a read takes at most: a burst of trades in one call of the system.
const READ_BUFFER: usize = 128 * 1024;

pub(super) type Socket = WebSocketStream<Box<dyn Connection>>;

impl Run {
    /// A connection that is subscribed.
    pub(super) async fn another(&self) -> Result<Held<Socket>> {
        let mut new = self.open().await?;
        match self.subscribed(&mut new).await {
            Ok(()) => Ok(new),
            Err(error) => {
                new.close().await?;
                Err(error)
            }
        }
    }

    /// A connection, made within the budget and the time for it.
    pub(super) async fn open(&self) -> Result<Held<Socket>> {
        let Feed { ws, times, .. } = &*self.feed;
        let wait = self.connects().wait(self.begun.elapsed());
        if !wait.is_zero() {
            time::sleep(wait).await;
        }
        self.connects().made(self.begun.elapsed());
        let connect = async {
            let connected = time::timeout(times.connect, self.connect()).await;
            let connected = connected.map_err(|_| format!("no answer from {ws} within {:?}", times.connect))?;
            Ok::<_, BoxError>(connected.map_err(|error| format!("cannot connect to {ws}: {}", why(error)))?)
        };
        // The farewell belongs to `receive`, which still takes in trades; what is left is dropping the socket.
        let close = async |socket: Socket| {
            drop(socket);
            Ok(())
        };
        let socket = self.scope.open("websocket", connect, close).await?;
        self.feed.connected.send_modify(|connections| *connections += 1);
        Ok(socket)
    }

    fn connects(&self) -> MutexGuard<'_, Connects> {
        self.connects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connect(&self) -> Result<Socket, Error> {
        let url: Uri = format!("{}/stream", self.feed.ws).parse().map_err(http::Error::from)?;
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .max_message_size(Some(LONGEST_MESSAGE))
            .max_frame_size(Some(LONGEST_MESSAGE));
        Ok(client_async_with_config(url, (self.feed.connect)(&self.feed.ws).await?, Some(config)).await?.0)
    }

    pub(super) fn lost(&self, error: Error) -> BoxError {
        format!("lost the connection to {}: {}", self.feed.ws, why(error)).into()
    }

    /// Subscribes by command and not in the address: so nothing is sent to a connection that a stop drops half-open.
    pub(super) async fn subscribe(&self, socket: &mut Socket) -> Result {
        let names: &[&str] = if self.feed.changes.is_some() { &["aggTrade", "depth@100ms"] } else { &["aggTrade"] };
        let streams = self.feed.symbols.iter().map(|symbol| symbol.to_ascii_lowercase());
        let streams = streams.flat_map(|symbol| names.iter().map(move |name| format!("{symbol}@{name}")));
        let subscribe = json!({ "method": "SUBSCRIBE", "params": streams.collect::<Vec<_>>(), "id": 1 });
        socket.send(Message::text(subscribe.to_string())).await.map_err(|error| self.lost(error))
    }

    /// Subscribes, and waits until the exchange says so: what it sends from then on comes over this connection.
    async fn subscribed(&self, socket: &mut Socket) -> Result {
        let wait = async {
            self.subscribe(socket).await?;
            loop {
                if let Took::Answer = self.take(next(socket).await.map_err(|error| self.lost(error))?).await? {
                    return Ok(());
                }
            }
        };
        let Times { connect, .. } = *self.feed.times;
        time::timeout(connect, wait).await.map_err(|_| format!("no answer from {} within {connect:?}", self.feed.ws))?
    }
}

/// In words; that it is one of input and output goes without saying.
fn why(error: Error) -> String {
    match error {
        Error::Io(error) => error.to_string(),
        error => error.to_string(),
    }
}
