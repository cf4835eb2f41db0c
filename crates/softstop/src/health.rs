//! Readiness and liveness, as probes ask for them.

use std::{
    sync::atomic::{AtomicU8, Ordering},
    time::Duration,
};

use tokio::sync::Notify;

use crate::service::Handle;

/// Whether all components are ready: not yet, now, or never again. It only ever moves forward.
#[derive(Default)]
pub(crate) struct Readiness {
    state: AtomicU8,
    changed: Notify,
}

const READY: u8 = 1;
const OVER: u8 = 2;

impl Readiness {
    pub(crate) fn ready(&self) {
        self.advance(READY);
    }

    /// A stop has begun, or nothing will ever run.
    pub(crate) fn over(&self) {
        self.advance(OVER);
    }

    fn advance(&self, state: u8) {
        self.state.fetch_max(state, Ordering::AcqRel);
        self.changed.notify_waiters();
    }

    fn state(&self) -> u8 {
        self.state.load(Ordering::Acquire)
    }
}

impl Handle {
    /// For so long the runtime may leave a question unanswered before [`is_live`](Self::is_live) is false:
    /// more than a busy runtime ever takes, less than the patience of common probes.
    pub const LIVE_WITHIN: Duration = Duration::from_secs(5);

    /// Whether all components are ready and no stop has begun. A signal makes it false at once, also
    /// while every worker is blocked.
    pub fn is_ready(&self) -> bool {
        self.shared.readiness.state() == READY
    }

    /// Waits until all components are ready. `false` where that will not happen any more: a stop has
    /// begun, the graph cannot be run, or the service was dropped.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let mut service = softstop::Service::new("test");
    /// service.component("clock", (), async |_scope, ()| Ok(()));
    /// let handle = service.handle();
    /// let stop = async move {
    ///     assert!(handle.ready().await);
    ///     softstop::Reason::Requested("test".into())
    /// };
    /// service.run(stop).await;
    /// # }
    /// ```
    pub async fn ready(&self) -> bool {
        loop {
            let changed = self.shared.readiness.changed.notified();
            match self.shared.readiness.state() {
                READY => return true,
                OVER => return false,
                _ => changed.await,
            }
        }
    }

    /// Whether the runtime's workers answer. It is false when a question put to them has not been
    /// answered for [5 s](Self::LIVE_WITHIN): every worker is blocked, or the runtime has gone.
    ///
    /// Cheap, for any thread; it never waits. A call puts a question (a task that only says that it ran)
    /// unless one is open, and judges by the open one: the first call after a while can but ask, a later
    /// one knows. So probe repeatedly. Nothing is asked between the calls. A stop does not make it false,
    /// and before the run it is true.
    ///
    /// It is for a probe that does not depend on the runtime it asks about: a thread, another runtime.
    pub fn is_live(&self) -> bool {
        let live = self.shared.deaf_for().is_none_or(|deaf| deaf < Self::LIVE_WITHIN);
        self.shared.ask();
        live
    }
}
