//! Keeps the journal, minutes and levels in one SQLite file. One task writes.
//!
//! A trade is in the journal before it is counted: what is written in one transaction are rows of the journal, then minutes that count
//! them, absolute and together with the id up to which they count. So a transaction is in the file whole or not at all, and the next
//! start counts what stands in the journal behind that id.
//!
//! What cannot be written because the disk is full, does not answer, or somebody else holds the file, is kept and tried again. Meanwhile
//! nothing is taken: the channels fill, and the exchange is not read. What it sends in vain is fetched later, by id.

mod changes;
mod database;
mod depth;
mod read;
mod schema;
mod shed;
mod trouble;
mod write;

use std::{
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use softstop::{Held, Result, Scope};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{self, Instant},
};

pub(crate) use self::changes::{Changed, Changes, Since, Snapshot};
pub(crate) use self::depth::DepthRow;
pub use self::read::{Collected, FileStatus, Footprint, Missing, Reader, State, StoredDepth, Summary};
use self::{database::Database, trouble::Trouble};
use crate::{
    Progress, Tell,
    backoff::{Backoff, Pauses},
    minutes::Minute,
    skipped::Skipped,
    track::{Flush, Track},
    trade::Trade,
};

/// What is to be written; symbols are counted in the order in which they were given to [`Store::start`].
#[derive(Debug, Default)]
pub(crate) struct Order {
    /// New in the journal.
    pub(crate) rows: Vec<(usize, Trade)>,
    /// Aggregates that came and were known already, or cannot be counted.
    pub(crate) known: u64,
    pub(crate) flushes: Vec<(usize, Flush)>,
    /// What begins before is not kept any more.
    pub(crate) floor: Option<i64>,
}

impl Order {
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.known == 0 && self.flushes.is_empty() && self.floor.is_none()
    }
}

/// What the writer is asked for. It answers after its job has ended: a blocking job that wakes somebody does so at any moment.
pub(crate) enum Message {
    /// Answered when it is on disk.
    Write(Order, Answer<()>),
    /// A minute as it stands in the file.
    Minute(usize, i64, Answer<Option<Minute>>),
    /// The first single trade of a symbol in a minute that begins then or later.
    FirstKept(usize, i64, Answer<Option<i64>>),
    /// An order book; answered when it is on disk.
    Depth(DepthRow, Answer<()>),
}

type Answer<T> = oneshot::Sender<Result<T>>;

/// Sent to when something has changed in the file that others read: minutes, or snapshots of the book.
pub(crate) type Changing = watch::Sender<()>;

/// The way to the task that writes.
#[derive(Clone)]
pub(crate) struct Writer(pub(crate) mpsc::Sender<Message>);

const ENDED: &str = "the writer of the database has ended";
/// A little of what is too old goes no more often than this, and is then left alone for so many times as long as it took.
const SHED_EVERY: Duration = Duration::from_millis(20);
const SHED_PAUSE: u32 = 4;

/// What the component of the file is made of.
pub(crate) struct Store {
    pub(crate) path: PathBuf,
    pub(crate) symbols: Vec<String>,
    /// See [`Config::most_bytes`](crate::Config::most_bytes).
    pub(crate) most_bytes: Option<u64>,
    /// Before something is written again that could not be.
    pub(crate) rewrite: Pauses,
    pub(crate) tell: Tell,
    pub(crate) skipped: Arc<Skipped>,
    /// Becomes true when the service begins to stop: then what cannot be written is not tried for ever.
    pub(crate) leaving: watch::Receiver<bool>,
    pub(crate) changing: Changing,
}

impl Store {
    /// Opens the file and starts the task; also says where each symbol stands.
    pub(crate) async fn start(self, scope: &Scope) -> Result<(Writer, Vec<Track>)> {
        let Self { path, symbols, most_bytes, rewrite, tell, skipped, leaving, changing } = self;
        // The error of the file is that of the start, not of a task.
        let open =
            async { scope.spawn_blocking("open", move |_| Ok(Database::open(&path, &symbols, most_bytes))).await? };
        let told = Arc::clone(&tell);
        let close = async move |database: Database| {
            // In place: a scope that closes takes no more jobs, and nothing of the service is left that this could hold up.
            let mut saved = database.close()?;
            saved.malformed = skipped.malformed.load(Ordering::Relaxed);
            saved.ignored = skipped.ignored.load(Ordering::Relaxed);
            saved.dropped = skipped.dropped.load(Ordering::Relaxed);
            told(Progress::Saved(saved));
            Ok(())
        };
        let mut database = scope.open("database", open, close).await?;
        let tracks = std::mem::take(&mut database.tracks);
        // Those who write wait for each answer: a second place would stay empty, or make a trade wait for two books.
        let (orders, mut received) = mpsc::channel::<Message>(1);
        scope.spawn_with("write", async move |scope| {
            let mut task = Task { scope, tell, rewrite, leaving };
            let mut next_shed = Instant::now();
            loop {
                let next = if database.is_aged() {
                    tokio::select! { biased;
                        message = task.scope.until_draining(received.recv()) => message.flatten(),
                        // Between two transactions, however close they follow each other.
                        () = time::sleep_until(next_shed) => {
                            let began = Instant::now();
                            database = task.shed(database).await?;
                            next_shed = Instant::now() + (began.elapsed() * SHED_PAUSE).max(SHED_EVERY);
                            continue;
                        }
                    }
                } else {
                    task.scope.until_draining(received.recv()).await.flatten()
                };
                let Some(message) = next else { return Ok(()) };
                match message {
                    Message::Write(order, answer) => {
                        let (account, tell) = (task.scope.clone(), Arc::clone(&task.tell));
                        let has_changes = !order.flushes.is_empty();
                        let write = move |database: &mut Database| database.write(&order, &account, &tell);
                        let written;
                        (written, database) = task.persist("transaction", database, write).await?;
                        if has_changes && written.is_ok() {
                            changing.send_replace(());
                        }
                        let _ = answer.send(written);
                    }
                    Message::Minute(symbol, begin_ms, answer) => {
                        let read = move |database: &mut Database| database.minute(symbol, begin_ms);
                        let minute;
                        (minute, database) = task.persist("read", database, read).await?;
                        let _ = answer.send(minute);
                    }
                    Message::FirstKept(symbol, floor, answer) => {
                        let read = move |database: &mut Database| database.first_kept(symbol, floor);
                        let first;
                        (first, database) = task.persist("read", database, read).await?;
                        let _ = answer.send(first);
                    }
                    Message::Depth(row, answer) => {
                        let put = move |database: &mut Database| database.put_depth(&row);
                        let written;
                        (written, database) = task.persist("depth", database, put).await?;
                        if written.is_ok() {
                            changing.send_replace(());
                        }
                        let _ = answer.send(written);
                    }
                }
            }
        });
        Ok((Writer(orders), tracks))
    }
}

