//! What the messages and answers hold, without how they are written.

use super::Decimal;

/// An aggregated trade: what one order took at one price in one millisecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AggTrade {
    /// `a`: the aggregate's id; in a symbol one more than that of the aggregate before.
    pub id: i64,
    /// `f`: the first single trade in it; one more than `last` of the aggregate before.
    pub first: i64,
    /// `l`: the last single trade in it; not below `first`.
    pub last: i64,
    /// `T`: when it was traded, by the exchange's clock, in milliseconds since 1970.
    pub time_ms: i64,
    /// `p`: above 0.
    pub price: Decimal,
    /// `q`: above 0.
    pub quantity: Decimal,
    /// `m`: the buyer's order was waiting in the book, so the seller was the aggressive side.
    pub buyer_is_maker: bool,
}

/// A single trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SingleTrade {
    /// In a symbol one more than that of the trade before.
    pub id: i64,
    /// When it was traded, by the exchange's clock, in milliseconds since 1970.
    pub time_ms: i64,
    /// Above 0.
    pub price: Decimal,
    /// Above 0.
    pub quantity: Decimal,
    /// The buyer's order was waiting in the book, so the seller was the aggressive side.
    pub buyer_is_maker: bool,
}

/// What waits in the book at one price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PriceLevel {
    /// Above 0.
    pub price: Decimal,
    /// The whole quantity, not the change; 0 where nothing is left.
    pub quantity: Decimal,
}

/// Changes of a book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diff {
    /// `U`: the first update in it.
    pub first: i64,
    /// `u`: the last update in it; not below `first`.
    pub last: i64,
    /// `pu`: the last update of the event before; futures only.
    pub previous: Option<i64>,
    /// As the exchange sends them; may be empty.
    pub bids: Vec<PriceLevel>,
    /// As the exchange sends them; may be empty.
    pub asks: Vec<PriceLevel>,
}

/// A book as it was, down to some number of levels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The last update in it.
    pub last_id: i64,
    /// Best first; may be empty.
    pub bids: Vec<PriceLevel>,
    /// Best first; may be empty.
    pub asks: Vec<PriceLevel>,
}

/// A candle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kline {
    /// Its begin, in milliseconds since 1970.
    pub open_ms: i64,
    /// Its last millisecond.
    pub close_ms: i64,
    /// Such as `1m`; empty in an answer of REST, which does not repeat it.
    pub interval: String,
    /// The first and the last single trade; `None` without trades, and in an answer of REST.
    pub ids: Option<(i64, i64)>,
    /// The price of the first trade.
    pub open: Decimal,
    /// The highest price.
    pub high: Decimal,
    /// The lowest price.
    pub low: Decimal,
    /// The price of the last trade.
    pub close: Decimal,
    /// All quantities together.
    pub volume: Decimal,
    /// All quantities, each times its price.
    pub quote_volume: Decimal,
    /// How many single trades.
    pub trades: i64,
    /// The part of `volume` in which the buyer was the aggressive side.
    pub bought: Decimal,
    /// Whether it is over; an answer of REST does not say.
    pub closed: Option<bool>,
}

/// The best of both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BookTicker {
    /// The update of the book that made it so.
    pub update: i64,
    /// The highest bid.
    pub bid: PriceLevel,
    /// The lowest ask.
    pub ask: PriceLevel,
}
