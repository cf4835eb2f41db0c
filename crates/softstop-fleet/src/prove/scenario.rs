//! What a program is put through and what is demanded of it, as data; and the file that holds it, `prove.yaml`.
//!
//! Every key may be left out; [`Scenario::default`] is what then holds, and it is a sensible mixture.
//!
//! ```
//! use softstop_fleet::prove::Scenario;
//!
//! let scenario = Scenario::from_yaml(
//!     "
//! command: python agent.py
//! ready: [listening, log: 'ready to serve']    # whichever comes first
//! signals: [TERM, INT+INT, 'INT, TERM 100ms later']
//! rules: {gone_within: 5s, exit: [0]}
//! trials: 300
//! ",
//! )?;
//! assert_eq!(scenario.command, ["python", "agent.py"]);
//! # Ok::<(), softstop_fleet::prove::ScenarioError>(())
//! ```

mod read;
mod words;

use std::time::Duration;

/// A scenario that cannot be read.
pub use settings::Error as ScenarioError;

use super::{
    packs::{OwnLine, Pack},
    replay::{Fault, Pattern, Signal, Target},
};

/// In a word of a command: a folder that each trial has for itself, empty at first, which is no temporary one and is not audited.
pub const DATA: &str = "{data}";

/// What a program is put through and what is demanded of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// The program and its arguments; empty where the file leaves them to the command line.
    pub command: Vec<String>,
    /// The file it was read from, for the lines to paste; whoever reads one sets it.
    pub file: Option<String>,
    /// What it reads from.
    pub stdin: Stdin,
    /// Whichever comes first makes it ready. Never empty.
    pub ready: Vec<Ready>,
    /// How long that may take.
    pub ready_within: Duration,
    /// A command that runs beside the program from ready on; its failure is a finding.
    pub load: Option<Vec<String>>,
    /// How the moments are chosen. Never empty.
    pub moments: Vec<Moments>,
    /// What is sent. Never empty.
    pub signals: Vec<Pattern>,
    /// From which the time between two signals is drawn. Never empty.
    pub gaps: Vec<Duration>,
    /// Who receives the signals.
    pub target: Target,
    /// What is demanded.
    pub rules: Rules,
    /// Folders in which nothing new may be left.
    pub watch: Vec<String>,
    /// Paths that may be left there, with `*` for any text.
    pub may_stay: Vec<String>,
    /// A command that runs before each trial, such as one that puts the data back.
    pub prepare: Option<Vec<String>>,
    /// A command that says by its exit status whether the data are intact; runs after each trial.
    pub check: Option<Vec<String>>,
    /// Starting it again on the same data.
    pub resume: Option<Resume>,
    /// What each trial has for itself.
    pub isolation: Isolation,
    /// What goes wrong meanwhile, one in each trial in turn; may be empty.
    pub faults: Vec<Fault>,
    /// How many trials; `None`: what fits the budget.
    pub trials: Option<u32>,
    /// How long all of it may take.
    pub budget: Duration,
    /// What is drawn is drawn by this number.
    pub seed: u64,
    /// How many trials are made first, one after the other, so that their times count.
    pub alone: u32,
    /// How many trials at once; `None`: one for each processor, and with check or resume one. Times are taken from serial trials only.
    pub parallel: Option<u32>,
}

/// What the program reads from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Stdin {
    /// Nothing comes, as at a terminal at which nobody types.
    #[default]
    Open,
    /// It ends at once, as under most supervisors.
    Empty,
}

/// What makes the program ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ready {
    /// Its first output.
    Output,
    /// Its first listening socket.
    Listening,
    /// It neither wrote nor used the processor for so long.
    Quiet(Duration),
    /// This address answers with a status from 200 to 399.
    Http(String),
    /// This `host:port` accepts a connection.
    Tcp(String),
    /// It wrote a line that matches this regular expression.
    Log(String),
    /// This command ends with status 0.
    Command(Vec<String>),
    /// So long has passed.
    Delay(Duration),
}

/// How moments are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moments {
    /// At random: half of them uniform over the run, half log-uniform from the start, which is short and dangerous.
    Random,
    /// From one time to another, in steps.
    Sweep {
        /// The first.
        from: Duration,
        /// The last, if a step falls on it.
        to: Duration,
        /// More than 0.
        step: Duration,
    },
    /// Where the state of the program changes: before its handler, handler, first output, listening, ready, right after, during the
    /// cleanup itself.
    Edges,
    /// At system calls that one run was seen to make.
    Syscalls {
        /// So many trials, the most telling calls first.
        at_most: u32,
    },
}

