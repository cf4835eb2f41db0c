//! Components start and stop in the order of their edges, and channels close by themselves.

use std::sync::Arc;

use softstop::{Event, PlanError, Reason, Service, State, Status};
use tokio::{sync::mpsc, time::Instant};

use crate::support::{Log, component, forever, ms, run, run_for, test_reason};

/// A component that logs its start, its cancellation and its save.
fn logging(service: &mut Service, log: &Log, name: &'static str, needs: &[&str]) {
    let log = log.clone();
    let dep = service.component(name, (), async move |scope, ()| {
        tokio::time::sleep(ms(10)).await;
        log.add(format!("start {name}"));
        let log = log.clone();
        scope.on_stop(async move |_| {
            tokio::time::sleep(ms(10)).await;
            log.add(format!("stop {name}"));
            Ok(())
        });
        Ok(())
    });
    let mut options = service.options(dep);
    for need in needs {
        options = options.after(*need);
    }
}

#[tokio::test(start_paused = true)]
async fn a_chain_starts_dependency_first_and_stops_in_reverse() {
    let log = Log::default();
    let mut service = Service::new("test");
    logging(&mut service, &log, "feed", &["aggregator"]);
    logging(&mut service, &log, "store", &[]);
    logging(&mut service, &log, "aggregator", &["store"]);

    let report = run_for(service, ms(1000)).await;

    let expected = ["start store", "start aggregator", "start feed", "stop feed", "stop aggregator", "stop store"];
    assert_eq!(log.words(), expected);
    assert_eq!(report.status, Status::Clean);
    assert_eq!(report.critical_path, ["feed", "aggregator", "store"]);
}

#[tokio::test(start_paused = true)]
async fn independent_components_start_and_stop_side_by_side() {
    let log = Log::default();
    let mut service = Service::new("test");
    for name in ["a", "b", "c", "d"] {
        logging(&mut service, &log, name, &[]);
    }
    let handle = service.handle();
    let begun = Instant::now();
    let running = tokio::spawn(run_for(service, ms(1000)));
    let mut events = handle.events();
    while !handle.is_ready() {
        events.next().await.unwrap();
    }

    assert_eq!(begun.elapsed().as_millis(), 10, "four starts of 10 ms take 10 ms");
    let report = running.await.unwrap();
    assert_eq!(report.took.as_millis(), 10, "four saves of 10 ms take 10 ms");
}

