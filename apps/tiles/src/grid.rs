//! Where tiles lie: the square grid of the spherical Mercator projection, and boxes of degrees on it. Pure.
//!
//! n = 2ᶻ columns from west to east and rows from north to south; `x = ⌊(lon + 180) / 360 · n⌋`,
//! `y = ⌊(1 − asinh(tan φ) / π) / 2 · n⌋`, both kept within 0…n − 1.
//!
//! The west and the north edge of a box belong to it; a tile that it only touches with its east or south edge does not. An edge within
//! [`ON_EDGE`] of a tile's counts as on it, so that bounds printed with nine places give back their tile alone.

use std::{f64::consts::PI, fmt, ops::RangeInclusive, str::FromStr};

use crate::hilbert::{self, MAX_ZOOM};

/// Where the map ends in the north and, negated, in the south: atan(sinh π), in degrees.
pub const MAX_LATITUDE: f64 = 85.051_128_779_806_6;
/// In degrees, a tenth of a millimetre: edges as close as this are one.
pub const ON_EDGE: f64 = 1e-9;

/// One tile. It exists: column and row are below 2ᶻ, the zoom is not above [`MAX_ZOOM`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    z: u8,
    x: u32,
    y: u32,
}

impl Tile {
    /// The tile of this zoom, column (from the west) and row (from the north).
    ///
    /// # Errors
    /// There is none.
    pub fn new(z: u8, x: u32, y: u32) -> Result<Self, GridError> {
        zoom(u32::from(z))?;
        let n = 1 << z;
        if x < n && y < n { Ok(Self { z, x, y }) } else { Err(GridError::NoSuchTile { z, x, y }) }
    }

    /// The tile that shows a point; latitudes beyond the map's are moved to its edge.
    ///
    /// # Errors
    /// Not a longitude, not a latitude, or too deep a zoom.
    pub fn at(lon: f64, lat: f64, z: u8) -> Result<Self, GridError> {
        zoom(u32::from(z))?;
        let (lon, lat) = (longitude("longitude", lon)?, latitude("latitude", lat)?);
        let n = f64::from(1_u32 << z);
        Ok(Self { z, x: first(column(lon), n, ON_EDGE / 360.0), y: first(row(lat), n, row_slack(lat)) })
    }

    /// The tile of a PMTiles id.
    pub fn from_id(id: u64) -> Option<Self> {
        hilbert::position(id).map(|(z, x, y)| Self { z, x, y })
    }

    /// The tile of a quadkey: one digit from 0 to 3 for every zoom; the empty one is the whole world.
    pub fn from_quadkey(key: &str) -> Option<Self> {
        if key.len() > usize::from(MAX_ZOOM) {
            return None;
        }
        let digit = |(x, y), digit: u8| match digit {
            b'0'..=b'3' => Some((x << 1 | u32::from(digit & 1), y << 1 | u32::from(digit >> 1 & 1))),
            _ => None,
        };
        let (x, y) = key.bytes().try_fold((0, 0), digit)?;
        Some(Self { z: u8::try_from(key.len()).ok()?, x, y })
    }

    /// The zoom.
    pub fn z(self) -> u8 {
        self.z
    }

    /// The column, from the west.
    pub fn x(self) -> u32 {
        self.x
    }

    /// The row, from the north.
    pub fn y(self) -> u32 {
        self.y
    }

    /// The row from the south, as TMS and MBTiles count.
    pub fn tms_row(self) -> u32 {
        flip(self.z, self.y)
    }

    /// The id in PMTiles: unique over all zooms, along a Hilbert curve within one.
    pub fn id(self) -> u64 {
        hilbert::id(self.z, self.x, self.y)
    }

    /// Adds the quadkey to a text: as many digits as the zoom says.
    pub fn quadkey(self, to: &mut String) {
        let digit = |bit: u8| (self.x >> bit & 1) + 2 * (self.y >> bit & 1);
        to.extend((0..self.z).rev().filter_map(|bit| char::from_digit(digit(bit), 4)));
    }

    /// What the tile shows, in degrees; never across the antimeridian.
    pub fn bounds(self) -> Bounds {
        Bounds {
            west: west(self.z, self.x),
            south: north(self.z, self.y + 1),
            east: west(self.z, self.x + 1),
            north: north(self.z, self.y),
        }
    }

    /// What the tile shows in metres of EPSG:3857: west, south, east, north.
    pub fn metres(self) -> [f64; 4] {
        let half = PI * 6_378_137.0;
        let side = 2.0 * half / f64::from(1_u32 << self.z);
        let (west, north) = (f64::from(self.x) * side - half, half - f64::from(self.y) * side);
        [west, north - side, west + side, north]
    }
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.z, self.x, self.y)
    }
}

/// The row counted from the other side; from TMS to XYZ and back.
pub fn flip(zoom: u8, row: u32) -> u32 {
    ((1 << zoom) - 1_u32).wrapping_sub(row)
}

