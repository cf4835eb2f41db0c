//! Taking over what the batch script wrote that this program replaces.
//!
//! It left a folder of `tiles_batch_NNN/tile_Z_X_Y.jpg`, `progress_async.json` with the ranges that were asked for, and
//! `failed_tiles_async.json` with what failed. A file that exists may be empty or cut there, or a page that says no: only what is a whole
//! tile is taken over. Everything else of the ranges is left to be fetched, and the list of failures is kept. The folder itself is not
//! changed.

use std::{
    collections::BTreeMap,
    fs, io,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};

use crate::{
    answer::Class,
    check::{self, Format},
    grid::Tile,
    store::{Http, Metadata, Row, Store, StoreError, What, verified::whole},
};

/// So many tiles are written at once.
const GROUP: usize = 250;
/// So many files that are no tiles are named; all are counted.
const NAMED: usize = 20;
/// Where the ranges stand, by the versions of the script.
const PROGRESS: [&str; 2] = ["progress_async.json", "progress.json"];
/// Where failures stand.
const FAILED: [&str; 2] = ["failed_tiles_async.json", "failed_tiles.json"];

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ranges {
    /// The one zoom.
    pub zoom: u8,
    /// From and to column, both included.
    pub x: (u32, u32),
    /// From and to row from the north, both included.
    pub y: (u32, u32),
    /// The variant in the address.
    pub variant: Option<String>,
}

/// What was found and taken over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    /// Tiles that are in the store now.
    pub stored: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// How many of them are of which format: the script asked for no particular one.
    pub formats: BTreeMap<&'static str, u64>,
    /// Tiles that were in the store before, and are as they were.
    pub known: u64,
    /// Files without bytes.
    pub empty: u64,
    /// Files that are no whole tile.
    pub wrong: u64,
    /// The first of both, and why.
    pub named: Vec<(PathBuf, String)>,
    /// Tiles of the list of failures that are not stored.
    pub failed: u64,
    /// What was asked for, if that can be read.
    pub ranges: Option<Ranges>,
    /// Lists that cannot be read, and why.
    pub unread: Vec<(PathBuf, String)>,
    /// Whether it was ended before all was looked at.
    pub ended: bool,
}

/// Takes over a folder of the script: the one with the batches, or the one above. `each` is called after each group of tiles, and may end it:
/// what was taken over stays, and a second time goes on.
///
/// # Errors
/// There are no batches, or something cannot be read or written.
pub fn take_over(
    from: &Path,
    into: &mut Store,
    mut each: impl FnMut(&Taken) -> ControlFlow<()>,
) -> Result<Taken, StoreError> {
    let (root, batches) = batches(from)?;
    let (mut taken, mut rows) = (Taken::default(), Vec::new());
    taken.ranges = json(&root, &PROGRESS, &mut taken.unread).and_then(|progress| ranges(&progress));
    let mut known = into.known()?.stored;
    for batch in batches {
        for (tile, path) in tiles(&batch)? {
            if known.contains(tile.id()) {
                taken.known += 1;
                continue;
            }
            let body = fs::read(&path).map_err(|error| StoreError::io(&path, error))?;
            match whole(&body, None) {
                Ok(found) => {
                    *taken.formats.entry(found.name()).or_default() += 1;
                    taken.stored += 1;
                    taken.bytes += body.len() as u64;
                    known.insert(tile.id());
                    let http = Http { fetched: modified(&path), ..Http::default() };
                    rows.push(Row { tile, what: What::Stored { body, http } });
                }
                Err(why) => taken.refuse(path, &body, why),
            }
            if rows.len() == GROUP {
                into.commit(&rows)?;
                rows.clear();
                if each(&taken).is_break() {
                    taken.ended = true;
                    return Ok(taken);
                }
            }
        }
    }
    let failures = json(&root, &FAILED, &mut taken.unread).unwrap_or_default();
    let failures = failures_of(&failures, taken.ranges.as_ref());
    let failures = failures.into_iter().filter(|row| !known.contains(row.tile.id()));
    let before = rows.len();
    rows.extend(failures);
    taken.failed = (rows.len() - before) as u64;
    into.commit(&rows)?;
    let most = taken.formats.iter().max_by_key(|(_, count)| **count);
    if let (Some((format, _)), None) = (most, into.metadata()?.format()) {
        into.set_metadata(&Metadata::from_iter([("format", *format)]))?;
    }
    let _ = each(&taken);
    Ok(taken)
}

/// What the script was asked for, if its folder says so.
pub fn asked(from: &Path) -> Option<Ranges> {
    let (root, _) = batches(from).ok()?;
    ranges(&json(&root, &PROGRESS, &mut Vec::new())?)
}

impl Taken {
    fn refuse(&mut self, path: PathBuf, body: &[u8], why: String) {
        *(if body.is_empty() { &mut self.empty } else { &mut self.wrong }) += 1;
        if self.named.len() < NAMED {
            self.named.push((path, why));
        }
    }
}

