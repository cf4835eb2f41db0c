//! What can be seen of a running program from outside: `/proc` (proc(5)).

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{replay::Signal, trial::StaleLock};
use crate::process::{Listener, Running};

/// Entries of a watched folder that are looked at; what is larger is nobody's temporary folder.
const MOST_ENTRIES: usize = 20_000;
/// How deep, in a folder that is the trial's own, and in one that it shares with everybody.
pub(super) const OWN: usize = 6;
pub(super) const SHARED: usize = 2;
/// A file that is longer is no pid or lock file.
const LOCK: u64 = 256;

/// Whether a process has said what a signal shall do: a handler, or ignore.
///
/// A Python interpreter installs a handler for INT while it starts, long before the program's first line. Where nothing else is handled
/// yet, that one does not count.
pub(super) fn has_handler(pid: u32, signal: Signal) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    handles(&status, signal, || is_python(pid))
}

fn handles(status: &str, signal: Signal, is_python: impl FnOnce() -> bool) -> bool {
    let mask = |name: &str| {
        let mask = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        u64::from_str_radix(mask.trim(), 16).unwrap_or_default()
    };
    let (caught, ignored) = (mask("SigCgt:"), mask("SigIgn:"));
    let has = |mask: u64, signal: Signal| mask & (1 << (signal.number() - 1)) != 0;
    let others = || [Signal::Term, Signal::Hup, Signal::Quit].into_iter().any(|signal| has(caught | ignored, signal));
    has(ignored, signal) || (has(caught, signal) && (signal != Signal::Int || others() || !is_python()))
}

fn is_python(pid: u32) -> bool {
    let program = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    program.file_name().is_some_and(|name| name.to_string_lossy().starts_with("python"))
}

/// Whether a signal waits to be delivered to a process, the main thread of it included; none if it has ended.
pub(super) fn is_pending(pid: u32, signal: Signal) -> Option<bool> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    if field("State:")?.starts_with(['Z', 'X']) {
        return None;
    }
    let waits = |name| field(name).and_then(|mask| u64::from_str_radix(mask, 16).ok());
    let pending = waits("SigPnd:")? | waits("ShdPnd:")?;
    Some(pending >> (signal.number() - 1) & 1 == 1)
}

/// How long a process has used a processor, in clock ticks, with its children that have ended.
pub(super) fn ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> =
        stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect()).unwrap_or_default();
    let field = |at: usize| fields.get(at).and_then(|text| text.parse::<u64>().ok()).unwrap_or_default();
    (11..15).map(field).sum()
}

/// Whether a process in this state would go on if it were let: on a busy machine it may not get a processor for long, and under ptrace
/// it waits for us.
pub(super) fn wants_on(state: char) -> bool {
    matches!(state, 'R' | 'D' | 't')
}

/// A socket that listens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Listening {
    pub(super) inode: u64,
    pub(super) words: String,
}

/// The sockets that listen in the network of a program.
pub(super) fn listening(running: &Running) -> Vec<Listening> {
    match running.listening() {
        Ok(all) => all.into_iter().map(Listening::from).collect(),
        Err(_) => listed(&running.inside()),
    }
}

impl From<Listener> for Listening {
    fn from(listener: Listener) -> Self {
        let kind = if listener.address.is_ipv4() { "tcp" } else { "tcp6" };
        Self { inode: listener.inode, words: format!("{kind} {}", listener.address) }
    }
}

/// The same from the tables of the kernel.
fn listed(inside: &Path) -> Vec<Listening> {
    let mut found = Vec::new();
    for (file, kind) in [("tcp", "tcp"), ("tcp6", "tcp6")] {
        let table = fs::read_to_string(inside.join("net").join(file)).unwrap_or_default();
        for row in table.lines().skip(1) {
            let fields: Vec<&str> = row.split_whitespace().collect();
            let (Some(local), Some(state), Some(inode)) = (fields.get(1), fields.get(3), fields.get(9)) else {
                continue;
            };
            if *state == "0A" {
                let inode = inode.parse().unwrap_or_default();
                found.push(Listening { inode, words: format!("{kind} {}", address(local)) });
            }
        }
    }
    found
}

/// `0100007F:1F90` is 127.0.0.1:8080.
fn address(text: &str) -> String {
    let Some((host, port)) = text.split_once(':') else { return text.to_owned() };
    let port = u16::from_str_radix(port, 16).unwrap_or_default();
    match u32::from_str_radix(host, 16) {
        Ok(host) if text.len() == 13 => format!("{}:{port}", std::net::Ipv4Addr::from(host.swap_bytes())),
        _ if host.chars().all(|digit| digit == '0') => format!("[::]:{port}"),
        _ => format!("[{host}]:{port}"),
    }
}

