//! What is done to one trial, and the line that says it: `TERM at renameat2#3 pid1, seed 17`.
//!
//! ```text
//! line   = act " at " moment { ", " act ( " " duration " later" | " at " moment ) } { ", " extra }
//! act    = ( TERM | INT | HUP | QUIT | KILL | hang-up | close-stdout ) [ " x" times ]
//! moment = duration | ( handler | output | listening | ready | acted ) [ "+" duration ] | call "#" nth " pid" nth [ "." nth ]
//! extra  = "to " ( main | group | all ) | "fault " fault | "without load" | "seed " number
//! fault  = disk-full#nth | stopped-child | cpu-percent% | silent-peer
//! ```
//!
//! A duration alone counts from the start of the program. `fsync#2` is the second call of that name in its thread, in a further act the
//! second since the act before it. `pid1` is the first process of the trial, `pid1.2` the second thread of it.

mod grammar;

use std::{fmt, str::FromStr, time::Duration};

pub use self::grammar::ReplayError;
use super::time;

/// A signal that asks a program to stop, or ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Signal {
    /// SIGTERM: what supervisors send.
    Term,
    /// SIGINT: Ctrl+C.
    Int,
    /// SIGHUP: the terminal has gone.
    Hup,
    /// SIGQUIT: Ctrl+\.
    Quit,
    /// SIGKILL, which no program can act upon.
    Kill,
}

impl Signal {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Term, Self::Int, Self::Hup, Self::Quit, Self::Kill];

    /// Its name without `SIG`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Term => "TERM",
            Self::Int => "INT",
            Self::Hup => "HUP",
            Self::Quit => "QUIT",
            Self::Kill => "KILL",
        }
    }

    /// Its number, the same on every Unix.
    pub fn number(self) -> i32 {
        match self {
            Self::Hup => 1,
            Self::Int => 2,
            Self::Quit => 3,
            Self::Kill => 9,
            Self::Term => 15,
        }
    }
}

/// What is done once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Deed {
    /// A signal is sent.
    Signal(Signal),
    /// The program's terminal goes away.
    HangUp,
    /// Nobody reads its stdout any more.
    CloseStdout,
}

impl Deed {
    const ALL: [Self; 7] = [
        Self::Signal(Signal::Term),
        Self::Signal(Signal::Int),
        Self::Signal(Signal::Hup),
        Self::Signal(Signal::Quit),
        Self::Signal(Signal::Kill),
        Self::HangUp,
        Self::CloseStdout,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Signal(signal) => signal.name(),
            Self::HangUp => "hang-up",
            Self::CloseStdout => "close-stdout",
        }
    }

    /// The signal that the program receives of it, if any.
    pub fn signal(self) -> Option<Signal> {
        match self {
            Self::Signal(signal) => Some(signal),
            Self::HangUp => Some(Signal::Hup),
            Self::CloseStdout => None,
        }
    }
}

/// A deed, once or as a storm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Act {
    /// What is done.
    pub deed: Deed,
    /// How often, without a pause; at least 1.
    pub times: u32,
}

impl From<Signal> for Act {
    fn from(signal: Signal) -> Self {
        Self { deed: Deed::Signal(signal), times: 1 }
    }
}

/// Which processes of the program receive the signals.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// The one that was started, as supervisors do.
    #[default]
    Main,
    /// Its process group, as a terminal does.
    Group,
    /// Every process of the trial.
    All,
}

impl Target {
    pub(crate) const ALL: [Self; 3] = [Self::Main, Self::Group, Self::All];

    /// Its word: `main`, `group`, `all`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Group => "group",
            Self::All => "all",
        }
    }
}

/// A state of the program that can be seen from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Edge {
    /// It has said what the signal shall do: a handler, or ignore.
    Handler,
    /// Its first output.
    Output,
    /// Its first listening socket.
    Listening,
    /// It is ready, as the scenario says.
    Ready,
    /// Its first visible act after the first signal: it is stopping now.
    Acted,
}

impl Edge {
    /// All of them, in the order in which they usually come.
    pub const ALL: [Self; 5] = [Self::Handler, Self::Output, Self::Listening, Self::Ready, Self::Acted];

    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Handler => "handler",
            Self::Output => "output",
            Self::Listening => "listening",
            Self::Ready => "ready",
            Self::Acted => "acted",
        }
    }
}

/// When something is done.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Moment {
    /// So long after the start of the program.
    At(Duration),
    /// So long after this state was reached.
    Edge(Edge, Duration),
    /// At the entry of a system call.
    Call {
        /// Its name, such as `renameat2`.
        call: String,
        /// Its number among the calls of this name in this thread, from 1: since the start, or since the act before this one.
        nth: u32,
        /// The number of the process in the trial, from 1, in the order in which they began.
        process: u32,
        /// The number of the thread in this process, from 1.
        thread: u32,
    },
}

/// When a further act follows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum When {
    /// So long after the act before it.
    Later(Duration),
    /// At a moment of its own.
    At(Moment),
}

