//! What is told while it happens: events, and what is made from them.

use std::time::Duration;

use softstop::{ComponentReport, Event, Outcome, Policy, Restart, Service, ServiceState, Status};

use crate::support::{count, forever, ms, run, run_for, with};

/// A service in which something of everything happens, always in the same order, at the same times of
/// a paused clock: base <- top. It is to be run by [`run_eventful`].
pub(crate) fn eventful() -> Service {
    let mut service = Service::new("eventful");
    service.total(ms(10_000));
    let base = service.component("base", (), async |scope, ()| {
        scope.owe("trades", 3);
        let held = scope.open("file", async { Ok::<_, std::io::Error>(()) }, async |()| Err("dead".into())).await?;
        scope.on_stop(async move |_| {
            let _held = held;
            tokio::time::sleep(ms(400)).await;
            Ok(())
        });
        Ok(())
    });
    service.component("top", base, async |scope, ()| {
        let restart = Restart { first: Duration::ZERO, ..Restart::default() };
        let runs = std::sync::atomic::AtomicU32::new(0);
        scope.supervise("flaky", Policy::Restart(restart), move |scope| {
            let first = runs.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
            async move {
                tokio::time::sleep(ms(10)).await;
                if first {
                    return Err("the peer is away".into());
                }
                scope.cancelled().await;
                Ok(())
            }
        });
        let leaky = scope.clone();
        scope.spawn("leaks", async move {
            tokio::time::sleep(ms(20)).await;
            let _ = leaky.open("socket", async { Ok::<_, std::io::Error>(()) }, async |()| Ok(())).await?;
            leaky.lost("ticks", 2);
            Ok(())
        });
        scope.spawn_with("stubborn", async |_| forever().await);
        scope.spawn_with("drains", async |scope| {
            scope.draining().await;
            tokio::time::sleep(ms(200)).await;
            Err::<(), _>("late".into())
        });
        scope.on_stop(async |_| Err("disk full".into()));
        Ok(())
    });
    service
}

/// Runs it: a stop after 100 ms, hurried after 300 ms.
pub(crate) async fn run_eventful(service: Service) -> softstop::Report {
    let handle = service.handle();
    let hurrying = tokio::spawn(async move {
        tokio::time::sleep(ms(400)).await;
        handle.hurry();
    });
    let report = run_for(service, ms(100)).await;
    hurrying.await.unwrap();
    report
}

/// An event in a few words, its time in milliseconds.
fn words(event: &Event) -> String {
    let what = match event {
        Event::Service { state, .. } => format!("service {state:?}"),
        Event::State { component, state, .. } => format!("{component} {state}"),
        Event::Signal { number, effect, .. } => format!("signal {number} {effect}"),
        Event::Stopping { reason, .. } => format!("stopping: {reason}"),
        Event::Level { level, .. } => format!("level {level}"),
        Event::Failed(failure) => format!("failed: {failure}"),
        Event::Restarting { component, task, message, pause, .. } => {
            format!("restarting {component}/{task} after {pause:?}: {message}")
        }
        Event::Leaked { component, leak, .. } => format!("leaked {component}: {} by {}", leak.kind, leak.task),
        Event::Straggler { component, tasks, .. } => {
            assert!(tasks.site.contains(".rs:"), "{event:?}");
            format!("straggler {component}/{} x{}, {:?}", tasks.name, tasks.count, tasks.outcome)
        }
        Event::Saved { component, saved, .. } => format!("saved {component}: {saved:?}"),
        Event::Lost { loss, .. } => format!("lost {} {}, {}", loss.count, loss.what, loss.why),
        Event::Stopped { report, .. } => format!("stopped: {}", report.status),
        other => panic!("an event without words: {other:?}"),
    };
    format!("{} {what}", event.at().as_millis())
}

