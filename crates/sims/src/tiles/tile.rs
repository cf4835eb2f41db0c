//! The names of tiles and of their formats.

use std::{fmt, str::FromStr};

/// The deepest zoom that a tile may have: beyond it, columns and rows no longer fit 32 bits.
pub const DEEPEST: u8 = 30;

/// One tile of the web-mercator grid, rows counted from the north as XYZ does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tile {
    /// The zoom.
    pub z: u8,
    /// The column, from the west.
    pub x: u32,
    /// The row, from the north.
    pub y: u32,
}

impl Tile {
    /// The tile of this name; whether there is such a tile tells [`exists`](Self::exists).
    pub fn new(z: u8, x: u32, y: u32) -> Self {
        Self { z, x, y }
    }

    /// Whether the grid of its zoom has this column and row.
    pub fn exists(self) -> bool {
        self.z <= DEEPEST && self.x < self.width() && self.y < self.width()
    }

    /// The tile whose row, counted from the south as TMS does, is this one's row counted from the north.
    pub fn flipped(self) -> Self {
        Self { y: (self.width() - 1).saturating_sub(self.y), ..self }
    }

    /// The name that Bing's tiles have: one digit for each zoom, empty for the world.
    pub fn quadkey(self) -> String {
        let digit = |bit: u8| char::from(b'0' + ((self.x >> bit & 1) | (self.y >> bit & 1) << 1) as u8);
        (0..self.z).rev().map(digit).collect()
    }

    /// The tile of a quadkey; `None` if it is longer than [`DEEPEST`] or has another digit than 0 to 3.
    pub fn from_quadkey(key: &str) -> Option<Self> {
        let z = u8::try_from(key.len()).ok().filter(|z| *z <= DEEPEST)?;
        key.chars().try_fold(Self::new(0, 0, 0), |tile, digit| {
            let digit = digit.to_digit(4)?;
            Some(Self { z, x: tile.x << 1 | digit & 1, y: tile.y << 1 | digit >> 1 })
        })
    }

    fn width(self) -> u32 {
        1 << self.z.min(DEEPEST)
    }
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.z, self.x, self.y)
    }
}

/// What a text that names no tile says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoTile(String);

impl fmt::Display for NoTile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} names no tile: it has to be zoom/column/row, such as 12/3423/1763", self.0)
    }
}

impl std::error::Error for NoTile {}

impl FromStr for Tile {
    type Err = NoTile;

    fn from_str(text: &str) -> Result<Self, NoTile> {
        let mut numbers = text.split('/').map(|part| part.parse::<u32>().ok());
        let mut next = || numbers.next().flatten();
        let mut tile = || Some(Self { z: u8::try_from(next()?).ok()?, x: next()?, y: next()? });
        let tile = tile().filter(|tile| tile.exists());
        tile.filter(|_| numbers.next().is_none()).ok_or_else(|| NoTile(text.to_owned()))
    }
}

/// What a tile is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    /// A picture of 256 × 256 pixels in four colours.
    Png,
    /// A grey picture of 256 × 256 pixels, baseline.
    Jpg,
    /// A lossless picture of 256 × 256 pixels.
    Webp,
    /// A Mapbox vector tile, compressed with gzip.
    Pbf,
}

impl Format {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::Png, Self::Jpg, Self::Webp, Self::Pbf];

    /// How an address ends: `png`, `jpg`, `webp`, `pbf`.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpg => "jpg",
            Self::Webp => "webp",
            Self::Pbf => "pbf",
        }
    }

    /// The Content-Type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpg => "image/jpeg",
            Self::Webp => "image/webp",
            Self::Pbf => "application/vnd.mapbox-vector-tile",
        }
    }

    /// The format that an address ends with; `jpeg` and `mvt` are understood as well.
    pub fn from_extension(extension: &str) -> Option<Self> {
        match extension {
            "jpeg" => Some(Self::Jpg),
            "mvt" => Some(Self::Pbf),
            _ => Self::ALL.into_iter().find(|format| format.extension() == extension),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quadkey_and_its_tile_are_the_same() {
        assert_eq!(Tile::new(3, 3, 5).quadkey(), "213");
        assert_eq!(Tile::from_quadkey("213"), Some(Tile::new(3, 3, 5)));
        assert_eq!(Tile::new(0, 0, 0).quadkey(), "");
        assert_eq!(Tile::from_quadkey("").map(Tile::exists), Some(true));
        assert_eq!(Tile::from_quadkey("214"), None);
        assert_eq!(Tile::from_quadkey(&"0".repeat(31)), None);
    }

    #[test]
    fn a_flipped_row_is_counted_from_the_other_end() {
        assert_eq!(Tile::new(11, 327, 791).flipped(), Tile::new(11, 327, 1256));
        assert_eq!(Tile::new(0, 0, 0).flipped(), Tile::new(0, 0, 0));
        assert!(!Tile::new(3, 8, 0).exists() && !Tile::new(31, 0, 0).exists());
    }

    #[test]
    fn a_name_is_read_back_and_a_wrong_one_is_named() {
        assert_eq!("12/3423/1763".parse(), Ok(Tile::new(12, 3423, 1763)));
        for wrong in ["12/3423", "12/3423/1763/1", "1/2/0", "a/b/c", "", "31/0/0"] {
            let error = wrong.parse::<Tile>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("{wrong:?}")), "{error}");
        }
    }
}
