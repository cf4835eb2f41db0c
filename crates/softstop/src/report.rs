//! What happened, as data: recorded while it happens, made into a [`Report`] at any moment.

use std::{fmt, panic::Location, sync::Arc, time::Duration};

use serde_json::{Value, json};

use crate::{
    busy::{self, Doing, Holder, LONG},
    events::Event,
    inner::Inner,
    machine::{Level, Reason, State, Time, signal_name},
    shared::{Shared, lock},
    task::{OUTCOMES, Outcome},
    timeline,
};

/// The version of the JSON form; it rises when a field changes its meaning or goes away.
pub const SCHEMA_VERSION: u32 = 1;

/// Names of tasks that held a thread and are kept.
const MOST_BLOCKERS: usize = 100;

/// Failures that are kept one by one; further ones are only counted.
const MOST_FAILURES: usize = 1000;

/// The exit status of a service, the first that is true of forced, overrun, lost, start failed,
/// failed, leaked, clean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Status {
    /// Stopped clean.
    Clean = 0,
    /// The configuration, or the graph itself, is wrong; nothing was started.
    Configuration = 78,
    /// A start failed; what had started was unwound.
    StartFailed = 80,
    /// A component failed.
    Failed = 81,
    /// Something did not keep its time and was abandoned.
    Overrun = 82,
    /// A person forced it.
    Forced = 83,
    /// Something was left open by its task (strict mode only).
    Leaked = 84,
    /// Something that was accepted could not be saved.
    Lost = 85,
}

impl Status {
    /// As a number, for `exit`.
    pub fn code(self) -> u8 {
        self as u8
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Clean => "clean",
            Self::Configuration => "bad configuration",
            Self::StartFailed => "start failed",
            Self::Failed => "failed",
            Self::Overrun => "overrun",
            Self::Forced => "forced",
            Self::Leaked => "leaked",
            Self::Lost => "data lost",
        })
    }
}

/// Tasks of one name and spawn site, and one outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskGroup {
    /// The name given to `spawn`; those of nested scopes before it, with slashes.
    pub name: String,
    /// Where it was spawned: file, line and column.
    pub site: String,
    /// How they ended; `None` for those that still run.
    pub outcome: Option<Outcome>,
    /// How many.
    pub count: u64,
    /// How often they were run again after a failure.
    pub restarts: u64,
}

impl TaskGroup {
    pub(crate) fn rows(
        name: &str,
        site: &Location<'_>,
        counts: &[u64; OUTCOMES.len()],
        restarts: u64,
        running: u64,
    ) -> Vec<Self> {
        let ended = OUTCOMES.iter().zip(counts).map(|(outcome, count)| (Some(*outcome), *count));
        let all = ended.chain([(None, running)]).filter(|(_, count)| *count > 0);
        let row = |(outcome, count)| Self { name: name.to_owned(), site: site.to_string(), outcome, count, restarts };
        all.map(row).collect()
    }

    pub(crate) fn within(mut self, scope: &str) -> Self {
        self.name = format!("{scope}/{}", self.name);
        self
    }
}

/// How a closing act ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closed {
    Clean,
    Failed,
    Cut,
    Released,
}

/// Resources of one kind in one component, counted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResourceGroup {
    /// As given to `open`.
    pub kind: String,
    /// How many were opened.
    pub opened: u64,
    /// How many were closed without an error.
    pub closed: u64,
    /// How many closing acts failed or panicked.
    pub failed: u64,
    /// How many closing acts did not keep their time.
    pub cut: u64,
    /// How many were given away.
    pub released: u64,
}

/// A resource that its task neither closed nor handed on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Leak {
    /// As given to `open`.
    pub kind: String,
    /// The task that opened it.
    pub task: String,
    /// The place that opened it.
    pub site: String,
    /// How long it had been open.
    pub age: Duration,
}

/// A resource that could not be closed: somebody still holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StillOpen {
    /// As given to `open`.
    pub kind: String,
    /// The place that opened it.
    pub site: String,
    /// How long it has been open.
    pub age: Duration,
    /// The task that opened it, where it was one.
    pub task: Option<String>,
}

