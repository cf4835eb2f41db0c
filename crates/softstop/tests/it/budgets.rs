//! Levels, limits and the account of what was accepted, on a paused clock.

use std::time::Duration;

use softstop::{Level, Outcome, Saved, Service, Status};
use tokio::sync::mpsc;

use crate::support::{Log, component, count, forever, ms, run, run_for, test_reason};

/// Stops the service after 10 ms and hurries it `hurry` later.
async fn hurried(service: Service, hurry: Duration) -> softstop::Report {
    let handle = service.handle();
    let asks = async move {
        tokio::time::sleep(ms(10)).await;
        tokio::spawn(async move {
            tokio::time::sleep(hurry).await;
            handle.hurry();
        });
        test_reason()
    };
    service.run(asks).await
}

#[tokio::test(start_paused = true)]
async fn an_unstated_cancel_goes_on_into_the_slack_and_a_stated_one_does_not() {
    for (stated, outcome) in [(None, Outcome::Finished), (Some(ms(500)), Outcome::Aborted)] {
        let mut service = Service::new("test");
        let c = service.component("c", (), async |scope, ()| {
            scope.spawn_with("returns late", async |scope| {
                scope.cancelled().await;
                for _ in 0..30 {
                    tokio::time::sleep(ms(100)).await;
                }
                Ok(())
            });
            Ok(())
        });
        if let Some(limit) = stated {
            service.options(c).cancel(limit);
        }

        let report = run_for(service, ms(10)).await;

        assert_eq!(count(&report, "returns late", outcome), 1, "{stated:?}: {}", report.why);
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_not_polled_for_5_s_does_not_use_up_the_slack() {
    let mut service = Service::new("test");
    service.component("c", (), async |scope, ()| {
        scope.spawn_with("hangs", async |_| forever().await);
        Ok(())
    });

    let report = run_for(service, ms(10)).await;

    assert_eq!((report.took, report.status), (ms(5000), Status::Overrun));
}

#[tokio::test(start_paused = true)]
async fn hurry_ends_the_drain_and_lets_a_save_go_on() {
    let log = Log::default();
    let words = log.clone();
    let mut service = Service::new("test");
    service.component("c", (), async move |scope, ()| {
        scope.spawn_with("drains", async |scope| {
            scope.draining().await;
            scope.cancelled().await;
            Ok(())
        });
        scope.on_stop(async move |end| {
            tokio::time::sleep(ms(1500)).await;
            words.add(format!("saved at {}", end.level));
            Ok(())
        });
        Ok(())
    });

    let report = hurried(service, ms(300)).await;

    assert_eq!(log.words(), ["saved at hurry"]);
    assert_eq!((report.took, report.status, report.level), (ms(1800), Status::Clean, Level::Hurry));
}

#[tokio::test(start_paused = true)]
async fn hurry_gives_the_tasks_their_grace_from_then_on() {
    let mut service = Service::new("test");
    service.component("c", (), async |scope, ()| {
        scope.spawn_with("stubborn", async |_| forever().await);
        Ok(())
    });

    let report = hurried(service, ms(300)).await;

    assert_eq!((report.took, report.status), (ms(1300), Status::Overrun));
}

#[tokio::test(start_paused = true)]
async fn a_save_that_overruns_is_cut_its_resources_are_closed_and_it_is_a_loss() {
    let log = Log::default();
    let words = log.clone();
    let mut service = Service::new("test");
    let c = service.component("c", (), async move |scope, ()| {
        let acquire = async { Ok::<_, std::io::Error>(()) };
        let close = async move |()| {
            words.add("closed");
            Ok(())
        };
        let held = scope.open("file", acquire, close).await?;
        scope.on_stop(async move |_| {
            let _held = held;
            forever().await
        });
        Ok(())
    });
    service.options(c).save(ms(700));

    let report = run_for(service, ms(10)).await;

    assert_eq!(log.words(), ["closed"]);
    assert_eq!((report.took, report.status), (ms(700), Status::Overrun));
    assert_eq!(component(&report, "c").saved, Some(Saved::Unfinished));
    assert_eq!((report.losses[0].what.as_str(), report.losses[0].why), ("save of c", "save unfinished"));
}

#[tokio::test(start_paused = true)]
async fn what_is_owed_at_the_end_is_a_declared_loss() {
    let mut service = Service::new("test");
    service.component("c", (), async |scope, ()| {
        scope.owe("trades", 10);
        scope.settle("trades", 7);
        scope.lost("frames", 2);
        scope.owe("safe", 5);
        scope.settle("safe", 5);
        Ok(())
    });

    let report = run_for(service, ms(10)).await;

    assert_eq!(report.status, Status::Lost);
    let losses: Vec<_> = report.losses.iter().map(|l| (l.what.as_str(), l.count)).collect();
    assert_eq!(losses, [("frames", 2), ("trades", 3)]);
}

#[tokio::test(start_paused = true)]
async fn declaring_what_was_owed_lost_counts_it_once() {
    let mut service = Service::new("test");
    service.component("c", (), async |scope, ()| {
        scope.owe("trades", 10);
        scope.lost("trades", 4);
        scope.settle("trades", 6);
        Ok(())
    });

    let report = run_for(service, ms(10)).await;

    assert_eq!(report.losses[0].count, 4);
}

#[tokio::test(start_paused = true)]
async fn a_hurried_pipeline_keeps_or_declares_every_item() {
    let log = Log::default();
    let words = log.clone();
    let mut service = Service::new("test");
    let sink = service.component("sink", (), async move |scope, ()| {
        let (tx, mut rx) = mpsc::channel::<u64>(1000);
        scope.spawn_with("slow", async move |scope| {
            while scope.next(rx.recv()).await.is_some() {
                tokio::time::sleep(ms(50)).await;
                scope.settle("items", 1);
                words.add("kept");
            }
            Ok(())
        });
        Ok(tx)
    });
    service.component("feed", sink, async |scope, tx| {
        scope.spawn_with("send", async move |scope| {
            for n in 0..1000 {
                scope.owe("items", 1);
                tx.send(n).await?;
            }
            Ok(())
        });
        Ok(())
    });

    let report = hurried(service, ms(500)).await;

    let kept = log.words().len() as u64;
    assert_eq!((report.losses[0].count, report.status), (1000 - kept, Status::Lost));
    assert!((1..100).contains(&kept));
}

#[tokio::test(start_paused = true)]
async fn the_total_is_the_end_even_if_nothing_ever_ends() {
    let mut service = Service::new("test");
    service.total(ms(5000));
    let base = service.component("base", (), async |scope, ()| {
        scope.on_stop(async |_| Ok(()));
        Ok(())
    });
    service.component("top", base, async |scope, ()| {
        scope.spawn_with("busy", async |_| {
            loop {
                tokio::time::sleep(ms(10)).await;
            }
            #[expect(unreachable_code, reason = "gives the block its type")]
            Ok(())
        });
        Ok(())
    });

    let report = run_for(service, ms(10)).await;

    assert!(report.took <= ms(5000), "{:?}", report.took);
    assert_eq!(report.status, Status::Overrun);
    assert_eq!(component(&report, "base").saved.as_ref().map(|s| matches!(s, Saved::Done { .. })), Some(true));
}

#[tokio::test(start_paused = true)]
async fn hurry_shortens_what_remains() {
    let log = Log::default();
    let words = log.clone();
    let mut service = Service::new("test");
    service.component("c", (), async move |scope, ()| {
        scope.spawn_with("asks", async move |scope| {
            scope.cancelled().await;
            assert!(scope.remaining() > Some(ms(10_000)), "a guarantee that nobody stated goes into the slack");
            tokio::time::sleep(ms(500)).await;
            words.add(format!("{:?}", scope.remaining().unwrap()));
            Ok(())
        });
        Ok(())
    });

    hurried(service, ms(200)).await;

    assert_eq!(log.words(), ["700ms"], "a second of grace from the hurry on");
}

#[tokio::test(start_paused = true)]
async fn hurry_before_a_stop_does_nothing() {
    let mut service = Service::new("test");
    service.component("c", (), async |_, ()| Ok(()));
    let handle = service.handle();
    handle.hurry();

    let report = run_for(service, ms(10)).await;

    assert_eq!((report.level, report.status), (Level::Graceful, Status::Clean));
}

#[tokio::test(start_paused = true)]
async fn remaining_says_how_long_the_step_may_still_take() {
    let mut service = Service::new("test");
    let c = service.component("c", (), async |scope, ()| {
        scope.spawn_with("asks", async |scope| {
            assert_eq!(scope.remaining(), None);
            scope.draining().await;
            assert_eq!(scope.remaining(), Some(ms(800)));
            tokio::time::sleep(ms(300)).await;
            assert_eq!(scope.remaining(), Some(ms(500)));
            Ok(())
        });
        Ok(())
    });
    service.options(c).drain(ms(800));

    let report = run(service_stopping(service)).await;

    assert_eq!(report.status, Status::Clean, "{}", report.why);
}

/// The service with a stop already asked for, 10 ms from now.
fn service_stopping(service: Service) -> Service {
    let handle = service.handle();
    tokio::spawn(async move {
        tokio::time::sleep(ms(10)).await;
        handle.stop(test_reason());
    });
    service
}
