//! Trades from a seed.

use std::sync::Arc;

use super::{Trade, tape::Tick};

const DEFAULT_START_MS: u64 = 1_700_000_000_000;

/// What to make up.
#[derive(Debug, Clone)]
pub struct Generated {
    /// The same seed gives the same trades.
    pub seed: u64,
    /// Upper-case names, at least one.
    pub symbols: Vec<String>,
    /// Trades per second of exchange time and symbol, on average; 1 to 10,000.
    pub rate: u32,
    /// How many trades each symbol has before the market falls silent; `None` never ends.
    pub count: Option<u64>,
}

/// Merges the walks of all symbols in order of time.
pub(crate) struct Generator {
    walks: Vec<Walk>,
}

struct Walk {
    symbol: Arc<str>,
    stream: Arc<str>,
    random: Random,
    mean_gap_ms: f64,
    /// The next trade.
    trade: Trade,
    /// Trades that still come in the same millisecond, in the same direction.
    burst: u64,
    left: Option<u64>,
}

impl Generator {
    pub(crate) fn new(generated: &Generated, start_ms: Option<u64>) -> Result<Self, String> {
        let Generated { seed, symbols, rate, count } = generated;
        if !(1..=10_000).contains(rate) {
            return Err(format!("rate {rate}: it has to be 1 to 10000 trades a second"));
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
        let walks = symbols
            .iter()
            .enumerate()
            .map(|(at, symbol)| Walk::new(symbol, seed ^ (at as u64) << 32, *rate, *count, start_ms));
        Ok(Self { walks: walks.collect() })
    }

    pub(crate) fn symbols(&self) -> Vec<String> {
        self.walks.iter().map(|walk| walk.symbol.to_string()).collect()
    }

    pub(crate) fn next(&mut self) -> Option<Tick> {
        let running = self.walks.iter_mut().filter(|walk| walk.left != Some(0));
        running.min_by_key(|walk| walk.trade.time_ms).map(Walk::step)
    }
}

impl Walk {
    fn new(symbol: &str, seed: u64, rate: u32, left: Option<u64>, start_ms: u64) -> Self {
        let mut random = Random(seed);
        // No more than `rate` trades of three fills fit a second, so a market that starts later starts above all ids of this one.
        let id = (start_ms / 1000).saturating_mul(u64::from(rate) * 8) + 1;
        let price = 100_000_000 * random.between(10, 50_000);
        let trade = Trade { id, first: id, last: id, time_ms: start_ms, price, quantity: 0, buyer_is_maker: false };
        let stream = format!("{}@aggTrade", symbol.to_ascii_lowercase()).into();
        let mut walk = Self {
            symbol: symbol.into(),
            stream,
            random,
            mean_gap_ms: 1000.0 / f64::from(rate),
            trade,
            burst: 0,
            left,
        };
        walk.fill(id);
        walk
    }

    fn step(&mut self) -> Tick {
        let trade = self.trade;
        if let Some(left) = &mut self.left {
            *left -= 1;
        }
        self.trade.id += 1;
        if self.burst > 0 {
            self.burst -= 1;
        } else {
            // One trade in eight begins a burst of 2 to 12: (7 × 1 + 1 × 7) / 8 trades for every gap.
            self.burst = if self.random.between(0, 8) == 0 { self.random.between(1, 12) } else { 0 };
            let mean = self.mean_gap_ms * 14.0 / 8.0;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a positive number of milliseconds"
            )]
            let twice = (mean * 2.0 * 1024.0) as u64;
            self.trade.time_ms += (self.random.between(0, twice + 1) + 512) / 1024;
            self.trade.buyer_is_maker = self.random.between(0, 2) == 0;
        }
        self.fill(trade.last + 1);
        let data = trade.to_event(&self.symbol, trade.time_ms + 1);
        Tick {
            at_ms: trade.time_ms,
            stream: Arc::clone(&self.stream),
            data,
            trade: Some((Arc::clone(&self.symbol), trade)),
        }
    }

    /// Price, quantity and ids of the next trade.
    fn fill(&mut self, first: u64) {
        let tick = 1_000_000;
        let step = tick * self.random.between(0, 3);
        let lowest = 100 * tick;
        let price = self.trade.price;
        self.trade.price =
            if self.trade.buyer_is_maker { price.saturating_sub(step).max(lowest) } else { price + step };
        self.trade.quantity = 1000 * self.random.between(1, 1_000_000);
        self.trade.first = first;
        self.trade.last = first + self.random.between(0, 3);
    }
}

/// splitmix64: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// `low..high`
    fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trades(seed: u64, count: u64) -> Vec<Trade> {
        let generated = Generated { seed, symbols: vec!["AAA".into(), "BBB".into()], rate: 100, count: Some(count) };
        let mut generator = Generator::new(&generated, None).unwrap();
        std::iter::from_fn(|| generator.next()).filter_map(|tick| tick.trade).map(|(_, trade)| trade).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_trades_and_another_gives_others() {
        assert_eq!(trades(7, 500), trades(7, 500));
        assert_ne!(trades(7, 500), trades(8, 500));
        assert_eq!(trades(7, 500).len(), 1000);
    }

    #[test]
    fn time_never_goes_back_and_ids_are_chained() {
        let generated = Generated { seed: 1, symbols: vec!["AAA".into()], rate: 100, count: Some(2000) };
        let mut generator = Generator::new(&generated, None).unwrap();
        let trades: Vec<Trade> =
            std::iter::from_fn(|| generator.next()).filter_map(|tick| Some(tick.trade?.1)).collect();

        for pair in trades.windows(2) {
            assert!(pair[0].time_ms <= pair[1].time_ms);
            assert_eq!(pair[1].id, pair[0].id + 1);
            assert_eq!(pair[1].first, pair[0].last + 1);
        }
        assert!(trades.windows(2).any(|pair| pair[0].time_ms == pair[1].time_ms), "there are bursts");
        let seconds = (trades[1999].time_ms - trades[0].time_ms) / 1000;
        assert!((10..40).contains(&seconds), "2000 trades at 100 a second took {seconds} s");
    }
}
