//! What the origin holds: the truth that everything a program stored is compared with.

use std::{
    ops::RangeInclusive,
    time::{Duration, SystemTime},
};

use super::{
    chance::{mix, unit},
    make::{make, ocean},
    tile::{Format, Tile},
    which::Which,
};

/// When the first revision of every tile was made: 2023-11-14T22:13:20Z.
const BEGINNING: Duration = Duration::from_secs(1_700_000_000);
/// How far apart the dates of two revisions are.
const REVISION: Duration = Duration::from_secs(3600);
/// What keeps the random choices for different purposes apart.
const SALT_SIZE: u64 = 1 << 32;
const SALT_OCEAN: u64 = 2 << 32;
const SALT_CHANGED: u64 = 3 << 32;
const SALT_ABSENT: u64 = 4 << 32;
/// Water comes in squares of so many tiles, so that neighbours are the same; the exponent of two.
const OCEAN_SQUARE: u32 = 3;

/// Which tiles there are, and how they look.
#[derive(Debug, Clone)]
pub struct World {
    /// The same seed makes the same world.
    pub seed: u64,
    /// The zooms that there are; above and below, no tile is found.
    pub zooms: RangeInclusive<u8>,
    /// The mean size of a tile in bytes; sizes spread evenly from half of it to one and a half.
    pub mean_size: usize,
    /// The share of tiles that are open water: all the same, 800 bytes, in squares of 8 × 8 neighbours.
    pub ocean: f64,
    /// The tiles that are not there; the first that holds counts.
    pub absent: Vec<(Which, Absence)>,
    /// The share of tiles that a new revision changes; water never changes.
    pub changing: f64,
}

impl Default for World {
    /// Every tile of zooms 0 to 22, distinct, of 10 KB on average.
    fn default() -> Self {
        Self { seed: 0, zooms: 0..=22, mean_size: 10_000, ocean: 0.0, absent: Vec::new(), changing: 1.0 }
    }
}

/// How a server says that there is no tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absence {
    /// 404
    NotFound,
    /// 410
    Gone,
    /// 204
    NoContent,
    /// 200 with a body of no bytes.
    Empty,
}

impl Absence {
    /// The number of the answer.
    pub fn status(self) -> u16 {
        match self {
            Self::NotFound => 404,
            Self::Gone => 410,
            Self::NoContent => 204,
            Self::Empty => 200,
        }
    }
}

/// What really lies at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Truth {
    /// A tile.
    There(Content),
    /// Nothing.
    Absent(Absence),
}

/// A tile as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// What is to be stored; of a vector tile the compressed form.
    pub bytes: Vec<u8>,
    /// Its strong ETag, quotes included.
    pub etag: String,
    /// When it was changed last; whole seconds.
    pub modified: SystemTime,
}

impl World {
    /// What lies there, once `revision` revisions have been made.
    pub fn truth(&self, format: Format, tile: Tile, revision: u32) -> Truth {
        match self.absence(tile) {
            Some(absence) => Truth::Absent(absence),
            None => Truth::There(self.content(format, tile, revision)),
        }
    }

    /// How it is said that this tile is not there; `None` if it is.
    pub fn absence(&self, tile: Tile) -> Option<Absence> {
        if !tile.exists() || !self.zooms.contains(&tile.z) {
            return Some(Absence::NotFound);
        }
        let holds = |at: usize, which: &Which| which.holds(tile, self.seed, SALT_ABSENT + at as u64);
        let mut rules = self.absent.iter().enumerate();
        rules.find(|(at, (which, _))| holds(*at, which)).map(|(_, (_, absence))| *absence)
    }

    /// Whether this tile, if it is there, is open water.
    pub fn is_ocean(&self, tile: Tile) -> bool {
        let square =
            [SALT_OCEAN, u64::from(tile.z), u64::from(tile.x >> OCEAN_SQUARE), u64::from(tile.y >> OCEAN_SQUARE)];
        self.ocean > 0.0 && unit(self.seed, &square) < self.ocean
    }

    /// How many of the first `revisions` revisions have changed this tile.
    pub fn changes(&self, tile: Tile, revisions: u32) -> u32 {
        if self.is_ocean(tile) {
            return 0;
        }
        let changed = |revision: &u32| self.unit(tile, SALT_CHANGED + u64::from(*revision)) < self.changing;
        (1..=revisions).filter(changed).count() as u32
    }

