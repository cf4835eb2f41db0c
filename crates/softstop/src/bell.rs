//! A bell that many ring and one answers.
//!
//! However often it is rung before it is heard, only the first ring is worth a message. Who rings has
//! changed something before; who hears looks at it after. Sequential consistency keeps the two apart:
//! either the look sees the change, or the ring after the change is worth a message.

use std::sync::atomic::{AtomicBool, Ordering};

#[derive(Debug, Default)]
pub(crate) struct Bell {
    rung: AtomicBool,
}

impl Bell {
    /// Whether this is the first ring since it was heard: then somebody has to be told.
    pub(crate) fn ring(&self) -> bool {
        !self.rung.swap(true, Ordering::SeqCst)
    }

    /// From now on a ring is worth a message again. Look after this, not before.
    pub(crate) fn heard(&self) {
        self.rung.store(false, Ordering::SeqCst);
    }
}