#[tokio::test(start_paused = true)]
async fn everything_that_happens_is_told_in_its_order() {
    let service = eventful();
    let mut events = service.handle().events();

    let report = run_eventful(service).await;

    let mut told = Vec::new();
    while let Some(event) = events.next().await {
        told.push(words(&event));
        if let Event::Stopped { report: last, .. } = event {
            assert_eq!(*last, report, "the report that is told is the one that is returned");
        }
    }
    assert_eq!(told, EVENTFUL, "{told:#?}");
    assert_eq!(events.missed(), 0);
}

const EVENTFUL: &[&str] = &[
    "0 base starting",
    "0 service Starting",
    "0 base running",
    "0 top starting",
    "0 top running",
    "0 service Running",
    "10 restarting top/flaky after 0ns: the peer is away",
    "20 lost 2 ticks, declared",
    "20 leaked top: socket by leaks",
    "100 stopping: requested by test",
    "100 top draining",
    "100 service Stopping",
    "300 failed: top/drains failed: late",
    "300 top cancelling",
    "400 level hurry",
    "1355 straggler top/stubborn x1, Some(Aborted)",
    "1355 top saving",
    "1355 saved top: Failed { took: 0ns, message: \"disk full\" }",
    "1355 failed: top/on_stop failed: disk full",
    "1355 top closing",
    "1355 top stopped",
    "1355 base cancelling",
    "1355 base saving",
    "1755 saved base: Done { took: 400ms }",
    "1755 base closing",
    "1755 failed: base/close file failed: dead",
    "1755 base stopped",
    "1755 lost 3 trades, accepted and never settled",
    "1755 service Stopped",
    "1755 stopped: overrun",
];

