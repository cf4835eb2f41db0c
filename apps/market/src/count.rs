//! The aggregator: hands what is new to the journal and counts it.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use softstop::{Result, Scope};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time,
};

use crate::{
    Progress, Tell,
    chain::Link,
    keep,
    minutes::TooLarge,
    pulse::Pulse,
    scale::decimal,
    skipped::Skipped,
    store::{Order, Writer},
    track::Track,
    wire::{AggTrade, Kind, Scale, Unreadable},
};

/// How often the open minutes are written. It costs nobody anything: what is not in them is in the journal.
const WRITE_EVERY: Duration = Duration::from_secs(1);
/// How many trades are taken before what they have changed is handed on.
const AT_ONCE: usize = 1024;

/// What comes in.
#[derive(Debug)]
pub(crate) enum Input {
    /// A trade of the symbol of this number, as it came.
    Trade(usize, AggTrade),
    /// Trades that were asked for.
    Page(Page),
    /// How fine the symbol's numbers are.
    Scale(usize, Scale),
}

/// Trades of one symbol that were asked for.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) symbol: usize,
    pub(crate) trades: Vec<AggTrade>,
    /// Between these aggregates the exchange has no others.
    pub(crate) listed: Option<(i64, i64)>,
    /// They are all that the exchange has from the beginning of the minute on in which collecting began, as far as they go.
    pub(crate) begins: bool,
    /// Told when all of it is on disk.
    pub(crate) done: oneshot::Sender<()>,
}

/// What a symbol lacks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Need {
    /// The first aggregates that are missing and may be had.
    pub(crate) gap: Option<(i64, i64)>,
    /// The last aggregate that is there.
    pub(crate) last: Option<i64>,
    /// The beginning of the minute in which collecting began, where what came before in it is not known.
    pub(crate) head: Option<i64>,
}

impl Need {
    pub(crate) fn of(track: &Track) -> Self {
        let gap = track.chain.open().next().map(|gap| gap.aggregates);
        Self { gap, last: track.chain.ends().and_then(|ends| ends.aggregate), head: track.head() }
    }
}

/// Counts, and knows what is new.
pub(crate) struct Counter {
    /// The names, in the order in which the symbols are numbered.
    pub(crate) symbols: Vec<String>,
    pub(crate) tracks: Vec<Track>,
    pub(crate) store: Writer,
    pub(crate) needs: watch::Sender<Vec<Need>>,
    pub(crate) skipped: Arc<Skipped>,
    pub(crate) order: Order,
    /// Told when the order is on disk.
    pub(crate) done: Vec<oneshot::Sender<()>>,
    pub(crate) pulse: Pulse,
    pub(crate) tell: Tell,
    /// See [`Config::keep`](crate::Config::keep).
    pub(crate) keep: Option<Duration>,
    /// The beginning of the first minute that is kept.
    pub(crate) floor: i64,
}

impl Counter {
    /// Counts what is received until the stop; what was not handed to the store yet is handed back.
    pub(crate) async fn run(mut self, scope: &Scope, mut received: mpsc::Receiver<Input>) -> Result<Self> {
        let mut every = time::interval(WRITE_EVERY);
        every.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        loop {
            // The second first: trades that never end must not keep it from coming.
            tokio::select! { biased;
                _ = every.tick() => {
                    self.age().await?;
                    self.flush(|_| true);
                    self.pulse.beat(&self.tracks).into_iter().for_each(|progress| (self.tell)(progress));
                }
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
                    self.pulse.taken();
                    self.flush(Track::is_urgent);
                }
            }
            let order = std::mem::take(&mut self.order);
            // Awaited: what comes meanwhile waits in the channel, and is one transaction again.
            self.store.write(order).await?;
            for done in self.done.drain(..) {
                let _ = done.send(());
            }
        }
    }

    /// Writes all that is left.
    pub(crate) async fn finish(mut self) -> Result {
        self.flush(|_| true);
        self.store.write(self.order).await
    }

    /// What is too old now is not kept from now on: the store drops it, and nothing of it is fetched any more.
    async fn age(&mut self) -> Result {
        let newest = self.tracks.iter().filter_map(Track::newest).max();
        let Some((keep, newest)) = self.keep.zip(newest) else { return Ok(()) };
        let floor = keep::floor(newest, keep);
        if floor <= self.floor {
            return Ok(());
        }
        (self.floor, self.order.floor) = (floor, Some(floor));
        for (symbol, track) in self.tracks.iter_mut().enumerate() {
            track.keep_from(floor);
            if !track.chain.has_gaps() {
                continue;
            }
            // Without a minute that is kept, the next trade will say where it begins.
            let Some(first) = self.store.first_kept(symbol, floor).await? else { continue };
            let given_up = track.forget(first);
            if given_up > 0 {
                (self.tell)(Progress::GivenUp(self.symbols[symbol].clone(), given_up));
            }
        }
        Ok(())
    }

    async fn take(&mut self, input: Input) -> Result {
        match input {
            Input::Trade(symbol, trade) => self.count(symbol, trade, false).await?,
            Input::Page(Page { symbol, mut trades, mut listed, begins, done }) => {
                if begins {
                    let all = trades.len();
                    self.tracks[symbol].begins(&mut trades, &mut listed);
                    self.order.known += (all - trades.len()) as u64;
                }
                for trade in trades {
                    self.count(symbol, trade, true).await?;
                }
                if let Some((from, to)) = listed {
                    self.tracks[symbol].listed(from, to);
                }
                self.done.push(done);
            }
            Input::Scale(symbol, scale) => self.tracks[symbol].refine(scale),
        }
        Ok(())
    }

    async fn count(&mut self, symbol: usize, trade: AggTrade, refilled: bool) -> Result {
        let Ok(trade) = self.tracks[symbol].read(trade, refilled) else {
            self.skipped.malformed.fetch_add(1, Ordering::Relaxed);
            self.order.known += 1;
            return Ok(());
        };
        if let Some(begin_ms) = self.tracks[symbol].wants(&trade) {
            // It stands in the file as it was last written, and nothing of it is held here.
            if let Some(minute) = self.store.minute(symbol, begin_ms).await? {
                self.tracks[symbol].put(minute);
            }
        }
        match self.tracks[symbol].take(&trade) {
            Ok(Link::New | Link::Late) => {
                self.pulse.count(symbol, &trade);
                self.order.rows.push((symbol, trade));
            }
            Ok(Link::Known | Link::Contradiction) => {
                self.order.known += 1;
                if self.tracks[symbol].is_renumbered(&trade) {
                    let (name, id) = (&self.symbols[symbol], trade.ids.aggregate);
                    let detail = format!(
                        "{id} of {name} is newer than all before; if the exchange has begun to count anew, name another file"
                    );
                    self.skipped.note(&Unreadable { kind: Kind::Renumbered, detail }, &self.tell);
                }
            }
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
                let need = Need::of(track);
                self.needs.send_if_modified(|needs| {
                    let before = std::mem::replace(&mut needs[symbol], need);
                    before.gap != need.gap || before.last.is_none() != need.last.is_none() || before.head != need.head
                });
            }
        }
    }
}
