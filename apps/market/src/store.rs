//! Keeps the journal, minutes and levels in one SQLite file. One task writes.
//!
//! A trade is in the journal before it is counted: what is written in one transaction are rows of the journal, then minutes that count
//! them, absolute and together with the id up to which they count. So a transaction is in the file whole or not at all, and the next
//! start counts what stands in the journal behind that id.

mod read;
mod schema;
mod write;

use std::{
    collections::BTreeSet,
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
};

use softstop::{Result, Scope};
use tokio::sync::{mpsc, oneshot};

pub use self::read::{Reader, State, Summary};
use self::{schema::cannot_open, write::Writing};
use crate::{
    Progress, Saved, Skipped, TRADES, Tell,
    minutes::Minute,
    track::{Flush, Track},
    trade::Trade,
};

/// What is to be written; symbols are counted in the order in which they were given to [`Writer::start`].
#[derive(Debug, Default)]
pub(crate) struct Order {
    /// New in the journal.
    pub(crate) rows: Vec<(usize, Trade)>,
    /// Aggregates that came and were known already, or cannot be counted.
    pub(crate) known: u64,
    pub(crate) flushes: Vec<(usize, Flush)>,
}

impl Order {
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.known == 0 && self.flushes.is_empty()
    }
}

/// What the writer is asked for. It answers after its job has ended: a blocking job that wakes somebody does so at any moment.
pub(crate) enum Message {
    /// Answered when it is on disk.
    Write(Order, Answer<()>),
    /// A minute as it stands in the file.
    Minute(usize, i64, Answer<Option<Minute>>),
}

type Answer<T> = oneshot::Sender<rusqlite::Result<T>>;

/// The way to the task that writes.
#[derive(Clone)]
pub(crate) struct Writer(pub(crate) mpsc::Sender<Message>);

const ENDED: &str = "the writer of the database has ended";

impl Writer {
    /// Opens the file and starts the task; also says where each symbol stands.
    pub(crate) async fn start(
        scope: &Scope,
        path: PathBuf,
        symbols: Vec<String>,
        tell: Tell,
        skipped: Arc<Skipped>,
    ) -> Result<(Self, Vec<Track>)> {
        // The error of the file is that of the start, not of a task.
        let open = async { scope.spawn_blocking("open", move |_| Ok(Database::open(&path, &symbols))).await? };
        let told = Arc::clone(&tell);
        let close = async move |database: Database| {
            // In place: a scope that closes takes no more jobs, and nothing of the service is left that this could hold up.
            let mut saved = database.close()?;
            saved.malformed = skipped.malformed.load(Ordering::Relaxed);
            saved.ignored = skipped.ignored.load(Ordering::Relaxed);
            told(Progress::Saved(saved));
            Ok(())
        };
        let mut database = scope.open("database", open, close).await?;
        let tracks = std::mem::take(&mut database.tracks);
        // One writer that waits for each answer: a second place would stay empty.
        let (orders, mut received) = mpsc::channel::<Message>(1);
        scope.spawn_with("write", async move |scope| {
            while let Some(message) = scope.until_draining(received.recv()).await.flatten() {
                match message {
                    Message::Write(order, answer) => {
                        let (account, tell) = (scope.clone(), Arc::clone(&tell));
                        let write = move |_| Ok((database.write(order, &account, &tell), database));
                        let written;
                        (written, database) = scope.spawn_blocking("transaction", write).await?;
                        let _ = answer.send(written);
                    }
                    Message::Minute(symbol, begin_ms, answer) => {
                        let read = move |_| Ok((database.writing.minute(symbol, begin_ms), database));
                        let minute;
                        (minute, database) = scope.spawn_blocking("read", read).await?;
                        let _ = answer.send(minute);
                    }
                }
            }
            Ok(())
        });
        Ok((Self(orders), tracks))
    }

    /// Completes when the order is on disk.
    pub(crate) async fn write(&self, order: Order) -> Result {
        if order.is_empty() {
            return Ok(());
        }
        let (answer, answered) = oneshot::channel();
        self.0.send(Message::Write(order, answer)).await.map_err(|_| ENDED)?;
        Ok(answered.await.map_err(|_| ENDED)??)
    }

    /// A minute as it stands in the file after all that was ordered.
    pub(crate) async fn minute(&self, symbol: usize, begin_ms: i64) -> Result<Option<Minute>> {
        let (answer, answered) = oneshot::channel();
        self.0.send(Message::Minute(symbol, begin_ms, answer)).await.map_err(|_| ENDED)?;
        Ok(answered.await.map_err(|_| ENDED)??)
    }
}

/// The open file, the lock that keeps a second collector away, and what was written so far.
struct Database {
    writing: Writing,
    lock: File,
    tracks: Vec<Track>,
    saved: Saved,
    minutes: BTreeSet<(usize, i64)>,
    /// Symbols of which the journal may have rows that nobody needs.
    drop: BTreeSet<usize>,
}

impl Database {
    /// Opens or makes the file.
    fn open(path: &Path, symbols: &[String]) -> Result<Self> {
        let lock_path = PathBuf::from(format!("{}.lock", path.display()));
        let lock =
            File::options().create(true).append(true).open(lock_path).map_err(|error| cannot_open(path, &error))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => {
                format!("another `market collect` writes to {}; stop it or name another file", path.display())
            }
            TryLockError::Error(error) => cannot_open(path, &error),
        })?;
        let (writing, tracks) = Writing::open(path, symbols)?;
        Ok(Self { writing, lock, tracks, saved: Saved::default(), minutes: BTreeSet::new(), drop: BTreeSet::new() })
    }

    /// One transaction. What could not be written stays owed.
    fn write(&mut self, order: Order, account: &Scope, tell: &Tell) -> rusqlite::Result<()> {
        let Order { rows, known, flushes } = order;
        let transaction = self.writing.file.unchecked_transaction()?;
        self.writing.append(&rows)?;
        let mut summaries = Vec::new();
        for (symbol, flush) in &flushes {
            self.writing.flush(*symbol, flush)?;
            self.minutes.extend(flush.minutes.iter().map(|minute| (*symbol, minute.begin_ms)));
            for begin_ms in &flush.over {
                summaries.push(self.writing.summary(*symbol, *begin_ms)?);
                self.drop.insert(*symbol);
            }
        }
        if let Some(symbol) = self.drop.pop_first()
            && self.writing.drop_counted(symbol)?
        {
            self.drop.insert(symbol);
        }
        transaction.commit()?;

        let rows = rows.len() as u64;
        account.settle(TRADES, rows + known);
        self.saved.trades += rows;
        self.saved.known += known;
        self.saved.minutes = self.minutes.len() as u64;
        summaries.into_iter().for_each(|minute| tell(Progress::Minute(minute)));
        Ok(())
    }

    fn close(self) -> Result<Saved> {
        self.writing.close()?;
        // By name and not by dropping: a process that is just being forked may hold a copy of the file handle.
        self.lock.unlock()?;
        Ok(self.saved)
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
