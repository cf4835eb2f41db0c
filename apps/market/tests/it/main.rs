//! `market` against the simulated exchange: what is in the file equals the truth of the exchange.
#![expect(
    clippy::unwrap_used,
    reason = "a test may stop at the first surprise; clippy.toml does not reach the helpers of tests/"
)]

mod books;
mod clock;
mod collect;
/// What the program's own test of itself compares with.
#[path = "../../src/cli/selftest/compare.rs"]
mod compare;
mod demo;
mod export;
mod faults;
mod first;
mod full;
mod keep;
mod memory;
mod process;
mod redis;
mod refill;
#[path = "../../src/cli/selftest/rig.rs"]
mod rig;
mod selftest;
mod stops;
mod sweep;
mod sweep_rest;
mod terminal;
mod tls;

use std::{collections::BTreeMap, path::Path, time::Duration};

use market::{Level, Reader, Summary};
use sims::exchange::{Config, Generated, Source, Truth};

const PATIENCE: Duration = Duration::from_secs(60);

/// As fast as it is read: 50 trades to the exchange second, so 3000 to the minute.
fn generated(seed: u64, symbols: &[&str]) -> Config {
    let symbols = symbols.iter().map(ToString::to_string).collect();
    let source = Source::Generated(Generated { seed, symbols, rate: 50, count: None });
    Config { source, speed: f64::INFINITY, ..Config::default() }
}

/// The levels of a minute with all numbers in units of 10⁻⁸.
fn levels(reader: &Reader, minute: &Summary) -> BTreeMap<i64, Level> {
    compare::levels(reader, minute).unwrap()
}

/// The minutes in the file, with all levels, are exactly those of the trades that were sent.
fn assert_equal(db: &Path, truth: &Truth, symbols: &[&str]) {
    let reader = Reader::open(db).unwrap();
    for symbol in symbols {
        let stored = reader.minutes(Some(symbol), u32::MAX).unwrap();
        let sent = truth.minutes(symbol);
        let begins = |ms: i64| u64::try_from(ms).unwrap();
        assert_eq!(
            stored.iter().map(|minute| begins(minute.begin_ms)).collect::<Vec<_>>(),
            sent.keys().copied().collect::<Vec<_>>()
        );
        for (minute, true_minute) in stored.iter().zip(sent.values()) {
            assert_eq!((begins(minute.ids.0), begins(minute.ids.1)), (true_minute.first, true_minute.last), "{symbol}");
            let levels: BTreeMap<u64, [u64; 3]> = levels(&reader, minute)
                .into_iter()
                .map(|(price, Level { buy, sell, trades })| (begins(price), [buy, sell, trades].map(begins)))
                .collect();
            let true_levels: BTreeMap<u64, [u64; 3]> = true_minute
                .levels
                .iter()
                .map(|(price, level)| (*price, [level.buy, level.sell, level.trades]))
                .collect();
            assert_eq!(levels, true_levels, "{symbol} {}", minute.begin_ms);
        }
    }
}

/// splitmix64, for moments that a failing test can repeat.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % bound as u64).unwrap()
    }
}
