//! The open file, for the one who writes: its lock, its transactions, and whether it is still the one that has the name.

use std::{
    collections::BTreeSet,
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::config::DbConfig;
use softstop::{Result, Scope};

use super::{DepthRow, Order, schema::cannot_open, shed::Shed, trouble::Trouble, write::Writing};
use crate::{Progress, Saved, TRADES, Tell, minutes::Minute, track::Track};

/// How long a transaction waits for somebody else's. Not long: it is tried again, and a stop must not wait for it.
const BUSY: Duration = Duration::from_millis(500);

/// So many minutes are remembered as written: one that changes when it is older counts once more.
const REMEMBERED: usize = 10_000;

/// The open file, the lock that keeps a second collector away, and what was written so far.
pub(super) struct Database {
    pub(super) writing: Writing,
    path: PathBuf,
    /// Device and number of the file that was opened.
    identity: (u64, u64),
    lock: File,
    pub(super) tracks: Vec<Track>,
    saved: Saved,
    /// Beginnings and symbols of the newest minutes that were written, so that each is counted once.
    minutes: BTreeSet<(i64, usize)>,
    /// Symbols of which the journal may have rows that nobody needs.
    drop: BTreeSet<usize>,
    /// What begins before is not kept, as long as there may be something.
    floor: Option<i64>,
}

impl Database {
    /// Opens or makes the file, which may grow up to so many bytes.
    pub(super) fn open(path: &Path, symbols: &[String], most_bytes: Option<u64>) -> Result<Self> {
        let path = &real(path);
        let lock = lock(path)?;
        let (writing, tracks) = Writing::open(path, symbols, most_bytes)?;
        let identity = fs::metadata(path).and_then(|found| {
            writing.file.busy_timeout(BUSY).map_err(io::Error::other)?;
            Ok((found.dev(), found.ino()))
        });
        Ok(Self {
            writing,
            path: path.to_owned(),
            identity: identity.map_err(|error| cannot_open(path, &error))?,
            lock,
            tracks,
            saved: Saved::default(),
            minutes: BTreeSet::new(),
            drop: BTreeSet::new(),
            floor: None,
        })
    }

    pub(super) fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Does a job; where there is no room for it, once more after the log was moved into the file: then it begins anew, and may need none.
    pub(super) fn attempt<T>(&mut self, job: &mut impl FnMut(&mut Self) -> Result<T, Trouble>) -> Result<T, Trouble> {
        let done = job(self);
        if !done.as_ref().is_err_and(Trouble::is_full) {
            return done;
        }
        // An error is a disk that is too full even for that.
        let _ = self.writing.file.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        job(self)
    }

    /// One transaction. What could not be written stays owed.
    pub(super) fn write(&mut self, order: &Order, account: &Scope, tell: &Tell) -> Result<(), Trouble> {
        let Order { rows, known, flushes, floor } = order;
        let transaction = self.writing.file.unchecked_transaction()?;
        self.writing.append(rows)?;
        let mut summaries = Vec::new();
        for (symbol, flush) in flushes {
            self.writing.flush(*symbol, flush)?;
            for begin_ms in &flush.over {
                // One that is older than what is kept may have been dropped before anybody knew that it is over.
                summaries.extend(self.writing.summary(*symbol, *begin_ms)?);
            }
        }
        let ended = flushes.iter().filter(|(_, flush)| !flush.over.is_empty()).map(|(symbol, _)| *symbol);
        let next = self.drop.first().copied().or_else(|| ended.clone().min());
        let more = next.map_or(Ok(false), |symbol| self.writing.drop_counted(symbol))?;
        transaction.commit()?;
        self.is_there()?;

        self.floor = self.floor.max(*floor);
        self.drop.extend(ended);
        if let Some(symbol) = next.filter(|_| !more) {
            self.drop.remove(&symbol);
        }
        for (symbol, flush) in flushes {
            for minute in &flush.minutes {
                self.saved.minutes += u64::from(self.minutes.insert((minute.begin_ms, *symbol)));
            }
        }
        while self.minutes.len() > REMEMBERED {
            self.minutes.pop_first();
        }
        let rows = rows.len() as u64;
        account.settle(TRADES, rows + known);
        self.saved.trades += rows;
        self.saved.known += known;
        summaries.into_iter().for_each(|minute| tell(Progress::Minute(minute)));
        Ok(())
    }

    /// A minute as it stands in the file.
    pub(super) fn minute(&self, symbol: usize, begin_ms: i64) -> Result<Option<Minute>, Trouble> {
        Ok(self.writing.minute(symbol, begin_ms)?)
    }

    /// The first single trade of a symbol in a minute that begins then or later.
    pub(super) fn first_kept(&self, symbol: usize, floor_ms: i64) -> Result<Option<i64>, Trouble> {
        Ok(self.writing.first_kept(symbol, floor_ms)?)
    }

    /// Whether there may be something that is older than what is kept.
    pub(super) fn is_aged(&self) -> bool {
        self.floor.is_some()
    }

    /// Drops a little of that, in a transaction of its own; says what is not fetched any more.
    pub(super) fn shed(&mut self) -> Result<Shed, Trouble> {
        let Some(floor) = self.floor else { return Ok(Shed::default()) };
        let shed = self.writing.shed(floor)?;
        if !shed.more {
            self.floor = None;
        }
        Ok(shed)
    }

    /// An order book, in a transaction of its own.
    pub(super) fn put_depth(&mut self, row: &DepthRow) -> Result<(), Trouble> {
        self.writing.put_depth(row)?;
        self.is_there()?;
        self.saved.depths += 1;
        Ok(())
    }

    /// Fails where the name has become another file's, or nobody's: what is written then is lost when the file is closed.
    fn is_there(&self) -> Result<(), Trouble> {
        let what = match fs::metadata(&self.path) {
            Ok(found) if (found.dev(), found.ino()) == self.identity => return Ok(()),
            Ok(_) => "replaced",
            Err(error) if error.kind() == io::ErrorKind::NotFound => "moved or deleted",
            // What else may be wrong with it SQLite says.
            Err(_) => return Ok(()),
        };
        // By default the log of that name would be deleted, which may belong to the other file.
        let _ = self.writing.file.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        let name = self.name();
        let error = format!(
            "{name} was {what} while it was written to; put it back, with {name}-wal, or start again for a new one"
        );
        Err(Trouble::Lasting(error.into()))
    }

    pub(super) fn close(self) -> Result<Saved> {
        self.writing.close()?;
        // By name and not by dropping: a process that is just being forked may hold a copy of the file handle.
        self.lock.unlock()?;
        Ok(self.saved)
    }
}

/// Keeps a second collector away from the file.
fn lock(path: &Path) -> Result<File> {
    let lock = File::options().create(true).append(true).open(lock_of(path));
    let lock = lock.map_err(|error| cannot_open(path, &error))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        // Who only looks whether somebody collects holds it together with others, for a moment.
        Err(TryLockError::WouldBlock) if lock.try_lock_shared().is_ok() => {
            lock.lock().map_err(|error| cannot_open(path, &error))?;
            Ok(lock)
        }
        Err(TryLockError::WouldBlock) => {
            Err(format!("another `market collect` writes to {}; stop it or name another file", path.display()).into())
        }
        Err(TryLockError::Error(error)) => Err(cannot_open(path, &error).into()),
    }
}

pub(super) fn lock_of(path: &Path) -> PathBuf {
    beside(path, ".lock")
}

/// The file that SQLite keeps beside this one, whose name ends so. It follows links, and so does this: one file has one lock and one log.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = real(path).into_os_string();
    name.push(ending);
    name.into()
}

/// Without links. A file that is not there yet has the name it will have.
fn real(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| {
        let (folder, name) = (path.parent().unwrap_or(path), path.file_name().unwrap_or_default());
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        fs::canonicalize(folder).map_or_else(|_| path.to_owned(), |folder| folder.join(name))
    })
}