/// Something that returned an error or panicked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// The component, with nested scopes after slashes.
    pub component: String,
    /// The task; `None` for the start of the component.
    pub task: Option<String>,
    /// Where the task was spawned or the resource opened.
    pub site: Option<String>,
    /// [`Outcome::Failed`] or [`Outcome::Panicked`].
    pub outcome: Outcome,
    /// The error and its causes, or the panic's text.
    pub message: String,
    /// When, counted from the making of the service.
    pub at: Duration,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.component)?;
        if let Some(task) = &self.task {
            write!(f, "/{task}")?;
        }
        let start = if self.task.is_none() { " while starting" } else { "" };
        write!(f, " {}{start}: {}", self.outcome, self.message)
    }
}

/// How `on_stop` of one component went.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Saved {
    /// Its turn did not come.
    NotRun,
    /// It began and was cut.
    Unfinished,
    /// It returned `Ok`.
    Done {
        /// How long it took.
        took: Duration,
    },
    /// It returned an error or panicked.
    Failed {
        /// How long it took.
        took: Duration,
        /// What it said.
        message: String,
    },
}

/// Data that could not be saved, as declared.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loss {
    /// The name used with `owe` and `lost`, or `save of NAME`.
    pub what: String,
    /// How many; 1 for a save.
    pub count: u64,
    /// Why it counts as lost.
    pub why: &'static str,
}

impl Loss {
    /// Whether it is a save that was not run or not finished, and no account.
    pub(crate) fn is_of_a_save(&self) -> bool {
        self.why.starts_with("save ")
    }
}

/// One step of one component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct StepReport {
    /// Draining, cancelling, saving or closing.
    pub state: State,
    /// When it began, counted from the beginning of the stop.
    pub at: Duration,
    /// How long it took; up to now where it has not ended.
    pub took: Duration,
    /// How long it might have taken.
    pub allowed: Option<Duration>,
}

/// What happened to one component.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ComponentReport {
    /// Its name.
    pub name: String,
    /// What it needs, by name.
    pub needs: Vec<String>,
    /// Where it was at the end.
    pub state: State,
    /// When its start began, counted from the making of the service; `None` if it never did.
    pub started: Option<Duration>,
    /// When it was ready, counted likewise.
    pub ready: Option<Duration>,
    /// When it was asked to stop, counted from the beginning of the stop.
    pub asked: Option<Duration>,
    /// The dependent whose going let it be asked; `None` if it waited for nobody.
    pub waited_for: Option<String>,
    /// When it had gone, counted from the beginning of the stop.
    pub stopped: Option<Duration>,
    /// Its steps in order; empty if it was never asked.
    pub steps: Vec<StepReport>,
    /// Its tasks, in the order in which their names were first used.
    pub tasks: Vec<TaskGroup>,
    /// Its resources, by kind in alphabetic order.
    pub resources: Vec<ResourceGroup>,
    /// What was still open at the end, oldest first.
    pub open: Vec<StillOpen>,
    /// How its `on_stop` went; `None` if it had none.
    pub saved: Option<Saved>,
}

/// A task that held its thread: from the polls, and the dropping, of one name and spawn site that took
/// 100 ms or more. While it lasts nothing else runs on that worker.
///
/// Blocking jobs hold threads that are there for that: they are listed only while they run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Blocker {
    /// The component, with nested scopes after slashes.
    pub component: String,
    /// The task; `start`, `on_stop` or `closing` where it is a step of the component.
    pub task: String,
    /// Where the task was spawned, or the component described.
    pub site: String,
    /// What it was at.
    pub doing: Doing,
    /// How often it held its thread so long.
    pub count: u64,
    /// The longest time, exact to some milliseconds.
    pub longest: Duration,
    /// Whether it holds its thread now.
    pub still: bool,
}

impl fmt::Display for Blocker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { component, task, site, doing, .. } = self;
        let took = text(self.longest);
        write!(f, "{component}/{task}: {doing} ")?;
        match (self.still, self.count) {
            (true, _) => write!(f, "for {took}")?,
            (false, 1) => write!(f, "{took}")?,
            (false, count) => write!(f, "{took} at the longest, {count} times")?,
        }
        write!(f, ", spawned at {site}")
    }
}

