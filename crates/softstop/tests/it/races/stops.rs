//! Two stops: of a nested scope, of its service, from two threads, hurried, given up half way.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::Poll,
};

use softstop::{BoxError, Handle, Held, Limits, Nested, Outcome, Reason, Scope, Service, Status};
use tokio::{sync::oneshot, task::spawn_blocking};

use super::{Random, in_time, outcomes, race, reason, yields};
use crate::support::forever;

/// One scope that saves, and closes something after that.
#[derive(Default)]
struct Part {
    saves: AtomicU64,
    saved: AtomicBool,
    /// It was closed although the save had not ended.
    too_early: AtomicBool,
    closed: AtomicU64,
}

/// Fills a scope with tasks, a save and something open.
async fn fill(scope: &Scope, part: &Arc<Part>, spawned: &AtomicU64, random: &mut Random) -> softstop::Result<Held<()>> {
    for _ in 0..random.below(3) {
        spawned.fetch_add(1, Ordering::SeqCst);
        match random.below(3) {
            0 => drop(scope.spawn("plain", forever())),
            1 => drop(scope.spawn("quick", yields(random.below(3)))),
            _ => drop(scope.spawn_with("drains", |scope| async move {
                scope.draining().await;
                yields(2).await
            })),
        }
    }
    let (of_save, slowly) = (Arc::clone(part), random.below(4));
    scope.on_stop(async move |_| {
        of_save.saves.fetch_add(1, Ordering::SeqCst);
        yields(slowly).await?;
        of_save.saved.store(true, Ordering::SeqCst);
        Ok(())
    });
    let of_close = Arc::clone(part);
    let close = async move |()| {
        let saved = of_close.saved.load(Ordering::SeqCst);
        of_close.too_early.fetch_or(!saved, Ordering::SeqCst);
        of_close.closed.fetch_add(1, Ordering::SeqCst);
        Ok(())
    };
    scope.open("thing", async { Ok::<_, BoxError>(()) }, close).await
}

/// Stops it, to the end or for some polls.
async fn stop(nested: Nested, random: &mut Random) -> bool {
    random.spin();
    let most = if random.one_in(2) { u64::MAX } else { random.below(12) };
    let (mut stopping, mut polls) = (Box::pin(nested.stop(Limits::default())), 0);
    std::future::poll_fn(|cx| {
        polls += 1;
        if polls > most {
            return Poll::Ready(false);
        }
        stopping.as_mut().poll(cx).map(|_| true)
    })
    .await
}

/// Stops the service with this reason, and perhaps hurries it.
fn stop_service(handle: &Handle, reason: Reason, random: &mut Random) {
    random.spin();
    handle.stop(reason);
    for _ in 0..random.below(3) {
        random.spin();
        handle.hurry();
    }
}

