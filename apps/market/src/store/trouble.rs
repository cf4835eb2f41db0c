//! Why the file could not be written, and whether that may go away.

use rusqlite::{Error, ErrorCode};
use softstop::BoxError;

/// Why the file could not be written or read.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The same may work later: there is room again, the disk answers again, somebody has let go of the file.
    Passing(Error),
    /// It will not.
    Lasting(BoxError),
}

impl Trouble {
    pub(super) fn is_full(&self) -> bool {
        matches!(self, Self::Passing(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull))
    }

    /// An error for who waits no longer.
    pub(super) fn of(self, file: &str) -> BoxError {
        match self {
            Self::Passing(error) => format!("cannot write to {file}: {error}").into(),
            Self::Lasting(error) => error,
        }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        if passes(&error) { Self::Passing(error) } else { Self::Lasting(error.into()) }
    }
}

/// Whether an error of the file may go away by itself, or by what a person does elsewhere.
pub(super) fn passes(error: &Error) -> bool {
    use ErrorCode::{
        CannotOpen, DatabaseBusy, DatabaseLocked, DiskFull, FileLockingProtocolFailed, OutOfMemory, ReadOnly,
        SystemIoFailure,
    };
    let Some(code) = error.sqlite_error_code() else { return false };
    // Read-only is also a file system after an error of its disk.
    matches!(
        code,
        CannotOpen
            | DatabaseBusy
            | DatabaseLocked
            | DiskFull
            | FileLockingProtocolFailed
            | OutOfMemory
            | ReadOnly
            | SystemIoFailure
    )
}
