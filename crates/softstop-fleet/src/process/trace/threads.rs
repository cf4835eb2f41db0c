//! Who is followed, and by which numbers.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use nix::unistd::Pid;

/// A thread that is followed.
pub(super) struct Thread {
    /// The number of its process.
    pub(super) process: u32,
    /// Its own number in that.
    pub(super) number: u32,
    /// What the kernel knows its process by.
    pub(super) group: Pid,
    pub(super) within: Within,
    /// How often it has made each call since it was last aimed.
    pub(super) counts: BTreeMap<usize, u32>,
    pub(super) epoch: u32,
}

/// Where a thread is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Within {
    /// In the program: next it enters a call.
    Program,
    /// In a call: next it comes out of it.
    Call,
    /// In a call that is not made: this comes out of it, and the first argument is what it was before.
    Denied { result: i64, argument: u64 },
}

#[derive(Default)]
pub(super) struct Threads {
    threads: BTreeMap<Pid, Thread>,
    processes: BTreeMap<Pid, Process>,
    begun: u32,
    /// Who stopped for the first time before whoever made him had stopped to say so.
    early: BTreeSet<Pid>,
}

struct Process {
    number: u32,
    threads: u32,
}

impl Threads {
    pub(super) fn known(&self, pid: Pid) -> Option<&Thread> {
        self.threads.get(&pid)
    }

    pub(super) fn known_mut(&mut self, pid: Pid) -> Option<&mut Thread> {
        self.threads.get_mut(&pid)
    }

    /// Somebody who was made by one of them, as that one tells.
    pub(super) fn announced(&mut self, pid: Pid) {
        if !self.early.remove(&pid) && !self.threads.contains_key(&pid) {
            self.add(pid);
        }
    }

    /// Somebody who has stopped.
    pub(super) fn came(&mut self, pid: Pid) {
        if !self.threads.contains_key(&pid) {
            self.early.insert(pid);
            self.add(pid);
        }
    }

    pub(super) fn add(&mut self, pid: Pid) {
        let group = group(pid).unwrap_or(pid);
        let begun = &mut self.begun;
        let process = self.processes.entry(group).or_insert_with(|| {
            *begun += 1;
            Process { number: *begun, threads: 0 }
        });
        process.threads += 1;
        let (process, number) = (process.number, process.threads);
        let (within, counts) = (Within::Program, BTreeMap::new());
        self.threads.insert(pid, Thread { process, number, group, within, counts, epoch: 0 });
    }

    /// A process has a new program: whichever thread did that is the first one now (execve(2)).
    pub(super) fn renewed(&mut self, pid: Pid, former: Pid) {
        if former != pid {
            self.threads.remove(&former);
        }
        if let Some(thread) = self.known_mut(pid) {
            thread.within = Within::Call;
        }
    }

    pub(super) fn gone(&mut self, pid: Pid) {
        self.threads.remove(&pid);
        self.processes.remove(&pid);
    }
}

fn group(pid: Pid) -> Option<Pid> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("Tgid:"))?.trim().parse().ok().map(Pid::from_raw)
}
