//! async-shutdown: every task holds a token that delays the end and awaits one shared signal.

use async_shutdown::ShutdownManager;
use tokio::runtime::Handle;

use super::{Counted, in_a_worker};
use crate::sample::{Step, all_polled, first_poll, note};

pub(super) fn run(tasks: usize) -> Counted {
    in_a_worker(async move {
        let (shutdown, runtime) = (ShutdownManager::new(), Handle::current());
        note(Step::Spawning);
        for _ in 0..tasks {
            let signal = shutdown.wait_shutdown_triggered();
            runtime.spawn(shutdown.wrap_delay_shutdown(async move {
                first_poll();
                signal.await;
            })?);
        }
        all_polled().await;
        shutdown.trigger_shutdown("the sample")?;
        note(Step::Asked);
        shutdown.wait_shutdown_complete().await;
        note(Step::Ended);
        Ok(None)
    })
}
