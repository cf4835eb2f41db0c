//! Tiles as files: `z/x/y.png` in a folder, as web servers and map programs read them.
//!
//! The job's knowledge lies in the folder too, in `.tiles-job.db`: which tiles are stored, with the tables that
//! [`mbtiles`](crate::mbtiles) has. What the tiles say of themselves lies in `metadata.json`, names and texts, as other programs write it;
//! with `"scheme": "tms"` rows count from the south.
//!
//! # Guarantees
//! - A tile has its name when all of it is there, and is safe on the disk when it counts as stored. Parts of tiles lie in `.tiles-part`
//!   and are cleared away by the next writer.
//! - One writer; a folder that holds anything that this program did not write is not changed unless it is adopted.
//! - A commit that fails may be tried again. Files of it may be there without being known; they are written anew.
//!
//! A file for each tile costs ten times what a row in MBTiles costs, and more on most disks.

mod read;
mod scan;
mod write;

use std::{fs, io, path::Path};

pub use self::{
    read::{Reader, Tiles},
    write::{Options, Writer},
};

use crate::store::{StoreError, lock::Lock};

#[cfg(test)]
#[path = "folder_tests.rs"]
mod tests;

/// Takes the job's knowledge out of a folder: what is left is tiles and what they say of themselves.
///
/// # Errors
/// There is none, a job writes to it, or it cannot be removed.
pub fn finish(root: &Path) -> Result<(), StoreError> {
    let db = root.join(JOB);
    if !db.exists() {
        return Err(StoreError::Foreign { path: root.to_owned() });
    }
    let _lock = Lock::take(&db).map_err(|error| match error {
        StoreError::Locked { .. } => StoreError::Locked { path: root.to_owned() },
        error => error,
    })?;
    let removed = fs::remove_dir_all(root.join(PARTS)).or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    });
    removed.and_then(|()| fs::remove_file(&db)).map_err(|error| StoreError::io(root, error))
}

/// What the job knows.
const JOB: &str = ".tiles-job.db";
/// Where tiles are written until they are whole.
const PARTS: &str = ".tiles-part";
/// What the tiles say of themselves.
const METADATA: &str = "metadata.json";
