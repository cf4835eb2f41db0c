//! Keeps minutes and levels in one SQLite file. One task writes.
//!
//! Writing is additive, and what is added stands in one transaction with the ids that tell it is known: a batch is in the file whole or
//! not at all, and never twice.

use std::{
    collections::{BTreeSet, HashMap},
    error::Error,
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, Row};
use softstop::{Result, Scope};
use tokio::sync::{mpsc, oneshot};

use crate::{
    Progress, Saved, Skipped, TRADES, Tell,
    minutes::{Batch, Key, Known, Level},
};

/// The layout below. A file with another one is refused.
const SCHEMA_VERSION: i64 = 1;
/// STRICT, so that a sum too large for an integer is an error and not a floating-point number.
const SCHEMA: &str = "
CREATE TABLE minutes (
    symbol TEXT NOT NULL, begin_ms INTEGER NOT NULL, first_id INTEGER NOT NULL, last_id INTEGER NOT NULL,
    begun INTEGER NOT NULL, ended INTEGER NOT NULL, PRIMARY KEY (symbol, begin_ms)) STRICT, WITHOUT ROWID;
CREATE TABLE levels (
    symbol TEXT NOT NULL, begin_ms INTEGER NOT NULL, price INTEGER NOT NULL,
    buy INTEGER NOT NULL, sell INTEGER NOT NULL, trades INTEGER NOT NULL,
    PRIMARY KEY (symbol, begin_ms, price)) STRICT, WITHOUT ROWID;
PRAGMA user_version = 1;";

const ADD_MINUTE: &str = "
INSERT INTO minutes VALUES (?1, ?2, ?3, ?4, ?5, 0)
ON CONFLICT DO UPDATE SET first_id = min(first_id, excluded.first_id), last_id = max(last_id, excluded.last_id)";

const ADD_LEVEL: &str = "
INSERT INTO levels VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT DO UPDATE SET buy = buy + excluded.buy, sell = sell + excluded.sell, trades = trades + excluded.trades";

const SUMMARIES: &str = "
SELECT symbol, begin_ms, strftime('%Y-%m-%d %H:%M', begin_ms / 1000, 'unixepoch'), first_id, last_id, begun AND ended,
    sum(buy), sum(sell), sum(trades), count(*)
FROM minutes JOIN levels USING (symbol, begin_ms)";

/// One minute of one symbol as it stands in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Upper case.
    pub symbol: String,
    /// Its beginning, in milliseconds since 1970.
    pub begin_ms: i64,
    /// The same as people write it, such as `2021-10-12 00:28`; UTC.
    pub begin: String,
    /// The lowest and the highest id of a single trade.
    pub ids: (i64, i64),
    /// Whether every trade of the minute is known to be in it: ids without a gap from the minute before to the one after.
    pub complete: bool,
    /// Over all prices.
    pub total: Level,
    /// Different prices.
    pub levels: i64,
}

impl Summary {
    /// Ids between the first and the last that were not received.
    pub fn missing(&self) -> i64 {
        self.ids.1 - self.ids.0 + 1 - self.total.trades
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let mut summary = Self {
            symbol: row.get(0)?,
            begin_ms: row.get(1)?,
            begin: row.get(2)?,
            ids: (row.get(3)?, row.get(4)?),
            complete: row.get(5)?,
            total: Level { buy: row.get(6)?, sell: row.get(7)?, trades: row.get(8)? },
            levels: row.get(9)?,
        };
        summary.complete &= summary.missing() == 0;
        Ok(summary)
    }
}

/// The file, for reading.
pub struct Reader(Connection);

impl Reader {
    /// Opens a file that is there, while a collector writes to it or not.
    ///
    /// # Errors
    /// There is none, or it is not one of ours.
    pub fn open(path: &Path) -> Result<Self> {
        // Writable although nothing is written: a read-only connection cannot remove the `-wal` and `-shm` files it needs.
        Ok(Self(connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?))
    }

