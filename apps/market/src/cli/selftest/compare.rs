//! What is in the file, held against what happened at the exchange. The tests of the program use it as well.

use std::{collections::BTreeMap, error::Error, path::Path, time::Duration};

use market::{Level, Reader, State, StoredDepth, Summary};
use sims::exchange::{Exchange, Truth};
use tokio::time::sleep;

/// What is wrong, or what keeps the file from being read.
pub(crate) type Wrong = Box<dyn Error + Send + Sync>;

/// By minute and price; prices and volumes in units of 10⁻⁸.
type Sums = BTreeMap<i64, BTreeMap<i64, Level>>;

/// What was compared and found equal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Compared {
    /// Single trades.
    pub(crate) trades: i64,
    pub(crate) minutes: usize,
    /// Single trades that were fetched later.
    pub(crate) refilled: i64,
    /// Single trades that the exchange itself does not have.
    pub(crate) lost: i64,
}

/// Holds the file against the truth: every level of every minute is the sum of what happened from the file's first trade to its last,
/// nothing is left to be fetched, holes of the exchange are marked, and no minute but the first and the last is partial.
pub(crate) fn compare(db: &Path, truth: &Truth, symbols: &[&str]) -> Result<Compared, Wrong> {
    let reader = Reader::open(db)?;
    let open: Vec<_> = reader.missing(None)?.into_iter().filter(|missing| !missing.hole).collect();
    if !open.is_empty() {
        return Err(format!("{open:?} is still to be fetched").into());
    }
    let mut all = Compared::default();
    for symbol in symbols {
        one(&reader, truth, symbol, &mut all).map_err(|error| format!("{symbol}: {error}"))?;
    }
    Ok(all)
}

fn one(reader: &Reader, truth: &Truth, symbol: &str, all: &mut Compared) -> Result<(), Wrong> {
    let minutes = reader.minutes(Some(symbol), u32::MAX)?;
    let (Some(begin), Some(end)) = (minutes.first(), minutes.last()) else { return Err("nothing is stored".into()) };
    let (first, last) = (begin.ids.0, end.ids.1);
    let mut sums = happened(truth, symbol, (first, last), &mut all.trades);
    let holes: Vec<(i64, i64)> = truth
        .holes(symbol)
        .iter()
        .map(|hole| (number(*hole.trades.start()), number(*hole.trades.end())))
        .filter(|hole| hole.0 > first && hole.1 < last)
        .collect();
    for minute in &minutes {
        let expected = sums.remove(&minute.begin_ms).unwrap_or_default();
        let stored = levels(reader, minute)?;
        if stored != expected {
            return Err(format!("{} holds {stored:?}, and the exchange says {expected:?}", minute.begin).into());
        }
        let inside = minute.ids.0 != first && minute.ids.1 != last;
        let near = |id: i64| (minute.ids.0 - 1..=minute.ids.1 + 1).contains(&id);
        let hole = holes.iter().any(|hole| near(hole.0) || near(hole.1));
        let right = match minute.state {
            State::Complete | State::Backfilled => !hole && minute.missing() == 0,
            State::Hole => hole,
            _ => !inside,
        };
        if !right {
            return Err(format!("the state is wrong: {minute:?}").into());
        }
        all.refilled += minute.refilled;
    }
    if let Some(absent) = sums.keys().next() {
        return Err(format!("the minute at {absent} is not there").into());
    }
    let lost: i64 = holes.iter().map(|hole| hole.1 - hole.0 + 1).sum();
    let missing: i64 = minutes.iter().map(Summary::missing).sum();
    if missing > lost {
        return Err(format!("{missing} trades are missing, and only {lost} are not to be had").into());
    }
    all.minutes += minutes.len();
    all.lost += lost;
    Ok(())
}

/// The sums of what happened between these single trades, both included.
fn happened(truth: &Truth, symbol: &str, between: (i64, i64), trades: &mut i64) -> Sums {
    let mut sums = Sums::new();
    for trade in truth.happened(symbol).filter(|t| number(t.first) >= between.0 && number(t.last) <= between.1) {
        let singles = number(trade.last - trade.first + 1);
        *trades += singles;
        let begin_ms = number(trade.time_ms - trade.time_ms % 60_000);
        let level = sums.entry(begin_ms).or_default().entry(number(trade.price)).or_default();
        *(if trade.buyer_is_maker { &mut level.sell } else { &mut level.buy }) += number(trade.quantity);
        level.trades += singles;
    }
    sums
}

/// The levels of a minute with all numbers in units of 10⁻⁸.
pub(crate) fn levels(reader: &Reader, minute: &Summary) -> Result<BTreeMap<i64, Level>, Wrong> {
    let [price_unit, unit] =
        [minute.scale.price, minute.scale.quantity].map(|places| 10_i64.pow(8 - u32::from(places)));
    let levels = reader.levels(&minute.symbol, minute.begin_ms)?.into_iter();
    let in_units = |Level { buy, sell, trades }| Level { buy: buy * unit, sell: sell * unit, trades };
    Ok(levels.map(|(price, level)| (price * price_unit, in_units(level))).collect())
}

/// Holds the stored order books of a symbol against those of the exchange, as far back as that remembers them; says how many are equal.
pub(crate) fn books(db: &Path, exchange: &Exchange, symbol: &str) -> Result<usize, Wrong> {
    let mut equal = 0;
    for stored in Reader::open(db)?.depth(symbol, u32::MAX)?.iter().rev() {
        let StoredDepth { time_ms, last_id, scale, bids, asks, .. } = stored;
        let Some(book) = exchange.book(symbol, Some(u64::try_from(*last_id)?)) else { break };
        let [price_unit, unit] = [scale.price, scale.quantity].map(|places| 10_i64.pow(8 - u32::from(places)));
        let side = |side: &[(i64, i64)]| -> Vec<(i64, i64)> {
            side.iter().map(|(price, quantity)| (price * price_unit, quantity * unit)).collect()
        };
        let level = |(price, quantity): (&u64, &u64)| (number(*price), number(*quantity));
        let true_bids: Vec<_> = book.bids.iter().rev().map(level).take(bids.len()).collect();
        let true_asks: Vec<_> = book.asks.iter().map(level).take(asks.len()).collect();
        if (side(bids), side(asks)) != (true_bids, true_asks) {
            return Err(format!("{symbol}: the order book at {time_ms} is not that of the exchange").into());
        }
        equal += 1;
    }
    Ok(equal)
}

/// Completes when all that has happened until now is in the file, or known not to be had.
pub(crate) async fn all_is_there(db: &Path, exchange: &Exchange, symbols: &[&str]) {
    let truth = exchange.truth();
    let last = |symbol: &str| truth.happened(symbol).last().map(|trade| number(trade.last));
    let there = || -> Result<bool, Wrong> {
        let reader = Reader::open(db)?;
        for symbol in symbols {
            let Some(last) = last(symbol) else { return Ok(false) };
            if reader.ends(symbol)?.is_none_or(|(_, reached)| reached < last) {
                return Ok(false);
            }
        }
        Ok(reader.missing(None)?.iter().all(|missing| missing.hole))
    };
    // A file that cannot be read yet is not there.
    while !there().unwrap_or(false) {
        sleep(Duration::from_millis(20)).await;
    }
}

fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