/// A signal that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SignalReport {
    /// Its number.
    pub number: i32,
    /// What it did: `stop`, `hurry`, `abandon` or `nothing`.
    pub effect: &'static str,
    /// When, counted from the making of the service.
    pub at: Duration,
}

/// What happened, from the first start to the end.
///
/// Made at every level, abandon included. [`to_json`](Self::to_json) gives it as JSON after the
/// schema in `report.schema.json`, [`line`](Self::line) as one line, [`timeline`](Self::timeline)
/// as a drawing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The name of the service.
    pub service: String,
    /// Why it stopped.
    pub reason: Reason,
    /// How hard it had to be stopped.
    pub level: Level,
    /// When the level rose, counted from the beginning of the stop.
    pub levels: Vec<(Level, Duration)>,
    /// The signals that arrived, oldest first.
    pub signals: Vec<SignalReport>,
    /// How long it ran until the stop began.
    pub ran: Duration,
    /// How long the stop took.
    pub took: Duration,
    /// How long it might have taken.
    pub total: Duration,
    /// The components, in the order in which they were added.
    pub components: Vec<ComponentReport>,
    /// Everything that failed, oldest first.
    pub failures: Vec<Failure>,
    /// What was declared lost.
    pub losses: Vec<Loss>,
    /// What tasks left open; at most 100 a component, all of them are in `leaked`.
    pub leaks: Vec<Leak>,
    /// How many resources tasks left open.
    pub leaked: u64,
    /// Tasks that held their threads, those that still do first; at most 100.
    pub blockers: Vec<Blocker>,
    /// How long the runtime's workers left a question unanswered, the longest time, where that was 100 ms or more: all of
    /// them were held. [`main`](crate::main) asks on SIGUSR1 and in a stop that takes longer than a moment,
    /// [`Handle::is_live`](crate::Handle::is_live) asks as well.
    pub deaf: Option<Duration>,
    /// What else is worth knowing.
    pub notes: Vec<String>,
    /// The components that determined how long the stop took, first to stop first.
    pub critical_path: Vec<String>,
    /// The exit status.
    pub status: Status,
    /// The program's own status, as [`Scope::exit_status`](crate::Scope::exit_status) was told; the number of a clean stop.
    pub exit: Option<Exit>,
    /// Why it is this status.
    pub why: String,
}

/// What a program says of its own end.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exit {
    /// The number, for `exit`.
    pub code: u8,
    /// Why, in a few words.
    pub why: String,
}

#[derive(Debug, Default, Clone)]
pub(crate) struct ComponentRecord {
    pub(crate) started: Option<Time>,
    pub(crate) ready: Option<Time>,
    pub(crate) asked: Option<Time>,
    pub(crate) waited_for: Option<usize>,
    pub(crate) stopped: Option<Time>,
    pub(crate) steps: Vec<(State, Time, Option<Time>)>,
}

/// What the driver and the plain thread note while it happens.
#[derive(Default)]
pub(crate) struct Record {
    pub(crate) service: String,
    pub(crate) names: Vec<String>,
    pub(crate) needs: Vec<Vec<usize>>,
    pub(crate) components: Vec<ComponentRecord>,
    pub(crate) states: Vec<State>,
    pub(crate) scopes: Vec<Arc<Inner>>,
    pub(crate) levels: Vec<(Level, Time)>,
    pub(crate) signals: Vec<SignalReport>,
    pub(crate) failures: Vec<Failure>,
    pub(crate) more_failures: u64,
    /// Those that have come back.
    pub(crate) blockers: Vec<Blocker>,
    pub(crate) notes: Vec<String>,
    pub(crate) start_failed: bool,
    /// A person gave up what was left.
    pub(crate) forced: bool,
    /// The total was over.
    pub(crate) overrun: bool,
    pub(crate) strict: bool,
    pub(crate) exit: Option<Exit>,
    pub(crate) ended: Option<Time>,
    /// The report of a run that has ended.
    pub(crate) last: Option<Report>,
}

impl Shared {
    pub(crate) fn note_failure(&self, failure: Failure) {
        let told = Event::Failed(failure.clone());
        let mut record = lock(&self.record);
        if record.failures.len() < MOST_FAILURES {
            record.failures.push(failure);
        } else {
            record.more_failures += 1;
        }
        drop(record);
        self.tell(&told);
    }

