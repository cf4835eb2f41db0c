//! Where one thread is: which task it is in, and since when.
//!
//! Three words, written by their own thread only and read by any other without a lock. The time is written
//! last and taken back first, so that a reader that sees the same time before and after the other words
//! has those that belong to it. Two entries at one time look the same: a reader is interested in those
//! that are long over for the one or the other.

use crate::sync::atomic::{AtomicU64, Ordering};

#[derive(Default)]
pub(crate) struct Place {
    scope: AtomicU64,
    task: AtomicU64,
    /// 0 while nothing is entered.
    since: AtomicU64,
}

/// What a thread is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) scope: u64,
    pub(crate) task: u64,
    pub(crate) since: u64,
}

impl Place {
    /// Written by its own thread; `since` is not 0.
    pub(crate) fn enter(&self, entry: Entry) {
        // A reader that sees one of these sees as well that the time before was taken back.
        self.scope.store(entry.scope, Ordering::Release);
        self.task.store(entry.task, Ordering::Release);
        self.since.store(entry.since, Ordering::Release);
    }

    /// Changes what is said of the task that is entered.
    pub(crate) fn change(&self, change: impl FnOnce(u64) -> u64) {
        self.task.store(change(self.task.load(Ordering::Relaxed)), Ordering::Release);
    }

    pub(crate) fn leave(&self) {
        self.since.store(0, Ordering::Relaxed);
    }

    /// Read by any thread; `None` while nothing is entered, or something else was meanwhile.
    pub(crate) fn read(&self) -> Option<Entry> {
        let since = self.since.load(Ordering::Acquire);
        let (scope, task) = (self.scope.load(Ordering::Acquire), self.task.load(Ordering::Acquire));
        let same = self.since.load(Ordering::Relaxed) == since;
        (since > 0 && same).then_some(Entry { scope, task, since })
    }
}
