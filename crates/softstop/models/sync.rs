//! What the checked files are made of: loom's atomics, and what tokio promises of a `Notify`.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
};

pub(crate) use loom::sync::atomic;
use loom::sync::{
    Mutex, MutexGuard, Notify as Parking,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no model panics under a lock")
}

/// Messages without content: those to the driver, or the wake-ups of the plain thread. Some are never taken,
/// and several may be taken as one, since who takes one looks at everything.
pub(crate) struct Messages {
    some: AtomicBool,
    /// Also wakes without a message: loom makes that up.
    sent: Parking,
}

impl Messages {
    pub(crate) fn new() -> Self {
        Self { some: AtomicBool::new(false), sent: Parking::new() }
    }

    pub(crate) fn send(&self) {
        self.some.swap(true, Ordering::AcqRel);
        self.sent.notify();
    }

    pub(crate) fn receive(&self) {
        while !self.some.swap(false, Ordering::AcqRel) {
            self.sent.wait();
        }
    }
}

/// A queue of those that wait. Who is in it from the making of its `Notified` on is woken by the next
/// `notify_waiters`; a number of that call, read without the lock as in tokio, tells early from late.
pub(crate) struct Notify {
    calls: AtomicUsize,
    waiting: Mutex<Vec<(usize, Waker)>>,
}

impl Notify {
    pub(crate) fn new() -> Self {
        Self { calls: AtomicUsize::new(0), waiting: Mutex::new(Vec::new()) }
    }

    pub(crate) fn notified(&self) -> Notified<'_> {
        Notified { notify: self, calls: self.calls.load(Ordering::Acquire), queued: None }
    }

    pub(crate) fn notify_waiters(&self) {
        let woken = {
            let mut waiting = lock(&self.waiting);
            self.calls.fetch_add(1, Ordering::AcqRel);
            std::mem::take(&mut *waiting)
        };
        woken.into_iter().for_each(|(_, waker)| waker.wake());
    }
}

pub(crate) struct Notified<'a> {
    notify: &'a Notify,
    calls: usize,
    queued: Option<usize>,
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let notify = self.notify;
        let mut waiting = lock(&notify.waiting);
        if notify.calls.load(Ordering::Relaxed) != self.calls {
            self.queued = None;
            return Poll::Ready(());
        }
        let place = self.queued.unwrap_or_else(|| waiting.iter().map(|(place, _)| place + 1).max().unwrap_or(0));
        waiting.retain(|(other, _)| *other != place);
        waiting.push((place, cx.waker().clone()));
        self.queued = Some(place);
        Poll::Pending
    }
}

impl Drop for Notified<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.queued {
            let mut waiting = lock(&self.notify.waiting);
            if self.notify.calls.load(Ordering::Relaxed) == self.calls {
                waiting.retain(|(other, _)| *other != place);
            }
        }
    }
}

/// There is no budget here: every poll is one of a task that was not asked to yield.
pub(crate) type Unconstrained<F> = F;

pub(crate) fn unconstrained<F>(future: F) -> F {
    future
}

pub(crate) fn has_budget_remaining() -> bool {
    true
}
