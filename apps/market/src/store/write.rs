//! The file, for the one who writes: the journal, minutes, gaps. What of the journal is not counted yet is counted when it is opened.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension, Row};
use softstop::Result;

use super::{
    depth::{self, DepthRow},
    read::{SUMMARIES, Summary, levels},
    schema::{cannot_open, connect},
    shed::{self, Shed},
    trouble::passes,
};
use crate::{
    chain::{Chain, Ends, Gap, Ids},
    minutes::{Changes, Minute, TooLarge},
    track::{Flush, Track},
    trade::Trade,
    wire::Scale,
};

const APPEND: &str = "INSERT OR IGNORE INTO trades VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";

const PUT_MINUTE: &str = "
INSERT INTO minutes VALUES (?1, ?2, ?3, ?4, 0, 0, ?5, 'partial', ?6, ?7, 1, 0, 0)
ON CONFLICT DO UPDATE SET first_id = excluded.first_id, last_id = excluded.last_id, refilled = excluded.refilled,
    price_places = excluded.price_places, quantity_places = excluded.quantity_places";

/// Says of a minute how much of it is there: ?1 its symbol, ?2 its beginning, ?3 the symbol's number.
const SETTLE: &str = "
UPDATE minutes SET
    revision = (SELECT revision FROM file),
    stored = s.stored, expected = s.stored + misplaced + s.missing,
    state = CASE
        WHEN begin_ms >= s.newest_ms OR (minutes.first_id <= s.begin AND begun < 2) OR NOT begun OR misplaced > 0 OR s.open THEN 'partial'
        WHEN s.hole THEN 'hole' WHEN refilled > 0 THEN 'backfilled' ELSE 'complete' END
FROM (SELECT newest_ms, symbols.first_id AS begin,
        (SELECT coalesce(sum(trades), 0) FROM levels WHERE symbol = ?1 AND begin_ms = ?2) AS stored,
        coalesce(sum(max(0, min(g.last_id, m.last_id) - max(g.first_id, m.first_id) + 1)), 0) AS missing,
        coalesce(max(NOT g.hole), 0) AS open, coalesce(max(g.hole), 0) AS hole
    FROM symbols JOIN minutes m ON m.symbol = ?1 AND m.begin_ms = ?2
    LEFT JOIN gaps g ON g.symbol = ?3 AND g.first_id <= m.last_id + 1 AND g.last_id >= m.first_id - 1
    WHERE symbols.symbol = ?3) s
WHERE minutes.symbol = ?1 AND begin_ms = ?2";

/// How many rows of the journal are dropped in one transaction: it must not hold up what is being received.
const DROP_AT_ONCE: i64 = 4096;

/// The connection, and the numbers of the symbols that are collected.
pub(super) struct Writing {
    pub(super) file: Connection,
    symbols: Vec<(i64, String)>,
}

impl Writing {
    /// Opens or makes the file for these symbols; it may grow up to so many bytes. Also says where each of them stands.
    pub(super) fn open(path: &Path, names: &[String], most_bytes: Option<u64>) -> Result<(Self, Vec<Track>)> {
        let file = connect(path, OpenFlags::default())?;
        file.set_prepared_statement_cache_capacity(32);
        if let Some(most) = most_bytes {
            limit(&file, most).map_err(|error| cannot_open(path, &error))?;
        }
        let resume = || {
            let symbols = numbers(&file, names)?;
            let tracks =
                symbols.iter().map(|(number, _)| track(&file, *number)).collect::<rusqlite::Result<Vec<_>>>()?;
            Ok((symbols, tracks))
        };
        let (symbols, mut tracks) = resume().map_err(|error: rusqlite::Error| cannot_open(path, &error))?;
        let writing = Self { file, symbols };
        for (at, track) in tracks.iter_mut().enumerate() {
            writing.count_journal(at, track).map_err(|error| cannot_open(path, error.as_ref()))?;
        }
        Ok((writing, tracks))
    }

