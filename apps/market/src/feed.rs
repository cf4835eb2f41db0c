//! Receives trades, and changes of order books, over a WebSocket. A connection that breaks is made again; one that must end soon is replaced by a new one before it
//! ends. What comes over both is told apart by its ids.

mod connection;
mod listen;
mod take;
mod watch;

use std::sync::{Arc, Mutex};

use softstop::{Policy, Restart, Result, Scope};
use tokio::{
    sync::{mpsc, watch as channel},
    time::Instant,
};

use self::{listen::Ended, watch::Watch};
use crate::{
    Address, Connect, Progress, Tell, Times, books::Changes, connects::Connects, count::Input, refill::Check,
    skipped::Skipped,
};

pub(crate) struct Feed {
    pub(crate) ws: Address,
    pub(crate) connect: Connect,
    /// Upper case, in order.
    pub(crate) symbols: Vec<String>,
    pub(crate) inputs: mpsc::Sender<Input>,
    /// Where changes of order books go; without it they are not asked for.
    pub(crate) changes: Option<Changes>,
    pub(crate) tell: Tell,
    pub(crate) skipped: Arc<Skipped>,
    /// Counts connections, for who fetches what came before them.
    pub(crate) connected: channel::Sender<u64>,
    /// Who says whether a silent symbol is quiet; without REST nobody does.
    pub(crate) checks: Option<mpsc::Sender<Check>>,
    pub(crate) times: Arc<Times>,
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
            let mut watch = Watch::new(&self.feed.times, self.feed.symbols.len(), self.feed.changes.is_some());
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
            std::mem::replace(&mut current, next).close().await?;
        }
    }
}
