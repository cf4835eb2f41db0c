//! Every event against the table of `trace.md`: names, levels and fields.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use tracing::{
    Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

use super::*;
use crate::{
    machine::{Level, Reason, ServiceState, State},
    report::{Leak, Loss},
    shared::Shared,
    task::Outcome,
};

/// Name, level and the names of the fields that were given.
type Seen = (String, String, BTreeSet<String>);

#[derive(Clone, Default)]
struct Collects(Arc<Mutex<Vec<Seen>>>);

struct Names(BTreeSet<String>);

impl Visit for Names {
    fn record_debug(&mut self, field: &Field, _: &dyn std::fmt::Debug) {
        self.0.insert(field.name().to_owned());
    }
}

impl Subscriber for Collects {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn event(&self, event: &tracing::Event<'_>) {
        let mut names = Names(BTreeSet::new());
        event.record(&mut names);
        let about = event.metadata();
        assert_eq!(about.target(), "softstop");
        assert!(names.0.remove("message") && names.0.remove("at_ms"), "{about:?}");
        self.0.lock().unwrap().push((about.name().to_owned(), about.level().to_string(), names.0));
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// One event of every kind, and the same with everything left out that may be.
fn all() -> Vec<Event> {
    let (at, component, name) = (Duration::ZERO, String::from("c"), |name: &str| name.to_owned());
    let failure = Failure {
        component: name("c"),
        task: Some(name("t")),
        site: Some(name("s")),
        outcome: Outcome::Failed,
        message: name("m"),
        at,
    };
    let leak = Leak { kind: name("k"), task: name("t"), site: name("s"), age: at };
    let tasks = TaskGroup { name: name("t"), site: name("s"), outcome: None, count: 1, restarts: 0 };
    let saved = |saved| Event::Saved { component: name("c"), saved, at };
    let clean = Shared::new(tokio::sync::mpsc::unbounded_channel().0).report();
    let failed = Report { status: Status::Failed, ..clean.clone() };
    vec![
        Event::Service { state: ServiceState::Running, at },
        Event::State { component: component.clone(), state: State::Running, at },
        Event::Signal { number: 2, effect: "stop", at },
        Event::Stopping { reason: Reason::ParentGone, at },
        Event::Level { level: Level::Hurry, at },
        Event::Failed(failure.clone()),
        Event::Failed(Failure { task: None, site: None, ..failure }),
        Event::Restarting { component: component.clone(), task: name("t"), message: name("m"), pause: at, at },
        Event::Leaked { component: component.clone(), leak, at },
        Event::Straggler { component, tasks, at },
        saved(Saved::Done { took: at }),
        saved(Saved::Failed { took: at, message: name("m") }),
        saved(Saved::Unfinished),
        saved(Saved::NotRun),
        Event::Lost { loss: Loss { what: name("w"), count: 1, why: "declared" }, at },
        Event::Said { component: name("c"), text: name("t"), at },
        Event::Stopped { report: Arc::new(clean), at },
        Event::Stopped { report: Arc::new(failed), at },
    ]
}

/// The rows: name to levels and fields, optional ones with their question mark.
fn table() -> BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)> {
    let rows = include_str!("trace.md").lines().filter(|line| line.starts_with("| `softstop."));
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').collect();
        let levels = ["ERROR", "WARN", "INFO", "DEBUG"].into_iter().filter(|level| cells[1].contains(level));
        let quoted = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<BTreeSet<_>>();
        (quoted(cells[0]).pop_first().unwrap(), (levels.map(str::to_owned).collect(), quoted(cells[2])))
    };
    rows.map(row).collect()
}

#[test]
fn every_event_is_put_out_as_the_table_says_and_the_table_says_nothing_else() {
    let collects = Collects::default();
    tracing::subscriber::with_default(collects.clone(), || {
        all().iter().for_each(put_out);
        missed(3, Duration::ZERO);
    });

    let mut found: BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)> = BTreeMap::new();
    let seen = collects.0.lock().unwrap().clone();
    for (name, level, fields) in &seen {
        let all_of_it: Vec<_> = seen.iter().filter(|(other, ..)| other == name).collect();
        let always = |field: &&String| all_of_it.iter().all(|(_, _, fields)| fields.contains(*field));
        let (required, optional): (Vec<&String>, Vec<&String>) = fields.iter().partition(always);
        let row = found.entry(name.clone()).or_default();
        row.0.insert(level.clone());
        row.1.extend(required.into_iter().cloned().chain(optional.into_iter().map(|field| format!("{field}?"))));
    }
    assert_eq!(found, table());
}
