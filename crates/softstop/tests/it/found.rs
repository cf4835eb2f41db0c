//! Bugs that were found and mended, each named after what went wrong.

use std::{
    future::poll_fn,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc as blocking,
    },
    task::Context,
    time::{Duration, Instant},
};

use softstop::{BoxError, Handle, Limits, Outcome, Reason, Scope, Service, Status};
use tokio::sync::mpsc;

use crate::support::{Log, component, count, forever, ms, run, run_for, test_reason, with};

#[derive(Clone, Copy)]
enum Through {
    /// A task of a nested scope takes items through the scope around it.
    Outer,
    /// A task takes items through a scope nested in its own.
    Nested,
    /// A task comes to its queue only after the stop has begun.
    Late,
}

/// How many of 100 queued items are taken after one graceful stop.
async fn taken(through: Through) -> (u64, Status) {
    let taken = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&taken);
    let mut service = Service::new("test");
    let sink = service.component("sink", (), async move |scope, ()| {
        let (tx, mut rx) = mpsc::channel::<u64>(100);
        let used = match through {
            Through::Outer | Through::Late => scope.clone(),
            Through::Nested => (*scope.nested("n")).clone(),
        };
        let consume = async move |_| {
            if matches!(through, Through::Late) {
                tokio::time::sleep(ms(80)).await;
            }
            while used.next(rx.recv()).await.is_some() {
                tokio::time::sleep(ms(1)).await;
                counter.fetch_add(1, Ordering::SeqCst);
            }
            Ok(())
        };
        match through {
            Through::Outer => drop(scope.nested("n").spawn_with("consume", consume)),
            Through::Nested | Through::Late => drop(scope.spawn_with("consume", consume)),
        }
        Ok(tx)
    });
    service.component("feed", sink, async |_, tx| {
        for n in 0..100 {
            tx.send(n).await?;
        }
        Ok(())
    });
    let report = run_for(service, ms(20)).await;
    (taken.load(Ordering::SeqCst), report.status)
}

#[tokio::test(start_paused = true)]
async fn a_task_that_drained_through_the_scope_around_it_lost_its_queue() {
    assert_eq!(taken(Through::Outer).await, (100, Status::Clean));
}

#[tokio::test(start_paused = true)]
async fn a_task_that_drained_through_a_scope_nested_in_its_own_lost_its_queue() {
    assert_eq!(taken(Through::Nested).await, (100, Status::Clean));
}

#[tokio::test(start_paused = true)]
async fn a_task_that_came_to_its_queue_after_the_stop_had_begun_lost_it() {
    assert_eq!(taken(Through::Late).await, (100, Status::Clean));
}

#[tokio::test(start_paused = true)]
async fn a_huge_loss_overflowed_in_the_report() {
    let mut service = Service::new("test");
    service.component("c", (), async |scope, ()| {
        scope.lost("x", u64::MAX);
        scope.owe("x", 1);
        Ok(())
    });

    assert_eq!(run_for(service, ms(10)).await.losses[0].count, u64::MAX);
}

#[tokio::test]
async fn a_stuck_job_of_a_scope_that_had_gone_failed_later_and_panicked_in_the_library() {
    let (release, held) = blocking::channel::<()>();
    let mut service = Service::new("test");
    service.component("c", (), async move |scope, ()| {
        scope.spawn_with("owner", async move |scope| {
            let nested = scope.nested("n");
            let job = nested.spawn_blocking("job", move |_| {
                let _ = held.recv();
                Err::<(), BoxError>("late".into())
            });
            let limits = Limits { cancel: Some(ms(20)), ..Limits::default() };
            assert_eq!(nested.stop(limits).await.tasks[0].outcome, Some(Outcome::Stuck));
            drop(release);
            assert_eq!(job.await.unwrap_err().message, "late");
            Ok(())
        });
        Ok(())
    });

    let report = run_for(service, ms(500)).await;

    assert_eq!(count(&report, "owner", Outcome::Finished), 1, "{}", report.why);
    assert_eq!((report.reason, report.failures.len()), (test_reason(), 0), "what was stuck fails nobody later");
}

