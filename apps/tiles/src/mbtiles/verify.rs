//! Reading all of a file again.

use std::path::Path;

use rusqlite::Connection;

use super::{
    MbtilesError,
    open::{metadata, readable},
};
use crate::store::{
    job,
    verified::{Agg, Verified},
};

/// Reads all of a file: the structure, each body, the counts, the hash. A writer has to wait for it.
///
/// # Errors
/// It cannot be read, or so much of it is damaged that SQLite gives up.
pub fn verify(path: &Path) -> Result<Verified, MbtilesError> {
    let (file, _) = readable(path)?;
    look(&file).map_err(|error| MbtilesError::of(path, error))
}

fn look(file: &Connection) -> rusqlite::Result<Verified> {
    let metadata = metadata(file)?;
    let mut verified = Verified { damage: damage(file)?, ..Verified::of(&metadata) };
    let mut query = file.prepare("SELECT zoom_level, tile_column, tile_row, tile_data FROM tiles")?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let body = row.get_ref(3)?.as_bytes_or_null()?.unwrap_or_default();
        match job::key(row) {
            Some(tile) => verified.add(tile, body),
            None => verified.nowhere += 1,
        }
    }
    drop(rows);
    if let Some(hash) = metadata.value("agg_tiles_hash") {
        verified.agg = if agg_tiles_hash(file)?.eq_ignore_ascii_case(hash) { Agg::Right } else { Agg::Wrong };
    }
    Ok(verified)
}

fn damage(file: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut query = file.prepare("PRAGMA integrity_check")?;
    let said = query.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
    Ok(said.into_iter().filter(|line| line != "ok").collect())
}

/// The MD5 of zooms, columns, rows (as decimal texts) and bodies of all tiles in this order, in upper-case hexadecimals.
pub(super) fn agg_tiles_hash(file: &Connection) -> rusqlite::Result<String> {
    let mut query = file.prepare(
        "SELECT zoom_level, tile_column, tile_row, tile_data FROM tiles ORDER BY zoom_level, tile_column, tile_row",
    )?;
    let mut rows = query.query([])?;
    let mut hash = md5::Context::new();
    while let Some(row) = rows.next()? {
        let key = format!("{}{}{}", row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?);
        hash.consume(key);
        hash.consume(row.get_ref(3)?.as_bytes_or_null()?.unwrap_or_default());
    }
    Ok(format!("{:X}", hash.finalize()))
}
