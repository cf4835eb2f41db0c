//! What one run shows of itself, and what is done to it.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    task::Context,
    time::Duration,
};

use crate::{
    driver::Message,
    error::BoxError,
    inner::Inner,
    machine::Reason,
    probe::{Injected, Probe},
    service::Handle,
    shared::lock,
};

use super::{
    bench::QUIET,
    fault::{Fault, What},
    gate::Gate,
    moment::{Moment, Point, Schedule, Stop},
};

/// What tokio gives a task for one poll; see the module `coop` of tokio.
const BUDGET: u32 = 128;

/// All that is given to one run.
#[derive(Clone)]
pub(super) struct Run {
    pub(super) moment: Moment,
    pub(super) lasting: Duration,
    pub(super) seed: u64,
    pub(super) faults: Arc<Vec<Fault>>,
}

/// What one run has shown so far; read from outside while it runs.
#[derive(Default)]
pub(super) struct Trace {
    pub(super) tasks: HashMap<(u64, u32), (Arc<str>, u32)>,
    pub(super) jobs: HashSet<(u64, u32)>,
    pub(super) names: HashMap<String, u32>,
    pub(super) before_stop: Vec<Point>,
    pub(super) after_stop: Vec<Point>,
    pub(super) opened: HashMap<String, u32>,
    pub(super) closed: BTreeSet<String>,
    pub(super) happened: BTreeSet<usize>,
    pub(super) stopped: bool,
    pub(super) hurried: bool,
}

impl Trace {
    /// Everything that a fault may be named by.
    pub(super) fn names_seen(&self) -> BTreeSet<String> {
        let tasks = self.tasks.values().map(|(name, _)| name.to_string());
        tasks.chain(self.opened.keys().cloned()).chain(self.closed.iter().cloned()).collect()
    }
}

/// The probe of one run: counts polls, disturbs where it was told to.
pub(super) struct Lens {
    pub(super) run: Run,
    pub(super) trace: Mutex<Trace>,
    pub(super) polls: AtomicU64,
    pub(super) handle: Mutex<Option<Handle>>,
    pub(super) gate: Arc<Gate>,
}

impl Lens {
    pub(super) fn new(run: Run) -> Self {
        Self { run, trace: Mutex::default(), polls: AtomicU64::new(0), handle: Mutex::default(), gate: Arc::default() }
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

    pub(super) fn stop(&self) {
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
        if cx.is_none() {
            self.gate.pass(QUIET);
            lock(&self.trace).jobs.insert((scope.id, scope.serial(slot)));
        }
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
            let key = (scope.id, scope.serial(slot));
            if let Some((_, polls)) = trace.tasks.get_mut(&key) {
                *polls += 1;
            }
            if trace.jobs.contains(&key) {
                return;
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