    pub(crate) fn note_blocker(&self, blocker: Blocker) {
        let mut record = lock(&self.record);
        let same = |b: &&mut Blocker| {
            (&b.component, &b.task, &b.site, b.doing)
                == (&blocker.component, &blocker.task, &blocker.site, blocker.doing)
        };
        if let Some(known) = record.blockers.iter_mut().find(same) {
            known.count += blocker.count;
            known.longest = known.longest.max(blocker.longest);
        } else if record.blockers.len() < MOST_BLOCKERS {
            record.blockers.push(blocker);
        }
    }

    /// The tasks that hold a thread now, longest first.
    pub(crate) fn blockers_now(scopes: &[Arc<Inner>]) -> Vec<Blocker> {
        let holders = busy::holders();
        if holders.is_empty() {
            return Vec::new();
        }
        let all: Vec<Arc<Inner>> = scopes.iter().flat_map(Inner::family).collect();
        let named = |h: &Holder| all.iter().find(|s| s.id == h.scope)?.blocker(h.slot, h.doing, h.held, true);
        holders.iter().filter_map(named).collect()
    }

    /// The report as of now; complete once the run has ended.
    pub(crate) fn report(&self) -> Report {
        let now = self.now();
        let record = lock(&self.record);
        if let Some(last) = &record.last {
            return last.clone();
        }
        let began = self.begun().unwrap_or(now);
        let since = |at: Time| at.saturating_sub(began);
        let ended = record.ended.unwrap_or(now);
        let components: Vec<ComponentReport> = (0..record.names.len())
            .map(|c| {
                let given = &record.components[c];
                let scope = record.scopes.get(c);
                let end = given.stopped.unwrap_or(ended);
                let (resources, open) = scope.map(|scope| resources(scope, now)).unwrap_or_default();
                ComponentReport {
                    name: record.names[c].clone(),
                    needs: record.needs[c].iter().map(|n| record.names[*n].clone()).collect(),
                    state: record.states[c],
                    started: given.started,
                    ready: given.ready,
                    asked: given.asked.map(since),
                    waited_for: given.waited_for.map(|n| record.names[n].clone()),
                    stopped: given.stopped.map(since),
                    steps: steps(&given.steps, began, end),
                    tasks: scope.map(|s| s.groups()).unwrap_or_default(),
                    resources,
                    open,
                    saved: scope.and_then(saved),
                }
            })
            .collect();
        let (mut leaks, mut leaked, mut cuts) = (Vec::new(), 0, 0);
        for scope in &record.scopes {
            scope.each(&mut |_, local| {
                let (some, all) = local.ledger.leaks();
                leaks.extend_from_slice(some);
                leaked += all;
                cuts += local.cut_saves + local.cut_closes + local.stuck_steps;
            });
        }
        let losses = self.losses(&record.scopes);
        let path = critical_path(&record);
        let mut notes = record.notes.clone();
        if record.more_failures > 0 {
            notes.push(format!(
                "{} after the first {MOST_FAILURES} are not listed",
                plural(record.more_failures, "failure")
            ));
        }
        for (what, account) in lock(&self.accounts).iter().filter(|(_, account)| account.owed < 0) {
            notes.push(format!("{} more {what} were settled than owed", account.owed.unsigned_abs()));
        }
        let mut blockers = Self::blockers_now(&record.scopes);
        blockers.extend_from_slice(&record.blockers);
        let mut report = Report {
            service: record.service.clone(),
            reason: self.reason.get().cloned().unwrap_or_else(|| Reason::Requested("nobody".into())),
            level: self.level(),
            levels: record.levels.iter().map(|(level, at)| (*level, since(*at))).collect(),
            signals: record.signals.clone(),
            ran: began,
            took: since(ended),
            total: self.total(),
            components,
            failures: record.failures.clone(),
            losses,
            leaks,
            leaked,
            blockers,
            deaf: Some(self.deafest()).filter(|deaf| *deaf >= LONG),
            notes,
            critical_path: path,
            status: Status::Clean,
            exit: record.exit.clone(),
            why: String::new(),
        };
        (report.status, report.why) = report.judge(&record, cuts);
        report
    }

