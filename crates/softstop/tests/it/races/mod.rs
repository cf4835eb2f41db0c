//! What comes in the same moment as a step of the stop, on threads that really run beside one another.
//!
//! A case is drawn from a seed: who does what, after how long a spin. In which order the threads then run is
//! theirs, so a case that failed once is run many times: `SOFTSTOP_RACE_SEED` says which case is the first,
//! `SOFTSTOP_RACE_CASES` how many are run.

#![expect(clippy::print_stderr, reason = "it says what came about, and how to run it again")]

mod drops;
mod spawns;
mod stops;

use std::{collections::BTreeMap, env, thread};

use softstop::{Outcome, Reason, Report};

use crate::support::ms;

/// What came about, and how often.
#[derive(Debug, Default)]
struct Seen(BTreeMap<&'static str, u64>);

impl Seen {
    fn note(&mut self, name: &'static str, times: u64) {
        if times > 0 {
            *self.0.entry(name).or_default() += times;
        }
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }

    /// A stream of its own, for another thread.
    fn fork(&mut self) -> Self {
        Self(self.next())
    }

    /// Keeps the thread busy for a time, which is often short.
    fn spin(&mut self) {
        let longest = 1 << self.below(14);
        for _ in 0..self.below(longest) {
            std::hint::spin_loop();
        }
    }
}

/// Says how to run the case that failed again.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("run it again with SOFTSTOP_RACE_SEED={} SOFTSTOP_RACE_CASES=10000", self.0);
        }
    }
}

/// Runs one case after the other. What is `expected` has to come about in some of them.
fn race(expected: &[&'static str], case: impl AsyncFn(Random, &mut Seen)) {
    let number = |name: &str| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (cases, first) = (number("SOFTSTOP_RACE_CASES").unwrap_or(1000), number("SOFTSTOP_RACE_SEED").unwrap_or(1));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(3).enable_all().build().unwrap();
    let mut seen = Seen::default();
    for seed in first..first + cases {
        let _seed = Seed(seed);
        runtime.block_on(case(Random(seed), &mut seen));
    }
    eprintln!("{cases} cases: {:?}", seen.0);
    for name in expected.iter().filter(|_| cases >= 1000) {
        assert!(seen.0.contains_key(name), "never {name}: where nothing races nothing is proved");
    }
}

/// A service that hangs fails its case instead of the whole run.
async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(ms(20_000), future).await.expect("it ends")
}

async fn yields(times: u64) -> softstop::Result {
    for _ in 0..times {
        tokio::task::yield_now().await;
    }
    Ok(())
}

fn reason(text: &'static str) -> Reason {
    Reason::Requested(text.into())
}

/// How many tasks ended how; `None` for those that still run.
fn outcomes(report: &Report) -> BTreeMap<Option<Outcome>, u64> {
    let mut sums = BTreeMap::new();
    for row in report.components.iter().flat_map(|c| &c.tasks) {
        *sums.entry(row.outcome).or_default() += row.count;
    }
    sums
}
