//! What each trial has for itself.

use std::path::{Path, PathBuf};

use super::needs;
use crate::{
    process::{Contain, Level, Namespaces, Spec},
    prove::scenario::{Isolation, Scenario, Wish},
};

/// What each trial has for itself, as far as it was found to work.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::prove) struct Stage {
    pub(in crate::prove) namespaces: Namespaces,
    pub(in crate::prove) level: Option<Level>,
    /// Whether its system calls can be followed, or why not; none where nobody asked.
    pub(in crate::prove) followed: Option<Result<(), String>>,
    /// Files that the program writes and that are the same in every trial, where that was found out; a few of them.
    pub(in crate::prove) shared: Vec<String>,
}

impl Stage {
    /// As much as the scenario wants and the program can bear.
    ///
    /// What the program and the commands beside it need of a folder stays there, shared with everybody.
    pub(in crate::prove) fn wanted(scenario: &Scenario) -> Self {
        let needed = needs::of(scenario);
        let covered = |folder: &&String| {
            let folder = Path::new(folder.as_str());
            folder.is_dir() && needs::may_be_covered(&needed, folder)
        };
        let private: Vec<PathBuf> = match scenario.isolation.files {
            Wish::Off => Vec::new(),
            _ => scenario.watch.iter().filter(covered).map(PathBuf::from).collect(),
        };
        let namespaces = Namespaces {
            network: scenario.isolation.network != Wish::Off,
            keep: needs::kept(&needed, &private),
            private,
            ipc: scenario.isolation.ipc != Wish::Off,
            ..Namespaces::default()
        };
        Self { namespaces, ..Self::default() }
    }

    /// What the scenario requires and this has not.
    pub(in crate::prove) fn lacks(&self, wished: &Isolation) -> Option<String> {
        let Namespaces { network, private, ipc, .. } = &self.namespaces;
        let has = [
            ("processes", wished.processes, self.level.is_some_and(Level::is_certain)),
            ("network", wished.network, *network),
            ("files", wished.files, !private.is_empty()),
            ("ipc", wished.ipc, *ipc),
        ];
        let (what, ..) = has.into_iter().find(|(_, wish, has)| *wish == Wish::Required && !has)?;
        Some(format!(
            "`isolation: {{{what}: required}}` cannot be had here; where-possible makes the trials without it"
        ))
    }

    /// The same with the folders of everybody, where it has others.
    pub(in crate::prove) fn with_all_files(&self) -> Option<Self> {
        let namespaces = Namespaces { private: Vec::new(), keep: Vec::new(), ..self.namespaces.clone() };
        (namespaces != self.namespaces && namespaces != Namespaces::default())
            .then_some(Self { namespaces, ..self.clone() })
    }

    /// The same without anything that could keep a program from working.
    pub(in crate::prove) fn open(&self) -> Self {
        Self { namespaces: Namespaces::default(), ..self.clone() }
    }

    /// In words, for the verdict: what each trial had.
    pub(in crate::prove) fn words(&self) -> Vec<String> {
        let had = |own: bool, what: &str| format!("{what} {}", if own { "of its own" } else { "shared with all" });
        let folders: Vec<String> = self.namespaces.private.iter().map(|path| path.display().to_string()).collect();
        let mut words = vec![
            format!("its processes in a {}", self.level.map_or("?", Level::name)),
            had(self.namespaces.network, "a network"),
            had(self.namespaces.ipc, "shared memory"),
            if folders.is_empty() {
                "a TMPDIR of its own, and other folders shared with all, in which new files do not count".to_owned()
            } else {
                let kept: Vec<String> = self.namespaces.keep.iter().map(|path| path.display().to_string()).collect();
                let but =
                    if kept.is_empty() { String::new() } else { format!(", but {} shared with all", kept.join(", ")) };
                format!("{} of its own{but}", folders.join(", "))
            },
        ];
        if !self.shared.is_empty() {
            words.push(format!("{} shared with all, so one trial was made after the other", self.shared.join(", ")));
        }
        words.extend(self.followed.as_ref().map(|followed| match followed {
            Ok(()) => "its system calls followed where a signal or a fault waits for one".to_owned(),
            Err(why) => format!("no signal at a system call: {why}"),
        }));
        words
    }

    pub(super) fn spec(&self, command: &[String], trampoline: &Path, seed: u64) -> Spec {
        let mut spec = Spec::new(command.first().cloned().unwrap_or_default()).args(command.iter().skip(1).cloned());
        spec.namespaces = self.namespaces.clone();
        spec.trampoline = trampoline.to_owned();
        spec.env.push(("SOFTSTOP_SEED".into(), Some(seed.to_string().into())));
        if let Some(level) = self.level {
            spec.contain = Contain::At(level);
        }
        spec
    }
}
