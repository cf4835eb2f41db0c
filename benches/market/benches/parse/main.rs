//! Messages per second of processor time: parse, check the chain of ids, count by minute and price. `cargo bench`, or `-- --quick`.
//!
//! The ways take turns, round by round, so that a busy minute of the machine meets all of them; a ratio is the median of the ratios
//! within a round. All count the same messages and have to come to the same sum.

mod count;
mod input;
mod python;

use std::{error::Error, hint::black_box, time::Duration};

use count::Counted;
use market::wire::{self, Event};
use rustix::time::{ClockId, clock_gettime};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// One way to do the work.
struct Way {
    name: &'static str,
    run: fn(&[String]) -> Result<Counted>,
}

const WAYS: [Way; 3] = [
    Way { name: "market", run: count::by_market },
    Way { name: "market, general parser", run: count::by_general_parser },
    Way { name: "serde, typed", run: count::by_typed_serde },
];

fn main() -> Result {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let (messages, rounds) = if quick { (60_000, 5) } else { (300_000, 15) };
    for wrapped in [false, true] {
        trades(&input::trades(messages, wrapped, true), wrapped, rounds)?;
    }
    changes(rounds)
}

fn trades(messages: &[String], wrapped: bool, rounds: usize) -> Result {
    let bytes: usize = messages.iter().map(String::len).sum();
    let stream = if wrapped { "combined stream" } else { "raw stream" };
    println!("\naggTrade, {stream}: {} messages of {} bytes", messages.len(), bytes / messages.len());

    let mut times = vec![Vec::new(); WAYS.len()];
    let mut sums = Vec::new();
    for _ in 0..rounds {
        for (way, times) in WAYS.iter().zip(&mut times) {
            let began = processor_time();
            let counted = (way.run)(messages)?;
            times.push(processor_time() - began);
            sums.push(counted.sum());
        }
    }
    let sum = sums[0];
    if sums.iter().any(|other| *other != sum) {
        return Err(format!("the ways do not agree: {sums:?}").into());
    }
    for (way, of_way) in WAYS.iter().zip(&times) {
        line(way.name, messages.len(), of_way, &times[0]);
    }
    for (name, seconds) in python::run(messages, if rounds > 5 { 5 } else { 2 }, sum)? {
        line(&name, messages.len(), &[seconds], &[median(&times[0])]);
    }
    Ok(())
}

/// Changes of a book, as recorded: reading alone.
fn changes(rounds: usize) -> Result {
    let messages = input::changes(20);
    println!("\ndepthUpdate, recorded: {} messages", messages.len());
    type Read = fn(&str) -> bool;
    let ways: [(&str, Read); 2] = [
        ("market", |text| matches!(wire::read(text), Ok(Event::Diff { .. }))),
        ("market, general parser", |text| matches!(wire::read_any(text), Ok(Event::Diff { .. }))),
    ];
    let mut times = vec![Vec::new(); ways.len()];
    for _ in 0..rounds {
        for ((_, read), times) in ways.iter().zip(&mut times) {
            let began = processor_time();
            let all = messages.iter().all(|text| black_box(read(text)));
            times.push(processor_time() - began);
            if !all {
                return Err("a recorded change was not read".into());
            }
        }
    }
    for ((name, _), of_way) in ways.iter().zip(&times) {
        line(name, messages.len(), of_way, &times[0]);
    }
    Ok(())
}

fn line(name: &str, messages: usize, times: &[Duration], best: &[Duration]) {
    let each = median(times).as_secs_f64() / messages as f64;
    let mut ratios: Vec<f64> =
        times.iter().zip(best).map(|(time, best)| time.as_secs_f64() / best.as_secs_f64()).collect();
    ratios.sort_by(f64::total_cmp);
    let ratio = ratios[ratios.len() / 2];
    println!(
        "  {name:<32} {:>7.0} ns each, {:>8.3} M per CPU-second, {ratio:>6.1} times the first",
        each * 1e9,
        1e-6 / each
    );
}

fn median(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort();
    times[times.len() / 2]
}

/// Of this thread.
fn processor_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}
