//! Files that are there when they are whole, and not before.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use super::{StoreError, lock::Lock};

/// A file that is being made under another name, `.tiles-part-NAME`. Dropped before it is put in place, it goes.
#[derive(Debug)]
pub(crate) struct Part {
    path: PathBuf,
    part: PathBuf,
    placed: bool,
    _lock: Lock,
}

impl Part {
    /// Begins a file. What an earlier attempt left is written over.
    ///
    /// # Errors
    /// It is there and must not be replaced, another one is making it, or it cannot be made.
    pub(crate) fn begin(path: &Path, replace: bool) -> Result<(Self, File), StoreError> {
        let lock = Lock::take(path)?;
        if !replace && fs::symlink_metadata(path).is_ok() {
            return Err(StoreError::Exists { path: path.to_owned() });
        }
        let part = ours(path, "part");
        let open = File::options().read(true).write(true).create(true).truncate(true).open(&part);
        let file = open.map_err(|error| StoreError::io(path, error))?;
        Ok((Self { path: path.to_owned(), part, placed: false, _lock: lock }, file))
    }

    /// The name that it will have.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The name that it has meanwhile.
    pub(crate) fn part(&self) -> &Path {
        &self.part
    }

    /// Gives the file its name. After a crash it has the one or the other, and is whole in both.
    pub(crate) fn place(mut self, file: &File) -> Result<(), StoreError> {
        let place = || {
            file.sync_all()?;
            fs::rename(&self.part, &self.path)?;
            sync_folder(&self.path)
        };
        place().map_err(|error| StoreError::io(&self.path, error))?;
        self.placed = true;
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.placed {
            let _ = fs::remove_file(&self.part);
        }
    }
}

/// The name of something of ours beside another: `.tiles-WHAT-NAME` in the same folder. Nobody else has such names, so what an attempt left
/// that crashed may go.
pub(crate) fn ours(path: &Path, what: &str) -> PathBuf {
    let mut name = std::ffi::OsString::from(format!(".tiles-{what}-"));
    name.push(path.file_name().unwrap_or_default());
    path.with_file_name(name)
}

/// A name that begins with another.
pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Makes a change of names in the folder of this file last.
pub(crate) fn sync_folder(of: &Path) -> std::io::Result<()> {
    let folder = of.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}
