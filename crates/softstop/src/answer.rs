//! Whether the runtime answers: a question put to it is a task that does nothing but say that it ran.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    inner::spawn_apart,
    shared::{Shared, nanos},
};

/// The one question that may be open.
pub(crate) struct Question {
    /// Real time, also where a test has paused the runtime's clock: the workers are real.
    base: Instant,
    /// When it was put, in nanoseconds after `base`, plus one; 0 while none is open.
    asked: AtomicU64,
    /// The longest time that any answer took, in nanoseconds.
    longest: AtomicU64,
    /// Whether the plain thread waits for the answer.
    wakes: AtomicBool,
}

impl Default for Question {
    fn default() -> Self {
        Self {
            base: Instant::now(),
            asked: AtomicU64::new(0),
            longest: AtomicU64::new(0),
            wakes: AtomicBool::new(false),
        }
    }
}

impl Question {
    #[cfg(any(test, feature = "systemd"))]
    pub(crate) fn set_wakes(&self, wakes: bool) {
        self.wakes.store(wakes, Ordering::Release);
    }
}

impl Shared {
    /// Puts the question to the runtime, unless one is open or there is no runtime yet.
    pub(crate) fn ask(self: &Arc<Self>) {
        let Some(runtime) = self.runtime.get() else { return };
        let now = nanos(self.question.base.elapsed()).saturating_add(1);
        if self.question.asked.compare_exchange(0, now, Ordering::AcqRel, Ordering::Acquire).is_err() {
            return;
        }
        let shared = Arc::clone(self);
        spawn_apart(runtime, async move {
            let took = shared.deaf_for().map_or(0, nanos);
            shared.question.longest.fetch_max(took, Ordering::AcqRel);
            shared.question.asked.store(0, Ordering::Release);
            if let (true, Some(wake)) = (shared.question.wakes.load(Ordering::Acquire), shared.wake.get()) {
                wake();
            }
        });
    }

    /// The longest time for which the runtime has left a question unanswered, the open one included.
    pub(crate) fn deafest(&self) -> Duration {
        let answered = Duration::from_nanos(self.question.longest.load(Ordering::Acquire));
        self.deaf_for().unwrap_or_default().max(answered)
    }

    /// How long the runtime has not answered the question put to it; `None` where none is open.
    pub(crate) fn deaf_for(&self) -> Option<Duration> {
        let asked = self.question.asked.load(Ordering::Acquire).checked_sub(1)?;
        Some(self.question.base.elapsed().saturating_sub(Duration::from_nanos(asked)))
    }
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
