//! Namespaces of a program's own (namespaces(7), user_namespaces(7)), entered by its keeper.

use std::{
    env,
    ffi::CString,
    fs, io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::MetadataExt,
    },
    path::{Path, PathBuf},
};

use nix::sched::{CloneFlags, setns, unshare};
use rustix::{
    fs::{Mode, OFlags, open},
    io::Errno,
    mount::{MountFlags, MountPropagationFlags, mount, mount_bind_recursive, mount_change},
    net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with},
    process::{getgid, getuid},
    thread::{CapabilitySet, capabilities, configure_capability_in_ambient_set, set_capabilities},
};

use super::wire::{Failure, Step};

/// What a program has for itself. Nothing is the default.
///
/// An ordinary user gets any of them only inside a user namespace, which is then added by itself; some systems forbid
/// that. In it the user keeps the own number, and everybody else's files seem to be nobody's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Namespaces {
    /// A network with nothing but a loopback interface, which is up.
    pub network: bool,
    /// Folders that are covered by an empty file system in memory, which goes with the program.
    ///
    /// The program does not see what lies below them, itself included, but for what is in `keep`.
    pub private: Vec<PathBuf>,
    /// Files and folders below a private folder that stay where they are, shared with everybody. What does not exist is left out.
    /// Each is a mount, so it cannot be removed, nor another renamed over it; what lies in it can.
    pub keep: Vec<PathBuf>,
    /// System V shared memory, message queues and semaphores, and POSIX message queues.
    pub ipc: bool,
    /// Process numbers from 1 (which is the keeper's), with a `/proc` that shows no others. Part of [`Level::PidNamespace`](super::Level).
    pub pid: bool,
    /// User and group numbers.
    pub user: bool,
}

impl Namespaces {
    /// A path below one of the private folders stays where it is.
    pub(crate) fn keep_below(&mut self, path: impl Into<PathBuf>) {
        let path = path.into();
        if self.private.iter().any(|folder| path.starts_with(folder)) {
            self.keep.push(path);
        }
    }

    pub(super) fn is_none(&self) -> bool {
        *self == Self::default()
    }

    fn mounts(&self) -> bool {
        self.pid || !self.private.is_empty()
    }

    fn user(&self) -> bool {
        self.user || !getuid().is_root()
    }

    fn flags(&self) -> CloneFlags {
        let wanted = [
            (self.network, CloneFlags::CLONE_NEWNET),
            (self.mounts(), CloneFlags::CLONE_NEWNS),
            (self.ipc, CloneFlags::CLONE_NEWIPC),
            (self.pid, CloneFlags::CLONE_NEWPID),
            (self.user(), CloneFlags::CLONE_NEWUSER),
        ];
        wanted.into_iter().filter(|(wanted, _)| *wanted).map(|(_, flag)| flag).collect()
    }

    /// Leaves the namespaces we are in. The new PID namespace begins with our next child.
    pub(super) fn enter(&self) -> Result<(), Failure> {
        let (uid, gid) = (getuid().as_raw(), getgid().as_raw());
        let flags = self.flags();
        unshare(flags)
            .map_err(io::Error::from)
            .map_err(Failure::new(Step::Namespaces, format!("unshare({flags:?})")))?;
        if self.user() {
            map_user(uid, gid)?;
            keep_capabilities().map_err(Failure::new(Step::Namespaces, "capabilities of the user namespace"))?;
        }
        Ok(())
    }

    /// Enters those of another program, whose keeper this is. Processes in its PID namespace begin with our next child.
    pub(super) fn join(&self, keeper: &OwnedFd) -> Result<(), Failure> {
        let here = env::current_dir();
        let flags = self.flags();
        setns(keeper, flags)
            .map_err(io::Error::from)
            .map_err(Failure::new(Step::Namespaces, format!("setns({flags:?})")))?;
        // Whoever joins a mount namespace stands at its root (setns(2)).
        if let (true, Ok(here)) = (self.mounts(), here) {
            env::set_current_dir(&here).map_err(Failure::new(Step::Directory, here))?;
        }
        Ok(())
    }

    /// Sets up what is in them, from inside.
    pub(super) fn furnish(&self) -> Result<(), Failure> {
        if self.mounts() {
            let all = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
            mount_change("/", all).map_err(io::Error::from).map_err(Failure::new(Step::Mount, "/"))?;
        }
        if self.pid {
            let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
            let mounted = mount("proc", "/proc", "proc", flags, None);
            mounted.map_err(io::Error::from).map_err(Failure::new(Step::Mount, "/proc"))?;
        }
        let mut kept = Vec::new();
        for path in &self.keep {
            kept.extend(hold(path)?.map(|held| (path, held)));
        }
        for folder in &self.private {
            cover(folder).map_err(Failure::new(Step::Mount, folder))?;
        }
        for (path, held) in kept {
            uncover(path, &held).map_err(Failure::new(Step::Mount, path))?;
        }
        if !self.private.is_empty() {
            // Where we stand may have been covered; what was kept of it is a new mount.
            let _ = env::current_dir().and_then(env::set_current_dir);
        }
        if self.network {
            raise_loopback().map_err(Failure::new(Step::Loopback, "lo"))?;
        }
        Ok(())
    }
}

