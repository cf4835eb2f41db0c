//! Which tiles a file has.

use rusqlite::Connection;

use super::Schema;
use crate::{grid::Tile, ids::IdSet, store::job};

/// So many keys are read at once; in between, a writer may commit.
const PAGE: usize = 1 << 16;

/// Calls with the tiles of a file, by zoom, column and row from the south. Keys that no tile has are left out, and counted in the answer.
pub(super) fn each(file: &Connection, schema: Schema, mut tile: impl FnMut(Tile)) -> rusqlite::Result<u64> {
    let keys = schema.keys();
    let mut query = file.prepare(&format!(
        "SELECT zoom_level, tile_column, tile_row FROM {keys} WHERE (zoom_level, tile_column, tile_row) > (?1, ?2, ?3)
         ORDER BY zoom_level, tile_column, tile_row LIMIT {PAGE}"
    ))?;
    let (mut last, mut wrong) = ((-1_i64, 0_i64, 0_i64), 0);
    loop {
        let mut rows = query.query(last)?;
        let mut count = 0;
        while let Some(row) = rows.next()? {
            count += 1;
            match job::key(row) {
                Some(key) => tile(key),
                None => wrong += 1,
            }
            if count == PAGE {
                last = (row.get(0)?, row.get(1)?, row.get(2)?);
            }
        }
        if count < PAGE {
            return Ok(wrong);
        }
    }
}

/// The ids of the tiles of a file.
pub(super) fn ids(file: &Connection, schema: Schema) -> rusqlite::Result<IdSet> {
    let (mut ids, mut group) = (IdSet::new(), Vec::with_capacity(PAGE));
    each(file, schema, |tile| {
        group.push(tile.id());
        if group.len() == PAGE {
            ids.extend(group.drain(..));
        }
    })?;
    ids.extend(group);
    Ok(ids)
}
