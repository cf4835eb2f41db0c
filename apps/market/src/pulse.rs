//! What the aggregator knows to tell once a second. It costs a trade two additions.

use std::sync::atomic::Ordering;

use crate::{
    Progress,
    clock::Offset,
    rest::wall_ms,
    second::{Second, Standing},
    track::Track,
    trade::Trade,
};

/// What was counted since the last second, and for each symbol what was fetched later in this run.
#[derive(Debug)]
pub(crate) struct Pulse {
    trades: i64,
    last_ms: Option<i64>,
    lag_ms: Option<i64>,
    /// The stream has brought something since [`Pulse::taken`].
    heard: bool,
    symbols: Vec<(String, i64)>,
    /// What was told of each symbol.
    told: Vec<Told>,
    begun: bool,
    offset: Offset,
}

impl Pulse {
    /// `offset` is what is known of the exchange's clock.
    pub(crate) fn new(symbols: &[String], offset: Offset) -> Self {
        let symbols: Vec<_> = symbols.iter().map(|symbol| (symbol.clone(), 0)).collect();
        let told = vec![Told::default(); symbols.len()];
        Self { trades: 0, last_ms: None, lag_ms: None, heard: false, symbols, told, begun: false, offset }
    }

    /// A trade was counted.
    #[inline]
    pub(crate) fn count(&mut self, symbol: usize, trade: &Trade) {
        let trades = trade.ids.last - trade.ids.first + 1;
        self.trades += trades;
        if trade.refilled {
            self.symbols[symbol].1 += trades;
        } else {
            (self.last_ms, self.heard) = (Some(trade.time_ms), true);
        }
    }

    /// All that was there has been counted.
    #[inline]
    pub(crate) fn taken(&mut self) {
        if std::mem::take(&mut self.heard) {
            let now = wall_ms().saturating_add(self.offset.load(Ordering::Relaxed));
            self.lag_ms = self.last_ms.map(|last| now.saturating_sub(last));
        }
    }

    /// A second has passed: how everything stands, and what of it is new; nothing the first time, when none has.
    pub(crate) fn beat(&mut self, tracks: &[Track]) -> Vec<Progress> {
        if !std::mem::replace(&mut self.begun, true) {
            return Vec::new();
        }
        let second = self.second(tracks);
        let symbols = second.symbols.iter().zip(&mut self.told);
        let news: Vec<Progress> = symbols.flat_map(|(now, told)| told.news(now)).collect();
        news.into_iter().chain([Progress::Second(second)]).collect()
    }

    fn second(&mut self, tracks: &[Track]) -> Second {
        let standing = |((symbol, filled), track): (&(String, i64), &Track)| {
            let minute = track.open_minute();
            let (gaps, missing) = track
                .chain
                .open()
                .fold((0, 0_i64), |(gaps, missing), gap| (gaps + 1, missing.saturating_add(gap.trades())));
            Standing {
                symbol: symbol.clone(),
                minute_ms: minute.map(|(begin, _)| begin),
                minute_trades: minute.map_or(0, |(_, trades)| trades),
                gaps,
                missing,
                filled: *filled,
                holes: track.chain.holes(),
            }
        };
        Second {
            trades: std::mem::take(&mut self.trades),
            last_ms: self.last_ms,
            lag_ms: self.lag_ms,
            symbols: self.symbols.iter().zip(tracks).map(standing).collect(),
        }
    }
}

/// What was told of one symbol.
#[derive(Debug, Clone, Default)]
struct Told {
    missing: bool,
    filled: i64,
    /// Those of earlier runs are no news.
    holes: Option<i64>,
}

impl Told {
    /// What has changed. Of what was missing for less than a second only the end is told.
    fn news(&mut self, now: &Standing) -> Vec<Progress> {
        let (symbol, missing) = (&now.symbol, now.missing > 0);
        let mut news = Vec::new();
        if !std::mem::replace(&mut self.missing, missing) && missing {
            news.push(Progress::Missing(symbol.clone(), now.missing));
        }
        let holes = now.holes - self.holes.replace(now.holes).unwrap_or(now.holes);
        if holes > 0 {
            news.push(Progress::Hole(symbol.clone(), holes));
        }
        if !missing && now.filled > self.filled {
            news.push(Progress::Filled(symbol.clone(), now.filled - std::mem::replace(&mut self.filled, now.filled)));
        }
        news
    }
}

#[cfg(test)]
#[path = "pulse_tests.rs"]
mod tests;
