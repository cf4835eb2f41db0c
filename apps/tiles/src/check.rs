//! Whether a body is a tile, which kind, and whether all of it is there. Pure.
//!
//! Kinds are known by their first bytes, never by what a server says. The end is known by the trailer or by lengths within:
//!
//! | kind | begins | ends |
//! |---|---|---|
//! | PNG | `89 PNG 0D 0A 1A 0A` | chunks up to `IEND` with its checksum |
//! | JPEG | `FF D8 FF` | `FF D9` |
//! | WebP | `RIFF`, length, `WEBP` | as long as the length says |
//! | GIF | `GIF8` | `3B` |
//! | AVIF | `ftyp` with brand `avif` or `avis` | boxes fill it, one of them `mdat` |
//! | vector tile | `1A` | fields fill it |
//! | vector tile, gzip | `1F 8B 08` | cannot be told without unpacking: [`Found::whole`] is false |
//!
//! Zero bytes, spaces and line ends behind a trailer do no harm.

use std::fmt;

/// How much of a body that is no tile is kept.
pub const KEPT: usize = 200;

/// The format of a tile, as MBTiles knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Portable Network Graphics.
    Png,
    /// JPEG.
    Jpeg,
    /// WebP.
    Webp,
    /// GIF.
    Gif,
    /// AVIF.
    Avif,
    /// Mapbox vector tile, bare or gzip.
    Mvt,
}

impl Format {
    /// What MBTiles writes in its metadata; also the usual ending of a file's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpg",
            Self::Webp => "webp",
            Self::Gif => "gif",
            Self::Avif => "avif",
            Self::Mvt => "pbf",
        }
    }

    /// The format by [`Self::name`], by another usual ending, or by media type.
    pub fn named(name: &str) -> Option<Self> {
        let name = name.trim().to_ascii_lowercase();
        Some(match name.split(';').next().unwrap_or_default().trim_end() {
            "png" | "image/png" => Self::Png,
            "jpg" | "jpeg" | "image/jpeg" | "image/jpg" => Self::Jpeg,
            "webp" | "image/webp" => Self::Webp,
            "gif" | "image/gif" => Self::Gif,
            "avif" | "image/avif" => Self::Avif,
            "pbf" | "mvt" | "application/x-protobuf" | "application/vnd.mapbox-vector-tile" => Self::Mvt,
            _ => return None,
        })
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A body that is a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// What it is.
    pub format: Format,
    /// Whether it is compressed with gzip, as a vector tile is stored.
    pub gzip: bool,
    /// Whether its end proves that nothing is missing.
    pub whole: bool,
}

/// What a body is that is no tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A page for people.
    Html,
    /// XML, such as the error of a map server.
    Xml,
    /// JSON.
    Json,
    /// Other text.
    Text,
    /// Something else.
    Bytes,
}

/// Why a body is not the tile that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wrong {
    /// It is something else.
    NotATile {
        /// What.
        kind: Kind,
        /// Its first [`KEPT`] bytes as one line of text. A server may have put a secret of the request into it.
        start: String,
    },
    /// It begins as a tile and does not end as one.
    Cut {
        /// What it begins as.
        format: Format,
    },
    /// It is a tile of another format.
    Format {
        /// What is wanted.
        expected: Format,
        /// What it is.
        found: Format,
    },
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotATile { kind, start } => {
                let kind = match kind {
                    Kind::Html => "HTML",
                    Kind::Xml => "XML",
                    Kind::Json => "JSON",
                    Kind::Text => "text",
                    Kind::Bytes => "unknown bytes",
                };
                write!(f, "not a tile but {kind}: {start}")
            }
            Self::Cut { format } => write!(f, "the end of the {format} is missing"),
            Self::Format { expected, found } => write!(f, "a {found} where {expected} is expected"),
        }
    }
}

impl std::error::Error for Wrong {}

/// Looks at a body that is not empty. Without an expected format any tile will do.
///
/// # Errors
/// It is not a tile, not all of one, or not one of this format.
pub fn check(body: &[u8], expected: Option<Format>) -> Result<Found, Wrong> {
    let Some((found, whole)) = recognize(body) else {
        return Err(Wrong::NotATile { kind: kind(body), start: start(body) });
    };
    match expected {
        Some(expected) if expected != found.format => Err(Wrong::Format { expected, found: found.format }),
        _ if !whole => Err(Wrong::Cut { format: found.format }),
        _ => Ok(found),
    }
}

