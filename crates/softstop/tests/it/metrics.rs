//! A service as metrics: a snapshot of names, labels and values, and the table that promises them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};

use crate::{
    observe::{eventful, run_eventful},
    support::{forever, ms, run_for, with},
};

/// What was recorded, by kind, name and labels.
#[derive(Clone, Default)]
struct Book {
    entries: Arc<Mutex<BTreeMap<String, Vec<f64>>>>,
    described: Arc<Mutex<BTreeMap<String, Option<Unit>>>>,
}

struct Entry {
    name: String,
    book: Book,
}

impl Book {
    fn entry(&self, kind: &str, key: &Key) -> Arc<Entry> {
        let labels: Vec<String> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let name = format!("{kind} {}{{{}}}", key.name(), labels.join(","));
        Arc::new(Entry { name, book: self.clone() })
    }

    fn describe(&self, kind: &str, name: &KeyName, unit: Option<Unit>) {
        self.described.lock().unwrap().insert(format!("{kind} {}", name.as_str()), unit);
    }

    /// Counters with their sum, gauges and histograms with all their values.
    fn lines(&self) -> Vec<String> {
        let line = |(name, values): (&String, &Vec<f64>)| format!("{name} {values:?}");
        self.entries.lock().unwrap().iter().map(line).collect()
    }
}

impl Entry {
    fn change(&self, change: impl FnOnce(&mut Vec<f64>)) {
        change(self.book.entries.lock().unwrap().entry(self.name.clone()).or_default());
    }
}

impl CounterFn for Entry {
    fn increment(&self, by: u64) {
        self.change(|values| *values = vec![values.first().unwrap_or(&0.0) + by as f64]);
    }

    fn absolute(&self, _: u64) {
        panic!("counters are incremented");
    }
}

impl GaugeFn for Entry {
    fn set(&self, value: f64) {
        self.change(|values| values.push(value));
    }

    fn increment(&self, _: f64) {
        panic!("gauges are set");
    }

    fn decrement(&self, _: f64) {
        panic!("gauges are set");
    }
}

impl HistogramFn for Entry {
    fn record(&self, value: f64) {
        self.change(|values| values.push(value));
    }
}

impl Recorder for Book {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, _: SharedString) {
        self.describe("counter", &name, unit);
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, _: SharedString) {
        self.describe("gauge", &name, unit);
    }

    fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, _: SharedString) {
        self.describe("histogram", &name, unit);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.entry("counter", key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.entry("gauge", key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.entry("histogram", key))
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_is_measured_from_its_first_start_to_its_end() {
    let book = Book::default();
    let _recorded = metrics::set_default_local_recorder(&book);

    run_eventful(eventful()).await;

    let measured = book.lines();
    assert_eq!(measured, EVENTFUL, "{measured:#?}");
}

const EVENTFUL: &[&str] = &[
    "counter softstop_failures_total{component=base} [1.0]",
    "counter softstop_failures_total{component=top} [2.0]",
    "counter softstop_leaks_total{kind=socket} [1.0]",
    "counter softstop_losses_total{what=ticks} [2.0]",
    "counter softstop_losses_total{what=trades} [3.0]",
    "counter softstop_restarts_total{component=top} [1.0]",
    "counter softstop_stops_total{reason=requested,level=hurry,status=82} [1.0]",
    "counter softstop_tasks_total{component=top,outcome=aborted} [1.0]",
    "counter softstop_tasks_total{component=top,outcome=failed} [1.0]",
    "counter softstop_tasks_total{component=top,outcome=finished} [2.0]",
    "gauge softstop_component_state{component=base} [1.0, 2.0, 4.0, 5.0, 6.0, 7.0]",
    "gauge softstop_component_state{component=top} [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]",
    "gauge softstop_ready{} [0.0, 1.0, 0.0, 0.0]",
    "histogram softstop_step_seconds{component=base,step=cancelling} [0.0]",
    "histogram softstop_step_seconds{component=base,step=closing} [0.0]",
    "histogram softstop_step_seconds{component=base,step=saving} [0.4]",
    "histogram softstop_step_seconds{component=top,step=cancelling} [1.055]",
    "histogram softstop_step_seconds{component=top,step=closing} [0.0]",
    "histogram softstop_step_seconds{component=top,step=draining} [0.2]",
    "histogram softstop_step_seconds{component=top,step=saving} [0.0]",
    "histogram softstop_stop_seconds{} [1.655]",
];

/// Names, kinds and labels of the table.
fn table() -> BTreeSet<(String, BTreeSet<String>)> {
    let rows = include_str!("../../src/metrics.md").lines().filter(|line| line.starts_with("| `softstop_"));
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let labels = cells[2].split('`').skip(1).step_by(2).map(str::to_owned).collect();
        (format!("{} {}", cells[1], cells[0].trim_matches('`')), labels)
    };
    rows.map(row).collect()
}

#[tokio::test(start_paused = true)]
async fn the_table_holds_every_metric_and_every_metric_is_described_with_its_unit() {
    let book = Book::default();
    let _recorded = metrics::set_default_local_recorder(&book);

    run_eventful(eventful()).await;

    let table = table();
    let described: BTreeSet<String> = book.described.lock().unwrap().keys().cloned().collect();
    assert_eq!(described, table.iter().map(|(name, _)| name.clone()).collect());
    for (name, unit) in book.described.lock().unwrap().iter() {
        let expected = if name.ends_with("_seconds") { Unit::Seconds } else { Unit::Count };
        assert_eq!(unit.as_ref(), Some(&expected), "{name}");
    }
    let mut measured = BTreeSet::new();
    for line in book.lines() {
        let (name, rest) = line.split_once('{').unwrap();
        let labels = rest.split_once('}').unwrap().0.split(',').filter_map(|label| label.split_once('='));
        measured.insert((name.to_owned(), labels.map(|(key, _)| key.to_owned()).collect::<BTreeSet<_>>()));
    }
    let rest: Vec<_> = table.difference(&measured).map(|(name, _)| name.as_str()).collect();
    assert!(measured.is_subset(&table), "{:?} are not in the table", measured.difference(&table));
    // A signal needs a process of its own, and a blocked recorder another thread.
    assert_eq!(rest, ["counter softstop_missed_events_total", "counter softstop_signals_total"]);
}

#[tokio::test(start_paused = true)]
async fn many_tasks_and_nested_scopes_make_no_series_of_their_own() {
    let book = Book::default();
    let _recorded = metrics::set_default_local_recorder(&book);
    let service = with(async |scope| {
        for n in 0..100 {
            let nested = scope.nested(format!("conn {n}"));
            nested.spawn_with(format!("task {n}"), async |scope| {
                scope.draining().await;
                Err::<(), _>("broke".into())
            });
            nested.on_stop(async |_| {
                forever().await?;
                Ok(())
            });
        }
        Ok(())
    });

    run_for(service, ms(10)).await;

    let lines = book.lines();
    let of = |name: &str| lines.iter().filter(|line| line.contains(name)).collect::<Vec<_>>();
    assert_eq!(of("softstop_failures_total"), ["counter softstop_failures_total{component=c} [100.0]"]);
    assert_eq!(of("softstop_losses_total"), ["counter softstop_losses_total{what=save} [100.0]"]);
    assert_eq!(of("softstop_tasks_total"), ["counter softstop_tasks_total{component=c,outcome=failed} [100.0]"]);
}
