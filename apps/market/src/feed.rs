//! Receives trades over a WebSocket. A connection that breaks is made again; one that must end soon is replaced by a new one before it
//! ends. Trades that come over both are told apart by their ids.

mod watch;

use std::{
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use softstop::{BoxError, Held, Policy, Restart, Result, Scope};
use tokio::{
    sync::{mpsc, watch as channel},
    time::{self, Instant},
};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        Error, Message,
        http::{self, Uri},
        protocol::WebSocketConfig,
    },
};

use self::watch::{Replace, Watch};
use crate::{
    Address, Connect, Connection, Progress, Skipped, TRADES, Tell, Times,
    backoff::Backoff,
    connects::Connects,
    count::Input,
    refill::Check,
    wire::{self, Event, LONGEST_MESSAGE},
};

/// Time for both farewells: how long the exchange may say nothing before it answers the close frame, and how long it may take in all.
const FAREWELL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_millis(2500));
/// The same in all where the stop leaves no time to drain; well within the grace of a cancelled task.
const HASTY_FAREWELL: Duration = Duration::from_millis(500);
/// What a read takes at most: a burst of trades in one call of the system.
const READ_BUFFER: usize = 128 * 1024;

const ENDED: &str = "the aggregator has ended";

type Socket = WebSocketStream<Box<dyn Connection>>;

pub(crate) struct Feed {
    pub(crate) ws: Address,
    pub(crate) connect: Connect,
    /// Upper case, in order.
    pub(crate) symbols: Vec<String>,
    pub(crate) inputs: mpsc::Sender<Input>,
    pub(crate) tell: Tell,
    pub(crate) skipped: Arc<Skipped>,
    /// Counts connections, for who fetches what came before them.
    pub(crate) connected: channel::Sender<u64>,
    /// Who says whether a silent symbol is quiet; without REST nobody does.
    pub(crate) checks: Option<mpsc::Sender<Check>>,
    pub(crate) times: Arc<Times>,
}

/// How a time of receiving ended, unless it failed.
enum Ended {
    Stop,
    Replace(Replace),
}

/// What a message was.
enum Took {
    /// A trade of the symbol of this number, and its aggregate.
    Trade(usize, i64),
    /// The exchange has done what it was told.
    Answer,
    /// The exchange is about to close the connection.
    Shutdown,
    Other,
}

impl Feed {
    /// Receives until the stop, however often the connection breaks.
    pub(crate) fn start(self, scope: &Scope) {
        let (first, longest) = self.times.reconnect;
        let begun = Instant::now();
        let (feed, connects) = (Arc::new(self), Arc::new(Mutex::new(Connects::new())));
        let restart = Restart { first, longest, ..Restart::forever() };
        scope.supervise("receive", Policy::Restart(restart), move |scope| {
            let run = Run { feed: Arc::clone(&feed), connects: Arc::clone(&connects), begun, scope };
            async move {
                let Err(error) = run.receive().await else { return Ok(()) };
                (run.feed.tell)(Progress::Disconnected(error.to_string()));
                // Who leaves anyway does not mind that the exchange left first.
                if run.scope.is_draining() { Ok(()) } else { Err(error) }
            }
        });
    }
}

/// From a first connection through all that replace it, until one breaks.
struct Run {
    feed: Arc<Feed>,
    connects: Arc<Mutex<Connects>>,
    begun: Instant,
    scope: Scope,
}

impl Run {
    /// Ends well only on a stop.
    async fn receive(&self) -> Result {
        let Some(socket) = self.scope.until_draining(self.open()).await else { return Ok(()) };
        let mut current = socket?;
        (self.feed.tell)(Progress::Connected);
        let mut subscribed = self.subscribe(&mut current).await;
        loop {
            let mut watch = Watch::new(&self.feed.times, self.feed.symbols.len());
            let ended = match std::mem::replace(&mut subscribed, Ok(())) {
                Ok(()) => self.listen(&mut current, &mut watch).await,
                Err(error) => Err(error),
            };
            let why = match ended {
                Ok(Ended::Replace(why)) => why,
                ended => {
                    current.close().await?;
                    return ended.map(|_| ());
                }
            };
            (self.feed.tell)(Progress::Replacing(why.to_string()));
            let Some(next) = self.replace(&mut current, &mut watch).await? else {
                current.close().await?;
                return Ok(());
            };
            current = next;
        }
    }

