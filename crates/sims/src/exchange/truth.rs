//! What really happened, for comparison with what a program stored.

use std::collections::BTreeMap;

use super::Trade;

/// Every trade of the tape, by symbol (upper case), and whether it was sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Truth {
    pub(crate) symbols: BTreeMap<String, Vec<(Trade, bool)>>,
}

/// What was traded at one price, in units of 10⁻⁸.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Level {
    /// Bought by the aggressive side.
    pub buy: u64,
    /// Sold by the aggressive side.
    pub sell: u64,
    /// Single trades; an aggregate counts as many as it holds.
    pub trades: u64,
}

/// One UTC minute of one symbol.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Minute {
    /// The id of its first single trade.
    pub first: u64,
    /// The id of its last single trade.
    pub last: u64,
    /// By price, in units of 10⁻⁸.
    pub levels: BTreeMap<u64, Level>,
}

impl Truth {
    /// The trades of one symbol that were sent, in order of their ids; empty for a symbol that is not traded here.
    pub fn sent(&self, symbol: &str) -> impl Iterator<Item = Trade> + '_ {
        self.all(symbol).filter(|(_, sent)| *sent).map(|(trade, _)| trade)
    }

    /// How many trades were sent, of all symbols.
    pub fn count(&self) -> usize {
        self.symbols.values().flatten().filter(|(_, sent)| *sent).count()
    }

    /// The sent trades of one symbol, summed up by the minute (its beginning, in milliseconds since 1970) and the price.
    pub fn minutes(&self, symbol: &str) -> BTreeMap<u64, Minute> {
        let mut minutes = BTreeMap::<u64, Minute>::new();
        for trade in self.sent(symbol) {
            let minute = minutes.entry(trade.time_ms - trade.time_ms % 60_000).or_default();
            let level = minute.levels.entry(trade.price).or_default();
            if trade.buyer_is_maker {
                level.sell += trade.quantity;
            } else {
                level.buy += trade.quantity;
            }
            level.trades += trade.last - trade.first + 1;
            minute.first = if minute.first == 0 { trade.first } else { minute.first.min(trade.first) };
            minute.last = minute.last.max(trade.last);
        }
        minutes
    }

    pub(crate) fn all(&self, symbol: &str) -> impl Iterator<Item = (Trade, bool)> + '_ {
        self.symbols.get(symbol).into_iter().flatten().copied()
    }
}
