//! Tasks: every end is counted, failures act by their policy, and no task outlives its scope.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use softstop::{Outcome, Policy, Reason, Restart, Service, Status, Stopping};
use tokio::sync::oneshot;

use crate::support::{Log, component, count, forever, ms, run, run_for, with};

#[tokio::test(start_paused = true)]
async fn every_way_to_end_is_counted() {
    let mut service = with(async |scope| {
        scope.spawn("finished", async { Ok(()) });
        scope.spawn("plain", forever());
        scope.spawn_with("told", async |scope| {
            scope.sleep(ms(60_000)).await?;
            Ok(())
        });
        scope.spawn_with("stubborn", async |_| forever().await);
        scope.spawn_ignoring("failed", async |_| Err::<(), _>("no".into()));
        scope.supervise("panicked", Policy::Ignore, async |_| panic!("boom"));
        Ok(())
    });
    service.total(Duration::from_secs(10));

    let report = run_for(service, ms(100)).await;

    assert_eq!(count(&report, "finished", Outcome::Finished), 1);
    assert_eq!(count(&report, "plain", Outcome::Cancelled), 1);
    assert_eq!(count(&report, "told", Outcome::Cancelled), 1);
    assert_eq!(count(&report, "stubborn", Outcome::Aborted), 1);
    assert_eq!(count(&report, "failed", Outcome::Failed), 1);
    assert_eq!(count(&report, "panicked", Outcome::Panicked), 1);
    assert_eq!(report.status, Status::Overrun, "an aborted cooperative task is an overrun");
}

#[tokio::test(start_paused = true)]
async fn a_panicking_destructor_is_counted_and_stops_nobody_else() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("in drop");
        }
    }
    let service = with(async |scope| {
        scope.spawn("bomb", async {
            let _bomb = Bomb;
            forever().await
        });
        scope.spawn("plain", forever());
        Ok(())
    });

    let report = run_for(service, ms(100)).await;

    assert_eq!(count(&report, "bomb", Outcome::Panicked), 1);
    assert_eq!(count(&report, "plain", Outcome::Cancelled), 1);
    assert_eq!((report.status, report.took), (Status::Failed, ms(0)));
}

#[tokio::test(start_paused = true)]
async fn a_failing_task_stops_the_service_and_its_siblings_go_on_serving() {
    let log = Log::default();
    let words = log.clone();
    let mut service = Service::new("test");
    let pool = service.component("pool", (), async move |scope, ()| {
        scope.spawn("fails", async {
            tokio::time::sleep(ms(100)).await;
            Err::<(), _>("broken".into())
        });
        scope.spawn_with("serves", async move |scope| {
            scope.draining().await;
            words.add("pool drains");
            Ok(())
        });
        Ok(())
    });
    let words = log.clone();
    service.component("user", pool, async move |scope, ()| {
        scope.on_stop(async move |_| {
            tokio::time::sleep(ms(50)).await;
            words.add("user saved");
            Ok(())
        });
        Ok(())
    });

    let report = run(service).await;

    assert_eq!(log.words(), ["user saved", "pool drains"]);
    assert_eq!((report.reason, report.status), (Reason::Failed("pool".into()), Status::Failed));
    assert_eq!(report.failures[0].message, "broken");
}