/// What the task that writes needs beside the file.
struct Task {
    scope: Scope,
    tell: Tell,
    rewrite: Pauses,
    leaving: watch::Receiver<bool>,
}

impl Task {
    /// Drops a little of what is too old. Where that does not work now, it will later.
    async fn shed(&self, mut database: Held<Database>) -> Result<Held<Database>> {
        let shed;
        (shed, database) = self.scope.spawn_blocking("retention", move |_| Ok((database.shed(), database))).await?;
        match shed {
            Ok(shed) => {
                for (symbol, trades) in shed.given_up {
                    (self.tell)(Progress::GivenUp(symbol, trades));
                }
            }
            Err(Trouble::Passing(_)) => {}
            Err(trouble) => return Err(trouble.of(&database.name())),
        }
        Ok(database)
    }

    /// Does a job on the file: again and again where what is in the way may go away, and once more when the service begins to stop.
    async fn persist<T: Send + 'static>(
        &mut self,
        name: &'static str,
        mut database: Held<Database>,
        mut job: impl FnMut(&mut Database) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<(Result<T>, Held<Database>)> {
        let mut backoff = Backoff::new(self.rewrite);
        let mut told = false;
        loop {
            // Looked at before the try, so that there is one after the stop has begun. Who could say so no more has gone.
            let leaves = *self.leaving.borrow_and_update() || self.leaving.has_changed().is_err();
            let act = move |_| Ok((database.attempt(&mut job), database, job));
            let done;
            (done, database, job) = self.scope.spawn_blocking(name, act).await?;
            let error = match done {
                Ok(value) => {
                    if told {
                        (self.tell)(Progress::Written(database.name()));
                    }
                    return Ok((Ok(value), database));
                }
                Err(Trouble::Passing(error)) if !leaves => error,
                Err(trouble) => return Ok((Err(trouble.of(&database.name())), database)),
            };
            if !std::mem::replace(&mut told, true) {
                (self.tell)(Progress::Unwritten(database.name(), error.to_string()));
            }
            tokio::select! { biased;
                _ = self.leaving.changed() => {}
                () = time::sleep(backoff.next()) => {}
            }
        }
    }
}

impl Writer {
    /// Completes when the order is on disk.
    pub(crate) async fn write(&self, order: Order) -> Result {
        if order.is_empty() {
            return Ok(());
        }
        let (answer, answered) = oneshot::channel();
        self.0.send(Message::Write(order, answer)).await.map_err(|_| ENDED)?;
        answered.await.map_err(|_| ENDED)?
    }

    /// A minute as it stands in the file after all that was ordered.
    pub(crate) async fn minute(&self, symbol: usize, begin_ms: i64) -> Result<Option<Minute>> {
        let (answer, answered) = oneshot::channel();
        self.0.send(Message::Minute(symbol, begin_ms, answer)).await.map_err(|_| ENDED)?;
        answered.await.map_err(|_| ENDED)?
    }

    /// The first single trade of a symbol in a minute that begins then or later.
    pub(crate) async fn first_kept(&self, symbol: usize, floor_ms: i64) -> Result<Option<i64>> {
        let (answer, answered) = oneshot::channel();
        self.0.send(Message::FirstKept(symbol, floor_ms, answer)).await.map_err(|_| ENDED)?;
        answered.await.map_err(|_| ENDED)?
    }

    /// Completes when the order book is on disk.
    pub(crate) async fn depth(&self, row: DepthRow) -> Result {
        let (answer, answered) = oneshot::channel();
        self.0.send(Message::Depth(row, answer)).await.map_err(|_| ENDED)?;
        answered.await.map_err(|_| ENDED)?
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
