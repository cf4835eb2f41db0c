//! Trades, books and candles from a seed: the walks of all symbols, merged in order of time.

use super::{
    book::Book,
    market::{Tick, World},
    walk::Walk,
};

const DEFAULT_START_MS: u64 = 1_700_000_000_000;
const HIGHEST_RATE: u32 = 1_000_000;

/// What to make up.
#[derive(Debug, Clone)]
pub struct Generated {
    /// The same seed gives the same trades.
    pub seed: u64,
    /// Upper-case names, at least one.
    pub symbols: Vec<String>,
    /// Trades per second of exchange time and symbol, on average; 1 to 1,000,000.
    pub rate: u32,
    /// How many trades each symbol has before the market falls silent; `None` never ends.
    pub count: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct Generator {
    walks: Vec<Walk>,
}

impl Generator {
    pub(crate) fn new(generated: &Generated, levels: usize, start_ms: Option<u64>) -> Result<Self, String> {
        let Generated { seed, symbols, rate, count } = generated;
        if !(1..=HIGHEST_RATE).contains(rate) {
            return Err(format!("rate {rate}: it has to be 1 to {HIGHEST_RATE} trades a second"));
        }
        if !(20..=5000).contains(&levels) {
            return Err(format!("book levels {levels}: it has to be 20 to 5000 on each side"));
        }
        if symbols.is_empty() {
            return Err("no symbol: name at least one, such as BTCUSDT".into());
        }
        if let Some(wrong) =
            symbols.iter().find(|s| s.is_empty() || !s.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()))
        {
            return Err(format!("symbol {wrong:?}: it has to be upper-case letters and digits, such as BTCUSDT"));
        }
        let start_ms = start_ms.unwrap_or(DEFAULT_START_MS);
        let walk = |(at, symbol): (usize, &String)| {
            Walk::new((at, symbol), seed ^ (at as u64) << 32, (*rate, *count), levels, start_ms)
        };
        Ok(Self { walks: symbols.iter().enumerate().map(walk).collect() })
    }

    pub(crate) fn symbols(&self) -> Vec<(String, Book)> {
        self.walks.iter().map(|walk| (walk.name().to_owned(), walk.first_book())).collect()
    }

    pub(crate) fn due_ms(&self) -> Option<u64> {
        self.walks.iter().filter_map(Walk::due_ms).min()
    }

    pub(crate) fn next(&mut self, world: &mut World) -> Option<Tick> {
        let running = self.walks.iter_mut().filter(|walk| walk.due_ms().is_some());
        running.min_by_key(|walk| walk.due_ms())?.next(world)
    }
}

#[cfg(test)]
#[path = "generator_tests.rs"]
mod tests;
