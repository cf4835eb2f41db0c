//! Valid tiles from nothing but their names: containers written by hand around a small picture, filled up with noise to the size.
//!
//! Nothing is compressed for a single tile, so one costs a few microseconds; and as each is written by hand, so each is read back in the
//! tests by a decoder that knows nothing of this.

mod jpeg;
mod mvt;
mod png;
mod webp;

use super::{
    chance::mix,
    tile::{Format, Tile},
};

/// The picture of `tile` in its `revision`-th version, in about `size` bytes: not more, and at most 3 fewer.
///
/// The same arguments give the same bytes, any other give others. A size below what the container itself takes (about 400 bytes for a
/// picture, 150 for a vector tile) gives that. The picture shows a colour, the metadata names the tile; the rest is noise.
pub fn make(format: Format, tile: Tile, size: usize, revision: u32) -> Vec<u8> {
    let label = format!("{tile} revision {revision}");
    let seed = mix(u64::from(revision), &[u64::from(tile.z), u64::from(tile.x), u64::from(tile.y)]);
    draw(format, &label, seed, size)
}

/// A tile of open water: the same everywhere, 800 bytes.
pub fn ocean(format: Format) -> Vec<u8> {
    draw(format, "ocean", 0, 800)
}

/// A valid picture that says nothing, 500 bytes.
pub(crate) fn blocked(format: Format) -> Vec<u8> {
    draw(format, "blocked", 1, 500)
}

fn draw(format: Format, label: &str, seed: u64, size: usize) -> Vec<u8> {
    match format {
        Format::Png => png::draw(label, seed, size),
        Format::Jpg => jpeg::draw(label, seed, size),
        Format::Webp => webp::draw(label, seed, size),
        Format::Pbf => mvt::draw(label, seed, size),
    }
}
