//! softstop: one component with many tasks, stopped by its handle, counted in its report.

use std::{future::pending, time::Duration};

use softstop::{Reason, Result, Scope, Service, Status};
use tokio::runtime::Handle;

use super::{Counted, in_a_worker};
use crate::sample::{Step, all_polled, first_poll, note};

/// Nobody gets near it, however busy the machine is; a stop that did would be an error of the sample.
const TIMEOUT: Duration = Duration::from_secs(300);

/// Tasks that know nothing of stopping: they are dropped where they wait.
pub(super) fn plain(tasks: usize) -> Counted {
    run(tasks, |scope| {
        scope.spawn("idle", async {
            first_poll();
            pending::<Result>().await
        });
    })
}

/// Tasks that wait to be told, and return.
pub(super) fn cooperative(tasks: usize) -> Counted {
    run(tasks, |scope| {
        scope.spawn_with("idle", async |scope| {
            first_poll();
            scope.cancelled().await;
            Ok(())
        });
    })
}

fn run(tasks: usize, spawn_one: impl Fn(&Scope) + Send + 'static) -> Counted {
    in_a_worker(async move {
        let mut service = Service::new("peers");
        let many = service.component("many", (), async move |scope, ()| {
            note(Step::Spawning);
            for _ in 0..tasks {
                spawn_one(&scope);
            }
            Ok(())
        });
        service.total(TIMEOUT).options(many).cancel(TIMEOUT / 2);
        let handle = service.handle();
        let running = Handle::current().spawn(service.run(pending()));
        all_polled().await;
        handle.stop(Reason::Requested("the sample".into()));
        note(Step::Asked);
        let report = running.await?;
        note(Step::Ended);
        if report.status != Status::Clean {
            return Err(report.line().into());
        }
        Ok(Some(report.components.iter().flat_map(|c| &c.tasks).map(|group| group.count).sum::<u64>() as usize))
    })
}
