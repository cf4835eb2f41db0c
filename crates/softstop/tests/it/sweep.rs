//! Stops at every await point: that the sweep sees them all, that it finds what is planted, and that it passes on what is right.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use softstop::{
    BoxError, Report, Result, Scope, Service, Status,
    testing::{Fault, Sweep, sweep},
};
use tokio::sync::mpsc;

use crate::support::{Log, ms};

/// Says where a task was when it was dropped there.
struct Waiting(Log, &'static str);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.add(self.1);
    }
}

/// An await point with a name: it says so if it is dropped while it waits, and is ready at the second poll.
async fn pause(log: &Log, name: &'static str) {
    let waiting = Waiting(log.clone(), name);
    tokio::task::yield_now().await;
    std::mem::forget(waiting);
}

#[test]
fn it_stops_at_every_await_point_of_a_known_program() {
    let dropped_at: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&dropped_at);

    let swept = sweep(|service| {
        let log = Log::default();
        let own = log.clone();
        service.component("c", (), async move |scope, ()| {
            scope.spawn("walk", async move {
                pause(&own, "one").await;
                for name in ["two", "three"] {
                    pause(&own, name).await;
                }
                tokio::join!(pause(&own, "four"), pause(&own, "five"));
                let (tx, mut rx) = mpsc::channel(2);
                tx.send(()).await?;
                rx.recv().await;
                pause(&own, "six").await;
                std::future::pending::<()>().await;
                Ok(())
            });
            Ok(())
        });
        Ok(log)
    })
    .run(move |_, log| {
        seen.lock().unwrap().push(log.words().join("+"));
        Ok(())
    });

    let mut all = dropped_at.lock().unwrap().clone();
    all.sort();
    all.dedup();
    assert_eq!(all, ["", "four+five", "one", "six", "three", "two"], "{swept:?}");
    // Handed one item a poll, it also waits between the sending and the receiving, which are ready at once.
    let of = |schedule: &str| {
        let task = format!("{schedule} c/walk@");
        swept.points.iter().filter_map(|p| p.strip_prefix(&task)?.parse().ok()).collect::<Vec<u32>>()
    };
    assert_eq!(of("coarse"), (1..=6).collect::<Vec<_>>());
    assert_eq!(of("fine"), (1..=7).collect::<Vec<_>>());
    assert_eq!((swept.left_out, swept.missed), (0, 0));
}

/// What a sweep that fails says.
fn failure_of<S: 'static, B, C>(sweep: Sweep<B>, check: C) -> String
where
    B: Fn(&mut Service) -> Result<S> + Send + Sync + 'static,
    C: Fn(&Report, S) -> Result + Send + Sync + 'static,
{
    let failed = catch_unwind(AssertUnwindSafe(|| sweep.run(check)));
    let panic = failed.expect_err("the sweep found nothing");
    panic.downcast_ref::<String>().unwrap().clone()
}

#[derive(Clone, Default)]
struct Counts {
    one: Arc<AtomicU64>,
    other: Arc<AtomicU64>,
}

