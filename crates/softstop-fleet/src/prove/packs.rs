//! Lines that a program may not write once it was asked to stop, with what each means and what helps.
//!
//! Only lines after the first signal count: what is written before says nothing of the stop.

use regex_lite::Regex;

use super::{replay::Signal, scenario::Severity, trial::LogLine};

/// The forbidden lines of one language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pack {
    /// asyncio, aiohttp, multiprocessing.
    Python,
    /// Node.js.
    Node,
    /// Go.
    Go,
    /// Rust, tokio.
    Rust,
    /// Java and what else runs on its machine.
    Java,
}

impl Pack {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Python, Self::Node, Self::Go, Self::Rust, Self::Java];

    /// Its name: `python`, `node`, `go`, `rust`, `java`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::Node => "node",
            Self::Go => "go",
            Self::Rust => "rust",
            Self::Java => "java",
        }
    }

    /// Its lines.
    pub fn lines(self) -> &'static [Forbidden] {
        match self {
            Self::Python => PYTHON,
            Self::Node => NODE,
            Self::Go => GO,
            Self::Rust => RUST,
            Self::Java => JAVA,
        }
    }
}

/// A line that may not be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forbidden {
    /// A regular expression.
    pub pattern: &'static str,
    /// What the line means.
    pub means: &'static str,
    /// What helps.
    pub hint: &'static str,
    /// What it is; a warning where good programs may write it too.
    pub severity: Severity,
}

const fn line(pattern: &'static str, means: &'static str, hint: &'static str) -> Forbidden {
    Forbidden { pattern, means, hint, severity: Severity::Failure }
}

const fn suspect(pattern: &'static str, means: &'static str, hint: &'static str) -> Forbidden {
    Forbidden { severity: Severity::Warning, ..line(pattern, means, hint) }
}

/// The first line of what Python prints for an exception.
const TRACEBACK: &str = r"^\s*Traceback \(most recent call last\):";

/// The same where it cannot be raised.
const IGNORED: &str = "^Exception ignored in";

const PYTHON: &[Forbidden] = &[
    line(
        "Task was destroyed but it is pending",
        "the event loop was closed while a task was still waiting",
        "keep every task, cancel it and await it before the loop ends; asyncio.TaskGroup does so",
    ),
    line(
        "Unclosed client session|Unclosed connector",
        "an aiohttp session was dropped without being closed",
        "use `async with ClientSession()`, or await session.close() before the loop ends",
    ),
    line(
        "Task exception was never retrieved|Future exception was never retrieved",
        "a task failed and nobody asked for its result",
        "await the task, or asyncio.gather(..., return_exceptions=True) at the end",
    ),
    line(
        "coroutine '.*' was never awaited",
        "an async function was called and its coroutine dropped",
        "await it; in a signal handler use loop.create_task and keep the task",
    ),
    line(
        "Event loop is closed|cannot schedule new futures after shutdown",
        "something was used after the loop or the executor had been shut down",
        "close what uses it first, in reverse order of opening",
    ),
    line(
        "^ResourceWarning: unclosed|: ResourceWarning: unclosed",
        "a socket, a file or a transport was dropped without being closed",
        "close it in a `with` block or in the shutdown path",
    ),
    line(
        IGNORED,
        "an exception was raised where none can be handled, mostly in a destructor at exit",
        "close the object before the interpreter ends",
    ),
    suspect(
        "^Exception ignored when trying to write to the signal wakeup fd",
        "a further signal came while the event loop was being closed",
        "harmless; before the loop ends, let further signals be ignored: signal.signal(signal.SIGINT, signal.SIG_IGN)",
    ),
    line(
        "leaked (semaphore|shared_memory) objects",
        "multiprocessing left semaphores or shared memory behind",
        "join the pool or the process, and unlink shared memory, before the program ends",
    ),
    line(
        "^Fatal Python error",
        "the interpreter crashed",
        "see the lines below it; mostly a thread that outlives the interpreter",
    ),
    line(
        TRACEBACK,
        "an exception was not handled, or was printed as if it were an error",
        "catch what the stop raises (KeyboardInterrupt, CancelledError) at the top, and end quietly",
    ),
];

