//! Drop against sweep: what is open is closed once, in whatever moment its owner lets go of it.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use softstop::{BoxError, Held, Limits, Report, Scope, Service};
use tokio::{sync::oneshot, task::spawn_blocking};

use super::{Random, in_time, race, reason, yields};
use crate::support::forever;

/// What became of one resource.
#[derive(Default)]
struct Fate {
    begun: AtomicU64,
    closed: AtomicU64,
    released: AtomicU64,
}

#[derive(Default)]
struct Fates(Mutex<Vec<Arc<Fate>>>);

type Thing = Held<Arc<Fate>>;

impl Fates {
    async fn open(&self, scope: &Scope, random: &mut Random) -> softstop::Result<Thing> {
        let (fate, slowly, also) = (Arc::new(Fate::default()), random.below(4), random.below(3));
        let close = async move |fate: Arc<Fate>| {
            fate.begun.fetch_add(1, Ordering::SeqCst);
            yields(slowly).await?;
            fate.closed.fetch_add(1, Ordering::SeqCst);
            Ok(())
        };
        yields(also).await?;
        let held = scope.open("thing", async { Ok::<_, BoxError>(Arc::clone(&fate)) }, close).await?;
        self.0.lock().unwrap().push(fate);
        Ok(held)
    }
}

/// Lets go of it in one of the ways there are.
async fn let_go(held: Thing, to: &Scope, random: &mut Random) {
    random.spin();
    match random.below(6) {
        0 => drop(held),
        1 => drop(held.close().await),
        2 => {
            // The call is dropped half way, or before it began.
            let polls = random.below(3);
            let mut close = Box::pin(held.close());
            for _ in 0..polls {
                let once = std::future::poll_fn(|cx| std::task::Poll::Ready(close.as_mut().poll(cx).is_ready()));
                if once.await {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        3 => {
            let fate = held.release();
            fate.released.fetch_add(1, Ordering::SeqCst);
        }
        4 => drop(held.hand_on(to)),
        _ => {
            yields(random.below(6)).await.unwrap();
            drop(held);
        }
    }
}

/// Adds up the rows of the report: opened, closed, and what else became of them.
fn rows(report: &Report) -> (u64, u64, u64) {
    let rows = || report.components.iter().flat_map(|c| &c.resources);
    let open: usize = report.components.iter().map(|c| c.open.len()).sum();
    let (opened, closed) = (rows().map(|r| r.opened).sum(), rows().map(|r| r.closed).sum());
    (opened, closed, rows().map(|r| r.failed + r.cut + r.released).sum::<u64>() + open as u64)
}

/// Opens, holds for a while, and lets go.
async fn hold(scope: Scope, fates: Arc<Fates>, mut random: Random) -> softstop::Result {
    let nested = random.one_in(2).then(|| scope.nested("n"));
    let near = nested.as_deref().cloned().unwrap_or_else(|| scope.clone());
    let held = fates.open(&near, &mut random).await?;
    match random.below(4) {
        0 => {}
        1 => drop(scope.draining().await),
        2 => drop(scope.cancelled().await),
        _ => yields(random.below(20)).await?,
    }
    // In another task, so that a nested scope stops meanwhile.
    let (to, mut other) = (if random.one_in(2) { near } else { scope.clone() }, random.fork());
    let letting = scope.spawn_ignoring("lets go", |_| async move {
        let_go(held, &to, &mut other).await;
        Ok(())
    });
    if let Some(nested) = nested.filter(|_| random.one_in(2)) {
        random.spin();
        nested.stop(Limits::default()).await;
    }
    let _ = letting.await;
    Ok(())
}

fn spawn_holder(scope: &Scope, fates: &Arc<Fates>, random: &mut Random) {
    let (fates, own) = (Arc::clone(fates), random.fork());
    if random.one_in(3) {
        scope.spawn("plain", hold(scope.clone(), fates, own));
    } else {
        scope.spawn_ignoring("holder", |scope| hold(scope, fates, own));
    }
}

#[test]
fn what_is_let_go_while_its_component_ends_is_closed_once() {
    race(&["closed", "released", "leaked"], async |mut random, seen| {
        let fates = Arc::new(Fates::default());
        let mut service = Service::new("test");
        let handle = service.handle();
        let (started, ready) = oneshot::channel();
        let (opened, mut own) = (Arc::clone(&fates), random.fork());
        service.component("c", (), async move |scope, ()| {
            drop(opened.open(&scope, &mut own).await?);
            for _ in 0..own.below(8) {
                spawn_holder(&scope, &opened, &mut own);
            }
            scope.spawn("forever", forever());
            let _ = started.send(());
            Ok(())
        });

        let running = tokio::spawn(service.run(std::future::pending()));
        let _ = in_time(ready).await;
        random.spin();
        handle.stop(reason("test"));
        let report = in_time(running).await.unwrap();

        let fates = std::mem::take(&mut *fates.0.lock().unwrap());
        let sum = |of: fn(&Fate) -> &AtomicU64| fates.iter().map(|fate| of(fate).load(Ordering::SeqCst)).sum::<u64>();
        for fate in &fates {
            let fate = [&fate.begun, &fate.closed, &fate.released].map(|n| n.load(Ordering::SeqCst));
            assert!(matches!(fate, [1, 1, 0] | [0, 0, 1]), "begun, closed, released: {fate:?}, {report:?}");
        }
        let (rows, closed) = (rows(&report), sum(|fate| &fate.closed));
        assert_eq!(rows.1, closed, "{report:?}");
        // Who hands on releases, and opens once more.
        assert_eq!(rows.0, rows.1 + rows.2, "{report:?}");
        seen.note("closed", closed);
        seen.note("released", sum(|fate| &fate.released));
        seen.note("leaked", report.leaked);
    });
}

#[test]
fn what_is_dropped_from_outside_while_its_component_closes_is_closed_at_most_once() {
    race(&["closed", "left open"], async |mut random, seen| {
        let fates = Arc::new(Fates::default());
        let mut service = Service::new("test");
        let handle = service.handle();
        let (started, held) = oneshot::channel();
        let (opened, mut own) = (Arc::clone(&fates), random.fork());
        service.component("c", (), async move |scope, ()| {
            let mut held = Vec::new();
            for _ in 0..1 + own.below(4) {
                held.push(opened.open(&scope, &mut own).await?);
            }
            let _ = started.send(held);
            Ok(())
        });

        let running = tokio::spawn(service.run(std::future::pending()));
        let held = in_time(held).await.unwrap();
        let mut other = random.fork();
        let dropping = spawn_blocking(move || {
            for held in held {
                (0..20).for_each(|_| other.spin());
                drop(held);
            }
        });
        handle.stop(reason("test"));
        let report = in_time(running).await.unwrap();
        in_time(dropping).await.unwrap();

        let fates = std::mem::take(&mut *fates.0.lock().unwrap());
        for fate in &fates {
            let (begun, closed) = (fate.begun.load(Ordering::SeqCst), fate.closed.load(Ordering::SeqCst));
            assert!(closed <= begun && begun <= 1, "begun {begun}, closed {closed}");
        }
        let (opened, closed, others) = rows(&report);
        assert_eq!((opened, fates.len() as u64), (closed + others, opened), "{report:?}");
        let really = fates.iter().map(|fate| fate.closed.load(Ordering::SeqCst)).sum::<u64>();
        assert!(closed <= really, "what the report calls closed is: {report:?}");
        seen.note("closed", closed);
        seen.note("left open", opened - really);
    });
}
