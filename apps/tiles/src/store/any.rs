//! A store of any kind, so that who writes or reads tiles need not care.

use std::{
    fs::{self, File},
    io::Read,
    path::Path,
};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::{
    Committed, FailRow, Http, Known, Metadata, Row, Status, StoreError, Verified, base::Base, sqlite::connect,
};
use crate::{
    folder,
    grid::Tile,
    ids::IdSet,
    mbtiles::{self, Schema},
    pmtiles,
};

/// The kinds of store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// See [`mbtiles`].
    Mbtiles,
    /// See [`pmtiles`].
    Pmtiles,
    /// See [`folder`].
    Folder,
}

impl Kind {
    /// The kind of what is there or, where there is nothing, of the name: `.pmtiles`; without ending, or with a slash behind, a folder;
    /// otherwise MBTiles.
    pub fn of(path: &Path) -> Self {
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => Self::Folder,
            // Nothing in it says what it is.
            Ok(metadata) if metadata.len() == 0 && ending.as_deref() == Some("pmtiles") => Self::Pmtiles,
            // Opening a pipe would wait for somebody at its other end.
            Ok(metadata) if !metadata.is_file() => Self::Mbtiles,
            Ok(_) if ending.as_deref() != Some("mbtiles") && !is_sqlite(path) && begins_as_pmtiles(path) => {
                Self::Pmtiles
            }
            Ok(_) => Self::Mbtiles,
            Err(_) if path.as_os_str().as_encoded_bytes().ends_with(b"/") => Self::Folder,
            Err(_) => match ending.as_deref() {
                Some("pmtiles") => Self::Pmtiles,
                Some(_) => Self::Mbtiles,
                None => Self::Folder,
            },
        }
    }
}

/// Asked of SQLite, which alone may open its files: see [`connect`].
fn is_sqlite(path: &Path) -> bool {
    let look = |file: &Connection| file.query_row("PRAGMA schema_version", [], |row| row.get::<_, i64>(0));
    let looked = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map(|file| look(&file));
    !matches!(looked, Ok(Err(error)) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase))
}

fn begins_as_pmtiles(path: &Path) -> bool {
    let mut start = [0; 7];
    File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok() && start == *b"PMTiles"
}

/// How a store is opened.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Of a new MBTiles file.
    pub schema: Schema,
    /// In a new folder, rows count from the south.
    pub tms: bool,
    /// Takes over what this program did not begin or has finished.
    pub adopt: bool,
}

/// A store that a job writes to. There is one at a time for a path.
#[derive(Debug)]
pub enum Store {
    /// An MBTiles file.
    Mbtiles(mbtiles::Writer),
    /// A folder.
    Folder(folder::Writer),
}

impl Store {
    /// Opens a store to go on with it, or makes one; see [`Kind::of`].
    ///
    /// # Errors
    /// Among others: another writer has it, it is something else, it is PMTiles, or this program did not begin it and is not to adopt it.
    pub fn open(path: &Path, options: &Options) -> Result<Self, StoreError> {
        let Options { schema, tms, adopt } = *options;
        Ok(match Kind::of(path) {
            Kind::Mbtiles => Self::Mbtiles(mbtiles::Writer::open(path, &mbtiles::Options { schema, adopt })?),
            Kind::Folder => Self::Folder(folder::Writer::open(path, &folder::Options { tms, adopt })?),
            Kind::Pmtiles => return Err(StoreError::NotAppendable { path: path.to_owned() }),
        })
    }