/// What a body begins as, and whether it ends as that.
fn recognize(body: &[u8]) -> Option<(Found, bool)> {
    let image = |format, whole| Some((Found { format, gzip: false, whole: true }, whole));
    match body {
        [0x89, b'P', b'N', b'G', 0x0D, 0x0A, 0x1A, 0x0A, chunks @ ..] => image(Format::Png, png_ends(chunks)),
        [0xFF, 0xD8, 0xFF, rest @ ..] => image(Format::Jpeg, trimmed(rest).ends_with(&[0xFF, 0xD9])),
        [b'R', b'I', b'F', b'F', a, b, c, d, rest @ ..] if rest.starts_with(b"WEBP") => {
            image(Format::Webp, rest.len() as u64 >= u64::from(u32::from_le_bytes([*a, *b, *c, *d])))
        }
        [b'G', b'I', b'F', b'8', rest @ ..] => image(Format::Gif, trimmed(rest).ends_with(b";")),
        [_, _, _, _, b'f', b't', b'y', b'p', brands @ ..] if is_avif(brands) => image(Format::Avif, boxes_fill(body)),
        [0x1F, 0x8B, 8, flags, ..] if flags & 0xE0 == 0 => {
            // A header, an empty block and a trailer are the least.
            Some((Found { format: Format::Mvt, gzip: true, whole: false }, body.len() >= 20))
        }
        [0x1A, ..] => image(Format::Mvt, fields_fill(body)),
        _ => None,
    }
}

fn trimmed(body: &[u8]) -> &[u8] {
    let end = body.iter().rposition(|byte| !matches!(byte, 0 | b'\n' | b'\r' | b' ')).map_or(0, |last| last + 1);
    &body[..end]
}

fn png_ends(mut chunks: &[u8]) -> bool {
    while let Some((length, rest)) = chunks.split_first_chunk::<4>() {
        if rest.starts_with(b"IEND\xAE\x42\x60\x82") {
            return *length == [0; 4];
        }
        // The name and the checksum are four bytes each.
        let Some(next) = rest.get(u32::from_be_bytes(*length) as usize + 8..) else { return false };
        chunks = next;
    }
    false
}

/// The major brand, a version, then compatible brands.
fn is_avif(brands: &[u8]) -> bool {
    brands.chunks_exact(4).take(16).any(|brand| brand == b"avif" || brand == b"avis")
}

/// Whether the boxes of a file of the MP4 family end where it does, and its pixels are in one.
fn boxes_fill(mut body: &[u8]) -> bool {
    let mut pixels = false;
    while let Some((size, rest)) = body.split_first_chunk::<4>() {
        pixels |= rest.starts_with(b"mdat");
        let size = match u32::from_be_bytes(*size) {
            // Up to the end, whatever that is.
            0 => return pixels,
            1 => match rest.get(4..12).and_then(|long| long.try_into().ok()) {
                Some(long) => u64::from_be_bytes(long),
                None => return false,
            },
            size => u64::from(size),
        };
        let Some(next) = usize::try_from(size).ok().filter(|size| *size >= 8).and_then(|size| body.get(size..)) else {
            return false;
        };
        body = next;
    }
    pixels && body.is_empty()
}

/// Whether the fields of a protocol buffer end where it does.
fn fields_fill(mut body: &[u8]) -> bool {
    while !body.is_empty() {
        let skip = match varint(&mut body).map(|key| key & 7) {
            Some(0) => varint(&mut body).map(|_| 0),
            Some(1) => Some(8),
            Some(2) => varint(&mut body),
            Some(5) => Some(4),
            _ => None,
        };
        let Some(next) = skip.and_then(|skip| body.get(usize::try_from(skip).ok()?..)) else { return false };
        body = next;
    }
    true
}

fn varint(body: &mut &[u8]) -> Option<u64> {
    let length = body.iter().take(10).position(|byte| byte & 0x80 == 0)? + 1;
    let (bytes, rest) = body.split_at(length);
    *body = rest;
    Some(bytes.iter().rev().fold(0, |number, byte| number << 7 | u64::from(byte & 0x7F)))
}

/// What a body that is no tile is, by its first sign that is no space.
fn kind(body: &[u8]) -> Kind {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body).trim_ascii_start();
    let begins = |text: &str| body.get(..text.len()).is_some_and(|start| start.eq_ignore_ascii_case(text.as_bytes()));
    match body.first() {
        Some(b'<') if ["<!doctype html", "<html", "<head", "<body"].into_iter().any(begins) => Kind::Html,
        Some(b'<') => Kind::Xml,
        Some(b'{' | b'[') => Kind::Json,
        _ if body[..body.len().min(KEPT)].iter().all(|byte| *byte >= b' ' || b"\t\r\n".contains(byte)) => Kind::Text,
        _ => Kind::Bytes,
    }
}

/// The beginning of what a server says with a refusal or an error, as one line; nothing where that is no text.
pub(crate) fn words(body: &[u8]) -> String {
    if kind(body) == Kind::Bytes { String::new() } else { start(body) }
}

/// The first bytes as one line, whatever they are.
fn start(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(KEPT)]);
    let visible = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    visible.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