    /// Opens a new connection while the old one goes on; then the old one says goodbye, and what it had still to say is taken in. `None`
    /// on a stop.
    async fn replace(&self, old: &mut Held<Socket>, watch: &mut Watch) -> Result<Option<Held<Socket>>> {
        let mut opening = pin!(async {
            let mut backoff = Backoff::new(self.feed.times.reconnect);
            loop {
                match self.another().await {
                    Ok(new) => return new,
                    // The old one goes on as long as it can.
                    Err(error) => (self.feed.tell)(Progress::Disconnected(error.to_string())),
                }
                time::sleep(backoff.next()).await;
            }
        });
        let mut alive = true;
        let new = loop {
            tokio::select! { biased;
                _ = self.scope.draining() => {
                    self.farewell(old).await?;
                    return Ok(None);
                }
                opened = &mut opening => break opened,
                next = old.next(), if alive => match next {
                    Some(Ok(message)) => self.note(message, watch).await?,
                    // It was about to end anyway; what is missing now is fetched.
                    _ => alive = false,
                },
            }
        };
        (self.feed.tell)(Progress::Connected);
        let mut new = new;
        if alive {
            // An old one that is dead is not waited for long.
            let _ = time::timeout(FAREWELL.0, self.meet(old, &mut new)).await;
            self.farewell(old).await?;
        }
        Ok(Some(new))
    }

    /// Completes when the old connection has brought what the new one began with: it may be behind.
    async fn meet(&self, old: &mut Socket, new: &mut Socket) -> Result {
        let (mut seen, mut begin) = (vec![i64::MIN; self.feed.symbols.len()], None);
        loop {
            let trade = tokio::select! { biased;
                _ = self.scope.draining() => return Ok(()),
                message = next(old) => match message {
                    Ok(message) => self.take(message).await?,
                    Err(_) => return Ok(()),
                },
                // What comes after its first trade waits.
                message = next(new), if begin.is_none() => {
                    let took = self.take(message.map_err(|error| self.lost(error))?).await?;
                    if let Took::Trade(symbol, id) = took {
                        begin = Some((symbol, id));
                    }
                    continue;
                }
            };
            if let Took::Trade(symbol, id) = trade {
                seen[symbol] = id;
            }
            if begin.is_some_and(|(symbol, id)| seen[symbol] >= id) {
                return Ok(());
            }
        }
    }