#[tokio::test(start_paused = true)]
async fn a_stream_that_nobody_reads_holds_up_nothing() {
    let service = with(async |scope| {
        for _ in 0..5_000 {
            scope.lost("ticks", 1);
        }
        Ok(())
    });
    let mut unread = service.handle().events();

    let report = run_for(service, ms(10)).await;

    assert_eq!((report.status, report.took), (Status::Lost, Duration::ZERO));
    assert!(unread.missed() > 3_900, "{}", unread.missed());
    let mut last = None;
    while let Some(event) = unread.next().await {
        last = Some(event);
    }
    assert!(matches!(last, Some(Event::Stopped { .. })), "the end is not among what is missing: {last:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_declared_lost_and_what_is_found_at_the_end_add_up_to_the_report() {
    let service = with(async |scope| {
        scope.owe("rows", 10);
        scope.lost("rows", 4);
        scope.lost("rows", 0);
        Ok(())
    });
    let mut events = service.handle().events();

    let report = run_for(service, ms(10)).await;

    let mut lost = Vec::new();
    while let Some(event) = events.next().await {
        if let Event::Lost { loss, .. } = event {
            lost.push((loss.count, loss.why));
        }
    }
    assert_eq!(lost, [(4, "declared"), (6, "accepted and never settled")]);
    assert_eq!(report.losses[0].count, 10);
}

#[tokio::test(start_paused = true)]
async fn what_an_abandoned_service_leaves_behind_is_told_once() {
    let mut service = Service::new("test");
    service.total(ms(3_000));
    let slow = service.component("slow", (), async |scope, ()| {
        scope.on_stop(async |_| forever().await);
        scope.spawn_with("deaf", async |_| forever().await);
        Ok(())
    });
    service.component("first", slow, async |scope, ()| {
        scope.spawn_with("drains", async |scope| {
            scope.draining().await;
            forever().await
        });
        let nested = scope.nested("n");
        nested.spawn_with("deaf", async |_| forever().await);
        Ok(())
    });
    let mut events = service.handle().events();

    let report = run_for(service, ms(10)).await;

    let (mut stragglers, mut lost) = (0, Vec::new());
    while let Some(event) = events.next().await {
        match event {
            Event::Straggler { tasks, .. } => stragglers += tasks.count,
            Event::Lost { loss, .. } => lost.push(loss),
            _ => {}
        }
    }
    let given_up = |c: &ComponentReport| {
        let mut rows: Vec<u64> = vec![];
        let up = |o: Option<Outcome>| matches!(o, None | Some(Outcome::Aborted | Outcome::Stuck));
        rows.extend(c.tasks.iter().filter(|t| up(t.outcome)).map(|t| t.count));
        rows.iter().sum::<u64>()
    };
    assert_eq!(stragglers, report.components.iter().map(given_up).sum::<u64>());
    assert_eq!(stragglers, 3);
    assert_eq!(lost, report.losses);
}

#[tokio::test(start_paused = true)]
async fn a_nested_scope_that_is_stopped_early_tells_its_stragglers_then_and_not_again() {
    let service = with(async |scope| {
        let nested = scope.nested("conn 1");
        nested.spawn_with("deaf", async |_| forever().await);
        scope.spawn_with("stops it", async move |_| {
            nested.stop(softstop::Limits { cancel: Some(ms(50)), ..softstop::Limits::default() }).await;
            Ok(())
        });
        Ok(())
    });
    let mut events = service.handle().events();

    let report = run_for(service, ms(1_000)).await;

    let mut told = Vec::new();
    while let Some(event) = events.next().await {
        if let Event::Straggler { component, tasks, at } = event {
            told.push((component, tasks.name, tasks.count, at < ms(900)));
        }
    }
    assert_eq!(told, [("c/conn 1".to_owned(), "deaf".to_owned(), 1, true)]);
    assert_eq!(count(&report, "conn 1/deaf", Outcome::Aborted), 1);
}

#[tokio::test(start_paused = true)]
async fn a_save_that_is_cut_is_told_at_once_and_lost_at_the_end() {
    let mut service = Service::new("test");
    let c = service.component("c", (), async |scope, ()| {
        scope.on_stop(async |_| forever().await);
        Ok(())
    });
    service.options(c).save(ms(50));
    let mut events = service.handle().events();

    run_for(service, ms(10)).await;

    let mut told = Vec::new();
    while let Some(event) = events.next().await {
        match event {
            Event::Saved { saved, at, .. } => told.push(format!("{at:?} {saved:?}")),
            Event::Lost { loss, at } => told.push(format!("{at:?} {}: {}", loss.what, loss.why)),
            _ => {}
        }
    }
    assert_eq!(told, ["60ms Unfinished", "60ms save of c: save unfinished"]);
}

#[tokio::test(start_paused = true)]
async fn a_start_that_fails_is_told_before_the_stop_it_begins() {
    let service = with(async |_| Err("no connection".into()));
    let mut events = service.handle().events();

    run(service).await;

    let mut told = Vec::new();
    while let Some(event) = events.next().await {
        told.push(event);
    }
    let failed = told.iter().position(|e| matches!(e, Event::Failed(f) if f.message == "no connection")).unwrap();
    let stopping = told.iter().position(|e| matches!(e, Event::Stopping { .. })).unwrap();
    assert!(failed < stopping, "{told:#?}");
}

#[tokio::test]
async fn a_stream_ends_whatever_ends_the_service() {
    let mut never_run = Service::new("never run");
    never_run.component("c", (), async |_, ()| Ok(()));
    let handle = never_run.handle();
    let mut events = handle.events();
    drop(never_run);
    assert_eq!(events.next().await, None, "it was dropped");

    let mut refused = Service::new("refused");
    refused.component("twice", (), async |_, ()| Ok(()));
    refused.component("twice", (), async |_, ()| Ok(()));
    let handle = refused.handle();
    let mut events = handle.events();
    let report = run(refused).await;
    assert_eq!(report.status, Status::Configuration);
    assert!(matches!(events.next().await, Some(Event::Service { state: ServiceState::Stopped, .. })));
    assert!(matches!(events.next().await, Some(Event::Stopped { report: told, .. }) if *told == report));
    assert_eq!(events.next().await, None, "it was refused");

    let service = with(async |_| forever().await);
    let handle = service.handle();
    let mut events = handle.events();
    let running = tokio::time::timeout(ms(10), run(service)).await;
    assert!(running.is_err());
    while events.next().await.is_some() {}
    assert_eq!(handle.events().next().await, None, "the run was dropped");
}
