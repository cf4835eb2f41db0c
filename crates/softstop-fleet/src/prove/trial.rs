//! What was seen in one trial, as data. Times count from the start of the program.

use std::{fmt, time::Duration};

use super::replay::{self, Act, Deed, Edge, Fault, Replay, Signal};

/// A trial that was planned: what is done, and how its moment was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// What is done.
    pub replay: Replay,
    /// How its moment was chosen.
    pub origin: Origin,
}

/// How a moment was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// Drawn. Only such trials say how likely a failure is.
    Random,
    /// A step of a sweep.
    Sweep,
    /// A change of the program's state.
    Edge,
    /// A system call.
    Syscall,
    /// Asked for by its line.
    Replay,
}

impl Origin {
    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::Sweep => "sweep",
            Self::Edge => "edge",
            Self::Syscall => "syscall",
            Self::Replay => "replay",
        }
    }
}

/// What the program was doing when the signal came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// It could not have installed a handler yet: it has not said what the signal shall do, and is not ready.
    ///
    /// The handler for INT that a Python interpreter installs for itself is not the program's: it raises `KeyboardInterrupt` even in the
    /// midst of the interpreter's own start. Before the program is ready, that exception shows that the program had not installed its own.
    BeforeHandler,
    /// It has, and is not ready.
    Starting,
    /// It is ready, and nothing is asked of it.
    Idle,
    /// It is ready and under load.
    Busy,
    /// It was stopping already: a second signal came.
    Stopping,
}

impl Phase {
    /// All of them, in the order of a program's life.
    pub const ALL: [Self; 5] = [Self::BeforeHandler, Self::Starting, Self::Idle, Self::Busy, Self::Stopping];

    /// Its words: `before handler`, `starting`, `idle`, `busy`, `stopping`.
    pub fn name(self) -> &'static str {
        match self {
            Self::BeforeHandler => "before handler",
            Self::Starting => "starting",
            Self::Idle => "idle",
            Self::Busy => "busy",
            Self::Stopping => "stopping",
        }
    }
}

/// When the states that can be seen from outside were reached, where they were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Milestones {
    /// It has said what the first signal of the trial shall do: a handler, or ignore.
    pub handler: Option<Duration>,
    /// First output.
    pub output: Option<Duration>,
    /// First listening socket.
    pub listening: Option<Duration>,
    /// Ready, as the scenario says.
    pub ready: Option<Duration>,
}

impl Milestones {
    /// When a state was reached. [`Edge::Acted`] is none of these.
    pub fn of(&self, edge: Edge) -> Option<Duration> {
        match edge {
            Edge::Handler => self.handler,
            Edge::Output => self.output,
            Edge::Listening => self.listening,
            Edge::Ready => self.ready,
            Edge::Acted => None,
        }
    }
}

/// How far a stop came, and when. L0, whether a handler is there, is [`Milestones::handler`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ladder {
    /// L1: the kernel delivered the first signal. No response yet: runtimes take it in a handler at once and act later.
    pub delivered: Option<Duration>,
    /// L2: its first visible act after the first signal, which is the response. The exit counts, if nothing came before.
    pub acted: Option<Duration>,
    /// L3: it stopped serving: a listening socket closed, or its readiness turned.
    pub unserving: Option<Duration>,
    /// L4: its main process has ended.
    pub exited: Option<Duration>,
    /// L5: no process of it is left, and what was audited is clean.
    pub clean: Option<Duration>,
}

/// How the main process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// With this status.
    Status(i32),
    /// By this signal.
    Signal(i32),
    /// It did not end; the trial was ended by force.
    Forced,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "exit status {status}"),
            Self::Signal(number) => match Signal::ALL.into_iter().find(|signal| signal.number() == *number) {
                Some(signal) => write!(f, "ended by signal {number} ({signal})"),
                None => write!(f, "ended by signal {number}"),
            },
            Self::Forced => f.write_str("ended by force"),
        }
    }
}

/// An act as it was really done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// What.
    pub act: Act,
    /// When.
    pub at: Duration,
}

/// What became of a fault that was to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Which.
    pub fault: Fault,
    /// How it was made, or why it was not.
    pub how: Result<String, String>,
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.how {
            Ok(how) => write!(f, "fault {}: {how}", self.fault),
            Err(why) => write!(f, "fault {} was not made: {why}", self.fault),
        }
    }
}

/// A process that was left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    /// Its id.
    pub pid: u32,
    /// Its command line.
    pub command: String,
}

/// A lock or pid file that names a process which is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaleLock {
    /// Its path.
    pub path: String,
    /// The process it names.
    pub pid: u32,
}

