//! The targets, and whether they are met.

use crate::{
    figures::{grouped, table},
    handover::Handover,
    idle::Idle,
    many::{Many, times},
};

/// The two ways to spawn, as the worker calls them: each has to meet a target.
const WAYS: [&str; 2] = ["softstop", "softstop-with"];

/// One target and what was measured for it.
struct Row {
    what: &'static str,
    tasks: String,
    most: f64,
    measured: Vec<f64>,
    show: fn(f64) -> String,
}

/// All targets, in the order of a program's life.
pub(crate) fn targets(many: &[Many], handover: &Handover, idle: &Idle) -> String {
    let large = || many.iter().filter(|many| many.load.is_large());
    let usual = || many.iter().filter(|many| !many.load.on_one);
    let rows = large()
        .map(|many| to_tracker(many, "spawn to first poll, CPU, to TaskTracker", "spawn_cpu_ns", 1.5))
        .chain(usual().filter(|many| many.load.is_large()).map(resident))
        .chain(usual().map(call))
        .chain(usual().map(|many| to_tracker(many, "all ended and counted, wall, to TaskTracker", "end_wall_ns", 1.2)))
        .chain(
            many.iter().map(|many| to_tracker(many, "all ended and counted, CPU, to TaskTracker", "end_cpu_ns", 1.2)),
        )
        .chain([
            of_service("last task done, next component asked, us", 100.0, handover.median_us(), short),
            of_service("idle, SIGTERM until gone, to tokio alone", 1.5, idle.ratio(), times),
        ]);
    table(["what", "tasks", "at most", "`spawn`", "`spawn_with`", ""], rows.map(|row| row.cells()).collect())
}

fn to_tracker(many: &Many, what: &'static str, name: &str, most: f64) -> Row {
    let measured = WAYS.map(|way| many.of(way).ratio(many.reference(), name)).to_vec();
    Row { what, tasks: many.load.to_string(), most, measured, show: times }
}

fn resident(many: &Many) -> Row {
    let measured = WAYS.map(|way| many.of(way).median("rss") / many.load.tasks as f64).to_vec();
    Row { what: "resident bytes per idle task", tasks: many.load.to_string(), most: 480.0, measured, show: short }
}

fn call(many: &Many) -> Row {
    let measured = WAYS.map(|way| many.of(way).median("call_ns") / 1e3).to_vec();
    Row { what: "stop asked, the call returns, us", tasks: many.load.to_string(), most: 50.0, measured, show: short }
}

fn of_service(what: &'static str, most: f64, measured: f64, show: fn(f64) -> String) -> Row {
    Row { what, tasks: String::new(), most, measured: vec![measured], show }
}

impl Row {
    fn cells(&self) -> [String; 6] {
        let measured = |at: usize| self.measured.get(at).map_or_else(String::new, |value| (self.show)(*value));
        [self.what.to_owned(), self.tasks.clone(), (self.show)(self.most), measured(0), measured(1), self.verdict()]
    }

    fn verdict(&self) -> String {
        // What was not measured is not met.
        let missed = |value: &f64| value.is_nan() || *value > self.most;
        match self.measured[..] {
            [plain, cooperative] if !missed(&plain) && missed(&cooperative) => "**missed by `spawn_with`**".to_owned(),
            [plain, cooperative] if missed(&plain) && !missed(&cooperative) => "**missed by `spawn`**".to_owned(),
            _ if self.measured.iter().any(missed) => "**missed**".to_owned(),
            _ => "met".to_owned(),
        }
    }
}

fn short(value: f64) -> String {
    if value < 100.0 && value.fract() != 0.0 { format!("{value:.1}") } else { grouped(value) }
}
