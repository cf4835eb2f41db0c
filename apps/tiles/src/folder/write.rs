//! Writing to a folder.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior};
use serde_json::{Map, Value};

use super::{JOB, METADATA, PARTS, scan};
use crate::{
    check::{self, Format},
    grid::Tile,
    ids::IdSet,
    store::{
        Committed, Http, Known, Metadata, Row, StoreError, What,
        base::Base,
        job::{self, Lazy, Notes},
        lock::Lock,
        seen::Seen,
        sorted,
        sqlite::{connect, settle},
        verified, whole,
    },
};

/// `ss_gone` has files that are to go: where a crash came first, the next writer takes them away.
const TABLES: &str = "
CREATE TABLE IF NOT EXISTS ss_stored (z INTEGER, x INTEGER, row INTEGER, ending TEXT, PRIMARY KEY (z, x, row)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ss_gone (z INTEGER, x INTEGER, row INTEGER, ending TEXT, PRIMARY KEY (z, x, row, ending)) WITHOUT ROWID;";

/// So many files are written before the first of them is waited for: the disk takes them together.
const OPEN: usize = 64;

/// How a folder is opened.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Rows of a new folder count from the south; one that is there keeps its own way.
    pub tms: bool,
    /// Takes over a folder with tiles, or anything else, in it. Tiles that are whole count as stored.
    pub adopt: bool,
}

/// A folder that is being written. There is one at a time for a folder.
#[derive(Debug)]
pub struct Writer {
    pub(crate) base: Base,
    root: PathBuf,
    tms: bool,
    seen: Seen,
}

/// A tile of a commit that waits for its name.
struct Waiting {
    part: PathBuf,
    place: PathBuf,
}

impl Writer {
    /// Opens a folder to go on with it, or makes one in a folder that is there.
    ///
    /// # Errors
    /// Among others: another writer has it, it is no folder, or it holds something else and is not to be adopted.
    pub fn open(root: &Path, options: &Options) -> Result<Self, StoreError> {
        let db = root.join(JOB);
        let began = db.exists();
        let wrong = |error| StoreError::io(root, error);
        let others = match fs::read_dir(root) {
            Ok(mut entries) => !began && entries.next().is_some(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir(root).and_then(|()| whole::sync_folder(root)).map_err(wrong)?;
                false
            }
            Err(error) => return Err(wrong(error)),
        };
        if others && !options.adopt {
            return Err(StoreError::Foreign { path: root.to_owned() });
        }
        let lock = Lock::take(&db).map_err(|error| match error {
            StoreError::Locked { .. } => StoreError::Locked { path: root.to_owned() },
            other => other,
        })?;
        let mut file = connect(&db, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
        if !began && options.tms && !others {
            put_metadata(root, &Metadata::from_iter([("scheme", "tms")]))?;
        }
        let tms = scan::is_tms(&scan::metadata(root)?);
        prepare(&mut file, others.then(|| whole_tiles(root, tms)).transpose()?)
            .map_err(|error| StoreError::of(&db, error))?;
        let mut writer =
            Self { base: Base::new(file, root, &db, lock)?, root: root.to_owned(), tms, seen: Seen::default() };
        writer.clear()?;
        Ok(writer)
    }

    /// Whether rows count from the south.
    pub fn is_tms(&self) -> bool {
        self.tms
    }

    /// Which tiles it knows.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn known(&self) -> Result<Known, StoreError> {
        known(&self.base.file).map_err(|error| self.base.wrong(error))
    }

