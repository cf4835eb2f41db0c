//! rocketmq-runtime: named services of one component's group, counted by outcome in its report.
//!
//! Its shutdown is an async call. How long it holds its caller is the time of its first poll, in
//! which it cancels every task.

use std::{future::poll_fn, pin::pin, time::Duration};

use rocketmq_runtime::{ChildServiceContext, RuntimeConfig, RuntimeOwner};
use tokio::runtime::Handle;

use super::Counted;
use crate::sample::{Step, all_polled, first_poll, note};

/// Nobody gets near it; a stop that did would be counted as aborted.
const TIMEOUT: Duration = Duration::from_secs(300);

pub(super) fn run(tasks: usize) -> Counted {
    let owner = RuntimeOwner::plan(RuntimeConfig::for_parallelism("peers", 2))?.build()?;
    let many = owner.root_context().component("many");
    owner.block_on(async { Handle::current().spawn(spawn_and_stop(many, tasks)).await })?
}

async fn spawn_and_stop(many: ChildServiceContext, tasks: usize) -> Counted {
    note(Step::Spawning);
    for _ in 0..tasks {
        let token = many.task_group().cancellation_token();
        many.spawn_service("idle", async move {
            first_poll();
            token.cancelled().await;
        })?;
    }
    all_polled().await;
    let mut stopping = pin!(many.task_group().shutdown(TIMEOUT));
    let report = poll_fn(|cx| {
        let polled = stopping.as_mut().poll(cx);
        note(Step::Asked);
        polled
    });
    let report = report.await;
    note(Step::Ended);
    Ok(Some(report.cancelled))
}
