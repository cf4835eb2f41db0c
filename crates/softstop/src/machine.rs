//! Phases, levels and deadlines. Pure: `(event, now) -> actions`, imports std only.
//!
//! [`Machine`] decides for the whole service; the driver carries its actions out. [`Signals`]
//! decides what a signal means; the plain thread asks it, so that it works while the runtime does
//! not. Times are durations since the service was made.

use std::{fmt, sync::Arc, time::Duration};

use crate::plan::{ABORT_GRACE, EXIT_RESERVE, Planned, Step};

/// A moment: how long after the service was made.
pub(crate) type Time = Duration;

/// A cooperative task that has not been polled for so long does not use the slack for anything.
const IDLE_LIMIT: Duration = Duration::from_secs(5);
/// Signals closer together than this count as one: a terminal and a parent both deliver.
const ONE_SIGNAL: Duration = Duration::from_millis(250);
/// From the SIGINT that hurried to one that may abandon.
const ABANDON_AFTER: Duration = Duration::from_secs(1);

/// Why the service stops. The first reason wins, is visible to every task and stands in the report.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// A signal, by its number.
    Signal(i32),
    /// The program asked; the text says who in it.
    Requested(Arc<str>),
    /// A task or a start of this component returned an error.
    Failed(Arc<str>),
    /// A task or a start of this component panicked.
    Panicked(Arc<str>),
    /// This component was marked `main_job` and has finished.
    Finished(Arc<str>),
    /// This component had a limit to start, and did not keep it.
    Deadline(Arc<str>),
    /// The process that started us has gone.
    ParentGone,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signal(number) => f.write_str(&signal_name(*number)),
            Self::Requested(by) => write!(f, "requested by {by}"),
            Self::Failed(name) => write!(f, "{name} failed"),
            Self::Panicked(name) => write!(f, "{name} panicked"),
            Self::Finished(name) => write!(f, "{name} finished"),
            Self::Deadline(name) => write!(f, "{name} did not start in time"),
            Self::ParentGone => f.write_str("the parent process has gone"),
        }
    }
}

/// The name of a signal as `kill -l` gives it, for those that can end a service.
pub(crate) fn signal_name(number: i32) -> String {
    match number {
        1 => "SIGHUP".to_owned(),
        2 => "SIGINT".to_owned(),
        3 => "SIGQUIT".to_owned(),
        15 => "SIGTERM".to_owned(),
        _ => format!("signal {number}"),
    }
}

/// How hard a stop presses. It only ever rises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// In order; drains may use the slack.
    Graceful,
    /// In order, no drains, all limits are limits; saving and closing keep their reserves.
    Hurry,
    /// What is left is given up.
    Abandon,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Graceful => "graceful",
            Self::Hurry => "hurry",
            Self::Abandon => "abandon",
        })
    }
}

/// Where a component is. It only ever moves forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum State {
    /// For what it needs to be ready.
    Waiting,
    /// Its start function runs.
    Starting,
    /// It is ready, and what needs it may start.
    Running,
    /// Its tasks finish what they hold and take nothing new.
    Draining,
    /// Its tasks were told to return now.
    Cancelling,
    /// Its `on_stop` runs.
    Saving,
    /// Its resources are being closed.
    Closing,
    /// It has gone, or never started.
    Stopped,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Waiting => "waiting",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Draining => "draining",
            Self::Cancelling => "cancelling",
            Self::Saving => "saving",
            Self::Closing => "closing",
            Self::Stopped => "stopped",
        })
    }
}

/// Where the service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ServiceState {
    /// Components are starting.
    Starting,
    /// All of them are ready.
    Running,
    /// A stop was asked; somebody still accepts from outside for a while.
    Unready,
    /// Components are stopping.
    Stopping,
    /// All have gone, or what was left was abandoned.
    Stopped,
}

impl fmt::Display for ServiceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Unready => "unready",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        })
    }
}