    fn losses(&self, scopes: &[Arc<Inner>]) -> Vec<Loss> {
        let mut losses = Vec::new();
        for (what, account) in lock(&self.accounts).iter() {
            let owed = u64::try_from(account.owed).unwrap_or_default();
            let why = if account.lost == 0 { "accepted and never settled" } else { "declared" };
            if owed > 0 || account.lost > 0 {
                losses.push(Loss { what: what.to_string(), count: owed.saturating_add(account.lost), why });
            }
        }
        for scope in scopes.iter().flat_map(Inner::family) {
            let why = match saved(&scope) {
                Some(Saved::NotRun) => "save not run",
                Some(Saved::Unfinished) => "save unfinished",
                _ => continue,
            };
            losses.push(Loss { what: format!("save of {}", scope.name), count: 1, why });
        }
        losses
    }
}

/// A hook that is still registered when the report is made was not run.
fn saved(scope: &Arc<Inner>) -> Option<Saved> {
    let local = lock(&scope.local);
    if local.hook.is_some() { Some(Saved::NotRun) } else { local.saved.clone() }
}

fn steps(steps: &[(State, Time, Option<Time>)], began: Time, end: Time) -> Vec<StepReport> {
    let ends = steps.iter().skip(1).map(|(_, at, _)| *at).chain([end]);
    let step = |((state, at, limit), end): (&(State, Time, Option<Time>), Time)| StepReport {
        state: *state,
        at: at.saturating_sub(began),
        took: end.saturating_sub(*at),
        allowed: limit.map(|limit| limit.saturating_sub(*at)),
    };
    steps.iter().zip(ends).map(step).collect()
}

/// What was opened, by kind, and what of it is open still: both at one moment, since what somebody else holds may go at any.
fn resources(scope: &Arc<Inner>, now: Time) -> (Vec<ResourceGroup>, Vec<StillOpen>) {
    let (mut rows, mut open, mut all) = (Vec::new(), Vec::new(), Vec::<ResourceGroup>::new());
    scope.each(&mut |_, local| {
        rows.extend(local.ledger.kinds());
        open.extend(local.ledger.still_open(now));
    });
    for row in rows {
        match all.iter_mut().find(|group| group.kind == row.kind) {
            Some(group) => {
                group.opened += row.opened;
                group.closed += row.closed;
                group.failed += row.failed;
                group.cut += row.cut;
                group.released += row.released;
            }
            None => all.push(row),
        }
    }
    (all, open)
}

fn critical_path(record: &Record) -> Vec<String> {
    let last = |(c, r): (usize, &ComponentRecord)| r.asked.map(|_| (r.stopped.unwrap_or(Time::MAX), c));
    let mut at = record.components.iter().enumerate().filter_map(last).max().map(|(_, c)| c);
    let mut path = Vec::new();
    while let Some(c) = at {
        path.push(record.names[c].clone());
        at = record.components[c].waited_for;
    }
    path.reverse();
    path
}

impl fmt::Display for Report {
    /// The same as [`line`](Report::line).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line())
    }
}

impl Report {
    fn judge(&self, record: &Record, cuts: u64) -> (Status, String) {
        let counted = |outcome| {
            let rows = self.components.iter().flat_map(|c| &c.tasks).filter(|t| t.outcome == Some(outcome));
            rows.map(|t| t.count).sum::<u64>()
        };
        let (aborted, stuck) = (counted(Outcome::Aborted), counted(Outcome::Stuck));
        if record.forced {
            return (Status::Forced, "a person gave up what was left".to_owned());
        }
        if record.overrun {
            return (Status::Overrun, format!("the total of {} was over", text(self.total)));
        }
        if aborted + stuck + cuts > 0 {
            let late = |t: &&TaskGroup| matches!(t.outcome, Some(Outcome::Aborted | Outcome::Stuck));
            let first = self.components.iter().find_map(|c| Some((&c.name, c.tasks.iter().find(late)?)));
            let who = first.map(|(c, t)| format!(", such as {c}/{}", t.name)).unwrap_or_default();
            return (Status::Overrun, format!("{aborted} aborted, {stuck} stuck, {cuts} steps cut{who}"));
        }
        if let Some(loss) = self.losses.first() {
            return (Status::Lost, format!("{} {} lost: {}", loss.count, loss.what, loss.why));
        }
        let first = self.failures.first().map(ToString::to_string).unwrap_or_default();
        if record.start_failed {
            return (Status::StartFailed, first);
        }
        if !self.failures.is_empty() {
            return (Status::Failed, first);
        }
        let open = self.components.iter().map(|c| c.open.len() as u64).sum::<u64>();
        if record.strict && self.leaked + open > 0 {
            return (Status::Leaked, format!("{} left open by their tasks, {open} still held", self.leaked));
        }
        if let Some(Exit { why, .. }) = &self.exit {
            return (Status::Clean, why.clone());
        }
        let held =
            if open > 0 { format!("; {} still held by somebody", plural(open, "resource")) } else { String::new() };
        (Status::Clean, format!("everything ended in its time{held}"))
    }

