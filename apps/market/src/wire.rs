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
