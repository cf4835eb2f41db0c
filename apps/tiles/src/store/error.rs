//! What can be wrong with a file.

use std::{
    error::Error,
    fmt, io,
    path::{Path, PathBuf},
};

use rusqlite::ErrorCode;

use crate::{grid::Tile, mbtiles::Schema};

/// What is wrong with a file. A writer has changed nothing then.
#[derive(Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// It cannot be opened or made.
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// It was being made when whoever made it was killed.
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// It is something else.
    NotMbtiles {
        /// The file.
        path: PathBuf,
        /// What shows it.
        what: String,
    },
    /// It is no PMTiles file of version 3.
    NotPmtiles {
        /// The file.
        path: PathBuf,
        /// What shows it.
        what: String,
    },
    /// It uses something that this program does not know.
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: String,
    },
    /// What stands in it cannot be.
    Damaged {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: String,
    },
    /// It holds nothing of the batch script.
    NoBatches {
        /// The folder.
        path: PathBuf,
    },
    /// It is of a kind that nothing can be added to.
    NotAppendable {
        /// The file.
        path: PathBuf,
    },
    /// There is something of this name already.
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A tile came after one of a higher id.
    Order {
        /// The file that is being made.
        path: PathBuf,
        /// The tile.
        tile: Tile,
    },
    /// It is an MBTiles file that this program did not begin, or has finished.
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// Its tables are laid out in a way that this program only reads.
    ReadOnlySchema {
        /// The file.
        path: PathBuf,
        /// How they are laid out.
        schema: Schema,
    },
    /// Another `tiles` writes to it.
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// Another program kept it locked for too long.
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// It, or its folder, may not be written to.
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// The disk is full.
    Full {
        /// The file.
        path: PathBuf,
    },
    /// It was moved, removed or replaced while it was open.
    Replaced {
        /// The file.
        path: PathBuf,
    },
    /// It is damaged.
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// Anything else that SQLite says.
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What it says.
        source: rusqlite::Error,
    },
}

impl StoreError {
    /// What to do about it, in one sentence.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Open { .. } => "the folder has to exist, and both it and the file must be accessible",
            Self::Empty { .. } => "run the `tiles get` that names it again",
            Self::NotMbtiles { .. } => "name another file",
            Self::NotPmtiles { .. } => "name another file; PMTiles of version 2 and before have to be made anew",
            Self::Unsupported { .. } => {
                "convert it with the program that made it: gzip is known, Brotli and Zstandard are not"
            }
            Self::Damaged { .. } => "get the file anew",
            Self::NoBatches { .. } => "name the folder that holds tiles_batch_001",
            Self::NotAppendable { .. } => "fetch into an MBTiles file, then: tiles convert",
            Self::Exists { .. } => "name another file, or say --replace",
            Self::Order { .. } => "bring the tiles by their ids",
            Self::Foreign { .. } => "say --adopt to add to it, or name another file",
            Self::ReadOnlySchema { .. } => "convert it first: tiles convert",
            Self::Locked { .. } => "stop the other one, or name another file",
            Self::Busy { .. } => "close the program that has it open",
            Self::ReadOnly { .. } => "give yourself the right to write, or name another file",
            Self::Full { .. } => "make room and run the same command again: it goes on where it is",
            Self::Replaced { .. } => "run the same command again",
            Self::Corrupt { .. } => "try `sqlite3 FILE .recover`, or fetch the tiles into another file",
            Self::Sqlite { .. } => "see what SQLite says",
        }
    }

    /// Of what SQLite says, the kind.
    pub(crate) fn of(path: &Path, source: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full { path },
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => Self::ReadOnly { path },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy { path },
            Some(ErrorCode::NotADatabase) => Self::NotMbtiles { path, what: "it is no SQLite file".to_owned() },
            Some(ErrorCode::DatabaseCorrupt) => Self::Corrupt { path, source },
            Some(ErrorCode::CannotOpen) => Self::Open { path, source: source.into() },
            _ => Self::Sqlite { path, source },
        }
    }

    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull => Self::Full { path },
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => Self::ReadOnly { path },
            _ => Self::Open { path, source: source.into() },
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = |f: &mut fmt::Formatter<'_>, path: &Path, what: &str| write!(f, "{} {what}", path.display());
        match self {
            Self::Open { path, .. } => write!(f, "cannot open {}", path.display()),
            Self::Empty { path } => at(f, path, "is empty: nothing was stored in it yet"),
            Self::NotMbtiles { path, what } => write!(f, "{} is no MBTiles file: {what}", path.display()),
            Self::NotPmtiles { path, what } => write!(f, "{} is no PMTiles file: {what}", path.display()),
            Self::Unsupported { path, what } => write!(f, "{} cannot be read: {what}", path.display()),
            Self::Damaged { path, what } => write!(f, "{} is damaged: {what}", path.display()),
            Self::NoBatches { path } => at(f, path, "has no folder tiles_batch_…"),
            Self::NotAppendable { path } => at(f, path, "is PMTiles, which cannot be added to"),
            Self::Exists { path } => at(f, path, "is there already"),
            Self::Order { path, tile } => {
                write!(f, "tile {tile} cannot be added to {} behind later ones", path.display())
            }
            Self::Foreign { path } => at(f, path, "is an MBTiles file of another program, or finished"),
            Self::ReadOnlySchema { path, schema } => write!(f, "{} has the layout {schema}", path.display()),
            Self::Locked { path } => at(f, path, "is being written by another `tiles`"),
            Self::Busy { path } => at(f, path, "is kept locked by another program"),
            Self::ReadOnly { path } => at(f, path, "may not be written to"),
            Self::Full { path } => at(f, path, "cannot grow: the disk is full"),
            Self::Replaced { path } => at(f, path, "was moved, removed or replaced while it was being written"),
            Self::Corrupt { path, .. } => at(f, path, "is damaged"),
            Self::Sqlite { path, .. } => at(f, path, "could not be read or written"),
        }
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Open { source, .. } => Some(&**source),
            Self::Corrupt { source, .. } | Self::Sqlite { source, .. } => Some(source),
            _ => None,
        }
    }
}