    /// Counts what nobody came to count, and closes the file.
    pub(super) fn close(self) -> Result {
        for (at, (number, _)) in self.symbols.iter().enumerate() {
            let counted = track(&self.file, *number).map_err(Into::into);
            match counted.and_then(|mut track| self.count_journal(at, &mut track)) {
                // The next start counts it, when there is room.
                Err(error) if error.downcast_ref().is_some_and(passes) => break,
                counted => counted?,
            }
        }
        self.file.close().map_err(|(_, error)| error)?;
        Ok(())
    }

    /// Counts what a process that was killed has received and not counted.
    fn count_journal(&self, at: usize, track: &mut Track) -> Result {
        let (number, name) = &self.symbols[at];
        let mut query = self.file.prepare(
            "SELECT t.* FROM trades t JOIN symbols s USING (symbol) WHERE symbol = ?1 AND id > coalesce(counted, -1) ORDER BY id",
        )?;
        let mut rows = query.query([number])?;
        while let Some(row) = rows.next()? {
            let trade = trade(row)?;
            if let Some(begin_ms) = track.wants(&trade)
                && let Some(minute) = self.minute(at, begin_ms)?
            {
                track.put(minute);
            }
            track.take(&trade).map_err(|TooLarge| format!("a volume of {name} is too large to be kept exactly"))?;
        }
        drop(rows);
        if let Some(flush) = track.flush() {
            let transaction = self.file.unchecked_transaction()?;
            self.flush(at, &flush)?;
            transaction.commit()?;
        }
        Ok(())
    }

