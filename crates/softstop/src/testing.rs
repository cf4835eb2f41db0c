//! Stops a service at every await point of a run, on a paused clock, and looks each time whether anything was lost.
//!
//! A stop comes at a moment of its own choosing. A test that stops once, after some sleep, sees one of the hundreds of places at
//! which a task can be when it comes. [`sweep`] sees them all: it runs the service once undisturbed and counts the polls of every
//! task, then once per poll with the stop asked exactly there, and for some of them once more with a hurry
//! at a moment of the stop.
//!
//! ```
//! # use softstop::{Result, Service, testing};
//! # use std::sync::{Arc, Mutex};
//! # use tokio::sync::mpsc;
//! #[derive(Clone, Default)]
//! struct Ends { sent: Arc<Mutex<u64>>, kept: Arc<Mutex<u64>> }
//!
//! fn pipeline(service: &mut Service, ends: &Ends) -> Result {
//! #   let (sent, kept) = (ends.sent.clone(), ends.kept.clone());
//!     // … components that send numbers and keep them
//! #   let sink = service.component("sink", (), async |scope, ()| {
//! #       let (tx, mut rx) = mpsc::channel::<u64>(4);
//! #       scope.spawn_with("keep", async move |scope| {
//! #           while let Some(_) = scope.next(rx.recv()).await { *kept.lock().unwrap() += 1 }
//! #           Ok(())
//! #       });
//! #       Ok(tx)
//! #   });
//! #   service.component("feed", sink, async |scope, tx| {
//! #       scope.spawn_with("send", async move |scope| {
//! #           for n in 0..20 {
//! #               tx.send(n).await?;
//! #               *sent.lock().unwrap() += 1;
//! #               if scope.sleep(std::time::Duration::from_millis(10)).await.is_err() { break }
//! #           }
//! #           Ok(())
//! #       });
//! #       Ok(())
//! #   });
//!     Ok(())
//! }
//!
//! # fn main() {
//! // In a #[test]:
//! testing::sweep(|service| {
//!     let ends = Ends::default();
//!     pipeline(service, &ends)?;
//!     Ok(ends)
//! })
//! .run(|_report, ends| {
//!     assert_eq!(*ends.sent.lock().unwrap(), *ends.kept.lock().unwrap());
//!     Ok(())
//! });
//! # }
//! ```
//!
//! # What it checks
//!
//! After each run, besides the check that is given: it ended within its total; nothing is open, nothing leaked, no task is stuck or
//! still running; the exit status is 0, or one that was [allowed](Sweep::allow), or follows from a [fault](Sweep::fault);
//! every eighth run is made twice, and both reports are the same. A run that does not end within its [patience](Sweep::patience) has
//! failed, and whoever holds the thread is named.
//!
//! # What it is not
//!
//! - One thread polls everything, in two schedules: tasks run as far as they can, and tasks are handed one item a poll
//!   (tokio's cooperative budget is used up before each poll), so that also an await that is ready at once is an await point. What only
//!   two threads at once can do is not seen.
//! - A `select!` without `biased` chooses at random, which no seed reaches in stable tokio. Where a service uses it, say
//!   [`not_repeatable`](Sweep::not_repeatable).
//! - Sockets and files work, but while all tasks wait for them the paused clock jumps to the next timer. In-memory ends
//!   (`tokio::io::duplex`, channels) are better.
//! - Polls of tasks that tokio spawned without a scope are not seen.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc::{RecvTimeoutError, channel},
    },
    task::Context,
    thread,
    time::Duration,
};

use crate::{
    busy,
    console::replay_variable,
    driver::Message,
    error::{BoxError, Result, chain},
    inner::Inner,
    machine::Reason,
    probe::{Injected, Probe},
    report::{Report, Status},
    service::{Handle, Service},
    shared::lock,
    task::{Outcome, panic_text},
};

/// In real time: a run that takes longer hangs, unless more is stated.
const PATIENCE: Duration = Duration::from_secs(30);
/// In real time: a run in which nothing was polled for so long waits for something outside, such as a blocking job, during which
/// the paused clock stands still. It is asked to stop as if its time were over.
const QUIET: Duration = Duration::from_millis(200);
/// What tokio gives a task for one poll; see the module `coop` of tokio.
const BUDGET: u32 = 128;
/// Failures that are shown; a sweep ends early with so many.
const MOST_FAILURES: usize = 5;
/// Each so-manieth run is made twice.
const TWICE: usize = 8;

