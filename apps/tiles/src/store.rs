//! What is known of a job's tiles, and how it is written down: the words that all stores share.
//!
//! A store takes [`Row`]s in groups. One group is one transaction of tiles and knowledge together, so after a crash a store is as it was
//! after one of the groups; see [`mbtiles`](crate::mbtiles).

mod any;
pub(crate) mod base;
mod error;
pub(crate) mod extents;
pub(crate) mod job;
pub(crate) mod lock;
mod metadata;
pub(crate) mod seen;
pub(crate) mod sqlite;
pub(crate) mod verified;
pub(crate) mod whole;

use std::collections::BTreeMap;

pub use self::{
    any::{Kind, Options, Reader, Store, Tiles, verify},
    error::StoreError,
    job::FailRow,
    metadata::Metadata,
    verified::{Agg, Verified},
};
use crate::{answer::Class, grid::Tile, ids::IdSet};

/// What became of one tile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The tile.
    pub tile: Tile,
    /// What became of it.
    pub what: What,
}

/// What became of a tile, to be remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// It is here. It replaces what was known of it.
    Stored {
        /// Its bytes, as they were served; not empty.
        body: Vec<u8>,
        /// How fresh it is.
        http: Http,
    },
    /// The server does not have it. A body that was stored before goes.
    Empty {
        /// The status that said so.
        status: u16,
        /// How fresh this is.
        http: Http,
    },
    /// What is stored is still good. Validators that are not said again stay.
    Unchanged {
        /// How fresh it is now.
        http: Http,
    },
    /// It could not be had. What is stored, and that it is empty, stays.
    Failed {
        /// The kind of failure.
        class: Class,
        /// The status, if there was an answer.
        status: Option<u16>,
        /// More, for a person, without secrets; may be empty.
        text: String,
        /// How often it was tried; added to what was tried before.
        tries: u32,
    },
}

/// How fresh a tile is, and how to ask whether it still is. Moments are seconds since 1970.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Http {
    /// `ETag` as it was served.
    pub etag: Option<String>,
    /// `Last-Modified` as it was served.
    pub last_modified: Option<String>,
    /// When it came.
    pub fetched: u64,
    /// Until when it need not be asked for.
    pub expires: Option<u64>,
}

impl Http {
    /// Whether there is anything to remember but when it came.
    pub(crate) fn says_something(&self) -> bool {
        self.etag.is_some() || self.last_modified.is_some() || self.expires.is_some()
    }
}

/// The tiles that need not be asked for, as [`Tile::id`]s.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Those whose body is there.
    pub stored: IdSet,
    /// Those that the server does not have.
    pub empty: IdSet,
    /// Those that failed the last time; one that is stored or empty may be among them, after a refresh.
    pub failed: IdSet,
    /// Those of them that failed in a way that does not pass by itself; see [`Class::is_passing`].
    pub for_good: IdSet,
}

impl Known {
    /// Those that are stored or empty.
    pub fn there(&self) -> IdSet {
        let mut there = IdSet::new();
        self.stored.ranges().chain(self.empty.ranges()).for_each(|run| there.insert_range(run));
        there
    }

    /// Those that are stored or empty and not in `fresh`.
    pub(crate) fn except(&self, fresh: &IdSet) -> IdSet {
        let mut stale = IdSet::new();
        for run in self.stored.ranges().chain(self.empty.ranges()) {
            fresh.missing(run).for_each(|missing| stale.insert_range(missing));
        }
        stale
    }
}

/// How many tiles a store has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// Those with a body, by zoom.
    pub stored: BTreeMap<u8, u64>,
    /// Those that the server does not have.
    pub empty: u64,
    /// Those that failed, by the name of the class, the most frequent first.
    pub failed: Vec<(String, u64)>,
}

/// What one commit did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Committed {
    /// Bodies written.
    pub stored: u64,
    /// Tiles noted as empty.
    pub empty: u64,
    /// Tiles noted as unchanged.
    pub unchanged: u64,
    /// Tiles noted as failed.
    pub failed: u64,
    /// Bytes of the bodies.
    pub bytes: u64,
    /// How many of these bytes had come before, in a tile with the same body: what [`Schema::Dedup`](crate::mbtiles::Schema) saves.
    pub repeated: u64,
}

impl Committed {
    pub(crate) fn count(&mut self, what: &What) {
        match what {
            What::Stored { body, .. } => {
                self.stored += 1;
                self.bytes += body.len() as u64;
            }
            What::Empty { .. } => self.empty += 1,
            What::Unchanged { .. } => self.unchanged += 1,
            What::Failed { .. } => self.failed += 1,
        }
    }
}

impl std::ops::AddAssign for Committed {
    fn add_assign(&mut self, other: Self) {
        self.stored += other.stored;
        self.empty += other.empty;
        self.unchanged += other.unchanged;
        self.failed += other.failed;
        self.bytes += other.bytes;
        self.repeated += other.repeated;
    }
}

/// The rows in the order of their keys; rows of one tile stay in theirs.
pub(crate) fn sorted(rows: &[Row]) -> Vec<&Row> {
    let mut order = rows.iter().collect::<Vec<_>>();
    order.sort_by_key(|row| (row.tile.z(), row.tile.x(), row.tile.tms_row()));
    order
}
