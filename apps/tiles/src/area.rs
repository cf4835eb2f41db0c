//! What is to be fetched: boxes, circles, rectangles of tiles, polygons and lines, and their union.
//!
//! An area is data, checked when it is made; which tiles it covers is worked out by [`Cover`](crate::cover::Cover).

mod circle;
mod geojson;
mod json;
mod line;
mod polygon;

use std::{fmt, ops::RangeInclusive};

pub(crate) use self::{circle::Circle, polygon::Polygon};
use crate::grid::{self, Block, Bounds, GridError, MAX_LATITUDE, Tile};

/// The mean radius of the earth, in metres.
pub const EARTH: f64 = 6_371_008.8;
/// The widest buffer around a line, in metres: beyond it, what is left and what is right of a line gets unclear near the poles.
pub const WIDEST_BUFFER: f64 = 100_000.0;

/// A longitude and a latitude, in degrees.
pub type Point = [f64; 2];

/// A union of parts, at least one.
#[derive(Debug, Clone, PartialEq)]
pub struct Area {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Bounds(Bounds),
    Tiles {
        zoom: u8,
        block: Block,
    },
    Circle {
        center: Point,
        metres: f64,
    },
    /// The outer ring, then the holes.
    Polygon(Vec<Vec<Point>>),
    Line {
        points: Vec<Point>,
        metres: f64,
    },
}

impl From<Bounds> for Area {
    fn from(bounds: Bounds) -> Self {
        Self { parts: vec![Part::Bounds(bounds)] }
    }
}

impl Area {
    /// All points at most so many metres from a point, on a sphere of radius [`EARTH`]. A pole may lie in it.
    ///
    /// # Errors
    /// Not a point, a radius that is none or reaches around the earth, or all of it beyond the map.
    pub fn circle(lon: f64, lat: f64, metres: f64) -> Result<Self, AreaError> {
        let center = [grid::longitude("longitude", lon)?, grid::latitude("latitude", lat)?];
        if !(metres > 0.0 && metres < EARTH * std::f64::consts::PI) {
            return Err(AreaError::Radius { metres });
        }
        let reach = (metres / EARTH).to_degrees();
        if lat.abs() - reach >= MAX_LATITUDE {
            let (south, north) = ((lat - reach).max(-90.0), (lat + reach).min(90.0));
            return Err(GridError::BeyondTheMap { south, north }.into());
        }
        Ok(Self { parts: vec![Part::Circle { center, metres }] })
    }

    /// The tiles of these columns and rows of one zoom, rows from the north; at other zooms the tiles that hold them or lie in them.
    ///
    /// # Errors
    /// A range from high to low, or tiles that do not exist.
    pub fn tiles(zoom: u8, x: RangeInclusive<u32>, y: RangeInclusive<u32>) -> Result<Self, AreaError> {
        for (name, range) in [("columns", &x), ("rows", &y)] {
            if range.is_empty() {
                return Err(AreaError::Backwards { name, from: *range.start(), to: *range.end() });
            }
        }
        Tile::new(zoom, *x.end(), *y.end())?;
        Ok(Self { parts: vec![Part::Tiles { zoom, block: Block { x, y } }] })
    }

    /// All polygons of a GeoJSON text, and its lines and points with `buffer` metres around them.
    ///
    /// Polygons may have holes. A ring that jumps by more than 180° of longitude crosses the antimeridian there, unless it jumps by 360°,
    /// from one edge of the map to the other; longitudes up to ±360 are taken as going on beyond it. A ring around a pole includes it.
    ///
    /// # Errors
    /// The text is not GeoJSON in degrees, or there is nothing in it that covers anything; the message says where.
    pub fn geojson(text: &str, buffer: Option<f64>) -> Result<Self, AreaError> {
        geojson::read(text, buffer).map(|parts| Self { parts })
    }