/// Sweeps a stop over a service: `build` describes it, and returns what the check needs to look at. It is called once per run.
///
/// See the [module](self) for an example.
pub fn sweep<S, B>(build: B) -> Sweep<B>
where
    B: Fn(&mut Service) -> Result<S> + Send + Sync + 'static,
{
    Sweep {
        build,
        lasting: Duration::from_secs(1),
        most: usize::MAX,
        pairs: 50,
        seed: 0,
        patience: PATIENCE,
        faults: Vec::new(),
        allowed: BTreeSet::from([Status::Clean]),
        repeatable: true,
    }
}

/// A sweep that can be run; made by [`sweep`].
#[must_use = "nothing happens until `run`"]
pub struct Sweep<B> {
    build: B,
    lasting: Duration,
    most: usize,
    pairs: usize,
    seed: u64,
    patience: Duration,
    faults: Vec<Fault>,
    allowed: BTreeSet<Status>,
    repeatable: bool,
}

impl<B> fmt::Debug for Sweep<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sweep").field("lasting", &self.lasting).field("faults", &self.faults).finish_non_exhaustive()
    }
}

impl<B> Sweep<B> {
    /// How long the undisturbed run lasts on the clock, where the service does not end by itself; 1 s unless stated.
    pub fn lasting(mut self, lasting: Duration) -> Self {
        self.lasting = lasting;
        self
    }

    /// At most so many points of each schedule, drawn by the seed; all of them unless stated.
    pub fn at_most(mut self, points: usize) -> Self {
        self.most = points;
        self
    }

    /// How many runs of each schedule are hurried at a moment of their stop, drawn by the seed; 50 unless stated.
    pub fn pairs(mut self, pairs: usize) -> Self {
        self.pairs = pairs;
        self
    }

    /// What is drawn is drawn by this number; 0 unless stated.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// How long one run may take in real time before it counts as hanging; 30 s unless stated.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Lets something go wrong in every run. Statuses that follow from it are allowed.
    pub fn fault(mut self, fault: Fault) -> Self {
        if fault.fails() {
            self.allowed.extend([Status::StartFailed, Status::Failed]);
        }
        self.faults.push(fault);
        self
    }

    /// Allows one more exit status.
    pub fn allow(mut self, status: Status) -> Self {
        self.allowed.insert(status);
        self
    }

    /// Does not ask for the same report of the same run: for a service that draws at random or works with the outside.
    pub fn not_repeatable(mut self) -> Self {
        self.repeatable = false;
        self
    }

    /// Runs it all. `check` is given the report of each run and what `build` returned; an error or a panic of it is a failure.
    ///
    /// With `SOFTSTOP_REPLAY` in the environment only the run that it describes is made, and what happened is printed.
    ///
    /// # Panics
    ///
    /// If anything failed: with the point, what failed there, and a line that replays it. If a [`Fault`] never came about.
    #[track_caller]
    pub fn run<S, C>(self, check: C) -> Swept
    where
        S: 'static,
        B: Fn(&mut Service) -> Result<S> + Send + Sync + 'static,
        C: Fn(&Report, S) -> Result + Send + Sync + 'static,
    {
        let build = self.build;
        let make: Make = Box::new(move |run, lens| one_run(run, lens, &build, &check));
        let sweeping = Sweeping {
            bench: Bench::start(make, self.patience),
            lasting: self.lasting,
            most: self.most,
            pairs: self.pairs,
            seed: self.seed,
            faults: Arc::new(self.faults),
            allowed: self.allowed,
            repeatable: self.repeatable,
            swept: Swept::default(),
            failures: Vec::new(),
        };
        if let Some(described) = replay_variable() {
            return match described.parse() {
                Ok(moment) => sweeping.replay(moment),
                Err(error) => panic!("SOFTSTOP_REPLAY={described:?}: {error}"),
            };
        }
        sweeping.sweep()
    }
}

/// Something that goes wrong, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    what: What,
    name: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    OpenFails(Option<u32>),
    CloseTakes(Duration),
    CloseFails,
    TaskFails(u32),
    TaskPanics(u32),
}

impl Fault {
    fn new(what: What, name: impl Into<String>) -> Self {
        Self { what, name: name.into() }
    }

