//! Holds blocking jobs back until every task waits: else they would end, and wake a task, at another moment in every run.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{Arc, Condvar, Mutex, PoisonError},
    task::{Context, Wake, Waker},
    time::Duration,
};

use crate::shared::lock;

#[derive(Default)]
pub(super) struct Gate {
    idle: Mutex<Idle>,
    changed: Condvar,
}

#[derive(Default)]
struct Idle {
    /// The thread of the tasks has nothing to poll.
    parked: bool,
    /// The service itself, which is no task, is to be polled.
    woken: bool,
}

impl Idle {
    fn all_wait(&self) -> bool {
        self.parked && !self.woken
    }
}

impl Gate {
    pub(super) fn parked(&self, parked: bool) {
        self.set(|idle| idle.parked = parked);
    }

    fn set(&self, set: impl FnOnce(&mut Idle)) {
        set(&mut lock(&self.idle));
        self.changed.notify_all();
    }

    pub(super) fn all_wait(&self) -> bool {
        lock(&self.idle).all_wait()
    }

    /// Returns when every task waits, or after `longest`: a task may ask again and again whether a job is done, and never wait.
    pub(super) fn pass(&self, longest: Duration) {
        let waited = self.changed.wait_timeout_while(lock(&self.idle), longest, |idle| !idle.all_wait());
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// The service itself, noted whenever it is to be polled.
    pub(super) async fn watching<T>(self: Arc<Self>, service: impl Future<Output = T>) -> T {
        let mut service = pin!(service);
        let value = poll_fn(|cx| {
            self.set(|idle| idle.woken = false);
            let waker = Waker::from(Arc::new(Waking { gate: Arc::clone(&self), waker: cx.waker().clone() }));
            service.as_mut().poll(&mut Context::from_waker(&waker))
        })
        .await;
        // No job waits for a runtime that is about to end.
        self.set(|idle| *idle = Idle { parked: true, woken: false });
        value
    }
}

struct Waking {
    gate: Arc<Gate>,
    waker: Waker,
}

impl Wake for Waking {
    fn wake(self: Arc<Self>) {
        self.gate.set(|idle| idle.woken = true);
        self.waker.wake_by_ref();
    }
}