    fn content(&self, format: Format, tile: Tile, revisions: u32) -> Content {
        let changes = self.changes(tile, revisions);
        let bytes =
            if self.is_ocean(tile) { ocean(format) } else { make(format, tile, self.size(tile, changes), changes) };
        // Water has one ETag everywhere, as a file server that links it would give.
        let named = if self.is_ocean(tile) { Tile::new(0, 0, 0) } else { tile };
        let name = [u64::from(named.z), u64::from(named.x), u64::from(named.y), bytes.len() as u64, u64::from(changes)];
        let etag = format!("\"{:016x}-{}\"", mix(self.seed, &name), format.extension());
        Content { bytes, etag, modified: SystemTime::UNIX_EPOCH + BEGINNING + REVISION * changes }
    }

    fn size(&self, tile: Tile, changes: u32) -> usize {
        let spread = self.unit(tile, SALT_SIZE + u64::from(changes));
        self.mean_size / 2 + (self.mean_size as f64 * spread) as usize
    }

    fn unit(&self, tile: Tile, salt: u64) -> f64 {
        unit(self.seed, &[salt, u64::from(tile.z), u64::from(tile.x), u64::from(tile.y)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(world: &World, tile: Tile, revision: u32) -> Content {
        match world.truth(Format::Png, tile, revision) {
            Truth::There(content) => content,
            Truth::Absent(absence) => panic!("{tile} is absent: {absence:?}"),
        }
    }

    fn row(count: u32) -> impl Iterator<Item = Tile> {
        (0..count).map(|x| Tile::new(14, x, 77))
    }

    #[test]
    fn sizes_spread_evenly_around_the_mean() {
        let world = World::default();

        let sizes: Vec<usize> = row(2000).map(|tile| bytes(&world, tile, 0).bytes.len()).collect();

        assert!(sizes.iter().all(|size| (5_000..15_000).contains(size)));
        let mean = sizes.iter().sum::<usize>() / sizes.len();
        assert!((9_700..10_300).contains(&mean), "a mean of {mean}");
        assert!(sizes.iter().any(|size| *size < 5_500) && sizes.iter().any(|size| *size > 14_500));
    }

    #[test]
    fn water_is_the_same_everywhere_lies_in_squares_and_never_changes() {
        let world = World { ocean: 0.6, ..World::default() };

        let wet: Vec<Tile> = row(8000).filter(|tile| world.is_ocean(*tile)).collect();

        assert!((4400..5200).contains(&wet.len()), "{} of 8000", wet.len());
        assert!(wet.iter().all(|tile| bytes(&world, *tile, 3) == bytes(&world, wet[0], 0)));
        assert!(wet.iter().all(|tile| world.is_ocean(Tile { x: tile.x ^ 7, ..*tile })));
    }

    #[test]
    fn a_revision_changes_the_share_it_is_told_to() {
        let world = World { changing: 0.25, ..World::default() };

        let changed = row(4000).filter(|tile| world.changes(*tile, 1) == 1).count();
        assert!((900..1100).contains(&changed), "{changed} of 4000");
        let twice = row(4000).filter(|tile| world.changes(*tile, 2) == 2).count();
        assert!((180..320).contains(&twice), "each revision changes others: {twice} of 4000");

        let tile = row(4000).find(|tile| world.changes(*tile, 1) == 1).unwrap();
        let (before, after) = (bytes(&world, tile, 0), bytes(&world, tile, 1));
        assert!(before.bytes != after.bytes && before.etag != after.etag && before.modified < after.modified);
        let same = row(4000).find(|tile| world.changes(*tile, 1) == 0).unwrap();
        assert_eq!(bytes(&world, same, 0), bytes(&world, same, 1));
    }

    #[test]
    fn what_is_absent_says_how_and_so_does_what_no_grid_has() {
        let ocean = (Which::all().zooms(10..=12).share(0.5), Absence::NoContent);
        let world =
            World { absent: vec![ocean, (Which::tile(Tile::new(3, 1, 1)), Absence::Empty)], ..World::default() };

        let half = (0..1000).filter(|x| world.absence(Tile::new(10, *x, 5)) == Some(Absence::NoContent)).count();
        assert!((430..570).contains(&half), "{half} of 1000");
        assert_eq!(world.absence(Tile::new(3, 1, 1)), Some(Absence::Empty));
        assert_eq!(world.absence(Tile::new(3, 1, 2)), None);
        assert_eq!(world.absence(Tile::new(3, 8, 0)), Some(Absence::NotFound));
        assert_eq!(world.absence(Tile::new(23, 0, 0)), Some(Absence::NotFound));
    }
}