#[tokio::test(start_paused = true)]
async fn a_component_is_asked_the_moment_its_last_dependent_has_gone() {
    let log = Log::default();
    let mut service = Service::new("test");
    logging(&mut service, &log, "base", &[]);
    logging(&mut service, &log, "left", &["base"]);
    logging(&mut service, &log, "right", &["base"]);

    let report = run_for(service, ms(1000)).await;

    let base = component(&report, "base");
    let last = component(&report, "left").stopped.max(component(&report, "right").stopped);
    assert_eq!(base.asked, last);
    assert!(base.waited_for.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_dependent_gets_a_clone_of_what_its_dependencies_produced() {
    let mut service = Service::new("test");
    let number = service.component("number", (), async |_, ()| Ok(7_u32));
    let text = service.component("text", number, async |_, n| Ok(Arc::new(format!("<{n}>"))));
    let (tx, mut rx) = mpsc::unbounded_channel();
    service.component("both", (number, text), async move |_, (n, text)| {
        tx.send((n, text.to_string()))?;
        Ok(())
    });

    run_for(service, ms(1)).await;

    assert_eq!(rx.recv().await, Some((7, "<7>".to_owned())));
}

#[tokio::test(start_paused = true)]
async fn a_channel_closes_by_itself_when_the_last_dependent_has_gone() {
    let log = Log::default();
    let mut service = Service::new("test");
    let words = log.clone();
    let sink = service.component("sink", (), async move |scope, ()| {
        let (tx, mut rx) = mpsc::channel::<u32>(16);
        // A task that knows nothing of stopping: only a closed channel ends it in time.
        scope.spawn_with("drain", async move |_| {
            while let Some(n) = rx.recv().await {
                words.add(n.to_string());
            }
            words.add("closed");
            Ok(())
        });
        Ok(tx)
    });
    service.component("feed", sink, async |scope, tx| {
        scope.spawn_with("send", async move |scope| {
            for n in 0..3 {
                tx.send(n).await?;
            }
            scope.draining().await;
            tx.send(99).await?;
            Ok(())
        });
        Ok(())
    });

    let report = run_for(service, ms(100)).await;

    assert_eq!(log.words(), ["0", "1", "2", "99", "closed"]);
    assert_eq!(report.status, Status::Clean);
    assert!(report.took < ms(10), "nobody waits for time: {:?}", report.took);
}

#[tokio::test(start_paused = true)]
async fn a_product_is_given_up_once_its_last_dependent_has_received_it() {
    let log = Log::default();
    let mut service = Service::new("test");
    let dropped = Arc::new(log.on_drop("product dropped"));
    let base = service.component("base", (), async move |_, ()| Ok(dropped));
    for name in ["quick", "slow"] {
        let log = log.clone();
        service.component(name, base, async move |scope, product| {
            drop(product);
            tokio::time::sleep(if name == "slow" { ms(50) } else { ms(1) }).await;
            log.add(format!("{name} ready"));
            scope.on_stop(async move |_| {
                log.add(format!("{name} stops"));
                Ok(())
            });
            Ok(())
        });
    }

    run_for(service, ms(100)).await;

    assert_eq!(log.words()[..3], ["product dropped", "quick ready", "slow ready"]);
}

#[tokio::test(start_paused = true)]
async fn a_stop_gives_up_products_that_nobody_will_receive() {
    let log = Log::default();
    let mut service = Service::new("test");
    let dropped = Arc::new(log.on_drop("product dropped"));
    let words = log.clone();
    let base = service.component("base", (), async move |scope, ()| {
        scope.on_stop(async move |_| {
            words.add("base stops");
            Ok(())
        });
        Ok(dropped)
    });
    let hangs = service.component("hangs", (), async |_, ()| forever().await);
    let never: softstop::Dep<()> =
        service.component("never", (base, hangs), async |_, (_, ()): (_, ())| unreachable!("its dependency hangs"));
    let _ = never;

    let report = run_for(service, ms(100)).await;

    assert_eq!(log.words(), ["product dropped", "base stops"]);
    assert_eq!(component(&report, "never").started, None);
    assert_eq!(report.status, Status::Clean);
}

#[tokio::test(start_paused = true)]
async fn what_a_program_does_not_always_have_is_an_option() {
    for cached in [true, false] {
        let log = Log::default();
        let mut service = Service::new("test");
        let base = service.component("base", (), async |_, ()| Ok("base"));
        let cache = cached.then(|| service.component("cache", base, async |_, _| Ok("cache")));
        let told = log.clone();
        let needs = (base, (cache, base), cache);
        service.component("top", needs, async move |_, (base, (cache, again), last)| {
            told.add(format!("{base} {cache:?} {again} {last:?}"));
            Ok(())
        });

        let report = run_for(service, ms(100)).await;

        let cache = if cached { r#"Some("cache")"# } else { "None" };
        assert_eq!(log.words(), [format!("base {cache} base {cache}")]);
        assert_eq!(report.status, Status::Clean);
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_service_stops_without_waiting_for_time() {
    let mut service = Service::new("test");
    let mut before = service.component("c0", (), async |_, ()| Ok(()));
    for at in 1..20 {
        before = service.component(format!("c{at}"), before, async |scope, ()| {
            scope.spawn("idle", forever());
            Ok(())
        });
    }

    let report = run_for(service, ms(100)).await;

    assert_eq!(report.took, ms(0));
    assert_eq!(report.status, Status::Clean);
}

#[test]
fn a_cycle_is_an_error_that_draws_the_path() {
    let log = Log::default();
    let mut service = Service::new("test");
    logging(&mut service, &log, "a", &["c"]);
    logging(&mut service, &log, "b", &["a"]);
    logging(&mut service, &log, "c", &["b"]);

    let error = service.check().unwrap_err();

    assert_eq!(error.to_string(), "components wait for one another: a -> c -> b -> a");
}

#[tokio::test(start_paused = true)]
async fn a_graph_that_cannot_be_run_is_a_report_with_status_78_and_starts_nothing() {
    let log = Log::default();
    let mut service = Service::new("test");
    logging(&mut service, &log, "a", &["nobody"]);

    let report = run(service).await;

    assert_eq!(report.status, Status::Configuration);
    assert!(report.why.contains("`nobody`"), "{}", report.why);
    assert!(log.words().is_empty());
}

#[test]
fn duplicate_names_and_foreign_handles_are_errors() {
    let mut service = Service::new("test");
    service.component("a", (), async |_, ()| Ok(()));
    service.component("a", (), async |_, ()| Ok(()));
    assert_eq!(service.check().unwrap_err(), PlanError::Duplicate { name: "a".to_owned() });

    let mut other = Service::new("other");
    let foreign = other.component("x", (), async |_, ()| Ok(()));
    let mut service = Service::new("test");
    service.component("b", foreign, async |_, ()| Ok(()));
    assert_eq!(service.check().unwrap_err(), PlanError::Foreign { by: "b".to_owned() });
}

#[tokio::test(start_paused = true)]
async fn a_main_job_that_finishes_stops_the_service_with_status_0() {
    let log = Log::default();
    let mut service = Service::new("test");
    logging(&mut service, &log, "base", &[]);
    let job = service.component("job", (), async |scope, ()| {
        scope.spawn("work", async {
            tokio::time::sleep(ms(500)).await;
            Ok(())
        });
        Ok(())
    });
    service.options(job).main_job();

    let report = run(service).await;

    assert_eq!(report.reason, Reason::Finished("job".into()));
    assert_eq!((report.status, report.ran), (Status::Clean, ms(500)));
    assert_eq!(log.words(), ["start base", "stop base"]);
}

#[tokio::test(start_paused = true)]
async fn a_main_job_without_tasks_is_finished_when_it_is_ready() {
    let mut service = Service::new("test");
    let job = service.component("job", (), async |_, ()| Ok(()));
    service.options(job).main_job();

    let report = run(service).await;

    assert_eq!((report.reason, report.status), (Reason::Finished("job".into()), Status::Clean));
}

#[tokio::test(start_paused = true)]
async fn states_are_told_in_order_and_stopping_twice_is_harmless() {
    let mut service = Service::new("test");
    service.component("a", (), async |_, ()| Ok(()));
    let handle = service.handle();
    let mut events = handle.events();
    let running = tokio::spawn(run(service));
    while !handle.is_ready() {
        events.next().await.unwrap();
    }
    handle.stop(test_reason());
    handle.stop(Reason::ParentGone);
    let report = running.await.unwrap();
    handle.stop(test_reason());

    let mut states = vec![];
    drop(handle);
    while let Some(event) = events.next().await {
        if let Event::State { state, .. } = event {
            states.push(state);
        }
    }
    assert_eq!(report.reason, test_reason());
    let expected = [State::Draining, State::Cancelling, State::Saving, State::Closing, State::Stopped];
    assert_eq!(states[states.len() - 5..], expected);
}
