//! The lock that keeps a second writer away.

use std::{
    ffi::OsString,
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::StoreError;

/// Held while a file is written. It lies beside the file as `FILE.lock` and is gone when the writer has gone by itself; after a crash it
/// stays, and locks nothing.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    pub(crate) fn take(of: &Path) -> Result<Self, StoreError> {
        // Through a link it is the same file.
        let real = fs::canonicalize(of).unwrap_or_else(|_| of.to_owned());
        let mut path = OsString::from(real);
        path.push(".lock");
        let path = PathBuf::from(path);
        loop {
            let opened = File::options().create(true).append(true).open(&path);
            let file = opened.map_err(|error| StoreError::io(of, error))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(StoreError::Locked { path: of.to_owned() }),
                Err(TryLockError::Error(error)) => return Err(StoreError::io(of, error)),
            }
            // Between opening and locking, its last holder may have removed it: then this lock holds nobody off.
            if identity(&file.metadata()) == identity(&fs::metadata(&path)) {
                return Ok(Self { file, path });
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Removed while it is held, so that whoever comes next makes a new one. By name and not by closing: a process that is just
        // being forked may hold a copy of the handle.
        let _ = fs::remove_file(&self.path);
        let _ = self.file.unlock();
    }
}

/// What tells one file from another; nothing where there is none.
pub(crate) fn identity(metadata: &io::Result<fs::Metadata>) -> Option<(u64, u64)> {
    metadata.as_ref().ok().map(|metadata| (metadata.dev(), metadata.ino()))
}