    /// The last `last` minutes of one symbol or of all, oldest first, then by symbol.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn minutes(&self, symbol: Option<&str>, last: u32) -> rusqlite::Result<Vec<Summary>> {
        let newest = "GROUP BY symbol, begin_ms ORDER BY begin_ms DESC, symbol DESC LIMIT ?2";
        let mut query = self.0.prepare(&format!("{SUMMARIES} WHERE ?1 IS NULL OR symbol = ?1 {newest}"))?;
        let mut minutes: Vec<Summary> = query.query_map((symbol, last), Summary::read)?.collect::<Result<_, _>>()?;
        minutes.reverse();
        Ok(minutes)
    }

    /// The levels of one minute, from the highest price to the lowest.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn levels(&self, symbol: &str, begin_ms: i64) -> rusqlite::Result<Vec<(i64, Level)>> {
        let mut query = self.0.prepare(
            "SELECT price, buy, sell, trades FROM levels WHERE symbol = ?1 AND begin_ms = ?2 ORDER BY price DESC",
        )?;
        let level =
            |row: &Row<'_>| Ok((row.get(0)?, Level { buy: row.get(1)?, sell: row.get(2)?, trades: row.get(3)? }));
        query.query_map((symbol, begin_ms), level)?.collect()
    }
}

pub(crate) type Order = (Batch, oneshot::Sender<rusqlite::Result<()>>);

/// The way to the task that writes.
#[derive(Clone)]
pub(crate) struct Writer(pub(crate) mpsc::Sender<Order>);

impl Writer {
    /// Opens the file and starts the task; also says where each symbol stands.
    pub(crate) async fn start(
        scope: &Scope,
        path: PathBuf,
        tell: Tell,
        skipped: Arc<Skipped>,
    ) -> Result<(Self, HashMap<String, Known>)> {
        // The error of the file is that of the start, not of a task.
        let open = async { scope.spawn_blocking("open", move |_| Ok(Database::open(&path))).await? };
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
        let known = std::mem::take(&mut database.known);
        // One writer that waits for each answer: a second place would stay empty.
        let (orders, mut received) = mpsc::channel::<Order>(1);
        scope.spawn_with("write", async move |scope| {
            while let Some((batch, answer)) = scope.until_draining(received.recv()).await.flatten() {
                let (account, tell) = (scope.clone(), Arc::clone(&tell));
                let write = move |_| Ok((database.write(batch, &account, &tell), database));
                let written;
                (written, database) = scope.spawn_blocking("transaction", write).await?;
                let _ = answer.send(written);
            }
            Ok(())
        });
        Ok((Self(orders), known))
    }

    /// Completes when the batch is on disk; its trades are settled then.
    pub(crate) async fn write(&self, batch: Batch) -> Result {
        if batch.received() == 0 {
            return Ok(());
        }
        let (answer, answered) = oneshot::channel();
        self.0.send((batch, answer)).await.map_err(|_| "the writer of the database has ended")?;
        Ok(answered.await??)
    }
}

/// The open file, the lock that keeps a second collector away, and what was written so far.
struct Database {
    file: Connection,
    lock: File,
    known: HashMap<String, Known>,
    saved: Saved,
    minutes: BTreeSet<Key>,
}

impl Database {
    /// Opens or makes the file.
    fn open(path: &Path) -> Result<Self> {
        let lock_path = PathBuf::from(format!("{}.lock", path.display()));
        let lock =
            File::options().create(true).append(true).open(lock_path).map_err(|error| cannot_open(path, &error))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => {
                format!("another `market collect` writes to {}; stop it or name another file", path.display())
            }
            TryLockError::Error(error) => cannot_open(path, &error),
        })?;
        let file = connect(path, OpenFlags::default())?;
        let known = known(&file).map_err(|error| cannot_open(path, &error))?;
        Ok(Self { file, lock, known, saved: Saved::default(), minutes: BTreeSet::new() })
    }

    /// What could not be written stays owed.
    fn write(&mut self, batch: Batch, account: &Scope, tell: &Tell) -> rusqlite::Result<()> {
        let over = add(&self.file, &batch)?;
        account.settle(TRADES, batch.received());
        self.saved.trades += batch.trades;
        self.saved.known += batch.known;
        self.minutes.extend(batch.minutes.into_keys());
        self.saved.minutes = self.minutes.len() as u64;
        over.into_iter().for_each(|minute| tell(Progress::Minute(minute)));
        Ok(())
    }

    fn close(self) -> Result<Saved> {
        self.file.close().map_err(|(_, error)| error)?;
        // By name and not by dropping: a process that is just being forked may hold a copy of the file handle.
        self.lock.unlock()?;
        Ok(self.saved)
    }
}