    /// What the job keeps under a name.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn job(&self, name: &str) -> Result<Option<String>, StoreError> {
        self.base.job(name)
    }

    /// Sets what the job keeps under these names, or takes it out; all or nothing.
    ///
    /// # Errors
    /// It cannot be written; then nothing has changed.
    pub fn set_job(&mut self, values: &[(&str, Option<&str>)]) -> Result<(), StoreError> {
        self.base.set_job(values)
    }

    /// What the folder says of itself.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn metadata(&self) -> Result<Metadata, StoreError> {
        scan::metadata(&self.root)
    }

    /// Makes the folder say this of itself; names that are not in it stay as they are, and so does the way that rows are counted.
    ///
    /// # Errors
    /// It cannot be written; then nothing has changed.
    pub fn set_metadata(&mut self, values: &Metadata) -> Result<(), StoreError> {
        self.base.still_there()?;
        let mut metadata = self.metadata()?;
        values.iter().for_each(|(name, value)| metadata.set(name, value));
        metadata.set("scheme", if self.tms { "tms" } else { "" });
        put_metadata(&self.root, &metadata)
    }

    /// Writes what became of tiles: the files first, then, when they are safe on the disk, what is known of them.
    ///
    /// Of two rows for one tile the later one counts, as if it had come in another commit.
    ///
    /// # Errors
    /// Nothing is known then that was not before, and the same rows may be tried again.
    pub fn commit(&mut self, rows: &[Row]) -> Result<Committed, StoreError> {
        self.base.still_there()?;
        let rows = sorted(rows);
        let mut committed = Committed::default();
        let waiting = self.write_parts(&rows, &mut committed);
        waiting.and_then(|waiting| self.place(&waiting)).map_err(|error| StoreError::io(&self.root, error))?;
        let gone = self.note(&rows, &mut committed).map_err(|error| self.base.wrong(error))?;
        for (tile, ending) in gone {
            self.remove(tile, &ending)?;
        }
        self.base.still_there()?;
        Ok(committed)
    }

    /// Writes the last body of each tile, under another name.
    fn write_parts(&mut self, rows: &[&Row], committed: &mut Committed) -> io::Result<Vec<Waiting>> {
        let (mut waiting, mut files) = (Vec::new(), Vec::with_capacity(OPEN));
        for of_one in rows.chunk_by(|a, b| a.tile == b.tile) {
            let Some((tile, body)) = last_body(of_one) else { continue };
            let part = self.root.join(PARTS).join(waiting.len().to_string());
            let mut file = File::create(&part)?;
            file.write_all(body)?;
            files.push(file);
            if files.len() == OPEN {
                files.drain(..).try_for_each(|file| file.sync_data())?;
            }
            waiting.push(Waiting { part, place: scan::path(&self.root, tile, self.tms, ending(body)) });
            if self.seen.find(body, 0).is_some() {
                committed.repeated += body.len() as u64;
            }
        }
        files.drain(..).try_for_each(|file| file.sync_data())?;
        Ok(waiting)
    }

    /// Gives the files their names, and makes these last.
    fn place(&self, waiting: &[Waiting]) -> io::Result<()> {
        let mut changed = BTreeSet::new();
        for Waiting { part, place } in waiting {
            if fs::rename(part, place).is_err() {
                let Some(column) = place.parent() else { continue };
                fs::create_dir_all(column)?;
                changed.extend(column.ancestors().skip(1).take(2).map(Path::to_owned));
                fs::rename(part, place)?;
            }
            changed.extend(place.parent().map(Path::to_owned));
        }
        changed.iter().try_for_each(|folder| File::open(folder)?.sync_all())
    }

    /// One transaction; answers the files that are to go.
    fn note(&mut self, rows: &[&Row], committed: &mut Committed) -> rusqlite::Result<Vec<(Tile, String)>> {
        let transaction = self.base.file.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch("DELETE FROM ss_gone")?;
        let mut gone = Vec::new();
        {
            let mut notes = Notes::new(&transaction, &mut self.base.filled);
            let mut stored = Lazy::new(&transaction, "INSERT OR REPLACE INTO ss_stored VALUES (?1, ?2, ?3, ?4)");
            let mut empty = Lazy::new(&transaction, "DELETE FROM ss_stored WHERE z = ?1 AND x = ?2 AND row = ?3");
            let mut mark = Lazy::new(&transaction, "INSERT OR IGNORE INTO ss_gone VALUES (?1, ?2, ?3, ?4)");
            let mut before =
                transaction.prepare("SELECT ending FROM ss_stored WHERE z = ?1 AND x = ?2 AND row = ?3")?;
            for Row { tile, what } in rows {
                let key = (tile.z(), tile.x(), tile.tms_row());
                let now = match what {
                    What::Stored { body, .. } => Some(ending(body)),
                    What::Empty { .. } => None,
                    _ => {
                        notes.note(*tile, what)?;
                        committed.count(what);
                        continue;
                    }
                };
                let old: Option<String> = before.query_row(key, |row| row.get(0)).optional()?;
                match now {
                    Some(ending) => stored.execute((key.0, key.1, key.2, ending))?,
                    None => empty.execute(key)?,
                }
                if let Some(old) = old.filter(|old| now != Some(old)) {
                    mark.execute((key.0, key.1, key.2, &old))?;
                    gone.push((*tile, old));
                }
                notes.note(*tile, what)?;
                committed.count(what);
            }
        }
        transaction.commit().map(|()| gone)
    }

    /// Takes a file away, unless it is a stored tile's.
    fn remove(&self, tile: Tile, ending: &str) -> Result<(), StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM ss_stored WHERE z = ?1 AND x = ?2 AND row = ?3 AND ending = ?4)";
        let key = (tile.z(), tile.x(), tile.tms_row(), ending);
        let stored = self.base.file.query_row(sql, key, |row| row.get(0)).map_err(|error| self.base.wrong(error))?;
        match if stored { Ok(()) } else { fs::remove_file(scan::path(&self.root, tile, self.tms, ending)) } {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io(&self.root, error)),
            _ => Ok(()),
        }
    }

    /// Clears away what a crash left.
    fn clear(&mut self) -> Result<(), StoreError> {
        let parts = self.root.join(PARTS);
        let clear = || {
            match fs::remove_dir_all(&parts) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            fs::create_dir(&parts)
        };
        clear().map_err(|error| StoreError::io(&self.root, error))?;
        let read = || {
            let mut query = self.base.file.prepare("SELECT z, x, row, ending FROM ss_gone")?;
            query
                .query_map([], |row| Ok((job::key(row), row.get::<_, String>(3)?)))?
                .collect::<rusqlite::Result<Vec<_>>>()
        };
        for (tile, ending) in read().map_err(|error| self.base.wrong(error))? {
            if let Some(tile) = tile {
                self.remove(tile, &ending)?;
            }
        }
        Ok(())
    }

    /// The stored and the empty tiles of which it is not known that they are still fresh.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn stale(&self, now: u64) -> Result<IdSet, StoreError> {
        self.base.stale(&self.known()?, now)
    }

    /// How fresh a tile is and how to ask whether it still is; none where nothing was said.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn validators(&self, tile: Tile) -> Result<Option<Http>, StoreError> {
        self.base.validators(tile)
    }

    /// Closes the folder. What was committed is safe without it.
    ///
    /// # Errors
    /// What was only needed for writing could not be taken away.
    pub fn close(self) -> Result<(), StoreError> {
        let removed = fs::remove_dir_all(self.root.join(PARTS));
        removed.map_err(|error| StoreError::io(&self.root, error))?;
        self.base.close()
    }
}