const NODE: &[Forbidden] = &[
    line(
        "UnhandledPromiseRejection|triggerUncaughtException",
        "a promise was rejected and nobody handled it",
        "await it in the shutdown path, with a catch around",
    ),
    line("Unhandled 'error' event", "an emitter failed without a listener", "listen for `error` until it is closed"),
    line(
        "ERR_SERVER_NOT_RUNNING|ERR_STREAM_WRITE_AFTER_END|ERR_STREAM_DESTROYED|ERR_IPC_CHANNEL_CLOSED",
        "something was used or closed a second time after it had been closed",
        "let only the first signal close, and let later ones do nothing",
    ),
    line("JavaScript heap out of memory|^FATAL ERROR:", "Node itself crashed", "see the lines below it"),
];

const GO: &[Forbidden] = &[
    line(
        "^panic: ",
        "a goroutine panicked",
        "the stack below names the line; often a send on a channel that the stop closed",
    ),
    line(
        "^fatal error: ",
        "the Go runtime gave up, such as on a deadlock",
        "the stacks below name what waits for whom",
    ),
    line(
        "WARNING: DATA RACE",
        "the race detector found a race",
        "guard what the shutdown path shares with the workers",
    ),
    suspect(
        "http: Server closed",
        "ListenAndServe returned because of Shutdown, and that may have been taken for an error",
        "treat http.ErrServerClosed as success, and wait for Shutdown to return before main does",
    ),
];

const RUST: &[Forbidden] = &[
    line(
        r"^thread '.*' (\(\d+\) )?(has )?panicked at|\bpanicked at ",
        "a thread or a task panicked",
        "the line names the place; often an unwrap of a channel whose other side had gone",
    ),
    line(
        "A Tokio 1.x context was found, but it is being shutdown|there is no reactor running",
        "something was used after its runtime had been shut down",
        "stop and await it before the runtime is dropped",
    ),
    line("fatal runtime error", "the Rust runtime gave up", "see the lines above it"),
];

const JAVA: &[Forbidden] = &[
    line(
        "^Exception in thread ",
        "a thread ended by an exception",
        "catch InterruptedException where the thread waits, and let it return",
    ),
    line(
        "IllegalStateException: Shutdown in progress",
        "a shutdown hook was added or removed during the shutdown",
        "register hooks at the start only",
    ),
    line(
        "RejectedExecutionException",
        "work was given to an executor after its shutdown",
        "stop what gives work before the executor",
    ),
    line(
        "A fatal error has been detected by the Java Runtime",
        "the virtual machine crashed",
        "see the hs_err file it names",
    ),
];

/// A line that the user forbids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnLine {
    /// A regular expression.
    pub pattern: String,
    /// What to say of it.
    pub hint: Option<String>,
}

/// Whether a regular expression can be used; the text says why not.
pub(super) fn check(pattern: &str) -> Result<(), String> {
    Regex::new(pattern).map(drop).map_err(|error| error.to_string())
}

/// The forbidden lines of a scenario, ready to look for.
#[derive(Debug)]
pub struct Lines(Vec<Compiled>);

#[derive(Debug)]
struct Compiled {
    regex: Regex,
    means: String,
    hint: String,
    severity: Severity,
    exception: bool,
}

/// A forbidden line that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// Which line of the log it is, from 0; the first that matches.
    pub at: usize,
    /// What it means.
    pub means: String,
    /// What helps.
    pub hint: String,
    /// What it is.
    pub severity: Severity,
    /// How many lines matched.
    pub times: usize,
    /// Whether all of them are Python exceptions that end in `KeyboardInterrupt` after INT, or come of a second INT with one: the customary
    /// end of a script.
    pub keyboard_interrupt: bool,
}

