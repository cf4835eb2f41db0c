//! Where the tiles of a store lie. Pure.

use super::Metadata;
use crate::grid::{Bounds, Tile, north, west};

/// Zooms, and what the tiles of the highest one cover.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Extents {
    zooms: Option<(u8, u8)>,
    /// Of the highest zoom: from and to, column and row.
    x: (u32, u32),
    y: (u32, u32),
}

impl Extents {
    /// Adds a tile.
    pub(crate) fn add(&mut self, tile: Tile) {
        let (z, x, y) = (tile.z(), tile.x(), tile.y());
        let (lowest, highest) = self.zooms.unwrap_or((z, z));
        if self.zooms.is_none() || z > highest {
            (self.x, self.y) = ((x, x), (y, y));
        } else if z == highest {
            (self.x, self.y) = ((self.x.0.min(x), self.x.1.max(x)), (self.y.0.min(y), self.y.1.max(y)));
        }
        self.zooms = Some((lowest.min(z), highest.max(z)));
    }

    /// The lowest and the highest zoom; none without tiles.
    pub(crate) fn zooms(&self) -> Option<(u8, u8)> {
        self.zooms
    }

    /// West, south, east and north of the tiles of the highest zoom.
    fn degrees(&self) -> [f64; 4] {
        let z = self.zooms.map_or(0, |(_, highest)| highest);
        [west(z, self.x.0), north(z, self.y.1 + 1), west(z, self.x.1 + 1), north(z, self.y.0)]
    }

    /// Bounds as the metadata say or, where they do not, as the tiles lie.
    pub(crate) fn bounds(&self, metadata: &Metadata) -> [f64; 4] {
        metadata.bounds().map_or_else(|| self.degrees(), Bounds::degrees)
    }

    /// What is shown first, as the metadata say or else the middle of these bounds at the lowest zoom.
    pub(crate) fn center(&self, metadata: &Metadata, [west, south, east, north]: [f64; 4]) -> (f64, f64, u8) {
        let zoom = self.zooms.map_or(0, |(lowest, _)| lowest);
        // Across the antimeridian, west is above east.
        let lon = if west <= east { (west + east) / 2.0 } else { (west + east + 360.0) / 2.0 };
        let lon = if lon > 180.0 { lon - 360.0 } else { lon };
        metadata.center().unwrap_or((lon, (south + north) / 2.0, zoom))
    }

    /// Says in the metadata where the tiles lie, where they do not say it.
    pub(crate) fn fill(&self, metadata: &mut Metadata) {
        let Some((lowest, highest)) = self.zooms else { return };
        let [west, south, east, north] = self.bounds(metadata);
        let (lon, lat, zoom) = self.center(metadata, [west, south, east, north]);
        let values = [
            ("bounds", format!("{west},{south},{east},{north}")),
            ("center", format!("{lon},{lat},{zoom}")),
            ("minzoom", lowest.to_string()),
            ("maxzoom", highest.to_string()),
        ];
        for (name, value) in values {
            if metadata.value(name).is_none() {
                metadata.set(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_are_filled_where_they_say_nothing() {
        let mut extents = Extents::default();
        let mut metadata = Metadata::new();
        extents.fill(&mut metadata);
        assert_eq!(metadata, Metadata::new(), "nothing is known without tiles");

        for (z, x, y) in [(2, 1, 1), (1, 0, 0), (2, 2, 1), (1, 1, 1)] {
            extents.add(Tile::new(z, x, y).unwrap());
        }
        extents.fill(&mut metadata);
        let value = |name| metadata.value(name).unwrap();
        assert_eq!((value("minzoom"), value("maxzoom")), ("1", "2"));
        let degrees = metadata.bounds().unwrap().degrees().map(|degree| degree.round());
        assert_eq!((degrees, metadata.center().unwrap().2), ([-90.0, 0.0, 90.0, 67.0], 1));

        let said = Metadata::from_iter([("bounds", "170,-20,-160,-10"), ("minzoom", "0")]);
        let mut metadata = said.clone();
        extents.fill(&mut metadata);
        assert_eq!((metadata.value("bounds"), metadata.value("minzoom")), (said.value("bounds"), Some("0")));
        assert_eq!(metadata.center(), Some((-175.0, -15.0, 1)));
    }
}