/// What is demanded of a stop.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// Gone so long after the first signal.
    pub gone_within: Duration,
    /// A first visible act later than this is a warning.
    pub act_warn: Duration,
    /// And later than this a failure.
    pub act_fail: Duration,
    /// The ways it may end; any of them. Never empty.
    pub exit: Vec<ExitRule>,
    /// Processes left behind.
    pub orphans: Severity,
    /// Listening sockets left behind.
    pub ports: Severity,
    /// New files in the watched folders.
    pub files: Severity,
    /// Lock and pid files that name a process which is gone.
    pub locks: Severity,
    /// A Python traceback that ends in `KeyboardInterrupt`, after INT.
    pub keyboard_interrupt: Severity,
    /// Lines that may not be written after the first signal.
    pub packs: Vec<Pack>,
    /// The same, of the user's own.
    pub lines: Vec<OwnLine>,
}

/// What breaking a rule is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Said, and no more.
    Note,
    /// Shown among the results; the verdict stays.
    Warning,
    /// The program has failed.
    Failure,
}

impl Severity {
    /// Its word: `note`, `warning`, `failure`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Failure => "failure",
        }
    }
}

/// One way in which a program may end after a signal n.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitRule {
    /// With this exit status.
    Status(u8),
    /// With 128 + n.
    Plus128,
    /// By the signal itself.
    BySignal,
}

/// Starting the program again on the same data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resume {
    /// What is started; `None`: the same command.
    pub command: Option<Vec<String>>,
    /// How long it may take to be ready.
    pub within: Duration,
    /// Only after a trial with KILL.
    pub only_after_kill: bool,
}

/// What each trial has for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Isolation {
    /// A group of processes that none can leave: a cgroup, or a namespace of processes.
    pub processes: Wish,
    /// A network of its own, in which every listening socket left is a leak.
    pub network: Wish,
    /// Empty temporary folders of its own.
    pub files: Wish,
    /// Shared memory and semaphores of its own.
    pub ipc: Wish,
}

/// How much something is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Where it is allowed; the verdict says whether it was.
    WherePossible,
    /// Without it there is no trial.
    Required,
    /// Not wanted.
    Off,
}

impl Default for Scenario {
    fn default() -> Self {
        let ms = Duration::from_millis;
        let pair = Pattern { then: vec![(Signal::Int.into(), None)], ..Signal::Int.into() };
        Self {
            command: Vec::new(),
            file: None,
            stdin: Stdin::default(),
            ready: vec![Ready::Output, Ready::Listening, Ready::Quiet(ms(500)), Ready::Delay(ms(5000))],
            ready_within: ms(30_000),
            load: None,
            moments: vec![Moments::Edges, Moments::Syscalls { at_most: 100 }, Moments::Random],
            signals: vec![Signal::Term.into(), Signal::Int.into(), pair],
            gaps: vec![ms(0), ms(1), ms(10), ms(100)],
            target: Target::Main,
            rules: Rules::default(),
            watch: ["/tmp", "/var/tmp", "/run", "/dev/shm"].map(str::to_owned).to_vec(),
            may_stay: Vec::new(),
            prepare: None,
            check: None,
            resume: None,
            isolation: Isolation::default(),
            faults: Vec::new(),
            trials: None,
            budget: ms(60_000),
            seed: 0,
            alone: 60,
            parallel: None,
        }
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            gone_within: Duration::from_secs(10),
            act_warn: Duration::from_millis(100),
            act_fail: Duration::from_secs(1),
            exit: vec![ExitRule::Status(0), ExitRule::Plus128, ExitRule::BySignal],
            orphans: Severity::Failure,
            ports: Severity::Failure,
            files: Severity::Failure,
            locks: Severity::Failure,
            keyboard_interrupt: Severity::Warning,
            packs: Pack::ALL.to_vec(),
            lines: Vec::new(),
        }
    }
}

impl Default for Isolation {
    fn default() -> Self {
        let wish = Wish::WherePossible;
        Self { processes: wish, network: wish, files: wish, ipc: wish }
    }
}

impl Scenario {
    /// Reads `prove.yaml`. All its keys:
    ///
    /// ```yaml
    #[doc = include_str!("../../prove.example.yaml")]
    /// ```
    ///
    /// # Errors
    ///
    /// With line, key, value and what to write instead: for text that is no YAML, unknown keys, and values that cannot be.
    pub fn from_yaml(text: &str) -> Result<Self, ScenarioError> {
        read::scenario(&settings::load(text)?)
    }

    /// Whether a command of it names the folder that each trial has for its data.
    pub fn uses_data(&self) -> bool {
        let ready = self.ready.iter().filter_map(|ready| match ready {
            Ready::Command(command) => Some(command),
            _ => None,
        });
        let resume = self.resume.as_ref().and_then(|resume| resume.command.as_ref());
        let further = self.prepare.iter().chain(&self.load).chain(&self.check).chain(resume).chain(ready);
        further.chain([&self.command]).flatten().any(|word| word.contains(DATA))
    }

    /// Whether this path may be left in a watched folder.
    pub fn may_stay(&self, path: &str) -> bool {
        self.may_stay.iter().any(|pattern| matches(pattern, path))
    }
}

/// Whether the text is the pattern, in which `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
#[path = "scenario_tests.rs"]
mod tests;
