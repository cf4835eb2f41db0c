//! The Hilbert curve through the quadtree of tiles, and the ids it gives them. Pure.
//!
//! The order is that of PMTiles v3: the id of a tile is the number of all tiles of lower zooms plus its place on the curve of its own.
//! Tiles with neighbouring ids lie side by side, and the tiles below one tile are one range of ids.

use std::ops::Range;

/// The deepest zoom: a column or a row fits `u32`, an id fits `i64`.
pub const MAX_ZOOM: u8 = 30;

/// The id of the first tile of a zoom, and the number of all tiles above it: (4ᶻ − 1) / 3.
///
/// `zoom` may be one deeper than [`MAX_ZOOM`], so that the end of every zoom has a name.
pub const fn first_id(zoom: u8) -> u64 {
    ((1 << (2 * zoom as u64)) - 1) / 3
}

/// The zoom an id belongs to; none where that is deeper than [`MAX_ZOOM`].
pub fn zoom_of(id: u64) -> Option<u8> {
    if id >= first_id(MAX_ZOOM + 1) {
        return None;
    }
    u8::try_from((3 * id + 1).ilog2() / 2).ok()
}

/// How the curve is turned within one tile of the quadtree.
///
/// Going down, it is only ever mirrored on its diagonal or turned by half: two bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Curve {
    swapped: bool,
    turned: bool,
}

impl Curve {
    /// The column and row (0 or 1) of the quarter that comes as number `quarter` (0 to 3), and the curve within it.
    pub fn quarter(self, quarter: u8) -> (u32, u32, Self) {
        let (a, b) = (quarter >> 1 == 1, (quarter ^ quarter >> 1) & 1 == 1);
        let (x, y) = if self.swapped { (b, a) } else { (a, b) };
        (u32::from(x != self.turned), u32::from(y != self.turned), self.after(a, b))
    }

    /// The number of the quarter at this column and row, and the curve within it.
    fn place(self, x: bool, y: bool) -> (u64, Self) {
        let (x, y) = (x != self.turned, y != self.turned);
        let (a, b) = if self.swapped { (y, x) } else { (x, y) };
        let quarter = u64::from(a) << 1 | u64::from(a != b);
        (quarter, self.after(a, b))
    }

    fn after(self, a: bool, b: bool) -> Self {
        if b { self } else { Self { swapped: !self.swapped, turned: self.turned != a } }
    }
}

/// The id of the tile at a column and a row, both below 2ᶻ.
pub fn id(zoom: u8, x: u32, y: u32) -> u64 {
    let (mut curve, mut place) = (Curve::default(), 0);
    for bit in (0..zoom).rev() {
        let (quarter, within) = curve.place(x >> bit & 1 == 1, y >> bit & 1 == 1);
        place = place << 2 | quarter;
        curve = within;
    }
    first_id(zoom) + place
}

/// The zoom, column and row of an id; none where that is deeper than [`MAX_ZOOM`].
pub fn position(id: u64) -> Option<(u8, u32, u32)> {
    let zoom = zoom_of(id)?;
    let place = id - first_id(zoom);
    let (mut curve, mut x, mut y) = (Curve::default(), 0, 0);
    for bit in (0..zoom).rev() {
        let (column, row, within) = curve.quarter((place >> (2 * bit) & 3) as u8);
        (x, y, curve) = (x << 1 | column, y << 1 | row, within);
    }
    Some((zoom, x, y))
}

/// The ids at a zoom of all tiles that lie in the tile with this place on the curve of `above`, a zoom not deeper.
pub fn below(above: u8, place: u64, zoom: u8) -> Range<u64> {
    let depth = 2 * zoom.saturating_sub(above);
    let first = first_id(zoom) + (place << depth);
    first..first + (1 << depth)
}

#[cfg(test)]
#[path = "hilbert_tests.rs"]
mod tests;
