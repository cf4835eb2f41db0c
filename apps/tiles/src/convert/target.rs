//! Stores that are there when they are whole, and not before.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use super::Options;
use crate::{
    check::Format,
    folder, mbtiles, pmtiles,
    store::{
        Kind, Metadata, Row, StoreError, What,
        lock::Lock,
        sqlite,
        whole::{Part, beside, ours, sync_folder},
    },
};

/// What is being made, under another name.
pub(super) enum Target {
    Mbtiles { file: Box<mbtiles::Writer>, part: Part },
    Pmtiles(Box<pmtiles::Writer>),
    Folder { folder: Box<folder::Writer>, part: PartFolder },
}

impl Target {
    pub(super) fn begin(to: &Path, format: Option<Format>, options: &Options) -> Result<Self, StoreError> {
        let Options { schema, tms, replace } = *options;
        Ok(match Kind::of(to) {
            Kind::Pmtiles => {
                Self::Pmtiles(Box::new(pmtiles::Writer::create(to, &pmtiles::Options { format, replace })?))
            }
            Kind::Mbtiles => {
                // Without the handle: SQLite alone opens it.
                let (part, _) = Part::begin(to, replace)?;
                remove_beside(part.part(), &["-journal"])?;
                let file = mbtiles::Writer::open(part.part(), &mbtiles::Options { schema, adopt: false })?;
                // Nothing of it counts before all of it is synced, at the end.
                file.base.file.pragma_update(None, "synchronous", "OFF").map_err(|error| file.base.wrong(error))?;
                Self::Mbtiles { file: Box::new(file), part }
            }
            Kind::Folder => {
                let part = PartFolder::begin(to, replace)?;
                let folder = folder::Writer::open(&part.part, &folder::Options { tms, adopt: false })?;
                Self::Folder { folder: Box::new(folder), part }
            }
        })
    }

    pub(super) fn put(&mut self, rows: &[Row]) -> Result<(), StoreError> {
        match self {
            Self::Mbtiles { file, .. } => file.commit(rows).map(drop),
            Self::Folder { folder, .. } => folder.commit(rows).map(drop),
            Self::Pmtiles(file) => rows.iter().try_for_each(|row| match &row.what {
                What::Stored { body, .. } => file.put(row.tile, body),
                _ => Ok(()),
            }),
        }
    }

    pub(super) fn finish(self, metadata: &Metadata) -> Result<(), StoreError> {
        match self {
            Self::Pmtiles(file) => file.finish(metadata).map(drop),
            Self::Mbtiles { mut file, part } => {
                file.set_metadata(metadata)?;
                mbtiles::seal(*file)?;
                settle_old(part.path())?;
                let file = File::open(part.part()).map_err(|error| StoreError::io(part.path(), error))?;
                part.place(&file)
            }
            Self::Folder { mut folder, part } => {
                folder.set_metadata(metadata)?;
                folder.seal()?;
                part.place()
            }
        }
    }
}

/// What SQLite has not finished with a file that is to be replaced would be done to the new one.
fn settle_old(path: &Path) -> Result<(), StoreError> {
    if path.exists() {
        // Whatever it is, it goes; this is for its journal.
        let _ = sqlite::readable(path, |file| {
            let count = file.query_row("SELECT COUNT(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0));
            count.map_err(|error| StoreError::of(path, error))
        });
    }
    remove_beside(path, &["-journal", "-wal", "-shm"])
}

fn remove_beside(path: &Path, endings: &[&str]) -> Result<(), StoreError> {
    for ending in endings {
        match fs::remove_file(beside(path, ending)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(StoreError::io(path, error)),
            _ => {}
        }
    }
    Ok(())
}

/// A folder that is being made under another name. Dropped before it is put in place, it goes.
#[derive(Debug)]
pub(super) struct PartFolder {
    path: PathBuf,
    part: PathBuf,
    old: PathBuf,
    _lock: Lock,
}

impl PartFolder {
    fn begin(path: &Path, replace: bool) -> Result<Self, StoreError> {
        // A slash behind would make the part a part of the folder.
        let path = path.components().collect::<PathBuf>();
        let lock = Lock::take(&path)?;
        if !replace && fs::read_dir(&path).is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(StoreError::Exists { path });
        }
        let (part, old) = (ours(&path, "part"), ours(&path, "old"));
        remove(&part).map_err(|error| StoreError::io(&path, error))?;
        Ok(Self { path, part, old, _lock: lock })
    }

    fn place(self) -> Result<(), StoreError> {
        let place = || {
            if self.path.exists() {
                remove(&self.old)?;
                fs::rename(&self.path, &self.old)?;
            }
            fs::rename(&self.part, &self.path)?;
            sync_folder(&self.path)?;
            remove(&self.old)
        };
        place().map_err(|error| StoreError::io(&self.path, error))
    }
}

impl Drop for PartFolder {
    fn drop(&mut self) {
        let _ = remove(&self.part);
    }
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