    /// Which tiles it knows.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn known(&self) -> Result<Known, StoreError> {
        match self {
            Self::Mbtiles(file) => file.known(),
            Self::Folder(folder) => folder.known(),
        }
    }

    /// Writes what became of tiles, in one transaction; see [`mbtiles::Writer::commit`].
    ///
    /// # Errors
    /// Nothing is known then that was not before, and the same rows may be tried again, but for [`StoreError::Replaced`].
    pub fn commit(&mut self, rows: &[Row]) -> Result<Committed, StoreError> {
        match self {
            Self::Mbtiles(file) => file.commit(rows),
            Self::Folder(folder) => folder.commit(rows),
        }
    }

    /// What the store says of itself.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn metadata(&self) -> Result<Metadata, StoreError> {
        match self {
            Self::Mbtiles(file) => file.metadata(),
            Self::Folder(folder) => folder.metadata(),
        }
    }

    /// Makes the store say this of itself; names that are not in it stay as they are.
    ///
    /// # Errors
    /// It cannot be written; then nothing has changed.
    pub fn set_metadata(&mut self, values: &Metadata) -> Result<(), StoreError> {
        match self {
            Self::Mbtiles(file) => file.set_metadata(values),
            Self::Folder(folder) => folder.set_metadata(values),
        }
    }

    /// What the job keeps under a name.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn job(&self, name: &str) -> Result<Option<String>, StoreError> {
        self.base().job(name)
    }

    /// Sets what the job keeps under these names, or takes it out; all or nothing.
    ///
    /// # Errors
    /// It cannot be written; then nothing has changed.
    pub fn set_job(&mut self, values: &[(&str, Option<&str>)]) -> Result<(), StoreError> {
        self.base_mut().set_job(values)
    }

    /// The stored and the empty tiles of which it is not known that they are still fresh.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn stale(&self, now: u64) -> Result<IdSet, StoreError> {
        self.base().stale(&self.known()?, now)
    }

    /// How fresh a tile is and how to ask whether it still is; none where nothing was said.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn validators(&self, tile: Tile) -> Result<Option<Http>, StoreError> {
        self.base().validators(tile)
    }

    /// Forgets which tiles failed.
    ///
    /// # Errors
    /// It cannot be written; then nothing has changed.
    pub fn forget_failed(&mut self) -> Result<(), StoreError> {
        self.base_mut().forget_failed()
    }

    /// Forgets which tiles are empty.
    ///
    /// # Errors
    /// It cannot be written; then nothing has changed.
    pub fn forget_empty(&mut self) -> Result<(), StoreError> {
        self.base_mut().forget_empty()
    }

    /// Forgets all that the server said: which tiles are empty, which failed, and how fresh the others are.
    ///
    /// # Errors
    /// It cannot be written; then nothing has changed.
    pub fn forget_answers(&mut self) -> Result<(), StoreError> {
        self.base_mut().forget_answers()
    }

    /// Sees that the name still leads to what is open; every commit does.
    ///
    /// # Errors
    /// It does not.
    pub fn still_there(&self) -> Result<(), StoreError> {
        self.base().still_there()
    }

    /// Closes the store. What was committed is safe without it.
    ///
    /// # Errors
    /// What was only needed for writing could not be taken away.
    pub fn close(self) -> Result<(), StoreError> {
        match self {
            Self::Mbtiles(file) => file.close(),
            Self::Folder(folder) => folder.close(),
        }
    }

    fn base(&self) -> &Base {
        match self {
            Self::Mbtiles(file) => &file.base,
            Self::Folder(folder) => &folder.base,
        }
    }

    fn base_mut(&mut self) -> &mut Base {
        match self {
            Self::Mbtiles(file) => &mut file.base,
            Self::Folder(folder) => &mut folder.base,
        }
    }
}

/// A store that is read. It may be written meanwhile.
#[derive(Debug)]
pub enum Reader {
    /// An MBTiles file.
    Mbtiles(mbtiles::Reader),
    /// A PMTiles file.
    Pmtiles(pmtiles::Reader),
    /// A folder.
    Folder(folder::Reader),
}

/// The tiles of a store with their bodies, one after the other by [`Tile::id`].
pub type Tiles<'a> = Box<dyn Iterator<Item = Result<(Tile, Vec<u8>), StoreError>> + 'a>;

