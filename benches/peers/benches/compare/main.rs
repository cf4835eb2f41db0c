//! Compares softstop with its peers: `cargo bench`, or `cargo bench -- --quick`, or `-- --write`.
//!
//! Every sample is a fresh process. The peers take turns round by round, so that a busy minute of
//! the machine meets all of them, and a ratio is the median of the ratios of one round.

mod document;
mod figures;
mod handover;
mod idle;
mod machine;
mod many;
mod process;
mod verdict;

use std::{error::Error, time::Instant};

use many::Load;

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// How much is measured.
struct Effort {
    many: &'static [Load],
    handover_rounds: usize,
    handovers_each: usize,
    idle_pairs: usize,
}

/// What `docs/benchmarks.md` shows: at least nine rounds of everything.
const FULL: Effort = Effort {
    many: &[
        Load { tasks: 1_000, on_one: false, rounds: 61 },
        Load { tasks: 10_000, on_one: false, rounds: 41 },
        Load { tasks: 100_000, on_one: false, rounds: 21 },
        Load { tasks: 100_000, on_one: true, rounds: 15 },
        Load { tasks: 1_000_000, on_one: false, rounds: 11 },
        Load { tasks: 1_000_000, on_one: true, rounds: 9 },
    ],
    handover_rounds: 9,
    handovers_each: 300,
    idle_pairs: 201,
};

/// Whether something has got much worse.
const QUICK: Effort = Effort {
    many: &[
        Load { tasks: 1_000, on_one: false, rounds: 15 },
        Load { tasks: 100_000, on_one: false, rounds: 9 },
        Load { tasks: 100_000, on_one: true, rounds: 5 },
    ],
    handover_rounds: 3,
    handovers_each: 200,
    idle_pairs: 31,
};

fn main() -> Result {
    // `cargo bench` adds an argument of its own.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let (quick, write) = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => (false, false),
        ["--quick"] => (true, false),
        ["--write"] => (false, true),
        _ => return Err("usage: cargo bench [-- --quick | --write]".into()),
    };
    let text = measure(if quick { &QUICK } else { &FULL })?;
    println!("{text}");
    if write { document::replace_figures(&text) } else { Ok(()) }
}

fn measure(effort: &Effort) -> Result<String> {
    let began = Instant::now();
    let load_before = machine::load()?;
    let idle = idle::measure(effort.idle_pairs)?;
    let handover = handover::measure(effort.handover_rounds, effort.handovers_each)?;
    let many = effort.many.iter().map(many::measure).collect::<Result<Vec<_>>>()?;
    let load = format!("load average {load_before} before and {} after", machine::load()?);
    let minutes = began.elapsed().as_secs_f64() / 60.0;
    Ok([
        format!("{}; {load}; the run took {minutes:.0} min.", machine::describe()?),
        verdict::targets(&many, &handover, &idle),
        many::tables(&many),
        handover.table(),
        idle.table(),
    ]
    .join("\n\n"))
}