#[tokio::test(start_paused = true)]
async fn a_nested_scope_that_ran_out_of_its_time_dropped_its_save_unrun_and_undeclared() {
    let saved = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&saved);
    let mut service = Service::new("test");
    let c = service.component("c", (), async move |scope, ()| {
        scope.spawn_with("owner", async move |scope| {
            let nested = scope.nested("n");
            nested.on_stop(async move |_| {
                counter.fetch_add(1, Ordering::SeqCst);
                Ok(())
            });
            nested.spawn_with("busy", async |_| forever().await);
            scope.draining().await;
            tokio::time::sleep(ms(49)).await;
            nested.stop(Limits::default()).await;
            Ok(())
        });
        Ok(())
    });
    service.options(c).drain(ms(50)).cancel(ms(50));

    let report = run_for(service, ms(10)).await;

    let declared = report.losses.iter().filter(|loss| loss.what == "save of c/n").count() as u64;
    assert_eq!(saved.load(Ordering::SeqCst) + declared, 1, "{:?}", report.losses);
}

#[tokio::test(start_paused = true)]
async fn a_save_registered_while_saving_was_dropped_without_a_word() {
    let mut service = Service::new("test");
    service.component("c", (), async |scope, ()| {
        let again = scope.clone();
        scope.on_stop(async move |_| {
            again.on_stop(async |_| Ok(()));
            Ok(())
        });
        Ok(())
    });

    let report = run_for(service, ms(10)).await;

    assert_eq!((report.status, report.losses[0].why), (Status::Lost, "save not run"));
}

#[tokio::test(start_paused = true)]
async fn what_a_cut_save_was_closing_was_dropped_half_way() {
    let closed = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&closed);
    let mut service = Service::new("test");
    let c = service.component("c", (), async move |scope, ()| {
        let close = async move |()| {
            tokio::time::sleep(ms(300)).await;
            counter.fetch_add(1, Ordering::SeqCst);
            Ok(())
        };
        let held = scope.open("file", async { Ok::<_, BoxError>(()) }, close).await?;
        scope.on_stop(async move |_| held.close().await);
        Ok(())
    });
    service.options(c).save(ms(100));

    let report = run_for(service, ms(10)).await;

    assert_eq!(closed.load(Ordering::SeqCst), 1);
    assert_eq!((component(&report, "c").resources[0].closed, report.took), (1, ms(300)));
}

#[tokio::test(start_paused = true)]
async fn closing_many_resources_took_quadratic_time() {
    const MANY: u64 = 20_000;
    let closed = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&closed);
    let mut service = Service::new("test");
    service.component("c", (), async move |scope, ()| {
        for _ in 0..MANY {
            let counter = Arc::clone(&counter);
            let close = async move |()| {
                counter.fetch_add(1, Ordering::SeqCst);
                Ok(())
            };
            drop(scope.open("thing", async { Ok::<_, BoxError>(()) }, close).await?);
        }
        Ok(())
    });

    // Paused time does not pass while there is work: what is cut here was never begun.
    run_for(service, ms(10)).await;

    assert_eq!(closed.load(Ordering::SeqCst), MANY);
}

