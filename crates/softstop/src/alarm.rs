//! An alarm that one thread sets and another keeps, which is woken only if it would look too late.
//!
//! Each writes its own word and then looks at the other's. Who looks first is seen by the other, because
//! one of the looks writes as well.

use crate::sync::atomic::{AtomicU64, Ordering};

pub(crate) struct Alarm {
    due: AtomicU64,
    /// When the keeper looks at the latest.
    looks: AtomicU64,
}

impl Alarm {
    pub(crate) const NEVER: u64 = u64::MAX;

    pub(crate) fn new() -> Self {
        Self { due: AtomicU64::new(Self::NEVER), looks: AtomicU64::new(Self::NEVER) }
    }

    pub(crate) fn due(&self) -> u64 {
        self.due.load(Ordering::Relaxed)
    }

    /// Sets it. Whether the keeper has to be woken.
    pub(crate) fn set(&self, due: u64) -> bool {
        self.due.store(due, Ordering::Relaxed);
        self.is_late_for(due)
    }

    /// Whether the keeper would look only after `at`. What it is to see was stored before.
    pub(crate) fn is_late_for(&self, at: u64) -> bool {
        at < self.looks.fetch_add(0, Ordering::Release)
    }

    /// The keeper is about to wait until `at`. It has to look once more after this.
    pub(crate) fn looks_at(&self, at: u64) {
        self.looks.swap(at, Ordering::Acquire);
    }
}
