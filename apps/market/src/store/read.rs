//! The file, for those who look.

mod pages;
mod status;

use std::path::Path;

use rusqlite::{Connection, OpenFlags, Row, types::FromSqlError};
use softstop::Result;

pub use self::{
    pages::{Footprint, Missing, StoredDepth},
    status::{Collected, FileStatus},
};
use super::schema::connect;
use crate::{minutes::Level, wire::Scale};

pub(super) const SUMMARIES: &str = "
SELECT symbol, begin_ms, strftime('%Y-%m-%d %H:%M', begin_ms / 1000, 'unixepoch'), first_id, last_id, expected, refilled, state,
    price_places, quantity_places, sum(buy), sum(sell), sum(trades), count(*)
FROM minutes JOIN levels USING (symbol, begin_ms)";

/// How much of a minute is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// It is not over, its beginning is not known, or trades are missing that may still come.
    Partial,
    /// Every trade of it, as it came.
    Complete,
    /// Every trade of it; some had to be fetched later.
    Backfilled,
    /// Every trade that the exchange has; it does not have them all.
    Hole,
}

impl State {
    /// As it stands in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Partial => "partial",
            Self::Complete => "complete",
            Self::Backfilled => "backfilled",
            Self::Hole => "hole",
        }
    }

    fn of(name: &str) -> Option<Self> {
        [Self::Partial, Self::Complete, Self::Backfilled, Self::Hole].into_iter().find(|state| state.name() == name)
    }
}

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
    /// Single trades that there should be: those that are stored, and those that are missing between its first and its last one.
    pub expected: i64,
    /// Of the stored ones, those that were fetched later.
    pub refilled: i64,
    /// How much of it is there.
    pub state: State,
    /// The units of its prices and volumes.
    pub scale: Scale,
    /// Over all prices; `trades` is how many are stored.
    pub total: Level,
    /// Different prices.
    pub levels: i64,
}

impl Summary {
    /// Single trades between the first and the last that are not stored.
    pub fn missing(&self) -> i64 {
        self.expected - self.total.trades
    }

    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let state: String = row.get(7)?;
        Ok(Self {
            symbol: row.get(0)?,
            begin_ms: row.get(1)?,
            begin: row.get(2)?,
            ids: (row.get(3)?, row.get(4)?),
            expected: row.get(5)?,
            refilled: row.get(6)?,
            state: State::of(&state).ok_or(FromSqlError::InvalidType)?,
            scale: Scale { price: row.get(8)?, quantity: row.get(9)? },
            total: Level { buy: row.get(10)?, sell: row.get(11)?, trades: row.get(12)? },
            levels: row.get(13)?,
        })
    }
}

/// The file, for reading.
pub struct Reader(Connection);

impl Reader {
    /// Opens a file that is there, while a collector writes to it or not. One of an earlier version is taken over.
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

    /// The levels of one minute, from the highest price to the lowest, in the units of its [`Summary::scale`].
    ///
    /// # Errors
    /// What SQLite says.
    pub fn levels(&self, symbol: &str, begin_ms: i64) -> rusqlite::Result<Vec<(i64, Level)>> {
        levels(&self.0, symbol, begin_ms, "DESC")
    }

    /// The last `last` order books of a symbol that were stored, oldest first.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn depth(&self, symbol: &str, last: u32) -> rusqlite::Result<Vec<StoredDepth>> {
        pages::last_depth(&self.0, symbol, last)
    }
}

pub(super) fn levels(
    file: &Connection,
    symbol: &str,
    begin_ms: i64,
    order: &str,
) -> rusqlite::Result<Vec<(i64, Level)>> {
    let mut query = file.prepare_cached(&format!(
        "SELECT price, buy, sell, trades FROM levels WHERE symbol = ?1 AND begin_ms = ?2 ORDER BY price {order}"
    ))?;
    let level = |row: &Row<'_>| Ok((row.get(0)?, Level { buy: row.get(1)?, sell: row.get(2)?, trades: row.get(3)? }));
    query.query_map((symbol, begin_ms), level)?.collect()
}
