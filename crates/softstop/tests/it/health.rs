//! Readiness and liveness.

use std::{
    sync::{Arc, Barrier},
    time::{Duration, Instant},
};

use softstop::{Handle, Scope, Service, Status};

use crate::support::{forever, ms, run, run_for, test_reason, with};

#[tokio::test(start_paused = true)]
async fn ready_completes_for_everybody_once_all_components_are_ready() {
    let service = with(async |_| {
        tokio::time::sleep(ms(50)).await;
        Ok(())
    });
    let handle = service.handle();
    let running = tokio::spawn(run_for(service, ms(1_000)));
    let begun = tokio::time::Instant::now();
    let other = handle.clone();
    let other = tokio::spawn(async move { other.ready().await });

    assert!(!handle.is_ready());
    assert!(handle.ready().await);
    assert!(handle.is_ready());
    assert!(other.await.unwrap());
    assert!(handle.ready().await, "and again");
    assert_eq!(begun.elapsed(), ms(50));

    running.await.unwrap();
    assert!(!handle.is_ready());
    assert!(!handle.ready().await, "it was, and is not any more");
}

#[tokio::test(start_paused = true)]
async fn whatever_comes_before_readiness_is_not_readiness() {
    let never_run = with(async |_| Ok(()));
    let mut refused = with(async |_| Ok(()));
    refused.component("c", (), async |_, ()| Ok(()));
    let cases: [(&str, Service, bool); 3] =
        [("dropped", never_run, false), ("refused", refused, true), ("a failed start", with(fails), true)];
    for (what, service, runs) in cases {
        let handle = service.handle();
        let waiting = tokio::spawn(async move { handle.ready().await });
        tokio::task::yield_now().await;

        if runs {
            assert_ne!(run(service).await.status, Status::Clean);
        } else {
            drop(service);
        }

        assert!(!waiting.await.unwrap(), "{what} counts as ready");
    }
}

async fn fails(_: Scope) -> softstop::Result {
    Err("no connection".into())
}

#[tokio::test(start_paused = true)]
async fn a_stop_while_starting_ends_the_waiting_at_once() {
    let mut service = Service::new("test");
    let c = service.component("c", (), async |_, ()| forever().await);
    service.options(c).cancel(ms(400));
    let handle = service.handle();
    let running = tokio::spawn(run(service));
    tokio::time::sleep(ms(10)).await;

    handle.stop(test_reason());
    let begun = tokio::time::Instant::now();

    assert!(!handle.ready().await);
    assert_eq!(begun.elapsed(), Duration::ZERO, "the component has its grace and nobody waits for that");
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_dropped_run_is_not_ready() {
    let service = with(async |_| forever().await);
    let handle = service.handle();

    assert!(tokio::time::timeout(ms(10), run(service)).await.is_err());

    assert!(!handle.ready().await);
}

/// Looks once every 50 ms until it is so; returns how long that took.
fn look_until(handle: &Handle, live: bool) -> Duration {
    let begun = Instant::now();
    while handle.is_live() != live {
        assert!(begun.elapsed() < Duration::from_secs(40), "is_live does not become {live}");
        std::thread::park_timeout(ms(50));
    }
    begun.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_is_live_unless_all_its_workers_are_blocked_for_5_s() {
    let (blocked, free) = (Arc::new(Barrier::new(3)), Arc::new(Barrier::new(3)));
    let (enters, leaves) = (Arc::clone(&blocked), Arc::clone(&free));
    let service = with(async move |scope| {
        for _ in 0..2 {
            let (enters, leaves) = (Arc::clone(&enters), Arc::clone(&leaves));
            scope.spawn("blocks", async move {
                enters.wait();
                leaves.wait();
                Ok(())
            });
        }
        Ok(())
    });
    let handle = service.handle();
    assert!(handle.is_live(), "before the run");
    let probe = handle.clone();
    let probing = std::thread::spawn(move || {
        blocked.wait();
        let took = look_until(&probe, false);
        free.wait();
        look_until(&probe, true);
        probe.stop(test_reason());
        took
    });

    let report = run(service).await;

    let took = probing.join().unwrap();
    assert!(took >= Handle::LIVE_WITHIN, "{took:?}");
    assert_eq!(report.status, Status::Clean);
    assert!(handle.is_live(), "a stop has nothing to do with it");
}

#[tokio::test]
async fn a_service_may_ask_about_its_own_runtime() {
    let service = with(async |_| Ok(()));
    let handle = service.handle();
    let stop = async move {
        for _ in 0..10 {
            assert!(handle.is_live());
            tokio::task::yield_now().await;
        }
        test_reason()
    };

    assert_eq!(service.run(stop).await.status, Status::Clean);
}