/// The sockets that these processes have open.
pub(super) fn sockets_of(pids: impl IntoIterator<Item = u32>) -> BTreeSet<u64> {
    let mut found = BTreeSet::new();
    for pid in pids {
        for entry in fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten() {
            let link = fs::read_link(entry.path()).unwrap_or_default();
            let inode: Option<u64> =
                link.to_str().and_then(|link| link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok());
            found.extend(inode);
        }
    }
    found
}

/// The files below some folders but for those that were kept there, as the program names them; `root` is put before.
pub(super) fn files(root: &Path, folders: &[String], kept: &[PathBuf], depth: usize) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for folder in folders {
        walk(root, Path::new(folder), kept, depth, &mut found);
    }
    found
}

fn walk(root: &Path, folder: &Path, kept: &[PathBuf], depth: usize, found: &mut BTreeSet<PathBuf>) {
    let real = root.join(folder.strip_prefix("/").unwrap_or(folder));
    for entry in fs::read_dir(real).into_iter().flatten().flatten() {
        if found.len() >= MOST_ENTRIES {
            return;
        }
        let path = folder.join(entry.file_name());
        if kept.contains(&path) {
            continue;
        }
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        found.insert(path.clone());
        if is_folder && depth > 1 {
            walk(root, &path, kept, depth - 1, found);
        }
    }
}

/// The number that a process has in its own PID namespace.
pub(super) fn innermost(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("NSpid:"))?.split_whitespace().next_back()?.parse().ok()
}

/// The process that a pid or lock file names, if there is none such.
pub(super) fn stale(root: &Path, path: &Path, alive: impl Fn(u32) -> bool) -> Option<StaleLock> {
    let name = path.file_name()?.to_string_lossy().to_lowercase();
    if !["pid", "lock", "lck"].iter().any(|word| name.contains(word)) {
        return None;
    }
    let real = root.join(path.strip_prefix("/").unwrap_or(path));
    if fs::metadata(&real).ok()?.len() > LOCK {
        return None;
    }
    let text = fs::read_to_string(&real).ok()?;
    let pid = text.split(|c: char| !c.is_ascii_digit()).find(|word| !word.is_empty())?.parse().ok()?;
    (pid > 1 && !alive(pid)).then(|| StaleLock { path: path.display().to_string(), pid })
}

/// How often `/proc` is looked at: a state is seen that much late.
pub(super) const LOOK: Duration = Duration::from_micros(500);
/// The same where nothing is to be done at that moment.
pub(super) const SELDOM: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_the_kernel_writes_them() {
        assert_eq!(address("0100007F:1F90"), "127.0.0.1:8080");
        assert_eq!(address("00000000000000000000000000000000:0016"), "[::]:22");
    }

    #[test]
    fn a_handler_of_the_interpreter_does_not_count() {
        let status = |caught: u32, ignored: u32| format!("Name:\tx\nSigIgn:\t{ignored:016x}\nSigCgt:\t{caught:016x}\n");
        let (hup, int, term) = (1, 1 << 1, 1 << 14);

        assert!(!handles(&status(int, 0), Signal::Int, || true));
        assert!(handles(&status(int, 0), Signal::Int, || false));
        assert!(handles(&status(int | term, 0), Signal::Int, || true), "its own are installed");
        assert!(handles(&status(0, int), Signal::Int, || true), "ignored by itself");
        assert!(!handles(&status(int | hup, 0), Signal::Term, || true));
        assert!(!handles("", Signal::Int, || false));
    }

    #[test]
    fn who_waits_for_a_processor_or_for_us_is_not_idle() {
        assert!(['R', 'D', 't'].into_iter().all(wants_on));
        assert!(!['S', 'T', 'Z'].into_iter().any(wants_on));
    }

    #[test]
    fn a_socket_of_ours_is_seen_while_it_listens() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let words = format!("tcp {}", socket.local_addr().unwrap());
        let seen = || listed(Path::new("/proc/self")).into_iter().find(|listening| listening.words == words);

        let inode = seen().unwrap().inode;
        assert!(sockets_of([std::process::id()]).contains(&inode));
        drop(socket);
        assert_eq!(seen(), None);
    }

    #[test]
    fn a_lock_that_names_a_process_which_is_gone_is_found() {
        let folder = std::env::temp_dir().join(format!("stale-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("a.pid"), "4194305\n").unwrap();
        fs::write(folder.join("b.txt"), "4194305\n").unwrap();

        fs::write(folder.join("c.pid"), "4194306\n").unwrap();
        let kept = [folder.join("c.pid")];
        let all = files(Path::new("/"), &[folder.to_str().unwrap().to_owned()], &kept, OWN);
        let found: Vec<_> = all.iter().filter_map(|path| stale(Path::new("/"), path, |_| false)).collect();
        fs::remove_dir_all(&folder).unwrap();

        assert_eq!(all.len(), 2);
        assert_eq!(found.iter().map(|lock| lock.pid).collect::<Vec<_>>(), [4_194_305]);
    }
}