    /// Every opening of this kind of resource fails.
    pub fn open_fails(kind: impl Into<String>) -> Self {
        Self::new(What::OpenFails(None), kind)
    }

    /// The `nth` opening of this kind fails, counted from 1 over the whole service.
    pub fn nth_open_fails(kind: impl Into<String>, nth: u32) -> Self {
        Self::new(What::OpenFails(Some(nth)), kind)
    }

    /// Every closing act of this kind takes longer by so much.
    pub fn close_takes(kind: impl Into<String>, longer: Duration) -> Self {
        Self::new(What::CloseTakes(longer), kind)
    }

    /// Every closing act of this kind is carried out and says that it failed.
    pub fn close_fails(kind: impl Into<String>) -> Self {
        Self::new(What::CloseFails, kind)
    }

    /// Instead of its poll number `poll` (from 1) the task returns an error. `task` is `component/task`, as in reports; `#2` after it
    /// means the second one of this name. The start of a component is `component/start`, its hook `component/on_stop`.
    pub fn task_fails(task: impl Into<String>, poll: u32) -> Self {
        Self::new(What::TaskFails(poll), task)
    }

    /// Instead of its poll number `poll` the task panics.
    pub fn task_panics(task: impl Into<String>, poll: u32) -> Self {
        Self::new(What::TaskPanics(poll), task)
    }

    fn fails(&self) -> bool {
        !matches!(self.what, What::CloseTakes(_))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match &self.what {
            What::OpenFails(None) => write!(f, "opening `{name}` fails"),
            What::OpenFails(Some(nth)) => write!(f, "opening `{name}` number {nth} fails"),
            What::CloseTakes(longer) => write!(f, "closing `{name}` takes {longer:?} longer"),
            What::CloseFails => write!(f, "closing `{name}` fails"),
            What::TaskFails(poll) => write!(f, "poll {poll} of `{name}` fails"),
            What::TaskPanics(poll) => write!(f, "poll {poll} of `{name}` panics"),
        }
    }
}

/// What a sweep has done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Swept {
    /// The points at which the stop was asked, as `schedule component/task@poll`: schedule by schedule, in the order of the
    /// undisturbed run.
    pub points: Vec<String>,
    /// Points of the undisturbed runs that were left out for [`Sweep::at_most`].
    pub left_out: usize,
    /// Runs that were hurried as well.
    pub pairs: usize,
    /// All runs.
    pub runs: usize,
    /// Runs that did not come to their point, because the service does not do the same every time.
    pub missed: usize,
}

/// How tasks are given the thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Schedule {
    /// Each runs until it has to wait.
    Coarse,
    /// Each is handed one item a poll.
    Fine,
}

/// The end of one poll of one task.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Point {
    task: Arc<str>,
    poll: u32,
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.task, self.poll)
    }
}

/// When one run is disturbed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Moment {
    schedule: Schedule,
    stop: Stop,
    hurry: Option<Point>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Stop {
    /// Before anything starts.
    First,
    At(Point),
    /// When its time is over.
    Last,
}

impl fmt::Display for Moment {
    /// As the variable for a replay takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.schedule {
            Schedule::Coarse => "coarse",
            Schedule::Fine => "fine",
        })?;
        match &self.stop {
            Stop::First => f.write_str(" first")?,
            Stop::At(point) => write!(f, " {point}")?,
            Stop::Last => f.write_str(" last")?,
        }
        self.hurry.as_ref().map_or(Ok(()), |point| write!(f, ", hurry {point}"))
    }
}

impl std::str::FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = "expected `coarse` or `fine`, a point such as `feed/send@3` (or `first`, `last`), \
                        and perhaps `, hurry store/on_stop@1`";
        let point = |text: &str| {
            let (task, poll) = text.rsplit_once('@')?;
            Some(Point { task: task.into(), poll: poll.parse().ok()? })
        };
        let parse = || {
            let (stop, hurry) = match text.trim().split_once(", hurry ") {
                Some((stop, hurry)) => (stop, Some(point(hurry)?)),
                None => (text.trim(), None),
            };
            let (schedule, stop) = stop.split_once(' ')?;
            let schedule = match schedule {
                "coarse" => Schedule::Coarse,
                "fine" => Schedule::Fine,
                _ => return None,
            };
            let stop = match stop {
                "first" => Stop::First,
                "last" => Stop::Last,
                at => Stop::At(point(at)?),
            };
            Some(Moment { schedule, stop, hurry })
        };
        parse().ok_or_else(|| expected.to_owned())
    }
}

