//! A service as `tracing` events: a snapshot of names, levels and fields.

use std::{
    fmt::{Debug, Write},
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, Sender, channel},
    },
    time::Instant,
};

use softstop::{Service, Status};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

use crate::{
    observe::{eventful, run_eventful},
    support::{ms, run, run_for, with},
};

/// Writes each event on one line: level, name, fields in the order in which they are given.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let value = format!("{value:?}");
        // The places move with the lines of the test file.
        let value = if value.contains(".rs:") { "a place".to_owned() } else { value };
        let _ = write!(self.0, " {}={value}", field.name());
    }
}

impl Subscriber for Lines {
    fn enabled(&self, about: &Metadata<'_>) -> bool {
        about.target() == "softstop"
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(format!("{} {}", event.metadata().level(), event.metadata().name()));
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

#[tokio::test(start_paused = true)]
async fn a_service_is_traced_from_its_first_start_to_its_report() {
    let lines = Lines::default();
    let _subscribed = tracing::subscriber::set_default(lines.clone());

    run_eventful(eventful()).await;

    let traced = lines.take();
    assert_eq!(traced, EVENTFUL, "{traced:#?}");
}

const EVENTFUL: &[&str] = &[
    r#"DEBUG softstop.state message=component state component="base" state=starting at_ms=0.0"#,
    r#"INFO softstop.service message=service state state=starting at_ms=0.0"#,
    r#"DEBUG softstop.state message=component state component="base" state=running at_ms=0.0"#,
    r#"DEBUG softstop.state message=component state component="top" state=starting at_ms=0.0"#,
    r#"DEBUG softstop.state message=component state component="top" state=running at_ms=0.0"#,
    r#"INFO softstop.service message=service state state=running at_ms=0.0"#,
    r#"WARN softstop.restarting message=restarting component="top" task="flaky" error="the peer is away" pause_ms=0.0 at_ms=10.0"#,
    r#"WARN softstop.lost message=lost what="ticks" count=2 why="declared" at_ms=20.0"#,
    r#"WARN softstop.leaked message=left open component="top" kind="socket" task="leaks" site=a place age_ms=0.0 at_ms=20.0"#,
    r#"INFO softstop.stopping message=stopping reason=requested by test at_ms=100.0"#,
    r#"DEBUG softstop.state message=component state component="top" state=draining at_ms=100.0"#,
    r#"INFO softstop.service message=service state state=stopping at_ms=100.0"#,
    r#"ERROR softstop.failed message=failed component="top" task="drains" site=a place outcome=failed error="late" at_ms=300.0"#,
    r#"DEBUG softstop.state message=component state component="top" state=cancelling at_ms=300.0"#,
    r#"INFO softstop.level message=level level=hurry at_ms=400.0"#,
    r#"WARN softstop.straggler message=given up component="top" task="stubborn" site=a place outcome="aborted" count=1 at_ms=1355.0"#,
    r#"DEBUG softstop.state message=component state component="top" state=saving at_ms=1355.0"#,
    r#"WARN softstop.saved message=saved component="top" outcome="failed" took_ms=0.0 error="disk full" at_ms=1355.0"#,
    r#"ERROR softstop.failed message=failed component="top" task="on_stop" outcome=failed error="disk full" at_ms=1355.0"#,
    r#"DEBUG softstop.state message=component state component="top" state=closing at_ms=1355.0"#,
    r#"DEBUG softstop.state message=component state component="top" state=stopped at_ms=1355.0"#,
    r#"DEBUG softstop.state message=component state component="base" state=cancelling at_ms=1355.0"#,
    r#"DEBUG softstop.state message=component state component="base" state=saving at_ms=1355.0"#,
    r#"DEBUG softstop.saved message=saved component="base" outcome="done" took_ms=400.0 at_ms=1755.0"#,
    r#"DEBUG softstop.state message=component state component="base" state=closing at_ms=1755.0"#,
    r#"ERROR softstop.failed message=failed component="base" task="close file" site=a place outcome=failed error="dead" at_ms=1755.0"#,
    r#"DEBUG softstop.state message=component state component="base" state=stopped at_ms=1755.0"#,
    r#"WARN softstop.lost message=lost what="trades" count=3 why="accepted and never settled" at_ms=1755.0"#,
    r#"INFO softstop.service message=service state state=stopped at_ms=1755.0"#,
    r#"WARN softstop.stopped message=stopped service="eventful" reason=requested by test level=hurry status=82 outcome=overrun why="1 aborted, 0 stuck, 0 steps cut, such as top/stubborn" took_ms=1655.0 at_ms=1755.0"#,
];

#[tokio::test(start_paused = true)]
async fn the_last_event_is_out_before_the_hooks_after_the_stop() {
    let lines = Lines::default();
    let _subscribed = tracing::subscriber::set_default(lines.clone());
    let mut service = with(async |_| Ok(()));
    let seen = lines.clone();
    service.after_stop(move |_| assert!(seen.take().last().unwrap().contains("softstop.stopped")));

    let report = run_for(service, ms(10)).await;

    assert!(report.notes.is_empty(), "{:?}", report.notes);
}

#[tokio::test]
async fn a_graph_that_cannot_be_run_is_traced_as_well() {
    let lines = Lines::default();
    let _subscribed = tracing::subscriber::set_default(lines.clone());
    let mut service = Service::new("refused");
    service.component("twice", (), async |_, ()| Ok(()));
    service.component("twice", (), async |_, ()| Ok(()));

    run(service).await;

    let last = lines.take().pop().unwrap();
    assert!(last.starts_with("WARN softstop.stopped") && last.contains("status=78"), "{last}");
}

/// A subscriber that takes no event before it is allowed to.
struct Blocks(Mutex<Receiver<()>>, Lines);

impl Subscriber for Blocks {
    fn enabled(&self, about: &Metadata<'_>) -> bool {
        about.target() == "softstop"
    }

    fn event(&self, event: &Event<'_>) {
        let _ = self.0.lock().unwrap().recv();
        self.1.event(event);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// Runs a service with two workers. They and this thread subscribe so, and no other of this process.
fn run_with(subscriber: impl Subscriber + Send + Sync, service: Service) -> softstop::Report {
    let dispatch = tracing::Dispatch::new(subscriber);
    let own = dispatch.clone();
    let subscribe = move || std::mem::forget(tracing::dispatcher::set_default(&dispatch));
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().on_thread_start(subscribe).build().unwrap();
    let report = tracing::dispatcher::with_default(&own, || runtime.block_on(run_for(service, ms(10))));
    runtime.shutdown_background();
    report
}

#[test]
fn a_subscriber_that_blocks_holds_up_no_stop() {
    let (allow, allowed): (Sender<()>, _) = channel();
    let lines = Lines::default();
    let begun = Instant::now();

    let report = run_with(Blocks(Mutex::new(allowed), lines.clone()), with(async |_| Ok(())));

    let took = begun.elapsed();
    assert_eq!(report.status, Status::Clean);
    assert!(report.took < ms(1_000), "{:?}", report.took);
    assert!(took < ms(5_000), "the last events are waited for, for 500 ms: {took:?}");
    assert!(lines.take().is_empty());
    drop(allow);
}

#[test]
fn events_that_a_blocked_subscriber_missed_are_counted_in_one_of_their_own() {
    let (allow, allowed): (Sender<()>, _) = channel();
    let lines = Lines::default();
    let service = with(async move |scope| {
        (0..3_000).for_each(|_| scope.lost("ticks", 1));
        drop(allow);
        Ok(())
    });

    run_with(Blocks(Mutex::new(allowed), lines.clone()), service);

    let lines = lines.take();
    let count = |line: &String| line.split("count=").nth(1)?.split(' ').next()?.parse::<usize>().ok();
    let missed: usize = lines.iter().filter(|line| line.starts_with("WARN softstop.missed")).filter_map(count).sum();
    let lost = lines.iter().filter(|line| line.starts_with("WARN softstop.lost")).count();
    assert!(missed > 1_900, "{missed}");
    assert!((3_000..3_010).contains(&(lost + missed)), "{lost} lost ticks and {missed} missed events");
    assert!(lines.last().unwrap().starts_with("WARN softstop.stopped"), "{:?}", lines.last());
}

#[test]
fn a_subscriber_that_panics_loses_that_event_and_no_other() {
    struct Panics(Lines);
    impl Subscriber for Panics {
        fn enabled(&self, about: &Metadata<'_>) -> bool {
            about.target() == "softstop"
        }
        fn event(&self, event: &Event<'_>) {
            if event.metadata().name() == "softstop.state" {
                // Without the panic hook: a backtrace takes longer than the end of a run waits for its outputs.
                std::panic::resume_unwind(Box::new("a bug of the subscriber"));
            }
            self.0.event(event);
        }
        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }
        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
        fn enter(&self, _: &span::Id) {}
        fn exit(&self, _: &span::Id) {}
    }
    let lines = Lines::default();
    run_with(Panics(lines.clone()), with(async |_| Ok(())));

    let names: Vec<String> = lines.take().iter().map(|line| line.split(' ').nth(1).unwrap().to_owned()).collect();
    let service = "softstop.service";
    assert_eq!(names, [service, service, "softstop.stopping", service, service, "softstop.stopped"]);
}