#[tokio::test(start_paused = true)]
async fn together_cancels_the_siblings_of_a_failed_task_at_once() {
    let log = Log::default();
    let words = log.clone();
    let mut service = Service::new("test");
    let pool = service.component("pool", (), async move |scope, ()| {
        scope.spawn("fails", async { Err::<(), _>("broken".into()) });
        scope.spawn_with("sibling", async move |scope| {
            scope.cancelled().await;
            words.add("sibling cancelled");
            Ok(())
        });
        Ok(())
    });
    service.options(pool).together();
    let words = log.clone();
    service.component("user", pool, async move |scope, ()| {
        scope.on_stop(async move |_| {
            tokio::time::sleep(ms(50)).await;
            words.add("user saved");
            Ok(())
        });
        Ok(())
    });

    run(service).await;

    assert_eq!(log.words(), ["sibling cancelled", "user saved"]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_stops_the_service_with_its_text_and_site() {
    let service = with(async |scope| {
        scope.spawn("bang", async { panic!("boom {}", 7) as softstop::Result });
        Ok(())
    });

    let report = run(service).await;

    assert_eq!((&report.reason, report.status), (&Reason::Panicked("c".into()), Status::Failed));
    assert_eq!(report.failures[0].message, "boom 7");
    assert!(report.failures[0].site.as_ref().unwrap().contains("tasks.rs"));
}

#[tokio::test(start_paused = true)]
async fn an_error_while_stopping_is_81_and_leaves_reason_and_level() {
    let service = with(async |scope| {
        scope.spawn_with("late", async |scope| {
            scope.draining().await;
            Err::<(), _>("late".into())
        });
        Ok(())
    });

    let report = run_for(service, ms(10)).await;

    assert_eq!((report.reason, report.status), (crate::support::test_reason(), Status::Failed));
}

#[tokio::test(start_paused = true)]
async fn an_error_that_carries_stopping_counts_as_cancelled_however_deep() {
    #[derive(Debug)]
    struct Wrapped(Stopping);
    impl std::fmt::Display for Wrapped {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("wrapped")
        }
    }
    impl std::error::Error for Wrapped {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }
    let service = with(async |scope| {
        scope.spawn_with("task", async |scope| {
            scope.sleep(ms(60_000)).await.map_err(Wrapped)?;
            Ok(())
        });
        Ok(())
    });

    let report = run_for(service, ms(10)).await;

    assert_eq!(count(&report, "task", Outcome::Cancelled), 1);
    assert_eq!(report.status, Status::Clean);
}

#[tokio::test(start_paused = true)]
async fn a_supervised_task_is_run_again_after_a_growing_pause() {
    let runs = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&runs);
    let service = with(async move |scope| {
        let restart = Restart { intensity: 5, within: ms(60_000), first: ms(100), longest: ms(400) };
        scope.supervise("flaky", Policy::Restart(restart), move |scope| {
            let run = counter.fetch_add(1, Ordering::SeqCst);
            async move {
                if run < 3 {
                    return Err("flaky".into());
                }
                scope.draining().await;
                Ok(())
            }
        });
        Ok(())
    });

    let report = run_for(service, ms(10_000)).await;

    assert_eq!(runs.load(Ordering::SeqCst), 4);
    assert_eq!(report.status, Status::Clean, "{}", report.why);
    assert_eq!(component(&report, "c").tasks[0].restarts, 3);
}

#[tokio::test(start_paused = true)]
async fn an_exhausted_policy_stops_the_service() {
    let service = with(async |scope| {
        let restart = Restart { intensity: 2, within: ms(60_000), ..Restart::default() };
        scope.supervise("hopeless", Policy::Restart(restart), async |_| Err("again".into()));
        Ok(())
    });

    let report = run(service).await;

    assert_eq!((report.status, report.reason), (Status::Failed, Reason::Failed("c".into())));
    assert!(report.failures[0].message.contains("more than 2 times"), "{}", report.failures[0].message);
}

#[tokio::test(start_paused = true)]
async fn a_stop_during_the_pause_ends_it_and_runs_nothing_again() {
    let runs = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&runs);
    let service = with(async move |scope| {
        let restart = Restart { first: ms(60_000), longest: ms(60_000), ..Restart::default() };
        scope.supervise("flaky", Policy::Restart(restart), move |_| {
            counter.fetch_add(1, Ordering::SeqCst);
            async { Err("first".into()) }
        });
        Ok(())
    });

    let report = run_for(service, ms(10)).await;

    assert_eq!(runs.load(Ordering::SeqCst), 1);
    assert_eq!((report.status, report.took), (Status::Clean, ms(0)));
    assert_eq!(count(&report, "flaky", Outcome::Failed), 1);
    assert!(report.notes[0].contains("first"), "{:?}", report.notes);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_scope_refuses_plain_futures_and_hands_them_back_unrun() {
    let (tx, rx) = oneshot::channel();
    let service = with(async |scope| {
        scope.spawn_with("late", async move |scope| {
            scope.cancelled().await;
            let refused = scope.try_spawn("refused", async { panic!("must not run") as softstop::Result }).unwrap_err();
            drop(refused.future);
            let plain = scope.spawn("plain", async { Ok(1) }).await.unwrap_err().outcome;
            let cooperative = scope.spawn_with("cooperative", async |_| Ok(2)).await;
            let _ = tx.send((plain, cooperative));
            Ok(())
        });
        Ok(())
    });

    let report = run_for(service, ms(10)).await;

    assert_eq!(rx.await.unwrap(), (Outcome::Refused, Ok(2)));
    assert_eq!(report.status, Status::Clean);
}

