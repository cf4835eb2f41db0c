//! Counts trades into UTC minutes by price. Pure: no clock, no file.

use std::collections::{BTreeMap, HashMap};

use crate::wire::{Trade, decimal};

const MINUTE_MS: i64 = 60_000;

/// A symbol and the beginning of a minute, in milliseconds since 1970.
pub(crate) type Key = (String, i64);

/// What was traded at one price; volumes in units of 10⁻⁸.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Level {
    /// Bought by the aggressive side.
    pub buy: i64,
    /// Sold by the aggressive side.
    pub sell: i64,
    /// Single trades; an aggregate counts as many as it holds.
    pub trades: i64,
}

/// What was counted of one minute since the last batch; the store adds it to what it has.
#[derive(Debug)]
pub(crate) struct Minute {
    /// The lowest and the highest id of a single trade.
    pub(crate) ids: (i64, i64),
    /// Whether its first trade follows directly on the last one of an earlier minute: nothing is missing before it.
    pub(crate) begun: bool,
    /// By price, in units of 10⁻⁸.
    pub(crate) levels: BTreeMap<i64, Level>,
}

/// What is to be written in one transaction.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) minutes: BTreeMap<Key, Minute>,
    /// Minutes that are over, in the order in which they ended; whether the next trade followed directly on their last one.
    pub(crate) over: Vec<(Key, bool)>,
    /// Aggregates in `minutes`.
    pub(crate) trades: u64,
    /// Aggregates that came and were known already.
    pub(crate) known: u64,
}

impl Batch {
    /// Aggregates that are settled when this is written; without any there is nothing to write.
    pub(crate) fn received(&self) -> u64 {
        self.trades + self.known
    }
}

/// Where one symbol stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known {
    /// The highest id of a single trade.
    pub(crate) last: i64,
    /// The latest minute begun, in milliseconds since 1970.
    pub(crate) open_ms: i64,
}

/// Counts, and knows what is new.
#[derive(Debug, Default)]
pub(crate) struct Aggregator {
    /// By symbol; at first what an earlier run has left.
    pub(crate) known: HashMap<String, Known>,
    pub(crate) batch: Batch,
}

impl Aggregator {
    /// Counts one trade, unless its ids were counted before; whether it ended a minute.
    ///
    /// A trade that comes late, after the first one of a later minute, is counted where it belongs. One that makes a sum too large
    /// is an error and not counted.
    pub(crate) fn add(&mut self, trade: Trade) -> Result<bool, String> {
        let begin_ms = trade.time_ms - trade.time_ms.rem_euclid(MINUTE_MS);
        let known = self.known.get(&trade.symbol).copied();
        if known.is_some_and(|known| trade.last <= known.last) {
            self.batch.known += 1;
            return Ok(false);
        }
        let follows = known.is_some_and(|known| trade.first == known.last + 1);
        let ended = known.filter(|known| known.open_ms < begin_ms);
        self.count(&trade, begin_ms, follows && ended.is_some())?;

        if let Some(ended) = ended {
            self.batch.over.push(((trade.symbol.clone(), ended.open_ms), follows));
        }
        let open_ms = known.map_or(begin_ms, |known| known.open_ms.max(begin_ms));
        self.known.insert(trade.symbol, Known { last: trade.last, open_ms });
        Ok(ended.is_some())
    }

    fn count(&mut self, trade: &Trade, begin_ms: i64, begun: bool) -> Result<(), String> {
        let new = || Minute { ids: (trade.first, trade.last), begun, levels: BTreeMap::new() };
        let minute = self.batch.minutes.entry((trade.symbol.clone(), begin_ms)).or_insert_with(new);
        let level = minute.levels.entry(trade.price).or_default();
        let side = if trade.buyer_is_maker { &mut level.sell } else { &mut level.buy };
        let trades = level.trades.checked_add(trade.last - trade.first + 1);
        let (Some(volume), Some(trades)) = (side.checked_add(trade.quantity), trades) else {
            let Trade { symbol, id, price, .. } = trade;
            let at = decimal(*price);
            return Err(format!("the volume of {symbol} at {at} is too large to be kept exactly from trade {id} on"));
        };
        (*side, level.trades) = (volume, trades);
        minute.ids = (minute.ids.0.min(trade.first), minute.ids.1.max(trade.last));
        self.batch.trades += 1;
        Ok(())
    }
}

#[cfg(test)]
#[path = "minutes_tests.rs"]
mod tests;