#[test]
fn a_nested_scope_saves_once_whoever_stops_it_first() {
    let expected = ["stopped to the end", "given up", "from a task", "from outside", "hurried"];
    race(&expected, async |mut random, seen| {
        let parts: Arc<Vec<Arc<Part>>> = Arc::new((0..3).map(|_| Arc::default()).collect());
        let spawned = Arc::new(AtomicU64::new(0));
        let from_task = random.one_in(2);
        let mut service = Service::new("test");
        let handle = service.handle();
        let (started, nested) = oneshot::channel();
        let (filled, counted, mut own) = (Arc::clone(&parts), Arc::clone(&spawned), random.fork());
        let stopped = Arc::new(Mutex::new(None));
        let said = Arc::clone(&stopped);
        service.component("c", (), async move |scope, ()| {
            let outer = scope.nested("outer");
            let within = outer.nested("inner");
            drop(fill(&scope, &filled[0], &counted, &mut own).await?);
            drop(fill(&outer, &filled[1], &counted, &mut own).await?);
            drop(fill(&within, &filled[2], &counted, &mut own).await?);
            let nested = if own.one_in(2) { outer } else { within };
            if from_task {
                counted.fetch_add(1, Ordering::SeqCst);
                scope.spawn_with("stops", |_| async move {
                    *said.lock().unwrap() = Some(stop(nested, &mut own).await);
                    Ok(())
                });
                let _ = started.send(None);
            } else {
                let _ = started.send(Some(nested));
            }
            Ok(())
        });

        let running = tokio::spawn(service.run(std::future::pending()));
        let nested = in_time(nested).await.unwrap();
        let names = if random.one_in(2) { ["one", "two"] } else { ["two", "one"] };
        let stoppers = names.map(|name| {
            let (handle, mut random) = (handle.clone(), random.fork());
            spawn_blocking(move || stop_service(&handle, reason(name), &mut random))
        });
        if let Some(nested) = nested {
            let ended = in_time(stop(nested, &mut random)).await;
            *stopped.lock().unwrap() = Some(ended);
        }
        let report = in_time(running).await.unwrap();
        for stopper in stoppers {
            in_time(stopper).await.unwrap();
        }

        for (at, part) in parts.iter().enumerate() {
            let (saves, closed) = (part.saves.load(Ordering::SeqCst), part.closed.load(Ordering::SeqCst));
            assert_eq!((saves, closed), (1, 1), "scope {at}: {report:?}");
            assert!(!part.too_early.load(Ordering::SeqCst), "scope {at} was closed before it had saved: {report:?}");
        }
        let sums = outcomes(&report);
        assert_eq!(sums.values().sum::<u64>(), spawned.load(Ordering::SeqCst), "{report:?}");
        assert_eq!((sums.get(&None), report.status), (None, Status::Clean), "{report:?}");
        assert!([reason("one"), reason("two")].contains(&report.reason));
        seen.note("second reason", u64::from(report.reason == reason(names[1])));
        seen.note("hurried", u64::from(!report.levels.is_empty()));
        let to_the_end = stopped.lock().unwrap().is_some_and(|to_the_end| to_the_end);
        seen.note(if to_the_end { "stopped to the end" } else { "given up" }, 1);
        seen.note(if from_task { "from a task" } else { "from outside" }, 1);
    });
}

#[test]
fn no_report_misses_a_task_of_a_nested_scope_that_leaves() {
    race(&["reports"], async |mut random, seen| {
        const SCOPES: u64 = 8;
        let mut service = Service::new("test");
        let handle = service.handle();
        let ended = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&ended);
        service.component("c", (), async move |scope, ()| {
            scope.spawn_with("owner", async move |scope| {
                for _ in 0..SCOPES {
                    let outer = scope.nested("outer");
                    outer.spawn("task", async { Ok(()) }).await?;
                    let within = outer.nested("inner");
                    within.spawn("task", async { Ok(()) }).await?;
                    drop(within.open("thing", async { Ok::<_, BoxError>(()) }, async |()| Ok(())).await?);
                    outer.stop(Limits::default()).await;
                }
                over.store(true, Ordering::SeqCst);
                Ok(())
            });
            Ok(())
        });
        let watched = handle.clone();
        let watching = spawn_blocking(move || {
            let (mut most, mut reports) = ((0, 0), 0);
            while !ended.load(Ordering::SeqCst) {
                random.spin();
                let report = watched.report();
                let finished = outcomes(&report).get(&Some(Outcome::Finished)).copied().unwrap_or(0);
                let closed = report.components.iter().flat_map(|c| &c.resources).map(|row| row.closed).sum::<u64>();
                assert!(finished >= most.0 && closed >= most.1, "{finished}, {closed} after {most:?}: {report:?}");
                assert!(finished <= 2 * SCOPES + 1 && closed <= SCOPES, "{finished}, {closed}: {report:?}");
                most = (finished, closed);
                reports += 1;
            }
            reports
        });

        let running = tokio::spawn(service.run(std::future::pending()));
        seen.note("reports", in_time(watching).await.unwrap());
        handle.stop(reason("test"));
        let report = in_time(running).await.unwrap();

        assert_eq!(outcomes(&report).get(&Some(Outcome::Finished)), Some(&(2 * SCOPES + 1)));
    });
}