/// What was left when the program had gone; each list may be empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// Processes.
    pub orphans: Vec<Orphan>,
    /// Sockets still listening, such as `tcp 127.0.0.1:8000`.
    pub ports: Vec<String>,
    /// New files in watched folders, without those that may stay.
    pub files: Vec<String>,
    /// Stale locks; they are not among the files.
    pub locks: Vec<StaleLock>,
}

/// Where a line was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// stdout.
    Out,
    /// stderr.
    Err,
}

/// A line that the program wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When it arrived.
    pub at: Duration,
    /// Where it was written.
    pub stream: Stream,
    /// Without its end.
    pub text: String,
}

/// What a command of the scenario said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Whether it ended with status 0.
    pub ok: bool,
    /// The last of what it wrote; may be empty.
    pub text: String,
}

/// Starting again on the same data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resumed {
    /// How long after its start it was ready; `None` if it was not in time.
    pub ready: Option<Duration>,
    /// What the check said after that, where there is one.
    pub check: Option<Said>,
}

/// What was seen in one trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// What was planned.
    pub planned: Planned,
    /// What was really done, and when. Empty if the moment never came.
    pub sent: Vec<Sent>,
    /// Whether its times may be counted: alone on the machine, without a fault, and not under ptrace.
    pub timed: bool,
    /// What became of its faults; may be empty.
    pub faults: Vec<Made>,
    /// The file that it could not write after the first signal, for lack of space.
    pub unsaved: Option<String>,
    /// Whether a load was on when the first signal came.
    pub loaded: bool,
    /// The states it went through.
    pub milestones: Milestones,
    /// How far the stop came.
    pub ladder: Ladder,
    /// How the main process ended.
    pub exit: Exit,
    /// How long its processes used a processor, as far as is known.
    pub cpu: Duration,
    /// What was left.
    pub leftovers: Leftovers,
    /// What it wrote: all of it, or the last part.
    pub log: Vec<LogLine>,
    /// What the load said, where there is one.
    pub load: Option<Said>,
    /// What the check said, where there is one.
    pub check: Option<Said>,
    /// What starting again gave, where that was asked.
    pub resumed: Option<Resumed>,
}

impl Observation {
    /// When the first signal, or hang-up, was sent. `None` if the moment never came.
    pub fn signalled(&self) -> Option<Duration> {
        self.sent.iter().find(|sent| sent.act.deed.signal().is_some()).map(|sent| sent.at)
    }

    /// The signals that were sent, in order.
    pub fn signals(&self) -> Vec<Signal> {
        self.sent.iter().filter_map(|sent| sent.act.deed.signal()).collect()
    }

    /// Whether nobody read its stdout any more, so that writing there was an error.
    pub fn unread(&self) -> bool {
        self.sent.iter().any(|sent| sent.act.deed == Deed::CloseStdout)
    }

    /// Whether what it wrote could be seen all the time: neither its terminal nor its stdout went away.
    pub fn heard(&self) -> bool {
        !self.unread() && self.sent.iter().all(|sent| sent.act.deed != Deed::HangUp)
    }

    /// What was really sent, without the times: `INT+INT to group`. Trials with the same label are counted together.
    pub fn label(&self) -> String {
        replay::label(self.sent.iter().map(|sent| sent.act), self.planned.replay.target)
    }

    /// What the program was doing when it was signalled. `None` if it never was.
    pub fn phase(&self) -> Option<Phase> {
        let at = self.signalled()?;
        let before = |state: Option<Duration>| state.is_none_or(|state| at < state);
        let Milestones { handler, ready, .. } = self.milestones;
        Some(if before(ready) && (before(handler) || self.struck_python()) {
            Phase::BeforeHandler
        } else if self.signals().len() > 1 {
            Phase::Stopping
        } else if before(ready) {
            Phase::Starting
        } else if self.loaded {
            Phase::Busy
        } else {
            Phase::Idle
        })
    }

    /// Whether the handler was that of the Python interpreter, which raises an exception wherever it happens to be.
    fn struck_python(&self) -> bool {
        self.signals().first() == Some(&Signal::Int)
            && self.log_after_signal().any(|line| line.text.contains("KeyboardInterrupt"))
    }

    /// From the first signal to the first visible act.
    pub fn response(&self) -> Option<Duration> {
        self.since_signal(self.ladder.acted)
    }

    /// From the first signal to the end of the main process.
    pub fn exit_time(&self) -> Option<Duration> {
        self.since_signal(self.ladder.exited)
    }

    fn since_signal(&self, time: Option<Duration>) -> Option<Duration> {
        Some(time?.saturating_sub(self.signalled()?))
    }

    /// What was written after the first signal.
    pub fn log_after_signal(&self) -> impl Iterator<Item = &LogLine> {
        let at = self.signalled();
        self.log.iter().filter(move |line| at.is_some_and(|at| line.at >= at))
    }
}