/// The folder with the batches, and these by their names.
fn batches(from: &Path) -> Result<(PathBuf, Vec<PathBuf>), StoreError> {
    for root in [from.to_owned(), from.join("tiles")] {
        let entries = match fs::read_dir(&root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && root != from => continue,
            entries => entries.and_then(|entries| entries.collect::<io::Result<Vec<_>>>()),
        };
        let entries = entries.map_err(|error| StoreError::io(&root, error))?;
        let is_batch = |entry: &fs::DirEntry| {
            entry.path().is_dir() && entry.file_name().to_string_lossy().starts_with("tiles_batch_")
        };
        let mut batches = Vec::from_iter(entries.iter().filter(|entry| is_batch(entry)).map(fs::DirEntry::path));
        batches.sort();
        if !batches.is_empty() {
            return Ok((root, batches));
        }
    }
    Err(StoreError::NoBatches { path: from.to_owned() })
}

/// The files of a batch that are named like tiles, by their ids.
fn tiles(batch: &Path) -> Result<Vec<(Tile, PathBuf)>, StoreError> {
    let wrong = |error| StoreError::io(batch, error);
    let mut tiles = Vec::new();
    for entry in fs::read_dir(batch).map_err(wrong)? {
        let path = entry.map_err(wrong)?.path();
        if let Some(tile) = path.file_name().and_then(|name| name.to_str()).and_then(named) {
            tiles.push((tile, path));
        }
    }
    tiles.sort_by_key(|(tile, _)| tile.id());
    Ok(tiles)
}

/// The tile of `tile_Z_X_Y.jpg`.
fn named(name: &str) -> Option<Tile> {
    let (name, ending) = name.strip_prefix("tile_")?.rsplit_once('.')?;
    Format::named(ending)?;
    let mut numbers = name.split('_');
    let mut next = || numbers.next()?.parse::<u32>().ok();
    let (z, x, y) = (u8::try_from(next()?).ok()?, next()?, next()?);
    Tile::new(z, x, y).ok().filter(|_| numbers.next().is_none())
}

fn modified(path: &Path) -> u64 {
    let modified = fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    modified.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok()).map_or(0, |since| since.as_secs())
}

/// The first of these files that is there, if it is a JSON object. The script rewrites them in place, so one may be cut.
fn json(root: &Path, names: &[&str], unread: &mut Vec<(PathBuf, String)>) -> Option<Map<String, Value>> {
    let path = names.iter().map(|name| root.join(name)).find(|path| path.exists())?;
    let read = || serde_json::from_slice(&fs::read(&path)?).map_err(io::Error::from);
    read().map_err(|error| unread.push((path, error.to_string()))).ok()
}

fn ranges(progress: &Map<String, Value>) -> Option<Ranges> {
    let config = progress.get("config")?;
    let number = |name| config.get(name).and_then(number);
    let zoom = u8::try_from(number("zoom")?).ok()?;
    let (x, y) = ((number("x_start")?, number("x_end")?), (number("y_start")?, number("y_end")?));
    // Both corners exist, and are the right way round.
    let exist = Tile::new(zoom, x.1, y.1).is_ok() && x.0 <= x.1 && y.0 <= y.1;
    let variant = config.get("variant").filter(|variant| !variant.is_null()).map(text);
    exist.then_some(Ranges { zoom, x, y, variant })
}

/// Each batch has a list of columns, rows, errors and repetitions. The zoom is that of the ranges.
fn failures_of(failures: &Map<String, Value>, ranges: Option<&Ranges>) -> Vec<Row> {
    let Some(ranges) = ranges else { return Vec::new() };
    let row = |failure: &Value| {
        let tile = Tile::new(ranges.zoom, number(failure.get("x")?)?, number(failure.get("y")?)?).ok()?;
        let text = failure.get("error").map(text).unwrap_or_default();
        let tries = failure.get("retries").and_then(number).unwrap_or(0).saturating_add(1);
        let (class, status) = class(&text);
        // What is not there is no failure: it is asked for once more, and remembered as empty.
        if matches!(status, Some(404 | 410)) {
            return None;
        }
        Some(Row { tile, what: What::Failed { class, status, text: check::words(text.as_bytes()), tries } })
    };
    failures.values().filter_map(Value::as_array).flatten().filter_map(row).collect()
}

/// The script writes `HTTP 503`, `Timeout`, or what its library said.
fn class(error: &str) -> (Class, Option<u16>) {
    let status = error.strip_prefix("HTTP ").and_then(|status| status.trim().parse().ok());
    let class = match status {
        Some(401 | 403 | 407 | 418 | 451) => Class::Refused,
        Some(429) => Class::Busy,
        Some(300..=399) => Class::Redirect,
        Some(500..) | Some(408) => Class::Server,
        Some(_) => Class::Request,
        None if error.is_empty() || error.starts_with("Timeout") => Class::Timeout,
        None if error.starts_with("Cannot connect") => Class::Unreachable,
        None => Class::Reset,
    };
    (class, status)
}

/// A number, also one that stands there as a text.
fn number(value: &Value) -> Option<u32> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        value => value.as_u64().and_then(|number| u32::try_from(number).ok()),
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
#[path = "takeover_tests.rs"]
mod tests;
