//! The folders that each trial has for itself on the disk.

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use crate::prove::scenario::{DATA, Scenario};

/// They are removed with this value.
#[derive(Debug, Default)]
pub(super) struct Folders {
    /// For temporary files, where those of everybody have to be shared.
    pub(super) temporary: Option<String>,
    /// For the program's data, where the scenario asks for it.
    pub(super) data: Option<String>,
}

impl Folders {
    /// Makes what a trial needs. `private`: the folders that are covered in its namespaces.
    pub(super) fn make(scenario: &Scenario, private: &[PathBuf]) -> Result<Self, String> {
        let covered = private.iter().any(|path| path == Path::new("/tmp"));
        let mut folders = Self::default();
        if !covered {
            folders.temporary = Some(new("tmp")?);
        }
        if scenario.uses_data() {
            folders.data = Some(new("data")?);
        }
        Ok(folders)
    }

    /// The words of a command, with the folder for data in its place.
    pub(super) fn fill(&self, command: &[String]) -> Vec<String> {
        let data = self.data.as_deref().unwrap_or(DATA);
        command.iter().map(|word| word.replace(DATA, data)).collect()
    }
}

impl Drop for Folders {
    fn drop(&mut self) {
        for folder in self.temporary.iter().chain(&self.data) {
            let _ = fs::remove_dir_all(folder);
        }
    }
}

/// Whether a path is one that [`Folders::make`] has made, or below it.
pub(super) fn is_of_a_trial(path: &Path) -> bool {
    let below = path.strip_prefix(env::temp_dir()).ok();
    below.and_then(|path| path.to_str()).is_some_and(|path| path.starts_with(&prefix()))
}

fn prefix() -> String {
    format!("softstop-prove-{}-", std::process::id())
}

fn new(what: &str) -> Result<String, String> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = env::temp_dir().join(format!("{}{number}-{what}", prefix()));
    fs::create_dir_all(&path).map_err(|error| format!("cannot make {}: {error}", path.display()))?;
    Ok(path.display().to_string())
}
