//! What a file holds, in a few numbers.

use std::{
    fs::{self, File, TryLockError},
    path::Path,
};

use rusqlite::Row;
use softstop::Result;

use super::{
    super::database::{beside, lock_of},
    Reader,
};

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileStatus {
    /// Its size and that of its log, in bytes.
    pub bytes: u64,
    /// Of these, what is free inside and used again first.
    pub free_bytes: u64,
    /// Whether a `market collect` writes to it at this moment.
    pub running: bool,
    /// By name.
    pub symbols: Vec<Collected>,
}

/// What a file holds of one symbol.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collected {
    /// Upper case.
    pub symbol: String,
    /// The beginnings of the first and the last minute, in milliseconds since 1970; `None` without minutes, and 0 of everything else.
    pub span_ms: Option<(i64, i64)>,
    /// Minutes that are complete, backfilled, holes, partial.
    pub complete: i64,
    /// See [`State::Backfilled`](super::State::Backfilled).
    pub backfilled: i64,
    /// See [`State::Hole`](super::State::Hole).
    pub holes: i64,
    /// See [`State::Partial`](super::State::Partial).
    pub partial: i64,
    /// Single trades in the minutes.
    pub trades: i64,
    /// The time of the last trade, in milliseconds since 1970.
    pub last_trade_ms: Option<i64>,
    /// Gaps that are still to be filled, and the single trades that are missing in them.
    pub to_fetch: (i64, i64),
    /// Gaps that the exchange has nothing for, and the single trades that are missing in them.
    pub not_to_be_had: (i64, i64),
    /// Aggregated trades in the journal.
    pub journal: i64,
    /// Order books.
    pub books: i64,
}

impl Collected {
    /// How many minutes.
    pub fn minutes(&self) -> i64 {
        self.complete + self.backfilled + self.holes + self.partial
    }
}

const SYMBOL: &str = "
SELECT name, m.first, m.last, m.complete, m.backfilled, m.holes, m.partial, m.trades,
    (SELECT max(time_ms) FROM trades t WHERE t.symbol = s.symbol),
    (SELECT count(*) FROM trades t WHERE t.symbol = s.symbol),
    (SELECT count(*) FROM depth d WHERE d.symbol = name),
    g.open, g.open_trades, g.holes, g.hole_trades
FROM symbols s,
    (SELECT min(begin_ms) AS first, max(begin_ms) AS last, coalesce(sum(stored), 0) AS trades,
        count(*) FILTER (WHERE state = 'complete') AS complete, count(*) FILTER (WHERE state = 'backfilled') AS backfilled,
        count(*) FILTER (WHERE state = 'hole') AS holes, count(*) FILTER (WHERE state = 'partial') AS partial
        FROM minutes WHERE symbol = ?1) m,
    (SELECT count(*) FILTER (WHERE NOT hole) AS open, count(*) FILTER (WHERE hole) AS holes,
        coalesce(sum(last_id - first_id + 1) FILTER (WHERE NOT hole), 0) AS open_trades,
        coalesce(sum(last_id - first_id + 1) FILTER (WHERE hole), 0) AS hole_trades
        FROM gaps WHERE symbol = (SELECT symbol FROM symbols WHERE name = ?1)) g
WHERE name = ?1";

impl Reader {
    /// What the file of this name holds, and whether somebody writes to it.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn status(&self, path: &Path) -> Result<FileStatus> {
        let size = |path: &Path| fs::metadata(path).map_or(0, |found| found.len());
        let log = beside(path, "-wal");
        let pragma = |name: &str| self.0.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
        let free = pragma("freelist_count")? * pragma("page_size")?;
        let mut query = self.0.prepare(SYMBOL)?;
        let symbols = self.symbols()?.into_iter().map(|name| query.query_row([name], collected));
        Ok(FileStatus {
            bytes: size(path) + size(log.as_ref()),
            free_bytes: u64::try_from(free).unwrap_or(0),
            running: is_locked(path)?,
            symbols: symbols.collect::<rusqlite::Result<_>>()?,
        })
    }
}

fn collected(row: &Row<'_>) -> rusqlite::Result<Collected> {
    Ok(Collected {
        symbol: row.get(0)?,
        span_ms: row.get::<_, Option<i64>>(1)?.zip(row.get(2)?),
        complete: row.get(3)?,
        backfilled: row.get(4)?,
        holes: row.get(5)?,
        partial: row.get(6)?,
        trades: row.get(7)?,
        last_trade_ms: row.get(8)?,
        journal: row.get(9)?,
        books: row.get(10)?,
        to_fetch: (row.get(11)?, row.get(12)?),
        not_to_be_had: (row.get(13)?, row.get(14)?),
    })
}

/// Whether a collector holds the file: held together with others for a moment, which a collector that starts waits for.
fn is_locked(path: &Path) -> Result<bool> {
    let Ok(lock) = File::open(lock_of(path)) else { return Ok(false) };
    match lock.try_lock_shared() {
        Ok(()) => {
            lock.unlock()?;
            Ok(false)
        }
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}
