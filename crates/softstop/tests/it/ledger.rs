//! Resources: recorded when they are opened, closed exactly once, in reverse, whoever forgets them.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use softstop::{Held, Result, Scope, ScopeClosed, Status};

use crate::support::{Log, component, forever, ms, run, run_for, test_reason, with};

/// Opens a resource whose closing act logs its name after `slow` ms.
async fn open(scope: &Scope, log: &Log, name: &'static str, slow: u64) -> Held<&'static str> {
    let log = log.clone();
    let acquire = async move { Ok::<_, std::io::Error>(name) };
    let close = async move |name: &'static str| -> Result {
        tokio::time::sleep(ms(slow)).await;
        log.add(format!("close {name}"));
        Ok(())
    };
    scope.open(name, acquire, close).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_was_opened_while_starting_is_closed_after_the_save_in_reverse_order() {
    let log = Log::default();
    let words = log.clone();
    let service = with(async move |scope| {
        let one = open(&scope, &words, "one", 0).await;
        let two = open(&scope, &words, "two", 0).await;
        scope.spawn("user", async move {
            let _one = one;
            forever().await
        });
        scope.on_stop(async move |_| {
            words.add("saved");
            drop(two);
            Ok(())
        });
        Ok(())
    });

    let report = run_for(service, ms(10)).await;

    assert_eq!(log.words(), ["saved", "close two", "close one"]);
    assert_eq!((report.status, report.leaked), (Status::Clean, 0));
}

#[tokio::test(start_paused = true)]
async fn what_a_task_forgot_is_swept_at_once_and_reported_with_its_place() {
    let log = Log::default();
    let words = log.clone();
    let service = with(async move |scope| {
        let inner = scope.clone();
        let words = words.clone();
        scope.spawn("forgetful", async move {
            let _forgotten = open(&inner, &words, "socket", 0).await;
            Ok(())
        });
        Ok(())
    });
    let handle = service.handle();
    let running = tokio::spawn(run(service));
    while log.words().is_empty() {
        tokio::time::sleep(ms(1)).await;
    }
    handle.stop(test_reason());

    let report = running.await.unwrap();

    let leak = &report.leaks[0];
    assert_eq!((leak.kind.as_str(), leak.task.as_str(), report.leaked), ("socket", "forgetful", 1));
    assert!(leak.site.contains("ledger.rs"), "{}", leak.site);
    assert_eq!(report.status, Status::Clean, "a leak is a status only in strict mode");
    assert!(report.line().contains("left open by tasks: 1 socket"), "{}", report.line());
}

#[tokio::test(start_paused = true)]
async fn a_leak_is_status_84_in_strict_mode() {
    let log = Log::default();
    let mut service = with(async move |scope| {
        let inner = scope.clone();
        scope.spawn("forgetful", async move {
            let _forgotten = open(&inner, &log, "socket", 0).await;
            Ok(())
        });
        Ok(())
    });
    service.strict();

    let report = run_for(service, ms(10)).await;

    assert_eq!(report.status, Status::Leaked);
}

#[tokio::test(start_paused = true)]
async fn what_a_failing_task_drops_is_closed_at_once_and_no_leak() {
    let log = Log::default();
    let own = log.clone();
    let mut service = with(async move |scope| {
        for how in ["returns", "panics", "forgets"] {
            let own = own.clone();
            scope.spawn_ignoring(how, async move |scope| {
                let close = async move |_| {
                    own.add(how);
                    Ok(())
                };
                let _open = scope.open("socket", async { Ok::<_, softstop::BoxError>(()) }, close).await?;
                tokio::task::yield_now().await;
                match how {
                    "returns" => Err("the peer went away".into()),
                    "panics" => panic!("injected"),
                    _ => Ok(()),
                }
            });
        }
        Ok(())
    });
    service.strict();

    let report = run_for(service, ms(10)).await;

    let mut closed = log.words();
    closed.sort();
    assert_eq!(closed, ["forgets", "panics", "returns"]);
    assert_eq!((report.leaked, report.leaks[0].task.as_str(), report.status), (1, "forgets", Status::Leaked));
}

#[tokio::test(start_paused = true)]
async fn what_a_cancelled_or_aborted_task_held_is_closed_and_no_leak() {
    let log = Log::default();
    let words = log.clone();
    let service = with(async move |scope| {
        for (name, stubborn) in [("plain", false), ("stubborn", true)] {
            let (inner, words) = (scope.clone(), words.clone());
            let task = async move {
                let _held = open(&inner, &words, name, 0).await;
                forever().await
            };
            if stubborn {
                scope.spawn_with(name, async move |_| task.await);
            } else {
                scope.spawn(name, task);
            }
        }
        Ok(())
    });

    let report = run_for(service, ms(10)).await;

    let mut closed = log.words();
    closed.sort();
    assert_eq!(closed, ["close plain", "close stubborn"]);
    assert_eq!(report.leaked, 0);
}

#[tokio::test(start_paused = true)]
async fn a_resource_closed_by_its_task_is_closed_once() {
    let log = Log::default();
    let words = log.clone();
    let service = with(async move |scope| {
        let inner = scope.clone();
        scope.spawn("tidy", async move {
            let held = open(&inner, &words, "file", 5).await;
            held.close().await
        });
        Ok(())
    });

    let report = run_for(service, ms(100)).await;

    assert_eq!(log.words(), ["close file"]);
    let group = &component(&report, "c").resources[0];
    assert_eq!((group.opened, group.closed, report.leaked), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_closing_act_whose_caller_is_dropped_is_finished_by_the_ledger() {
    let log = Log::default();
    let words = log.clone();
    let service = with(async move |scope| {
        let held = open(&scope, &words, "file", 500).await;
        scope.spawn("closes slowly", async move { held.close().await });
        Ok(())
    });

    // Cancelled in the middle of the closing act.
    let report = run_for(service, ms(100)).await;

    assert_eq!(log.words(), ["close file"]);
    assert_eq!((report.took, report.status), (ms(400), Status::Clean));
}

#[tokio::test(start_paused = true)]
async fn nothing_comes_between_having_a_resource_and_recording_it() {
    let closed = Arc::new(AtomicU32::new(0));
    let opened = Arc::new(AtomicU32::new(0));
    let (opens, closes) = (Arc::clone(&opened), Arc::clone(&closed));
    let service = with(async move |scope| {
        for n in 0..100 {
            let (scope2, opens, closes) = (scope.clone(), Arc::clone(&opens), Arc::clone(&closes));
            scope.spawn("opens", async move {
                let acquire = async move {
                    tokio::time::sleep(ms(n)).await;
                    opens.fetch_add(1, Ordering::SeqCst);
                    Ok::<_, std::io::Error>(())
                };
                let close = async move |()| {
                    closes.fetch_add(1, Ordering::SeqCst);
                    Ok(())
                };
                let _held = scope2.open("thing", acquire, close).await?;
                forever().await
            });
        }
        Ok(())
    });

    run_for(service, ms(50)).await;

    assert!(opened.load(Ordering::SeqCst) >= 50);
    assert_eq!(opened.load(Ordering::SeqCst), closed.load(Ordering::SeqCst));
}

#[tokio::test(start_paused = true)]
async fn a_slow_closing_act_has_its_share_and_does_not_keep_the_next_ones_from_theirs() {
    let log = Log::default();
    let words = log.clone();
    let service = with(async move |scope| {
        let quick = open(&scope, &words, "quick", 0).await;
        let never = open(&scope, &words, "never", 60_000).await;
        let slow = open(&scope, &words, "slow", 600).await;
        scope.spawn("holder", async move {
            let _held = (quick, never, slow);
            forever().await
        });
        Ok(())
    });

    let report = run_for(service, ms(10)).await;

    assert_eq!(log.words(), ["close slow", "close quick"], "the dead peer is cut, the others are closed");
    assert_eq!((report.took, report.status), (ms(1000), Status::Overrun));
    assert_eq!(component(&report, "c").resources.iter().map(|r| r.cut).sum::<u64>(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_closing_act_that_fails_or_panics_is_81_and_the_others_run() {
    for panics in [false, true] {
        let log = Log::default();
        let words = log.clone();
        let service = with(async move |scope| {
            let _good = open(&scope, &words, "good", 0).await;
            let acquire = async { Ok::<_, std::io::Error>(()) };
            let close = async move |()| if panics { panic!("boom") } else { Err("dead".into()) };
            let _bad = scope.open("bad", acquire, close).await?;
            Ok(())
        });

        let report = run_for(service, ms(10)).await;

        assert_eq!(log.words(), ["close good"]);
        assert_eq!(report.status, Status::Failed);
        assert_eq!(report.failures[0].task.as_deref(), Some("close bad"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_resource_handed_on_is_closed_by_the_scope_that_took_it() {
    let log = Log::default();
    let words = log.clone();
    let service = with(async move |scope| {
        let inner = scope.clone();
        scope.spawn("opens", async move {
            let held = open(&inner, &words, "pool", 0).await.hand_on(&inner).unwrap();
            let shared = held.shared();
            drop(shared);
            Ok(())
        });
        Ok(())
    });

    let report = run_for(service, ms(10)).await;

    assert_eq!(log.words(), ["close pool"]);
    assert_eq!(report.leaked, 0);
}

#[tokio::test(start_paused = true)]
async fn opening_after_closing_has_begun_is_an_error_and_closes_at_once() {
    let log = Log::default();
    let words = log.clone();
    let service = with(async move |scope| {
        let (late, logged) = (scope.clone(), words.clone());
        let acquire = async { Ok::<_, std::io::Error>(()) };
        let close = async move |()| -> Result {
            let acquire = async { Ok::<_, std::io::Error>(()) };
            let error = late.open("late", acquire, async |()| Ok(())).await.unwrap_err();
            logged.add(error.downcast_ref::<ScopeClosed>().unwrap().to_string());
            Ok(())
        };
        let _held = scope.open("thing", acquire, close).await?;
        Ok(())
    });

    run_for(service, ms(10)).await;

    assert_eq!(log.words(), ["cannot keep `late` open: scope `c` is closing its resources"]);
}

#[tokio::test(start_paused = true)]
async fn what_somebody_still_holds_is_reported_as_still_open() {
    let log = Log::default();
    let kept = Arc::new(std::sync::Mutex::new(None));
    let (words, place) = (log.clone(), Arc::clone(&kept));
    let service = with(async move |scope| {
        *place.lock().unwrap() = Some(open(&scope, &words, "kept", 0).await);
        Ok(())
    });

    let report = run_for(service, ms(10)).await;

    assert_eq!(component(&report, "c").open[0].kind, "kept");
    assert!(log.words().is_empty());
    drop(kept);
}