/// An ordinary user may map the own number and no other, and the group only after giving up setgroups(2).
fn map_user(uid: u32, gid: u32) -> Result<(), Failure> {
    let write = |file: &str, text: String| {
        let path = Path::new("/proc/self").join(file);
        fs::write(&path, text).map_err(Failure::new(Step::Namespaces, &path))
    };
    if uid == 0 {
        write("uid_map", "0 0 4294967295".to_owned())?;
        return write("gid_map", "0 0 4294967295".to_owned());
    }
    write("setgroups", "deny".to_owned())?;
    write("uid_map", format!("{uid} {uid} 1"))?;
    write("gid_map", format!("{gid} {gid} 1"))
}

/// Who enters a user namespace has every capability in it, and loses them on exec unless they are ambient
/// (capabilities(7)). The keeper needs them for its mounts; the program does not get them.
fn keep_capabilities() -> io::Result<()> {
    let mut sets = capabilities(None)?;
    sets.inheritable = sets.permitted;
    set_capabilities(None, sets)?;
    for needed in [CapabilitySet::SYS_ADMIN, CapabilitySet::NET_ADMIN, CapabilitySet::KILL] {
        configure_capability_in_ambient_set(needed, true)?;
    }
    Ok(())
}

/// Gives up what [`keep_capabilities`] kept, before the program is executed.
pub(super) fn drop_capabilities() -> io::Result<()> {
    rustix::thread::clear_ambient_capability_set()?;
    let mut sets = capabilities(None)?;
    sets.inheritable = CapabilitySet::empty();
    Ok(set_capabilities(None, sets)?)
}

/// An empty file system over `folder`, with the rights of the folder, and its owner where we may say so.
fn cover(folder: &Path) -> io::Result<()> {
    let folder_is = fs::metadata(folder)?;
    let mut data = format!("mode={:o}", folder_is.mode() & 0o7777);
    if getuid().is_root() {
        data.push_str(&format!(",uid={},gid={}", folder_is.uid(), folder_is.gid()));
    }
    let data = CString::new(data)?;
    mount("tmpfs", folder, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, data.as_c_str())?;
    Ok(())
}

/// A handle by which a path is found again after it was covered; none if there is no such path.
fn hold(path: &Path) -> Result<Option<OwnedFd>, Failure> {
    match open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) {
        Ok(held) => Ok(Some(held)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(Failure::new(Step::Mount, path)(error.into())),
    }
}

/// Mounts what was held at its old place in the empty file system.
fn uncover(path: &Path, held: &OwnedFd) -> io::Result<()> {
    let from = PathBuf::from(format!("/proc/self/fd/{}", held.as_raw_fd()));
    if fs::metadata(&from)?.is_dir() {
        fs::create_dir_all(path)?;
    } else {
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::File::create(path)?;
    }
    Ok(mount_bind_recursive(from, path)?)
}

/// RTM_NEWLINK with IFF_UP for interface 1, which is always `lo` in a new network namespace (rtnetlink(7)).
fn raise_loopback() -> io::Result<()> {
    const RTM_NEWLINK: u16 = 16;
    const NLM_F_REQUEST_ACK: u16 = 1 | 4;
    const IFF_UP: u32 = 1;
    const LENGTH: u32 = 32;
    let mut message = Vec::new();
    message.extend(LENGTH.to_ne_bytes());
    message.extend(RTM_NEWLINK.to_ne_bytes());
    message.extend(NLM_F_REQUEST_ACK.to_ne_bytes());
    message.extend([0; 8]); // sequence number, sender
    message.extend([0; 4]); // family, padding, type
    message.extend(1_u32.to_ne_bytes()); // index
    message.extend(IFF_UP.to_ne_bytes()); // flags
    message.extend(IFF_UP.to_ne_bytes()); // which of them change
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    send(&socket, &message, SendFlags::empty())?;

    // NLMSG_ERROR: a header of 16 bytes, then the negative errno, 0 for done.
    let mut answer = [0_u8; 128];
    recv(&socket, &mut answer, RecvFlags::empty())?;
    let (_, rest) = answer.split_at(16);
    match rest.first_chunk().map(|code| i32::from_ne_bytes(*code)) {
        Some(0) => Ok(()),
        Some(code) => Err(Errno::from_raw_os_error(-code).into()),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}