    /// What `A-B` of the original means: both ends belong to it. `A` alone is one.
    ///
    /// # Errors
    /// The text is not that.
    pub fn range(text: &str) -> Result<RangeInclusive<u32>, AreaError> {
        let wrong = || AreaError::Range { text: text.to_owned() };
        let (from, to) = text.split_once('-').unwrap_or((text, text));
        let number = |text: &str| text.trim().parse().map_err(|_| wrong());
        Ok(number(from)?..=number(to)?)
    }

    /// Both areas; what is a part of both is one once.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        for part in other.parts {
            if !self.parts.contains(&part) {
                self.parts.push(part);
            }
        }
        self
    }

    /// Whether all parts of the other area are parts of this one.
    pub fn has(&self, other: &Self) -> bool {
        other.parts.iter().all(|part| self.parts.contains(part))
    }

    /// The smallest box around it on the map, as west, south, east, north. One that crosses the antimeridian goes from -180 to 180.
    pub fn bounds(&self) -> [f64; 4] {
        let around = self.shapes().into_iter().map(|shape| shape.rect());
        let all = around.reduce(|a, b| Rect {
            west: a.west.min(b.west),
            south: a.south.min(b.south),
            east: a.east.max(b.east),
            north: a.north.max(b.north),
        });
        let all = all.unwrap_or(WORLD);
        let lat = |lat: f64| lat.clamp(-MAX_LATITUDE, MAX_LATITUDE);
        [all.west.max(-180.0), lat(all.south), all.east.min(180.0), lat(all.north)]
    }

    /// The area as one line of JSON, for [`Self::read`].
    pub fn text(&self) -> String {
        json::write(&self.parts)
    }

    /// Reads what [`Self::text`] wrote.
    ///
    /// # Errors
    /// It is not that.
    pub fn read(text: &str) -> Result<Self, AreaError> {
        json::read(text)
    }

    /// The parts as shapes that do not cross the antimeridian, circles apart.
    pub(crate) fn shapes(&self) -> Vec<Shape> {
        let mut shapes = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            match part {
                Part::Bounds(bounds) => shapes.extend(bounds.parts().map(Shape::Bounds)),
                Part::Tiles { zoom, block } => shapes.push(Shape::Tiles { zoom: *zoom, block: block.clone() }),
                Part::Circle { center, metres } => shapes.push(Shape::Circle(Circle::new(*center, *metres))),
                Part::Polygon(rings) => shapes.extend(Polygon::on_the_map(rings).map(Shape::Polygon)),
                Part::Line { points, metres } => line::shapes(points, *metres, &mut shapes),
            }
        }
        shapes
    }
}

/// What an area is made of, ready to be asked which tiles it covers.
#[derive(Debug)]
pub(crate) enum Shape {
    /// Not across the antimeridian.
    Bounds(Bounds),
    Tiles {
        zoom: u8,
        block: Block,
    },
    Circle(Circle),
    Polygon(Polygon),
}

impl Shape {
    /// The tiles of a zoom it covers, where these are a rectangle.
    pub(crate) fn block(&self, at: u8) -> Option<Block> {
        match self {
            Self::Bounds(bounds) => Some(bounds.tiles(at)),
            Self::Tiles { zoom, block } => Some(scale(block, *zoom, at)),
            _ => None,
        }
    }

    /// A box around it.
    pub(crate) fn rect(&self) -> Rect {
        match self {
            Self::Bounds(bounds) => {
                let [west, south, east, north] = bounds.degrees();
                Rect { west, south, east, north }
            }
            Self::Tiles { zoom, block } => Rect {
                west: grid::west(*zoom, *block.x.start()),
                south: grid::north(*zoom, block.y.end() + 1),
                east: grid::west(*zoom, block.x.end() + 1),
                north: grid::north(*zoom, *block.y.start()),
            },
            Self::Circle(circle) => circle.rect(),
            Self::Polygon(polygon) => polygon.rect(),
        }
    }
}

