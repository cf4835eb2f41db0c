//! The state of one scope: its tasks, how far its stop has come, and who waits for what.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasher, RandomState},
    panic::Location,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use slab::Slab;
use tokio::{
    sync::{Notify, futures::Notified},
    task::AbortHandle,
};

use crate::{
    bell::Bell,
    busy::Doing,
    driver::Message,
    error::Result,
    ledger::Ledger,
    machine::{Level, Reason, Time},
    plan::ABORT_GRACE,
    report::{Blocker, Failure, Saved, TaskGroup},
    scope::Hook,
    shared::{Shared, lock, nanos, next_number},
    stage::Stage,
    task::{Guard, Job, Kind, Name, OUTCOMES, Outcome, Task, Tracked, current, mark_current_as_draining},
};

pub(crate) use crate::stage::Phase;

/// Names of tasks that one scope keeps apart; the tasks of further names are counted together.
const MOST_GROUPS: usize = 512;

/// From so many tasks on they are woken from a worker: woken from outside, each would be handed over
/// on its own, and the workers would fall asleep between two of them.
const MANY: usize = 256;

/// 24 bytes: there may be a million of them.
struct Entry {
    abort: Option<AbortHandle>,
    /// Tells this task from an earlier one in the same slot.
    serial: u32,
    /// Milliseconds from the cancel of its scope to its last poll.
    polled: u32,
    group: u16,
    kind: Kind,
    drains: bool,
    stuck: bool,
    /// Its failure stops nobody.
    ignored: bool,
}

const _: () = assert!(MOST_GROUPS < u16::MAX as usize && size_of::<Entry>() <= 24);

/// The tasks of a scope by name and spawn site.
#[derive(Default)]
struct Groups {
    rows: Vec<Group>,
    /// Found last: most tasks are one of many of a name.
    last: u16,
    by_hash: HashMap<u64, u16>,
    hasher: RandomState,
}

struct Group {
    name: Name,
    site: &'static Location<'static>,
    counts: [u64; OUTCOMES.len()],
    /// Tasks of the user that have not ended.
    running: u64,
    restarts: u64,
    /// The aborted and the stuck of them that observers have been told of.
    told: [u64; 2],
}

impl Group {
    /// Whether a task of the user has ended in it, or will be run again.
    fn is_used(&self) -> bool {
        self.restarts > 0 || self.counts.iter().any(|n| *n > 0)
    }
}

pub(crate) struct Local {
    phase: Phase,
    /// Tasks of this scope and of those nested in it that have not gone.
    live: usize,
    /// Those of them that hold the drain.
    drainers: usize,
    tasks: Slab<Entry>,
    /// When a task counts as stuck, after it was aborted for being idle; by its slot.
    stuck_at: BTreeMap<usize, Time>,
    /// After a cancel: tasks that were left at the last look, and when the last one was seen to have gone.
    seen: (usize, Time),
    enrolled: u32,
    groups: Groups,
    children: Vec<Arc<Inner>>,
    cancelled_at: Time,
    pub(crate) hook: Option<Hook>,
    pub(crate) ledger: Ledger,
    /// Where failures go instead of stopping the service.
    pub(crate) failures: Option<Vec<Failure>>,
    /// How `on_stop` went; `None` as long as its turn has not come.
    pub(crate) saved: Option<Saved>,
    pub(crate) cut_saves: u64,
    /// The run has ended: what comes back is dropped.
    pub(crate) dissolved: bool,
    /// Cancelled because nobody held the drain any more, not because of the time.
    pub(crate) drained: bool,
    pub(crate) cut_closes: u64,
    /// Starts, and destructors of products, that never reached an await point.
    pub(crate) stuck_steps: u64,
}

impl Local {
    /// `None` for a stuck task whose scope has gone and handed its counts on.
    fn group(&self, entry: &Entry) -> Option<&Group> {
        self.groups.rows.get(usize::from(entry.group))
    }

    /// Whether giving up now would lose what `on_stop` is to save.
    pub(crate) fn save_is_pending(&self) -> bool {
        self.hook.is_some() || matches!(self.saved, Some(Saved::NotRun | Saved::Unfinished))
    }

