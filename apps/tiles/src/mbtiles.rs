//! The file that holds the tiles and the knowledge of them: MBTiles 1.3 in SQLite.
//!
//! The file is its own progress record. Besides `metadata` and `tiles` it has tables of its own while a job is not finished: `ss_job`
//! (names and values), `ss_empty` (tiles that the server does not have), `ss_fail` (tiles that failed, and why) and `ss_http` (how fresh a
//! tile is). One [`Writer::commit`] is one transaction of all of them: after a crash the file is as it was after one of the commits.
//! [`finish`](finish()) takes these tables out.
//!
//! # Guarantees
//! - One writer: a second one is refused at once. Readers may look in at any time, also while it is written.
//! - A file that this program did not begin, or has finished, is not changed unless it is adopted.
//! - A commit that fails changes nothing and may be tried again.
//!
//! # Choices
//! A rollback journal and not a WAL: new pages need no journal, so each page is written once. `synchronous = FULL`, 4 KiB pages, tiles in
//! a rowid table with a unique index. In groups of 250 tiles of 10 KB this writes some 40,000 tiles per second of CPU, 30,000 where each
//! comes with validators.
//!
//! Rows in the file count from the south (TMS); everything in this module's interface is a [`Tile`](crate::grid::Tile).

mod finish;
mod keys;
mod open;
mod read;
mod schema;
mod verify;
mod write;

pub(crate) use self::finish::seal;
pub use self::{
    finish::finish,
    open::Options,
    read::{Reader, Tiles},
    schema::Schema,
    verify::verify,
    write::Writer,
};
pub use crate::store::{
    Agg, Committed, FailRow, Http, Known, Metadata, Row, Status, StoreError as MbtilesError, Verified, What,
};

#[cfg(test)]
#[path = "mbtiles_tests.rs"]
mod tests;
