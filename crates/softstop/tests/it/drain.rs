//! Draining: nothing queued is lost, and nobody waits when there is nothing to finish.

use std::{
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use futures_core::Stream;
use softstop::{Outcome, Service, Status};
use tokio::sync::mpsc;

use crate::support::{component, count, ms, run_for, test_reason};

const MANY: u64 = 10_000;

/// A consumer of one channel, `per_item` ms each, whose producer sends `MANY` before the stop. A
/// clone of the sender lives on in a static place if `alive`.
async fn consumed(per_item: u64, alive: bool) -> (u64, softstop::Report) {
    let done = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&done);
    let mut service = Service::new("test");
    service.total(std::time::Duration::from_secs(60));
    let (tx, mut rx) = mpsc::channel::<u64>(MANY as usize);
    let kept = alive.then(|| tx.clone());
    let sink = service.component("sink", (), async move |scope, ()| {
        scope.spawn_with("consume", async move |scope| {
            while scope.next(rx.recv()).await.is_some() {
                if per_item > 0 {
                    tokio::time::sleep(ms(per_item)).await;
                }
                counter.fetch_add(1, Ordering::SeqCst);
            }
            Ok(())
        });
        Ok(tx)
    });
    service.component("feed", sink, async |scope, tx| {
        scope.spawn_with("send", async move |_| {
            for n in 0..MANY {
                tx.send(n).await?;
            }
            Ok(())
        });
        Ok(())
    });
    let report = run_for(service, ms(1)).await;
    drop(kept);
    (done.load(Ordering::SeqCst), report)
}

#[tokio::test(start_paused = true)]
async fn a_full_channel_is_emptied_although_its_sender_is_still_alive_somewhere() {
    let (done, report) = consumed(0, true).await;

    assert_eq!(done, MANY);
    assert_eq!(report.status, Status::Clean);
}

#[tokio::test(start_paused = true)]
async fn a_slow_consumer_empties_its_channel_within_the_slack() {
    let (done, report) = consumed(1, false).await;

    assert_eq!(done, MANY);
    assert_eq!(report.status, Status::Clean);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_knows_only_cancelled_does_not_hold_the_drain() {
    let mut service = Service::new("test");
    service.component("c", (), async |scope, ()| {
        scope.spawn_with("loop", async |scope| {
            scope.until_cancelled(std::future::pending::<()>()).await;
            Ok(())
        });
        Ok(())
    });

    let report = run_for(service, ms(10)).await;

    assert_eq!((report.took, report.status), (ms(0), Status::Clean));
}

#[tokio::test(start_paused = true)]
async fn a_task_that_drains_is_cancelled_only_after_it_has_returned() {
    let mut service = Service::new("test");
    service.component("c", (), async |scope, ()| {
        scope.spawn_with("drains", async |scope| {
            scope.draining().await;
            tokio::time::sleep(ms(3000)).await;
            assert!(!scope.is_cancelled());
            Ok(())
        });
        scope.spawn_with("cancelled", async |scope| {
            scope.cancelled().await;
            Ok(())
        });
        Ok(())
    });

    let report = run_for(service, ms(10)).await;

    assert_eq!((report.took, report.status), (ms(3000), Status::Clean));
}

#[tokio::test(start_paused = true)]
async fn a_cooperative_task_that_was_never_polled_holds_the_drain_until_it_was() {
    let done = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&done);
    let mut service = Service::new("test");
    service.component("c", (), async move |scope, ()| {
        let (tx, mut rx) = mpsc::channel::<u64>(8);
        for n in 0..8 {
            tx.send(n).await?;
        }
        let late = scope.clone();
        scope.spawn_with("spawner", async move |scope| {
            scope.draining().await;
            // Spawned while draining: it has not had a poll when its spawner ends.
            late.spawn_with("late", async move |scope| {
                while scope.next(rx.recv()).await.is_some() {
                    counter.fetch_add(1, Ordering::SeqCst);
                }
                drop(tx);
                Ok(())
            });
            Ok(())
        });
        Ok(())
    });

    run_for(service, ms(10)).await;

    assert_eq!(done.load(Ordering::SeqCst), 8);
}

#[tokio::test(start_paused = true)]
async fn a_stated_drain_that_is_spent_cancels_that_component_alone() {
    let mut service = Service::new("test");
    let base = service.component("base", (), async |scope, ()| {
        scope.spawn_with("drains", async |scope| {
            scope.draining().await;
            tokio::time::sleep(ms(500)).await;
            assert!(!scope.is_cancelled());
            Ok(())
        });
        Ok(())
    });
    let top = service.component("top", base, async |scope, ()| {
        scope.spawn_with("never ends", async |scope| {
            scope.draining().await;
            scope.cancelled().await;
            Ok(())
        });
        Ok(())
    });
    service.options(top).drain(ms(1500));

    let report = run_for(service, ms(10)).await;

    assert_eq!(component(&report, "top").stopped, Some(ms(1500)));
    assert_eq!(component(&report, "base").stopped, Some(ms(2000)));
    assert_eq!((report.level, report.status), (softstop::Level::Graceful, Status::Clean));
}

