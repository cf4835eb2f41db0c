//! The first 127 bytes. Pure.

use crate::check::Format;

/// How many bytes a header has.
pub(super) const LENGTH: usize = 127;
/// In so many bytes from the start lie the header and the root directory.
pub(super) const START: u64 = 16_384;

/// A part of a file: where it begins and how long it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Part {
    /// The first byte.
    pub offset: u64,
    /// How many bytes.
    pub length: u64,
}

/// How something is compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Compression {
    /// It is not said.
    Unknown,
    /// Not at all.
    #[default]
    None,
    /// gzip.
    Gzip,
    /// Brotli.
    Brotli,
    /// Zstandard.
    Zstd,
}

impl Compression {
    const ALL: [Self; 5] = [Self::Unknown, Self::None, Self::Gzip, Self::Brotli, Self::Zstd];
}

/// The tile types that have a number; 0 is any other.
const FORMATS: [(u8, Format); 5] =
    [(1, Format::Mvt), (2, Format::Png), (3, Format::Jpeg), (4, Format::Webp), (5, Format::Avif)];

/// What a file says of itself in its first bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Header {
    /// The root directory.
    pub root: Part,
    /// The metadata.
    pub metadata: Part,
    /// The leaf directories.
    pub leaves: Part,
    /// The bodies.
    pub bodies: Part,
    /// Tiles.
    pub tiles: u64,
    /// Entries of directories that name tiles: a run of equal tiles is one.
    pub entries: u64,
    /// Different bodies.
    pub contents: u64,
    /// Whether the bodies lie in the order of the ids.
    pub clustered: bool,
    /// How directories and metadata are compressed.
    pub internal: Compression,
    /// How bodies are compressed.
    pub compression: Compression,
    /// What the tiles are; none where it is not one that has a number.
    pub format: Option<Format>,
    /// The lowest and the highest zoom.
    pub zooms: (u8, u8),
    /// West, south, east, north, in degrees.
    pub bounds: [f64; 4],
    /// Longitude, latitude and zoom of what is shown first.
    pub center: (f64, f64, u8),
}

impl Header {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = b"PMTiles\x03".to_vec();
        let parts = [self.root, self.metadata, self.leaves, self.bodies].map(|part| [part.offset, part.length]);
        for number in parts.into_iter().flatten().chain([self.tiles, self.entries, self.contents]) {
            bytes.extend(number.to_le_bytes());
        }
        let format = FORMATS.iter().find(|(_, format)| Some(*format) == self.format).map_or(0, |(number, _)| *number);
        bytes.extend([u8::from(self.clustered), self.internal as u8, self.compression as u8, format]);
        bytes.extend([self.zooms.0, self.zooms.1]);
        self.bounds.iter().for_each(|degree| bytes.extend(fixed(*degree)));
        bytes.push(self.center.2);
        bytes.extend([fixed(self.center.0), fixed(self.center.1)].concat());
        bytes
    }

    /// # Errors
    /// What is wrong with it.
    pub(super) fn decode(bytes: &[u8; LENGTH]) -> Result<Self, &'static str> {
        if !bytes.starts_with(b"PMTiles") {
            return Err("it does not begin with `PMTiles`");
        }
        if bytes[7] != 3 {
            return Err("it is not of version 3");
        }
        let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]));
        let degree = |at: usize| f64::from(i32::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]))) / 1e7;
        let part = |at| Part { offset: number(at), length: number(at + 8) };
        let compression = |at: usize| Compression::ALL.get(usize::from(bytes[at])).copied();
        Ok(Self {
            root: part(8),
            metadata: part(24),
            leaves: part(40),
            bodies: part(56),
            tiles: number(72),
            entries: number(80),
            contents: number(88),
            clustered: bytes[96] == 1,
            internal: compression(97).ok_or("its directories are compressed in an unknown way")?,
            compression: compression(98).ok_or("its tiles are compressed in an unknown way")?,
            format: FORMATS.iter().find(|(number, _)| *number == bytes[99]).map(|(_, format)| *format),
            zooms: (bytes[100], bytes[101]),
            bounds: [102, 106, 110, 114].map(degree),
            center: (degree(119), degree(123), bytes[118]),
        })
    }
}

/// Degrees in ten millionths.
fn fixed(degree: f64) -> [u8; 4] {
    ((degree * 1e7).round() as i32).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_lies_where_the_specification_says() {
        let part = |offset| Part { offset, length: offset + 1 };
        let header = Header {
            root: part(1),
            metadata: part(3),
            leaves: part(5),
            bodies: part(7),
            tiles: 9,
            entries: 10,
            contents: 11,
            clustered: true,
            internal: Compression::Gzip,
            compression: Compression::Zstd,
            format: Some(Format::Avif),
            zooms: (12, 13),
            bounds: [-180.0, -85.0511287, 106.6, 0.0000001],
            center: (106.8, -6.2, 14),
        };

        let bytes: [u8; LENGTH] = header.encode().try_into().unwrap();

        assert_eq!(Header::decode(&bytes), Ok(header));
        assert_eq!(
            [8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88].map(|at| bytes[at]),
            [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]
        );
        assert_eq!(bytes[96..102], [1, 2, 4, 5, 12, 13]);
        assert_eq!(bytes[102..106], (-1_800_000_000_i32).to_le_bytes());
        assert_eq!((bytes[118], &bytes[119..123]), (14, &1_068_000_000_i32.to_le_bytes()[..]));
        for (at, value) in [(0, b'p'), (7, 2), (97, 5), (98, 255)] {
            let mut wrong = bytes;
            wrong[at] = value;
            assert!(Header::decode(&wrong).is_err(), "{value} at {at}");
        }
    }
}
