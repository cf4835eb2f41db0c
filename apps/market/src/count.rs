//! The aggregator: hands what is new to the journal and counts it.

use std::time::Duration;

use softstop::{Result, Scope};
use tokio::{sync::mpsc, time};

use crate::{
    chain::Link,
    minutes::TooLarge,
    scale::decimal,
    store::{Order, Writer},
    track::Track,
    trade::Trade,
};

/// How often the open minutes are written. It costs nobody anything: what is not in them is in the journal.
const WRITE_EVERY: Duration = Duration::from_secs(1);
/// How many trades are taken before what they have changed is handed on.
const AT_ONCE: usize = 1024;

/// What comes in.
#[derive(Debug)]
pub(crate) enum Input {
    /// A trade of the symbol of this number.
    Trade(usize, Trade),
}

/// Counts, and knows what is new.
pub(crate) struct Counter {
    /// The names, in the order in which the symbols are numbered.
    pub(crate) symbols: Vec<String>,
    pub(crate) tracks: Vec<Track>,
    pub(crate) store: Writer,
    pub(crate) order: Order,
}

impl Counter {
    /// Counts what is received until the stop; what was not handed to the store yet is handed back.
    pub(crate) async fn run(mut self, scope: &Scope, mut received: mpsc::Receiver<Input>) -> Result<Self> {
        let mut every = time::interval(WRITE_EVERY);
        every.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        loop {
            // The second first: trades that never end must not keep it from coming.
            tokio::select! { biased;
                _ = every.tick() => self.flush(|_| true),
                // A hurry ends `next` before the channel is empty: what lies in it is saved all the same.
                next = scope.next(received.recv()) => {
                    let Some(mut input) = next.or_else(|| received.try_recv().ok()) else { return Ok(self) };
                    let mut left = AT_ONCE;
                    loop {
                        if let Err(error) = self.take(input).await {
                            self.flush(|_| true);
                            let Self { store, order, .. } = self;
                            store.write(order).await?;
                            return Err(error);
                        }
                        left -= 1;
                        // Not received where it could not be taken.
                        let next = if left > 0 { received.try_recv().ok() } else { None };
                        let Some(next) = next else { break };
                        input = next;
                    }
                    self.flush(Track::is_urgent);
                }
            }
            let order = std::mem::take(&mut self.order);
            // Awaited: what comes meanwhile waits in the channel, and is one transaction again.
            self.store.write(order).await?;
        }
    }

    /// Writes all that is left.
    pub(crate) async fn finish(mut self) -> Result {
        self.flush(|_| true);
        self.store.write(self.order).await
    }

    async fn take(&mut self, input: Input) -> Result {
        match input {
            Input::Trade(symbol, trade) => self.count(symbol, trade).await,
        }
    }

    async fn count(&mut self, symbol: usize, trade: Trade) -> Result {
        if let Some(begin_ms) = self.tracks[symbol].wants(&trade) {
            // It stands in the file as it was last written, and nothing of it is held here.
            if let Some(minute) = self.store.minute(symbol, begin_ms).await? {
                self.tracks[symbol].put(minute);
            }
        }
        match self.tracks[symbol].take(&trade) {
            Ok(Link::New | Link::Late) => self.order.rows.push((symbol, trade)),
            Ok(Link::Known | Link::Contradiction) => self.order.known += 1,
            Err(TooLarge) => {
                let (name, at, id) =
                    (&self.symbols[symbol], decimal(trade.price, trade.scale.price), trade.ids.aggregate);
                return Err(
                    format!("the volume of {name} at {at} is too large to be kept exactly from trade {id} on").into()
                );
            }
        }
        Ok(())
    }

    fn flush(&mut self, which: impl Fn(&Track) -> bool) {
        for (symbol, track) in self.tracks.iter_mut().enumerate() {
            if which(track)
                && let Some(flush) = track.flush()
            {
                self.order.flushes.push((symbol, flush));
            }
        }
    }
}