/// All that is given to one run.
#[derive(Clone)]
struct Run {
    moment: Moment,
    lasting: Duration,
    seed: u64,
    faults: Arc<Vec<Fault>>,
}

/// What came of one run.
struct Ran {
    report: Report,
    verdict: Result<(), String>,
}

/// What one run has shown so far; read from outside while it runs.
#[derive(Default)]
struct Trace {
    tasks: HashMap<(u64, u32), (Arc<str>, u32)>,
    names: HashMap<String, u32>,
    before_stop: Vec<Point>,
    after_stop: Vec<Point>,
    opened: HashMap<String, u32>,
    closed: BTreeSet<String>,
    happened: BTreeSet<usize>,
    stopped: bool,
    hurried: bool,
}

impl Trace {
    /// Everything that a fault may be named by.
    fn names_seen(&self) -> BTreeSet<String> {
        let tasks = self.tasks.values().map(|(name, _)| name.to_string());
        tasks.chain(self.opened.keys().cloned()).chain(self.closed.iter().cloned()).collect()
    }
}

/// The probe of one run: counts polls, disturbs where it was told to.
struct Lens {
    run: Run,
    trace: Mutex<Trace>,
    polls: AtomicU64,
    handle: Mutex<Option<Handle>>,
}

impl Lens {
    fn new(run: Run) -> Self {
        Self { run, trace: Mutex::default(), polls: AtomicU64::new(0), handle: Mutex::default() }
    }

    fn point(&self, scope: &Inner, slot: usize) -> Point {
        let key = (scope.id, scope.serial(slot));
        let mut trace = lock(&self.trace);
        let Trace { tasks, names, .. } = &mut *trace;
        let (task, polls) = tasks.entry(key).or_insert_with(|| {
            let name = format!("{}/{}", scope.name, scope.task_name(slot));
            let nth = names.entry(name.clone()).or_default();
            *nth += 1;
            (if *nth == 1 { name } else { format!("{name}#{nth}") }.into(), 0)
        });
        Point { task: Arc::clone(task), poll: *polls + 1 }
    }

    fn stop(&self) {
        lock(&self.trace).stopped = true;
        if let Some(handle) = lock(&self.handle).as_ref() {
            handle.shared.send(Message::Stop(Reason::Requested("the test".into())));
        }
    }

    fn faults(&self) -> impl Iterator<Item = (usize, &Fault)> {
        self.run.faults.iter().enumerate()
    }
}

impl Probe for Arc<Lens> {
    fn before(&self, scope: &Inner, slot: usize, cx: Option<&mut Context<'_>>) -> Option<Injected> {
        self.polls.fetch_add(1, Ordering::Relaxed);
        let point = self.point(scope, slot);
        if let (Schedule::Fine, Some(cx)) = (self.run.moment.schedule, cx) {
            // What is left is one: enough for one item of one channel.
            for _ in 1..BUDGET {
                let _ = pin!(tokio::task::coop::consume_budget()).poll(cx);
            }
        }
        for (at, fault) in self.faults().filter(|(_, fault)| *fault.name == *point.task) {
            let text = || format!("injected: {fault}");
            let injected = match fault.what {
                What::TaskFails(poll) if poll == point.poll => Injected::Error(text().into()),
                What::TaskPanics(poll) if poll == point.poll => Injected::Panic(text()),
                _ => continue,
            };
            lock(&self.trace).happened.insert(at);
            return Some(injected);
        }
        None
    }

    fn after(&self, scope: &Inner, slot: usize) {
        let point = self.point(scope, slot);
        let begun = scope.shared.begun().is_some();
        let (stop, hurry) = {
            let mut trace = lock(&self.trace);
            if let Some((_, polls)) = trace.tasks.get_mut(&(scope.id, scope.serial(slot))) {
                *polls += 1;
            }
            let stop = !trace.stopped && matches!(&self.run.moment.stop, Stop::At(at) if *at == point);
            let hurry = trace.stopped && !trace.hurried && self.run.moment.hurry.as_ref() == Some(&point);
            trace.hurried |= hurry;
            if trace.stopped || begun { &mut trace.after_stop } else { &mut trace.before_stop }.push(point);
            (stop, hurry)
        };
        if stop {
            self.stop();
        }
        if hurry {
            scope.shared.send(Message::Hurry);
        }
    }

