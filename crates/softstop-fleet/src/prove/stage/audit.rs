//! What is left when the program of a trial has ended.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use super::live::Trial;
use crate::{
    process,
    prove::{
        trial::{Leftovers, Orphan},
        watch,
    },
};

pub(super) fn orphan(process: process::Process) -> Orphan {
    Orphan { pid: process.pid, command: process.command.join(" ") }
}

impl Trial<'_> {
    /// What is left, looked at before anything is cleared away.
    pub(super) fn leftovers(&self, before: &BTreeSet<PathBuf>) -> Leftovers {
        let exited = self.running.exited().is_some();
        let alive = if exited { self.running.tree() } else { Vec::new() };
        // Where nobody can escape it would only cost: it reads the environment of every process there is.
        let sure = self.running.level().is_certain();
        let escaped = if exited && !sure { self.running.escaped() } else { Vec::new() };
        let pids: Vec<u32> = alive.iter().chain(&escaped).map(|process| process.pid).collect();
        let all = watch::listening(&self.running);
        let theirs = watch::sockets_of(pids.iter().copied());
        let own = self.theatre.stage.namespaces.network;
        let ports = all.into_iter().filter(|listening| exited && (own || theirs.contains(&listening.inode)));
        let ports = ports.map(|listening| listening.words).collect();

        let root = self.running.inside().join("root");
        let private: Vec<String> =
            self.theatre.stage.namespaces.private.iter().map(|path| path.display().to_string()).collect();
        let kept = &self.theatre.stage.namespaces.keep;
        let new = watch::files(&root, &private, kept, watch::OWN).into_iter().map(|path| (root.as_path(), path));
        let here = Path::new("/");
        let shared = self.theatre.shared_files();
        let mut found: Vec<(&Path, PathBuf)> = new.collect();
        found.extend(shared.difference(before).map(|path| (here, path.clone())));
        // A file names a process by the number that this has for the program.
        let numbered = self.running.level() == process::Level::PidNamespace || self.theatre.stage.namespaces.pid;
        let inner: Vec<u32> =
            if numbered { pids.iter().filter_map(|pid| watch::innermost(*pid)).collect() } else { pids.clone() };
        let (mut files, mut locks) = (Vec::new(), Vec::new());
        for (root, path) in found {
            let name = path.display().to_string();
            if self.theatre.scenario.may_stay(&name) {
                continue;
            }
            let ours = root == here && !numbered;
            let alive = |pid: u32| inner.contains(&pid) || (ours && Path::new(&format!("/proc/{pid}")).exists());
            match watch::stale(root, &path, alive) {
                Some(lock) => locks.push(lock),
                None => files.push(name),
            }
        }
        Leftovers { orphans: alive.into_iter().chain(escaped).map(orphan).collect(), ports, files, locks }
    }
}
