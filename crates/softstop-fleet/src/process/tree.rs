//! Who is whose child, read from `/proc` (proc(5)).

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rustix::process::{Pid, PidfdFlags, pidfd_open, pidfd_send_signal};

use super::Signal;

/// A process as `/proc` shows it at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Process {
    /// Its number, in our own PID namespace.
    pub pid: u32,
    /// The number of its parent.
    pub parent: u32,
    /// Its process group.
    pub group: u32,
    /// Its session.
    pub session: u32,
    /// One letter: `R` running, `S` sleeping, `D` cannot be disturbed, `T` stopped, `Z` dead and not yet waited for.
    pub state: char,
    /// The first 15 bytes of what its program is called.
    pub name: String,
    /// Its command line; empty where it has overwritten it.
    pub command: Vec<String>,
    /// Clock ticks since the machine started: with the number it names one process for ever.
    pub began_ticks: u64,
}

impl Process {
    /// The process with this number, dead ones that nobody has waited for included.
    pub(super) fn read(pid: u32) -> Option<Self> {
        let folder = Path::new("/proc").join(pid.to_string());
        let stat = fs::read(folder.join("stat")).ok()?;
        let stat = String::from_utf8_lossy(&stat);
        // The name stands in parentheses and may itself hold any of them.
        let (before, after) = stat.rsplit_once(')')?;
        let (_, name) = before.split_once('(')?;
        let fields: Vec<&str> = after.split_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse().ok();
        Some(Self {
            pid,
            parent: number(1)?,
            group: number(2)?,
            session: number(3)?,
            state: fields.first()?.chars().next()?,
            name: name.to_owned(),
            command: Vec::new(),
            began_ticks: fields.get(19)?.parse().ok()?,
        })
    }

    /// Adds the command line, which takes a lock of that process, so it is read for those alone that are shown.
    pub(super) fn with_command(mut self) -> Self {
        let line = fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        let words = line.split(|byte| *byte == 0).filter(|word| !word.is_empty());
        self.command = words.map(|word| String::from_utf8_lossy(word).into_owned()).collect();
        self
    }

    pub(super) fn is_alive(&self) -> bool {
        !matches!(self.state, 'Z' | 'X')
    }

    /// Signals this process, and never one that has got its number since. False if it is gone.
    ///
    /// # Errors
    ///
    /// If it is there and may not be signalled by us.
    pub fn signal(&self, signal: Signal) -> io::Result<bool> {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else { return Ok(false) };
        let handle = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(handle) => handle,
            Err(rustix::io::Errno::SRCH) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        // The handle holds on to whoever has the number now; is that still the one that was meant?
        if Self::read(self.pid).is_none_or(|now| now.began_ticks != self.began_ticks) {
            return Ok(false);
        }
        send(&handle, signal)
    }
}

/// Signals through a pidfd. False if the process has ended.
pub(super) fn send(pidfd: impl std::os::fd::AsFd, signal: Signal) -> io::Result<bool> {
    match pidfd_send_signal(pidfd, signal.raw()) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::SRCH) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// All processes that we can see.
pub(super) fn all() -> Vec<Process> {
    numbers().filter_map(Process::read).collect()
}

/// The children of `root`, theirs, and so on; `root` itself is not among them.
pub(super) fn descendants(root: u32) -> Vec<Process> {
    let mut rest = all();
    let mut found: Vec<Process> = Vec::new();
    let mut parents = vec![root];
    while let Some(parent) = parents.pop() {
        let (children, others) = rest.into_iter().partition(|process| process.parent == parent);
        rest = others;
        parents.extend(children.iter().map(|child: &Process| child.pid));
        found.extend(children);
    }
    found.sort_by_key(|process| process.pid);
    found
}

/// The children of a process that has one thread. The kernel's own list where it is built in, one file instead of all of `/proc`.
pub(super) fn children(parent: u32) -> Vec<u32> {
    match fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")) {
        Ok(list) => list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect(),
        Err(_) => all().into_iter().filter(|process| process.parent == parent).map(|process| process.pid).collect(),
    }
}

/// The processes whose environment at the time of their last exec had this name in it.
/// Those of other users stay unseen unless we are root.
pub(super) fn marked(name: &str) -> Vec<Process> {
    let has = |pid: u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment
            .split(|byte| *byte == 0)
            .any(|entry| entry.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&b'=')))
    };
    numbers().filter(|pid| has(*pid)).filter_map(Process::read).filter(Process::is_alive).collect()
}

/// The number that we know the process of this pidfd by (pidfd_open(2), fdinfo); none once it has been waited for.
pub(super) fn pid_of(pidfd: &impl std::os::fd::AsRawFd) -> Option<u32> {
    let info = fs::read_to_string(PathBuf::from(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd()))).ok()?;
    info.lines().find_map(|line| line.strip_prefix("Pid:"))?.trim().parse().ok()
}

fn numbers() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}
