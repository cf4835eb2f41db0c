//! How SQLite files are opened and written.

use std::{io, path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags, config::DbConfig};

use super::StoreError;

/// How long another program may keep a file locked.
const PATIENCE: Duration = Duration::from_secs(10);

/// Opens a file without changing it. A new one stays empty until something is written.
///
/// Nobody but SQLite may open the file: closing it would take the locks that this process has on it.
pub(crate) fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, StoreError> {
    if path.is_dir() {
        return Err(StoreError::io(path, io::ErrorKind::IsADirectory.into()));
    }
    let open = || {
        let file = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        file.busy_timeout(PATIENCE)?;
        // Otherwise looking at a file with a WAL would move what is in it.
        file.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        Ok(file)
    };
    open().map_err(|error| StoreError::of(path, error))
}

/// A connection that only reads, and something that is read first. After a crash, what was not committed has to be rolled back by whoever
/// comes first.
pub(crate) fn readable<T>(
    path: &Path,
    look: impl Fn(&Connection) -> Result<T, StoreError>,
) -> Result<(Connection, T), StoreError> {
    let open = |flags| {
        let file = connect(path, flags)?;
        let seen = look(&file)?;
        Ok((file, seen))
    };
    match open(OpenFlags::SQLITE_OPEN_READ_ONLY) {
        Err(StoreError::ReadOnly { .. }) => {
            let (file, seen) = open(OpenFlags::SQLITE_OPEN_READ_WRITE)?;
            file.pragma_update(None, "query_only", true).map_err(|error| StoreError::of(path, error))?;
            Ok((file, seen))
        }
        other => other,
    }
}

/// How a file is written: see the choices of [`mbtiles`](crate::mbtiles).
pub(crate) fn settle(file: &Connection) -> rusqlite::Result<()> {
    file.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    file.pragma_update_and_check(None, "journal_mode", "TRUNCATE", |_| Ok(()))?;
    file.pragma_update(None, "synchronous", "FULL")?;
    file.pragma_update(None, "temp_store", "MEMORY")?;
    // In KiB. A commit that does not fit would be written, and synced, in parts.
    file.pragma_update(None, "cache_size", -16_384)
}
