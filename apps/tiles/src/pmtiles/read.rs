//! Reading a file.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use super::{
    Compression, Header,
    directory::{self, Entry},
    header::{self, Part},
    metadata,
};
use crate::{
    check::Format,
    grid::Tile,
    gzip,
    hilbert::{MAX_ZOOM, first_id, zoom_of},
    store::{Known, Metadata, Status, StoreError},
};

/// A directory, or the metadata, that holds more than this is taken for a bomb.
const MOST: usize = 64 << 20;
/// Directories within directories.
const DEPTH: usize = 4;

/// A file that is read.
#[derive(Debug)]
pub struct Reader {
    file: File,
    path: PathBuf,
    header: Header,
}

impl Reader {
    /// Opens a file.
    ///
    /// # Errors
    /// It is not there, not readable, or something else.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let open = || {
            let file = File::open(path)?;
            let length = file.metadata()?.len();
            let mut start = [0; header::LENGTH];
            if length >= header::LENGTH as u64 {
                file.read_exact_at(&mut start, 0)?;
            }
            Ok((file, length, start))
        };
        let (file, length, start) = open().map_err(|error| StoreError::io(path, error))?;
        let not = |what: &str| StoreError::NotPmtiles { path: path.to_owned(), what: what.to_owned() };
        let header = Header::decode(&start).map_err(not)?;
        for part in [header.root, header.metadata, header.leaves, header.bodies] {
            if part.offset.checked_add(part.length).is_none_or(|end| end > length) {
                return Err(not("a part of it lies behind its end"));
            }
        }
        Ok(Self { file, path: path.to_owned(), header })
    }

    /// What stands in its first bytes.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// What the file says of itself, as MBTiles would.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn metadata(&self) -> Result<Metadata, StoreError> {
        let json = if self.header.metadata.length == 0 { b"{}".to_vec() } else { self.unpacked(self.header.metadata)? };
        metadata::decode(&self.header, &json).ok_or_else(|| self.damaged("its metadata are no JSON object"))
    }

    /// The body of a tile.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn body(&self, tile: Tile) -> Result<Option<Vec<u8>>, StoreError> {
        let mut part = self.header.root;
        for _ in 0..DEPTH {
            match directory::find(&self.directory(part)?, tile.id()) {
                None => return Ok(None),
                Some(entry) if entry.run == 0 => part = self.leaf(entry)?,
                Some(entry) => return self.bytes(entry).map(Some),
            }
        }
        Err(self.damaged("its directories are too deep"))
    }

    /// All tiles with their bodies, by [`Tile::id`].
    ///
    /// # Errors
    /// It cannot be read.
    pub fn tiles(&self) -> Result<Tiles<'_>, StoreError> {
        let root = self.directory(self.header.root)?.into_iter();
        Ok(Tiles { reader: self, open: vec![root], run: Entry::default(), body: Vec::new(), next: 0 })
    }

    /// Counts its tiles, by the directories.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn status(&self) -> Result<Status, StoreError> {
        let mut status = Status::default();
        let mut open = self.tiles()?;
        while let Some(run) = open.next_run()? {
            let end = run.id.saturating_add(u64::from(run.run)).min(first_id(MAX_ZOOM + 1));
            let mut from = run.id;
            // A run may go on in the next zoom.
            while let Some(zoom) = zoom_of(from).filter(|_| from < end) {
                let upto = end.min(first_id(zoom + 1));
                *status.stored.entry(zoom).or_default() += upto - from;
                from = upto;
            }
        }
        Ok(status)
    }

    /// Which tiles there are, by the directories.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn known(&self) -> Result<Known, StoreError> {
        let (mut known, mut open) = (Known::default(), self.tiles()?);
        while let Some(run) = open.next_run()? {
            known.stored.insert_range(run.id..run.id.saturating_add(u64::from(run.run)).min(first_id(MAX_ZOOM + 1)));
        }
        Ok(known)
    }

    fn leaf(&self, entry: Entry) -> Result<Part, StoreError> {
        self.within(self.header.leaves, entry, "a directory lies outside of its part")
    }

    fn within(&self, part: Part, entry: Entry, what: &str) -> Result<Part, StoreError> {
        let length = u64::from(entry.length);
        if entry.offset.checked_add(length).is_none_or(|end| end > part.length) {
            return Err(self.damaged(what));
        }
        Ok(Part { offset: part.offset + entry.offset, length })
    }

    fn directory(&self, part: Part) -> Result<Vec<Entry>, StoreError> {
        directory::decode(&self.unpacked(part)?).ok_or_else(|| self.damaged("one of its directories is none"))
    }

    fn bytes(&self, entry: Entry) -> Result<Vec<u8>, StoreError> {
        let body = self.read(self.within(self.header.bodies, entry, "a tile lies outside of its part")?)?;
        match self.header.compression {
            // The form in which vector tiles are kept anyway.
            Compression::Gzip if self.header.format == Some(Format::Mvt) => Ok(body),
            Compression::Gzip => self.unpack(&body),
            Compression::None | Compression::Unknown => Ok(body),
            Compression::Brotli | Compression::Zstd => {
                Err(self.unsupported("its tiles are compressed with Brotli or Zstandard"))
            }
        }
    }

    /// Directories and metadata.
    fn unpacked(&self, part: Part) -> Result<Vec<u8>, StoreError> {
        if part.length > MOST as u64 {
            return Err(self.damaged("a part of it is too long"));
        }
        let bytes = self.read(part)?;
        match self.header.internal {
            Compression::None => Ok(bytes),
            Compression::Gzip => self.unpack(&bytes),
            _ => Err(self.unsupported("its directories are compressed with Brotli or Zstandard")),
        }
    }

    fn unpack(&self, bytes: &[u8]) -> Result<Vec<u8>, StoreError> {
        gzip::unpack(bytes, MOST).map_err(|error| self.damaged(&format!("a part of it cannot be unpacked: {error}")))
    }

    fn read(&self, part: Part) -> Result<Vec<u8>, StoreError> {
        let length = usize::try_from(part.length).map_err(|_| self.damaged("a part of it is too long"))?;
        let mut bytes = vec![0; length];
        match self.file.read_exact_at(&mut bytes, part.offset) {
            Ok(()) => Ok(bytes),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(self.damaged("its end is missing")),
            Err(error) => Err(StoreError::io(&self.path, error)),
        }
    }

    fn damaged(&self, what: &str) -> StoreError {
        StoreError::Damaged { path: self.path.clone(), what: what.to_owned() }
    }

    fn unsupported(&self, what: &str) -> StoreError {
        StoreError::Unsupported { path: self.path.clone(), what: what.to_owned() }
    }
}

