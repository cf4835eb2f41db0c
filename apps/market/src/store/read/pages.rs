//! The file in pages, for who reads all of it: each page is one moment of the file, and between two nothing is held open, so that a slow
//! reader keeps the one who writes from nothing.

use rusqlite::{Connection, Row};

use super::{Reader, SUMMARIES, Summary, levels};
use crate::{minutes::Level, wire::Scale};

const DEPTH: &str = "SELECT symbol, time_ms, last_id, price_places, quantity_places, bids, asks FROM depth";

/// Trades that are missing, as the file knows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Upper case.
    pub symbol: String,
    /// The first and the last single trade that is missing.
    pub ids: (i64, i64),
    /// The exchange does not have them either; otherwise they are still to be fetched.
    pub hole: bool,
    /// The beginning of the minute of the trade before, and of the one after, in milliseconds since 1970; `None` where that minute is not
    /// in the file any more.
    pub between_ms: (Option<i64>, Option<i64>),
}

impl Missing {
    /// How many single trades.
    pub fn trades(&self) -> i64 {
        self.ids.1 - self.ids.0 + 1
    }
}

/// A minute, and its levels from the highest price to the lowest.
pub type Footprint = (Summary, Vec<(i64, Level)>);

/// An order book at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDepth {
    /// Upper case.
    pub symbol: String,
    /// When, by the exchange's clock, in milliseconds since 1970.
    pub time_ms: i64,
    /// The id of the last change that is in it.
    pub last_id: i64,
    /// The units of prices and quantities.
    pub scale: Scale,
    /// Price and quantity, the highest price first.
    pub bids: Vec<(i64, i64)>,
    /// Price and quantity, the lowest price first.
    pub asks: Vec<(i64, i64)>,
}

impl Reader {
    /// The symbols that were ever collected into the file, by name.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn symbols(&self) -> rusqlite::Result<Vec<String>> {
        self.0.prepare("SELECT name FROM symbols ORDER BY name")?.query_map([], |row| row.get(0))?.collect()
    }

    /// The first and the last single trade that was ever taken of a symbol; `None` where there is none.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn ends(&self, symbol: &str) -> rusqlite::Result<Option<(i64, i64)>> {
        let mut query = self.0.prepare_cached("SELECT first_id, last_id FROM symbols WHERE name = ?1")?;
        let mut rows = query.query([symbol])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        Ok(row.get::<_, Option<i64>>(0)?.zip(row.get(1)?))
    }

    /// The first `most` minutes of a symbol that begin from `from_ms` on and before `to_ms`, in order.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn minutes_between(&self, symbol: &str, from_ms: i64, to_ms: i64, most: u32) -> rusqlite::Result<Vec<Summary>> {
        let mut query = self.0.prepare_cached(&format!(
            "{SUMMARIES} WHERE symbol = ?1 AND begin_ms >= ?2 AND begin_ms < ?3 GROUP BY begin_ms ORDER BY begin_ms LIMIT ?4"
        ))?;
        query.query_map((symbol, from_ms, to_ms, most), Summary::read)?.collect()
    }

    /// The same with their levels.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn levels_between(
        &self,
        symbol: &str,
        from_ms: i64,
        to_ms: i64,
        most: u32,
    ) -> rusqlite::Result<Vec<Footprint>> {
        // Read only: dropped, it is over.
        let _one_moment = self.0.unchecked_transaction()?;
        let minutes = self.minutes_between(symbol, from_ms, to_ms, most)?.into_iter();
        minutes
            .map(|minute| {
                let levels = levels(&self.0, symbol, minute.begin_ms, "DESC")?;
                Ok((minute, levels))
            })
            .collect()
    }

    /// The first `most` order books of a symbol from `from_ms` on and before `to_ms`, in order.
    ///
    /// # Errors
    /// What SQLite says, or what cannot be read as a book.
    pub fn depth_between(
        &self,
        symbol: &str,
        from_ms: i64,
        to_ms: i64,
        most: u32,
    ) -> rusqlite::Result<Vec<StoredDepth>> {
        let between = "WHERE symbol = ?1 AND time_ms >= ?2 AND time_ms < ?3 ORDER BY time_ms LIMIT ?4";
        let mut query = self.0.prepare_cached(&format!("{DEPTH} {between}"))?;
        query.query_map((symbol, from_ms, to_ms, most), depth)?.collect()
    }

    /// What is missing of one symbol or of all, by symbol and in order of ids.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn missing(&self, symbol: Option<&str>) -> rusqlite::Result<Vec<Missing>> {
        // The minute that a trade belongs to is the first that ends with it or a later one.
        let minute = |id: &str| {
            format!("(SELECT begin_ms FROM minutes WHERE symbol = name AND last_id >= {id} ORDER BY last_id LIMIT 1)")
        };
        let (before, after) = (minute("gaps.first_id - 1"), minute("gaps.last_id + 1"));
        let mut query = self.0.prepare_cached(&format!(
            "SELECT name, gaps.first_id, gaps.last_id, hole, {before}, {after} FROM gaps JOIN symbols USING (symbol)
             WHERE ?1 IS NULL OR name = ?1 ORDER BY name, gaps.first_id"
        ))?;
        let missing = |row: &Row<'_>| {
            Ok(Missing {
                symbol: row.get(0)?,
                ids: (row.get(1)?, row.get(2)?),
                hole: row.get(3)?,
                between_ms: (row.get(4)?, row.get(5)?),
            })
        };
        query.query_map([symbol], missing)?.collect()
    }
}

/// The last `last` order books of a symbol, oldest first.
pub(super) fn last_depth(file: &Connection, symbol: &str, last: u32) -> rusqlite::Result<Vec<StoredDepth>> {
    let mut query = file.prepare_cached(&format!("{DEPTH} WHERE symbol = ?1 ORDER BY time_ms DESC LIMIT ?2"))?;
    let mut books: Vec<_> = query.query_map((symbol, last), depth)?.collect::<Result<_, _>>()?;
    books.reverse();
    Ok(books)
}

fn depth(row: &Row<'_>) -> rusqlite::Result<StoredDepth> {
    let side = |column: usize| {
        let text: String = row.get(column)?;
        let wrong = |error: Box<dyn std::error::Error + Send + Sync>| {
            rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, error)
        };
        let pairs: serde_json::Value = serde_json::from_str(&text).map_err(|error| wrong(error.into()))?;
        let pair = |pair: &serde_json::Value| Some((pair.get(0)?.as_i64()?, pair.get(1)?.as_i64()?));
        let pairs = pairs.as_array().and_then(|pairs| pairs.iter().map(pair).collect::<Option<Vec<_>>>());
        pairs.ok_or_else(|| wrong("pairs of whole numbers are expected".into()))
    };
    Ok(StoredDepth {
        symbol: row.get(0)?,
        time_ms: row.get(1)?,
        last_id: row.get(2)?,
        scale: Scale { price: row.get(3)?, quantity: row.get(4)? },
        bids: side(5)?,
        asks: side(6)?,
    })
}