/// What the machine is told. Indices are those of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// Start what needs nothing.
    Begin,
    /// The start function returned what the component produces.
    Ready(usize),
    /// The same, and a stop follows at once: nothing is started for it.
    Returned(usize),
    /// The start function failed or panicked.
    StartFailed(usize, Reason),
    /// A person, the program, a failure or a finished main job asks for a stop.
    Stop(Reason),
    /// Shorten the waiting.
    Hurry,
    /// A task of this component failed by its policy.
    Failed(usize, Reason),
    /// No task of this component holds its drain any more.
    Drained(usize),
    /// So many tasks of this component are left.
    Left(usize, usize),
    /// Of the tasks that use the slack, the next one is to be looked at then; `None` without any.
    NextIdle(usize, Option<Time>),
    /// `on_stop` has ended, or there was none.
    Saved(usize),
    /// Every resource has been closed.
    Closed(usize),
    /// Time has passed.
    Tick,
}

/// What the machine wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Call the start function.
    Start(usize),
    /// Drop the start: its stated limit is over.
    CutStart(usize),
    /// Every component is ready.
    Running,
    /// The stop has begun: give up what was produced for others, be unready.
    Stopping(Reason),
    /// The level has risen.
    Level(Level),
    /// The component goes on accepting for its unready delay.
    Unready(usize),
    /// Tell its tasks to finish what they hold; answer `Drained`.
    Drain(usize),
    /// Tell its tasks to return now, drop the plain ones; answer `Left`.
    Cancel(usize),
    /// Abort the tasks not polled for [`IDLE_LIMIT`]; answer `NextIdle`.
    AbortIdle(usize, Duration),
    /// Drop what has not returned; answer `Left`.
    Abort(usize),
    /// Answer `Left`.
    Count(usize),
    /// What is left is stuck and counts as gone.
    Stuck(usize),
    /// Run `on_stop`; answer `Saved`.
    Save(usize),
    /// The time of `on_stop` is over.
    CutSave(usize),
    /// Close the resources; answer `Closed`.
    Close(usize),
    /// The time of closing is over.
    CutClose(usize),
    /// The component has gone.
    Stopped(usize),
    /// All components have gone.
    Done,
}

#[derive(Debug, Clone)]
struct Component {
    plan: Planned,
    state: State,
    started: Time,
    /// Its start was still running when it was asked.
    asked_while_starting: bool,
    /// Its tasks were cancelled by a failure, ahead of its turn.
    cancelled_early: bool,
    asked: Time,
    /// Until when the unready delay lasts; `None` once the tasks know of the drain.
    unready: Option<Time>,
    cancelled: Time,
    idle_check: Option<Time>,
    /// When the futures were dropped, and how many were left at the last look.
    aborted: Option<(Time, usize)>,
    stuck_at: Time,
    /// When the present step began.
    since: Time,
}

/// Decides, for the whole service, who starts, who stops, and who has had their time.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    components: Vec<Component>,
    total: Duration,
    begun: Option<Time>,
    level: Level,
    hurried: Option<Time>,
    running: bool,
    done: bool,
}

impl Machine {
    pub(crate) fn new(plan: &[Planned], total: Duration) -> Self {
        let component = |plan: &Planned| Component {
            plan: plan.clone(),
            state: State::Waiting,
            started: Time::ZERO,
            asked_while_starting: false,
            cancelled_early: false,
            asked: Time::ZERO,
            unready: None,
            cancelled: Time::ZERO,
            idle_check: None,
            aborted: None,
            stuck_at: Time::ZERO,
            since: Time::ZERO,
        };
        Self {
            components: plan.iter().map(component).collect(),
            total,
            begun: None,
            level: Level::Graceful,
            hurried: None,
            running: false,
            done: false,
        }
    }

    /// For a nested scope that has too little time for any promise: no drain, and a quarter of what
    /// is left for each other step.
    pub(crate) fn hurried_single(total: Duration) -> Self {
        let quarter = Step { time: total.saturating_sub(EXIT_RESERVE) / 4, stated: true };
        let plan = Planned {
            name: "nested".to_owned(),
            needs: Vec::new(),
            dependents: Vec::new(),
            start: None,
            drain: Some(Duration::ZERO),
            cancel: quarter,
            save: quarter,
            close: quarter,
            unready: Duration::ZERO,
            tail: Duration::ZERO,
            main_job: false,
            together: false,
        };
        Self::new(&[plan], total)
    }

