//! Nested scopes stop early on their own, or with their parent.

use softstop::{Limits, Outcome, Status};

use crate::support::{Log, count, forever, ms, run_for, with};

#[tokio::test(start_paused = true)]
async fn a_nested_scope_stopped_early_saves_closes_and_is_no_event_of_the_service() {
    let log = Log::default();
    let words = log.clone();
    let service = with(async move |scope| {
        scope.spawn_with("owner", async move |scope| {
            let nested = scope.nested("job");
            nested.spawn("plain", forever());
            let (saved, closed) = (words.clone(), words.clone());
            nested.on_stop(async move |_| {
                saved.add("nested saved");
                Ok(())
            });
            let acquire = async { Ok::<_, std::io::Error>(()) };
            let close = async move |()| {
                closed.add("nested closed");
                Ok(())
            };
            let _ = nested.open("thing", acquire, close).await?;

            let end = nested.stop(Limits::default()).await;

            assert_eq!(end.tasks[0].outcome, Some(Outcome::Cancelled));
            assert_eq!((end.took, scope.reason()), (ms(0), None));
            words.add("still running");
            scope.draining().await;
            Ok(())
        });
        Ok(())
    });

    let report = run_for(service, ms(100)).await;

    assert_eq!(log.words(), ["nested saved", "nested closed", "still running"]);
    assert_eq!(count(&report, "job/plain", Outcome::Cancelled), 1);
    assert_eq!(report.status, Status::Clean, "{}", report.why);
}

#[tokio::test(start_paused = true)]
async fn a_nested_scope_still_there_shares_the_steps_of_its_parent() {
    let log = Log::default();
    let words = log.clone();
    let service = with(async move |scope| {
        let nested = scope.nested("stage");
        let told = words.clone();
        nested.spawn_with("drains", async move |scope| {
            scope.draining().await;
            told.add("nested drains");
            Ok(())
        });
        let (saved, closed) = (words.clone(), words.clone());
        nested.on_stop(async move |_| {
            saved.add("nested saved");
            Ok(())
        });
        let acquire = async { Ok::<_, std::io::Error>(()) };
        let close = async move |()| {
            closed.add("nested closed");
            Ok(())
        };
        drop(nested.open("thing", acquire, close).await?);
        scope.on_stop(async move |_| {
            words.add("parent saved");
            Ok(())
        });
        Ok(())
    });

    let report = run_for(service, ms(100)).await;

    assert_eq!(log.words(), ["nested drains", "nested saved", "parent saved", "nested closed"]);
    assert_eq!(report.status, Status::Clean);
}

#[tokio::test(start_paused = true)]
async fn a_failure_goes_up_unless_it_is_taken() {
    for taken in [false, true] {
        let service = with(async move |scope| {
            scope.spawn_with("owner", async move |scope| {
                let mut nested = scope.nested("job");
                if taken {
                    nested = nested.take_failures();
                }
                nested.spawn("fails", async { Err::<(), _>("no".into()) });
                if taken {
                    assert_eq!(nested.failed().await.message, "no");
                }
                scope.draining().await;
                nested.stop(Limits::default()).await;
                Ok(())
            });
            Ok(())
        });

        let report = run_for(service, ms(100)).await;

        assert_eq!(report.status, if taken { Status::Clean } else { Status::Failed });
    }
}

#[tokio::test(start_paused = true)]
async fn limits_of_a_nested_stop_are_its_own() {
    let service = with(async |scope| {
        scope.spawn_with("owner", async |scope| {
            let nested = scope.nested("job");
            nested.spawn_with("stubborn", async |_| forever().await);
            let limits = Limits { cancel: Some(ms(200)), ..Limits::default() };

            let end = nested.stop(limits).await;

            assert_eq!((end.took, end.tasks[0].outcome), (ms(200), Some(Outcome::Aborted)));
            scope.draining().await;
            Ok(())
        });
        Ok(())
    });

    let report = run_for(service, ms(1000)).await;

    assert_eq!(count(&report, "owner", Outcome::Finished), 1, "{}", report.why);
}

#[tokio::test(start_paused = true)]
async fn a_nested_stop_is_capped_by_what_the_parent_has_left() {
    let mut service = with(async |scope| {
        scope.spawn_with("owner", async |scope| {
            let nested = scope.nested("job");
            nested.spawn_with("busy", async |_| {
                loop {
                    tokio::time::sleep(ms(10)).await;
                }
                #[expect(unreachable_code, reason = "gives the block its type")]
                Ok(())
            });
            scope.draining().await;
            nested.stop(Limits::default()).await;
            Ok(())
        });
        Ok(())
    });
    service.total(ms(10_000));

    let report = run_for(service, ms(10)).await;

    assert_eq!(count(&report, "owner", Outcome::Finished), 1, "{}", report.why);
    assert!(report.took < ms(9_800), "{:?}", report.took);
}

#[tokio::test(start_paused = true)]
async fn many_nested_scopes_leave_nothing_behind_but_their_counts() {
    let service = with(async |scope| {
        scope.spawn_with("owner", async |scope| {
            for _ in 0..1000 {
                let nested = scope.nested("connection");
                nested.spawn("serve", async { Ok(()) });
                nested.stop(Limits::default()).await;
            }
            scope.draining().await;
            Ok(())
        });
        Ok(())
    });

    let report = run_for(service, ms(1000)).await;

    let served: u64 = report.components[0].tasks.iter().filter(|t| t.name == "connection/serve").map(|t| t.count).sum();
    assert_eq!((served, report.components[0].tasks.len()), (1000, 2), "{:?}", report.components[0].tasks);
}
