//! How far the stop of a scope has come, and how many of its tasks might still come to hold the drain.
//!
//! A cooperative task says in its first poll whether it drains; until then it counts as one that does.
//! That poll is on everyone's way and takes no lock. So the last one out and the driver meet in a
//! word that both read and write at once: either the driver counts the task out, or the task comes
//! later, sees the phase and tells the driver.

use crate::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

/// How far the stop of a scope has come, as its tasks see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Phase {
    Running,
    Unready,
    Draining,
    Cancelled,
    Aborted,
    Saving,
    Closing,
}

const PHASES: [Phase; 7] =
    [Phase::Running, Phase::Unready, Phase::Draining, Phase::Cancelled, Phase::Aborted, Phase::Saving, Phase::Closing];

pub(crate) struct Stage {
    phase: AtomicU8,
    /// Cooperative tasks of this scope and of those nested in it that have not had their first poll.
    unpolled: AtomicUsize,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self { phase: AtomicU8::new(Phase::Running as u8), unpolled: AtomicUsize::new(0) }
    }

    pub(crate) fn phase(&self) -> Phase {
        PHASES[usize::from(self.phase.load(Ordering::Acquire))]
    }

    /// The stop has come to `phase`; called under the lock of the scope. Who sees it sees what was set before.
    pub(crate) fn reach(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
    }

    /// A cooperative task is taken in; called under the lock of the scope.
    pub(crate) fn admit(&self) {
        self.unpolled.fetch_add(1, Ordering::Relaxed);
    }

    /// A cooperative task has had its first poll, in which it could have come to hold the drain.
    /// Whether who looks at the drain has to be told.
    pub(crate) fn first_polled(&self) -> bool {
        self.unpolled.fetch_sub(1, Ordering::Acquire) == 1 && self.phase() >= Phase::Draining
    }

    /// How many have not had it. To be looked at under the lock under which those that hold the drain
    /// are counted: else a task could be missed that is spawned by one that ends at this moment.
    pub(crate) fn unpolled(&self) -> usize {
        self.unpolled.fetch_add(0, Ordering::Release)
    }
}
