//! PMTiles v3: one file of tiles that needs no database to be read, also from afar by ranges of bytes.
//!
//! Such a file cannot be added to, so it is made of tiles that are all there: [`Writer`] takes them by [`Tile::id`](crate::grid::Tile::id),
//! writes their bytes once as they come, and the directories behind them. Until it is whole the file has another name. Memory does not
//! grow with the number of tiles.
//!
//! Layout: the header and the root directory in the first 16,384 bytes, then the bodies, the leaf directories and the metadata. The
//! specification leaves the order open but for the first two: <https://github.com/protomaps/PMTiles/blob/main/spec/v3/spec.md>.
//!
//! What comes again in a row is one entry; what comes again later is found by its hash if it came among the last 65,536 different
//! bodies, or more often than that.

mod directory;
mod header;
mod metadata;
mod read;
mod write;

pub use self::{
    header::{Compression, Header},
    read::{Reader, Tiles},
    write::{Options, Writer, Written},
};

#[cfg(test)]
#[path = "pmtiles_tests.rs"]
mod tests;
