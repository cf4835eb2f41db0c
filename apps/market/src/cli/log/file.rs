//! A file that is set aside when it is full: `file` becomes `file.1`, that `file.2`, and so on; the last one goes.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use super::super::outlet::Sink;

type Complain = Box<dyn Fn(String) + Send>;

/// Follows Python's `RotatingFileHandler`: a line that would fill the file begins a new one; an empty file is never set aside, nor
/// what is no plain file; without backups nothing is.
pub(super) struct Rotating {
    path: PathBuf,
    max_bytes: u64,
    backups: u32,
    file: Option<File>,
    size: u64,
    complain: Complain,
    /// Lines that could not be written since the last one that could.
    lost: u64,
}

impl Rotating {
    pub(super) fn open(path: PathBuf, max_bytes: u64, backups: u32, complain: Complain) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut rotating = Self { path, max_bytes, backups, file: None, size: 0, complain, lost: 0 };
        rotating.reopen()?;
        Ok(rotating)
    }

    fn reopen(&mut self) -> io::Result<()> {
        let file = File::options().create(true).append(true).open(&self.path)?;
        self.size = file.metadata()?.len();
        self.file = Some(file);
        Ok(())
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        if self.is_full(text.len() as u64) {
            self.file = None;
            set_aside(&self.path, self.backups)?;
        }
        if self.file.is_none() {
            self.reopen()?;
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        if let Err(error) = file.write_all(text.as_bytes()) {
            // Half a line is none.
            let _ = file.set_len(self.size);
            return Err(error);
        }
        self.size += text.len() as u64;
        Ok(())
    }

    fn is_full(&self, more: u64) -> bool {
        let full = self.backups > 0 && self.size > 0 && self.size + more >= self.max_bytes;
        full && fs::metadata(&self.path).is_ok_and(|found| found.is_file())
    }
}

impl Sink for Rotating {
    fn line(&mut self, line: &str) {
        let before = if self.lost > 0 { format!("{} lines could not be written\n", self.lost) } else { String::new() };
        match self.write(&format!("{before}{line}\n")) {
            Ok(()) => self.lost = 0,
            Err(error) => {
                if self.lost == 0 {
                    (self.complain)(format!("cannot write to the log {}: {error}; going on", self.path.display()));
                }
                self.lost += 1;
            }
        }
    }

    fn missed(&mut self, lines: u64) {
        self.line(&format!("{lines} lines were left out: the disk was too slow for them"));
    }
}

/// Each moves on by one, the last one first.
fn set_aside(path: &Path, backups: u32) -> io::Result<()> {
    let numbered = |number: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    };
    // Only those that are there: a million may be allowed.
    let there = (1..backups).take_while(|number| numbered(*number).exists()).last().unwrap_or(0);
    for number in (1..=there).rev() {
        fs::rename(numbered(number), numbered(number + 1))?;
    }
    fs::rename(path, numbered(1))
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
