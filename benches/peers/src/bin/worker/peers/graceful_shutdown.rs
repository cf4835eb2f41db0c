//! tokio-graceful-shutdown: every task is a subsystem of its own, the unit that it names and waits for.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio_graceful_shutdown::{SubsystemBuilder, SubsystemHandle, Toplevel};
use tokio_util::sync::CancellationToken;

use super::{Counted, in_a_worker};
use crate::sample::{Step, all_polled, first_poll, note};

/// Nobody gets near it; a stop that did would be an error of the sample.
const TIMEOUT: Duration = Duration::from_secs(300);

pub(super) fn run(tasks: usize) -> Counted {
    in_a_worker(async move {
        let token = CancellationToken::new();
        let spawn_all = async move |root: &mut SubsystemHandle| {
            note(Step::Spawning);
            for _ in 0..tasks {
                root.start(SubsystemBuilder::new("idle", idle));
            }
        };
        let toplevel = Toplevel::new_with_shutdown_token(spawn_all, token.clone());
        let running = Handle::current().spawn(toplevel.handle_shutdown_requests(TIMEOUT));
        all_polled().await;
        token.cancel();
        note(Step::Asked);
        running.await??;
        note(Step::Ended);
        Ok(None)
    })
}

async fn idle(subsystem: &mut SubsystemHandle) -> softstop::Result {
    first_poll();
    subsystem.on_shutdown_requested().await;
    Ok(())
}
