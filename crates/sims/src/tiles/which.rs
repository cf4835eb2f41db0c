//! A set of tiles, told by a rule.

use std::ops::RangeInclusive;

use super::{
    chance::unit,
    tile::{DEEPEST, Tile},
};

/// Some of all tiles: those that fulfil every condition.
#[derive(Debug, Clone, PartialEq)]
pub struct Which {
    /// Of these zooms.
    pub zooms: RangeInclusive<u8>,
    /// In these columns.
    pub columns: RangeInclusive<u32>,
    /// In these rows, from the north.
    pub rows: RangeInclusive<u32>,
    /// If not empty: only these.
    pub tiles: Vec<Tile>,
    /// This share of them, 0.0 to 1.0; the seed says which, and they are always the same ones.
    pub share: f64,
}

impl Default for Which {
    fn default() -> Self {
        Self::all()
    }
}

impl Which {
    /// All tiles.
    pub fn all() -> Self {
        Self { zooms: 0..=DEEPEST, columns: 0..=u32::MAX, rows: 0..=u32::MAX, tiles: Vec::new(), share: 1.0 }
    }

    /// One tile.
    pub fn tile(tile: Tile) -> Self {
        Self { tiles: vec![tile], ..Self::all() }
    }

    /// Of these zooms only.
    pub fn zooms(mut self, zooms: RangeInclusive<u8>) -> Self {
        self.zooms = zooms;
        self
    }

    /// This share of them only.
    pub fn share(mut self, share: f64) -> Self {
        self.share = share;
        self
    }

    /// `salt` tells several rules with one seed apart, so that they do not all hit the same tiles.
    pub(crate) fn holds(&self, tile: Tile, seed: u64, salt: u64) -> bool {
        let name = [salt, u64::from(tile.z), u64::from(tile.x), u64::from(tile.y)];
        self.zooms.contains(&tile.z)
            && self.columns.contains(&tile.x)
            && self.rows.contains(&tile.y)
            && (self.tiles.is_empty() || self.tiles.contains(&tile))
            && (self.share >= 1.0 || unit(seed, &name) < self.share)
    }
}
