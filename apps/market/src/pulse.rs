//! What the aggregator knows to tell once a second. It costs a trade two additions.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::{
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
    begun: bool,
}

impl Pulse {
    pub(crate) fn new(symbols: &[String]) -> Self {
        let symbols = symbols.iter().map(|symbol| (symbol.clone(), 0)).collect();
        Self { trades: 0, last_ms: None, lag_ms: None, heard: false, symbols, begun: false }
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
            let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
            let wall = i64::try_from(wall).unwrap_or(i64::MAX);
            self.lag_ms = self.last_ms.map(|last| wall.saturating_sub(last));
        }
    }

    /// A second has passed; nothing the first time, when none has.
    pub(crate) fn beat(&mut self, tracks: &[Track]) -> Option<Second> {
        if !std::mem::replace(&mut self.begun, true) {
            return None;
        }
        let standing = |((symbol, filled), track): (&(String, i64), &Track)| {
            let minute = track.open_minute();
            let (gaps, missing) = track
                .chain
                .open()
                .fold((0, 0_i64), |(gaps, missing), gap| (gaps + 1, missing.saturating_add(gap.ids.1 - gap.ids.0 + 1)));
            Standing {
                symbol: symbol.clone(),
                minute_ms: minute.map(|(begin, _)| begin),
                minute_trades: minute.map_or(0, |(_, trades)| trades),
                gaps,
                missing,
                filled: *filled,
            }
        };
        Some(Second {
            trades: std::mem::take(&mut self.trades),
            last_ms: self.last_ms,
            lag_ms: self.lag_ms,
            symbols: self.symbols.iter().zip(tracks).map(standing).collect(),
        })
    }
}

#[cfg(test)]
#[path = "pulse_tests.rs"]
mod tests;
