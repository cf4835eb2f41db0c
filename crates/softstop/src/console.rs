//! What `softstop::main` prints, on a thread of its own: a full pipe never holds up a stop.
//!
//! Everything goes to stderr; errors of writing are ignored, the outcome is decided before. This is
//! the only file that writes to the standard streams, and with `systemd` that reads the environment.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::{IsTerminal, Write as _, stderr},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::Duration,
};

use crate::{
    busy::LONG,
    events::Event,
    inner::Inner,
    machine::{Level, Reason, State, Time, signal_name},
    report::{Report, Status, plural, text},
    shared::{Shared, lock},
    task::Outcome,
    timeline::shorten,
};

/// Where the report goes besides the one line on stderr.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReportTo {
    /// To this file, as JSON; a file of that name is replaced in one step.
    Json(PathBuf),
    /// To stderr, as a text timeline.
    Timeline,
}

/// The environment variable that says where the report goes: a file, or `-` for the timeline.
pub(crate) const REPORT_VARIABLE: &str = "SOFTSTOP_REPORT";

/// For so long a stop says nothing after its first line.
const QUIET: Duration = Duration::from_secs(1);
/// State changes of one component that are no further apart are one line.
const MOMENT: Duration = Duration::from_millis(30);
const REDRAW: Duration = Duration::from_millis(100);

/// Makes the line for a terminal of so many columns; nothing for none.
pub(crate) type StatusLine = Box<dyn Fn(usize) -> String + Send>;

pub(crate) enum Say {
    Event(Event),
    Stopping(Reason),
    Hurrying,
    Ignored(i32),
    Dump,
    Text(String),
    /// Draw this below everything else from now on.
    Line(StatusLine),
    /// The program says itself how it ended.
    Quiet,
    /// Say this at last, answer, and say nothing more.
    Last(String, Sender<()>),
}

/// The way to the printing thread.
#[derive(Clone)]
pub(crate) struct Console {
    sender: Sender<Say>,
    report_to: Arc<std::sync::Mutex<Option<ReportTo>>>,
}

impl Console {
    /// Starts the thread. Where it cannot be started nothing is printed.
    pub(crate) fn start(shared: &Arc<Shared>) -> Self {
        let (sender, receiver) = channel();
        let console = Self { sender, report_to: Arc::default() };
        let events = console.clone();
        let of = Arc::downgrade(shared);
        shared.observe(move |event| {
            // Within the quiet time nobody is told of anything else: the thread is not woken for it.
            let loud =
                || of.upgrade().is_some_and(|shared| shared.begun().is_some_and(|at| shared.now() >= at + QUIET));
            if matches!(event, Event::Stopping { .. } | Event::Said { .. }) || loud() {
                events.say(Say::Event(event.clone()));
            }
        });
        let printer = Printer {
            shared: Arc::clone(shared),
            live: stderr().is_terminal(),
            line: None,
            quiet: false,
            begun: None,
            changes: Vec::new(),
            summed_up: false,
            drawn: 0,
            finished: false,
        };
        let _ = thread::Builder::new().name("softstop-console".to_owned()).spawn(move || printer.run(&receiver));
        console
    }

    pub(crate) fn say(&self, what: Say) {
        let _ = self.sender.send(what);
    }

    pub(crate) fn report_to(&self, to: ReportTo) {
        *lock(&self.report_to) = Some(to);
    }

    /// Says the last words: waits for them to be written, but no longer than `limit`.
    pub(crate) fn last(&self, words: String, limit: Duration) {
        let (sender, receiver) = channel();
        self.say(Say::Last(words, sender));
        let _ = receiver.recv_timeout(limit);
    }

    /// Writes the report where it was asked for, and the last line; where it is to be quiet, only what failed.
    pub(crate) fn finish(&self, report: &Report, quiet: bool, limit: Duration) {
        let mut words = String::new();
        let from_environment = std::env::var_os(REPORT_VARIABLE).filter(|value| !value.is_empty());
        let asked = from_environment.map(|value| match value.to_str() {
            Some("-") => ReportTo::Timeline,
            _ => ReportTo::Json(value.into()),
        });
        let program = lock(&self.report_to).clone();
        let to = asked.or(program);
        match &to {
            Some(ReportTo::Json(path)) => {
                if let Err(error) = replace(path, &report.to_json()) {
                    let _ = writeln!(words, "cannot write the report to `{}`: {error}", path.display());
                }
            }
            Some(ReportTo::Timeline) => words.push_str(&report.timeline(terminal_width().unwrap_or(100).min(160))),
            None => {}
        }
        if report.level == Level::Abandon && to != Some(ReportTo::Timeline) {
            words.push_str(&given_up(report));
        }
        match report.status {
            Status::Clean if quiet => {}
            Status::StartFailed | Status::Failed if quiet && !report.failures.is_empty() => {
                words.push_str(&format!("error: {}\n", report.failures[0].message));
                if report.failures.len() > 1 {
                    words.push_str(&format!("and {}\n", plural(report.failures.len() as u64 - 1, "more failure")));
                }
            }
            _ => words.push_str(&(report.line() + "\n")),
        }
        self.last(words, limit);
    }
}

