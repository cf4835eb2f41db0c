//! The names of tiles, and which there are.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};

use super::METADATA;
use crate::{
    check::Format,
    grid::{self, Tile},
    ids::IdSet,
    store::{Metadata, StoreError},
};

/// The ending of what is no known tile.
pub(super) const UNKNOWN: &str = "bin";
/// The endings that are usual.
pub(super) const USUAL: [&str; 9] = ["png", "jpg", "jpeg", "webp", "gif", "avif", "pbf", "mvt", UNKNOWN];

/// Where a tile lies.
pub(super) fn path(root: &Path, tile: Tile, tms: bool, ending: &str) -> PathBuf {
    let row = if tms { tile.tms_row() } else { tile.y() };
    root.join(format!("{}/{}/{row}.{ending}", tile.z(), tile.x()))
}

/// The tiles of a folder by their names, and the endings that there are.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) ids: IdSet,
    pub(super) endings: BTreeSet<String>,
}

/// Looks at all names in a folder. What is not named like a tile is passed over.
pub(super) fn scan(root: &Path, tms: bool) -> io::Result<Found> {
    let mut found = Found::default();
    let number = |name: &str| name.parse::<u32>().ok().filter(|number| number.to_string() == name);
    for (zoom, path) in entries(root, true)? {
        let Some(z) = number(&zoom).and_then(|zoom| u8::try_from(zoom).ok()) else { continue };
        for (column, path) in entries(&path, true)? {
            let Some(x) = number(&column) else { continue };
            let mut column = Vec::new();
            for (name, _) in entries(&path, false)? {
                let Some((row, ending)) = name.split_once('.') else { continue };
                let Some(tile) = number(row).and_then(|row| tile(z, x, row, tms)) else { continue };
                if ending == UNKNOWN || Format::named(ending).is_some() {
                    column.push(tile.id());
                    if !found.endings.contains(ending) {
                        found.endings.insert(ending.to_owned());
                    }
                }
            }
            found.ids.extend(column);
        }
    }
    Ok(found)
}

fn tile(z: u8, x: u32, row: u32, tms: bool) -> Option<Tile> {
    let tile = Tile::new(z, x, row).ok()?;
    if tms { Tile::new(z, x, grid::flip(z, row)).ok() } else { Some(tile) }
}

/// Names and paths of what is in a folder: folders, or else files.
fn entries(folder: &Path, folders: bool) -> io::Result<Vec<(String, PathBuf)>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // Of a link, what it leads to.
        let is_dir = match entry.file_type()? {
            kind if kind.is_symlink() => entry.path().is_dir(),
            kind => kind.is_dir(),
        };
        if let (true, Ok(name)) = (is_dir == folders, entry.file_name().into_string()) {
            entries.push((name, entry.path()));
        }
    }
    Ok(entries)
}

/// Reads `metadata.json`; there may be none. Values that are no texts become such.
pub(super) fn metadata(root: &Path) -> Result<Metadata, StoreError> {
    let path = root.join(METADATA);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Metadata::new()),
        Err(error) => return Err(StoreError::io(&path, error)),
    };
    let object = serde_json::from_slice::<Map<String, Value>>(&text)
        .map_err(|error| StoreError::Damaged { path, what: format!("it is no JSON object: {error}") })?;
    let text = |value| match value {
        Value::String(text) => text,
        Value::Null => String::new(),
        value => value.to_string(),
    };
    Ok(object.into_iter().map(|(name, value)| (name, text(value))).collect())
}

/// Whether rows count from the south.
pub(super) fn is_tms(metadata: &Metadata) -> bool {
    metadata.value("scheme") == Some("tms")
}