    /// A minute as it stands.
    pub(super) fn minute(&self, at: usize, begin_ms: i64) -> rusqlite::Result<Option<Minute>> {
        let name = &self.symbols[at].1;
        let mut query = self.file.prepare_cached(
            "SELECT first_id, last_id, refilled, price_places, quantity_places FROM minutes WHERE symbol = ?1 AND begin_ms = ?2",
        )?;
        let row = |row: &Row<'_>| {
            let scale = Scale { price: row.get(3)?, quantity: row.get(4)? };
            Ok(((row.get(0)?, row.get(1)?), row.get(2)?, scale))
        };
        let Some((ids, refilled, scale)) = query.query_row((name, begin_ms), row).optional()? else { return Ok(None) };
        Ok(Some(Minute::stored(begin_ms, ids, refilled, scale, levels(&self.file, name, begin_ms, "ASC")?)))
    }

    /// Appends to the journal; within a transaction.
    pub(super) fn append(&self, trades: &[(usize, Trade)]) -> rusqlite::Result<()> {
        let mut append = self.file.prepare_cached(APPEND)?;
        for (at, trade) in trades {
            let Trade { ids, time_ms, price, quantity, scale, buyer_is_maker, refilled } = trade;
            append.execute((
                self.symbols[*at].0,
                ids.aggregate,
                ids.first,
                ids.last,
                time_ms,
                price,
                quantity,
                scale.price,
                scale.quantity,
                buyer_is_maker,
                refilled,
            ))?;
        }
        Ok(())
    }

    /// Writes what was counted of a symbol; within a transaction.
    pub(super) fn flush(&self, at: usize, flush: &Flush) -> rusqlite::Result<()> {
        let (number, name) = &self.symbols[at];
        let Ends { first, last, aggregate } = flush.ends;
        let mut set = self.file.prepare_cached(
            "UPDATE symbols SET first_id = ?2, last_id = ?3, counted = ?4, newest_ms = ?5, price_places = ?6,
                quantity_places = ?7 WHERE symbol = ?1",
        )?;
        let Scale { price, quantity } = flush.scale;
        set.execute((number, first, last, aggregate, flush.newest, price, quantity))?;
        for minute in &flush.minutes {
            self.put_minute(name, minute)?;
        }
        if let Some(begin_ms) = flush.begun {
            let mut begun =
                self.file.prepare_cached("UPDATE minutes SET begun = 2 WHERE symbol = ?1 AND begin_ms = ?2")?;
            begun.execute((name, begin_ms))?;
        }
        let mut settle: Vec<i64> =
            flush.minutes.iter().map(|minute| minute.begin_ms).chain(flush.over.iter().copied()).collect();
        if let Some((range, gaps)) = &flush.gaps {
            self.put_gaps(*number, *range, gaps)?;
            let mut touched = self.file.prepare_cached(
                "SELECT begin_ms FROM minutes WHERE symbol = ?1 AND last_id >= ?2 - 1 AND first_id <= ?3 + 1",
            )?;
            for begin_ms in touched.query_map((name, range.0, range.1), |row| row.get(0))? {
                settle.push(begin_ms?);
            }
        }
        // Those that are about to be dropped are left as they are: what was missing in them may not be known any more.
        settle.retain(|begin_ms| *begin_ms >= flush.floor);
        settle.sort_unstable();
        settle.dedup();
        let mut say = self.file.prepare_cached(SETTLE)?;
        let mut count = self.file.prepare_cached("UPDATE file SET revision = revision + 1")?;
        for begin_ms in settle {
            count.execute([])?;
            say.execute((name, begin_ms, number))?;
        }
        Ok(())
    }

    fn put_minute(&self, name: &str, minute: &Changes) -> rusqlite::Result<()> {
        let Changes { begin_ms, ids, refilled, scale, anew, levels } = minute;
        if *anew {
            let mut clear = self.file.prepare_cached("DELETE FROM levels WHERE symbol = ?1 AND begin_ms = ?2")?;
            clear.execute((name, begin_ms))?;
        }
        let mut put = self.file.prepare_cached(PUT_MINUTE)?;
        put.execute((name, begin_ms, ids.0, ids.1, refilled, scale.price, scale.quantity))?;
        let mut put = self.file.prepare_cached("INSERT OR REPLACE INTO levels VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
        for (price, level) in levels {
            put.execute((name, begin_ms, price, level.buy, level.sell, level.trades))?;
        }
        Ok(())
    }

    fn put_gaps(&self, number: i64, range: (i64, i64), gaps: &[Gap]) -> rusqlite::Result<()> {
        let mut clear =
            self.file.prepare_cached("DELETE FROM gaps WHERE symbol = ?1 AND first_id <= ?3 AND last_id >= ?2")?;
        clear.execute((number, range.0, range.1))?;
        let mut put = self.file.prepare_cached("INSERT INTO gaps VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
        for Gap { ids, aggregates, hole } in gaps {
            put.execute((number, ids.0, ids.1, aggregates.0, aggregates.1, hole))?;
        }
        Ok(())
    }

    /// Writes an order book, in a transaction of its own.
    pub(super) fn put_depth(&self, row: &DepthRow) -> rusqlite::Result<()> {
        depth::put(&self.file, &self.symbols[row.symbol].1, row)
    }

    /// The first single trade of a symbol in a minute that begins then or later.
    pub(super) fn first_kept(&self, at: usize, floor_ms: i64) -> rusqlite::Result<Option<i64>> {
        shed::first_kept(&self.file, &self.symbols[at].1, floor_ms)
    }

    /// See [`shed::step`].
    pub(super) fn shed(&self, floor_ms: i64) -> rusqlite::Result<Shed> {
        let collected: Vec<i64> = self.symbols.iter().map(|(number, _)| *number).collect();
        shed::step(&self.file, floor_ms, &collected)
    }

    /// A minute as others read it; within a transaction or not.
    pub(super) fn summary(&self, at: usize, begin_ms: i64) -> rusqlite::Result<Option<Summary>> {
        let mut query =
            self.file.prepare_cached(&format!("{SUMMARIES} WHERE symbol = ?1 AND begin_ms = ?2 GROUP BY symbol"))?;
        query.query_row((&self.symbols[at].1, begin_ms), Summary::read).optional()
    }

    /// Drops the oldest rows of the journal that nobody needs any more: those before the open minute that are counted. Whether there may
    /// be more.
    pub(super) fn drop_counted(&self, at: usize) -> rusqlite::Result<bool> {
        let mut drop = self.file.prepare_cached(
            "DELETE FROM trades WHERE symbol = ?1 AND id IN (
                SELECT id FROM trades JOIN symbols s USING (symbol) WHERE symbol = ?1 AND time_ms < newest_ms AND id <= counted
                ORDER BY id LIMIT ?2)",
        )?;
        let dropped = drop.execute((self.symbols[at].0, DROP_AT_ONCE))?;
        Ok(i64::try_from(dropped).is_ok_and(|dropped| dropped == DROP_AT_ONCE))
    }
}

