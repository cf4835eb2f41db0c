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

pub use self::{
    read::{Reader, Tiles},
    write::{Options, Writer},
};

#[cfg(test)]
#[path = "folder_tests.rs"]
mod tests;

/// What the job knows.
const JOB: &str = ".tiles-job.db";
/// Where tiles are written until they are whole.
const PARTS: &str = ".tiles-part";
/// What the tiles say of themselves.
const METADATA: &str = "metadata.json";
