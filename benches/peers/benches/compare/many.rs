//! Many idle tasks: the peers, and the tables of what they cost.

use std::{fmt, time::Instant};

use crate::{
    Result,
    figures::{Series, grouped, table},
    process::sample,
};

/// A library, as the worker and as the tables call it.
struct Peer {
    id: &'static str,
    title: &'static str,
    /// Beyond this many tasks it is not measured.
    most: usize,
}

/// What the ratios are taken to.
const REFERENCE: &str = "tracker";

const PEERS: [Peer; 7] = [
    Peer { id: "softstop", title: "**softstop `spawn`**", most: usize::MAX },
    Peer { id: "softstop-with", title: "**softstop `spawn_with`**", most: usize::MAX },
    Peer { id: REFERENCE, title: "`CancellationToken` + `TaskTracker`", most: usize::MAX },
    Peer { id: "join-set", title: "`JoinSet`, aborted", most: usize::MAX },
    Peer { id: "async-shutdown", title: "async-shutdown", most: usize::MAX },
    Peer { id: "rocketmq", title: "rocketmq-runtime", most: usize::MAX },
    // 3.5 GB and 20 s for one sample of a million: nine of them cost more than all the rest.
    Peer { id: "graceful-shutdown", title: "tokio-graceful-shutdown", most: 100_000 },
];

/// One number of tasks under one condition.
pub(crate) struct Load {
    pub(crate) tasks: usize,
    /// Whether the process is kept on one processor.
    pub(crate) on_one: bool,
    pub(crate) rounds: usize,
}

impl Load {
    /// Where memory and processor time per task are more than the fixed costs of a process.
    pub(crate) fn is_large(&self) -> bool {
        self.tasks >= 100_000
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&grouped(self.tasks as f64))?;
        if self.on_one { f.write_str(", one processor") } else { Ok(()) }
    }
}

/// What was measured under one load.
pub(crate) struct Many {
    pub(crate) load: &'static Load,
    series: [Series; PEERS.len()],
}

impl Many {
    pub(crate) fn of(&self, id: &str) -> &Series {
        let at = PEERS.iter().position(|peer| peer.id == id);
        &self.series[at.unwrap_or_default()]
    }

    pub(crate) fn reference(&self) -> &Series {
        self.of(REFERENCE)
    }

    fn measured(&self) -> impl Iterator<Item = (&Peer, &Series)> {
        PEERS.iter().zip(&self.series).filter(|(peer, _)| self.load.tasks <= peer.most)
    }
}

/// Takes the samples of every peer, round by round. Each round begins with another one, so that
/// nobody always runs after the same neighbour.
pub(crate) fn measure(load: &'static Load) -> Result<Many> {
    let began = Instant::now();
    let mut many = Many { load, series: Default::default() };
    let (scenario, tasks) = (if load.on_one { "many-on-one" } else { "many" }, load.tasks.to_string());
    for round in 0..load.rounds {
        for at in (0..PEERS.len()).map(|at| (at + round) % PEERS.len()) {
            if load.tasks <= PEERS[at].most {
                many.series[at].push(sample(&[scenario, PEERS[at].id, &tasks])?);
            }
        }
    }
    eprintln!("{load}: {} rounds, {:.0} s", load.rounds, began.elapsed().as_secs_f64());
    Ok(many)
}

/// A table for having the tasks where they are many, and one for ending them.
pub(crate) fn tables(many: &[Many]) -> String {
    let part = |title: &str, many: &Many, table: String| {
        format!("### {title}: {}\n\nMedian of {} (least).\n\n{table}", many.load, many.load.rounds)
    };
    let having = many.iter().filter(|many| many.load.is_large()).map(|many| part("Having tasks", many, having(many)));
    let ending = many.iter().map(|many| part("Ending tasks", many, ending(many)));
    having.chain(ending).collect::<Vec<_>>().join("\n\n")
}

fn having(many: &Many) -> String {
    let tasks = many.load.tasks as f64;
    let rows = many.measured().map(|(peer, series)| {
        [
            peer.title.to_owned(),
            per_task(series, "spawn_cpu_ns", tasks),
            times(series.ratio(many.reference(), "spawn_cpu_ns")),
            per_task(series, "spawn_wall_ns", tasks),
            grouped(series.median("rss") / tasks),
        ]
    });
    let head = ["", "spawn to first poll, CPU ns/task", "ratio", "wall ns/task", "resident B/task"];
    table(head, rows.collect())
}

fn ending(many: &Many) -> String {
    let rows = many.measured().map(|(peer, series)| {
        [
            peer.title.to_owned(),
            scaled(series, "call_ns", 1e3),
            scaled(series, "end_wall_ns", 1e6),
            times(series.ratio(many.reference(), "end_wall_ns")),
            per_task(series, "end_cpu_ns", many.load.tasks as f64),
            times(series.ratio(many.reference(), "end_cpu_ns")),
        ]
    });
    let head = ["", "the call returns, us", "all ended, ms wall", "ratio", "CPU ns/task", "ratio"];
    table(head, rows.collect())
}

fn per_task(series: &Series, name: &str, tasks: f64) -> String {
    format!("{} ({})", grouped(series.median(name) / tasks), grouped(series.least(name) / tasks))
}

fn scaled(series: &Series, name: &str, unit: f64) -> String {
    let number = |value: f64| if value < 100.0 { format!("{value:.1}") } else { grouped(value) };
    format!("{} ({})", number(series.median(name) / unit), number(series.least(name) / unit))
}

/// A ratio as text.
pub(crate) fn times(ratio: f64) -> String {
    format!("{ratio:.2} x")
}
