//! A control group of our own for each program (cgroups(7), version 2; the files: the kernel's cgroup-v2.rst).

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, Write},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use super::tree::Process;

/// How long a freeze may take; longer only if a process cannot be disturbed.
const FREEZE_LIMIT: Duration = Duration::from_millis(50);
/// The kernel tells of a freeze no oftener than every 10 ms, and it takes much less.
const FREEZE_TICK: Duration = Duration::from_micros(100);

pub(super) struct Cgroup {
    folder: PathBuf,
    events: File,
    /// Held by whoever changes `cgroup.freeze`, and by whoever needs it to stay.
    freezing: Arc<Mutex<()>>,
}

impl Cgroup {
    /// Makes one below our own control group, or at the top of the tree where we may.
    pub(super) fn create(name: &str) -> io::Result<Self> {
        let mut refused = io::Error::new(io::ErrorKind::NotFound, "no cgroup2 file system is mounted");
        for place in places() {
            let folder = place.join(name);
            match fs::create_dir(&folder) {
                Ok(()) => return Self::open(folder),
                Err(error) => refused = io::Error::new(error.kind(), format!("{}: {error}", folder.display())),
            }
        }
        Err(refused)
    }

    fn open(folder: PathBuf) -> io::Result<Self> {
        let opened = File::open(folder.join("cgroup.events")).and_then(|events| {
            // It came with Linux 5.14; nothing else is certain against a program that forks all the time.
            fs::metadata(folder.join("cgroup.kill")).map(|_| events)
        });
        match opened {
            Ok(events) => Ok(Self { folder, events, freezing: Arc::default() }),
            Err(error) => {
                let _ = fs::remove_dir(&folder);
                Err(error)
            }
        }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// `cgroup.procs` and `cgroup.kill`, open for writing.
    pub(super) fn handles(&self) -> io::Result<(OwnedFd, OwnedFd)> {
        let open = |file| OpenOptions::new().write(true).open(self.folder.join(file)).map(OwnedFd::from);
        Ok((open("cgroup.procs")?, open("cgroup.kill")?))
    }

    /// Becomes ready with `PRI` on every change of `populated` and `frozen`.
    pub(super) fn events(&self) -> io::Result<File> {
        File::open(self.folder.join("cgroup.events"))
    }

    /// Kills all members at once, those of groups below and those that are just being forked included.
    pub(super) fn kill(&self) -> io::Result<()> {
        fs::write(self.folder.join("cgroup.kill"), "1")
    }

    pub(super) fn members(&self) -> Vec<Process> {
        let mut pids = Vec::new();
        let mut folders = vec![self.folder.clone()];
        while let Some(folder) = folders.pop() {
            let list = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
            pids.extend(list.lines().filter_map(|pid| pid.parse::<u32>().ok()).filter(|pid| *pid != 0));
            folders.extend(below(&folder));
        }
        pids.sort_unstable();
        pids.dedup();
        pids.into_iter().filter_map(Process::read).filter(Process::is_alive).collect()
    }

    /// Calls `act` with all members while none of them can fork; they go on after it.
    pub(super) fn frozen<T>(&self, act: impl FnOnce(Vec<Process>) -> T) -> T {
        let _frozen = self.freezing.lock().unwrap_or_else(PoisonError::into_inner);
        let set = |value| fs::write(self.folder.join("cgroup.freeze"), value);
        if set("1").is_ok() {
            self.wait_frozen();
        }
        let done = act(self.members());
        let _ = set("0");
        done
    }

    /// For whoever freezes it again and again.
    pub(super) fn freezer(&self) -> io::Result<Freezer> {
        let file = OpenOptions::new().write(true).open(self.folder.join("cgroup.freeze"))?;
        Ok(Freezer { file, freezing: Arc::clone(&self.freezing) })
    }

    fn wait_frozen(&self) {
        let until = Instant::now() + FREEZE_LIMIT;
        let mut events = &self.events;
        while !flag(&mut events, "frozen") && Instant::now() < until {
            thread::park_timeout(FREEZE_TICK);
        }
    }

    /// Removes the group and those the program has made below; false while a process is left in one.
    pub(super) fn remove(&self) -> bool {
        remove(&self.folder)
    }
}

/// `cgroup.freeze` of one group.
pub(super) struct Freezer {
    file: File,
    freezing: Arc<Mutex<()>>,
}

impl Freezer {
    /// The kernel takes a moment to freeze all; a group that is gone has nobody to be frozen.
    pub(super) fn set(&self, frozen: bool) {
        let _changing = self.freezing.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = (&self.file).write_all(if frozen { b"1" } else { b"0" });
    }
}

/// Whether a process is in the group or below it, as its `cgroup.events` says.
pub(super) fn is_populated(events: &mut File) -> bool {
    flag(events, "populated")
}

/// Removes an empty group with all below it. The last process may still be on its way out for a moment.
pub(super) fn remove(folder: &Path) -> bool {
    for _ in 0..200 {
        for inner in below(folder) {
            remove(&inner);
        }
        match fs::remove_dir(folder) {
            Ok(()) => return true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return true,
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => thread::park_timeout(Duration::from_millis(1)),
            Err(_) => return false,
        }
    }
    false
}

/// The folders in which we might make a group: our own group, then the top.
fn places() -> Vec<PathBuf> {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = own.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/").to_owned();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mounts = mounts.lines().filter_map(|line| {
        // proc(5): … root, mount point, options, optional fields, a dash, type …
        let (fields, kind) = line.split_once(" - ")?;
        let fields: Vec<&str> = fields.split(' ').collect();
        kind.starts_with("cgroup2 ").then_some((*fields.get(3)?, *fields.get(4)?))
    });
    let places = mounts.flat_map(|(root, point)| {
        let below = Path::new(&own).strip_prefix(root).ok().map(|below| Path::new(point).join(below));
        [below, Some(PathBuf::from(point))]
    });
    let mut places: Vec<PathBuf> = places.flatten().collect();
    places.dedup();
    places
}

fn below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect()
}

fn flag(mut events: impl Read + Seek, name: &str) -> bool {
    let mut text = String::new();
    let read = events.rewind().and_then(|()| events.read_to_string(&mut text));
    read.is_ok() && text.lines().any(|line| line.split_once(' ') == Some((name, "1")))
}