/// A rectangle of tiles at another zoom: what it holds deeper down, or what holds it.
fn scale(block: &Block, from: u8, to: u8) -> Block {
    let (down, up) = (to.saturating_sub(from), from.saturating_sub(to));
    let scaled = |range: &RangeInclusive<u32>| {
        let last = (((u64::from(*range.end()) + 1) << down) - 1) >> up;
        (range.start() << down) >> up..=last as u32
    };
    Block { x: scaled(&block.x), y: scaled(&block.y) }
}

/// How a shape and a rectangle lie to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Touch {
    /// They have nothing in common.
    Outside,
    /// The rectangle lies in the shape.
    Inside,
    /// Something of the rectangle lies in the shape, perhaps all of it.
    Partly,
}

/// A box of degrees that does not cross the antimeridian.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rect {
    pub(crate) west: f64,
    pub(crate) south: f64,
    pub(crate) east: f64,
    pub(crate) north: f64,
}

const WORLD: Rect = Rect { west: -180.0, south: -90.0, east: 180.0, north: 90.0 };

impl Rect {
    /// Whether the two have a point in common.
    pub(crate) fn meets(&self, other: &Self) -> bool {
        self.west <= other.east && other.west <= self.east && self.south <= other.north && other.south <= self.north
    }
}

/// What cannot be an area.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum AreaError {
    /// A degree or a tile is wrong.
    Grid(GridError),
    /// The same, at this place of a GeoJSON text.
    Place {
        /// Such as `features[3].geometry.coordinates[0][7]`.
        at: String,
        /// What is wrong there.
        error: GridError,
    },
    /// A radius or a buffer is not a length in its limits.
    Radius {
        /// What it is.
        metres: f64,
    },
    /// A range ends before it begins.
    Backwards {
        /// `columns` or `rows`.
        name: &'static str,
        /// Its first.
        from: u32,
        /// Its last.
        to: u32,
    },
    /// A text is not a range such as `104300-104310`.
    Range {
        /// The text.
        text: String,
    },
    /// A text is not what it should be.
    Json {
        /// Where, and what stands there.
        what: String,
        /// What should.
        expected: &'static str,
    },
    /// Lines and points cover nothing without a buffer.
    NoBuffer {
        /// Where the first of them stands.
        at: String,
    },
    /// There is nothing in the text that covers anything.
    Nothing,
}

impl AreaError {
    /// What to do about it, in one sentence.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Grid(error) | Self::Place { error, .. } => error.hint(),
            Self::Radius { .. } => {
                "a radius lies above 0 and below 20015 km, half way around the earth; a buffer is at most 100 km"
            }
            Self::Backwards { .. } | Self::Range { .. } => "write the lower number first, such as 104300-104310",
            Self::Json { .. } => "it has to be GeoJSON (RFC 7946): positions are [longitude, latitude] in degrees",
            Self::NoBuffer { .. } => "say how far around lines and points tiles are wanted",
            Self::Nothing => "the text needs at least one polygon, or a line or a point and a buffer",
        }
    }
}

impl From<GridError> for AreaError {
    fn from(error: GridError) -> Self {
        Self::Grid(error)
    }
}

impl fmt::Display for AreaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Grid(error) => write!(f, "{error}"),
            Self::Place { at, error } => write!(f, "{at}: {error}"),
            Self::Radius { metres } => write!(f, "a distance of {metres} m is out of range"),
            Self::Backwards { name, from, to } => write!(f, "{name} {from} to {to} go backwards"),
            Self::Range { text } => write!(f, "{text:?} is not a range of whole numbers"),
            Self::Json { what, expected } => write!(f, "{what}: expected {expected}"),
            Self::NoBuffer { at } => write!(f, "{at} is no polygon, and no buffer is given"),
            Self::Nothing => write!(f, "there is no area in the text"),
        }
    }
}

impl std::error::Error for AreaError {}

#[cfg(test)]
#[path = "area_tests.rs"]
mod tests;
