//! What really happened, for comparison with what a program stored.

use std::{collections::BTreeMap, ops::RangeInclusive};

use super::Trade;

/// Every trade of the market by symbol (upper case), and which of them were sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Truth {
    pub(crate) records: Vec<Record>,
}

/// What happened to one symbol.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) symbol: String,
    /// In order of ids and of time.
    pub(crate) trades: Vec<(Trade, bool)>,
    pub(crate) sent: usize,
    pub(crate) holes: Vec<Hole>,
}

/// Ids that the exchange itself has no trades for: used up, never sent, not to be had by REST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hole {
    /// Ids of aggregates.
    pub aggregates: RangeInclusive<u64>,
    /// Ids of single trades.
    pub trades: RangeInclusive<u64>,
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
    /// The trades of one symbol that were sent to somebody, in order of their ids; empty for a symbol that is not traded here.
    pub fn sent(&self, symbol: &str) -> impl Iterator<Item = Trade> + '_ {
        self.all(symbol).filter(|(_, sent)| *sent).map(|(trade, _)| trade)
    }

    /// All trades of one symbol, sent or not, in order of their ids: what REST has. Empty for a symbol that is not traded here.
    pub fn happened(&self, symbol: &str) -> impl Iterator<Item = Trade> + '_ {
        self.all(symbol).map(|(trade, _)| trade)
    }

    /// The holes of one symbol, in order.
    pub fn holes(&self, symbol: &str) -> &[Hole] {
        self.record(symbol).map_or(&[], |record| &record.holes)
    }

    /// How many trades were sent, of all symbols.
    pub fn count(&self) -> usize {
        self.records.iter().map(|record| record.sent).sum()
    }

    /// The sent trades of one symbol, summed up by the minute (its beginning, in milliseconds since 1970) and the price.
    pub fn minutes(&self, symbol: &str) -> BTreeMap<u64, Minute> {
        minutes(self.sent(symbol))
    }

    /// The same of all trades whose aggregate's id is one of these: what a program that fills its gaps has stored between the first
    /// trade it took in and the last.
    pub fn minutes_of(&self, symbol: &str, aggregates: RangeInclusive<u64>) -> BTreeMap<u64, Minute> {
        minutes(self.happened(symbol).filter(|trade| aggregates.contains(&trade.id)))
    }

    pub(crate) fn record(&self, symbol: &str) -> Option<&Record> {
        self.records.iter().find(|record| record.symbol == symbol)
    }

    fn all(&self, symbol: &str) -> impl Iterator<Item = (Trade, bool)> + '_ {
        self.record(symbol).into_iter().flat_map(|record| record.trades.iter().copied())
    }
}

fn minutes(trades: impl Iterator<Item = Trade>) -> BTreeMap<u64, Minute> {
    let mut minutes = BTreeMap::<u64, Minute>::new();
    for trade in trades {
        let minute = minutes.entry(trade.time_ms - trade.time_ms % 60_000).or_default();
        let level = minute.levels.entry(trade.price).or_default();
        if trade.buyer_is_maker {
            level.sell += trade.quantity;
        } else {
            level.buy += trade.quantity;
        }
        level.trades += trade.singles_count();
        minute.first = if minute.first == 0 { trade.first } else { minute.first.min(trade.first) };
        minute.last = minute.last.max(trade.last);
    }
    minutes
}