#[tokio::test(start_paused = true)]
async fn a_sleep_ends_early_and_says_why() {
    let mut service = Service::new("test");
    service.component("c", (), async |scope, ()| {
        scope.spawn_with("sleeps", async |scope| {
            let error = scope.sleep(ms(60_000)).await.unwrap_err();
            assert_eq!(error.0, test_reason());
            Ok(())
        });
        Ok(())
    });

    let report = run_for(service, ms(10)).await;

    assert_eq!(count(&report, "sleeps", Outcome::Finished), 1);
    assert_eq!(report.took, ms(0));
}

/// The receiver of a channel as a stream.
struct Numbers(mpsc::Receiver<u64>);

impl Stream for Numbers {
    type Item = u64;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<u64>> {
        self.0.poll_recv(cx)
    }
}

/// Takes all that a stream of 1,000 numbers gives, beginning `late` or in time; hurried once that has been told.
async fn taken_from_a_stream(late: bool, hurried: bool) -> u64 {
    let done = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&done);
    let mut service = Service::new("test");
    service.component("c", (), async move |scope, ()| {
        let (tx, rx) = mpsc::channel(1000);
        for n in 0..1000 {
            tx.send(n).await?;
        }
        scope.spawn_with("stream", async move |scope| {
            let _alive = tx;
            if late {
                scope.sleep(ms(60_000)).await.unwrap_err();
            }
            let mut numbers = pin!(scope.stream(Numbers(rx)));
            while std::future::poll_fn(|cx| numbers.as_mut().poll_next(cx)).await.is_some() {
                counter.fetch_add(1, Ordering::SeqCst);
                if hurried {
                    tokio::time::sleep(ms(1)).await;
                }
            }
            Ok(())
        });
        Ok(())
    });
    let handle = service.handle();
    let stop = async move {
        tokio::time::sleep(ms(10)).await;
        if hurried {
            handle.stop(test_reason());
            handle.hurry();
            std::future::pending::<()>().await;
        }
        test_reason()
    };

    let report = service.run(stop).await;

    assert_eq!(count(&report, "stream", Outcome::Finished), 1, "{report}");
    done.load(Ordering::SeqCst)
}

#[tokio::test(start_paused = true)]
async fn the_items_of_a_stream_are_taken_to_the_last_also_by_a_task_that_comes_late_and_not_in_a_hurry() {
    assert_eq!(taken_from_a_stream(false, false).await, 1000);
    assert_eq!(taken_from_a_stream(true, false).await, 1000);
    let hurried = taken_from_a_stream(false, true).await;
    assert!((5..20).contains(&hurried), "{hurried}");
}

#[tokio::test(start_paused = true)]
async fn a_stream_gives_all_that_is_ready_before_it_ends() {
    let done = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&done);
    let mut service = Service::new("test");
    service.component("c", (), async move |scope, ()| {
        let (tx, rx) = mpsc::channel(1000);
        for n in 0..1000 {
            tx.send(n).await?;
        }
        scope.spawn_with("stream", async move |scope| {
            let _alive = tx;
            scope.sleep(ms(60_000)).await.unwrap_err();
            let mut numbers = pin!(scope.stream_until_draining(Numbers(rx)));
            while std::future::poll_fn(|cx| numbers.as_mut().poll_next(cx)).await.is_some() {
                counter.fetch_add(1, Ordering::SeqCst);
            }
            Ok(())
        });
        Ok(())
    });

    run_for(service, ms(10)).await;

    assert_eq!(done.load(Ordering::SeqCst), 1000);
}

#[tokio::test(start_paused = true)]
async fn the_unready_delay_keeps_accepting_while_others_stop() {
    let mut service = Service::new("test");
    let server = service.component("server", (), async |scope, ()| {
        scope.spawn_with("accept", async |scope| {
            scope.unready().await;
            assert_eq!(scope.reason(), Some(test_reason()));
            scope.draining().await;
            Ok(())
        });
        Ok(())
    });
    service.options(server).unready_delay(ms(5000));
    service.component("other", (), async |_, ()| Ok(()));

    let report = run_for(service, ms(10)).await;

    assert_eq!(component(&report, "server").stopped, Some(ms(5000)));
    assert_eq!(component(&report, "other").stopped, Some(ms(0)));
}