    pub(crate) fn state(&self, c: usize) -> State {
        self.components[c].state
    }

    /// When the stop began.
    pub(crate) fn begun(&self) -> Option<Time> {
        self.begun
    }

    pub(crate) fn level(&self) -> Level {
        self.level
    }

    /// Whether all components have gone or were abandoned.
    pub(crate) fn done(&self) -> bool {
        self.done
    }

    /// When what is left is abandoned; `None` before a stop.
    pub(crate) fn end(&self) -> Option<Time> {
        self.begun.map(|begun| begun.saturating_add(self.total).saturating_sub(EXIT_RESERVE))
    }

    pub(crate) fn service_state(&self) -> ServiceState {
        if self.done {
            ServiceState::Stopped
        } else if self.begun.is_some() {
            if self.components.iter().any(|c| self.accepts(c)) { ServiceState::Unready } else { ServiceState::Stopping }
        } else if self.running {
            ServiceState::Running
        } else {
            ServiceState::Starting
        }
    }

    /// Whether `c` still accepts from outside, or will for a while before its tasks are told.
    fn accepts(&self, c: &Component) -> bool {
        let will = c.state <= State::Running && !c.cancelled_early && self.level == Level::Graceful;
        c.unready.is_some() || will && !c.plan.unready.is_zero()
    }

    /// When the present step of `c` ends at the latest; `None` where nothing limits it.
    pub(crate) fn limit(&self, c: usize) -> Option<Time> {
        let component = &self.components[c];
        match component.state {
            State::Starting => component.plan.start.map(|limit| component.started.saturating_add(limit)),
            State::Draining => Some(self.drain_end(component)),
            State::Cancelling => Some(self.cancel_end(component)),
            State::Saving => Some(self.save_end(component)),
            State::Closing => Some(self.close_end(component)),
            State::Waiting | State::Running | State::Stopped => None,
        }
    }

    /// When all that starts now has started or was cut; `None` where nothing does, or some of it has no
    /// limit.
    pub(crate) fn starting_until(&self) -> Option<Time> {
        let starting = self.components.iter().enumerate().filter(|(_, c)| c.state == State::Starting);
        let ends: Option<Vec<Time>> = starting.map(|(at, _)| self.limit(at)).collect();
        ends?.into_iter().max()
    }

    /// When `Tick` is to be sent; `None` as long as nothing waits for time.
    pub(crate) fn next_tick(&self) -> Option<Time> {
        if self.done {
            return None;
        }
        let steps = self.components.iter().enumerate().filter_map(|(at, c)| self.component_tick(at, c));
        steps.chain(self.end()).min()
    }

    fn component_tick(&self, at: usize, c: &Component) -> Option<Time> {
        let limit = self.limit(at)?;
        Some(match c.state {
            State::Draining => c.unready.map_or(limit, |unready| unready.min(limit)),
            State::Cancelling => match c.aborted {
                Some(_) => c.stuck_at,
                None => c.idle_check.map_or(limit, |check| check.min(limit)),
            },
            _ => limit,
        })
    }

