//! Where the lines go: stdout, or a file that has its name when it is whole.

use std::{
    fmt,
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use market::StoredDepth;
use softstop::Result;

use super::lines::{Line, Of, book_json};

/// So much is written at once.
const BUFFER: usize = 64 * 1024;

/// Nobody reads any more.
#[derive(Debug)]
pub(crate) struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nobody reads any more")
    }
}

impl std::error::Error for Closed {}

pub(crate) struct Sink {
    to: BufWriter<Box<dyn Write>>,
    csv: bool,
    part: Option<Part>,
}

impl Sink {
    pub(crate) fn new(out: Option<&PathBuf>, csv: bool) -> Result<Self> {
        let (to, part): (Box<dyn Write>, _) = match out {
            None => (Box::new(io::stdout().lock()), None),
            Some(out) => {
                let part = Part::of(out);
                let file = File::create(&part.path).map_err(|error| cannot_write(out, &error))?;
                (Box::new(file), Some(part))
            }
        };
        Ok(Self { to: BufWriter::with_capacity(BUFFER, to), csv, part })
    }

    /// The names of the columns, where the form has a place for them.
    pub(crate) fn head(&mut self, of: Of) -> Result {
        if self.csv { self.text(&of.columns().join(",")) } else { Ok(()) }
    }

    pub(crate) fn line(&mut self, line: &Line) -> Result {
        let text = if self.csv { line.csv() } else { line.json() };
        self.text(&text)
    }

    /// A line for each price, bids first; in JSON one for all of it.
    pub(crate) fn book(&mut self, book: &StoredDepth) -> Result {
        if !self.csv {
            return self.text(&book_json(book));
        }
        book.bids.iter().try_for_each(|level| self.line(&Line::price(book, "bid", level)))?;
        book.asks.iter().try_for_each(|level| self.line(&Line::price(book, "ask", level)))
    }

    /// RFC 4180 ends its lines with CR LF.
    fn text(&mut self, text: &str) -> Result {
        let end = if self.csv { "\r\n" } else { "\n" };
        let written = self.to.write_all(text.as_bytes()).and_then(|()| self.to.write_all(end.as_bytes()));
        self.heed(written)
    }

    /// All is written: the file gets its name.
    pub(crate) fn finish(mut self) -> Result {
        let flushed = self.to.flush();
        self.heed(flushed)?;
        match self.part.take() {
            Some(part) => part.finish(),
            None => Ok(()),
        }
    }

    fn heed(&self, written: io::Result<()>) -> Result {
        match (written, &self.part) {
            (Ok(()), _) => Ok(()),
            (Err(error), Some(part)) => Err(cannot_write(&part.out, &error).into()),
            (Err(error), None) if error.kind() == io::ErrorKind::BrokenPipe => Err(Closed.into()),
            (Err(error), None) => Err(format!("cannot write to stdout: {error}").into()),
        }
    }
}

/// A file that is not whole yet; it goes unless it is finished.
struct Part {
    path: PathBuf,
    out: PathBuf,
}

impl Part {
    fn of(out: &Path) -> Self {
        let mut name = out.file_name().unwrap_or_default().to_owned();
        name.push(".part");
        Self { path: out.with_file_name(name), out: out.to_owned() }
    }

    fn finish(self) -> Result {
        let renamed = File::open(&self.path).and_then(|file| file.sync_all());
        renamed.and_then(|()| fs::rename(&self.path, &self.out)).map_err(|error| cannot_write(&self.out, &error))?;
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Nothing is left of it where it was finished.
        let _ = fs::remove_file(&self.path);
    }
}

fn cannot_write(out: &Path, error: &io::Error) -> String {
    format!("cannot write to {}: {error}", out.display())
}