    /// The exit status as a number: that of [`status`](Report::status), or after a clean stop the program's own.
    pub fn code(&self) -> u8 {
        match &self.exit {
            Some(exit) if self.status == Status::Clean => exit.code,
            _ => self.status.code(),
        }
    }

    /// The report on one line, for a log.
    pub fn line(&self) -> String {
        // Where somebody gives up at once nobody was asked: all that had started were stopped by it.
        let asked = self.components.iter().filter(|c| c.asked.is_some()).count();
        let started = self.components.iter().filter(|c| c.started.is_some()).count();
        let asked = if asked == 0 && self.level == Level::Abandon { started } else { asked };
        let mut line = format!(
            "stopped: {}, {} in {}, {}, status {}",
            self.reason,
            plural(asked as u64, "component"),
            text(self.took),
            self.status,
            self.code()
        );
        if self.code() != 0 {
            line.push_str(&format!(" ({})", self.why));
        }
        if self.leaked > 0 {
            line.push_str(&format!("; left open by tasks: {}", leaks_by_kind(&self.leaks, self.leaked)));
        }
        line
    }

    /// The stop drawn as text, at most `width` columns wide (at least 40), critical path marked.
    pub fn timeline(&self, width: u16) -> String {
        timeline::draw(self, usize::from(width.max(40)))
    }

    /// The report as JSON after `report.schema.json`; durations in milliseconds.
    pub fn to_json(&self) -> String {
        format!("{:#}", self.value())
    }

    fn value(&self) -> Value {
        json!({
            "schema": SCHEMA_VERSION,
            "service": self.service,
            "reason": reason(&self.reason),
            "level": self.level.to_string(),
            "levels": self.levels.iter().map(|(level, at)| json!({ "level": level.to_string(), "at_ms": ms(*at) })).collect::<Vec<_>>(),
            "signals": self.signals.iter().map(|s| json!({ "signal": signal_name(s.number), "effect": s.effect, "at_ms": ms(s.at) })).collect::<Vec<_>>(),
            "ran_ms": ms(self.ran),
            "took_ms": ms(self.took),
            "total_ms": ms(self.total),
            "components": self.components.iter().map(component).collect::<Vec<_>>(),
            "failures": self.failures.iter().map(failure).collect::<Vec<_>>(),
            "losses": self.losses.iter().map(|l| json!({ "what": l.what, "count": l.count, "why": l.why })).collect::<Vec<_>>(),
            "leaks": self.leaks.iter().map(|l| json!({ "kind": l.kind, "task": l.task, "site": l.site, "age_ms": ms(l.age) })).collect::<Vec<_>>(),
            "leaked": self.leaked,
            "blockers": self.blockers.iter().map(|b| json!({
                "component": b.component, "task": b.task, "site": b.site, "doing": b.doing.to_string(),
                "count": b.count, "longest_ms": ms(b.longest), "still": b.still,
            })).collect::<Vec<_>>(),
            "deaf_ms": self.deaf.map(ms),
            "notes": self.notes,
            "critical_path": self.critical_path,
            "status": self.code(),
            "outcome": self.status.to_string(),
            "why": self.why,
        })
    }
}

