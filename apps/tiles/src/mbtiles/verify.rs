//! Reading all of a file again.

use std::{collections::BTreeMap, path::Path};

use rusqlite::Connection;

use super::{
    MbtilesError, Metadata,
    open::{metadata, readable},
};
use crate::{
    check::{self, Format, Wrong},
    grid::Tile,
    gzip,
    store::job,
};

/// So many tiles that are wrong are named; all are counted.
const NAMED: usize = 100;
/// A vector tile that holds more than this is taken for a bomb.
const MOST: usize = 64 << 20;

/// What is in a file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Verified {
    /// Tiles, by zoom.
    pub tiles: BTreeMap<u8, u64>,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// Tiles by what they are.
    pub formats: BTreeMap<&'static str, u64>,
    /// What the file says that they are.
    pub said: Option<Format>,
    /// Tiles that are none, or not what the file says.
    pub wrong: u64,
    /// The first of them, and why.
    pub named: Vec<(Tile, String)>,
    /// Rows for tiles that do not exist.
    pub nowhere: u64,
    /// What SQLite says against the file; empty where it is sound.
    pub damage: Vec<String>,
    /// Whether `agg_tiles_hash` is right.
    pub agg: Agg,
    /// What the file should say of itself and does not.
    pub missing: Vec<&'static str>,
}

/// What `agg_tiles_hash` shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Agg {
    /// It is not there.
    #[default]
    Absent,
    /// The tiles are those that were there when it was written.
    Right,
    /// They are not.
    Wrong,
}

impl Verified {
    /// Whether nothing is wrong with the file. Names that are missing are no harm to its tiles.
    pub fn is_sound(&self) -> bool {
        self.wrong == 0 && self.nowhere == 0 && self.damage.is_empty() && self.agg != Agg::Wrong
    }
}

/// Reads all of a file: the structure, each body, the counts, the hash. A writer has to wait for it.
///
/// # Errors
/// It cannot be read, or so much of it is damaged that SQLite gives up.
pub fn verify(path: &Path) -> Result<Verified, MbtilesError> {
    let (file, _) = readable(path)?;
    look(&file).map_err(|error| MbtilesError::of(path, error))
}

fn look(file: &Connection) -> rusqlite::Result<Verified> {
    let metadata = metadata(file)?;
    let mut verified =
        Verified { said: metadata.format(), missing: missing(&metadata), damage: damage(file)?, ..Verified::default() };
    let mut query = file.prepare("SELECT zoom_level, tile_column, tile_row, tile_data FROM tiles")?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let body = row.get_ref(3)?.as_bytes_or_null()?.unwrap_or_default();
        match job::key(row) {
            Some(tile) => verified.add(tile, body),
            None => verified.nowhere += 1,
        }
    }
    drop(rows);
    if let Some(hash) = metadata.value("agg_tiles_hash") {
        verified.agg = if agg_tiles_hash(file)?.eq_ignore_ascii_case(hash) { Agg::Right } else { Agg::Wrong };
    }
    Ok(verified)
}

impl Verified {
    fn add(&mut self, tile: Tile, body: &[u8]) {
        *self.tiles.entry(tile.z()).or_default() += 1;
        self.bytes += body.len() as u64;
        match whole(body, self.said) {
            Ok(format) => *self.formats.entry(format.name()).or_default() += 1,
            Err(why) => {
                self.wrong += 1;
                if self.named.len() < NAMED {
                    self.named.push((tile, why));
                }
            }
        }
    }
}

/// What a body is, if it is a whole tile; what is compressed is looked into.
pub(crate) fn whole(body: &[u8], expected: Option<Format>) -> Result<Format, String> {
    if body.is_empty() {
        return Err("it has no bytes".to_owned());
    }
    let found = check::check(body, expected).map_err(|wrong: Wrong| wrong.to_string())?;
    if found.gzip {
        let unpacked = gzip::unpack(body, MOST).map_err(|error| format!("it cannot be unpacked: {error}"))?;
        if !unpacked.is_empty() {
            check::check(&unpacked, Some(Format::Mvt)).map_err(|wrong| format!("unpacked, {wrong}"))?;
        }
    }
    Ok(found.format)
}

fn missing(metadata: &Metadata) -> Vec<&'static str> {
    let vector = metadata.format() == Some(Format::Mvt);
    let names =
        ["name", "format", "bounds", "center", "minzoom", "maxzoom"].into_iter().chain(vector.then_some("json"));
    names.filter(|name| metadata.value(name).is_none()).collect()
}

fn damage(file: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut query = file.prepare("PRAGMA integrity_check")?;
    let said = query.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
    Ok(said.into_iter().filter(|line| line != "ok").collect())
}

/// The MD5 of zooms, columns, rows (as decimal texts) and bodies of all tiles in this order, in upper-case hexadecimals.
pub(super) fn agg_tiles_hash(file: &Connection) -> rusqlite::Result<String> {
    let mut query = file.prepare(
        "SELECT zoom_level, tile_column, tile_row, tile_data FROM tiles ORDER BY zoom_level, tile_column, tile_row",
    )?;
    let mut rows = query.query([])?;
    let mut hash = md5::Context::new();
    while let Some(row) = rows.next()? {
        let key = format!("{}{}{}", row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?);
        hash.consume(key);
        hash.consume(row.get_ref(3)?.as_bytes_or_null()?.unwrap_or_default());
    }
    Ok(format!("{:X}", hash.finalize()))
}
