//! One sample in a process of its own; what it measured is printed as one line of JSON.

mod handover;
mod many;
mod peers;
mod sample;

use std::io::Write;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

const USAGE: &str = "usage: worker many PEER TASKS | worker many-on-one PEER TASKS | worker handover PEER TIMES";

fn main() -> softstop::Result {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let line = match words[..] {
        ["many", peer, tasks] => many::measure(peer, tasks.parse()?)?,
        ["many-on-one", peer, tasks] => {
            stay_on_one_processor()?;
            many::measure(peer, tasks.parse()?)?
        }
        ["handover", peer, times] => handover::measure(peer, times.parse()?)?,
        _ => return Err(USAGE.into()),
    };
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

/// Keeps this process on the last of the processors it may use. The workers take turns then: what
/// they spend is work, and nothing of it is waiting for each other.
fn stay_on_one_processor() -> rustix::io::Result<()> {
    let allowed = sched_getaffinity(None)?;
    let last = (0..CpuSet::MAX_CPU).rfind(|cpu| allowed.is_set(*cpu));
    let mut one = CpuSet::new();
    one.set(last.unwrap_or_default());
    sched_setaffinity(None, &one)
}
