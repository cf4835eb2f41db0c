//! Programs that are started, watched, signalled and killed as a whole.
//!
//! ```text
//!  we ──socket── keeper ── program ── its children, and whoever they leave behind
//! ```
//!
//! Each program has a *keeper*, a process of ours that starts it, is handed every orphan of its tree, and kills
//! everything once we are gone for whatever reason. The keeper, and the process that becomes the program, are
//! ourselves again ([`trampoline`](crate::trampoline)). Nothing but this module starts, contains or kills.
//!
//! # Levels
//!
//! | level | nothing of the tree outlives | who escapes | `true` executed after, all put away after |
//! |---|---|---|---|
//! | [`Level::Cgroup`] | [`Running::kill_all`], or us | nobody | 2.2 ms, 3.5 ms; after a pause some 10 ms more |
//! | [`Level::PidNamespace`] | the same | nobody | 3.1 ms, 4.6 ms |
//! | [`Level::Subreaper`] | the same, except whoever forks faster than it is found | who has become another user, or has killed the keeper and changed its environment | 2.1 ms, 3.2 ms |
//! | [`Level::Group`] | nothing is promised | whoever calls setsid or setpgid | 2.1 ms, 3.2 ms |
//!
//! Medians of 41 starts in a row on two cores under load, measured in the real-time class, as root; as an ordinary user
//! they are the same. The pause costs what the kernel takes to make sure that nobody forks while a process joins a
//! group. With all [`Namespaces`] it is 3 to 4 ms and 5 to 6 ms at every level, and four threads start 330 to 400
//! programs a second. A keeper takes 0.6 MB of memory (PSS). `softstop selftest` shows the machine it runs on.
//!
//! A program that is root can move itself out of its control group, and is then found as a descendant of its keeper.
//! Whoever kills us and the keeper in one moment leaves the program running, except in a PID namespace.
//! At no level is a process part of the tree that another service starts on request (`systemd-run`, `docker run`, `at`).
//! The kernel waits for a process that it cannot disturb (state `D`), and so does `kill_all`, as long as it was told to.
//!
//! # Time
//!
//! A plain thread for each program waits in `poll` and reads the monotonic clock when it returns: 0.04 to 0.08 ms after a
//! program has written a line (median, with a machine that has more to do than cores). No runtime is needed, so a
//! test of any program may use this.

mod cgroup;
mod error;
mod keeper;
mod launch;
mod namespaces;
mod output;
mod running;
mod signal;
mod sockets;
mod spec;
mod squeeze;
mod start;
mod terminal;
mod trace;
pub(crate) mod trampoline;
mod tree;
mod watch;
mod wire;

use std::fmt;

pub use error::StartError;
pub use namespaces::Namespaces;
pub use output::{Line, Output, Stream};
pub use running::{Killed, Running, Target};
pub use signal::{Signal, UnknownSignal};
pub use sockets::Listener;
pub use spec::{Contain, Input, Sink, Spec};
pub use squeeze::{Squeeze, Squeezed};
pub use start::{levels, start, start_inside, strongest};
pub use trace::{Denied, Meddling, Point, Recorded, Trace, Tracing};
pub(crate) use trampoline::OURSELVES;
pub use tree::Process;
pub use watch::{Exit, Seen, Usage};

/// How a program is contained, strongest first. The table above says what each one promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// A control group of its own, version 2: exact lists, and one write kills all.
    Cgroup,
    /// A PID namespace of its own, for an ordinary user inside a user namespace: the end of the keeper ends all.
    PidNamespace,
    /// The keeper adopts all orphans, and kills generation after generation.
    Subreaper,
    /// A process group, as a shell's job; whoever leaves it is not found.
    Group,
}

impl Level {
    /// All levels, strongest first.
    pub const ALL: [Self; 4] = [Self::Cgroup, Self::PidNamespace, Self::Subreaper, Self::Group];

    /// Whether nothing that the program does by itself, however fast it forks, keeps a process alive.
    #[must_use]
    pub fn is_certain(self) -> bool {
        matches!(self, Self::Cgroup | Self::PidNamespace)
    }

    /// What it is called wherever people read it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cgroup => "cgroup",
            Self::PidNamespace => "pid namespace",
            Self::Subreaper => "subreaper",
            Self::Group => "group",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