    /// Its steps are over, nobody holds what was opened here, and no scope nested in it is left.
    fn has_gone(&self) -> bool {
        self.phase >= Phase::Closing && !self.save_is_pending() && self.ledger.is_empty() && self.children.is_empty()
    }
}

/// One scope: a component's own, or one nested in another.
pub(crate) struct Inner {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) component: usize,
    /// Where the program describes it.
    pub(crate) site: &'static Location<'static>,
    pub(crate) shared: Arc<Shared>,
    parent: Option<Arc<Inner>>,
    stage: Stage,
    told: Notify,
    /// The end of the present step, in nanoseconds; `u64::MAX` without one.
    limit: AtomicU64,
    reason: OnceLock<Reason>,
    /// For a nested scope: something has ended that its `stop` may wait for.
    pub(crate) progress: Notify,
    /// For a component's scope: tells the driver of progress, once until it looks.
    bell: Bell,
    pub(crate) local: Mutex<Local>,
}

impl Inner {
    pub(crate) fn new(
        name: String,
        component: usize,
        site: &'static Location<'static>,
        shared: Arc<Shared>,
        parent: Option<Arc<Inner>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            id: next_number(),
            name,
            component,
            site,
            shared,
            parent,
            stage: Stage::new(),
            told: Notify::new(),
            limit: AtomicU64::new(u64::MAX),
            reason: OnceLock::new(),
            progress: Notify::new(),
            bell: Bell::default(),
            local: Mutex::new(Local {
                phase: Phase::Running,
                live: 0,
                drainers: 0,
                tasks: Slab::new(),
                stuck_at: BTreeMap::new(),
                seen: (0, Time::ZERO),
                enrolled: 0,
                groups: Groups::default(),
                children: Vec::new(),
                cancelled_at: Time::ZERO,
                hook: None,
                ledger: Ledger::default(),
                failures: None,
                saved: None,
                cut_saves: 0,
                dissolved: false,
                drained: false,
                cut_closes: 0,
                stuck_steps: 0,
            }),
        })
    }

    /// Its name without those of the scopes around it.
    fn short_name(&self) -> &str {
        let outer = self.parent.as_ref().map_or("", |parent| parent.name.as_str());
        self.name.strip_prefix(outer).and_then(|name| name.strip_prefix('/')).unwrap_or(&self.name)
    }

    pub(crate) fn phase(&self) -> Phase {
        self.stage.phase()
    }

    pub(crate) fn reason(&self) -> Option<Reason> {
        self.reason.get().cloned()
    }

    /// From now on the driver is told of progress.
    pub(crate) fn watch(&self) {
        self.bell.watch();
    }

    // ---- the stop, from outside ---------------------------------------------------------

    /// Moves this scope and those nested in it on to `phase`, and wakes who waits for it.
    pub(crate) fn advance(self: &Arc<Self>, phase: Phase, limit: Option<Time>, reason: &Reason) {
        let (children, live) = {
            let mut local = lock(&self.local);
            if phase == Phase::Cancelled && local.phase < phase {
                local.cancelled_at = self.shared.now();
                local.seen = (local.live, local.cancelled_at);
            }
            local.phase = local.phase.max(phase);
            let _ = self.reason.set(reason.clone());
            self.watch();
            self.set_limit(limit);
            self.stage.reach(local.phase);
            (local.children.clone(), local.live)
        };
        // Nested scopes first: who is woken here may look at them at once.
        for child in children {
            child.advance(phase, limit, reason);
        }
        let inner = Arc::clone(self);
        self.on_a_worker_if(live > MANY, move || inner.told.notify_waiters());
    }

    fn on_a_worker_if(&self, many: bool, wake: impl FnOnce() + Send + 'static) {
        match self.shared.runtime.get() {
            Some(runtime) if many => drop(runtime.spawn(async move { wake() })),
            _ => wake(),
        }
    }

    fn abort_all(&self, handles: Vec<AbortHandle>) {
        self.on_a_worker_if(handles.len() > MANY, move || handles.iter().for_each(AbortHandle::abort));
    }

    /// The scope is about to be cancelled only because nobody holds its drain.
    pub(crate) fn note_drained(&self) {
        for child in self.children() {
            child.note_drained();
        }
        let mut local = lock(&self.local);
        local.drained = local.phase == Phase::Draining;
    }

    /// Whether a task that comes late to its queue may still empty it: the scope was cancelled
    /// because nobody seemed to drain, and nobody is in a hurry.
    pub(crate) fn may_drain_late(&self) -> bool {
        self.phase() == Phase::Cancelled && self.shared.level() == Level::Graceful && lock(&self.local).drained
    }

    pub(crate) fn set_limit(&self, limit: Option<Time>) {
        self.limit.store(limit.map_or(u64::MAX, nanos), Ordering::Release);
    }

    pub(crate) fn limit(&self) -> Option<Time> {
        let limit = self.limit.load(Ordering::Acquire);
        (limit != u64::MAX).then(|| Duration::from_nanos(limit))
    }

    /// The nearest end of a step of this scope and those around it.
    pub(crate) fn nearest_limit(&self) -> Option<Time> {
        let outer = self.parent.as_ref().and_then(|parent| parent.nearest_limit());
        self.limit().into_iter().chain(outer).min()
    }

    /// Drops the futures of the tasks that `which` picks, here and in nested scopes.
    pub(crate) fn abort(&self, which: impl Fn(Kind) -> bool + Copy) {
        let (handles, children) = {
            let mut local = lock(&self.local);
            let picked = local.tasks.iter_mut().filter(|(_, entry)| which(entry.kind));
            (picked.filter_map(|(_, entry)| entry.abort.take()).collect::<Vec<_>>(), local.children.clone())
        };
        self.abort_all(handles);
        for child in children {
            child.abort(which);
        }
    }

    /// Aborts the tasks that were not polled for `idle`; returns when to look again. What has not
    /// gone 100 ms later is stuck; so is at once a blocking job, which cannot be aborted. While tasks keep
    /// going the 100 ms start anew: those that are left wait for a processor only.
    pub(crate) fn abort_idle(&self, idle: Duration) -> Option<Time> {
        let now = self.shared.now();
        let (mut handles, mut next) = (Vec::new(), None::<Time>);
        let children = {
            let mut local = lock(&self.local);
            if local.live < local.seen.0 {
                local.seen = (local.live, now);
            }
            let Local { tasks, groups, cancelled_at, seen: (_, moved), stuck_at, stuck_steps, .. } = &mut *local;
            let (mut stuck, mut drains) = (0, 0);
            for (slot, entry) in tasks.iter_mut().filter(|(_, entry)| !entry.stuck) {
                if !entry.kind.cooperates() {
                    // Aborted when it was cancelled: it should have gone long ago.
                    stuck_at.insert(slot, *moved + ABORT_GRACE);
                }
                if let Some(at) = stuck_at.get_mut(&slot).filter(|_| entry.kind != Kind::Blocking) {
                    *at = (*at).max(*moved + ABORT_GRACE);
                }
                let polled = Duration::from_millis(entry.polled.into());
                let idle_at = cancelled_at.saturating_add(polled).saturating_add(idle);
                if idle_at <= now && !stuck_at.contains_key(&slot) {
                    handles.extend(entry.abort.take());
                    let grace = if entry.kind == Kind::Blocking { Duration::ZERO } else { ABORT_GRACE };
                    stuck_at.insert(slot, now + grace);
                }
                let due = stuck_at.get(&slot).copied().unwrap_or(idle_at);
                if due > now {
                    next = Some(next.map_or(due, |next| next.min(due)));
                    continue;
                }
                entry.stuck = true;
                stuck += 1;
                drains += usize::from(entry.drains);
                if entry.kind.counted() {
                    count(groups, entry.group, Outcome::Stuck);
                } else {
                    *stuck_steps += 1;
                }
            }
            self.release(&mut local, stuck, drains);
            local.children.clone()
        };
        self.abort_all(handles);
        let below = children.iter().filter_map(|child| child.abort_idle(idle)).min();
        next.into_iter().chain(below).min()
    }

    /// Counts everything that is left as gone, with this outcome. Parts of a save or a close that are
    /// left are counted where these are cut; other steps are stuck ones.
    pub(crate) fn give_up(&self, outcome: Outcome) {
        for child in self.children() {
            child.give_up(outcome);
        }
        let mut local = lock(&self.local);
        let Local { tasks, groups, stuck_steps, phase, .. } = &mut *local;
        let (mut live, mut drains) = (0, 0);
        for (_, entry) in tasks.iter_mut().filter(|(_, entry)| !entry.stuck) {
            entry.stuck = true;
            live += 1;
            drains += usize::from(entry.drains);
            if entry.kind.counted() {
                count(groups, entry.group, outcome);
            } else if *phase == Phase::Aborted {
                // Later ones are parts of a save or a close, which are counted as cut.
                *stuck_steps += 1;
            }
        }
        self.release(&mut local, live, drains);
    }

    pub(crate) fn children(&self) -> Vec<Arc<Inner>> {
        lock(&self.local).children.clone()
    }

    /// This scope and all nested in it, outermost first.
    pub(crate) fn family(self: &Arc<Self>) -> Vec<Arc<Inner>> {
        let mut family = vec![Arc::clone(self)];
        let mut at = 0;
        while at < family.len() {
            let children = family[at].children();
            family.extend(children);
            at += 1;
        }
        family
    }

    /// Shows `look` the state of this scope and of all nested in it, outermost first. What a scope that leaves
    /// meanwhile has counted is seen once: there or in its parent.
    pub(crate) fn each(&self, look: &mut impl FnMut(&Self, &Local)) {
        let children = {
            let local = lock(&self.local);
            look(self, &local);
            local.children.clone()
        };
        for child in children {
            child.each(look);
        }
    }

    pub(crate) fn live(&self) -> usize {
        self.bell.heard();
        lock(&self.local).live
    }

    pub(crate) fn drainers(&self) -> usize {
        self.bell.heard();
        // Under the lock: else a task is missed that one that ends at this moment has just spawned.
        let local = lock(&self.local);
        local.drainers + self.stage.unpolled()
    }

    /// How the tasks ended so far, those of nested scopes under `nested/task`.
    pub(crate) fn groups(&self) -> Vec<TaskGroup> {
        let mut rows = Vec::new();
        let local = lock(&self.local);
        for group in &local.groups.rows {
            rows.extend(TaskGroup::rows(&group.name, group.site, &group.counts, group.restarts, group.running));
        }
        let children = local.children.clone();
        drop(local);
        for child in children {
            let short = child.short_name().to_owned();
            rows.extend(child.groups().into_iter().map(|row| row.within(&short)));
        }
        rows
    }

    /// The tasks that were given up since the last time, those of nested scopes under `nested/task`.
    pub(crate) fn take_stragglers(&self) -> Vec<TaskGroup> {
        let mut rows = Vec::new();
        let mut local = lock(&self.local);
        for Group { name, site, counts, restarts, told, .. } in &mut local.groups.rows {
            for (told, outcome) in told.iter_mut().zip([Outcome::Aborted, Outcome::Stuck]) {
                let all = OUTCOMES.iter().zip(&*counts).find(|(o, _)| **o == outcome).map_or(0, |(_, count)| *count);
                if all > *told {
                    let (name, site, count) = (name.to_string(), site.to_string(), all - *told);
                    rows.push(TaskGroup { name, site, outcome: Some(outcome), count, restarts: *restarts });
                    *told = all;
                }
            }
        }
        let children = local.children.clone();
        drop(local);
        for child in children {
            rows.extend(child.take_stragglers().into_iter().map(|row| row.within(child.short_name())));
        }
        rows
    }

    // ---- tasks, from inside -------------------------------------------------------------

    /// Takes one more task in, or refuses it; both at once for this scope and those around it.
    fn admit(&self, local: &mut Local, kind: Kind) -> bool {
        let open = match kind {
            Kind::Step => true,
            Kind::Start => local.phase < Phase::Cancelled,
            Kind::Sweep => local.phase < Phase::Closing,
            Kind::Plain => local.phase < Phase::Cancelled || local.phase == Phase::Saving,
            _ => local.phase < Phase::Aborted || local.phase == Phase::Saving,
        };
        let admitted = open && self.parent.as_ref().is_none_or(|p| p.admit(&mut lock(&p.local), kind));
        if admitted {
            local.live += 1;
            local.drainers += usize::from(kind == Kind::Critical);
            if kind == Kind::Cooperative {
                self.stage.admit();
            }
        }
        admitted
    }

    /// The counterpart of `admit`: wakes who waits for the last one.
    fn release(&self, local: &mut Local, live: usize, drains: usize) {
        local.live -= live;
        local.drainers -= drains;
        let drained = drains > 0 && local.drainers == 0 && local.phase >= Phase::Draining;
        if live > 0 && (local.live == 0 || local.phase >= Phase::Aborted) || drained {
            self.report_progress();
        }
        if let Some(parent) = &self.parent {
            parent.release(&mut lock(&parent.local), live, drains);
        }
    }

    fn report_progress(&self) {
        if self.parent.is_some() {
            self.progress.notify_one();
        } else if self.bell.ring() {
            self.shared.send(Message::Progress(self.component));
        }
    }

    /// Runs `future` as a task of this scope, or hands it back.
    pub(crate) fn run<T, F>(
        self: &Arc<Self>,
        name: Name,
        kind: Kind,
        ignored: bool,
        site: &'static Location<'static>,
        future: F,
    ) -> Result<Task<T>, F>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let Some((slot, serial)) = self.enrol(&name, kind, ignored, site) else { return Err(future) };
        let guard = Guard::new(Arc::clone(self), slot, kind);
        #[expect(clippy::disallowed_methods, reason = "this is the one place where tasks come into being")]
        let join = match self.shared.runtime.get() {
            Some(runtime) => runtime.spawn(Tracked::new(future, guard)),
            None => tokio::spawn(Tracked::new(future, guard)),
        };
        self.note_abort_handle(slot, serial, kind, join.abort_handle());
        Ok(Task { name, kind, join: Some(join) })
    }

    /// Runs `job`, which is given its slot, on the pool for blocking jobs.
    pub(crate) fn run_job<T, J>(self: &Arc<Self>, name: Name, site: &'static Location<'static>, job: J) -> Task<T>
    where
        T: Send + 'static,
        J: FnOnce(usize, u32) -> Result<T> + Send + 'static,
    {
        let kind = Kind::Blocking;
        let Some((slot, serial)) = self.enrol(&name, kind, false, site) else {
            return Task { name, kind, join: None };
        };
        let guard = Guard::new(Arc::clone(self), slot, kind);
        let job = Job::new(move || job(slot, serial), guard);
        let join = match self.shared.runtime.get() {
            Some(runtime) => runtime.spawn_blocking(|| job.run()),
            None => tokio::task::spawn_blocking(|| job.run()),
        };
        self.note_abort_handle(slot, serial, kind, join.abort_handle());
        Task { name, kind, join: Some(join) }
    }

    fn enrol(&self, name: &Name, kind: Kind, ignored: bool, site: &'static Location<'static>) -> Option<(usize, u32)> {
        let mut local = lock(&self.local);
        if !self.admit(&mut local, kind) {
            return None;
        }
        let group = local.groups.find(name, site);
        local.enrolled = local.enrolled.wrapping_add(1);
        let serial = local.enrolled;
        let drains = kind == Kind::Critical;
        local.groups.rows[usize::from(group)].running += u64::from(kind.counted());
        // Who comes after the cancel is idle no earlier than others that were polled now.
        let late = local.phase >= Phase::Cancelled;
        let polled = if late { since_cancel(&local, self.shared.now()) } else { 0 };
        let entry = Entry { abort: None, serial, polled, group, kind, drains, stuck: false, ignored };
        Some((local.tasks.insert(entry), serial))
    }

    /// A stop may have passed between enrolling and spawning: then the abort is made good here.
    fn note_abort_handle(&self, slot: usize, serial: u32, kind: Kind, abort: AbortHandle) {
        let mut local = lock(&self.local);
        let late = match local.phase {
            Phase::Running | Phase::Unready | Phase::Draining | Phase::Saving => false,
            Phase::Cancelled => !kind.cooperates(),
            Phase::Aborted | Phase::Closing => kind != Kind::Step,
        };
        if late {
            abort.abort();
        }
        // The task may have ended already, and its slot been taken by another one.
        if let Some(entry) = local.tasks.get_mut(slot).filter(|entry| entry.serial == serial) {
            entry.abort = Some(abort);
        }
    }

    pub(crate) fn ended(&self, slot: usize, kind: Kind, outcome: Outcome) {
        let mut local = lock(&self.local);
        let Some(entry) = local.tasks.try_remove(slot) else { return };
        if !local.stuck_at.is_empty() {
            local.stuck_at.remove(&slot);
        }
        if entry.stuck {
            return; // It was counted when it was given up.
        }
        if kind.counted() {
            count(&mut local.groups, entry.group, outcome);
        }
        self.release(&mut local, 1, usize::from(entry.drains));
    }

    /// A cooperative task has had its first poll, in which it could have come to hold the drain.
    pub(crate) fn first_polled(&self) {
        if self.stage.first_polled() {
            self.report_progress();
        }
        if let Some(parent) = &self.parent {
            parent.first_polled();
        }
    }

    fn holds_drain(&self, slot: usize) {
        let mut local = lock(&self.local);
        if let Some(entry) = local.tasks.get_mut(slot).filter(|e| !e.stuck && !e.drains) {
            entry.drains = true;
            self.hold(&mut local);
        }
    }

    fn hold(&self, local: &mut Local) {
        local.drainers += 1;
        if let Some(parent) = &self.parent {
            parent.hold(&mut lock(&parent.local));
        }
    }

    pub(crate) fn polled(&self, slot: usize) {
        if self.phase() >= Phase::Cancelled {
            let now = self.shared.now();
            let mut local = lock(&self.local);
            let polled = since_cancel(&local, now);
            if let Some(entry) = local.tasks.get_mut(slot) {
                entry.polled = polled;
            }
        }
    }

    /// A blocking job has looked at its flag, which may outlive it.
    pub(crate) fn looked(&self, slot: usize, serial: u32) {
        if self.phase() >= Phase::Cancelled {
            let now = self.shared.now();
            let mut local = lock(&self.local);
            let polled = since_cancel(&local, now);
            if let Some(entry) = local.tasks.get_mut(slot).filter(|entry| entry.serial == serial) {
                entry.polled = polled;
            }
        }
    }

    /// What tells this task from every other one of its scope.
    #[cfg_attr(not(feature = "testing"), expect(dead_code, reason = "only a probe asks"))]
    pub(crate) fn serial(&self, slot: usize) -> u32 {
        lock(&self.local).tasks.get(slot).map_or(0, |entry| entry.serial)
    }

    pub(crate) fn task_name(&self, slot: usize) -> Name {
        let local = lock(&self.local);
        let group = local.tasks.get(slot).and_then(|entry| local.group(entry));
        group.map_or(Name::Borrowed("?"), |group| group.name.clone())
    }

    /// The task has held its thread for long, and has come back.
    pub(crate) fn held(&self, slot: usize, doing: Doing, held: Duration) {
        if let Some(blocker) = self.blocker(slot, doing, held, false) {
            self.shared.note_blocker(blocker);
        }
    }

    /// Who holds a thread, where the task is one of this scope.
    pub(crate) fn blocker(&self, slot: usize, doing: Doing, held: Duration, still: bool) -> Option<Blocker> {
        let local = lock(&self.local);
        let group = local.group(local.tasks.get(slot)?)?;
        let (component, task, site) = (self.name.clone(), group.name.to_string(), group.site.to_string());
        Some(Blocker { component, task, site, doing, count: 1, longest: held, still })
    }

    /// From now on the failure of this task stops nobody.
    pub(crate) fn ignore(&self, slot: usize) {
        if let Some(entry) = lock(&self.local).tasks.get_mut(slot) {
            entry.ignored = true;
        }
    }

    pub(crate) fn count_restart(&self, slot: usize) {
        let mut local = lock(&self.local);
        let group = local.tasks.get(slot).map(|entry| usize::from(entry.group));
        if let Some(group) = group.and_then(|group| local.groups.rows.get_mut(group)) {
            group.restarts += 1;
        }
    }

    /// A task has failed or panicked: to whoever takes failures here or further out.
    pub(crate) fn failed(&self, slot: usize, kind: Kind, outcome: Outcome, message: &str) {
        let failure = {
            let local = lock(&self.local);
            let entry = local.tasks.get(slot);
            // What was given up as stuck has been reported as that.
            if !kind.counted() || entry.is_some_and(|entry| entry.ignored || entry.stuck) {
                return;
            }
            let group = entry.and_then(|entry| local.group(entry));
            Failure {
                component: self.name.clone(),
                task: group.map(|group| group.name.to_string()),
                site: group.map(|group| group.site.to_string()),
                outcome,
                message: message.to_owned(),
                at: self.shared.now(),
            }
        };
        self.take_failure(failure);
    }

    fn take_failure(&self, failure: Failure) {
        {
            let mut local = lock(&self.local);
            if let Some(taken) = &mut local.failures {
                taken.push(failure);
                self.progress.notify_one();
                return;
            }
        }
        match &self.parent {
            Some(parent) => parent.take_failure(failure),
            None => self.shared.send(Message::Failed(self.component, failure)),
        }
    }

    /// Wakes at the next step of the stop.
    pub(crate) fn notified(&self) -> Notified<'_> {
        self.told.notified()
    }

    pub(crate) fn stop_reason(&self) -> Reason {
        self.reason().unwrap_or_else(|| Reason::Requested("the end of the service".into()))
    }

    /// The present task holds the drain from now on.
    pub(crate) fn mark_draining(&self) {
        let Some(current) = current().filter(|current| !current.drains) else { return };
        // A task may use the scope around its own, or one within it: it holds its own drain, and
        // with it that of its component.
        let mut root = self;
        while let Some(parent) = root.parent.as_deref().filter(|_| root.id != current.scope) {
            root = parent;
        }
        if root.id == current.scope {
            mark_current_as_draining();
            return root.holds_drain(current.slot);
        }
        let mut left = root.children();
        while let Some(scope) = left.pop() {
            if scope.id == current.scope {
                mark_current_as_draining();
                return scope.holds_drain(current.slot);
            }
            left.extend(scope.children());
        }
    }
}