    fn open(&self, kind: &str) -> Option<BoxError> {
        let nth = {
            let mut trace = lock(&self.trace);
            let opened = trace.opened.entry(kind.to_owned()).or_default();
            *opened += 1;
            *opened
        };
        let fails = |what: &What| matches!(what, What::OpenFails(which) if which.is_none_or(|which| which == nth));
        let (at, fault) = self.faults().find(|(_, fault)| fault.name == kind && fails(&fault.what))?;
        lock(&self.trace).happened.insert(at);
        Some(format!("injected: {fault}").into())
    }

    fn close(&self, kind: &str) -> (Duration, Option<BoxError>) {
        let (mut longer, mut error) = (Duration::ZERO, None);
        lock(&self.trace).closed.insert(kind.to_owned());
        for (at, fault) in self.faults().filter(|(_, fault)| fault.name == kind) {
            match fault.what {
                What::CloseTakes(by) => longer += by,
                What::CloseFails => error = Some(format!("injected: {fault}").into()),
                _ => continue,
            }
            lock(&self.trace).happened.insert(at);
        }
        (longer, error)
    }

    fn seed(&self) -> u64 {
        self.run.seed
    }
}

/// Makes one run, from the building of its runtime to the check. Only a service that cannot be built is an error.
fn one_run<S>(
    run: &Run,
    lens: &Arc<Lens>,
    build: &(impl Fn(&mut Service) -> Result<S> + ?Sized),
    check: &(impl Fn(&Report, S) -> Result + ?Sized),
) -> Result<Ran, String> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    // The service itself is looked at between any two tasks, so that a stop is where it was asked.
    let runtime = runtime.enable_all().start_paused(true).event_interval(1).build();
    let runtime = runtime.map_err(|error| format!("cannot build the runtime: {error}"))?;
    let (report, state) = runtime.block_on(async {
        let mut service = Service::new("test");
        let _ = service.shared.probe.set(Box::new(Arc::clone(lens)));
        *lock(&lens.handle) = Some(service.handle());
        let state =
            build(&mut service).map_err(|error| format!("cannot build the service: {}", chain(error.as_ref())))?;
        service.check().map_err(|error| format!("the service cannot be run: {error}"))?;
        if run.moment.stop == Stop::First {
            lens.stop();
        }
        let lasting = tokio::time::sleep(run.lasting);
        let last = async {
            lasting.await;
            lock(&lens.trace).stopped = true;
            Reason::Requested("the test".into())
        };
        Ok::<_, String>((service.run(last).await, state))
    })?;
    *lock(&lens.handle) = None;
    runtime.shutdown_background();
    let verdict = match catch_unwind(AssertUnwindSafe(|| check(&report, state))) {
        Ok(result) => result.map_err(|error| chain(error.as_ref())),
        Err(panic) => Err(panic_text(&*panic)),
    };
    Ok(Ran { report, verdict })
}

type Make = Box<dyn Fn(&Run, &Arc<Lens>) -> Result<Ran, String> + Send>;

/// A thread that makes the runs, so that one which hangs can be told of.
struct Bench {
    runs: std::sync::mpsc::Sender<(Run, Arc<Lens>)>,
    results: std::sync::mpsc::Receiver<Result<Ran, String>>,
    patience: Duration,
}

impl Bench {
    fn start(make: Make, patience: Duration) -> Self {
        let (runs, to_make) = channel::<(Run, Arc<Lens>)>();
        let (made, results) = channel();
        let work = move || {
            for (run, lens) in to_make {
                if made.send(make(&run, &lens)).is_err() {
                    return;
                }
            }
        };
        let name = thread::current().name().unwrap_or("softstop-testing").to_owned();
        thread::Builder::new().name(name).spawn(work).expect("a test may start a thread");
        Self { runs, results, patience }
    }

