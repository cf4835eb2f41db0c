//! Which tiles an area covers: counted, listed along the curve, and compared with what is there already. Pure.
//!
//! The quadtree is walked from the top: what lies outside is left away, what lies inside is one range of ids, and only what the edge
//! of the area runs through is looked into. Nothing is ever listed in memory.

mod walk;

use std::{fmt, ops::RangeInclusive, sync::Arc};

pub use self::walk::Ranges;
use crate::{
    area::{Area, Polygon, Rect, Shape, Touch},
    grid::{self, Block, Bounds, GridError, Tile},
    ids::IdSet,
};

/// How many rectangles are compared with each other at most before the tree is walked instead.
const COMPARED: usize = 64;

/// The tiles of an area at some zooms. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Cover {
    shapes: Arc<[Shape]>,
    zooms: RangeInclusive<u8>,
}

impl Cover {
    /// The tiles of an area at these zooms, both ends included.
    ///
    /// # Errors
    /// The zooms go backwards or too deep.
    pub fn new(area: &Area, zooms: RangeInclusive<u8>) -> Result<Self, CoverError> {
        grid::zoom(u32::from(*zooms.end())).map_err(CoverError::Grid)?;
        if zooms.is_empty() {
            return Err(CoverError::Backwards { from: *zooms.start(), to: *zooms.end() });
        }
        Ok(Self { shapes: area.shapes().into(), zooms })
    }

    /// The zooms, lowest first.
    pub fn zooms(&self) -> RangeInclusive<u8> {
        self.zooms.clone()
    }

    /// Whether it has this tile.
    pub fn contains(&self, tile: Tile) -> bool {
        let [west, south, east, north] = tile.bounds().degrees();
        let rect = Rect { west, south, east, north };
        let holds = |shape: &Shape| match shape {
            Shape::Circle(circle) => circle.touch(&rect) != Touch::Outside,
            Shape::Polygon(polygon) => touches(polygon, &rect),
            shape => shape.block(tile.z()).is_some_and(|b| b.x.contains(&tile.x()) && b.y.contains(&tile.y())),
        };
        self.zooms.contains(&tile.z()) && self.shapes.iter().any(holds)
    }

    /// How many tiles it has at one zoom.
    pub fn count(&self, zoom: u8) -> u64 {
        let one = Self { shapes: Arc::clone(&self.shapes), zooms: zoom..=zoom };
        if self.zooms.contains(&zoom) { one.total() } else { 0 }
    }

    /// How many tiles it has at each zoom, lowest first.
    ///
    /// At once for boxes; otherwise in a time that grows with the number of tiles on the edge of the area at the deepest zoom, some
    /// five million a second.
    pub fn counts(&self) -> Vec<(u8, u64)> {
        let blocks = |zoom| self.shapes.iter().map(|shape| shape.block(zoom)).collect::<Option<Vec<_>>>();
        let added =
            |zoom| blocks(zoom).filter(|blocks| apart(blocks)).map(|blocks| blocks.iter().map(Block::count).sum());
        match self.zooms().map(added).collect::<Option<Vec<u64>>>() {
            Some(counts) => self.zooms().zip(counts).collect(),
            None => {
                let walked = self.ranges(*self.zooms.end()).counts();
                (0..).zip(walked).skip(usize::from(*self.zooms.start())).collect()
            }
        }
    }

    /// How many tiles it has in all.
    pub fn total(&self) -> u64 {
        self.counts().into_iter().map(|(_, count)| count).sum()
    }

    /// Not fewer tiles than it has at one zoom, at once for any area: those of the boxes around its parts.
    pub fn at_most(&self, zoom: u8) -> u64 {
        let around = |shape: &Shape| match shape.block(zoom) {
            Some(block) => block.count(),
            None => around(&shape.rect(), zoom),
        };
        self.shapes.iter().map(around).fold(0, u64::saturating_add).min(1 << (2 * u64::from(zoom)))
    }

