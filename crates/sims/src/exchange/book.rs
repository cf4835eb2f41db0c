//! The order book: what it is now, and what it was at an update id not long ago.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt::Write,
};

use super::trade::push_decimal;

/// How many changes are kept, so that a book can be compared at an update id that has passed.
const REMEMBERED: usize = 200_000;

/// All resting orders of one symbol, in units of 10⁻⁸.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Book {
    /// The id of the last change, `lastUpdateId`.
    pub last_update_id: u64,
    /// Quantity by price; the best is the highest.
    pub bids: BTreeMap<u64, u64>,
    /// Quantity by price; the best is the lowest.
    pub asks: BTreeMap<u64, u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Bid,
    Ask,
}

/// The quantity at one price, as it is from this id on; 0: none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change {
    pub(crate) id: u64,
    pub(crate) side: Side,
    pub(crate) price: u64,
    pub(crate) quantity: u64,
}

/// The best price of either side after a trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Best {
    pub(crate) id: u64,
    pub(crate) bid: (u64, u64),
    pub(crate) ask: (u64, u64),
}

impl Book {
    pub(crate) fn side(&self, side: Side) -> &BTreeMap<u64, u64> {
        match side {
            Side::Bid => &self.bids,
            Side::Ask => &self.asks,
        }
    }

    pub(crate) fn apply(&mut self, change: Change) {
        let side = match change.side {
            Side::Bid => &mut self.bids,
            Side::Ask => &mut self.asks,
        };
        if change.quantity == 0 {
            side.remove(&change.price);
        } else {
            side.insert(change.price, change.quantity);
        }
        self.last_update_id = change.id;
    }

    pub(crate) fn best(&self) -> Option<Best> {
        let (bid, ask) = (self.bids.last_key_value()?, self.asks.first_key_value()?);
        Some(Best { id: self.last_update_id, bid: (*bid.0, *bid.1), ask: (*ask.0, *ask.1) })
    }

    /// As in `/api/v3/depth` and on the streams of partial books: the best `limit` prices of each side.
    pub(crate) fn to_rest(&self, limit: usize) -> String {
        let mut text = format!(r#"{{"lastUpdateId":{},"bids":["#, self.last_update_id);
        push_levels(&mut text, self.bids.iter().rev().take(limit));
        text.push_str(r#"],"asks":["#);
        push_levels(&mut text, self.asks.iter().take(limit));
        text.push_str("]}");
        text
    }

    /// A change of the quantities at these prices as a message of the stream `…@depth`.
    pub(crate) fn to_diff(&self, symbol: &str, at_ms: u64, first: u64, touched: &mut Touched) -> String {
        let mut text = String::with_capacity(120 + 40 * (touched.bids.len() + touched.asks.len()));
        let last = self.last_update_id;
        let written = write!(text, r#"{{"e":"depthUpdate","E":{at_ms},"s":"{symbol}","U":{first},"u":{last},"b":["#);
        written.expect("a String takes everything");
        let quantity = |side: Side| move |price: &u64| self.side(side).get(price).copied().unwrap_or(0);
        let bids = Touched::sorted(&mut touched.bids).iter().rev();
        push_levels(&mut text, bids.map(|price| (price, quantity(Side::Bid)(price))));
        text.push_str(r#"],"a":["#);
        let asks = Touched::sorted(&mut touched.asks).iter();
        push_levels(&mut text, asks.map(|price| (price, quantity(Side::Ask)(price))));
        text.push_str("]}");
        *touched = Touched::default();
        text
    }
}

fn push_levels<'a, Q: std::borrow::Borrow<u64>>(text: &mut String, levels: impl Iterator<Item = (&'a u64, Q)>) {
    for (at, (price, quantity)) in levels.enumerate() {
        text.push_str(if at == 0 { "[\"" } else { ",[\"" });
        push_decimal(text, *price);
        text.push_str("\",\"");
        push_decimal(text, *quantity.borrow());
        text.push_str("\"]");
    }
}

/// The prices whose quantity has changed since the last message.
#[derive(Debug, Clone, Default)]
pub(crate) struct Touched {
    pub(crate) bids: Vec<u64>,
    pub(crate) asks: Vec<u64>,
}

impl Touched {
    pub(crate) fn touch(&mut self, side: Side, price: u64) {
        match side {
            Side::Bid => self.bids.push(price),
            Side::Ask => self.asks.push(price),
        }
    }

    fn sorted(prices: &mut Vec<u64>) -> &[u64] {
        prices.sort_unstable();
        prices.dedup();
        prices
    }
}

/// A book and its recent past.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    pub(crate) now: Book,
    /// As it was before all changes that are remembered.
    base: Book,
    changes: VecDeque<Change>,
    /// As it was in the beginning, for answers that come too late.
    first: Book,
}

impl History {
    pub(crate) fn new(book: Book) -> Self {
        Self { now: book.clone(), base: book.clone(), changes: VecDeque::new(), first: book }
    }

    pub(crate) fn apply(&mut self, change: Change) {
        self.now.apply(change);
        self.changes.push_back(change);
        if self.changes.len() > REMEMBERED
            && let Some(old) = self.changes.pop_front()
        {
            self.base.apply(old);
        }
    }

    /// As it was right after this change; `None` for one that has not come yet or is forgotten.
    pub(crate) fn at(&self, id: u64) -> Option<Book> {
        if id < self.base.last_update_id || id > self.now.last_update_id {
            return None;
        }
        let mut book = self.base.clone();
        for change in self.changes.iter().take_while(|change| change.id <= id) {
            book.apply(*change);
        }
        book.last_update_id = id;
        Some(book)
    }

    /// The first book, under an id from before every message there was.
    pub(crate) fn stale(&self) -> Book {
        Book { last_update_id: self.first.last_update_id.saturating_sub(1000), ..self.first.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(id: u64, side: Side, price: u64, quantity: u64) -> Change {
        Change { id, side, price, quantity }
    }

    #[test]
    fn a_book_can_be_looked_at_as_it_was_at_an_id_that_has_passed() {
        let mut history = History::new(Book { last_update_id: 10, ..Book::default() });
        history.apply(change(11, Side::Bid, 100, 5));
        history.apply(change(12, Side::Ask, 200, 6));
        history.apply(change(13, Side::Bid, 100, 0));

        assert_eq!(history.at(11).unwrap().bids, BTreeMap::from([(100, 5)]));
        assert_eq!(history.at(13).unwrap(), history.now);
        assert_eq!((history.at(9), history.at(14)), (None, None));
        assert!(history.stale().last_update_id < 10);
    }

    #[test]
    fn the_best_prices_come_first_and_a_diff_names_each_changed_price_once() {
        let mut book = Book::default();
        let mut touched = Touched::default();
        for (id, price) in [(1, 300_000_000), (2, 100_000_000), (3, 300_000_000)] {
            book.apply(change(id, Side::Bid, price, id * 100_000_000));
            touched.touch(Side::Bid, price);
        }

        let top = book.to_rest(1);
        let diff = book.to_diff("AAA", 7, 1, &mut touched);

        assert_eq!(top, r#"{"lastUpdateId":3,"bids":[["3.00000000","3.00000000"]],"asks":[]}"#);
        let levels = r#"[["3.00000000","3.00000000"],["1.00000000","2.00000000"]]"#;
        assert_eq!(diff, format!(r#"{{"e":"depthUpdate","E":7,"s":"AAA","U":1,"u":3,"b":{levels},"a":[]}}"#));
        assert!(touched.bids.is_empty());
    }
}