    /// `Err` where the run does not end, or could not begin.
    fn make(&self, run: &Run) -> Result<(Ran, Trace), String> {
        let lens = Arc::new(Lens::new(run.clone()));
        let _ = self.runs.send((run.clone(), Arc::clone(&lens)));
        let (mut polls, mut quiet, mut waited) = (0, Duration::ZERO, Duration::ZERO);
        let look = Duration::from_millis(50);
        loop {
            match self.results.recv_timeout(look) {
                Ok(result) => return result.map(|ran| (ran, std::mem::take(&mut *lock(&lens.trace)))),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err("building or checking it ended the thread".to_owned());
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            let now = lens.polls.load(Ordering::Relaxed);
            quiet = if now == polls { quiet + look } else { Duration::ZERO };
            polls = now;
            waited += look;
            if quiet >= QUIET && !lock(&lens.trace).stopped {
                lens.stop();
            }
            if waited >= self.patience {
                return Err(format!("it does not end; {}", holders(&lens)));
            }
        }
    }
}

/// Who holds a thread of a run that hangs.
fn holders(lens: &Lens) -> String {
    let handle = lock(&lens.handle).clone();
    let blockers = handle.map(|handle| handle.report().blockers).unwrap_or_default();
    let still: Vec<String> = blockers.iter().filter(|b| b.still).map(ToString::to_string).collect();
    if still.is_empty() {
        let others = busy::holders().len();
        return format!("no task of it holds a thread ({others} others do)");
    }
    format!("held by {}", still.join("; "))
}

/// A sweep under way.
struct Sweeping {
    bench: Bench,
    lasting: Duration,
    most: usize,
    pairs: usize,
    seed: u64,
    faults: Arc<Vec<Fault>>,
    allowed: BTreeSet<Status>,
    repeatable: bool,
    swept: Swept,
    failures: Vec<String>,
}

impl Sweeping {
    #[track_caller]
    fn sweep(mut self) -> Swept {
        for schedule in [Schedule::Coarse, Schedule::Fine] {
            self.sweep_schedule(schedule);
        }
        if !self.failures.is_empty() {
            let (runs, points) = (self.swept.runs, self.swept.points.len());
            panic!("stopped at {points} points in {runs} runs; failed:\n{}", self.failures.join("\n"));
        }
        self.swept
    }

    fn sweep_schedule(&mut self, schedule: Schedule) {
        let whole = Moment { schedule, stop: Stop::Last, hurry: None };
        let Some((_, trace)) = self.make(&whole) else { return };
        let never = self.faults.iter().enumerate().find(|(at, _)| !trace.happened.contains(at));
        if let Some((_, fault)) = never {
            let seen = trace.names_seen().into_iter().collect::<Vec<_>>().join(", ");
            panic!("never happened: {fault}; there are {seen}");
        }
        let points = trace.before_stop;
        let mut draw = Draw::new(self.seed);
        let chosen = draw.some(points.len(), self.most);
        self.swept.left_out += points.len() - chosen.len();
        let hurried: BTreeSet<usize> = draw.some(chosen.len(), self.pairs).into_iter().map(|at| chosen[at]).collect();
        let _ = self.make(&Moment { schedule, stop: Stop::First, hurry: None });
        for at in chosen {
            if self.failures.len() >= MOST_FAILURES {
                return;
            }
            let moment = Moment { schedule, stop: Stop::At(points[at].clone()), hurry: None };
            self.swept.points.push(format!("{moment}"));
            let Some((_, trace)) = self.make(&moment) else { continue };
            if !trace.before_stop.contains(&points[at]) {
                self.swept.missed += 1;
            }
            if hurried.contains(&at) && !trace.after_stop.is_empty() {
                let hurry = trace.after_stop[draw.below(trace.after_stop.len())].clone();
                self.swept.pairs += 1;
                let _ = self.make(&Moment { hurry: Some(hurry), ..moment });
            }
        }
    }

    /// Makes one run and notes what is wrong with it. `None` where it has failed.
    fn make(&mut self, moment: &Moment) -> Option<(Ran, Trace)> {
        let run =
            Run { moment: moment.clone(), lasting: self.lasting, seed: self.seed, faults: Arc::clone(&self.faults) };
        self.swept.runs += 1;
        let (ran, trace) = match self.bench.make(&run) {
            Ok(made) => made,
            Err(error) => {
                self.fail(moment, &error);
                // Its thread is lost, and with it every further run.
                let shown = self.failures.join("\n");
                panic!("stopped at {} points in {} runs; failed:\n{shown}", self.swept.points.len(), self.swept.runs);
            }
        };
        let mut wrong = self.wrong_with(&ran, moment);
        if wrong.is_none() && self.repeatable && self.swept.runs.is_multiple_of(TWICE) {
            self.swept.runs += 1;
            wrong = match self.bench.make(&run) {
                Ok((again, _)) => difference(&ran.report, &again.report),
                Err(error) => Some(error),
            };
        }
        match wrong {
            None => Some((ran, trace)),
            Some(wrong) => {
                self.fail(moment, &wrong);
                None
            }
        }
    }

