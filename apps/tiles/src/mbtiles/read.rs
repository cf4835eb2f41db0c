//! Reading a file, also while it is written.

use std::{
    ops::Range,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OptionalExtension, Statement};

use super::{
    FailRow, Http, Known, MbtilesError, Metadata, Schema, Status, keys,
    open::{metadata, readable},
};
use crate::{grid::Tile, ids::IdSet, store::job};

/// A file that is read. Any layout will do, and none of its calls holds a writer up for long.
#[derive(Debug)]
pub struct Reader {
    pub(super) file: Connection,
    path: PathBuf,
    schema: Schema,
    /// Whether it has the tables of a job.
    has_job: bool,
}

impl Reader {
    /// Opens a file to read it. What a crash left undone is rolled back, as SQLite does.
    ///
    /// # Errors
    /// It is not there, not readable, or something else.
    pub fn open(path: &Path) -> Result<Self, MbtilesError> {
        let (file, schema) = readable(path)?;
        let has_job = job::exists(&file).map_err(|error| MbtilesError::of(path, error))?;
        Ok(Self { file, path: path.to_owned(), schema, has_job })
    }

    /// How its tables are laid out.
    pub fn schema(&self) -> Schema {
        self.schema
    }

    /// Whether it belongs to a job that is not finished.
    pub fn has_job(&self) -> bool {
        self.has_job
    }

    /// Counts its tiles.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn status(&self) -> Result<Status, MbtilesError> {
        let count = || {
            let mut status = Status::default();
            keys::each(&self.file, self.schema, |tile| *status.stored.entry(tile.z()).or_default() += 1)?;
            if self.has_job {
                let empty = self.file.query_row("SELECT COUNT(*) FROM ss_empty", [], |row| row.get(0))?;
                (status.empty, status.failed) = (job::moment(empty), job::failed_by_class(&self.file)?);
            }
            Ok(status)
        };
        count().map_err(|error| self.wrong(error))
    }

    /// Which tiles it knows.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn known(&self) -> Result<Known, MbtilesError> {
        let read = || {
            let mut known = Known { stored: keys::ids(&self.file, self.schema)?, ..Known::default() };
            if self.has_job {
                job::known(&self.file, &mut known)?;
            }
            Ok(known)
        };
        read().map_err(|error| self.wrong(error))
    }

    /// The tiles that failed, by zoom, column and row from the south.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn failures(&self) -> Result<Vec<FailRow>, MbtilesError> {
        if !self.has_job {
            return Ok(Vec::new());
        }
        job::failures(&self.file).map_err(|error| self.wrong(error))
    }

    /// What the job keeps under a name.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn job(&self, name: &str) -> Result<Option<String>, MbtilesError> {
        if !self.has_job {
            return Ok(None);
        }
        job::value(&self.file, name).map_err(|error| self.wrong(error))
    }

    /// What the file says of itself.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn metadata(&self) -> Result<Metadata, MbtilesError> {
        metadata(&self.file).map_err(|error| self.wrong(error))
    }

    /// How fresh a tile is and how to ask whether it still is; none where nothing was said.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn validators(&self, tile: Tile) -> Result<Option<Http>, MbtilesError> {
        if !self.has_job {
            return Ok(None);
        }
        job::freshness(&self.file, tile).map_err(|error| self.wrong(error))
    }

    /// The body of a tile.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn body(&self, tile: Tile) -> Result<Option<Vec<u8>>, MbtilesError> {
        let read = || body(&mut self.file.prepare(BODY)?, tile);
        read().map_err(|error| self.wrong(error))
    }

    /// All tiles with their bodies, by [`Tile::id`]: those that are there now. A body that goes meanwhile, or is empty, is left out.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn tiles(&self) -> Result<Tiles<'_>, MbtilesError> {
        let open = || Ok((keys::ids(&self.file, self.schema)?, self.file.prepare(BODY)?));
        let (ids, query) = open().map_err(|error| self.wrong(error))?;
        Ok(Tiles { reader: self, ids, run: 0..0, query })
    }

    fn wrong(&self, error: rusqlite::Error) -> MbtilesError {
        MbtilesError::of(&self.path, error)
    }
}

const BODY: &str = "SELECT tile_data FROM tiles WHERE zoom_level = ?1 AND tile_column = ?2 AND tile_row = ?3";

fn body(query: &mut Statement<'_>, tile: Tile) -> rusqlite::Result<Option<Vec<u8>>> {
    // Some programs write text or nothing where bytes should be.
    let bytes = |row: &rusqlite::Row<'_>| Ok(row.get_ref(0)?.as_bytes_or_null()?.unwrap_or_default().to_vec());
    let body = query.query_row((tile.z(), tile.x(), tile.tms_row()), bytes).optional()?;
    Ok(body.filter(|body| !body.is_empty()))
}

/// The tiles of a file, one after the other.
#[derive(Debug)]
pub struct Tiles<'a> {
    reader: &'a Reader,
    ids: IdSet,
    run: Range<u64>,
    query: Statement<'a>,
}

impl Tiles<'_> {
    /// How many there are in all.
    pub fn total(&self) -> u64 {
        self.ids.len()
    }
}

impl Iterator for Tiles<'_> {
    type Item = Result<(Tile, Vec<u8>), MbtilesError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.run.is_empty() {
                self.run = self.ids.run_from(self.run.end)?;
            }
            let id = self.run.next()?;
            let Some(tile) = Tile::from_id(id) else { continue };
            match body(&mut self.query, tile) {
                Ok(Some(body)) => return Some(Ok((tile, body))),
                Ok(None) => {}
                Err(error) => return Some(Err(self.reader.wrong(error))),
            }
        }
    }
}
