//! Hooks before the stop and after it.

use softstop::{Event, Outcome, Service, Status};

use crate::support::{Log, forever, ms, run, run_for, test_reason, with};

/// Registers two hooks at each end.
fn hooked(service: &mut Service, log: &Log) {
    for n in [1, 2] {
        let before = log.clone();
        service.before_stop(move |reason| before.add(format!("before {n}: {reason}")));
        let after = log.clone();
        service.after_stop(move |report| after.add(format!("after {n}: {}", report.status)));
    }
}

#[tokio::test(start_paused = true)]
async fn hooks_run_around_the_stop_the_later_ones_in_reverse() {
    let log = Log::default();
    let saves = log.clone();
    let mut service = with(async move |scope| {
        let drains = saves.clone();
        scope.spawn_with("work", async move |scope| {
            scope.draining().await;
            drains.add("draining");
            Ok(())
        });
        scope.on_stop(async move |_| {
            saves.add("saving");
            Ok(())
        });
        Ok(())
    });
    hooked(&mut service, &log);

    run_for(service, ms(10)).await;

    let expected = ["before 1: requested by test", "before 2: requested by test", "draining", "saving"];
    assert_eq!(log.words()[..4], expected);
    assert_eq!(log.words()[4..], ["after 2: clean", "after 1: clean"]);
}

#[tokio::test(start_paused = true)]
async fn hooks_run_around_the_unwinding_of_a_failed_start() {
    let log = Log::default();
    let mut service = with(async |_| Err("no connection".into()));
    hooked(&mut service, &log);

    run(service).await;

    assert_eq!(log.words()[1..3], ["before 2: c failed", "after 2: start failed"]);
}

#[tokio::test(start_paused = true)]
async fn a_component_that_fails_together_is_cancelled_after_the_hooks() {
    let log = Log::default();
    let told = log.clone();
    let mut service = Service::new("test");
    let c = service.component("c", (), async move |scope, ()| {
        scope.spawn_with("sibling", async move |scope| {
            let reason = scope.cancelled().await;
            told.add(format!("cancelled: {reason}"));
            Ok(())
        });
        scope.spawn("breaks", async { Err::<(), _>("broke".into()) });
        Ok(())
    });
    service.options(c).together();
    let before = log.clone();
    service.before_stop(move |reason| before.add(format!("before: {reason}")));

    run(service).await;

    assert_eq!(log.words(), ["before: c failed", "cancelled: c failed"]);
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_panics_before_the_stop_is_a_failure_and_the_others_run() {
    let log = Log::default();
    let mut service = with(async |_| Ok(()));
    service.before_stop(|_| panic!("a bug"));
    hooked(&mut service, &log);

    let report = run_for(service, ms(10)).await;

    let failure = &report.failures[0];
    assert_eq!((failure.outcome, failure.task.as_deref()), (Outcome::Panicked, Some("before_stop")));
    assert_eq!((failure.component.as_str(), failure.message.as_str()), ("test", "a bug"));
    assert!(failure.site.as_ref().unwrap().contains("hooks.rs"), "{failure:?}");
    assert_eq!((report.status, report.reason.clone()), (Status::Failed, test_reason()));
    assert_eq!(log.words().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_panics_after_the_stop_is_a_note_and_the_others_run() {
    let log = Log::default();
    let mut service = with(async |_| Ok(()));
    hooked(&mut service, &log);
    service.after_stop(|_| panic!("a bug"));
    let handle = service.handle();

    let report = run_for(service, ms(10)).await;

    assert_eq!(report.status, Status::Clean);
    assert!(report.notes[0].contains("hooks.rs") && report.notes[0].contains("a bug"), "{:?}", report.notes);
    assert_eq!(handle.report(), report, "who asks later gets the note as well");
    assert_eq!(log.words().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn the_last_event_comes_before_the_hooks_that_may_send_it_off() {
    let mut service = with(async |_| Ok(()));
    let mut events = service.handle().events();
    let log = Log::default();
    let sees = log.clone();
    service.after_stop(move |_| {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        while let std::task::Poll::Ready(Some(event)) = std::pin::pin!(events.next()).poll(&mut context) {
            sees.add(if matches!(event, Event::Stopped { .. }) { "stopped" } else { "other" });
        }
    });

    run_for(service, ms(10)).await;

    assert_eq!(log.words().last().unwrap(), "stopped");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_overran_calls_the_hooks_after_it() {
    let log = Log::default();
    let mut service = with(async |scope| {
        scope.on_stop(async |_| {
            std::future::pending::<()>().await;
            Ok(())
        });
        scope.spawn_with("deaf", async |_| forever().await);
        Ok(())
    });
    service.total(ms(3_000));
    hooked(&mut service, &log);

    run_for(service, ms(10)).await;

    assert_eq!(log.words()[2..], ["after 2: overrun", "after 1: overrun"]);
}

#[tokio::test(start_paused = true)]
async fn hooks_of_what_never_began_or_was_dropped_are_dropped_uncalled() {
    let log = Log::default();
    let mut refused = Service::new("refused");
    refused.component("twice", (), async |_, ()| Ok(()));
    refused.component("twice", (), async |_, ()| Ok(()));
    hooked(&mut refused, &log);
    let mut dropped = with(async |_| Ok(()));
    hooked(&mut dropped, &log);
    let gone = log.on_drop("dropped");
    dropped.after_stop(move |_| drop(gone));

    run(refused).await;
    assert!(tokio::time::timeout(ms(10), run(dropped)).await.is_err());

    assert_eq!(log.words(), ["dropped"]);
}