impl Reader {
    /// Opens a store to read it; see [`Kind::of`].
    ///
    /// # Errors
    /// It is not there, not readable, or something else.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Ok(match Kind::of(path) {
            Kind::Mbtiles => Self::Mbtiles(mbtiles::Reader::open(path)?),
            Kind::Pmtiles => Self::Pmtiles(pmtiles::Reader::open(path)?),
            Kind::Folder => Self::Folder(folder::Reader::open(path, None)?),
        })
    }

    /// What the store says of itself.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn metadata(&self) -> Result<Metadata, StoreError> {
        match self {
            Self::Mbtiles(file) => file.metadata(),
            Self::Pmtiles(file) => file.metadata(),
            Self::Folder(folder) => folder.metadata(),
        }
    }

    /// All tiles, and how many there are, where that is known.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn tiles(&self) -> Result<(Tiles<'_>, Option<u64>), StoreError> {
        Ok(match self {
            Self::Mbtiles(file) => {
                let tiles = file.tiles()?;
                let total = tiles.total();
                (Box::new(tiles), Some(total))
            }
            Self::Pmtiles(file) => {
                let tiles = file.tiles()?;
                let total = tiles.total();
                (Box::new(tiles), total)
            }
            Self::Folder(folder) => {
                let tiles = folder.tiles()?;
                let total = tiles.total();
                (Box::new(tiles), Some(total))
            }
        })
    }

    /// The body of a tile.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn body(&self, tile: Tile) -> Result<Option<Vec<u8>>, StoreError> {
        match self {
            Self::Mbtiles(file) => file.body(tile),
            Self::Pmtiles(file) => file.body(tile),
            Self::Folder(folder) => folder.body(tile),
        }
    }

    /// Counts its tiles.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn status(&self) -> Result<Status, StoreError> {
        match self {
            Self::Mbtiles(file) => file.status(),
            Self::Folder(folder) => folder.status(),
            Self::Pmtiles(file) => file.status(),
        }
    }

    /// Which tiles it knows.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn known(&self) -> Result<Known, StoreError> {
        match self {
            Self::Mbtiles(file) => file.known(),
            Self::Pmtiles(file) => file.known(),
            Self::Folder(folder) => folder.known(),
        }
    }

    /// How fresh a tile is and how to ask whether it still is; none where nothing was said.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn validators(&self, tile: Tile) -> Result<Option<Http>, StoreError> {
        match self {
            Self::Mbtiles(file) => file.validators(tile),
            Self::Pmtiles(_) => Ok(None),
            Self::Folder(folder) => folder.validators(tile),
        }
    }

    /// The tiles that failed.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn failures(&self) -> Result<Vec<FailRow>, StoreError> {
        match self {
            Self::Mbtiles(file) => file.failures(),
            Self::Folder(folder) => folder.failures(),
            Self::Pmtiles(_) => Ok(Vec::new()),
        }
    }

    /// Whether it belongs to a job that is not finished.
    pub fn has_job(&self) -> bool {
        match self {
            Self::Mbtiles(file) => file.has_job(),
            Self::Folder(folder) => folder.has_job(),
            Self::Pmtiles(_) => false,
        }
    }

    /// What the job keeps under a name.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn job(&self, name: &str) -> Result<Option<String>, StoreError> {
        match self {
            Self::Mbtiles(file) => file.job(name),
            Self::Folder(folder) => folder.job(name),
            Self::Pmtiles(_) => Ok(None),
        }
    }
}

/// Reads all of a store: each body, the counts; of MBTiles the structure and the hash too. See [`mbtiles::verify`].
///
/// # Errors
/// It cannot be read.
pub fn verify(path: &Path) -> Result<Verified, StoreError> {
    if Kind::of(path) == Kind::Mbtiles {
        return mbtiles::verify(path);
    }
    let reader = Reader::open(path)?;
    let mut verified = Verified::of(&reader.metadata()?);
    for item in reader.tiles()?.0 {
        match item {
            Ok((tile, body)) => verified.add(tile, &body),
            Err(StoreError::Damaged { what, .. }) => verified.damage.push(what),
            Err(error) => return Err(error),
        }
    }
    if let Reader::Pmtiles(file) = &reader {
        let (counted, said) = (verified.tiles.values().sum::<u64>(), file.header().tiles);
        if said > 0 && said != counted {
            verified.damage.push(format!("its header says {said} tiles, there are {counted}"));
        }
    }
    if let Reader::Folder(folder) = &reader {
        for tile in folder.known()?.stored.ranges().flatten().filter_map(Tile::from_id) {
            if folder.body(tile)?.is_none() {
                verified.add(tile, b"");
            }
        }
    }
    Ok(verified)
}

#[cfg(test)]
#[path = "any_tests.rs"]
mod tests;