#[tokio::test(start_paused = true)]
async fn a_critical_future_ends_although_its_caller_was_dropped_and_saving_waits_for_it() {
    let log = Log::default();
    let (words, saved) = (log.clone(), log.clone());
    let service = with(async move |scope| {
        scope.on_stop(async move |_| {
            saved.add("saved");
            Ok(())
        });
        let critical = scope.clone();
        scope.spawn("caller", async move {
            let write = async move {
                tokio::time::sleep(ms(200)).await;
                words.add("written");
            };
            critical.critical(write).await?;
            Ok(())
        });
        Ok(())
    });

    let report = run_for(service, ms(100)).await;

    assert_eq!(log.words(), ["written", "saved"]);
    assert_eq!(count(&report, "critical", Outcome::Finished), 1);
    assert_eq!(report.status, Status::Clean);
}

#[tokio::test(start_paused = true)]
async fn a_critical_future_holds_the_drain() {
    let log = Log::default();
    let (critical_words, plain) = (log.clone(), log.on_drop("plain task dropped"));
    let service = with(async move |scope| {
        let critical = scope.clone();
        scope.spawn_with("caller", async move |_| {
            let write = async move {
                tokio::time::sleep(ms(3000)).await;
                critical_words.add("written");
            };
            critical.critical(write).await?;
            Ok(())
        });
        scope.spawn("plain", async move {
            let _plain = plain;
            forever().await
        });
        Ok(())
    });

    run_for(service, ms(10)).await;

    assert_eq!(log.words(), ["written", "plain task dropped"]);
}

#[tokio::test]
async fn a_blocking_job_sees_its_flag() {
    let service = with(async |scope| {
        scope.spawn_blocking("job", |flag| {
            while !flag.is_set() {
                std::thread::yield_now();
            }
            flag.check()?;
            Ok(())
        });
        Ok(())
    });

    let report = run_for(service, ms(10)).await;

    assert_eq!(count(&report, "job", Outcome::Cancelled), 1);
    assert_eq!(report.status, Status::Clean);
}

#[tokio::test]
async fn a_blocking_job_that_does_not_look_at_its_flag_is_stuck_after_5_s() {
    let (release, held) = std::sync::mpsc::channel::<()>();
    let service = with(async move |scope| {
        scope.spawn_blocking("deaf", move |_| {
            let _ = held.recv();
            Ok(())
        });
        Ok(())
    });

    let report = run_for(service, ms(10)).await;
    drop(release);

    assert_eq!(count(&report, "deaf", Outcome::Stuck), 1);
    assert!((ms(5000)..ms(15_000)).contains(&report.took), "{:?}", report.took);
    assert_eq!(report.status, Status::Overrun);
}

#[tokio::test(start_paused = true)]
async fn on_stop_is_told_how_tasks_ended_and_takes_what_they_hand_back() {
    let (tx, rx) = oneshot::channel();
    let service = with(async |scope| {
        let held = scope.spawn_with("holder", async |scope| {
            scope.draining().await;
            Ok(vec![1, 2, 3])
        });
        scope.spawn("plain", forever());
        scope.on_stop(async move |end| {
            let _ = tx.send((held.await?, end));
            Ok(())
        });
        Ok(())
    });

    let report = run_for(service, ms(10)).await;

    let (held, end) = rx.await.unwrap();
    assert_eq!(held, [1, 2, 3]);
    let outcomes: Vec<_> = end.tasks.iter().map(|t| (t.name.as_str(), t.outcome)).collect();
    assert_eq!(outcomes, [("holder", Some(Outcome::Finished)), ("plain", Some(Outcome::Cancelled))]);
    assert!(end.remaining >= ms(2000), "{:?}", end.remaining);
    assert_eq!(report.status, Status::Clean);
}

