//! One file per library, each the shortest program that its documentation leads to.

mod async_shutdown;
mod graceful_shutdown;
mod join_set;
mod rocketmq;
mod softstop;
mod tracker;

use tokio::runtime::{Builder, Runtime};

/// How many of the tasks the library says have ended; `None` if it does not count them.
type Counted = ::softstop::Result<Option<usize>>;

/// Spawns so many idle tasks, stops them, waits for their end, and notes each step.
pub(crate) type Run = fn(usize) -> Counted;

/// Finds a peer by the name it has in the tables.
pub(crate) fn by_name(name: &str) -> Option<Run> {
    Some(match name {
        "softstop" => softstop::plain,
        "softstop-with" => softstop::cooperative,
        "tracker" => tracker::run,
        "join-set" => join_set::run,
        "async-shutdown" => async_shutdown::run,
        "graceful-shutdown" => graceful_shutdown::run,
        "rocketmq" => rocketmq::run,
        _ => return None,
    })
}

/// The runtime that everybody runs on.
pub(crate) fn two_workers() -> std::io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(2).enable_all().build()
}

/// Runs `work` as a task of that runtime: what it spawns is spawned from inside a worker.
fn in_a_worker(work: impl Future<Output = Counted> + Send + 'static) -> Counted {
    let runtime = two_workers()?;
    runtime.block_on(runtime.spawn(work))?
}
