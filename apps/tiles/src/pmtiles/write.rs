//! Making a file.

use std::{
    fs::{self, File},
    io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write},
    path::Path,
};

use super::{
    Compression, Header,
    directory::{self, Entry},
    header::{self, Part, START},
    metadata,
};
use crate::{
    check::Format,
    grid::Tile,
    gzip,
    store::{Metadata, StoreError, extents::Extents, seen::Seen, whole},
};

/// So many entries are in a leaf, or more where the root would be too long.
const LEAF: usize = 4096;
/// So many bytes are left for the root.
const ROOT: usize = START as usize - header::LENGTH;
/// An entry in the file that keeps them meanwhile.
const SPOOLED: usize = 24;

/// What is made, and whether it may replace another file.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// What all tiles are, if that is known. Vector tiles that are not compressed yet will be.
    pub format: Option<Format>,
    /// A file of this name goes when the new one is whole.
    pub replace: bool,
}

/// A file in the making: `.tiles-part-NAME` until it is finished. Dropped before, nothing is left of it.
#[derive(Debug)]
pub struct Writer {
    part: whole::Part,
    format: Option<Format>,
    bodies: BufWriter<File>,
    /// Entries that are complete. This file has no name.
    spool: BufWriter<File>,
    last: Option<Entry>,
    seen: Seen,
    extents: Extents,
    /// Tiles, entries, contents, bytes of bodies.
    written: Written,
}

/// What a file has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// Tiles.
    pub tiles: u64,
    /// Runs of equal tiles.
    pub entries: u64,
    /// Different bodies.
    pub contents: u64,
    /// Bytes of these.
    pub bytes: u64,
}

impl Writer {
    /// Begins a file.
    ///
    /// # Errors
    /// It is there and must not be replaced, another one is making it, or it cannot be made.
    pub fn create(path: &Path, options: &Options) -> Result<Self, StoreError> {
        let (part, mut file) = whole::Part::begin(path, options.replace)?;
        let spool = nameless(part.part(), &mut file).map_err(|error| StoreError::io(path, error))?;
        Ok(Self {
            part,
            format: options.format,
            bodies: BufWriter::with_capacity(1 << 18, file),
            spool: BufWriter::new(spool),
            last: None,
            seen: Seen::default(),
            extents: Extents::default(),
            written: Written::default(),
        })
    }

    /// Adds a tile, in the order of the ids. One without bytes is left out, as the format has none.
    ///
    /// # Errors
    /// A tile of this or a higher id was there before, or it cannot be written. Drop it then: what is missing would not be seen.
    pub fn put(&mut self, tile: Tile, body: &[u8]) -> Result<(), StoreError> {
        if body.is_empty() {
            return Ok(());
        }
        if self.last.is_some_and(|last| tile.id() < last.id + u64::from(last.run)) {
            return Err(StoreError::Order { path: self.part.path().to_owned(), tile });
        }
        self.add(tile, body).map_err(|error| StoreError::io(self.part.path(), error))
    }

    fn add(&mut self, tile: Tile, body: &[u8]) -> io::Result<()> {
        let packed = (self.format == Some(Format::Mvt) && !body.starts_with(&[0x1F, 0x8B]))
            .then(|| gzip::pack(body))
            .transpose()?;
        let body = packed.as_deref().unwrap_or(body);
        let length = u32::try_from(body.len()).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        let next = self.written.bytes;
        let offset = match self.seen.find(body, next as i64) {
            Some(before) => before as u64,
            None => {
                self.bodies.write_all(body)?;
                self.written.contents += 1;
                self.written.bytes += u64::from(length);
                next
            }
        };
        self.written.tiles += 1;
        self.extents.add(tile);
        match &mut self.last {
            Some(last)
                if last.offset == offset && last.id + u64::from(last.run) == tile.id() && last.run < u32::MAX =>
            {
                last.run += 1;
                Ok(())
            }
            last => {
                let complete = last.replace(Entry { id: tile.id(), offset, length, run: 1 });
                self.written.entries += 1;
                complete.map_or(Ok(()), |entry| spool(&mut self.spool, entry))
            }
        }
    }

    /// Writes the directories and what the file says of itself, and gives it its name.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn finish(mut self, metadata: &Metadata) -> Result<Written, StoreError> {
        let file = self.complete(metadata).map_err(|error| StoreError::io(self.part.path(), error))?;
        self.part.place(&file).map(|()| self.written)
    }

    fn complete(&mut self, metadata: &Metadata) -> io::Result<File> {
        if let Some(last) = self.last.take() {
            spool(&mut self.spool, last)?;
        }
        self.spool.flush()?;
        self.bodies.flush()?;
        let mut file = self.bodies.get_ref().try_clone()?;
        let bodies = Part { offset: START, length: self.written.bytes };
        let at = bodies.offset + bodies.length;
        let (root, leaves) = directories(self.spool.get_mut(), self.written.entries, LEAF, &mut file, at)?;
        let json = gzip::pack(&metadata::encode(metadata))?;
        let behind = at + leaves;
        file.set_len(behind)?;
        file.seek(SeekFrom::Start(behind))?;
        file.write_all(&json)?;
        let bounds = match self.extents.bounds(metadata) {
            // The format has no box across the antimeridian.
            [west, south, east, north] if west > east => [-180.0, south, 180.0, north],
            bounds => bounds,
        };
        let header = Header {
            root: Part { offset: header::LENGTH as u64, length: root.len() as u64 },
            metadata: Part { offset: behind, length: json.len() as u64 },
            leaves: Part { offset: at, length: leaves },
            bodies,
            tiles: self.written.tiles,
            entries: self.written.entries,
            contents: self.written.contents,
            clustered: true,
            internal: Compression::Gzip,
            compression: match self.format {
                Some(Format::Mvt) => Compression::Gzip,
                Some(_) => Compression::None,
                None => Compression::Unknown,
            },
            format: self.format,
            zooms: self.extents.zooms().unwrap_or_default(),
            bounds,
            center: self.extents.center(metadata, bounds),
        };
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&[header.encode(), root].concat())?;
        Ok(file)
    }
}

