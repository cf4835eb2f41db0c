//! Reads what the exchange sends: messages of the WebSocket and answers of REST, as Binance writes them for spot trading. Pure.
//!
//! Formats: binance-spot-api-docs, `web-socket-streams.md` and `rest-api.md`. The futures' `aggTrade` and `depthUpdate` are read too.
//!
//! - [`read`] takes one text message. The two frequent events are read in one pass over their bytes; a message that is written in
//!   another way than usual goes through a general JSON parser, with the same result.
//! - [`rest`] takes the bodies and headers of answers.
//! - Numbers stay exact: a [`Decimal`] is an integer and a count of places.
//! - Whatever comes, the answer is a value: [`Unreadable`] names the field, what stands there, and what should; its [`Kind`] is what to
//!   count by. Nothing here panics, logs, or knows a clock.

mod decimal;
mod error;
mod fields;
#[cfg(test)]
pub(crate) mod recorded;
pub mod rest;
mod shape;
mod stream;
mod values;

pub use self::{
    decimal::{Decimal, DecimalError, MOST_PLACES},
    error::{Kind, Oddities, Unreadable},
    rest::Scale,
    stream::{Answer, Event, Id, read, read_any},
    values::{AggTrade, BookTicker, Diff, Kline, PriceLevel, SingleTrade, Snapshot},
};

/// The longest message that is read, in bytes: a change of all levels that a book shows takes a tenth of it.
pub const LONGEST_MESSAGE: usize = 4 << 20;
/// The longest answer that is read, in bytes: the list of all symbols takes less than half of it.
pub const LONGEST_ANSWER: usize = 64 << 20;

/// Units in one: prices and quantities are counted in 10⁻⁸.
pub(crate) const ONE: i64 = 100_000_000;

/// One aggregated trade of a symbol, in units of 10⁻⁸.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trade {
    pub(crate) symbol: String,
    /// The aggregate's id, one more than that of the aggregate before.
    pub(crate) id: i64,
    /// The first single trade in it.
    pub(crate) first: i64,
    /// The last single trade in it; not below `first`.
    pub(crate) last: i64,
    /// Since 1970.
    pub(crate) time_ms: i64,
    /// In units of 10⁻⁸, like `quantity`; both above 0.
    pub(crate) price: i64,
    pub(crate) quantity: i64,
    /// The buyer's order was waiting in the book: the seller was the aggressive side.
    pub(crate) buyer_is_maker: bool,
}

impl Trade {
    /// The error says which number is too large or has more than 8 places.
    pub(crate) fn new(symbol: &str, trade: AggTrade) -> Result<Self, Unreadable> {
        let AggTrade { id, first, last, time_ms, buyer_is_maker, .. } = trade;
        let units = |name, decimal: Decimal| {
            let wrong = |error| Unreadable::new(Kind::Field("aggTrade", name), format_args!("{decimal}: {error}"));
            decimal.at(Scale::default().price).map_err(wrong)
        };
        let (price, quantity) = (units("p", trade.price)?, units("q", trade.quantity)?);
        Ok(Self { symbol: symbol.to_owned(), id, first, last, time_ms, price, quantity, buyer_is_maker })
    }
}

/// What a message says to who wants trades alone.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Message {
    Trade(Trade),
    /// The exchange has done what it was told.
    Answer,
    /// The exchange did not do what it was told, in its words.
    Refused(String),
    /// Something else that is well-formed.
    Other,
}

/// Reads one text message as [`read`] does.
pub(crate) fn parse(text: &str) -> Result<Message, Unreadable> {
    Ok(match read(text)? {
        Event::AggTrade { symbol, trade, .. } => Message::Trade(Trade::new(&symbol, trade)?),
        Event::Answer { .. } => Message::Answer,
        Event::Refused { why, .. } => Message::Refused(why),
        _ => Message::Other,
    })
}

/// Writes `35280000` as `0.3528`.
pub(crate) fn decimal(units: i64) -> String {
    let (sign, units) = (if units < 0 { "-" } else { "" }, units.unsigned_abs());
    let one = ONE.unsigned_abs();
    let text = format!("{sign}{}.{:08}", units / one, units % one);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