/// The tiles of a file, one after the other. After an error there are no more.
#[derive(Debug)]
pub struct Tiles<'a> {
    reader: &'a Reader,
    /// What is left of the directories that led here.
    open: Vec<std::vec::IntoIter<Entry>>,
    /// What is left of a run, and its body.
    run: Entry,
    body: Vec<u8>,
    /// No lower id may come.
    next: u64,
}

impl Tiles<'_> {
    /// How many there are in all, as the file says; none where it does not.
    pub fn total(&self) -> Option<u64> {
        Some(self.reader.header.tiles).filter(|tiles| *tiles > 0)
    }

    /// The next run of tiles, without its body.
    fn next_run(&mut self) -> Result<Option<Entry>, StoreError> {
        while let Some(directory) = self.open.last_mut() {
            match directory.next() {
                None => {
                    self.open.pop();
                }
                Some(entry) if entry.id < self.next => return Err(self.reader.damaged("its ids do not ascend")),
                Some(entry) if entry.run == 0 && self.open.len() == DEPTH => {
                    return Err(self.reader.damaged("its directories are too deep"));
                }
                Some(entry) if entry.run == 0 => {
                    self.next = entry.id;
                    self.open.push(self.reader.directory(self.reader.leaf(entry)?)?.into_iter());
                }
                Some(entry) => {
                    self.next = entry.id.saturating_add(u64::from(entry.run));
                    return Ok(Some(entry));
                }
            }
        }
        Ok(None)
    }

    fn step(&mut self) -> Result<Option<(Tile, Vec<u8>)>, StoreError> {
        if self.run.run == 0 {
            let Some(run) = self.next_run()? else { return Ok(None) };
            (self.run, self.body) = (run, self.reader.bytes(run)?);
        }
        let tile = Tile::from_id(self.run.id).ok_or_else(|| self.reader.damaged("it has a tile below zoom 30"))?;
        (self.run.id, self.run.run) = (self.run.id + 1, self.run.run - 1);
        let body = if self.run.run == 0 { std::mem::take(&mut self.body) } else { self.body.clone() };
        Ok(Some((tile, body)))
    }
}

impl Iterator for Tiles<'_> {
    type Item = Result<(Tile, Vec<u8>), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        if step.is_err() {
            (self.open, self.run) = (Vec::new(), Entry::default());
        }
        step.transpose()
    }
}