/// A file beside the one in the making, which goes with its handle; and the place where bodies begin.
fn nameless(part: &Path, file: &mut File) -> io::Result<File> {
    let path = whole::beside(part, ".entries");
    let spool = File::options().read(true).write(true).create(true).truncate(true).open(&path)?;
    fs::remove_file(&path)?;
    file.seek(SeekFrom::Start(START))?;
    Ok(spool)
}

fn spool(to: &mut impl Write, entry: Entry) -> io::Result<()> {
    let mut bytes = [0; SPOOLED];
    bytes[..8].copy_from_slice(&entry.id.to_le_bytes());
    bytes[8..16].copy_from_slice(&entry.offset.to_le_bytes());
    bytes[16..20].copy_from_slice(&entry.length.to_le_bytes());
    bytes[20..].copy_from_slice(&entry.run.to_le_bytes());
    to.write_all(&bytes)
}

fn spooled(from: &mut impl Read) -> io::Result<Entry> {
    let mut bytes = [0; SPOOLED];
    from.read_exact(&mut bytes)?;
    let long = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]));
    let short = |at: usize| u32::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]));
    Ok(Entry { id: long(0), offset: long(8), length: short(16), run: short(20) })
}

/// Writes the leaves from `at` on, and answers the root and how long the leaves are. A leaf has `size` entries, or so many times more
/// that the root has room for all.
fn directories(spool: &mut File, count: u64, size: usize, to: &mut File, at: u64) -> io::Result<(Vec<u8>, u64)> {
    // More than this are too many for the root in any case.
    if count <= 4 * ROOT as u64 {
        let root = gzip::pack(&directory::encode(&next_entries(&mut rewound(spool)?, count)?))?;
        if root.len() <= ROOT {
            return Ok((root, 0));
        }
    }
    let mut size = size;
    loop {
        to.seek(SeekFrom::Start(at))?;
        let (root, length) = leaves(&mut rewound(spool)?, count, size, &mut BufWriter::new(&mut *to))?;
        if root.len() <= ROOT {
            return Ok((root, length));
        }
        size *= 2;
    }
}

fn leaves(spool: &mut impl Read, count: u64, size: usize, to: &mut impl Write) -> io::Result<(Vec<u8>, u64)> {
    let (mut root, mut length, mut left) = (Vec::new(), 0, count);
    while left > 0 {
        let entries = next_entries(spool, left.min(size as u64))?;
        left -= entries.len() as u64;
        let leaf = gzip::pack(&directory::encode(&entries))?;
        to.write_all(&leaf)?;
        root.push(Entry { id: entries[0].id, offset: length, length: leaf.len() as u32, run: 0 });
        length += leaf.len() as u64;
    }
    to.flush()?;
    Ok((gzip::pack(&directory::encode(&root))?, length))
}

fn rewound(spool: &mut File) -> io::Result<BufReader<&mut File>> {
    spool.seek(SeekFrom::Start(0))?;
    Ok(BufReader::with_capacity(1 << 16, spool))
}

fn next_entries(spool: &mut impl Read, count: u64) -> io::Result<Vec<Entry>> {
    (0..count).map(|_| spooled(spool)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_grow_until_the_root_has_room_for_them() {
        let (mut spooled, mut to) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let entry = |id: u64| Entry { id: id * 7, offset: id * 1000 % 777, length: 1 + (id * id % 500) as u32, run: 1 };
        let count = 70_000;
        let mut bytes = Vec::new();
        (0..count).for_each(|id| spool(&mut bytes, entry(id)).unwrap());
        spooled.write_all(&bytes).unwrap();

        let (root, length) = directories(&mut spooled, count, 1, &mut to, 5).unwrap();

        assert!(root.len() <= ROOT, "{}", root.len());
        let unpack = |bytes: &[u8]| directory::decode(&gzip::unpack(bytes, 1 << 20).unwrap()).unwrap();
        let (mut leaves, mut next) = (Vec::new(), 0);
        to.seek(SeekFrom::Start(5)).unwrap();
        // Longer attempts may have been there before.
        to.take(length).read_to_end(&mut leaves).unwrap();
        for pointer in unpack(&root) {
            let leaf = unpack(&leaves[pointer.offset as usize..][..pointer.length as usize]);
            assert_eq!((pointer.run, pointer.id), (0, leaf[0].id));
            assert!(leaf.len().is_power_of_two() || next + leaf.len() as u64 == count);
            for found in leaf {
                assert_eq!(found, entry(next));
                next += 1;
            }
        }
        assert_eq!((next, leaves.len() as u64), (count, length));
    }
}