/// Runs a task of the library itself beside all scopes. It holds nothing of the user's and nobody waits
/// for it: the answer to a question, the making of outputs.
pub(crate) fn spawn_apart<F>(runtime: &tokio::runtime::Handle, task: F) -> tokio::task::JoinHandle<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    runtime.spawn(task)
}

fn since_cancel(local: &Local, now: Time) -> u32 {
    u32::try_from(now.saturating_sub(local.cancelled_at).as_millis()).unwrap_or(u32::MAX)
}

/// One task of the user has ended so.
fn count(groups: &mut Groups, group: u16, outcome: Outcome) {
    if let Some(at) = OUTCOMES.iter().position(|o| *o == outcome) {
        let group = &mut groups.rows[usize::from(group)];
        group.counts[at] += 1;
        group.running -= 1;
    }
}

impl Groups {
    fn find(&mut self, name: &Name, site: &'static Location<'static>) -> u16 {
        let same = |group: &Group| std::ptr::eq(group.site, site) && group.name == *name;
        if self.rows.get(usize::from(self.last)).is_some_and(same) {
            return self.last;
        }
        self.last = self.find_by_hash(name, site, same);
        self.last
    }

    fn find_by_hash(&mut self, name: &Name, site: &'static Location<'static>, same: impl Fn(&Group) -> bool) -> u16 {
        let hash = self.hasher.hash_one((std::ptr::from_ref(site), name));
        if let Some(&at) = self.by_hash.get(&hash)
            && same(&self.rows[usize::from(at)])
        {
            return at;
        }
        if self.rows.len() > MOST_GROUPS {
            return MOST_GROUPS as u16;
        }
        // Also where two groups have one hash: the later one is counted in a row of its own each time.
        let name = if self.rows.len() < MOST_GROUPS { name.clone() } else { Name::Borrowed("(other tasks)") };
        let at = self.rows.len() as u16;
        self.rows.push(Group { name, site, counts: [0; OUTCOMES.len()], running: 0, restarts: 0, told: [0; 2] });
        self.by_hash.entry(hash).or_insert(at);
        at
    }
}