    /// Takes one event, returns what follows from it, in the order in which it is to be done.
    pub(crate) fn handle(&mut self, event: Event, now: Time) -> Vec<Action> {
        let mut out = Vec::new();
        if self.done {
            return out;
        }
        match event {
            Event::Begin => {
                self.start_what_can(now, &mut out);
                self.look_whether_running(&mut out);
            }
            Event::Ready(c) if self.components[c].state == State::Starting => {
                self.components[c].state = State::Running;
                self.start_what_can(now, &mut out);
                self.look_whether_running(&mut out);
            }
            Event::Returned(c) if self.components[c].state == State::Starting => {
                self.components[c].state = State::Running;
            }
            Event::StartFailed(c, reason) if self.components[c].state == State::Starting => {
                // The start is over: what it opened and spawned stops like a running component.
                self.components[c].state = State::Running;
                self.stop(reason, now, &mut out);
            }
            Event::Stop(reason) => self.stop(reason, now, &mut out),
            Event::Hurry => self.hurry(now, &mut out),
            Event::Failed(c, reason) => self.failed(c, reason, now, &mut out),
            Event::Drained(c)
                if self.components[c].state == State::Draining && self.components[c].unready.is_none() =>
            {
                self.cancel(c, now, &mut out);
            }
            Event::Left(c, left) if self.components[c].state == State::Cancelling => {
                self.left(c, left, now, &mut out);
            }
            Event::NextIdle(c, at) if self.level == Level::Graceful => self.components[c].idle_check = at,
            Event::Saved(c) if self.components[c].state == State::Saving => self.close(c, now, &mut out),
            Event::Closed(c) if self.components[c].state == State::Closing => self.gone(c, now, &mut out),
            Event::Tick => self.tick(now, &mut out),
            // An answer to a question that time has already settled.
            _ => {}
        }
        out
    }

    fn start_what_can(&mut self, now: Time, out: &mut Vec<Action>) {
        if self.begun.is_some() {
            return;
        }
        for c in 0..self.components.len() {
            let ready = |n: &usize| self.components[*n].state == State::Running;
            let can = self.components[c].state == State::Waiting && self.components[c].plan.needs.iter().all(ready);
            if can {
                self.components[c].state = State::Starting;
                self.components[c].started = now;
                out.push(Action::Start(c));
            }
        }
    }

    fn look_whether_running(&mut self, out: &mut Vec<Action>) {
        let all = self.components.iter().all(|c| c.state == State::Running);
        if all && !self.running && self.begun.is_none() {
            self.running = true;
            out.push(Action::Running);
        }
    }

    fn stop(&mut self, reason: Reason, now: Time, out: &mut Vec<Action>) {
        if self.begun.is_some() {
            return;
        }
        self.begun = Some(now);
        out.push(Action::Stopping(reason));
        for c in 0..self.components.len() {
            if self.components[c].state == State::Waiting {
                self.components[c].state = State::Stopped;
            }
        }
        self.ask_what_can(now, out);
    }

    /// Asks every component whose dependents have all gone.
    fn ask_what_can(&mut self, now: Time, out: &mut Vec<Action>) {
        for c in (0..self.components.len()).rev() {
            let gone = |d: &usize| self.components[*d].state == State::Stopped;
            let asked = self.components[c].state > State::Running;
            if !asked && self.components[c].plan.dependents.iter().all(gone) {
                self.ask(c, now, out);
            }
        }
        if self.components.iter().all(|c| c.state == State::Stopped) && !self.done {
            self.done = true;
            out.push(Action::Done);
        }
    }

    fn ask(&mut self, c: usize, now: Time, out: &mut Vec<Action>) {
        let level = self.level;
        let component = &mut self.components[c];
        component.asked = now;
        if component.state == State::Starting {
            component.asked_while_starting = true;
            return self.cancel(c, now, out);
        }
        if component.cancelled_early || level >= Level::Hurry {
            return self.cancel(c, now, out);
        }
        component.state = State::Draining;
        component.since = now;
        if component.plan.unready.is_zero() {
            out.push(Action::Drain(c));
        } else {
            component.unready = Some(now.saturating_add(component.plan.unready));
            out.push(Action::Unready(c));
        }
    }

    fn cancel(&mut self, c: usize, now: Time, out: &mut Vec<Action>) {
        let component = &mut self.components[c];
        component.state = State::Cancelling;
        component.since = now;
        component.cancelled = now;
        component.unready = None;
        // Only a guarantee that goes on into the slack is looked at for idleness.
        let uses_slack = !component.plan.cancel.stated && !component.asked_while_starting;
        let guaranteed = now.saturating_add(component.plan.cancel.time);
        component.idle_check = (uses_slack && self.level == Level::Graceful).then_some(guaranteed);
        out.push(Action::Cancel(c));
    }

