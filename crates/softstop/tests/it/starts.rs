//! Starts that fail, overrun, or are stopped half-way.

use softstop::{Outcome, Reason, Service, Status};

use crate::support::{Log, component, count, forever, ms, run, run_for};

/// base <- middle <- top, each logging its save; `middle` starts with `start`.
fn chain<F, Fut>(log: &Log, start: F) -> Service
where
    F: FnOnce(softstop::Scope) -> Fut + Send + 'static,
    Fut: Future<Output = softstop::Result> + Send + 'static,
{
    let mut service = Service::new("test");
    let words = log.clone();
    let base = service.component("base", (), async move |scope, ()| {
        scope.on_stop(async move |_| {
            words.add("base saved");
            Ok(())
        });
        Ok(())
    });
    let words = log.clone();
    let middle = service.component("middle", base, move |scope, ()| {
        scope.on_stop(async move |_| {
            words.add("middle saved");
            Ok(())
        });
        start(scope)
    });
    service.component("top", middle, async |_, ()| Ok(()));
    service
}

#[tokio::test(start_paused = true)]
async fn a_failed_start_unwinds_what_had_started_and_is_80() {
    let log = Log::default();
    let service = chain(&log, async |_| Err("no route".into()));

    let report = run(service).await;

    assert_eq!((&report.reason, report.status), (&Reason::Failed("middle".into()), Status::StartFailed));
    assert_eq!(log.words(), ["middle saved", "base saved"]);
    assert_eq!(component(&report, "top").started, None);
    assert_eq!(report.why, "middle failed while starting: no route");
}

#[tokio::test(start_paused = true)]
async fn a_panicking_start_is_80_as_well() {
    let log = Log::default();
    let service = chain(&log, async |_| panic!("boom"));

    let report = run(service).await;

    assert_eq!((report.reason, report.status), (Reason::Panicked("middle".into()), Status::StartFailed));
    assert_eq!(log.words(), ["middle saved", "base saved"]);
}

#[tokio::test(start_paused = true)]
async fn a_start_that_overruns_its_limit_is_dropped_and_80() {
    let log = Log::default();
    let mut service = Service::new("test");
    let guard = log.on_drop("start dropped");
    let slow = service.component("slow", (), async move |_, ()| {
        let _guard = guard;
        tokio::time::sleep(ms(60_000)).await;
        Ok(())
    });
    service.options(slow).start(ms(500));

    let report = run(service).await;

    assert_eq!((report.reason, report.status), (Reason::Deadline("slow".into()), Status::StartFailed));
    assert_eq!((log.words(), report.ran), (vec!["start dropped".to_owned()], ms(500)));
}

#[tokio::test(start_paused = true)]
async fn a_stop_while_starting_drops_the_start_after_its_grace_and_is_clean() {
    let log = Log::default();
    let guard = log.on_drop("start dropped");
    let words = log.clone();
    let service = chain(&log, async move |scope| {
        let closed = words.clone();
        let acquire = async { Ok::<_, std::io::Error>(()) };
        let close = async move |()| {
            closed.add("closed");
            Ok(())
        };
        let _held = scope.open("connection", acquire, close).await?;
        let _guard = guard;
        forever().await
    });

    let report = run_for(service, ms(100)).await;

    assert_eq!(log.words(), ["start dropped", "middle saved", "closed", "base saved"]);
    assert_eq!((report.status, report.took), (Status::Clean, ms(1000)));
}

#[tokio::test(start_paused = true)]
async fn a_cooperative_start_returns_when_it_is_cancelled_and_its_error_is_only_noted() {
    let log = Log::default();
    let service = chain(&log, async |scope| {
        scope.cancelled().await;
        Err("gave up connecting".into())
    });

    let report = run_for(service, ms(100)).await;

    assert_eq!((report.status, report.took), (Status::Clean, ms(0)));
    assert!(report.notes[0].contains("gave up connecting"), "{:?}", report.notes);
}

#[tokio::test(start_paused = true)]
async fn tasks_of_a_start_that_failed_are_stopped_with_it() {
    let log = Log::default();
    let service = chain(&log, async |scope| {
        scope.spawn("left behind", forever());
        Err("no".into())
    });

    let report = run(service).await;

    assert_eq!(count(&report, "left behind", Outcome::Cancelled), 1);
}

#[tokio::test(start_paused = true)]
async fn a_start_that_has_returned_drains_although_nobody_had_looked() {
    let log = Log::default();
    let words = log.clone();
    let mut service = Service::new("test");
    let handle = service.handle();
    let quick = service.component("quick", (), async move |scope, ()| {
        scope.spawn_with("drains", async move |scope| {
            scope.draining().await;
            words.add(if scope.is_cancelled() { "cancelled" } else { "drained" });
            Ok(())
        });
        // The stop is asked in the same poll in which this start returns.
        handle.stop(crate::support::test_reason());
        Ok(())
    });
    service.component("never", quick, async |_, ()| Ok(()));

    let report = run(service).await;

    assert_eq!(log.words(), ["drained"]);
    assert_eq!((component(&report, "never").started, report.status), (None, Status::Clean));
}

#[tokio::test(start_paused = true)]
async fn a_product_whose_destructor_panics_is_a_failure_of_its_component() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("in the product");
        }
    }
    let mut service = Service::new("test");
    service.component("c", (), async |_, ()| Ok(Bomb));

    let report = run_for(service, ms(10)).await;

    assert_eq!((report.status, report.failures[0].component.as_str()), (Status::Failed, "c"));
}
