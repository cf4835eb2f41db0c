//! The part of a scope that the models need, with the locks and the order of `inner.rs`.

use loom::sync::{
    Mutex,
    atomic::{AtomicU8, Ordering},
};

pub(crate) use crate::stage::Phase;
use crate::{
    bell::Bell,
    machine::Reason,
    stage::Stage,
    sync::{Messages, Notified, Notify, lock},
};

struct Local {
    phase: Phase,
    drainers: usize,
}

pub(crate) struct Inner {
    stage: Stage,
    /// The phase whose limit is set.
    limit: AtomicU8,
    told: Notify,
    bell: Bell,
    messages: Messages,
    local: Mutex<Local>,
}

/// What a scope is asked by `wait.rs`.
impl Inner {
    pub(crate) fn phase(&self) -> Phase {
        self.stage.phase()
    }

    pub(crate) fn notified(&self) -> Notified<'_> {
        self.told.notified()
    }

    pub(crate) fn stop_reason(&self) -> Reason {
        Reason
    }

    pub(crate) fn mark_draining(&self) {}

    pub(crate) fn may_drain_late(&self) -> bool {
        false
    }
}

/// What the driver does with it.
impl Inner {
    pub(crate) fn new() -> Self {
        let local = Mutex::new(Local { phase: Phase::Running, drainers: 0 });
        Self {
            stage: Stage::new(),
            limit: AtomicU8::new(0),
            told: Notify::new(),
            bell: Bell::default(),
            messages: Messages::new(),
            local,
        }
    }

    pub(crate) fn advance(&self, phase: Phase) {
        {
            let mut local = lock(&self.local);
            local.phase = local.phase.max(phase);
            self.bell.watch();
            self.limit.store(local.phase as u8, Ordering::Relaxed);
            self.stage.reach(local.phase);
        }
        self.told.notify_waiters();
    }

    /// Whether the limit of the phase that was seen is the one that is seen, or a later one.
    pub(crate) fn limit_is_of(&self, phase: Phase) -> bool {
        self.limit.load(Ordering::Relaxed) >= phase as u8
    }

    fn drainers(&self) -> usize {
        self.bell.heard();
        let local = lock(&self.local);
        local.drainers + self.stage.unpolled()
    }

    /// Tells the tasks to drain and waits until nobody holds the drain.
    pub(crate) fn drain(&self) {
        self.advance(Phase::Draining);
        while self.drainers() > 0 {
            self.messages.receive();
        }
    }
}

/// What tasks do in it.
impl Inner {
    /// Takes in a cooperative task.
    pub(crate) fn admit(&self) {
        let _local = lock(&self.local);
        self.stage.admit();
    }

    pub(crate) fn holds_drain(&self) {
        lock(&self.local).drainers += 1;
    }

    pub(crate) fn first_polled(&self) {
        if self.stage.first_polled() {
            self.report_progress();
        }
    }

    /// A task that held the drain has ended.
    pub(crate) fn release(&self) {
        let mut local = lock(&self.local);
        local.drainers -= 1;
        if local.drainers == 0 && local.phase >= Phase::Draining {
            self.report_progress();
        }
    }

    fn report_progress(&self) {
        if self.bell.ring() {
            self.messages.send();
        }
    }
}