    fn left(&mut self, c: usize, left: usize, now: Time, out: &mut Vec<Action>) {
        if left == 0 {
            return self.save(c, now, out);
        }
        let latest = self.before_save(&self.components[c]);
        let component = &mut self.components[c];
        let Some((_, before)) = component.aborted else { return };
        if left < before && now < latest {
            // Tasks keep ending: the 100 ms start anew, within the slack.
            component.aborted = Some((now, left));
            component.stuck_at = now.saturating_add(ABORT_GRACE).min(latest).max(component.stuck_at);
        } else if now >= component.stuck_at {
            out.push(Action::Stuck(c));
            self.save(c, now, out);
        }
    }

    fn save(&mut self, c: usize, now: Time, out: &mut Vec<Action>) {
        self.components[c].state = State::Saving;
        self.components[c].since = now;
        out.push(Action::Save(c));
    }

    fn close(&mut self, c: usize, now: Time, out: &mut Vec<Action>) {
        self.components[c].state = State::Closing;
        self.components[c].since = now;
        out.push(Action::Close(c));
    }

    fn gone(&mut self, c: usize, now: Time, out: &mut Vec<Action>) {
        self.components[c].state = State::Stopped;
        self.components[c].since = now;
        out.push(Action::Stopped(c));
        self.ask_what_can(now, out);
    }

    fn failed(&mut self, c: usize, reason: Reason, now: Time, out: &mut Vec<Action>) {
        let component = &mut self.components[c];
        if component.plan.together && component.state <= State::Running && !component.cancelled_early {
            component.cancelled_early = true;
            out.push(Action::Cancel(c));
        } else if component.plan.together && component.state == State::Draining {
            self.cancel(c, now, out);
        }
        self.stop(reason, now, out);
    }

    fn hurry(&mut self, now: Time, out: &mut Vec<Action>) {
        if self.begun.is_none() || self.level >= Level::Hurry {
            return;
        }
        self.level = Level::Hurry;
        self.hurried = Some(now);
        out.push(Action::Level(Level::Hurry));
        for c in 0..self.components.len() {
            self.components[c].idle_check = None;
            if self.components[c].state == State::Draining {
                self.cancel(c, now, out);
            }
        }
    }

    fn abandon(&mut self, now: Time, out: &mut Vec<Action>) {
        self.begun.get_or_insert(now);
        self.level = Level::Abandon;
        self.done = true;
        out.push(Action::Level(Level::Abandon));
        out.push(Action::Done);
    }

    fn tick(&mut self, now: Time, out: &mut Vec<Action>) {
        for c in 0..self.components.len() {
            let due = self.component_tick(c, &self.components[c]).is_some_and(|at| now >= at);
            if due {
                self.time_over(c, now, out);
            }
        }
        // Last, so that a step that ends with the total leaves nothing to abandon.
        if !self.done && self.end().is_some_and(|end| now >= end) {
            self.abandon(now, out);
        }
    }

    fn time_over(&mut self, c: usize, now: Time, out: &mut Vec<Action>) {
        let cancel_end = self.cancel_end(&self.components[c]);
        let drain_end = self.drain_end(&self.components[c]);
        let component = &mut self.components[c];
        match component.state {
            State::Starting => {
                component.state = State::Running;
                out.push(Action::CutStart(c));
                self.stop(Reason::Deadline(self.components[c].plan.name.as_str().into()), now, out);
            }
            State::Draining if now < drain_end => {
                component.unready = None;
                out.push(Action::Drain(c));
            }
            State::Draining => self.cancel(c, now, out),
            State::Cancelling if component.aborted.is_some() => out.push(Action::Count(c)),
            State::Cancelling if now < cancel_end => {
                component.idle_check = None;
                out.push(Action::AbortIdle(c, IDLE_LIMIT));
            }
            State::Cancelling => {
                component.aborted = Some((now, usize::MAX));
                component.stuck_at = now.saturating_add(ABORT_GRACE);
                out.push(Action::Abort(c));
            }
            State::Saving => {
                out.push(Action::CutSave(c));
                self.close(c, now, out);
            }
            State::Closing => {
                out.push(Action::CutClose(c));
                self.gone(c, now, out);
            }
            State::Waiting | State::Running | State::Stopped => {}
        }
    }

