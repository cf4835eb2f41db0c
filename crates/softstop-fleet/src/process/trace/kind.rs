//! What a system call is about, as far as that is seen at its entry.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::PathBuf,
};

use nix::{libc, unistd::Pid};

use super::{memory, regs::Regs};

/// Signals that ask to stop: a handler for one of them changes what a stop does.
const STOPPING: [i32; 4] = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM];

/// Whether a call changes what others can see, so that between two of them a program can be caught in the middle.
pub(super) fn telling(pid: Pid, call: &str, regs: &Regs) -> bool {
    match call {
        "open" => opens_to_write(regs.argument(1)),
        "openat" => opens_to_write(regs.argument(2)),
        "openat2" => memory::word(pid, regs.argument(2)).is_some_and(opens_to_write),
        "rt_sigaction" => {
            let number = i32::try_from(regs.argument(0)).unwrap_or_default();
            STOPPING.contains(&number) && regs.argument(1) != 0
        }
        "creat" | "rename" | "renameat" | "renameat2" | "unlink" | "unlinkat" | "rmdir" | "mkdir" | "mkdirat"
        | "link" | "linkat" | "symlink" | "symlinkat" | "mknod" | "mknodat" | "truncate" | "fsync" | "fdatasync"
        | "msync" | "flock" | "bind" | "listen" | "accept" | "accept4" | "connect" | "clone" | "clone3" | "fork"
        | "vfork" | "execve" | "execveat" => true,
        _ => written(call).is_some_and(|at| is_regular(pid, regs.argument(at))),
    }
}

fn opens_to_write(flags: u64) -> bool {
    let flags = libc::c_int::try_from(flags & 0x7fff_ffff).unwrap_or_default();
    flags & libc::O_ACCMODE != libc::O_RDONLY || flags & (libc::O_CREAT | libc::O_TRUNC) != 0
}

/// Which argument of a call is the file that it writes to.
pub(super) fn written(call: &str) -> Option<usize> {
    match call {
        "write" | "pwrite64" | "writev" | "pwritev" | "pwritev2" | "sendfile" | "fallocate" | "ftruncate" => Some(0),
        "copy_file_range" | "splice" => Some(2),
        _ => None,
    }
}

/// Whether an open file is one on a disk, or in memory: neither pipe nor socket nor device, and not the kernel's own.
pub(super) fn is_regular(pid: Pid, file: u64) -> bool {
    let link = link(pid, file);
    let kernels = fs::read_link(&link).is_ok_and(|path| path.starts_with("/proc") || path.starts_with("/sys"));
    !kernels && fs::metadata(link).is_ok_and(|meta| meta.is_file())
}

/// The number of an open socket.
pub(super) fn socket(pid: Pid, file: u64) -> Option<u64> {
    fs::read_link(link(pid, file)).ok()?.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// What of a telling call's files tells one such call of an interpreter from another: these come from one place in its code.
pub(super) fn object(pid: Pid, call: &str, regs: &Regs) -> u64 {
    let mut hash = DefaultHasher::new();
    let path = match call {
        "open" | "creat" | "rename" | "unlink" | "rmdir" | "mkdir" | "link" | "symlink" | "truncate" | "execve" => {
            Some(0)
        }
        "openat" | "openat2" | "renameat" | "renameat2" | "unlinkat" | "mkdirat" | "execveat" => Some(1),
        _ => None,
    };
    match path {
        Some(at) => memory::text(pid, regs.argument(at)).hash(&mut hash),
        None if call == "rt_sigaction" => regs.argument(0).hash(&mut hash),
        None => fs::read_link(link(pid, regs.argument(written(call).unwrap_or(0)))).ok().hash(&mut hash),
    }
    hash.finish()
}

/// The file that a call writes to, as it is named where the program is.
pub(super) fn named(pid: Pid, call: &str, regs: &Regs) -> String {
    let path = fs::read_link(link(pid, regs.argument(written(call).unwrap_or(0)))).unwrap_or_default();
    path.to_string_lossy().into_owned()
}

fn link(pid: Pid, file: u64) -> PathBuf {
    // Of what a program passes, the kernel takes 32 bits.
    PathBuf::from(format!("/proc/{pid}/fd/{}", file & u64::from(u32::MAX)))
}