    fn fail(&mut self, moment: &Moment, wrong: &str) {
        let test = thread::current().name().filter(|name| *name != "main").map(str::to_owned).unwrap_or_default();
        let replay = format!("SOFTSTOP_REPLAY='{moment}' cargo test --all-features {test}");
        self.failures.push(format!("  {moment}: {wrong}\n    replay: {}", replay.trim_end()));
    }

    fn wrong_with(&self, ran: &Ran, moment: &Moment) -> Option<String> {
        let report = &ran.report;
        if let Err(error) = &ran.verdict {
            return Some(error.clone());
        }
        if report.took > report.total {
            return Some(format!("the stop took {:?} of at most {:?}", report.took, report.total));
        }
        let tasks = || report.components.iter().flat_map(|c| c.tasks.iter().map(move |t| (c, t)));
        if let Some((c, t)) = tasks().find(|(_, t)| matches!(t.outcome, None | Some(Outcome::Stuck))) {
            return Some(format!("stuck: {}/{}, spawned at {}", c.name, t.name, t.site));
        }
        // With a hurry a declared loss is what was asked for; without one it is a loss.
        let hurried = moment.hurry.is_some() && report.status == Status::Lost;
        if !self.allowed.contains(&report.status) && !hurried {
            let aborted = tasks().find(|(_, t)| t.outcome == Some(Outcome::Aborted));
            let who = aborted.map_or(String::new(), |(c, t)| format!("; {}/{} was aborted", c.name, t.name));
            return Some(format!("status {} ({}){who}", report.status.code(), report.why));
        }
        // A task that fails drops what it holds, and has not forgotten it.
        let forgotten = report.leaks.first().filter(|_| report.failures.is_empty());
        if let Some(leak) = forgotten {
            return Some(format!("{} left open by {}, opened at {}", leak.kind, leak.task, leak.site));
        }
        let open = report.components.iter().flat_map(|c| &c.open).next();
        open.map(|open| format!("{} still open, opened at {}", open.kind, open.site))
    }

    #[track_caller]
    #[expect(clippy::print_stderr, reason = "a replay is made to be read")]
    fn replay(mut self, moment: Moment) -> Swept {
        let Some((ran, trace)) = self.make(&moment) else {
            panic!("replayed:\n{}", self.failures.join("\n"));
        };
        let points = |points: &[Point]| points.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        eprintln!("replayed {moment}\n{}", ran.report.timeline(120));
        eprintln!("before the stop: {}\nafter it: {}", points(&trace.before_stop), points(&trace.after_stop));
        if matches!(&moment.stop, Stop::At(point) if !trace.before_stop.contains(point)) {
            eprintln!("it did not come to {moment}");
        }
        self.swept
    }
}

/// The first difference between two reports of the same run; blockers are measured in real time and left out.
fn difference(one: &Report, other: &Report) -> Option<String> {
    let json = |report: &Report| Report { blockers: Vec::new(), ..report.clone() }.to_json();
    let (one, other) = (json(one), json(other));
    let (a, b) = one.lines().zip(other.lines()).find(|(a, b)| a != b)?;
    Some(format!(
        "the same run gave two reports: `{}` and `{}`; if the service draws at random, say `not_repeatable`",
        a.trim(),
        b.trim()
    ))
}

/// Draws numbers by a seed: splitmix64, <https://prng.di.unimi.it/splitmix64.c>.
struct Draw(u64);

impl Draw {
    fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % (n.max(1) as u64)).unwrap_or_default()
    }

    /// At most `most` of the numbers below `n`, in order.
    fn some(&mut self, n: usize, most: usize) -> Vec<usize> {
        if n <= most {
            return (0..n).collect();
        }
        let mut chosen = BTreeSet::new();
        while chosen.len() < most {
            chosen.insert(self.below(n));
        }
        chosen.into_iter().collect()
    }
}
