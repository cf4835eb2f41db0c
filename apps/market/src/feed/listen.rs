//! Takes in what comes over a connection, replaces it by another while it goes on, and says goodbye.

use std::{pin::pin, time::Duration};

use futures_util::{SinkExt, StreamExt};
use softstop::{Held, Result};
use tokio::time::{self, Instant};
use tokio_tungstenite::tungstenite::Message;

use super::{
    Run,
    connection::Socket,
    take::{Took, next},
    watch::{Replace, Watch},
};
use crate::{Progress, backoff::Backoff};

/// Time for both farewells: how long the exchange may say nothing before it answers the close frame, and how long it may take in all.
const FAREWELL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_millis(2500));
/// The same in all where the stop leaves no time to drain; well within the grace of a cancelled task.
const HASTY_FAREWELL: Duration = Duration::from_millis(500);

/// How a time of receiving ended, unless it failed.
pub(super) enum Ended {
    Stop,
    Replace(Replace),
}

impl Run {
    /// Takes in what comes until the connection breaks, has to be replaced, or the stop.
    pub(super) async fn listen(&self, socket: &mut Socket, watch: &mut Watch) -> Result<Ended> {
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

    /// Opens a new connection while the old one goes on; then the old one says goodbye, and what it had still to say is taken in. `None`
    /// on a stop.
    pub(super) async fn replace(&self, old: &mut Held<Socket>, watch: &mut Watch) -> Result<Option<Held<Socket>>> {
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
            // An error is a connection that has ended, which is seen when it is listened to.
            let _ = self.meet(old, &mut new).await;
            self.farewell(old).await?;
        }
        Ok(Some(new))
    }

    /// Completes when the old connection has brought what the new one began with: it may be behind. One that is dead is not waited for
    /// long. It has to be polled to its end: a trade that is being handed on is owed.
    async fn meet(&self, old: &mut Socket, new: &mut Socket) -> Result {
        let until = Instant::now() + FAREWELL.0;
        let (mut seen, mut begin) = (vec![i64::MIN; self.feed.symbols.len()], None);
        loop {
            let trade = tokio::select! { biased;
                _ = self.scope.draining() => return Ok(()),
                () = time::sleep_until(until) => return Ok(()),
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
}