/// What is stuck and what is lost, for the person who gave up or the log that nobody watched.
fn given_up(report: &Report) -> String {
    let mut out = String::new();
    for component in &report.components {
        for task in component.tasks.iter().filter(|task| matches!(task.outcome, None | Some(Outcome::Stuck))) {
            let _ = writeln!(
                out,
                "  still running: {}/{} x{}, spawned at {}",
                component.name, task.name, task.count, task.site
            );
        }
    }
    for blocker in report.blockers.iter().filter(|blocker| blocker.still) {
        let _ = writeln!(out, "  holds its thread: {blocker}");
    }
    for loss in &report.losses {
        let _ = writeln!(out, "  lost: {} {} ({})", loss.count, loss.what, loss.why);
    }
    out
}

/// Writes a file beside it and renames: a reader never sees half a report. What is no plain file, a
/// device or a link to one, is written to as it is: renaming would put a file in its place.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    if fs::symlink_metadata(path).is_ok_and(|found| !found.is_file()) {
        return fs::write(path, text);
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let beside = path.with_file_name(name);
    fs::write(&beside, text).and_then(|()| fs::rename(&beside, path)).inspect_err(|_| {
        let _ = fs::remove_file(&beside);
    })
}

/// The columns of the terminal on stderr; `None` where it is none.
fn terminal_width() -> Option<u16> {
    rustix::termios::tcgetwinsize(stderr()).ok().map(|size| size.ws_col).filter(|columns| *columns > 0)
}

/// The one run that a sweep is to make; see `testing`.
#[cfg(feature = "testing")]
pub(crate) fn replay_variable() -> Option<String> {
    std::env::var("SOFTSTOP_REPLAY").ok().filter(|value| !value.is_empty())
}

/// By the macro, which a test runner can catch.
#[cfg(feature = "testing")]
#[expect(clippy::print_stderr, reason = "a replay is made to be read")]
pub(crate) fn say_of_replay(words: &str) {
    eprintln!("{words}");
}

/// The name of the running program, for reports.
pub(crate) fn program_name() -> String {
    let path = std::env::args_os().next().map(PathBuf::from).unwrap_or_default();
    path.file_stem().map_or_else(|| "service".to_owned(), |name| name.to_string_lossy().into_owned())
}

struct Printer {
    shared: Arc<Shared>,
    /// A live block instead of one line per change.
    live: bool,
    line: Option<StatusLine>,
    quiet: bool,
    begun: Option<Time>,
    /// State changes not printed yet: several of one component in a moment are one line.
    changes: Vec<(String, State, Time)>,
    summed_up: bool,
    /// Lines of the live block that are on the screen.
    drawn: usize,
    finished: bool,
}

