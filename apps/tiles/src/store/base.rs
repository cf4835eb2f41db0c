//! What every store that a job writes to has: its SQLite file with the job's tables, a lock, and the name it was opened by.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::{
    Http, Known, StoreError,
    job::{self, Filled},
    lock::{Lock, identity},
};
use crate::{grid::Tile, ids::IdSet};

#[derive(Debug)]
pub(crate) struct Base {
    pub(crate) file: Connection,
    /// What errors name.
    pub(crate) name: PathBuf,
    pub(crate) filled: Filled,
    path: PathBuf,
    identity: Option<(u64, u64)>,
    _lock: Lock,
}

impl Base {
    /// Of a file that is open at `path`, with the tables of a job.
    pub(crate) fn new(file: Connection, name: &Path, path: &Path, lock: Lock) -> Result<Self, StoreError> {
        let identity = identity(&fs::metadata(path));
        let filled = Filled::find(&file).map_err(|error| StoreError::of(name, error))?;
        Ok(Self { file, name: name.to_owned(), filled, path: path.to_owned(), identity, _lock: lock })
    }

    pub(crate) fn job(&self, name: &str) -> Result<Option<String>, StoreError> {
        job::value(&self.file, name).map_err(|error| self.wrong(error))
    }

    pub(crate) fn set_job(&mut self, values: &[(&str, Option<&str>)]) -> Result<(), StoreError> {
        self.change(|transaction| job::set_values(transaction, values))
    }

    pub(crate) fn stale(&self, known: &Known, now: u64) -> Result<IdSet, StoreError> {
        Ok(known.except(&job::fresh(&self.file, now).map_err(|error| self.wrong(error))?))
    }

    pub(crate) fn validators(&self, tile: Tile) -> Result<Option<Http>, StoreError> {
        job::freshness(&self.file, tile).map_err(|error| self.wrong(error))
    }

    pub(crate) fn forget_failed(&mut self) -> Result<(), StoreError> {
        self.change(|transaction| transaction.execute_batch("DELETE FROM ss_fail"))
    }

    pub(crate) fn forget_answers(&mut self) -> Result<(), StoreError> {
        let all = "DELETE FROM ss_empty; DELETE FROM ss_fail; DELETE FROM ss_http";
        self.change(|transaction| transaction.execute_batch(all))
    }

    pub(crate) fn forget_empty(&mut self) -> Result<(), StoreError> {
        self.change(|transaction| transaction.execute_batch("DELETE FROM ss_empty"))
    }

    pub(crate) fn still_there(&self) -> Result<(), StoreError> {
        if identity(&fs::metadata(&self.path)) == self.identity {
            return Ok(());
        }
        Err(StoreError::Replaced { path: self.name.clone() })
    }

    /// Closes the file. Truncated, its journal would stay.
    pub(crate) fn close(self) -> Result<(), StoreError> {
        self.remove_journal().map_err(|error| self.wrong(error))
    }

    fn remove_journal(&self) -> rusqlite::Result<()> {
        // Of another file of this name it could be needed.
        if self.still_there().is_err() {
            return Ok(());
        }
        self.file.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()))
    }

    /// Changes something outside of a commit; all or nothing.
    pub(crate) fn change(
        &mut self,
        change: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), StoreError> {
        self.still_there()?;
        let changed = self.file.transaction_with_behavior(TransactionBehavior::Immediate).and_then(|transaction| {
            change(&transaction)?;
            transaction.commit()
        });
        changed.map_err(|error| self.wrong(error))
    }

    pub(crate) fn wrong(&self, error: rusqlite::Error) -> StoreError {
        StoreError::of(&self.name, error)
    }
}

impl Drop for Base {
    fn drop(&mut self) {
        let _ = self.remove_journal();
    }
}