/// The western edge of a column, in degrees; of column 2ᶻ the eastern edge of the map.
pub fn west(zoom: u8, x: u32) -> f64 {
    f64::from(x) / f64::from(1_u32 << zoom) * 360.0 - 180.0
}

/// The northern edge of a row, in degrees; of row 2ᶻ the southern edge of the map.
pub fn north(zoom: u8, y: u32) -> f64 {
    let share = f64::from(y) / f64::from(1_u32 << zoom);
    (PI * (1.0 - 2.0 * share)).sinh().atan().to_degrees()
}

/// A box of degrees that lies on the map at least in part. Where `west` is above `east` it crosses the antimeridian.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    west: f64,
    south: f64,
    east: f64,
    north: f64,
}

impl Bounds {
    /// The box between these degrees, edges included. Latitudes may go to the poles.
    ///
    /// # Errors
    /// Not a number, beyond ±180 or ±90, south above north, or all of it beyond [`MAX_LATITUDE`].
    pub fn new(west: f64, south: f64, east: f64, north: f64) -> Result<Self, GridError> {
        let (west, east) = (longitude("west", west)?, longitude("east", east)?);
        let (south, north) = (latitude("south", south)?, latitude("north", north)?);
        if south > north {
            return Err(GridError::SouthAboveNorth { south, north });
        }
        if south >= MAX_LATITUDE || north <= -MAX_LATITUDE {
            return Err(GridError::BeyondTheMap { south, north });
        }
        Ok(Self { west, south, east, north })
    }

    /// West, south, east, north, in degrees.
    pub fn degrees(self) -> [f64; 4] {
        [self.west, self.south, self.east, self.north]
    }

    /// The box as one or, across the antimeridian, two that do not cross it.
    pub fn parts(self) -> impl Iterator<Item = Self> + Clone {
        let crosses = self.west > self.east;
        let first = Self { east: if crosses { 180.0 } else { self.east }, ..self };
        let second = Self { west: -180.0, ..self };
        std::iter::once(first).chain(crosses.then_some(second))
    }

    /// The tiles of a zoom that the box overlaps, which are at least one. The box must not cross the antimeridian: see [`Self::parts`].
    ///
    /// Boxes nest: the tiles of a deeper zoom lie in those of this one.
    pub fn tiles(self, zoom: u8) -> Block {
        let n = f64::from(1_u32 << zoom.min(MAX_ZOOM));
        let slack = ON_EDGE / 360.0;
        let (x, y) = (first(column(self.west), n, slack), first(row(self.north), n, row_slack(self.north)));
        let (end, bottom) = (last(column(self.east), n, slack), last(row(self.south), n, row_slack(self.south)));
        Block { x: x..=end.max(x), y: y..=bottom.max(y) }
    }
}

impl FromStr for Bounds {
    type Err = GridError;

    /// Reads `W,S,E,N`.
    fn from_str(text: &str) -> Result<Self, GridError> {
        let [west, south, east, north] = numbers(text)?;
        Self::new(west, south, east, north)
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{},{},{}", self.west, self.south, self.east, self.north)
    }
}

/// The columns and rows of a rectangle of tiles of one zoom; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Columns, from the west.
    pub x: RangeInclusive<u32>,
    /// Rows, from the north.
    pub y: RangeInclusive<u32>,
}

impl Block {
    /// How many tiles it has.
    pub fn count(&self) -> u64 {
        let length = |range: &RangeInclusive<u32>| u64::from(*range.end() - *range.start()) + 1;
        length(&self.x) * length(&self.y)
    }

    /// Whether the two have a tile in common.
    pub fn overlaps(&self, other: &Self) -> bool {
        let apart = |a: &RangeInclusive<u32>, b: &RangeInclusive<u32>| a.end() < b.start() || b.end() < a.start();
        !apart(&self.x, &other.x) && !apart(&self.y, &other.y)
    }
}

/// Reads as many numbers as asked for, with commas between.
pub(crate) fn numbers<const N: usize>(text: &str) -> Result<[f64; N], GridError> {
    let wrong = |part: &str| GridError::NotNumbers { text: text.to_owned(), part: part.trim().to_owned(), expected: N };
    let mut parts = text.split(',');
    let mut numbers = [0.0; N];
    for number in &mut numbers {
        let part = parts.next().ok_or_else(|| wrong(""))?;
        *number = part.trim().parse().map_err(|_| wrong(part))?;
    }
    parts.next().map_or(Ok(numbers), |part| Err(wrong(part)))
}

/// Takes what is a longitude.
pub(crate) fn longitude(name: &'static str, value: f64) -> Result<f64, GridError> {
    if value.abs() <= 180.0 { Ok(value) } else { Err(GridError::OutOfRange { name, value, limit: 180.0 }) }
}

