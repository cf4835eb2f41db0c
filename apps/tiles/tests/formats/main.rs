//! The files of `tiles`, read and written by other programs.
//!
//! Two implementations of PMTiles that share nothing with this one: a crate, and a package of Python's that `scripts/python.sh` installs.

#![expect(
    clippy::unwrap_used,
    reason = "a test may stop at the first surprise; clippy.toml does not reach the helpers of tests/"
)]

mod by_crate;
mod by_python;

use std::path::Path;

use tiles::{
    check::Format,
    grid::Tile,
    pmtiles::{Options, Writer},
    store::Metadata,
};

/// Tiles that exercise a format: runs, repetitions far apart, gaps, several zooms, more than one leaf directory, the deepest ids.
fn tiles() -> Vec<(Tile, Vec<u8>)> {
    let mut tiles = Vec::new();
    for id in (0..25_000_u64).filter(|id| id % 11 != 5) {
        let body = match id % 5 {
            0 | 1 => b"sea".to_vec(),
            2 if id % 3 == 0 => b"ice".to_vec(),
            _ => format!("tile {id} {}", "x".repeat((id % 40) as usize)).into_bytes(),
        };
        tiles.push((Tile::from_id(id).unwrap(), body));
    }
    for (z, x, y) in [(12, 3423, 1763), (17, 104_300, 67_900), (30, (1 << 30) - 1, 0)] {
        tiles.push((Tile::new(z, x, y).unwrap(), format!("{z}/{x}/{y}").into_bytes()));
    }
    tiles
}

fn metadata() -> Metadata {
    Metadata::from_iter([
        ("name", "Java \"é\""),
        ("attribution", "them"),
        ("bounds", "106.6,-6.4,107,-6"),
        ("center", "106.8,-6.2,3"),
    ])
}

fn write(path: &Path) {
    let mut writer = Writer::create(path, &Options { format: Some(Format::Png), replace: false }).unwrap();
    tiles().iter().for_each(|(tile, body)| writer.put(*tile, body).unwrap());
    writer.finish(&metadata()).unwrap();
}
