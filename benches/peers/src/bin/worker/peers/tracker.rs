//! tokio-util: every task awaits a clone of one `CancellationToken`, a `TaskTracker` waits for all.

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Counted, in_a_worker};
use crate::sample::{Step, all_polled, first_poll, note};

pub(super) fn run(tasks: usize) -> Counted {
    in_a_worker(async move {
        let (token, tracker) = (CancellationToken::new(), TaskTracker::new());
        note(Step::Spawning);
        for _ in 0..tasks {
            let token = token.clone();
            tracker.spawn(async move {
                first_poll();
                token.cancelled().await;
            });
        }
        all_polled().await;
        token.cancel();
        note(Step::Asked);
        tracker.close();
        tracker.wait().await;
        note(Step::Ended);
        Ok(None)
    })
}
