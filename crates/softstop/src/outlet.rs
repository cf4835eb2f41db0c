//! Makes the outputs that run code of the program's own, a subscriber or a recorder, from events: in a
//! task of its own, so that one that is slow or blocked holds up no stop.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::task::JoinHandle;

use crate::{
    events::{Event, Observers, Queue},
    inner::spawn_apart,
    shared::{Shared, lock},
};

/// How long the end of a run may wait for the last events to be put out.
const LAST_EVENTS: Duration = Duration::from_millis(500);

/// What has been told and not put out yet.
#[derive(Default)]
pub(crate) struct Outlet {
    queue: Arc<Queue>,
    missed: AtomicU64,
}

/// The task that puts events out while the service runs.
pub(crate) struct PuttingOut(JoinHandle<()>);

impl Outlet {
    /// From the making of the service on: nothing that is told before the run is lost.
    pub(crate) fn observers(&self) -> Observers {
        Observers::of(&self.queue)
    }

    /// Starts the task, in the runtime that this is called in.
    pub(crate) fn start(shared: &Arc<Shared>) -> PuttingOut {
        let own = Arc::clone(shared);
        let names = lock(&shared.record).names.clone();
        PuttingOut(spawn_apart(&tokio::runtime::Handle::current(), async move {
            #[cfg(feature = "metrics")]
            guarded(crate::metrics::describe);
            while let Some(event) = own.outlet.queue.next().await {
                own.outlet.put_out(&event, &names);
            }
        }))
    }

    /// Waits for the last events, at most 500 ms and half of what is `left`: a stop in its time stays that.
    pub(crate) async fn finish(&self, task: PuttingOut, left: Duration) {
        self.queue.finish();
        let _ = tokio::time::timeout(LAST_EVENTS.min(left / 2), task.0).await;
    }

    /// Puts out what is left, on this thread.
    pub(crate) fn drain(&self, shared: &Shared) {
        let names = lock(&shared.record).names.clone();
        while let Some(event) = self.queue.try_next() {
            self.put_out(&event, &names);
        }
    }

    /// Once this event has been put out or has made the program's code panic, it is done with.
    fn put_out(&self, event: &Event, components: &[String]) {
        let missed = self.queue.missed();
        let more = missed - self.missed.swap(missed, Ordering::AcqRel);
        #[cfg(feature = "tracing")]
        guarded(|| {
            if more > 0 {
                crate::trace::missed(more, event.at());
            }
            crate::trace::put_out(event);
        });
        #[cfg(feature = "metrics")]
        guarded(|| {
            if more > 0 {
                crate::metrics::missed(more);
            }
            crate::metrics::put_out(event, components);
        });
        #[cfg(not(feature = "metrics"))]
        let _ = components;
    }
}

/// A panic of a subscriber or a recorder is caught: the events after it are put out.
fn guarded(put_out: impl FnOnce()) {
    let _ = catch_unwind(AssertUnwindSafe(put_out));
}
