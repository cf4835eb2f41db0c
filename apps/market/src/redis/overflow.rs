//! Files for what the list in Redis drops, as the collector that `market` replaces wrote them: `trades_YYYYMMDD_HHMM.json`, a minute each.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use super::text::indented;

/// The folder, and how many files it may hold.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    pub(super) most: Option<u32>,
}

impl Folder {
    /// Writes a file for each entry of the list. When it returns, all are on disk, whole; `symbol` stands in the name where the folder is
    /// for several. An entry that is there already is written anew, another one never overwritten.
    pub(super) fn keep(&self, entries: &[Vec<u8>], symbol: Option<&str>) -> io::Result<()> {
        let cannot = |error: io::Error| {
            let folder = self.path.display();
            io::Error::new(error.kind(), format!("cannot keep in {folder} what the list drops: {error}"))
        };
        fs::create_dir_all(&self.path).map_err(cannot)?;
        for entry in entries {
            self.write(entry, symbol).map_err(cannot)?;
        }
        self.drop_oldest().map_err(cannot)
    }

    fn write(&self, entry: &[u8], symbol: Option<&str>) -> io::Result<()> {
        let time = timestamp(entry);
        let name = match time.as_deref().and_then(minute) {
            Some(minute) => format!("trades_{minute}"),
            // Not one of ours, nor of the collector before: kept as it is.
            None => format!("trades_unreadable_{}", entry.len()),
        };
        let name = symbol.map_or(name.clone(), |symbol| format!("{name}_{symbol}"));
        let text = match std::str::from_utf8(entry) {
            Ok(json) if time.is_some() => indented(json).into_bytes(),
            _ => entry.to_vec(),
        };
        let mut path = self.path.join(format!("{name}.json"));
        // The collector before began two windows in one minute at times.
        let mut second = 1;
        while fs::read(&path).is_ok_and(|there| timestamp(&there) != time || (time.is_none() && there != text)) {
            second += 1;
            path = self.path.join(format!("{name}_{second}.json"));
        }
        replace(&path, &text)
    }

    fn drop_oldest(&self) -> io::Result<()> {
        let Some(most) = self.most else { return Ok(()) };
        let mut files: Vec<PathBuf> =
            fs::read_dir(&self.path)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
        files.retain(|path| {
            let name = path.file_name().map(|name| name.to_string_lossy());
            name.is_some_and(|name| name.starts_with("trades_") && name.ends_with(".json"))
        });
        // Their names are in the order of time.
        files.sort();
        let more = files.len().saturating_sub(most as usize);
        files.iter().take(more).try_for_each(fs::remove_file)
    }
}

/// Whole or not at all, also if the power fails.
fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("tmp");
    let mut file = File::create(&beside)?;
    file.write_all(text)?;
    file.sync_all()?;
    drop(file);
    fs::rename(beside, path)
}

fn timestamp(entry: &[u8]) -> Option<String> {
    let json: serde_json::Value = serde_json::from_slice(entry).ok()?;
    Some(json.get("timestamp")?.as_str()?.to_owned())
}

/// `2025-10-25T12:34:00` as `20251025_1234`.
fn minute(timestamp: &str) -> Option<String> {
    let mut digits = timestamp.chars();
    let shape = "dddd-dd-ddTdd:dd".chars().all(|expected| {
        digits.next().is_some_and(|found| if expected == 'd' { found.is_ascii_digit() } else { found == expected })
    });
    let part = |from: usize, to: usize| &timestamp[from..to];
    shape.then(|| [part(0, 4), part(5, 7), part(8, 10), "_", part(11, 13), part(14, 16)].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(time: &str, rest: &str) -> Vec<u8> {
        format!(r#"{{"timestamp": "{time}", "price_levels": {{{rest}}}}}"#).into_bytes()
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_minute_is_a_file_that_only_the_same_minute_overwrites() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("made/when/needed");
        let keep = Folder { path: path.clone(), most: None };
        let (first, changed) = (entry("2025-10-25T12:34:00", ""), entry("2025-10-25T12:34:00", "\"1\": 2"));
        let other = entry("2025-10-25T12:34:59.123456", "");
        keep.keep(&[first, other.clone()], None).unwrap();

        keep.keep(&[changed, other, b"garbage".to_vec(), b"rubbish".to_vec()], None).unwrap();

        assert_eq!(
            names(&path),
            [
                "trades_20251025_1234.json",
                "trades_20251025_1234_2.json",
                "trades_unreadable_7.json",
                "trades_unreadable_7_2.json"
            ]
        );
        let expected = "{\n  \"timestamp\": \"2025-10-25T12:34:00\",\n  \"price_levels\": {\n    \"1\": 2\n  }\n}";
        assert_eq!(fs::read_to_string(path.join("trades_20251025_1234.json")).unwrap(), expected);
    }

    #[test]
    fn the_oldest_files_go_where_there_are_too_many() {
        let folder = tempfile::tempdir().unwrap();
        let keep = Folder { path: folder.path().into(), most: Some(2) };
        fs::write(folder.path().join("notes.json"), "").unwrap();

        let minutes = ["12:36", "12:34", "12:35"].map(|minute| entry(&format!("2025-10-25T{minute}:00"), ""));
        keep.keep(&minutes, Some("BTCFDUSD")).unwrap();

        let left = ["notes.json", "trades_20251025_1235_BTCFDUSD.json", "trades_20251025_1236_BTCFDUSD.json"];
        assert_eq!(names(folder.path()), left);
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        let keep = Folder { path: folder.path().join("file"), most: None };

        let error = keep.keep(&[entry("2025-10-25T12:34:00", "")], None).unwrap_err().to_string();

        assert!(error.starts_with("cannot keep in ") && error.contains("/file what the list drops: "), "{error}");
    }
}