impl Counts {
    fn both(&self) -> (u64, u64) {
        (self.one.load(Ordering::Relaxed), self.other.load(Ordering::Relaxed))
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Trades from a feed to a store. A store that acknowledges first says that a trade is safe and then waits for the disk.
fn trades(service: &mut Service, acknowledges_first: bool) -> Result<Counts> {
    let counts = Counts::default();
    let (acknowledged, stored) = (Arc::clone(&counts.one), Arc::clone(&counts.other));
    let store = service.component("store", (), async move |scope, ()| {
        let (tx, mut rx) = mpsc::channel::<u64>(4);
        scope.spawn_with("write", async move |scope| {
            while let Some(_trade) = scope.next(rx.recv()).await {
                if acknowledges_first {
                    count(&acknowledged);
                }
                let disk = tokio::time::sleep(ms(3));
                if acknowledges_first && scope.until_cancelled(disk).await.is_none() {
                    break;
                }
                count(&stored);
                if !acknowledges_first {
                    count(&acknowledged);
                }
            }
            Ok(())
        });
        Ok(tx)
    });
    service.options(store).drain(ms(0));
    service.component("feed", store, async |scope, tx| {
        scope.spawn("trades", async move {
            for trade in 0.. {
                tx.send(trade).await?;
                tokio::time::sleep(ms(10)).await;
            }
            Ok(())
        });
        Ok(())
    });
    Ok(counts)
}

fn nothing_acknowledged_is_lost(_: &Report, counts: Counts) -> Result {
    let (acknowledged, stored) = counts.both();
    if acknowledged > stored {
        return Err(format!("{acknowledged} acknowledged, {stored} stored").into());
    }
    Ok(())
}

#[test]
fn it_finds_a_trade_that_is_acknowledged_before_it_is_stored() {
    let found = failure_of(sweep(|service| trades(service, true)).lasting(ms(100)), nothing_acknowledged_is_lost);

    // The stop comes while the disk is waited for; the line replays it.
    assert!(found.contains("acknowledged, "), "{found}");
    assert!(found.contains("replay: SOFTSTOP_REPLAY='coarse store/write@2' cargo test"), "{found}");
    assert!(found.contains("sweep::it_finds_a_trade_that_is_acknowledged_before_it_is_stored"), "{found}");
}

#[test]
fn a_store_that_acknowledges_what_it_has_stored_passes() {
    let swept = sweep(|service| trades(service, false)).lasting(ms(100)).run(nothing_acknowledged_is_lost);

    assert!(swept.points.len() > 40 && swept.pairs > 10, "{swept:?}");
}

/// A worker waits for credits, a feed gives them and looks at the worker's position when it leaves. A worker that takes the lock
/// first holds it while it waits.
fn credits(service: &mut Service, locks_first: bool) -> Result {
    let position = Arc::new(tokio::sync::Mutex::new(0_u64));
    let of_feed = Arc::clone(&position);
    let worker = service.component("worker", (), async move |scope, ()| {
        let (give, mut take) = mpsc::channel::<u64>(1);
        scope.spawn_with("work", async move |scope| {
            loop {
                let mut held = if locks_first { Some(position.lock().await) } else { None };
                let Some(credit) = scope.until_cancelled(take.recv()).await.flatten() else { return Ok(()) };
                if held.is_none() {
                    held = Some(position.lock().await);
                }
                held.iter_mut().for_each(|position| **position += credit);
                drop(held);
                tokio::time::sleep(ms(5)).await;
            }
        });
        Ok(give)
    });
    service.component("feed", worker, async move |scope, give| {
        scope.spawn_with("credits", async move |scope| {
            while scope.sleep(ms(20)).await.is_ok() {
                give.send(1).await?;
            }
            let _where_we_are = of_feed.lock().await;
            Ok(())
        });
        Ok(())
    });
    Ok(())
}

#[test]
fn it_finds_a_lock_that_is_held_across_an_await() {
    let found = failure_of(sweep(|service| credits(service, true)).lasting(ms(60)), |_, ()| Ok(()));

    assert!(found.contains("status 82") && found.contains("feed/credits was aborted"), "{found}");
}

#[test]
fn a_lock_that_is_taken_when_it_is_needed_passes() {
    sweep(|service| credits(service, false)).lasting(ms(60)).run(|_, ()| Ok(()));
}

/// Connections are opened, greeted, and closed. Who records one only after the greeting loses it to a stop in between.
fn connections(service: &mut Service, records_late: bool) -> Result<Counts> {
    let counts = Counts::default();
    let (opened, closed) = (Arc::clone(&counts.one), Arc::clone(&counts.other));
    service.component("client", (), async move |scope, ()| {
        scope.spawn("connect", async_connect(scope.clone(), opened, closed, records_late));
        Ok(())
    });
    Ok(counts)
}

async fn async_connect(scope: Scope, opened: Arc<AtomicU64>, closed: Arc<AtomicU64>, records_late: bool) -> Result {
    loop {
        let connect = async {
            tokio::time::sleep(ms(1)).await;
            count(&opened);
            Ok::<_, BoxError>(())
        };
        let closed = Arc::clone(&closed);
        let close = async move |()| {
            count(&closed);
            Ok(())
        };
        let connection = if records_late {
            connect.await?;
            tokio::task::yield_now().await; // the greeting
            scope.open("connection", async { Ok::<_, BoxError>(()) }, close).await?
        } else {
            let connection = scope.open("connection", connect, close).await?;
            tokio::task::yield_now().await;
            connection
        };
        tokio::time::sleep(ms(5)).await;
        connection.close().await?;
    }
}

fn all_is_closed(_: &Report, counts: Counts) -> Result {
    let (opened, closed) = counts.both();
    if opened == closed { Ok(()) } else { Err(format!("{opened} opened, {closed} closed").into()) }
}

#[test]
fn it_finds_a_resource_that_is_opened_between_two_awaits_and_not_recorded() {
    let found = failure_of(sweep(|service| connections(service, true)).lasting(ms(30)), all_is_closed);

    assert!(found.contains("1 opened, 0 closed"), "{found}");
    assert!(found.contains("replay: SOFTSTOP_REPLAY='coarse client/connect@2'"), "{found}");
}

#[test]
fn a_resource_that_is_recorded_as_it_is_opened_passes() {
    sweep(|service| connections(service, false)).lasting(ms(30)).run(all_is_closed);
}

#[test]
fn faults_by_name_come_about_and_everything_else_is_closed() {
    let faults = [
        Fault::nth_open_fails("connection", 2),
        Fault::open_fails("connection"),
        Fault::close_fails("connection"),
        Fault::close_takes("connection", ms(300)),
        Fault::task_fails("client/connect", 3),
        Fault::task_panics("client/connect", 4),
        Fault::task_fails("client/start", 1),
    ];
    for fault in faults {
        sweep(|service| connections(service, false)).lasting(ms(30)).fault(fault).run(all_is_closed);
    }
}

#[test]
fn a_closing_act_that_takes_longer_than_it_may_is_found() {
    let slow = Fault::close_takes("connection", ms(60_000));
    let found = failure_of(sweep(|service| connections(service, false)).lasting(ms(30)).fault(slow), |_, _| Ok(()));

    assert!(found.contains("status 82"), "{found}");
}

#[test]
fn a_fault_that_never_comes_about_is_an_error_that_says_what_there_is() {
    let misspelt = sweep(|service| connections(service, false)).fault(Fault::open_fails("conection"));
    let found = failure_of(misspelt, all_is_closed);

    let expected = "never happened: opening `conection` fails; there are client/";
    assert!(found.starts_with(expected) && found.contains("connection"), "{found}");
}

#[test]
fn a_run_that_hangs_is_told_with_the_task_that_holds_the_thread() {
    let on = Arc::new(AtomicBool::new(true));
    let of_task = Arc::clone(&on);
    let spins = sweep(move |service| {
        let on = Arc::clone(&of_task);
        service.component("c", (), async move |scope, ()| {
            scope.spawn("spin", async move {
                while on.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
                Ok(())
            });
            Ok(())
        });
        Ok(())
    });
    let found = failure_of(spins.patience(ms(500)), |_, ()| Ok(()));
    on.store(false, Ordering::Relaxed);

    assert!(found.contains("it does not end; held by c/spin: polling for"), "{found}");
}

#[test]
fn a_blocking_job_during_which_the_clock_stands_still_is_stopped_all_the_same() {
    sweep(|service| {
        service.component("c", (), async move |scope, ()| {
            scope.spawn_blocking("job", |flag| {
                loop {
                    flag.check()?;
                    std::thread::yield_now();
                }
                #[expect(unreachable_code, reason = "gives the closure its type")]
                Ok(())
            });
            Ok(())
        });
        Ok(())
    })
    .run(|_, ()| Ok(()));
}

/// A job that takes between nothing and 300 µs in real time, another length each time.
fn some_work(round: u64) -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let until = std::time::Instant::now() + std::time::Duration::from_micros(u64::from(now.subsec_nanos()) % 300);
    while std::time::Instant::now() < until {
        std::hint::spin_loop();
    }
    round
}

#[test]
fn blocking_jobs_do_the_same_every_time_however_long_they_take() {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let runs = Arc::clone(&seen);

    let swept = sweep(|service| {
        let log = Log::default();
        let (of_worker, of_walker) = (log.clone(), log.clone());
        service.component("c", (), async move |scope, ()| {
            scope.spawn_with("work", async move |scope| {
                for round in 0..6 {
                    scope.spawn_blocking("job", move |_| Ok(some_work(round))).await?;
                    of_worker.add("work");
                    if scope.sleep(ms(1)).await.is_err() {
                        break;
                    }
                }
                Ok(())
            });
            scope.spawn("walk", async move {
                for step in 0..36 {
                    of_walker.add("walk");
                    tokio::task::yield_now().await;
                    if step % 4 == 3 {
                        tokio::time::sleep(ms(1)).await;
                    }
                }
                Ok(())
            });
            Ok(())
        });
        Ok(log)
    })
    .lasting(ms(20))
    .run(move |report, log| {
        let whole = report.ran == ms(20);
        runs.lock().unwrap().extend(whole.then(|| log.words().join(" ")));
        Ok(())
    });

    assert_eq!(swept.missed, 0, "{swept:?}");
    assert!(!swept.points.iter().any(|point| point.contains("c/job")), "{swept:?}");
    let mut whole = seen.lock().unwrap().clone();
    whole.dedup();
    assert_eq!(whole.len(), 1, "one order every time: {whole:#?}");
}

#[test]
fn a_service_that_does_not_do_the_same_twice_is_found() {
    let runs = AtomicU64::new(0);
    let differs = sweep(move |service| {
        let n = runs.fetch_add(1, Ordering::Relaxed);
        service.component("c", (), async move |scope, ()| {
            scope.lost("runs", n);
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            Ok(())
        });
        Ok(())
    });
    let found = failure_of(differs.allow(Status::Lost), |_, ()| Ok(()));

    assert!(found.contains("the same run gave two reports"), "{found}");
}

#[test]
fn the_line_of_a_failure_replays_it_and_nothing_else() {
    let replayed = |moment: &str, test: &str| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", test, "--nocapture"]).env("SOFTSTOP_REPLAY", moment);
        let output = command.output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };

    let passes = "sweep::a_store_that_acknowledges_what_it_has_stored_passes";
    let (passed, said) = replayed("fine store/write@3, hurry store/write@4", passes);
    assert!(!passed, "it counts its points, and there are none:\n{said}");
    assert!(said.contains("replayed fine store/write@3, hurry store/write@4"), "{said}");
    assert!(said.contains("before the stop: ") && said.contains(" store/write@3\nafter it: "), "{said}");

    let fails = "sweep::it_finds_a_trade_that_is_acknowledged_before_it_is_stored";
    let (_, said) = replayed("coarse store/write@2", fails);
    assert!(said.contains("replayed:") && said.contains("1 acknowledged, 0 stored"), "{said}");

    let (_, said) = replayed("now", passes);
    assert!(said.contains("SOFTSTOP_REPLAY=\"now\": expected `coarse` or `fine`"), "{said}");
}
