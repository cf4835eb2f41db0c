//! A bell that many ring and one answers.
//!
//! However often it is rung before it is heard, only the first ring is worth a message. Who rings has
//! changed something before; who hears looks at it after. Both swap the same word, so one of the two
//! comes first: of a ring that is heard the change is seen, and a later one is worth a message again.

use crate::sync::atomic::{AtomicBool, Ordering};

#[derive(Debug, Default)]
pub(crate) struct Bell {
    rung: AtomicBool,
    watched: AtomicBool,
}

impl Bell {
    /// From now on somebody answers. Who rings before has been seen by the first look after this: it
    /// holds a lock, or has met who looks in another word.
    pub(crate) fn watch(&self) {
        self.watched.store(true, Ordering::Relaxed);
    }

    /// Whether somebody has to be told: somebody answers, and this is the first ring since it was heard.
    pub(crate) fn ring(&self) -> bool {
        self.watched.load(Ordering::Relaxed) && !self.rung.swap(true, Ordering::Release)
    }

    /// From now on a ring is worth a message again. Look after this, not before.
    pub(crate) fn heard(&self) {
        self.rung.swap(false, Ordering::Acquire);
    }
}
