//! Writes order books, one row each, with both sides as JSON.

use std::fmt::Write as _;

use rusqlite::Connection;

use crate::{book::Book, wire::Scale};

/// A row that is to be written, its sides written out already: the writer has better things to do.
#[derive(Debug)]
pub(crate) struct DepthRow {
    /// The number of the symbol.
    pub(crate) symbol: usize,
    pub(crate) time_ms: i64,
    pub(crate) last_id: i64,
    pub(crate) scale: Scale,
    pub(crate) bids: String,
    pub(crate) asks: String,
    /// How many levels both sides have.
    pub(crate) levels: (usize, usize),
}

impl DepthRow {
    /// The best `limit` levels of each side of a book; `None` where it is not there.
    pub(crate) fn of(symbol: usize, book: &Book, time_ms: i64, limit: usize) -> Option<Self> {
        let last_id = book.last_id()?;
        let (bids, asks) = (list(book.bids().take(limit)), list(book.asks().take(limit)));
        Some(Self {
            symbol,
            time_ms,
            last_id,
            scale: book.scale(),
            bids: bids.0,
            asks: asks.0,
            levels: (bids.1, asks.1),
        })
    }
}

/// As JSON, and how many there are.
fn list(levels: impl Iterator<Item = (i64, i64)>) -> (String, usize) {
    let (mut text, mut count) = (String::from("["), 0);
    for (price, quantity) in levels {
        let comma = if count == 0 { "" } else { "," };
        // A String takes everything.
        let _ = write!(text, "{comma}[{price},{quantity}]");
        count += 1;
    }
    text.push(']');
    (text, count)
}

/// Writes a row, in place of one of the same moment.
pub(super) fn put(file: &Connection, name: &str, row: &DepthRow) -> rusqlite::Result<()> {
    let DepthRow { time_ms, last_id, scale, bids, asks, .. } = row;
    let mut put = file.prepare_cached("INSERT OR REPLACE INTO depth VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
    put.execute((name, time_ms, last_id, scale.price, scale.quantity, bids, asks))?;
    Ok(())
}