    // The table of latest ends, DESIGN §2. All of them leave the reserves of what stops later.

    /// `end - tail(c) - close - save`: until then everything before the save must be over.
    fn before_save(&self, c: &Component) -> Time {
        self.end().unwrap_or(Time::MAX).saturating_sub(c.plan.tail + c.plan.close.time + c.plan.save.time)
    }

    fn drain_end(&self, c: &Component) -> Time {
        let latest = self.end().unwrap_or(Time::MAX).saturating_sub(c.plan.reserve() + c.plan.tail);
        match c.plan.drain {
            Some(drain) => latest.min(c.asked.saturating_add(drain)),
            None => latest,
        }
    }

    fn cancel_end(&self, c: &Component) -> Time {
        // The grace of the abort belongs to this step, else it would be taken from the save.
        let latest = self.before_save(c).saturating_sub(ABORT_GRACE);
        let grace = c.plan.cancel.time;
        let limit = match self.hurried {
            _ if c.plan.cancel.stated || c.asked_while_starting => c.cancelled.saturating_add(grace),
            Some(hurried) => hurried.max(c.asked).saturating_add(grace),
            None => latest,
        };
        limit.min(latest).max(c.cancelled)
    }

    fn save_end(&self, c: &Component) -> Time {
        let latest = self.end().unwrap_or(Time::MAX).saturating_sub(c.plan.tail + c.plan.close.time);
        let limit = match self.hurried {
            _ if c.plan.save.stated => c.since.saturating_add(c.plan.save.time),
            Some(hurried) => hurried.max(c.since).saturating_add(c.plan.save.time),
            None => latest,
        };
        limit.min(latest)
    }

    fn close_end(&self, c: &Component) -> Time {
        c.since.saturating_add(c.plan.close.time)
    }
}

/// A stop signal, as the rules see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// SIGINT: a person.
    Int,
    /// SIGTERM or SIGHUP: a supervisor, or a terminal that has gone.
    Term,
    /// SIGQUIT: now.
    Quit,
}

/// What one signal means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// It begins the stop.
    Begin,
    /// It shortens the waiting.
    Hurry,
    /// It gives up what is left.
    Abandon,
    /// It counts with the one before it, or changes nothing any more.
    Nothing,
}

/// The signal rules of DESIGN §2, as a machine of their own.
#[derive(Debug, Clone, Default)]
pub(crate) struct Signals {
    accepted: Option<Time>,
    hurried: bool,
    /// From when on a SIGINT may abandon, less [`ABANDON_AFTER`].
    armed: Option<Time>,
    last_int: Option<Time>,
}

impl Signals {
    /// Says what `signal` means at `now`. `begun` is when the stop began, whatever began it, and
    /// `hurried` whether the program has hurried it meanwhile.
    pub(crate) fn meaning(&mut self, signal: Stop, now: Time, begun: Option<Time>, hurried: bool) -> Meaning {
        let begun = begun.or(self.accepted);
        let close = |at: Option<Time>| at.is_some_and(|at| now.saturating_sub(at) < ONE_SIGNAL);
        let repeats = close(self.last_int);
        if signal == Stop::Int {
            self.last_int = Some(now);
        }
        if signal == Stop::Quit {
            return Meaning::Abandon;
        }
        if begun.is_none() {
            self.accepted = Some(now);
            return Meaning::Begin;
        }
        if signal == Stop::Term || close(begun) || close(self.accepted) {
            return Meaning::Nothing;
        }
        if !self.hurried {
            self.hurried = true;
            self.accepted = Some(now);
            self.armed = Some(now);
            // Where the program has hurried, the first SIGINT since only arms.
            return if hurried { Meaning::Nothing } else { Meaning::Hurry };
        }
        let waited = self.armed.is_some_and(|at| now.saturating_sub(at) >= ABANDON_AFTER);
        if waited && !repeats { Meaning::Abandon } else { Meaning::Nothing }
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "simulation_tests.rs"]
mod simulation;
