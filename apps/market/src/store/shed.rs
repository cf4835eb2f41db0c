//! Drops what is older than what is kept: a little at a time, so that nobody waits for it, and in an order in which a file is right at
//! every moment, whoever ends where.

use rusqlite::{Connection, OptionalExtension};

/// How many rows go in one transaction. A transaction of trades waits for one of these at most.
pub(super) const AT_ONCE: usize = 1000;
/// An order book is as large as so many other rows.
const BOOK: usize = 100;
/// Free pages that are left for what comes next, and how many go back to the system at once.
const FREE: i64 = 256;
const PAGES_AT_ONCE: i64 = 64;

/// What went.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Shed {
    /// An order book counts as 100 rows.
    pub(super) rows: usize,
    /// There may be more.
    pub(super) more: bool,
    /// By symbol, the single trades that were still to be fetched and are not any more: of symbols that are not collected now.
    pub(super) given_up: Vec<(String, i64)>,
}

/// Drops the oldest rows of what begins before `floor_ms`, and gives room back to the system; the numbers are those of the symbols that are
/// collected now, whose gaps are not touched here.
pub(super) fn step(file: &Connection, floor_ms: i64, collected: &[i64]) -> rusqlite::Result<Shed> {
    let mut shed = Shed::default();
    let transaction = file.unchecked_transaction()?;
    let symbols: Vec<(i64, String)> = file
        .prepare_cached("SELECT symbol, name FROM symbols")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (number, name) in &symbols {
        shed.rows += minutes(file, name, floor_ms, AT_ONCE - shed.rows)?;
        shed.rows += journal(file, *number, floor_ms, AT_ONCE - shed.rows)?;
        shed.rows += books(file, name, floor_ms, AT_ONCE - shed.rows)?;
        if !collected.contains(number) {
            let given_up = gaps(file, *number, name)?;
            shed.given_up.extend((given_up > 0).then(|| (name.clone(), given_up)));
        }
    }
    transaction.commit()?;
    shed.more = shed.rows > 0 || shrink(file)?;
    Ok(shed)
}

/// A minute goes before its levels, which nobody reads without it: so no reader sees a part of one.
fn minutes(file: &Connection, name: &str, floor_ms: i64, most: usize) -> rusqlite::Result<usize> {
    let mut oldest = file.prepare_cached("SELECT min(begin_ms) FROM minutes WHERE symbol = ?1")?;
    let mut forget = file.prepare_cached("DELETE FROM minutes WHERE symbol = ?1 AND begin_ms = ?2")?;
    let mut drop = file.prepare_cached(
        "DELETE FROM levels WHERE (symbol, begin_ms, price) IN (
            SELECT symbol, begin_ms, price FROM levels WHERE symbol = ?1 AND begin_ms < ?2 ORDER BY begin_ms, price LIMIT ?3)",
    )?;
    let mut rows = 0;
    while rows < most {
        let first: Option<i64> = oldest.query_row([name], |row| row.get(0))?;
        rows += drop.execute((name, first.unwrap_or(floor_ms).min(floor_ms), limit(most - rows)))?;
        match first.filter(|first| *first < floor_ms && rows < most) {
            Some(first) => rows += forget.execute((name, first))?,
            None => break,
        }
    }
    Ok(rows)
}

/// Ids rise with time: what is old comes first.
fn journal(file: &Connection, number: i64, floor_ms: i64, most: usize) -> rusqlite::Result<usize> {
    let mut drop = file.prepare_cached(
        "DELETE FROM trades WHERE symbol = ?1 AND id IN (
            SELECT id FROM (SELECT id, time_ms FROM trades WHERE symbol = ?1 ORDER BY id LIMIT ?3)
            WHERE time_ms < ?2 AND id <= (SELECT counted FROM symbols WHERE symbol = ?1))",
    )?;
    drop.execute((number, floor_ms, limit(most)))
}

fn books(file: &Connection, name: &str, floor_ms: i64, most: usize) -> rusqlite::Result<usize> {
    let mut drop = file.prepare_cached(
        "DELETE FROM depth WHERE symbol = ?1 AND time_ms IN (
            SELECT time_ms FROM depth WHERE symbol = ?1 AND time_ms < ?2 ORDER BY time_ms LIMIT ?3)",
    )?;
    Ok(BOOK * drop.execute((name, floor_ms, limit(most / BOOK)))?)
}

/// Gaps before the first minute that is left; one that touches it stays. Says how many trades are not fetched any more.
fn gaps(file: &Connection, number: i64, name: &str) -> rusqlite::Result<i64> {
    let Some(first) = first_kept(file, name, i64::MIN)? else { return Ok(0) };
    let given_up = file
        .prepare_cached(
            "SELECT coalesce(sum(last_id - first_id + 1), 0) FROM gaps WHERE symbol = ?1 AND last_id < ?2 - 1 AND NOT hole",
        )?
        .query_row((number, first), |row| row.get(0))?;
    file.prepare_cached("DELETE FROM gaps WHERE symbol = ?1 AND last_id < ?2 - 1")?.execute((number, first))?;
    Ok(given_up)
}

/// The first single trade of the first minute that begins at `floor_ms` or later.
pub(super) fn first_kept(file: &Connection, name: &str, floor_ms: i64) -> rusqlite::Result<Option<i64>> {
    file.prepare_cached("SELECT first_id FROM minutes WHERE symbol = ?1 AND begin_ms >= ?2 ORDER BY begin_ms LIMIT 1")?
        .query_row((name, floor_ms), |row| row.get(0))
        .optional()
}

/// Gives free pages back, where the file was made so that it can; a file of before keeps its size, and uses them again. Whether there are more.
fn shrink(file: &Connection) -> rusqlite::Result<bool> {
    let pragma = |name: &str| file.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
    if pragma("auto_vacuum")? != 2 || pragma("freelist_count")? <= FREE {
        return Ok(false);
    }
    // Each page is a row, and a step of its own.
    let mut give_back = file.prepare(&format!("PRAGMA incremental_vacuum({PAGES_AT_ONCE})"))?;
    let mut pages = give_back.query([])?;
    while pages.next()?.is_some() {}
    Ok(pragma("freelist_count")? > FREE)
}

fn limit(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "shed_tests.rs"]
mod tests;