#[tokio::test(start_paused = true)]
async fn an_emergency_hook_that_held_a_scope_kept_the_service_alive_for_ever() {
    let probe = Arc::new(());
    let held = Arc::clone(&probe);
    let mut service = Service::new("test");
    service.component("c", (), async move |scope, ()| {
        let inner = scope.clone();
        scope.emergency(move || {
            inner.lost("x", 1);
            drop(held);
        });
        Ok(())
    });

    run_for(service, ms(10)).await;

    assert_eq!(Arc::strong_count(&probe), 1);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_dropped_kept_what_was_open_if_its_closing_act_held_a_scope() {
    let probe = Arc::new(());
    let held = Arc::clone(&probe);
    let mut service = Service::new("test");
    service.component("c", (), async move |scope, ()| {
        let inner = scope.clone();
        let close = async move |held: Arc<()>| {
            drop((inner, held));
            Ok(())
        };
        let open = scope.open("thing", async { Ok::<_, BoxError>(held) }, close).await?;
        scope.spawn("holder", async move {
            let _open = open;
            forever().await
        });
        Ok(())
    });

    let never = service.run(std::future::pending::<Reason>());
    assert!(tokio::time::timeout(ms(10), never).await.is_err());
    tokio::time::sleep(ms(1)).await;

    assert_eq!(Arc::strong_count(&probe), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nested_stop_that_raced_the_service_lost_a_save() {
    for round in 0..300_u64 {
        let saves = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&saves);
        let (tx, rx) = tokio::sync::oneshot::channel();
        let mut service = Service::new("test");
        service.component("c", (), async move |scope, ()| {
            let nested = scope.nested("n");
            nested.on_stop(async move |_| {
                counter.fetch_add(1, Ordering::SeqCst);
                Ok(())
            });
            let _ = tx.send(nested);
            Ok(())
        });
        let handle = service.handle();
        let racing = tokio::spawn(async move {
            let nested = rx.await.unwrap();
            let stopping = nested.stop(Limits::default());
            let _ = tokio::time::timeout(Duration::from_micros(round % 100), stopping).await;
        });
        let asking = tokio::spawn(async move {
            let mut events = handle.events();
            while !handle.is_ready() {
                events.next().await.unwrap();
            }
            handle.stop(test_reason());
        });

        let report = tokio::time::timeout(ms(20_000), service.run(std::future::pending())).await.expect("it ends");

        racing.await.unwrap();
        asking.await.unwrap();
        assert_eq!((saves.load(Ordering::SeqCst), report.status), (1, Status::Clean), "round {round}: {}", report.why);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_scope_nested_in_a_nested_one_had_counted_was_lost_with_the_stop_of_the_outer() {
    let mut service = Service::new("test");
    service.component("c", (), async |scope, ()| {
        scope.spawn_with("owner", async |scope| {
            let outer = scope.nested("outer");
            let within = outer.nested("inner");
            within.spawn("task", async { Ok(()) }).await?;
            drop(within.open("thing", async { Ok::<_, BoxError>(()) }, async |()| Ok(())).await?);
            outer.stop(Limits::default()).await;
            Ok(())
        });
        Ok(())
    });

    let report = run_for(service, ms(10)).await;

    assert_eq!(count(&report, "outer/inner/task", Outcome::Finished), 1, "{:?}", component(&report, "c").tasks);
    assert_eq!(component(&report, "c").resources.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_held_of_a_scope_nested_in_a_nested_one_was_forgotten_with_the_stop_of_the_outer() {
    let closed = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&closed);
    let mut service = Service::new("test");
    service.component("c", (), async move |scope, ()| {
        scope.spawn_with("owner", async move |scope| {
            let outer = scope.nested("outer");
            let within = outer.nested("inner");
            let close = async move |()| {
                counter.fetch_add(1, Ordering::SeqCst);
                Ok(())
            };
            let held = within.open("thing", async { Ok::<_, BoxError>(()) }, close).await?;
            outer.stop(Limits::default()).await;
            scope.draining().await;
            drop(held);
            Ok(())
        });
        Ok(())
    });

    let report = run_for(service, ms(10)).await;

    assert_eq!(closed.load(Ordering::SeqCst), 1);
    assert_eq!(component(&report, "c").resources.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_came_long_after_the_cancel_was_stuck_at_once() {
    let (release, held) = blocking::channel::<()>();
    let mut service = Service::new("test");
    service.component("c", (), async move |scope, ()| {
        scope.spawn_with("patient", async |_| forever().await);
        scope.spawn_with("spawns", async move |scope| {
            scope.cancelled().await;
            tokio::time::sleep(ms(3000)).await;
            let late = move |_| {
                let _ = held.recv();
                Ok(())
            };
            Ok(scope.spawn_blocking("late", late).await?)
        });
        Ok(())
    });
    // A clock that stands still does not go on by itself while a job runs.
    let clock = async move {
        for _ in 0..60 {
            tokio::time::advance(ms(100)).await;
        }
        drop(release);
    };

    let (report, ()) = tokio::join!(run_for(service, ms(10)), clock);

    assert_eq!(count(&report, "patient", Outcome::Aborted), 1, "it was idle for 5 s");
    assert_eq!(count(&report, "late", Outcome::Finished), 1, "{:?}", component(&report, "c").tasks);
}

/// Looks at the report when it is dropped: is the task `job` still there?
struct Witness(Handle, Arc<AtomicU64>);

impl Drop for Witness {
    fn drop(&mut self) {
        let counted = count(&self.0.report(), "job", Outcome::Aborted);
        self.1.store(1 + counted, Ordering::SeqCst);
    }
}

#[test]
fn a_job_that_never_ran_was_counted_as_gone_before_what_it_held() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build().unwrap();
    let seen = Arc::new(AtomicU64::new(0));
    let (release, held) = blocking::channel::<()>();
    let mut service = Service::new("test");
    let witness = Witness(service.handle(), Arc::clone(&seen));
    let c = service.component("c", (), async move |scope, ()| {
        scope.spawn_blocking("first", move |_| {
            let _ = held.recv();
            Ok(())
        });
        scope.spawn_blocking("job", move |_| {
            drop(witness);
            Ok(())
        });
        // Lets the only thread go when both are aborted.
        scope.spawn_with("aborted", async move |_| {
            let _release = release;
            forever().await
        });
        Ok(())
    });
    service.options(c).cancel(ms(20));

    let report = runtime.block_on(run_for(service, ms(10)));

    assert_eq!(count(&report, "job", Outcome::Aborted), 1, "{:?}", component(&report, "c").tasks);
    assert_eq!(seen.load(Ordering::SeqCst), 1, "what it held was dropped while it was there");
}

#[tokio::test(start_paused = true)]
async fn a_late_queue_in_a_scope_made_after_the_cancel_was_lost() {
    let taken = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&taken);
    let mut service = Service::new("test");
    service.component("c", (), async move |scope, ()| {
        scope.spawn_with("late", async move |scope| {
            scope.cancelled().await;
            let (tx, mut rx) = mpsc::channel::<u64>(1);
            tx.send(1).await?;
            let consume = async move |scope: Scope| {
                while scope.next(rx.recv()).await.is_some() {
                    counter.fetch_add(1, Ordering::SeqCst);
                }
                Ok(())
            };
            Ok(scope.nested("n").spawn_with("consume", consume).await?)
        });
        Ok(())
    });

    run_for(service, ms(10)).await;

    assert_eq!(taken.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_item_that_came_between_the_look_at_the_queue_and_the_one_at_the_stop_was_lost() {
    let taken = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&taken);
    let mut service = Service::new("test");
    let handle = service.handle();
    let sink = service.component("sink", (), async move |scope, ()| {
        let (tx, mut rx) = mpsc::channel::<u64>(1);
        let (looked, empty) = tokio::sync::oneshot::channel::<()>();
        scope.spawn_with("consume", async move |scope| {
            let mut looked = Some(looked);
            let mut recv = |cx: &mut Context<'_>| {
                let item = rx.poll_recv(cx);
                if let Some(looked) = looked.take_if(|_| item.is_pending()) {
                    drop(looked);
                    let begun = Instant::now();
                    while !scope.is_draining() && begun.elapsed() < ms(10_000) {
                        std::thread::yield_now();
                    }
                }
                item
            };
            while scope.next(poll_fn(&mut recv)).await.is_some() {
                counter.fetch_add(1, Ordering::SeqCst);
            }
            Ok(())
        });
        Ok(Arc::new(Mutex::new(Some((tx, empty)))))
    });
    service.component("feed", sink, async move |scope, sink| {
        let (tx, empty) = sink.lock().unwrap().take().unwrap();
        scope.spawn_with("feed", async move |_| {
            let _ = empty.await;
            tx.send(1).await?;
            handle.stop(test_reason());
            Ok(())
        });
        Ok(())
    });

    run(service).await;

    assert_eq!(taken.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_nested_stop_from_outside_closed_what_the_service_was_still_saving() {
    let log = Log::default();
    let words = log.clone();
    let (started, nested) = tokio::sync::oneshot::channel();
    let mut service = Service::new("test");
    service.component("c", (), async move |scope, ()| {
        let nested = scope.nested("n");
        let (save, close) = (words.clone(), words);
        nested.on_stop(async move |_| {
            tokio::time::sleep(ms(100)).await;
            save.add("saved");
            Ok(())
        });
        let close = async move |()| {
            close.add("closed");
            Ok(())
        };
        drop(nested.open("thing", async { Ok::<_, BoxError>(()) }, close).await?);
        let _ = started.send(nested);
        Ok(())
    });
    let outside = async move {
        let nested = nested.await.unwrap();
        tokio::time::sleep(ms(50)).await;
        nested.stop(Limits::default()).await;
    };

    let (report, ()) = tokio::join!(run_for(service, ms(10)), outside);

    assert_eq!(log.words(), ["saved", "closed"]);
    assert_eq!((report.status, report.took), (Status::Clean, ms(100)), "{}", report.why);
}

/// Takes its time to be dropped.
struct Heavy;

impl Drop for Heavy {
    fn drop(&mut self) {
        let until = std::time::Instant::now() + ms(30);
        while std::time::Instant::now() < until {
            std::thread::park_timeout(ms(30));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn tasks_that_waited_for_a_processor_only_were_condemned_as_stuck() {
    let service = with(async |scope| {
        for _ in 0..50 {
            scope.spawn("heavy", async {
                let _heavy = Heavy;
                forever().await
            });
        }
        Ok(())
    });

    let report = run_for(service, ms(50)).await;

    assert_eq!((report.status, count(&report, "heavy", Outcome::Cancelled)), (Status::Clean, 50), "{report}");
}
