//! Making a store of one kind of a store of another, or of the same with another layout.
//!
//! Tiles go over one after the other by their ids, so memory does not grow with their number. Bodies stay as they are, byte by byte; only
//! vector tiles are compressed where the target has them so. What the source says of itself goes over, and what it does not say, where the
//! tiles lie and what they are, is added. Of a job nothing goes over: the target is finished.
//!
//! # Guarantees
//! - The target has its name when it is whole. Ended, or after an error, nothing is left of it; after a crash `.tiles-part-NAME`, which the next
//!   attempt takes away.
//! - What has the target's name is not touched, unless it is to be replaced; then it goes when the new one is whole. Of a folder that is
//!   replaced, a crash between two renames leaves `.tiles-old-NAME`.
//! - The source is not changed. It may be written meanwhile; then the tiles are those that were there at the beginning.

mod target;

use std::{ops::ControlFlow, path::Path};

use self::target::Target;
use crate::{
    check::{self, Format},
    gzip,
    mbtiles::Schema,
    store::{Http, Kind, Metadata, Reader, Row, StoreError, What, extents::Extents},
};

/// Under this name PMTiles say, as a checksum, for which job they were made.
pub const MADE_FOR: &str = "tiles_made_for";

/// So many tiles go over at once.
const GROUP: usize = 250;

/// What is made.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Of an MBTiles file: [`Schema::Flat`] or [`Schema::Dedup`].
    pub schema: Schema,
    /// In a folder, rows count from the south.
    pub tms: bool,
    /// What has the target's name goes when the new one is whole.
    pub replace: bool,
}

/// How far it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Tiles that went over.
    pub tiles: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// Tiles in all, where that is known. Those without bytes are among them and do not go over.
    pub total: Option<u64>,
}

/// Makes `to` of `from`; their kinds are those of [`Kind::of`]. `each` is called after each group of tiles, and may end it; then nothing is
/// answered, and nothing made.
///
/// # Errors
/// The source cannot be read, the target is there, or cannot be written.
pub fn convert(
    from: &Path,
    to: &Path,
    options: &Options,
    mut each: impl FnMut(&Progress) -> ControlFlow<()>,
) -> Result<Option<Progress>, StoreError> {
    let source = Reader::open(from)?;
    let mut metadata = source.metadata()?;
    let (tiles, total) = source.tiles()?;
    let mut tiles = tiles.peekable();
    // What the tiles are counts for more than what is said of them.
    let format = match tiles.peek() {
        Some(Ok((_, body))) => check::check(body, None).ok().map(|found| found.format),
        _ => None,
    };
    let format = format.or_else(|| metadata.format());
    let mut target = Target::begin(to, format, options)?;
    let (mut progress, mut rows, mut extents) =
        (Progress { total, ..Progress::default() }, Vec::new(), Extents::default());
    let packs = format == Some(Format::Mvt) && Kind::of(to) != Kind::Folder;
    for item in tiles {
        let (tile, mut body) = item?;
        if packs && !body.starts_with(&[0x1F, 0x8B]) {
            body = gzip::pack(&body).map_err(|error| StoreError::io(to, error))?;
        }
        extents.add(tile);
        progress.tiles += 1;
        progress.bytes += body.len() as u64;
        rows.push(Row { tile, what: What::Stored { body, http: Http::default() } });
        if rows.len() == GROUP {
            target.put(&rows)?;
            rows.clear();
            if each(&progress).is_break() {
                return Ok(None);
            }
        }
    }
    target.put(&rows)?;
    if each(&progress).is_break() {
        return Ok(None);
    }
    describe(&mut metadata, format, &extents, from, Kind::of(to));
    target.finish(&metadata).map(|()| Some(progress))
}

/// Completes what the source says of itself.
fn describe(metadata: &mut Metadata, format: Option<Format>, extents: &Extents, from: &Path, to: Kind) {
    // They are of the file that they stand in.
    metadata.set("agg_tiles_hash", "");
    if to != Kind::Pmtiles {
        metadata.set(MADE_FOR, "");
    }
    if let Some(format) = format {
        metadata.set("format", format.name());
    }
    if metadata.value("name").is_none() {
        metadata.set("name", from.file_stem().unwrap_or_default().to_string_lossy());
    }
    extents.fill(metadata);
}

#[cfg(test)]
#[path = "convert_tests.rs"]
mod tests;
