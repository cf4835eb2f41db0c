//! Messages that were of no use: counted, and each kind of them told once.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use crate::{
    Progress, Tell,
    wire::{Kind, Oddities, Unreadable},
};

/// What came and was not taken in, since the beginning of this run.
#[derive(Default)]
pub(crate) struct Skipped {
    /// What cannot be read.
    pub(crate) malformed: AtomicU64,
    /// What nobody asked for.
    pub(crate) ignored: AtomicU64,
    /// Changes of order books for which there was no room.
    pub(crate) dropped: AtomicU64,
    kinds: Mutex<Oddities>,
}

impl Skipped {
    /// Counts a message, and tells of the first of its kind.
    pub(crate) fn note(&self, why: &Unreadable, tell: &Tell) {
        let count = match why.kind {
            Kind::WrongSymbol | Kind::UnknownEvent => &self.ignored,
            _ => &self.malformed,
        };
        count.fetch_add(1, Ordering::Relaxed);
        if self.kinds.lock().unwrap_or_else(PoisonError::into_inner).note(why.kind) {
            tell(Progress::Odd(why.to_string()));
        }
    }
}
