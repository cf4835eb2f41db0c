//! The tiles as their users see them.

mod pictures;

use sims::tiles::Tile;

/// The tile that most tests ask for.
const TILE: Tile = Tile { z: 12, x: 3423, y: 1763 };