    /// A connection that is subscribed.
    async fn another(&self) -> Result<Held<Socket>> {
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
    async fn open(&self) -> Result<Held<Socket>> {
        let Feed { ws, times, .. } = &*self.feed;
        let wait = self.connects().wait(self.begun.elapsed());
        if !wait.is_zero() {
            time::sleep(wait).await;
        }
        self.connects().made(self.begun.elapsed());
        let connect = async {
            let connected = time::timeout(times.connect, self.connect()).await;
            let connected = connected.map_err(|_| format!("no answer from {ws} within {:?}", times.connect))?;
            Ok::<_, BoxError>(connected.map_err(|error| format!("cannot connect to {ws}: {error}"))?)
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

    fn connects(&self) -> std::sync::MutexGuard<'_, Connects> {
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

    fn lost(&self, error: Error) -> BoxError {
        format!("lost the connection to {}: {error}", self.feed.ws).into()
    }

    /// Subscribes by command and not in the address: so nothing is sent to a connection that a stop drops half-open.
    async fn subscribe(&self, socket: &mut Socket) -> Result {
        let streams = self.feed.symbols.iter().map(|symbol| format!("{}@aggTrade", symbol.to_ascii_lowercase()));
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

    /// Takes in what comes until the connection breaks, has to be replaced, or the stop.
    async fn listen(&self, socket: &mut Socket, watch: &mut Watch) -> Result<Ended> {
        let mut look = time::interval(self.feed.times.look());
        look.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        look.reset();
        loop {
            tokio::select! { biased;
                _ = self.scope.draining() => {
                    self.farewell(socket).await?;
                    return Ok(Ended::Stop);
                }
                _ = look.tick() => {
                    if let Some(why) = watch.look(self.feed.checks.as_ref()).map_err(|silence| {
                        format!("nothing from {} for {silence:?}", self.feed.ws)
                    })? {
                        return Ok(Ended::Replace(why));
                    }
                }
                message = next(socket) => {
                    self.note(message.map_err(|error| self.lost(error))?, watch).await?;
                    if watch.is_shutting_down() {
                        return Ok(Ended::Replace(Replace::Shutdown));
                    }
                }
            }
        }
    }

    async fn note(&self, message: Message, watch: &mut Watch) -> Result {
        match self.take(message).await? {
            Took::Trade(symbol, _) => watch.heard(Some(symbol)),
            Took::Shutdown => watch.shutdown(),
            Took::Answer | Took::Other => watch.heard(None),
        }
        Ok(())
    }

    /// Sends the close frame, and takes in what the exchange has sent before it saw that: until it answers, is silent, or time is over.
    async fn farewell(&self, socket: &mut Socket) -> Result {
        // Told to return now without a drain before, as when the stop comes while the service starts.
        let hasty = self.scope.is_cancelled();
        let until = Instant::now() + if hasty { HASTY_FAREWELL } else { FAREWELL.1 };
        let Ok(Ok(())) = time::timeout(FAREWELL.0, socket.send(Message::Close(None))).await else { return Ok(()) };
        loop {
            let next = tokio::select! { biased;
                _ = self.scope.cancelled(), if !hasty => return Ok(()),
                next = time::timeout_at(until.min(Instant::now() + FAREWELL.0), socket.next()) => next,
            };
            let Ok(Some(Ok(message))) = next else { return Ok(()) };
            self.take(message).await?;
        }
    }

    /// Hands a trade on; counts what is none.
    async fn take(&self, message: Message) -> Result<Took> {
        let Feed { ws, symbols, inputs, skipped, .. } = &*self.feed;
        let skipped: &AtomicU64 = match message {
            Message::Text(text) => match wire::read(&text) {
                Ok(Event::AggTrade { symbol, trade, .. }) => {
                    match symbols.binary_search_by(|name| name.as_str().cmp(&symbol)) {
                        Ok(at) => {
                            let id = trade.id;
                            self.scope.owe(TRADES, 1);
                            inputs.send(Input::Trade(at, trade)).await.map_err(|_| ENDED)?;
                            return Ok(Took::Trade(at, id));
                        }
                        Err(_) => &skipped.ignored,
                    }
                }
                Ok(Event::Answer { .. }) => return Ok(Took::Answer),
                Ok(Event::Refused { why, .. }) => return Err(format!("{ws} refused the subscription: {why}").into()),
                Ok(Event::Shutdown { .. }) => return Ok(Took::Shutdown),
                Ok(_) => &skipped.ignored,
                Err(_) => &skipped.malformed,
            },
            Message::Binary(_) => &skipped.malformed,
            _ => return Ok(Took::Other),
        };
        skipped.fetch_add(1, Ordering::Relaxed);
        Ok(Took::Other)
    }
}

/// The next message; that there is none is an error as well.
async fn next(socket: &mut Socket) -> Result<Message, Error> {
    socket.next().await.unwrap_or(Err(Error::ConnectionClosed))
}