impl Inner {
    /// The oldest failure collected here; the scope goes on collecting.
    pub(crate) fn next_failure(&self) -> Option<Failure> {
        let mut local = lock(&self.local);
        let failures = local.failures.as_mut().filter(|failures| !failures.is_empty())?;
        Some(failures.remove(0))
    }

    pub(crate) fn remaining_failures(&self) -> Vec<Failure> {
        lock(&self.local).failures.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// A nested scope has gone, with those nested in it: its counts become its parent's. They stay here, too, for
    /// a report in the making that has seen the parent without them.
    pub(crate) fn leave_parent(&self) {
        let Some(parent) = &self.parent else { return };
        for child in self.children() {
            child.leave_parent();
        }
        let local = lock(&self.local);
        if !local.has_gone() {
            return; // What is left to do is the parent's.
        }
        let mut outer = lock(&parent.local);
        outer.cut_saves += local.cut_saves;
        outer.cut_closes += local.cut_closes;
        outer.stuck_steps += local.stuck_steps;
        outer.children.retain(|child| child.id != self.id);
        for group in local.groups.rows.iter().filter(|group| group.is_used()) {
            let name = format!("{}/{}", self.short_name(), group.name).into();
            let at = usize::from(outer.groups.find(&name, group.site));
            outer.groups.rows[at].restarts += group.restarts;
            for (sum, n) in outer.groups.rows[at].counts.iter_mut().zip(group.counts) {
                *sum += n;
            }
            for (sum, n) in outer.groups.rows[at].told.iter_mut().zip(group.told) {
                *sum += n;
            }
        }
        outer.ledger.absorb(&local.ledger);
        drop((outer, local));
        drop(self.shared.forget_emergency(self.id));
    }

    /// Whether a stop of a scope around this one saves what belongs in here.
    pub(crate) fn is_saved_from_outside(&self) -> bool {
        let mut pending = false;
        if self.parent.as_ref().is_some_and(|parent| parent.phase() >= Phase::Saving) {
            self.each(&mut |_, local| pending |= local.save_is_pending());
        }
        pending
    }

    /// Lets go of everything: the run was dropped.
    pub(crate) fn dissolve(self: &Arc<Self>, reason: &Reason) {
        self.advance(Phase::Closing, None, reason);
        self.abort(|_| true);
        let (hook, acts, children) = {
            let mut local = lock(&self.local);
            local.dissolved = true;
            (local.hook.take(), local.ledger.cut(), std::mem::take(&mut local.children))
        };
        drop((hook, acts));
        for child in children {
            child.dissolve(reason);
        }
    }

    /// Makes a scope nested in this one, as far in its stop as this one.
    pub(crate) fn add_child(self: &Arc<Self>, name: &str, site: &'static Location<'static>) -> Arc<Self> {
        let inner = self;
        let full = format!("{}/{name}", inner.name);
        let child = Inner::new(full, inner.component, site, Arc::clone(&inner.shared), Some(Arc::clone(inner)));
        let mut local = lock(&inner.local);
        {
            let mut nested = lock(&child.local);
            nested.phase = local.phase;
            nested.cancelled_at = local.cancelled_at;
            nested.drained = local.drained;
        }
        child.stage.reach(local.phase);
        child.limit.store(inner.limit.load(Ordering::Acquire), Ordering::Release);
        if let Some(reason) = inner.reason() {
            let _ = child.reason.set(reason);
        }
        local.children.push(Arc::clone(&child));
        child
    }
}