impl Printer {
    fn run(mut self, receiver: &Receiver<Say>) {
        while !self.finished {
            let said = match self.pause() {
                Some(pause) => receiver.recv_timeout(pause),
                None => receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match said {
                Ok(say) => self.take(say),
                Err(RecvTimeoutError::Timeout) => self.time(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// How long to wait for something to say before time itself is something to say.
    fn pause(&self) -> Option<Duration> {
        if !self.changes.is_empty() {
            return Some(MOMENT);
        }
        if self.live && self.line.is_some() {
            return Some(REDRAW);
        }
        let loud = self.begun? + QUIET;
        let now = self.shared.now();
        if now < loud {
            return Some(loud.saturating_sub(now));
        }
        (self.live || !self.summed_up).then_some(REDRAW)
    }

    fn loud(&self) -> bool {
        self.begun.is_some_and(|begun| self.shared.now() >= begun + QUIET)
    }

    fn take(&mut self, say: Say) {
        match say {
            Say::Stopping(reason) => self.stopping(&reason, self.shared.now()),
            Say::Event(Event::Stopping { reason, at }) => self.stopping(&reason, at),
            Say::Event(Event::State { component, state, at }) if self.loud() && !self.live => {
                if !self.summed_up {
                    self.time();
                }
                self.changes.retain(|(name, _, _)| *name != component);
                self.changes.push((component, state, at));
            }
            Say::Event(Event::Said { text, .. }) => self.print(&(text + "\n")),
            Say::Event(_) => {}
            Say::Line(line) => self.line = Some(line),
            Say::Quiet => self.quiet = true,
            Say::Hurrying => {
                self.print("hurrying: no more draining; saving and closing keep their time; Ctrl+C in 1 s gives up\n");
            }
            Say::Ignored(number) => {
                if self.loud() {
                    self.print(&format!("{} changes nothing now\n", signal_name(number)));
                }
            }
            Say::Dump => {
                let dump = dump(&self.shared);
                self.print(&dump);
            }
            Say::Text(words) => self.print(&words),
            Say::Last(words, answer) => {
                self.print(&words);
                self.finished = true;
                let _ = answer.send(());
            }
        }
    }

    fn stopping(&mut self, reason: &Reason, at: Time) {
        if self.begun.is_some() {
            return;
        }
        self.begun = Some(at);
        if matches!(reason, Reason::Finished(_)) {
            return; // Nobody waits for a job that has ended to be told that it ends.
        }
        if self.quiet && matches!(reason, Reason::Failed(_)) {
            return; // What failed is said at the end.
        }
        let count = self.shared.components() as u64;
        let again = if matches!(reason, Reason::Signal(2)) { "Ctrl+C again" } else { "Ctrl+C" };
        let total = text(self.shared.total());
        self.print(&format!("stopping: {reason}, {}, at most {total}; {again} to hurry\n", plural(count, "component")));
    }

    /// The quiet second is over, or the live block is to be drawn again.
    fn time(&mut self) {
        self.print_changes();
        if self.live {
            self.draw();
        }
        if !self.loud() || self.live {
            return;
        }
        if !self.summed_up {
            let block = block(&self.shared, self.begun.unwrap_or_default());
            self.print(&block);
        }
        self.summed_up = true;
    }

    /// Draws the live block and the line of the program anew.
    fn draw(&mut self) {
        let width = usize::from(terminal_width().unwrap_or(80)).max(20);
        let mut text = String::new();
        if self.loud() {
            text = block(&self.shared, self.begun.unwrap_or_default());
        }
        if let Some(line) = &self.line {
            // A program whose line cannot be made goes on without one.
            match catch_unwind(AssertUnwindSafe(|| line(width - 1))) {
                Ok(line) if line.is_empty() => {}
                Ok(line) => text.push_str(&(line + "\n")),
                Err(_) => self.line = None,
            }
        }
        let lines: Vec<String> = text.lines().map(|line| shorten(line, width - 1) + "\n").collect();
        let erase = self.erasure();
        self.write(&(erase + &lines.concat()));
        self.drawn = lines.len();
    }

    fn print_changes(&mut self) {
        for (component, state, at) in std::mem::take(&mut self.changes) {
            let after = text(at.saturating_sub(self.begun.unwrap_or_default()));
            self.write(&format!("  {component}: {state} after {after}\n"));
        }
    }

    /// Prints above the live block, which is drawn anew when it is its time.
    fn print(&mut self, words: &str) {
        let erase = self.erasure();
        self.write(&erase);
        self.print_changes();
        self.write(words);
    }

    fn erasure(&mut self) -> String {
        match std::mem::take(&mut self.drawn) {
            // Nothing is drawn for a moment: then a ^C is echoed where the program's line would be.
            0 if self.live && self.line.is_some() => "\r\x1b[K".to_owned(),
            0 => String::new(),
            // To the first column, which an echoed ^C has left, up by so many lines, clear to the end.
            lines => format!("\r\x1b[{lines}A\x1b[J"),
        }
    }

    fn write(&self, words: &str) {
        let _ = stderr().lock().write_all(words.as_bytes());
    }
}

/// What is still there, what it waits for, and what the next Ctrl+C would do and cost.
fn block(shared: &Shared, begun: Time) -> String {
    let now = shared.now();
    let mut out = String::new();
    let spent = now.saturating_sub(begun);
    let _ = writeln!(out, "still stopping after {} of {}:", text(spent), text(shared.total()));
    let record = lock(&shared.record);
    for (c, name) in record.names.iter().enumerate() {
        let state = record.states[c];
        if matches!(state, State::Stopped | State::Waiting) {
            continue;
        }
        if state <= State::Running {
            let waits = |d: &usize| record.needs[*d].contains(&c) && record.states[*d] != State::Stopped;
            let for_whom: Vec<&str> = (0..record.names.len()).filter(waits).map(|d| record.names[d].as_str()).collect();
            let _ = writeln!(out, "  {name}: waits for {}", for_whom.join(", "));
            continue;
        }
        let _ = write!(out, "  {name}: {state}");
        if let Some((_, at, limit)) = record.components[c].steps.last() {
            let _ = write!(out, " {}", text(now.saturating_sub(*at)));
            if let Some(limit) = limit {
                let _ = write!(out, " of {}", text(limit.saturating_sub(*at)));
            }
        }
        let left = record.scopes.get(c).map(still_running).unwrap_or_default();
        let _ = if left.is_empty() { writeln!(out) } else { writeln!(out, ", left: {left}") };
    }
    let blockers = Shared::blockers_now(&record.scopes);
    drop(record);
    if let Some(deaf) = shared.deaf_for().filter(|deaf| *deaf >= LONG) {
        let _ = writeln!(out, "  the runtime has not answered for {}", text(deaf));
    }
    for blocker in blockers {
        let _ = writeln!(out, "  holds its thread: {blocker}");
    }
    let _ = writeln!(out, "{}", next_step(shared));
    out
}

fn still_running(scope: &Arc<Inner>) -> String {
    let mut names: BTreeMap<String, u64> = BTreeMap::new();
    for row in scope.groups().into_iter().filter(|row| row.outcome.is_none()) {
        *names.entry(row.name).or_default() += row.count;
    }
    let shown: Vec<String> = names.iter().take(3).map(|(name, n)| format!("{name} x{n}")).collect();
    let more = names.len().saturating_sub(3);
    if more > 0 { format!("{} and {more} more names", shown.join(", ")) } else { shown.join(", ") }
}

fn next_step(shared: &Shared) -> String {
    let owed: Vec<String> = lock(&shared.accounts)
        .iter()
        .filter(|(_, account)| account.owed > 0)
        .map(|(what, account)| format!("{} {what}", account.owed))
        .collect();
    let saves: Vec<String> = {
        let record = lock(&shared.record);
        let pending = |scope: &&Arc<Inner>| lock(&scope.local).save_is_pending();
        record.scopes.iter().filter(pending).map(|scope| format!("the save of {}", scope.name)).collect()
    };
    let unsaved =
        if owed.is_empty() { "nothing is owed".to_owned() } else { format!("not safe yet: {}", owed.join(", ")) };
    let lost: Vec<String> = saves.into_iter().chain(owed).collect();
    match shared.level() {
        Level::Graceful => format!("Ctrl+C: less waiting, what is held is still saved ({unsaved})"),
        _ if lost.is_empty() => "Ctrl+C: gives up at once (nothing is to be saved)".to_owned(),
        _ => format!("Ctrl+C: gives up at once and loses {}", lost.join(", ")),
    }
}

/// What is running now, for SIGUSR1.
pub(crate) fn dump(shared: &Shared) -> String {
    let report = shared.report();
    let (state, since) = shared.begun().map_or(("running", Time::ZERO), |begun| ("stopping", begun));
    let mut out = String::new();
    let _ = writeln!(out, "{}: {state} for {}", report.service, text(shared.now().saturating_sub(since)));
    for component in &report.components {
        let _ = writeln!(out, "  {}: {}", component.name, component.state);
        for task in component.tasks.iter().filter(|task| task.outcome.is_none()) {
            let _ = writeln!(out, "    task {} x{}, spawned at {}", task.name, task.count, task.site);
        }
        for open in &component.open {
            let _ = writeln!(out, "    open {} for {}, opened at {}", open.kind, text(open.age), open.site);
        }
    }
    for blocker in report.blockers {
        let holds = if blocker.still { "holds" } else { "held" };
        let _ = writeln!(out, "  {holds} its thread: {blocker}");
    }
    for (what, account) in lock(&shared.accounts).iter().filter(|(_, account)| account.owed > 0) {
        let _ = writeln!(out, "  owed: {} {what}", account.owed);
    }
    out
}