    /// The ids of its tiles at one zoom, as ranges, ascending, with a gap between two.
    pub fn ranges(&self, zoom: u8) -> Ranges {
        let shapes = if self.zooms.contains(&zoom) { Arc::clone(&self.shapes) } else { Arc::new([]) };
        Ranges::new(shapes, zoom.min(*self.zooms.end()))
    }

    /// Its tiles without those in `done`, zoom after zoom, along the curve in each.
    pub fn todo(&self, done: IdSet) -> Todo {
        let first = *self.zooms.start();
        Todo { ranges: self.ranges(first), cover: self.clone(), zoom: first, done, left: 0..0, missing: 0..0 }
    }

    /// How many of its tiles at one zoom are in a set.
    pub fn count_in(&self, set: &IdSet, zoom: u8) -> u64 {
        let length = |range: std::ops::Range<u64>| range.end - range.start;
        self.ranges(zoom).map(|range| length(range.clone()) - set.missing(range).map(length).sum::<u64>()).sum()
    }
}

/// Whether no two have a tile in common, as far as that is soon said.
fn apart(blocks: &[Block]) -> bool {
    blocks.len() <= COMPARED
        && blocks.iter().enumerate().all(|(i, block)| blocks[..i].iter().all(|other| !block.overlaps(other)))
}

fn touches(polygon: &Polygon, rect: &Rect) -> bool {
    polygon.rect().meets(rect) && polygon.touch(rect, &polygon.all(), &mut Vec::new()) != Touch::Outside
}

fn around(rect: &Rect, zoom: u8) -> u64 {
    let bounds = Bounds::new(rect.west.max(-180.0), rect.south, rect.east.min(180.0), rect.north);
    bounds.map_or(0, |bounds| bounds.tiles(zoom).count())
}

/// The tiles of a cover that are still to be fetched; see [`Cover::todo`].
#[derive(Debug)]
pub struct Todo {
    cover: Cover,
    zoom: u8,
    ranges: Ranges,
    done: IdSet,
    /// What was not looked at yet of a range of the cover.
    left: std::ops::Range<u64>,
    /// What was not given out yet.
    missing: std::ops::Range<u64>,
}

impl Todo {
    /// The next ids, as one range that follows on itself. None when there is nothing left.
    pub fn next_range(&mut self) -> Option<std::ops::Range<u64>> {
        if !self.missing.is_empty() {
            return Some(std::mem::take(&mut self.missing));
        }
        loop {
            if let Some(missing) = self.done.next_missing(&mut self.left.start, self.left.end) {
                return Some(missing);
            }
            match self.ranges.next() {
                Some(range) => self.left = range,
                None if self.zoom < *self.cover.zooms.end() => {
                    self.zoom += 1;
                    self.ranges = self.cover.ranges(self.zoom);
                }
                None => return None,
            }
        }
    }
}

impl Iterator for Todo {
    type Item = Tile;

    fn next(&mut self) -> Option<Tile> {
        if self.missing.is_empty() {
            self.missing = self.next_range()?;
        }
        Tile::from_id(self.missing.next()?)
    }
}

/// What cannot be covered.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum CoverError {
    /// A zoom is too deep.
    Grid(GridError),
    /// The last zoom is above the first.
    Backwards {
        /// The first.
        from: u8,
        /// The last.
        to: u8,
    },
}

impl CoverError {
    /// What to do about it, in one sentence.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Grid(error) => error.hint(),
            Self::Backwards { .. } => "write the lower zoom first, such as 0-14",
        }
    }
}

impl fmt::Display for CoverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Grid(error) => write!(f, "{error}"),
            Self::Backwards { from, to } => write!(f, "zooms {from} to {to} go backwards"),
        }
    }
}

impl std::error::Error for CoverError {}

#[cfg(test)]
#[path = "cover_tests.rs"]
mod tests;
