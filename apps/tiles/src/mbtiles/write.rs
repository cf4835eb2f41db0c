//! Writing to a file.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::{
    Committed, Http, Known, MbtilesError, Metadata, Options, Row, Schema, What, keys,
    open::{metadata, writable},
};
use crate::{
    grid::Tile,
    ids::IdSet,
    store::{
        base::Base,
        job::{self, Lazy, Notes},
        lock::Lock,
        seen::Seen,
        sorted,
    },
};

/// A file that is being written. There is one at a time for a file.
#[derive(Debug)]
pub struct Writer {
    pub(crate) base: Base,
    schema: Schema,
    seen: Seen,
    /// Of the next body, in [`Schema::Dedup`].
    number: i64,
}

impl Writer {
    /// Opens a file to go on with it, or makes one.
    ///
    /// # Errors
    /// Among others: another writer has it, it is something else, or this program did not begin it and is not to adopt it.
    pub fn open(path: &Path, options: &Options) -> Result<Self, MbtilesError> {
        let lock = Lock::take(path)?;
        let (file, schema) = writable(path, options)?;
        let number = || {
            let last = "SELECT IFNULL(MAX(tile_data_id), 0) FROM tiles_data";
            if schema == Schema::Dedup { file.query_row(last, [], |row| row.get::<_, i64>(0)) } else { Ok(0) }
        };
        let number = 1 + number().map_err(|error| MbtilesError::of(path, error))?;
        Ok(Self { base: Base::new(file, path, path, lock)?, schema, seen: Seen::default(), number })
    }

    /// How its tables are laid out.
    pub fn schema(&self) -> Schema {
        self.schema
    }

    /// Which tiles it knows: one walk over the index.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn known(&self) -> Result<Known, MbtilesError> {
        let read = || {
            let mut known = Known { stored: keys::ids(&self.base.file, self.schema)?, ..Known::default() };
            job::known(&self.base.file, &mut known).map(|()| known)
        };
        read().map_err(|error| self.base.wrong(error))
    }

    /// What the job keeps under a name.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn job(&self, name: &str) -> Result<Option<String>, MbtilesError> {
        self.base.job(name)
    }

    /// Sets what the job keeps under these names, or takes it out; all or nothing.
    ///
    /// # Errors
    /// It cannot be written; then nothing has changed.
    pub fn set_job(&mut self, values: &[(&str, Option<&str>)]) -> Result<(), MbtilesError> {
        self.base.set_job(values)
    }

    /// What the file says of itself.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn metadata(&self) -> Result<Metadata, MbtilesError> {
        metadata(&self.base.file).map_err(|error| self.base.wrong(error))
    }

    /// Makes the file say this of itself; names that are not in it stay as they are.
    ///
    /// # Errors
    /// It cannot be written; then nothing has changed.
    pub fn set_metadata(&mut self, values: &Metadata) -> Result<(), MbtilesError> {
        self.base.change(|transaction| {
            // A foreign file may have a name twice, or no index.
            let mut remove = transaction.prepare("DELETE FROM metadata WHERE name = ?1")?;
            let mut insert = transaction.prepare("INSERT INTO metadata (name, value) VALUES (?1, ?2)")?;
            values.iter().try_for_each(|(name, value)| {
                remove.execute([name])?;
                insert.execute([name, value]).map(|_| ())
            })
        })
    }

    /// Writes what became of tiles: all of it, safe on the disk, or nothing.
    ///
    /// Of two rows for one tile the later one counts, as if it had come in another commit. Two hundred and more rows at once are written
    /// at full speed.
    ///
    /// # Errors
    /// Nothing has changed then, and the same rows may be tried again. After [`MbtilesError::Replaced`] that is of no use: what was
    /// written before is no longer where the name leads.
    pub fn commit(&mut self, rows: &[Row]) -> Result<Committed, MbtilesError> {
        self.base.still_there()?;
        let committed = self.write(rows).map_err(|error| {
            // It may know bodies that are not in the file.
            self.seen.clear();
            self.base.wrong(error)
        })?;
        self.base.still_there()?;
        Ok(committed)
    }

    fn write(&mut self, rows: &[Row]) -> rusqlite::Result<Committed> {
        let transaction = self.base.file.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut committed = Committed::default();
        let mut notes = Notes::new(&transaction, &mut self.base.filled);
        let mut bodies = Bodies::new(&transaction, self.schema, &mut self.seen, &mut self.number);
        for Row { tile, what } in sorted(rows) {
            match what {
                What::Stored { body, .. } if bodies.put(*tile, body)? => committed.repeated += body.len() as u64,
                What::Empty { .. } => bodies.remove(*tile)?,
                _ => {}
            }
            notes.note(*tile, what)?;
            committed.count(what);
        }
        drop((notes, bodies));
        transaction.commit().map(|()| committed)
    }

    /// The stored and the empty tiles of which it is not known that they are still fresh.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn stale(&self, now: u64) -> Result<IdSet, MbtilesError> {
        self.base.stale(&self.known()?, now)
    }

    /// How fresh a tile is and how to ask whether it still is; none where nothing was said.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn validators(&self, tile: Tile) -> Result<Option<Http>, MbtilesError> {
        self.base.validators(tile)
    }

    /// Forgets which tiles failed.
    ///
    /// # Errors
    /// It cannot be written; then nothing has changed.
    pub fn forget_failed(&mut self) -> Result<(), MbtilesError> {
        self.base.forget_failed()
    }

    /// Forgets which tiles are empty.
    ///
    /// # Errors
    /// It cannot be written; then nothing has changed.
    pub fn forget_empty(&mut self) -> Result<(), MbtilesError> {
        self.base.forget_empty()
    }

    /// Sees that the name still leads to the file that is open; every commit does.
    ///
    /// # Errors
    /// It does not.
    pub fn still_there(&self) -> Result<(), MbtilesError> {
        self.base.still_there()
    }

    /// Closes the file; nothing is left beside it. What was committed is safe without it.
    ///
    /// # Errors
    /// SQLite could not take its journal away.
    pub fn close(self) -> Result<(), MbtilesError> {
        self.base.close()
    }
}

