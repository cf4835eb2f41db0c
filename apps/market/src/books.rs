//! Keeps the order book of every symbol, and stores its best levels every so often.
//!
//! Changes come from the feed through a channel that never makes it wait: one that finds no room is dropped, and its book with it, which
//! is then fetched anew. What one symbol misses concerns no other: each has its own book, its own pauses between tries, and its turn.

mod ask;
mod follow;

use std::{
    future,
    sync::{Arc, atomic::Ordering},
};

use futures_util::future::BoxFuture;
use softstop::Result;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use self::{
    ask::{Answer, weight},
    follow::Follow,
};
use crate::{
    Progress, Tell, Times,
    backoff::Backoff,
    book::Loss,
    budget::Purpose,
    config::Depth,
    rest::Client,
    skipped::Skipped,
    store::{DepthRow, Writer},
    wire::Diff,
};

/// Changes between the feed and the books: of ten symbols at ten a second, for five seconds.
const CHANNEL: usize = 512;
/// How many changes are taken before what is due is looked at.
const AT_ONCE: usize = 64;

/// A change as it came: the number of its symbol, when it was sent, and what it says.
#[derive(Debug)]
pub(crate) struct Change(usize, i64, Diff);

/// The way to the books.
#[derive(Clone)]
pub(crate) struct Changes {
    to: mpsc::Sender<Change>,
    skipped: Arc<Skipped>,
}

impl Changes {
    pub(crate) fn new(skipped: Arc<Skipped>) -> (Self, mpsc::Receiver<Change>) {
        let (to, changes) = mpsc::channel(CHANNEL);
        (Self { to, skipped }, changes)
    }

