//! What reading all of a store again showed.

use std::collections::BTreeMap;

use super::Metadata;
use flate2::Crc;

use crate::{
    check::{self, Format, Wrong},
    grid::Tile,
    gzip,
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

impl Verified {
    /// Of a store with these metadata, before anything of it was read.
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self { said: metadata.format(), missing: missing(metadata), ..Self::default() }
    }

    /// Looks at a tile.
    pub(crate) fn add(&mut self, tile: Tile, body: &[u8]) {
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
    if found.format == Format::Png && !sums_are_right(body) {
        return Err("a checksum of the png is wrong".to_owned());
    }
    Ok(found.format)
}

/// Whether the checksums of a PNG's chunks are right: a byte that has changed since is seen by them.
fn sums_are_right(body: &[u8]) -> bool {
    let mut chunks = body.get(8..).unwrap_or_default();
    while let Some((length, rest)) = chunks.split_first_chunk::<4>() {
        let end = (u32::from_be_bytes(*length) as usize).saturating_add(4);
        let (Some(chunk), Some(sum)) = (rest.get(..end), rest.get(end..).and_then(|rest| rest.first_chunk::<4>()))
        else {
            return false;
        };
        let mut crc = Crc::new();
        crc.update(chunk);
        if crc.sum() != u32::from_be_bytes(*sum) {
            return false;
        }
        if chunk.starts_with(b"IEND") {
            break;
        }
        chunks = &rest[end + 4..];
    }
    true
}

fn missing(metadata: &Metadata) -> Vec<&'static str> {
    let vector = metadata.format() == Some(Format::Mvt);
    let names =
        ["name", "format", "bounds", "center", "minzoom", "maxzoom"].into_iter().chain(vector.then_some("json"));
    names.filter(|name| metadata.value(name).is_none()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_of_a_png_that_has_changed_is_seen() {
        let mut chunk = b"\0\0\0\x03IDATabc".to_vec();
        let mut crc = Crc::new();
        crc.update(&chunk[4..]);
        chunk.extend(crc.sum().to_be_bytes());
        let png = [b"\x89PNG\r\n\x1a\n", &chunk[..], b"\0\0\0\0IEND\xAE\x42\x60\x82"].concat();

        assert_eq!(whole(&png, None), Ok(Format::Png));
        for at in 16..19 {
            let mut changed = png.clone();
            changed[at] ^= 1;
            assert_eq!(whole(&changed, None).unwrap_err(), "a checksum of the png is wrong");
        }
        assert!(whole(&png[..20], None).is_err());
    }
}
