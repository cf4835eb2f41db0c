//! The file, for who passes on what changes in it.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension};
use softstop::Result;

use super::{read::levels, schema::connect};
use crate::{minutes::Level, wire::Scale};

/// A minute as it stands in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Changed {
    pub(crate) begin_ms: i64,
    /// Its beginning in UTC as `2025-10-25T12:34:00`.
    pub(crate) at: String,
    pub(crate) revision: i64,
    pub(crate) scale: Scale,
    /// From the lowest price to the highest.
    pub(crate) levels: Vec<(i64, Level)>,
}

/// Which minutes of a symbol are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Since {
    /// Only what has changed after this.
    pub(crate) revision: i64,
    /// Only minutes that do not begin before.
    pub(crate) floor_ms: i64,
}

/// A snapshot of the book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) time_ms: i64,
    /// In UTC as `2025-10-25T12:34:56`.
    pub(crate) second: String,
    pub(crate) scale: Scale,
    /// JSON, as the table has them.
    pub(crate) bids: String,
    pub(crate) asks: String,
}

/// The file with its history of changes.
pub(crate) struct Changes(Connection);

const SOME: &str = "FROM minutes WHERE symbol = ?1 AND revision > ?2 AND begin_ms >= ?3
    AND begin_ms < (SELECT max(begin_ms) FROM minutes WHERE symbol = ?1)";

impl Changes {
    /// Opens a file that a collector has made.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        Ok(Self(file))
    }

    /// The name that tells this file from every other, and its last revision.
    pub(crate) fn file(&self) -> rusqlite::Result<(String, i64)> {
        self.0.query_row("SELECT id, revision FROM file", [], |row| Ok((row.get(0)?, row.get(1)?)))
    }

    /// When the last `last` minutes of a symbol begin, or 0 where there are fewer.
    pub(crate) fn floor(&self, symbol: &str, last: u32) -> rusqlite::Result<i64> {
        let query = "SELECT begin_ms FROM minutes WHERE symbol = ?1 ORDER BY begin_ms DESC LIMIT 1 OFFSET ?2";
        let floor = self.0.query_row(query, (symbol, last.saturating_sub(1)), |row| row.get(0)).optional()?;
        Ok(floor.unwrap_or(0))
    }

    /// Hands over minutes that are over, which is a change of them like others, in the order in which they have changed, until `take` says that it has enough; at most `most`.
    /// Whether there are more.
    pub(crate) fn over(
        &self,
        symbol: &str,
        since: Since,
        most: usize,
        mut take: impl FnMut(Changed) -> bool,
    ) -> rusqlite::Result<bool> {
        // What is read is of one moment.
        let _moment = self.0.unchecked_transaction()?;
        let query = format!(
            "SELECT begin_ms, revision, price_places, quantity_places, strftime('%Y-%m-%dT%H:%M:00', begin_ms / 1000, 'unixepoch')
             {SOME} ORDER BY revision LIMIT ?4"
        );
        let mut query = self.0.prepare_cached(&query)?;
        let limit = i64::try_from(most).unwrap_or(i64::MAX).saturating_add(1);
        let mut rows = query.query((symbol, since.revision, since.floor_ms, limit))?;
        for _ in 0..most {
            let Some(row) = rows.next()? else { return Ok(false) };
            if !take(self.changed(symbol, row)?) {
                break;
            }
        }
        Ok(rows.next()?.is_some())
    }

    /// The newest minute, which may not be over, if it has changed since this revision.
    pub(crate) fn open_minute(&self, symbol: &str, since: i64) -> rusqlite::Result<Option<Changed>> {
        let _moment = self.0.unchecked_transaction()?;
        let query = "SELECT begin_ms, revision, price_places, quantity_places,
                strftime('%Y-%m-%dT%H:%M:00', begin_ms / 1000, 'unixepoch')
            FROM minutes WHERE symbol = ?1 ORDER BY begin_ms DESC LIMIT 1";
        let mut query = self.0.prepare_cached(query)?;
        let mut rows = query.query([symbol])?;
        match rows.next()? {
            Some(row) if row.get::<_, i64>(1)? > since => self.changed(symbol, row).map(Some),
            _ => Ok(None),
        }
    }

    /// When the newest minute begins.
    pub(crate) fn newest(&self, symbol: &str) -> rusqlite::Result<Option<i64>> {
        self.0.query_row("SELECT max(begin_ms) FROM minutes WHERE symbol = ?1", [symbol], |row| row.get(0))
    }

    /// How many minutes that are over have changed.
    pub(crate) fn count(&self, symbol: &str, since: Since) -> rusqlite::Result<i64> {
        let query = format!("SELECT count(*) {SOME}");
        self.0.query_row(&query, (symbol, since.revision, since.floor_ms), |row| row.get(0))
    }

    /// The newest snapshot, if it is newer than this.
    pub(crate) fn snapshot(&self, symbol: &str, after_ms: i64) -> rusqlite::Result<Option<Snapshot>> {
        let mut query = self.0.prepare_cached(
            "SELECT time_ms, price_places, quantity_places, bids, asks, strftime('%Y-%m-%dT%H:%M:%S', time_ms / 1000, 'unixepoch')
             FROM depth WHERE symbol = ?1 AND time_ms > ?2 ORDER BY time_ms DESC LIMIT 1",
        )?;
        let snapshot = |row: &rusqlite::Row<'_>| {
            let scale = Scale { price: row.get(1)?, quantity: row.get(2)? };
            Ok(Snapshot { time_ms: row.get(0)?, second: row.get(5)?, scale, bids: row.get(3)?, asks: row.get(4)? })
        };
        query.query_row((symbol, after_ms), snapshot).optional()
    }

    fn changed(&self, symbol: &str, row: &rusqlite::Row<'_>) -> rusqlite::Result<Changed> {
        let begin_ms = row.get(0)?;
        let scale = Scale { price: row.get(2)?, quantity: row.get(3)? };
        let levels = levels(&self.0, symbol, begin_ms, "ASC")?;
        Ok(Changed { begin_ms, at: row.get(4)?, revision: row.get(1)?, scale, levels })
    }
}
