//! Why a program could not be started.

use std::{ffi::OsString, fmt, io, path::PathBuf};

use super::{
    Level,
    wire::{Failure, Step},
};

/// The program was not started; nothing of it is left.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The program cannot be executed.
    Program {
        /// As it was given.
        program: OsString,
        /// Why.
        source: io::Error,
    },
    /// The folder it was to start in cannot be entered.
    Directory {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The process cannot become that user.
    User {
        /// Its numbers, as `user:group`.
        user: String,
        /// Why.
        source: io::Error,
    },
    /// This level of containment is not to be had here.
    Level {
        /// The level.
        level: Level,
        /// What was tried.
        tried: String,
        /// Why it failed.
        source: io::Error,
    },
    /// One of the namespaces is not to be had here.
    Namespaces {
        /// What was tried.
        tried: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The program's system calls cannot be followed here.
    Trace {
        /// Why.
        source: io::Error,
    },
    /// The process that starts the program and looks after it did not answer.
    Keeper {
        /// What was tried.
        tried: String,
        /// Why it failed.
        source: io::Error,
    },
}

impl StartError {
    /// What to do about it, in one sentence.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Program { .. } => {
                "check the name, that the file may be executed, that its interpreter exists, and that no private folder covers it"
            }
            Self::Directory { .. } => {
                "name a folder that exists, that this user may enter, and that no private folder covers"
            }
            Self::User { .. } => "only root may become another user",
            Self::Level { level: Level::Cgroup, .. } => {
                "needs Linux 5.14, cgroup version 2 and root or a delegated group, for example `systemd-run --user --scope -p Delegate=yes`"
            }
            Self::Level { .. } => "choose another level, or let the strongest be found",
            Self::Namespaces { .. } => {
                "needs root or user namespaces that ordinary users may make (sysctl user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns)"
            }
            Self::Keeper { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                "/proc and /dev are needed, and a bare chroot has neither: mount them there"
            }
            Self::Trace { .. } => {
                "needs ptrace of one's own processes (sysctl kernel.yama.ptrace_scope 0 or 1; in a container the capability SYS_PTRACE or a newer seccomp profile), and that nobody traces softstop itself with its children"
            }
            Self::Keeper { .. } => {
                "the main function of this binary has to call softstop_fleet::trampoline() first; elsewhere set Spec::trampoline to a binary that does"
            }
        }
    }

    /// Makes an error of what failed in a process of ours.
    pub(super) fn from_failure(failure: Failure, level: Level) -> Self {
        let Failure { step, what, error: source } = failure;
        let tried = what.to_string_lossy().into_owned();
        match step {
            Step::Exec => Self::Program { program: what, source },
            Step::Directory => Self::Directory { path: what.into(), source },
            Step::User => Self::User { user: tried, source },
            Step::Cgroup => Self::Level { level, tried, source },
            Step::Namespaces | Step::Mount | Step::Loopback => Self::Namespaces { tried, source },
            Step::Keeper | Step::Signals => Self::Keeper { tried, source },
        }
    }

    pub(super) fn keeper(tried: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let tried = tried.into();
        move |source| Self::Keeper { tried, source }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Program { program, .. } => write!(f, "cannot execute `{}`", program.display()),
            Self::Directory { path, .. } => write!(f, "cannot start in the folder `{}`", path.display()),
            Self::User { user, .. } => write!(f, "cannot become user {user}"),
            Self::Level { level, tried, .. } => write!(f, "cannot contain at level `{level}`: {tried}"),
            Self::Namespaces { tried, .. } => write!(f, "cannot make the namespaces asked for: {tried}"),
            Self::Trace { source } => write!(f, "cannot follow system calls by ptrace ({source})"),
            Self::Keeper { tried, .. } => write!(f, "the process that was to start the program failed: {tried}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Program { source, .. }
            | Self::Directory { source, .. }
            | Self::User { source, .. }
            | Self::Level { source, .. }
            | Self::Namespaces { source, .. }
            | Self::Trace { source }
            | Self::Keeper { source, .. } => Some(source),
        }
    }
}