fn component(c: &ComponentReport) -> Value {
    json!({
        "name": c.name,
        "needs": c.needs,
        "state": c.state.to_string(),
        "started_ms": c.started.map(ms),
        "ready_ms": c.ready.map(ms),
        "asked_ms": c.asked.map(ms),
        "waited_for": c.waited_for,
        "stopped_ms": c.stopped.map(ms),
        "steps": c.steps.iter().map(|s| json!({
            "state": s.state.to_string(), "at_ms": ms(s.at), "took_ms": ms(s.took), "allowed_ms": s.allowed.map(ms),
        })).collect::<Vec<_>>(),
        "tasks": c.tasks.iter().map(|t| json!({
            "name": t.name, "site": t.site, "outcome": t.outcome.map_or("running".to_owned(), |o| o.to_string()),
            "count": t.count, "restarts": t.restarts,
        })).collect::<Vec<_>>(),
        "resources": c.resources.iter().map(|r| json!({
            "kind": r.kind, "opened": r.opened, "closed": r.closed, "failed": r.failed, "cut": r.cut,
            "released": r.released,
        })).collect::<Vec<_>>(),
        "open": c.open.iter().map(|o| json!({
            "kind": o.kind, "site": o.site, "age_ms": ms(o.age), "task": o.task,
        })).collect::<Vec<_>>(),
        "saved": c.saved.as_ref().map(|saved| match saved {
            Saved::NotRun => json!({ "how": "not run" }),
            Saved::Unfinished => json!({ "how": "unfinished" }),
            Saved::Done { took } => json!({ "how": "done", "took_ms": ms(*took) }),
            Saved::Failed { took, message } => json!({ "how": "failed", "took_ms": ms(*took), "message": message }),
        }),
    })
}

fn failure(f: &Failure) -> Value {
    json!({
        "component": f.component, "task": f.task, "site": f.site, "outcome": f.outcome.to_string(),
        "message": f.message, "at_ms": ms(f.at),
    })
}

fn reason(reason: &Reason) -> Value {
    let detail = match reason {
        Reason::Signal(number) => signal_name(*number),
        Reason::Requested(text)
        | Reason::Failed(text)
        | Reason::Panicked(text)
        | Reason::Finished(text)
        | Reason::Deadline(text) => text.to_string(),
        Reason::ParentGone => String::new(),
    };
    json!({ "kind": reason_kind(reason), "detail": detail })
}

/// The reason without its particulars.
pub(crate) fn reason_kind(reason: &Reason) -> &'static str {
    match reason {
        Reason::Signal(_) => "signal",
        Reason::Requested(_) => "requested",
        Reason::Failed(_) => "failed",
        Reason::Panicked(_) => "panicked",
        Reason::Finished(_) => "finished",
        Reason::Deadline(_) => "deadline",
        Reason::ParentGone => "parent gone",
    }
}

/// Milliseconds with three decimals: microseconds are enough, and the text stays short.
pub(crate) fn ms(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

fn leaks_by_kind(leaks: &[Leak], all: u64) -> String {
    let mut kinds: Vec<(&str, u64)> = Vec::new();
    for leak in leaks {
        match kinds.iter_mut().find(|(kind, _)| *kind == leak.kind) {
            Some((_, count)) => *count += 1,
            None => kinds.push((&leak.kind, 1)),
        }
    }
    let mut text = kinds.iter().map(|(kind, n)| format!("{n} {kind}")).collect::<Vec<_>>().join(", ");
    let listed = kinds.iter().map(|(_, n)| n).sum::<u64>();
    if listed < all {
        text.push_str(&format!(" and {} more", all - listed));
    }
    text
}

/// A duration for a person: two or three digits and a unit.
pub(crate) fn text(duration: Duration) -> String {
    let micros = duration.as_micros();
    // Rounded, so that 999.9 ms of 1 s does not read as 999 ms of 999 ms.
    match micros {
        0..1_000 => format!("{micros} us"),
        1_000..9_950 => format!("{:.1} ms", micros as f64 / 1e3),
        9_950..999_500 => format!("{:.0} ms", micros as f64 / 1e3),
        999_500..9_950_000 => format!("{:.1} s", micros as f64 / 1e6).replace(".0 s", " s"),
        _ => format!("{:.0} s", micros as f64 / 1e6),
    }
}

pub(crate) fn plural(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}