/// Writes the bodies of one commit.
struct Bodies<'a> {
    schema: Schema,
    seen: &'a mut Seen,
    number: &'a mut i64,
    put: Lazy<'a>,
    body: Lazy<'a>,
    remove: Lazy<'a>,
}

impl<'a> Bodies<'a> {
    fn new(file: &'a Connection, schema: Schema, seen: &'a mut Seen, number: &'a mut i64) -> Self {
        let (put, remove) = match schema {
            Schema::Dedup => (
                "INSERT INTO tiles_shallow (zoom_level, tile_column, tile_row, tile_data_id) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (zoom_level, tile_column, tile_row) DO UPDATE SET tile_data_id = excluded.tile_data_id",
                "DELETE FROM tiles_shallow WHERE zoom_level = ?1 AND tile_column = ?2 AND tile_row = ?3",
            ),
            _ => (
                "INSERT INTO tiles (zoom_level, tile_column, tile_row, tile_data) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (zoom_level, tile_column, tile_row) DO UPDATE SET tile_data = excluded.tile_data",
                "DELETE FROM tiles WHERE zoom_level = ?1 AND tile_column = ?2 AND tile_row = ?3",
            ),
        };
        let body = "INSERT INTO tiles_data (tile_data_id, tile_data) VALUES (?1, ?2)";
        let lazy = |sql| Lazy::new(file, sql);
        Self { schema, seen, number, put: lazy(put), body: lazy(body), remove: lazy(remove) }
    }

    /// Writes a body; answers whether it had come before.
    fn put(&mut self, tile: Tile, body: &[u8]) -> rusqlite::Result<bool> {
        let (z, x, row) = (tile.z(), tile.x(), tile.tms_row());
        let before = self.seen.find(body, *self.number);
        if self.schema != Schema::Dedup {
            self.put.execute((z, x, row, body))?;
            return Ok(before.is_some());
        }
        let number = *before.as_ref().unwrap_or(self.number);
        if before.is_none() {
            self.body.execute((number, body))?;
            *self.number += 1;
        }
        self.put.execute((z, x, row, number))?;
        Ok(before.is_some())
    }

    fn remove(&mut self, tile: Tile) -> rusqlite::Result<()> {
        self.remove.execute((tile.z(), tile.x(), tile.tms_row()))
    }
}