/// Takes what is a latitude.
pub(crate) fn latitude(name: &'static str, value: f64) -> Result<f64, GridError> {
    if value.abs() <= 90.0 { Ok(value) } else { Err(GridError::OutOfRange { name, value, limit: 90.0 }) }
}

/// Takes what is a zoom.
///
/// # Errors
/// It is deeper than [`MAX_ZOOM`].
pub fn zoom(zoom: u32) -> Result<u8, GridError> {
    u8::try_from(zoom).ok().filter(|zoom| *zoom <= MAX_ZOOM).ok_or(GridError::TooDeep { zoom })
}

/// Longitude as a share of the map's width.
fn column(lon: f64) -> f64 {
    (lon + 180.0) / 360.0
}

/// Latitude as a share of the map's height.
fn row(lat: f64) -> f64 {
    let lat = lat.clamp(-MAX_LATITUDE, MAX_LATITUDE).to_radians();
    (1.0 - lat.tan().asinh() / PI) / 2.0
}

/// [`ON_EDGE`] as a share of the map's height, which is stretched towards the poles.
fn row_slack(lat: f64) -> f64 {
    ON_EDGE / 360.0 / lat.clamp(-MAX_LATITUDE, MAX_LATITUDE).to_radians().cos()
}

/// A share of the map in tiles; on the edge of one if it is close to it.
fn in_tiles(share: f64, n: f64, slack: f64) -> f64 {
    let place = share * n;
    if (place - place.round()).abs() <= slack * n { place.round() } else { place }
}

/// The tile that begins at this share of the map or holds it.
fn first(share: f64, n: f64, slack: f64) -> u32 {
    in_tiles(share, n, slack).floor().clamp(0.0, n - 1.0) as u32
}

/// The tile that ends at this share of the map or holds it.
fn last(share: f64, n: f64, slack: f64) -> u32 {
    (in_tiles(share, n, slack).ceil() - 1.0).clamp(0.0, n - 1.0) as u32
}

/// What cannot be a place on the map.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum GridError {
    /// A degree is not a number or beyond its limit.
    OutOfRange {
        /// Which of them.
        name: &'static str,
        /// What it is.
        value: f64,
        /// What it may be at most, with either sign.
        limit: f64,
    },
    /// The box is upside down.
    SouthAboveNorth {
        /// In degrees.
        south: f64,
        /// In degrees.
        north: f64,
    },
    /// All of the box lies where the map has no tiles.
    BeyondTheMap {
        /// In degrees.
        south: f64,
        /// In degrees.
        north: f64,
    },
    /// The zoom is deeper than [`MAX_ZOOM`].
    TooDeep {
        /// What was asked for.
        zoom: u32,
    },
    /// Column or row are not below 2ᶻ.
    NoSuchTile {
        /// The zoom.
        z: u8,
        /// The column.
        x: u32,
        /// The row.
        y: u32,
    },
    /// A text that should be a list of numbers is none.
    NotNumbers {
        /// The whole text.
        text: String,
        /// The part that is wrong, empty where one is missing.
        part: String,
        /// How many numbers there should be.
        expected: usize,
    },
}

impl GridError {
    /// What to do about it, in one sentence.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::OutOfRange { limit, .. } if *limit > 90.0 => {
                "longitudes go from -180 to 180; a box across the antimeridian has its west above its east"
            }
            Self::OutOfRange { .. } => {
                "latitudes go from -90 to 90; the order is longitude first: west,south,east,north"
            }
            Self::SouthAboveNorth { .. } => "the order is west,south,east,north",
            Self::BeyondTheMap { .. } => "web maps end at 85.0511 degrees north and south",
            Self::TooDeep { .. } => "zooms go from 0 to 30",
            Self::NoSuchTile { .. } => "columns and rows of zoom z go from 0 to 2^z - 1",
            Self::NotNumbers { .. } => {
                "write numbers with commas between and a dot for decimals, such as 106.6,-6.4,107,-6"
            }
        }
    }
}

impl fmt::Display for GridError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfRange { name, value, limit } => write!(f, "{name} {value} is not between -{limit} and {limit}"),
            Self::SouthAboveNorth { south, north } => write!(f, "south {south} is above north {north}"),
            Self::BeyondTheMap { south, north } => {
                write!(f, "latitudes {south} to {north} lie beyond the map, which ends at {MAX_LATITUDE}")
            }
            Self::TooDeep { zoom } => write!(f, "zoom {zoom} is deeper than {MAX_ZOOM}"),
            Self::NoSuchTile { z, x, y } => write!(f, "there is no tile {z}/{x}/{y}"),
            Self::NotNumbers { text, part, expected } if part.is_empty() => {
                write!(f, "{text:?} has fewer than {expected} numbers")
            }
            Self::NotNumbers { text, part, expected } => {
                write!(f, "{text:?} is not {expected} numbers: {part:?} is wrong or too many")
            }
        }
    }
}

impl std::error::Error for GridError {}

#[cfg(test)]
#[path = "grid_tests.rs"]
mod tests;
