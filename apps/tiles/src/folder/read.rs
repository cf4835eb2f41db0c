//! Reading a folder, whoever wrote it.

use std::{
    collections::BTreeMap,
    fs, io,
    ops::Range,
    path::{Path, PathBuf},
};

use rusqlite::Connection;

use super::{JOB, scan, write::known};
use crate::{
    grid::Tile,
    ids::IdSet,
    store::{FailRow, Http, Known, Metadata, Status, StoreError, job, sqlite::readable},
};

/// A folder that is read. It may be written meanwhile.
#[derive(Debug)]
pub struct Reader {
    root: PathBuf,
    tms: bool,
    /// What the job knows, where there is one.
    file: Option<Connection>,
}

impl Reader {
    /// Opens a folder. Rows count as `tms` says or, where that is nothing, as the folder does.
    ///
    /// # Errors
    /// It is not there, not readable, or no folder.
    pub fn open(root: &Path, tms: Option<bool>) -> Result<Self, StoreError> {
        fs::read_dir(root).map_err(|error| StoreError::io(root, error))?;
        let tms = match tms {
            Some(tms) => tms,
            None => scan::is_tms(&scan::metadata(root)?),
        };
        let db = root.join(JOB);
        let exists = |file: &Connection| job::exists(file).map_err(|error| StoreError::of(&db, error));
        let file = if db.exists() { Some(readable(&db, exists)?) } else { None };
        Ok(Self { root: root.to_owned(), tms, file: file.and_then(|(file, exists)| exists.then_some(file)) })
    }

    /// Whether it belongs to a job.
    pub fn has_job(&self) -> bool {
        self.file.is_some()
    }

    /// Counts its tiles: by what the job knows or, where there is none, by the names of files.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn status(&self) -> Result<Status, StoreError> {
        let known = self.known()?;
        let mut stored = BTreeMap::new();
        for tile in known.stored.ranges().flatten().filter_map(Tile::from_id) {
            *stored.entry(tile.z()).or_default() += 1;
        }
        let failed = self.of_job(job::failed_by_class)?.unwrap_or_default();
        Ok(Status { stored, empty: known.empty.len(), failed })
    }

    /// Which tiles it knows.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn known(&self) -> Result<Known, StoreError> {
        match self.of_job(known)? {
            Some(known) => Ok(known),
            None => Ok(Known { stored: self.scan()?.ids, ..Known::default() }),
        }
    }

    /// The tiles that failed, by zoom, column and row from the south.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn failures(&self) -> Result<Vec<FailRow>, StoreError> {
        Ok(self.of_job(job::failures)?.unwrap_or_default())
    }

    /// How fresh a tile is and how to ask whether it still is; none where nothing was said.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn validators(&self, tile: Tile) -> Result<Option<Http>, StoreError> {
        Ok(self.of_job(|file| job::freshness(file, tile))?.flatten())
    }

    /// What the job keeps under a name.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn job(&self, name: &str) -> Result<Option<String>, StoreError> {
        Ok(self.of_job(|file| job::value(file, name))?.flatten())
    }

    /// What the folder says of itself.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn metadata(&self) -> Result<Metadata, StoreError> {
        let mut metadata = scan::metadata(&self.root)?;
        // It is of the folder, not of the tiles.
        metadata.set("scheme", "");
        Ok(metadata)
    }

    /// The body of a tile; none where there is no file, or one without bytes.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn body(&self, tile: Tile) -> Result<Option<Vec<u8>>, StoreError> {
        self.one_of(tile, scan::USUAL)
    }

    /// All tiles with their bodies, by [`Tile::id`]: those whose files are there now.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn tiles(&self) -> Result<Tiles<'_>, StoreError> {
        let found = self.scan()?;
        Ok(Tiles { reader: self, ids: found.ids, endings: found.endings.into_iter().collect(), run: 0..0 })
    }

    fn scan(&self) -> Result<scan::Found, StoreError> {
        scan::scan(&self.root, self.tms).map_err(|error| StoreError::io(&self.root, error))
    }

    fn of_job<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<Option<T>, StoreError> {
        self.file.as_ref().map(read).transpose().map_err(|error| StoreError::of(&self.root, error))
    }

    fn one_of<'a>(
        &self,
        tile: Tile,
        endings: impl IntoIterator<Item = &'a str>,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        for ending in endings {
            let path = scan::path(&self.root, tile, self.tms, ending);
            match fs::read(&path) {
                Ok(body) if body.is_empty() => {}
                Ok(body) => return Ok(Some(body)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(StoreError::io(&path, error)),
            }
        }
        Ok(None)
    }
}

/// The tiles of a folder, one after the other.
#[derive(Debug)]
pub struct Tiles<'a> {
    reader: &'a Reader,
    ids: IdSet,
    endings: Vec<String>,
    run: Range<u64>,
}

impl Tiles<'_> {
    /// How many there are in all, files without bytes included.
    pub fn total(&self) -> u64 {
        self.ids.len()
    }
}

impl Iterator for Tiles<'_> {
    type Item = Result<(Tile, Vec<u8>), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.run.is_empty() {
                self.run = self.ids.run_from(self.run.end)?;
            }
            let Some(tile) = self.run.next().and_then(Tile::from_id) else { continue };
            let body = self.reader.one_of(tile, self.endings.iter().map(String::as_str)).transpose();
            if let Some(body) = body {
                return Some(body.map(|body| (tile, body)));
            }
        }
    }
}