impl Lines {
    /// The lines of these packs and the user's own. An own line that is no regular expression is left out; a scenario that was read has
    /// none.
    pub fn new(packs: &[Pack], own: &[OwnLine]) -> Self {
        let packs = packs.iter().flat_map(|pack| pack.lines()).filter_map(|line| {
            let regex = Regex::new(line.pattern).ok()?;
            let exception = [TRACEBACK, IGNORED].contains(&line.pattern);
            Some(Compiled {
                regex,
                means: line.means.to_owned(),
                hint: line.hint.to_owned(),
                severity: line.severity,
                exception,
            })
        });
        let own = own.iter().filter_map(|line| {
            let regex = Regex::new(&line.pattern).ok()?;
            let hint = line.hint.clone().unwrap_or_default();
            Some(Compiled {
                regex,
                means: "the scenario forbids this line".to_owned(),
                hint,
                severity: Severity::Failure,
                exception: false,
            })
        });
        Self(packs.chain(own).collect())
    }

    /// What stands in these lines, all of which were written after the first signal; each forbidden line once, in order of appearance.
    pub fn find<'a>(&self, log: impl IntoIterator<Item = &'a LogLine>, signals: &[Signal]) -> Vec<Hit> {
        let log: Vec<&str> = log.into_iter().map(|line| line.text.as_str()).collect();
        // A second INT that finds the interpreter's own handler again, which asyncio and others put back at their end, breaks into
        // whatever is being closed: what is printed of that need not end in it.
        let again = signals.iter().skip(1).any(|signal| *signal == Signal::Int);
        let broken_into = again && log.iter().any(|line| line.starts_with("KeyboardInterrupt"));
        let mut hits = Vec::new();
        for line in &self.0 {
            let mut found = (0..log.len()).filter(|at| line.regex.is_match(log[*at]) && !told_before(&log, *at));
            let Some(at) = found.next() else { continue };
            let ends: Vec<usize> = std::iter::once(at).chain(found).collect();
            let keyboard_interrupt = line.exception
                && signals.contains(&Signal::Int)
                && (broken_into || ends.iter().all(|at| last_exception(&log, *at).starts_with("KeyboardInterrupt")));
            let times = ends.len();
            let (means, hint, severity) = (line.means.clone(), line.hint.clone(), line.severity);
            hits.push(Hit { at, means, hint, severity, times, keyboard_interrupt });
        }
        hits.sort_by_key(|hit| hit.at);
        hits
    }
}

/// Whether a line is the traceback of an exception that nobody could take: the line before it says so, and counts.
fn told_before(log: &[&str], at: usize) -> bool {
    let before = at.checked_sub(1).and_then(|before| log.get(before));
    log[at].trim_start().starts_with("Traceback (most")
        && before.is_some_and(|line| line.starts_with("Exception ignored"))
}

/// The exception in which a traceback ends that begins here; further ones may follow upon it ("During handling of …").
fn last_exception<'a>(log: &[&'a str], traceback: usize) -> &'a str {
    let mut last = "";
    let mut chained = false;
    for line in log.iter().skip(traceback + 1) {
        let text = line.trim();
        // What is printed of an exception that interrupts the printing of another: last of all comes `lost sys.stderr`.
        if let Some(name) = line.strip_prefix("object type name: ") {
            return name;
        }
        let link = text.starts_with("During handling of") || text.starts_with("The above exception was");
        let about = text.starts_with("object ") && text.contains(" : ");
        if text.is_empty() || link || about || text.starts_with("Traceback (most recent") {
            chained |= link;
        } else if !line.starts_with(char::is_whitespace) {
            if !last.is_empty() && !chained {
                break;
            }
            (last, chained) = (line, false);
        }
    }
    last
}

#[cfg(test)]
#[path = "packs_tests.rs"]
mod tests;