    /// Hands a change on, or drops it where there is no room: its book finds out by the ids.
    pub(crate) fn put(&self, symbol: usize, event_ms: i64, diff: Diff) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.to.try_send(Change(symbol, event_ms, diff)) {
            self.skipped.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

pub(crate) struct Books {
    symbols: Vec<Shelf>,
    changes: mpsc::Receiver<Change>,
    depth: Depth,
    store: Writer,
    times: Arc<Times>,
    tell: Tell,
    skipped: Arc<Skipped>,
    /// How many changes had been dropped when that was last said.
    dropped: u64,
    /// Nobody asks at present.
    client: Option<Client>,
    /// Whose turn it is to ask.
    turn: usize,
    asking: Option<BoxFuture<'static, Answer>>,
    storing: Option<BoxFuture<'static, (Result, Progress)>>,
}

/// One symbol.
struct Shelf {
    name: String,
    follow: Follow,
    /// Before that nothing is asked for.
    ask_at: Instant,
    backoff: Backoff,
    /// How often asking has not worked since it last did.
    tries: u32,
    /// Before that no deeper book is asked for.
    deepen_at: Instant,
    /// Before that nothing is stored.
    store_at: Instant,
    /// The last update that was stored.
    stored: Option<i64>,
}

impl Books {
    pub(crate) fn new(
        symbols: Vec<String>,
        changes: mpsc::Receiver<Change>,
        depth: Depth,
        (client, store): (Client, Writer),
        (times, tell, skipped): (Arc<Times>, Tell, Arc<Skipped>),
    ) -> Self {
        let now = Instant::now();
        let shelf = |name| Shelf {
            name,
            follow: Follow::new(limit(depth)),
            ask_at: now,
            backoff: Backoff::new(times.retry),
            tries: 0,
            deepen_at: now,
            store_at: now,
            stored: None,
        };
        let symbols = symbols.into_iter().map(shelf).collect();
        let (client, asking, storing) = (Some(client), None, None);
        Self { symbols, changes, depth, store, times, tell, skipped, dropped: 0, client, turn: 0, asking, storing }
    }

    /// Goes on until it is dropped, or nobody is left who brings changes. What it holds is worth nothing to the next start.
    pub(crate) async fn run(mut self) -> Result {
        loop {
            let now = Instant::now();
            self.give_up(now);
            self.ask(now);
            self.begin_to_store(now);
            let due = self.due(now);
            tokio::select! { biased;
                answer = pending(&mut self.asking) => self.answered(answer),
                (stored, progress) = pending(&mut self.storing) => {
                    self.storing = None;
                    stored?;
                    (self.tell)(progress);
                }
                change = self.changes.recv() => {
                    let Some(change) = change else { return Ok(()) };
                    self.take(change);
                    for _ in 1..AT_ONCE {
                        let Ok(change) = self.changes.try_recv() else { break };
                        self.take(change);
                    }
                }
                () = until(due) => {}
            }
        }
    }

    fn take(&mut self, Change(at, event_ms, diff): Change) {
        if let Some(lost) = self.symbols[at].follow.change(event_ms, diff, Instant::now()) {
            self.lost(at, lost);
        }
    }

    /// Gives up the books that have waited long enough for what they miss.
    fn give_up(&mut self, now: Instant) {
        for at in 0..self.symbols.len() {
            let follow = &mut self.symbols[at].follow;
            if follow.gives_up_at(self.times.patience).is_some_and(|at| at <= now)
                && let Some(lost) = follow.give_up()
            {
                self.lost(at, lost);
            }
        }
    }

    fn lost(&mut self, at: usize, lost: Loss) {
        let dropped = self.skipped.dropped.load(Ordering::Relaxed);
        let mut why = lost.to_string();
        if std::mem::replace(&mut self.dropped, dropped) < dropped {
            why += &format!("; {dropped} changes so far came faster than they could be taken in");
        }
        (self.tell)(Progress::DepthLost(self.symbols[at].name.clone(), why));
    }

    /// Begins to store the book that has waited longest for it, unless one is being stored.
    fn begin_to_store(&mut self, now: Instant) {
        if self.storing.is_some() {
            return;
        }
        let due = self.symbols.iter().enumerate().filter(|(_, shelf)| shelf.store_at <= now && shelf.has_news());
        let Some((at, _)) = due.min_by_key(|(_, shelf)| shelf.store_at) else { return };
        let shelf = &mut self.symbols[at];
        let (book, time_ms) = (shelf.follow.book(), shelf.follow.time_ms());
        let Some(row) = DepthRow::of(at, book, time_ms, limit(self.depth)) else { return };
        (shelf.stored, shelf.store_at) = (Some(row.last_id), now + self.depth.every);
        let (store, progress) =
            (self.store.clone(), Progress::DepthStored(shelf.name.clone(), row.time_ms, row.levels));
        self.storing = Some(Box::pin(async move { (store.depth(row).await, progress) }));
    }

    /// When something is due although nothing comes.
    fn due(&self, now: Instant) -> Option<Instant> {
        let gives_up = self.symbols.iter().filter_map(|shelf| shelf.follow.gives_up_at(self.times.patience));
        let asks = self.symbols.iter().filter_map(Shelf::asks).filter_map(|(purpose, at)| {
            let room = self.client.as_ref()?.allowance.wait(weight(limit(self.depth)), purpose);
            Some(at.max(now + room))
        });
        let stores = self.symbols.iter().filter(|shelf| self.storing.is_none() && shelf.has_news());
        gives_up.chain(asks).chain(stores.map(|shelf| shelf.store_at)).min()
    }
}

impl Shelf {
    /// What a snapshot is needed for, and when it may be asked for.
    fn asks(&self) -> Option<(Purpose, Instant)> {
        let purpose = self.follow.wants()?;
        let at = if purpose == Purpose::Deeper { self.ask_at.max(self.deepen_at) } else { self.ask_at };
        Some((purpose, at))
    }

    /// Whether the book is there and another than the one that was stored last.
    fn has_news(&self) -> bool {
        let last_id = self.follow.book().last_id();
        last_id.is_some() && last_id != self.stored
    }
}

fn limit(depth: Depth) -> usize {
    usize::try_from(depth.limit).unwrap_or(usize::MAX)
}

/// Completes with what is under way, if anything is.
async fn pending<T>(under_way: &mut Option<BoxFuture<'static, T>>) -> T {
    match under_way {
        Some(future) => future.await,
        None => future::pending().await,
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_for_which_there_is_no_room_is_counted_and_holds_nobody_up() {
        let skipped = Arc::<Skipped>::default();
        let (to, mut changes) = Changes::new(Arc::clone(&skipped));
        let diff = |id| Diff { first: id, last: id, previous: None, bids: Vec::new(), asks: Vec::new() };

        for id in 0..CHANNEL as i64 + 3 {
            to.put(0, id, diff(id));
        }

        assert_eq!((changes.len(), skipped.dropped.load(Ordering::Relaxed)), (CHANNEL, 3));
        let mut follow = Follow::new(10);
        while let Ok(Change(_, event_ms, diff)) = changes.try_recv() {
            follow.change(event_ms, diff, Instant::now());
        }
        follow.snapshot(&crate::wire::Snapshot { last_id: 1, bids: Vec::new(), asks: Vec::new() }, Instant::now());
        assert_eq!(follow.change(0, diff(CHANNEL as i64 + 3), Instant::now()), None);
        assert!(matches!(follow.give_up(), Some(Loss::Gap { .. })), "the book finds out by the ids");
    }
}
