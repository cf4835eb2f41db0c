//! tokio alone: a `JoinSet`, whose tasks are aborted and then collected one by one.

use std::future::pending;

use tokio::task::JoinSet;

use super::{Counted, in_a_worker};
use crate::sample::{Step, all_polled, first_poll, note};

pub(super) fn run(tasks: usize) -> Counted {
    in_a_worker(async move {
        let mut set = JoinSet::new();
        note(Step::Spawning);
        for _ in 0..tasks {
            set.spawn(async {
                first_poll();
                pending::<()>().await;
            });
        }
        all_polled().await;
        set.abort_all();
        note(Step::Asked);
        let mut counted = 0;
        while set.join_next().await.is_some() {
            counted += 1;
        }
        note(Step::Ended);
        Ok(Some(counted))
    })
}