impl Writer {
    /// Closes the folder and takes the job out of it.
    pub(crate) fn seal(self) -> Result<(), StoreError> {
        let db = self.root.join(JOB);
        self.close()?;
        fs::remove_file(&db).map_err(|error| StoreError::io(&db, error))
    }
}

/// The body that is left after all rows of one tile.
fn last_body<'a>(rows: &[&'a Row]) -> Option<(Tile, &'a [u8])> {
    rows.iter().rev().find_map(|row| match &row.what {
        What::Stored { body, .. } => Some(Some((row.tile, &body[..]))),
        What::Empty { .. } => Some(None),
        _ => None,
    })?
}

/// The ending for a body.
fn ending(body: &[u8]) -> &'static str {
    check::check(body, None).map_or("bin", |found| found.format.name())
}

/// Makes the tables where there are none, with the tiles that are there.
fn prepare(file: &mut Connection, tiles: Option<Vec<(Tile, String)>>) -> rusqlite::Result<()> {
    settle(file)?;
    let transaction = file.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(TABLES)?;
    job::create(&transaction)?;
    let mut stored = transaction.prepare("INSERT OR REPLACE INTO ss_stored VALUES (?1, ?2, ?3, ?4)")?;
    for (tile, ending) in tiles.into_iter().flatten() {
        stored.execute((tile.z(), tile.x(), tile.tms_row(), ending))?;
    }
    drop(stored);
    transaction.commit()
}

/// The tiles of a folder that are whole and what their ending says.
fn whole_tiles(root: &Path, tms: bool) -> Result<Vec<(Tile, String)>, StoreError> {
    let wrong = |error| StoreError::io(root, error);
    let found = scan::scan(root, tms).map_err(wrong)?;
    let mut tiles = Vec::new();
    for tile in found.ids.ranges().flatten().filter_map(Tile::from_id) {
        for ending in &found.endings {
            let body = match fs::read(scan::path(root, tile, tms, ending)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                body => body.map_err(wrong)?,
            };
            if verified::whole(&body, None).is_ok_and(|format| Format::named(ending) == Some(format)) {
                tiles.push((tile, ending.clone()));
            }
        }
    }
    Ok(tiles)
}

/// Which tiles a folder's job knows.
pub(super) fn known(file: &Connection) -> rusqlite::Result<Known> {
    let stored = job::ids(&mut file.prepare("SELECT z, x, row FROM ss_stored")?, [])?;
    let mut known = Known { stored, ..Known::default() };
    job::known(file, &mut known).map(|()| known)
}

fn put_metadata(root: &Path, metadata: &Metadata) -> Result<(), StoreError> {
    let object: Map<String, Value> = metadata.iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    let (part, mut file) = whole::Part::begin(&root.join(METADATA), true)?;
    file.write_all(format!("{:#}\n", Value::Object(object)).as_bytes()).map_err(|error| StoreError::io(root, error))?;
    part.place(&file)
}
