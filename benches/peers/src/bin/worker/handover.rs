//! A component that others depended on: how long after the last of their tasks is it asked to stop?

use std::{
    future::pending,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use softstop::{Event, Reason, Result, Service, ServiceState};
use tokio::{runtime::Handle, time::sleep};
use tokio_graceful_shutdown::{SubsystemBuilder, SubsystemHandle, Toplevel};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::peers::two_workers;

/// Tasks of the dependent; the last of them to end counts.
const TASKS: usize = 8;
/// Long enough for every task to wait and every worker to park.
const SETTLE: Duration = Duration::from_millis(1);
/// Nobody gets near it.
const TIMEOUT: Duration = Duration::from_secs(60);

/// When the last statement of the dependent's last task ran, and when the dependency's task woke.
static LAST_DONE: AtomicU64 = AtomicU64::new(0);
static ASKED: AtomicU64 = AtomicU64::new(0);

/// Stops a pair of components `times` times, and says how long the handovers took.
///
/// # Errors
///
/// If there is no such peer, or it fails.
pub(crate) fn measure(peer: &str, times: usize) -> Result<String> {
    let mut took = Vec::with_capacity(times);
    let runtime = two_workers()?;
    for _ in 0..times {
        match peer {
            "softstop" => runtime.block_on(runtime.spawn(softstop()))??,
            "tracker" => runtime.block_on(runtime.spawn(tracker()))??,
            "graceful-shutdown" => runtime.block_on(runtime.spawn(graceful_shutdown()))??,
            _ => return Err(format!("no handover is known for {peer}").into()),
        }
        let (done, asked) = (LAST_DONE.swap(0, Ordering::AcqRel), ASKED.load(Ordering::Acquire));
        took.push(asked.checked_sub(done).ok_or("the dependency was asked before its dependents had gone")?);
    }
    took.sort_unstable();
    let at = |percent: usize| took.get(times * percent / 100).copied().unwrap_or_default();
    Ok(format!(r#"{{"median_ns":{},"p99_ns":{}}}"#, at(50), at(99)))
}

/// Two components; the order comes from the edge between them.
async fn softstop() -> Result {
    let mut service = Service::new("handover");
    let store = service.component("store", (), async |scope, ()| {
        scope.spawn_with("asked", async |scope| {
            scope.draining().await;
            asked();
            Ok(())
        });
        Ok(())
    });
    service.component("feed", store, async |scope, ()| {
        for _ in 0..TASKS {
            scope.spawn_with("work", async |scope| {
                scope.cancelled().await;
                done();
                Ok(())
            });
        }
        Ok(())
    });
    let (handle, mut events) = (service.handle(), service.handle().events());
    let running = Handle::current().spawn(service.run(pending()));
    while !matches!(events.next().await, Some(Event::Service { state: ServiceState::Running, .. }) | None) {}
    sleep(SETTLE).await;
    handle.stop(Reason::Requested("the sample".into()));
    running.await?;
    Ok(())
}

/// By hand: a token and a tracker for each, awaited one after the other.
async fn tracker() -> Result {
    let [feed, store] = [(); 2].map(|()| (CancellationToken::new(), TaskTracker::new()));
    let token = store.0.clone();
    store.1.spawn(async move {
        token.cancelled().await;
        asked();
    });
    for _ in 0..TASKS {
        let token = feed.0.clone();
        feed.1.spawn(async move {
            token.cancelled().await;
            done();
        });
    }
    sleep(SETTLE).await;
    for (token, tracker) in [feed, store] {
        token.cancel();
        tracker.close();
        tracker.wait().await;
    }
    Ok(())
}

/// As its example "orchestrated shutdown order" does it: detached children, stopped one after the other.
async fn graceful_shutdown() -> Result {
    let token = CancellationToken::new();
    let toplevel =
        Toplevel::new_with_shutdown_token(async |root: &mut SubsystemHandle| in_order(root).await, token.clone());
    let running = Handle::current().spawn(toplevel.handle_shutdown_requests(TIMEOUT));
    sleep(SETTLE).await;
    token.cancel();
    Ok(running.await??)
}

async fn in_order(root: &mut SubsystemHandle) {
    let store = async |store: &mut SubsystemHandle| -> Result {
        store.on_shutdown_requested().await;
        asked();
        Ok(())
    };
    let feed = async |feed: &mut SubsystemHandle| -> Result {
        for _ in 0..TASKS {
            feed.start(SubsystemBuilder::new("work", work));
        }
        feed.on_shutdown_requested().await;
        Ok(())
    };
    let store = root.start(SubsystemBuilder::new("store", store).detached());
    let feed = root.start(SubsystemBuilder::new("feed", feed).detached());
    root.on_shutdown_requested().await;
    for child in [feed, store] {
        child.initiate_shutdown();
        let _ = child.join().await;
    }
}

async fn work(subsystem: &mut SubsystemHandle) -> Result {
    subsystem.on_shutdown_requested().await;
    done();
    Ok(())
}

fn done() {
    LAST_DONE.fetch_max(now(), Ordering::AcqRel);
}

fn asked() {
    ASKED.store(now(), Ordering::Release);
}

/// Nanoseconds since the first call.
fn now() -> u64 {
    static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(ORIGIN.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
