//! Reads the frequent messages as the exchange writes them today: no white space, single-letter keys, no escapes.
//!
//! Anything else is `None`, and no verdict: the general parser then reads the message from its beginning. What is read here, the general
//! parser reads alike; a test compares the two.

use super::{AggTrade, Decimal, Diff, PriceLevel, Snapshot, fields::LATEST_MS};

/// An event of a frequent kind: its symbol, the exchange's time of sending, and what it says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frequent<'a> {
    pub(super) symbol: &'a str,
    pub(super) event_ms: i64,
    pub(super) what: What,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum What {
    AggTrade(AggTrade),
    Diff(Diff),
}

/// Reads a raw or wrapped `aggTrade` or `depthUpdate`.
#[inline]
pub(super) fn event(text: &str) -> Option<Frequent<'_>> {
    let mut cursor = Cursor { text, at: 0 };
    let wrapped = cursor.eat(b"{\"stream\":").is_some();
    if wrapped {
        cursor.text()?;
        cursor.eat(b",\"data\":")?;
    }
    cursor.eat(b"{\"e\":\"")?;
    let event = if cursor.eat(b"aggTrade\"").is_some() {
        cursor.agg_trade()?
    } else {
        cursor.eat(b"depthUpdate\"")?;
        cursor.diff()?
    };
    if wrapped {
        cursor.eat(b"}")?;
    }
    cursor.end(event)
}

/// Reads a snapshot of a book.
pub(super) fn snapshot(text: &str) -> Option<Snapshot> {
    let mut cursor = Cursor { text, at: 0 };
    cursor.eat(b"{\"lastUpdateId\":")?;
    let last_id = cursor.number()?;
    for time in [b",\"E\":", b",\"T\":"] {
        if cursor.eat(time).is_some() {
            cursor.number()?;
        }
    }
    cursor.eat(b",\"bids\":")?;
    let bids = cursor.levels()?;
    cursor.eat(b",\"asks\":")?;
    let asks = cursor.levels()?;
    cursor.eat(b"}")?;
    cursor.end(Snapshot { last_id, bids, asks })
}

struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

/// The fields of an event that have come, in whatever order. One that comes twice counts as it came last, as the general parser has it.
#[derive(Default)]
struct Seen(u64);

impl Seen {
    fn note(&mut self, key: u8) {
        self.0 |= bit(key);
    }

    fn all(&self, keys: &[u8]) -> Option<()> {
        let needed = keys.iter().fold(0, |bits, key| bits | bit(*key));
        (self.0 & needed == needed).then_some(())
    }
}

/// `A` to `z` fit in 64 bits; nothing else is a key here.
const fn bit(key: u8) -> u64 {
    1 << (key.wrapping_sub(b'A') & 63)
}

