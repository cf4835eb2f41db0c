//! What is to be started, and how.

use std::{
    env,
    ffi::{OsStr, OsString},
    path::PathBuf,
};

use super::{Level, Namespaces, Tracing, trampoline::OURSELVES};

/// What is kept of a program's output unless told otherwise.
const OUTPUT_LIMIT: usize = 1024 * 1024;

/// A program and the way it is to be started.
///
/// It begins in a session and a process group of its own, with no signal ignored or blocked, and with nothing open
/// but its three streams and what we ourselves inherited.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Spec {
    /// A path, relative to `cwd`, or a name that is looked up in the `PATH` of the program's environment.
    pub program: OsString,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Variables that are set (or, without a value, removed) in the environment that it inherits from us.
    pub env: Vec<(OsString, Option<OsString>)>,
    /// The folder it starts in; ours if none.
    pub cwd: Option<PathBuf>,
    /// User and group to run as, without further groups. Needs root.
    pub user: Option<(u32, u32)>,
    /// Standard input.
    pub stdin: Input,
    /// Standard output.
    pub stdout: Sink,
    /// Standard error.
    pub stderr: Sink,
    /// A terminal of so many columns and rows, which takes the place of all three streams and is the controlling one of
    /// its session. All that is written there is captured as standard output.
    pub terminal: Option<(u16, u16)>,
    /// About how many bytes of captured output are kept, the latest of both streams together.
    pub output_limit: usize,
    /// How it is contained.
    pub contain: Contain,
    /// What it has for itself.
    pub namespaces: Namespaces,
    /// What is wanted of its system calls: they are followed only if something is, which costs time with each.
    pub trace: Option<Tracing>,
    /// The binary whose main function calls [`trampoline`](crate::trampoline); ourselves unless set.
    pub trampoline: PathBuf,
}

/// Where a program reads from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Input {
    /// Nothing: end of file at once.
    #[default]
    Null,
    /// Nothing but what [`Running::feed`](super::Running::feed) writes, and no end of file while the program is watched.
    Silent,
    /// What we read from.
    Inherit,
}

/// Where a program writes to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sink {
    /// A pipe to us: see [`Seen::output`](super::Seen).
    #[default]
    Capture,
    /// Where we write to.
    Inherit,
    /// Nowhere.
    Null,
}

/// How a program is to be contained.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Contain {
    /// By the strongest level that works here; [`Running::level`](super::Running) tells which.
    #[default]
    Strongest,
    /// By this one or not at all.
    At(Level),
}

impl Spec {
    /// The program without arguments, in our folder and environment, its output captured, contained as well as possible.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            cwd: None,
            user: None,
            stdin: Input::default(),
            stdout: Sink::default(),
            stderr: Sink::default(),
            terminal: None,
            output_limit: OUTPUT_LIMIT,
            contain: Contain::default(),
            namespaces: Namespaces::default(),
            trace: None,
            trampoline: OURSELVES.into(),
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<T: Into<OsString>>(mut self, args: impl IntoIterator<Item = T>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// The environment that the program gets, `marker` set in it.
    pub(super) fn environment(&self, marker: &str) -> Vec<(OsString, OsString)> {
        let changed = |name: &OsStr| self.env.iter().any(|(changed, _)| changed == name);
        let inherited = env::vars_os().filter(|(name, _)| !changed(name));
        let set = self.env.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?)));
        inherited.chain(set).chain([(marker.into(), "1".into())]).collect()
    }
}