/// Something that goes wrong during a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// From this write on, counted from 1, the disk is full.
    DiskFull(u32),
    /// A child of the program is stopped (SIGSTOP) before the signal.
    StoppedChild,
    /// The program gets this percentage of one processor.
    Cpu(u8),
    /// What the program is connected to never answers.
    SilentPeer,
}

/// All that is done to one trial. Its text is the line that replays it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Replay {
    /// What comes first.
    pub first: Act,
    /// When.
    pub at: Moment,
    /// What follows, in order; may be empty.
    pub then: Vec<(Act, When)>,
    /// Who receives the signals.
    pub target: Target,
    /// What goes wrong meanwhile; may be empty.
    pub faults: Vec<Fault>,
    /// Whether the load of the scenario is left away.
    pub without_load: bool,
    /// The number handed to the program and its load as `SOFTSTOP_SEED`.
    pub seed: u64,
}

impl Replay {
    /// One act at a moment, and nothing else.
    pub fn new(first: impl Into<Act>, at: Moment) -> Self {
        Self {
            first: first.into(),
            at,
            then: Vec::new(),
            target: Target::Main,
            faults: Vec::new(),
            without_load: false,
            seed: 0,
        }
    }

    /// The first and all further acts, in order.
    pub fn acts(&self) -> impl Iterator<Item = Act> {
        std::iter::once(self.first).chain(self.then.iter().map(|(act, _)| *act))
    }

    /// The signals that the program receives, in order.
    pub fn signals(&self) -> impl Iterator<Item = Signal> {
        self.acts().filter_map(|act| act.deed.signal())
    }

    /// Whether a moment of it is a system call, which needs ptrace.
    pub fn traced(&self) -> bool {
        self.moments().any(|moment| matches!(moment, Moment::Call { .. }))
    }

    /// Whether a moment of it is a state that has to be waited for.
    pub(super) fn at_states(&self) -> bool {
        self.moments().any(|moment| matches!(moment, Moment::Edge(..)))
    }

    fn moments(&self) -> impl Iterator<Item = &Moment> {
        let moments = self.then.iter().filter_map(|(_, when)| match when {
            When::At(moment) => Some(moment),
            When::Later(_) => None,
        });
        std::iter::once(&self.at).chain(moments)
    }
}

/// What is sent, without the times: `INT+INT to group`.
pub(super) fn label(acts: impl Iterator<Item = Act>, target: Target) -> String {
    let acts: Vec<String> = acts.map(|act| act.to_string()).collect();
    let acts = acts.join("+");
    if target == Target::Main { acts } else { format!("{acts} to {}", target.name()) }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.deed.name())?;
        if self.times > 1 { write!(f, " x{}", self.times) } else { Ok(()) }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(time) => f.write_str(&time::exact(*time)),
            Self::Edge(edge, after) if after.as_micros() == 0 => f.write_str(edge.name()),
            Self::Edge(edge, after) => write!(f, "{}+{}", edge.name(), time::exact(*after)),
            Self::Call { call, nth, process, thread } => {
                write!(f, "{call}#{nth} pid{process}")?;
                if *thread > 1 { write!(f, ".{thread}") } else { Ok(()) }
            }
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DiskFull(write) => write!(f, "disk-full#{write}"),
            Self::StoppedChild => f.write_str("stopped-child"),
            Self::Cpu(percent) => write!(f, "cpu-{percent}%"),
            Self::SilentPeer => f.write_str("silent-peer"),
        }
    }
}

impl fmt::Display for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.first, self.at)?;
        for (act, when) in &self.then {
            match when {
                When::Later(gap) => write!(f, ", {act} {} later", time::exact(*gap))?,
                When::At(moment) => write!(f, ", {act} at {moment}")?,
            }
        }
        if self.target != Target::Main {
            write!(f, ", to {}", self.target.name())?;
        }
        for fault in &self.faults {
            write!(f, ", fault {fault}")?;
        }
        if self.without_load {
            f.write_str(", without load")?;
        }
        write!(f, ", seed {}", self.seed)
    }
}

impl FromStr for Replay {
    type Err = ReplayError;

    fn from_str(text: &str) -> Result<Self, ReplayError> {
        grammar::replay(text)
    }
}

impl FromStr for Fault {
    type Err = ReplayError;

    fn from_str(text: &str) -> Result<Self, ReplayError> {
        grammar::fault(text)
    }
}

/// The acts of a trial before its moments are planned: `TERM`, `INT+INT`, `INT, INT 100ms later`, `TERM x50`, `close-stdout+TERM`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pattern {
    /// What comes first.
    pub first: Act,
    /// What follows, in order; `None`: after one of the scenario's gaps.
    pub then: Vec<(Act, Option<When>)>,
    /// Who receives the signals, where not the scenario's target does.
    pub target: Option<Target>,
}

impl From<Signal> for Pattern {
    fn from(signal: Signal) -> Self {
        Self { first: signal.into(), then: Vec::new(), target: None }
    }
}

impl FromStr for Pattern {
    type Err = ReplayError;

    fn from_str(text: &str) -> Result<Self, ReplayError> {
        grammar::pattern(text)
    }
}

#[cfg(test)]
#[path = "replay_tests.rs"]
pub(super) mod tests;