#[tokio::test(start_paused = true)]
async fn a_failing_or_panicking_on_stop_is_81_and_stops_nobody_else() {
    for panics in [false, true] {
        let log = Log::default();
        let words = log.clone();
        let mut service = Service::new("test");
        let base = service.component("base", (), async move |scope, ()| {
            scope.on_stop(async move |_| {
                words.add("base saved");
                Ok(())
            });
            Ok(())
        });
        service.component("top", base, async move |scope, ()| {
            scope.on_stop(async move |_| if panics { panic!("boom") } else { Err("disk full".into()) });
            Ok(())
        });

        let report = run_for(service, ms(10)).await;

        assert_eq!(log.words(), ["base saved"]);
        assert_eq!(report.status, Status::Failed);
        assert_eq!(report.failures[0].task.as_deref(), Some("on_stop"));
    }
}

#[tokio::test(start_paused = true)]
async fn on_stop_may_spawn_and_open_and_waits_for_what_it_spawned() {
    let log = Log::default();
    let words = log.clone();
    let service = with(async move |scope| {
        let inner = scope.clone();
        scope.on_stop(async move |_| {
            let (spawned, closed) = (words.clone(), words.clone());
            let _held = inner
                .open("late", async { Ok::<_, std::io::Error>(()) }, async move |()| {
                    closed.add("closed");
                    Ok(())
                })
                .await?;
            inner.spawn("writer", async move {
                tokio::time::sleep(ms(100)).await;
                spawned.add("written");
                Ok(())
            });
            words.add("hook returns");
            Ok(())
        });
        Ok(())
    });

    let report = run_for(service, ms(10)).await;

    assert_eq!(log.words(), ["hook returns", "written", "closed"]);
    assert_eq!((report.status, report.took), (Status::Clean, ms(100)));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_run_leaves_no_task_behind() {
    let log = Log::default();
    let guard = log.on_drop("task dropped");
    let service = with(async move |scope| {
        scope.spawn_with("holder", async move |_| {
            let _guard = guard;
            forever().await
        });
        Ok(())
    });

    let _ = tokio::time::timeout(ms(100), run(service)).await;
    tokio::task::yield_now().await;

    assert_eq!(log.words(), ["task dropped"]);
}

#[tokio::test(start_paused = true)]
async fn no_end_is_missed_among_many_tasks_that_end_in_every_way() {
    const EACH: u64 = 500;
    let mut service = with(async |scope| {
        for _ in 0..EACH {
            scope.spawn("plain", forever());
            scope.spawn_with("stubborn", async |_| forever().await);
            scope.spawn_with("drains", async |scope| {
                scope.draining().await;
                tokio::task::yield_now().await;
                Ok(())
            });
            scope.supervise("panics", Policy::Ignore, async |scope| {
                scope.cancelled().await;
                panic!("at the end")
            });
        }
        Ok(())
    });
    service.total(Duration::from_secs(10));

    let report = run_for(service, ms(10)).await;

    assert_eq!(count(&report, "plain", Outcome::Cancelled), EACH);
    assert_eq!(count(&report, "stubborn", Outcome::Aborted), EACH);
    assert_eq!(count(&report, "drains", Outcome::Finished), EACH);
    assert_eq!(count(&report, "panics", Outcome::Panicked), EACH);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_in_the_moment_of_a_stop_did_not_fail_in_the_stop() {
    let (stop, stopped) = oneshot::channel::<()>();
    let stop = Mutex::new(Some(stop));
    let service = with(async |scope| {
        scope.supervise("flaky", Policy::Restart(Restart::forever()), move |scope| {
            let stop = stop.lock().unwrap().take();
            async move {
                // One poll: the stop begins in it, and it fails after that without having looked.
                drop(stop);
                let begun = Instant::now();
                while scope.reason().is_none() && begun.elapsed() < Duration::from_secs(10) {
                    std::hint::spin_loop();
                }
                Err("nobody listens".into())
            }
        });
        Ok(())
    });

    let stop = async {
        let _ = stopped.await;
        Reason::Requested("the test".into())
    };
    let report = service.run(stop).await;

    assert_eq!(report.status, Status::Clean, "{}", report.why);
    assert!(report.notes.iter().any(|note| note.contains("nobody listens")), "{:?}", report.notes);
}