/// Where the file ends: it cannot grow beyond, as if the disk were full. Never less than it has already.
fn limit(file: &Connection, most_bytes: u64) -> rusqlite::Result<()> {
    let page: i64 = file.query_row("PRAGMA page_size", [], |row| row.get(0))?;
    let pages = i64::try_from(most_bytes).unwrap_or(i64::MAX) / page;
    file.query_row(&format!("PRAGMA max_page_count = {}", pages.clamp(1, i64::from(u32::MAX - 1))), [], |_| Ok(()))
}

fn numbers(file: &Connection, names: &[String]) -> rusqlite::Result<Vec<(i64, String)>> {
    let number = |name: &String| {
        file.execute("INSERT OR IGNORE INTO symbols (name) VALUES (?1)", [name])?;
        let number = file.query_row("SELECT symbol FROM symbols WHERE name = ?1", [name], |row| row.get(0))?;
        Ok((number, name.clone()))
    };
    names.iter().map(number).collect()
}

/// Where a symbol stood when its minutes were last written.
fn track(file: &Connection, number: i64) -> rusqlite::Result<Track> {
    let mut query =
        file.prepare("SELECT first_id, last_id, from_id, to_id, hole FROM gaps WHERE symbol = ?1 ORDER BY first_id")?;
    let gap = |row: &Row<'_>| {
        Ok(Gap { ids: (row.get(0)?, row.get(1)?), aggregates: (row.get(2)?, row.get(3)?), hole: row.get(4)? })
    };
    let gaps = query.query_map([number], gap)?.collect::<rusqlite::Result<_>>()?;
    let stands = |row: &Row<'_>| {
        let ends: Option<(i64, i64)> = row.get::<_, Option<i64>>(0)?.zip(row.get(1)?);
        let aggregate = row.get(2)?;
        Ok((
            ends.map(|(first, last)| Ends { first, last, aggregate }),
            row.get(3)?,
            Scale { price: row.get(4)?, quantity: row.get(5)? },
        ))
    };
    let query =
        "SELECT first_id, last_id, counted, newest_ms, price_places, quantity_places FROM symbols WHERE symbol = ?1";
    let (ends, newest, scale) = file.query_row(query, [number], stands)?;
    let head = file.query_row(
        "SELECT min(begin_ms) FROM minutes JOIN symbols s ON s.name = minutes.symbol
            WHERE s.symbol = ?1 AND minutes.first_id <= s.first_id AND begun < 2",
        [number],
        |row| row.get(0),
    )?;
    Ok(Track::resume(Chain::resume(ends, gaps), newest, scale, head))
}

fn trade(row: &Row<'_>) -> rusqlite::Result<Trade> {
    Ok(Trade {
        ids: Ids { aggregate: row.get(1)?, first: row.get(2)?, last: row.get(3)? },
        time_ms: row.get(4)?,
        price: row.get(5)?,
        quantity: row.get(6)?,
        scale: Scale { price: row.get(7)?, quantity: row.get(8)? },
        buyer_is_maker: row.get(9)?,
        refilled: row.get(10)?,
    })
}