/// What a reader finds where a `market collect` was killed in its first moment, or is in it.
const EMPTY: i64 = -1;

/// Makes the tables where there are none and `flags` allow to make the file.
fn connect(path: &Path, flags: OpenFlags) -> Result<Connection> {
    let connect = || {
        let file = Connection::open_with_flags(path, flags)?;
        file.busy_timeout(Duration::from_secs(5))?;
        let tables: i64 = file.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        let writes = flags.contains(OpenFlags::SQLITE_OPEN_CREATE);
        if tables == 0 && writes {
            // Before anything else, so that there is never a file with something in it but the tables.
            file.execute_batch(&format!("BEGIN; {SCHEMA} COMMIT;"))?;
        }
        let version: i64 = file.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if version == SCHEMA_VERSION && writes {
            file.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
        }
        Ok((file, if tables == 0 && !writes { EMPTY } else { version }))
    };
    let found = match connect().map_err(|error: rusqlite::Error| cannot_open(path, &error))? {
        (file, SCHEMA_VERSION) => return Ok(file),
        (_, EMPTY) => return Err(format!("{} is empty: nothing was saved in it yet", path.display()).into()),
        (_, 0) => "is not a database of `market`".to_owned(),
        (_, version) => format!("has schema version {version}, this program knows {SCHEMA_VERSION}"),
    };
    Err(format!("{} {found}; name another file", path.display()).into())
}

fn cannot_open(path: &Path, error: &dyn Error) -> String {
    format!("cannot open the database {}: {error}", path.display())
}

fn known(file: &Connection) -> rusqlite::Result<HashMap<String, Known>> {
    let mut query = file.prepare("SELECT symbol, max(last_id), max(begin_ms) FROM minutes GROUP BY symbol")?;
    let known = |row: &Row<'_>| Ok((row.get(0)?, Known { last: row.get(1)?, open_ms: row.get(2)? }));
    query.query_map([], known)?.collect()
}

/// Adds a batch in one transaction; returns the minutes that are over, as they stand now.
fn add(file: &Connection, batch: &Batch) -> rusqlite::Result<Vec<Summary>> {
    let transaction = file.unchecked_transaction()?;
    let (mut add_minute, mut add_level) = (file.prepare(ADD_MINUTE)?, file.prepare(ADD_LEVEL)?);
    for ((symbol, begin_ms), minute) in &batch.minutes {
        add_minute.execute((symbol, begin_ms, minute.ids.0, minute.ids.1, minute.begun))?;
        for (price, Level { buy, sell, trades }) in &minute.levels {
            add_level.execute((symbol, begin_ms, price, buy, sell, trades))?;
        }
    }
    let mut end_minute = file.prepare("UPDATE minutes SET ended = ?3 WHERE symbol = ?1 AND begin_ms = ?2")?;
    let mut summary = file.prepare(&format!("{SUMMARIES} WHERE symbol = ?1 AND begin_ms = ?2 GROUP BY symbol"))?;
    let mut over = Vec::with_capacity(batch.over.len());
    for ((symbol, begin_ms), whole) in &batch.over {
        end_minute.execute((symbol, begin_ms, whole))?;
        over.push(summary.query_row((symbol, begin_ms), Summary::read)?);
    }
    transaction.commit()?;
    Ok(over)
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