impl<'a> Cursor<'a> {
    fn agg_trade(&mut self) -> Option<Frequent<'a>> {
        let mut seen = Seen::default();
        let (mut symbol, mut event_ms, mut time_ms) = ("", 0, 0);
        let (mut id, mut first, mut last) = (0, 0, 0);
        let (mut price, mut quantity, mut buyer_is_maker) = (Decimal::default(), Decimal::default(), false);
        while let Some(key) = self.key()? {
            seen.note(key);
            match key {
                b'E' => event_ms = self.number()?,
                b's' => symbol = self.text()?,
                b'a' => id = self.number()?,
                b'p' => price = self.decimal()?,
                b'q' => quantity = self.decimal()?,
                b'f' => first = self.number()?,
                b'l' => last = self.number()?,
                b'T' => time_ms = self.number()?,
                b'm' => buyer_is_maker = self.flag()?,
                // Documented as to be ignored.
                b'M' => _ = self.flag()?,
                _ => return None,
            }
        }
        seen.all(b"EsapqflTm")?;
        let sound = first <= last
            && event_ms < LATEST_MS
            && time_ms < LATEST_MS
            && !price.is_zero()
            && !quantity.is_zero()
            && !symbol.is_empty();
        let trade = AggTrade { id, first, last, time_ms, price, quantity, buyer_is_maker };
        sound.then_some(Frequent { symbol, event_ms, what: What::AggTrade(trade) })
    }

    fn diff(&mut self) -> Option<Frequent<'a>> {
        let mut seen = Seen::default();
        let (mut symbol, mut event_ms) = ("", 0);
        let mut diff = Diff { first: 0, last: 0, previous: None, bids: Vec::new(), asks: Vec::new() };
        while let Some(key) = self.key()? {
            seen.note(key);
            match key {
                b'E' => event_ms = self.number()?,
                b's' => symbol = self.text()?,
                b'U' => diff.first = self.number()?,
                b'u' => diff.last = self.number()?,
                b'b' => diff.bids = self.levels()?,
                b'a' => diff.asks = self.levels()?,
                // Futures only: `pu`, and the time of the last trade.
                b'P' => diff.previous = Some(self.number()?),
                b'T' => _ = self.number()?,
                _ => return None,
            }
        }
        seen.all(b"EsUuba")?;
        let sound = diff.first <= diff.last && event_ms < LATEST_MS && !symbol.is_empty();
        sound.then_some(Frequent { symbol, event_ms, what: What::Diff(diff) })
    }

    #[inline]
    fn rest(&self) -> &'a [u8] {
        &self.text.as_bytes()[self.at..]
    }

    #[inline]
    fn eat(&mut self, literal: &[u8]) -> Option<()> {
        if !self.rest().starts_with(literal) {
            return None;
        }
        self.at += literal.len();
        Some(())
    }

    /// The next key up to its colon, `P` for `pu`; `Some(None)` at the end of the object.
    #[inline]
    fn key(&mut self) -> Option<Option<u8>> {
        match self.rest() {
            [b'}', ..] => {
                self.at += 1;
                Some(None)
            }
            [b',', b'"', key, b'"', b':', ..] if key.is_ascii_alphabetic() && *key != b'P' => {
                self.at += 5;
                Some(Some(*key))
            }
            [b',', b'"', b'p', b'u', b'"', b':', ..] => {
                self.at += 6;
                Some(Some(b'P'))
            }
            _ => None,
        }
    }

    /// Below 10¹⁸, as JSON writes it: no zeros in front.
    #[inline]
    fn number(&mut self) -> Option<i64> {
        let rest = self.rest();
        let mut number = 0;
        let mut length = 0;
        while let Some(digit) = rest.get(length).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10) {
            if length == 18 {
                return None;
            }
            number = number * 10 + i64::from(digit);
            length += 1;
        }
        if length == 0 || (length > 1 && rest[0] == b'0') {
            return None;
        }
        self.at += length;
        Some(number)
    }

    #[inline]
    fn decimal(&mut self) -> Option<Decimal> {
        self.eat(b"\"")?;
        let (decimal, length) = Decimal::prefix(self.rest()).ok()?;
        self.at += length;
        self.eat(b"\"")?;
        Some(decimal)
    }

    /// A text in quotes without escapes.
    #[inline]
    fn text(&mut self) -> Option<&'a str> {
        self.eat(b"\"")?;
        let length = self.rest().iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20))?;
        let text = self.text.get(self.at..self.at + length)?;
        self.at += length;
        self.eat(b"\"")?;
        Some(text)
    }

    #[inline]
    fn flag(&mut self) -> Option<bool> {
        if self.eat(b"true").is_some() {
            return Some(true);
        }
        self.eat(b"false").map(|()| false)
    }

    fn levels(&mut self) -> Option<Vec<PriceLevel>> {
        self.eat(b"[")?;
        let mut levels = Vec::new();
        if self.eat(b"]").is_some() {
            return Some(levels);
        }
        loop {
            self.eat(b"[")?;
            let price = self.decimal().filter(|price| !price.is_zero())?;
            self.eat(b",")?;
            let quantity = self.decimal()?;
            self.eat(b"]")?;
            levels.push(PriceLevel { price, quantity });
            if self.eat(b",").is_none() {
                self.eat(b"]")?;
                return Some(levels);
            }
        }
    }

    fn end<T>(&self, read: T) -> Option<T> {
        (self.at == self.text.len()).then_some(read)
    }
}
