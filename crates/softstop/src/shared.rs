//! What all parts of one running service share, and may be read from any thread.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{sync::mpsc::UnboundedSender, time::Instant};

use crate::{
    alarm::Alarm,
    answer::Question,
    driver::Message,
    events::Observers,
    health::Readiness,
    machine::{Level, Reason, Time},
    outlet::Outlet,
    plan::DEFAULT_TOTAL,
    probe::Probe,
    report::Record,
    task::Name,
};

pub(crate) type EmergencyHook = Box<dyn FnOnce() + Send>;

pub(crate) struct Shared {
    pub(crate) origin: Instant,
    pub(crate) messages: UnboundedSender<Message>,
    pub(crate) runtime: OnceLock<tokio::runtime::Handle>,
    pub(crate) reason: OnceLock<Reason>,
    /// When the stop began, in nanoseconds, plus one; 0 before.
    begun: AtomicU64,
    pub(crate) total: AtomicU64,
    level: AtomicU8,
    pub(crate) readiness: Readiness,
    pub(crate) question: Question,
    #[cfg(feature = "systemd")]
    pub(crate) unit: crate::systemd::Unit,
    pub(crate) accounts: Mutex<BTreeMap<Name, Account>>,
    /// Each with the scope that registered it.
    pub(crate) emergency: Mutex<Vec<(u64, EmergencyHook)>>,
    pub(crate) record: Mutex<Record>,
    pub(crate) observers: Mutex<Observers>,
    pub(crate) outlet: Outlet,
    pub(crate) end_told: AtomicBool,
    components: AtomicUsize,
    /// When the driver wants to be woken even if the runtime's timers do not answer.
    alarm: Alarm,
    pub(crate) probe: OnceLock<Box<dyn Probe>>,
    /// Wakes the plain thread, where there is one.
    pub(crate) wake: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

/// Lives as long as the service is described or runs. Whatever ends that, a dropped run included, ends
/// the streams of its events, and no one waits any more for it to be ready.
pub(crate) struct Life(pub(crate) Arc<Shared>);

impl Drop for Life {
    fn drop(&mut self) {
        self.0.readiness.over();
        self.0.forget_observers();
    }
}

/// What was accepted under one name and is not safe yet, and what was declared lost.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Account {
    pub(crate) owed: i64,
    pub(crate) lost: u64,
}

/// Locks, whatever happened to an earlier holder: every critical section leaves its data whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A number that no other scope or resource of this process has, rising.
pub(crate) fn next_number() -> u64 {
    static NUMBERS: AtomicU64 = AtomicU64::new(1);
    NUMBERS.fetch_add(1, Ordering::Relaxed)
}

pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Shared {
    pub(crate) fn new(messages: UnboundedSender<Message>) -> Self {
        let outlet = Outlet::default();
        Self {
            origin: Instant::now(),
            messages,
            runtime: OnceLock::new(),
            reason: OnceLock::new(),
            begun: AtomicU64::new(0),
            total: AtomicU64::new(nanos(DEFAULT_TOTAL)),
            level: AtomicU8::new(0),
            readiness: Readiness::default(),
            question: Question::default(),
            #[cfg(feature = "systemd")]
            unit: crate::systemd::Unit::default(),
            accounts: Mutex::default(),
            emergency: Mutex::default(),
            record: Mutex::default(),
            observers: Mutex::new(outlet.observers()),
            outlet,
            end_told: AtomicBool::new(false),
            components: AtomicUsize::new(0),
            alarm: Alarm::new(),
            probe: OnceLock::new(),
            wake: OnceLock::new(),
        }
    }

    pub(crate) fn now(&self) -> Time {
        self.origin.elapsed()
    }

    /// The instant of a moment; far beyond any deadline where it cannot be expressed.
    pub(crate) fn instant(&self, at: Time) -> Instant {
        let far = Duration::from_secs(366 * 24 * 3600);
        self.origin.checked_add(at.min(far)).unwrap_or(self.origin)
    }

    /// Sends to the driver; once the run has ended there is nobody to tell.
    pub(crate) fn send(&self, message: Message) {
        let _ = self.messages.send(message);
    }

    pub(crate) fn begun(&self) -> Option<Time> {
        let begun = self.begun.load(Ordering::Acquire);
        (begun > 0).then(|| Duration::from_nanos(begun - 1))
    }

    /// When the total of a stop that has begun is over.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.begun().map(|begun| begun.saturating_add(self.total()))
    }

    pub(crate) fn alarm(&self) -> Option<Time> {
        let due = self.alarm.due();
        (due != Alarm::NEVER).then(|| Duration::from_nanos(due))
    }

    /// Sets the driver's next alarm.
    pub(crate) fn set_alarm(&self, due: Option<Time>) {
        if self.alarm.set(due.map_or(Alarm::NEVER, nanos)) {
            self.wake();
        }
    }

    /// Sees to it that the plain thread looks no later than at `at`, and at what was stored before this.
    pub(crate) fn wake_by(&self, at: Option<Time>) {
        if at.is_some_and(|at| self.alarm.is_late_for(nanos(at))) {
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(wake) = self.wake.get() {
            wake();
        }
    }

    /// The plain thread is about to wait until `at`. It has to look once more after this.
    pub(crate) fn looks_at(&self, at: Option<Time>) {
        self.alarm.looks_at(at.map_or(Alarm::NEVER, nanos));
    }

    pub(crate) fn set_begun(&self, at: Time) {
        let _ = self.begun.compare_exchange(0, nanos(at).saturating_add(1), Ordering::AcqRel, Ordering::Acquire);
    }

    pub(crate) fn level(&self) -> Level {
        match self.level.load(Ordering::Acquire) {
            0 => Level::Graceful,
            1 => Level::Hurry,
            _ => Level::Abandon,
        }
    }

    pub(crate) fn raise_level(&self, level: Level) {
        self.level.fetch_max(level as u8, Ordering::AcqRel);
    }

    pub(crate) fn total(&self) -> Duration {
        Duration::from_nanos(self.total.load(Ordering::Acquire))
    }

    pub(crate) fn components(&self) -> usize {
        self.components.load(Ordering::Acquire)
    }

    pub(crate) fn set_components(&self, count: usize) {
        self.components.store(count, Ordering::Release);
    }

    /// Takes the emergency hooks of a scope that has gone.
    pub(crate) fn forget_emergency(&self, scope: u64) -> Vec<(u64, EmergencyHook)> {
        let mut hooks = lock(&self.emergency);
        let (gone, kept) = std::mem::take(&mut *hooks).into_iter().partition(|(id, _)| *id == scope);
        *hooks = kept;
        gone
    }

    pub(crate) fn account(&self, what: Name, change: impl FnOnce(&mut Account)) {
        change(lock(&self.accounts).entry(what).or_default());
    }
}
