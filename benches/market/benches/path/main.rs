//! The whole path in one process, from the bytes of a WebSocket to the commit: how many trades a second, and how late one is on disk.
//! `cargo bench --bench path`, or `-- --quick`; `MARKET_BENCH_DISK` names a folder on the disk to be measured.
//!
//! The exchange's side is a pipe in memory that is always full, or is filled 50,000 times a second; what it costs is in the figures.

mod delay;
mod exchange;
#[path = "../parse/input.rs"]
#[expect(dead_code, reason = "changes of books are read by the other benchmark")]
mod input;

use std::{
    error::Error,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use market::{Config, Progress, Saved, service};
use rustix::time::{ClockId, clock_gettime};
use softstop::{Reason, Report, Service, Status};

use crate::exchange::{Exchange, SYMBOL};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let folder = std::env::var_os("MARKET_BENCH_DISK").map_or_else(std::env::temp_dir, PathBuf::from);
    let (trades, rounds, seconds) = if quick { (200_000, 3, 3) } else { (1_000_000, 5, 20) };
    let messages = Arc::new(exchange::frames(&input::trades(trades, true, false)));

    println!("journal and count, {trades} trades as fast as they are taken, one commit after the other:");
    let (mut walls, mut costs) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let (wall, cpu) = flood(&folder, &messages, trades)?;
        println!(
            "  {:>9.0} trades a second, {:.2} µs of processor time each",
            trades as f64 / wall,
            cpu / trades as f64 * 1e6
        );
        walls.push(wall);
        costs.push(cpu);
    }
    println!(
        "  median: {:.0} trades a second, {:.0} a processor second",
        trades as f64 / median(&mut walls),
        trades as f64 / median(&mut costs)
    );

    println!("from the socket to where another process can read it, 50,000 trades a second for {seconds} s:");
    for _ in 0..if quick { 1 } else { 3 } {
        let mut delays = delay::at_50_000_a_second(&folder, &messages, seconds)?;
        delays.sort_unstable();
        let at = |share: f64| delays[((delays.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
        println!(
            "  median {:.2} ms, p90 {:.2}, p99 {:.2}, p99.9 {:.2}, longest {:.2}, of {} trades",
            at(0.5),
            at(0.9),
            at(0.99),
            at(0.999),
            at(1.0),
            delays.len()
        );
    }
    Ok(())
}

/// Seconds on the wall and of processor time, from the first byte until all is on disk and the file is closed.
fn flood(folder: &Path, frames: &Arc<exchange::Frames>, trades: usize) -> Result<(f64, f64)> {
    let exchange = Exchange::new(frames, None);
    let (cpu, began) = (processor_time(), Instant::now());
    let folder = tempfile::tempdir_in(folder)?;
    let saved = collect(&folder.path().join("m.db"), &exchange, exchange.all_sent())?;
    let took = (began.elapsed().as_secs_f64(), (processor_time() - cpu).as_secs_f64());
    if saved.trades != trades as u64 {
        return Err(format!("{} of {trades} trades were saved", saved.trades).into());
    }
    Ok(took)
}

/// Collects until `enough` completes.
fn collect(db: &Path, exchange: &Exchange, enough: impl Future<Output = ()>) -> Result<Saved> {
    let saved = Arc::new(Mutex::new(Saved::default()));
    let said = Arc::clone(&saved);
    let config = Config {
        connect: exchange.connect(),
        tell: Arc::new(move |progress| {
            if let Progress::Saved(saved) = progress {
                *said.lock().expect("nobody panics with it") = saved;
            }
        }),
        ..Config::new("ws://memory".parse()?, [SYMBOL.to_owned()], db)
    };
    let mut market = Service::new("market");
    service(&mut market, config);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let report: Report = runtime.block_on(market.run(async {
        enough.await;
        Reason::Requested("the benchmark".into())
    }));
    if report.status != Status::Clean {
        return Err(report.line().into());
    }
    let saved = saved.lock().expect("nobody panics with it").clone();
    Ok(saved)
}

fn median(of: &mut [f64]) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}

/// Of the whole process.
fn processor_time() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}
