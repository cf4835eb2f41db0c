//! Reads one message of the exchange: Binance's `aggTrade`, raw or wrapped in a combined stream. Pure.
//!
//! Format: binance-spot-api-docs, `web-socket-streams.md`, "Aggregate Trade Streams".

use std::ops::Range;

use serde_json::Value;

/// Units in one: prices and quantities are counted in 10⁻⁸.
pub(crate) const ONE: i64 = 100_000_000;
/// The year 10000; what comes later is not a time in milliseconds.
const LATEST_MS: i64 = 253_402_300_800_000;

/// One aggregated trade.
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

/// What a message says.
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

/// Reads one text message. The error names the field that is missing or wrong, what stands there, and what should.
pub(crate) fn parse(text: &str) -> Result<Message, String> {
    let message: Value = serde_json::from_str(text).map_err(|error| format!("expected JSON: {error}"))?;
    let event = message.get("data").unwrap_or(&message);
    if !event.is_object() {
        return Err("expected a JSON object".into());
    }
    if event["e"].as_str() != Some("aggTrade") {
        return Ok(match (event.get("result"), event["msg"].as_str()) {
            (Some(_), _) => Message::Answer,
            (None, Some(why)) => Message::Refused(why.to_owned()),
            (None, None) => Message::Other,
        });
    }
    let within = |value: &Value, range: Range<i64>| value.as_i64().filter(|number| range.contains(number));
    let id = |name| field(event, name, "a whole number in range", |value| within(value, 0..i64::MAX));
    let amount = |name| {
        field(event, name, "a decimal above 0 in quotes, with at most 8 places", |value| {
            value.as_str().and_then(units).filter(|units| *units > 0)
        })
    };
    let first = id("f")?;
    Ok(Message::Trade(Trade {
        symbol: field(event, "s", "a text that is not empty", |value| value.as_str().filter(|text| !text.is_empty()))?
            .to_owned(),
        id: id("a")?,
        first,
        last: field(event, "l", "an id not below `f`", |value| within(value, first..i64::MAX))?,
        time_ms: field(event, "T", "a time in milliseconds", |value| within(value, 0..LATEST_MS))?,
        price: amount("p")?,
        quantity: amount("q")?,
        buyer_is_maker: field(event, "m", "true or false", Value::as_bool)?,
    }))
}

fn field<'a, T>(
    event: &'a Value,
    name: &str,
    expected: &str,
    read: impl FnOnce(&'a Value) -> Option<T>,
) -> Result<T, String> {
    read(&event[name]).ok_or_else(|| format!("field `{name}` is {:.100}: expected {expected}", event[name].to_string()))
}

/// Reads `0.35280000` as `35280000`: exact, at most eight places that are not 0.
fn units(text: &str) -> Option<i64> {
    let (whole, places) = text.split_once('.').unwrap_or((text, ""));
    let places = places.trim_end_matches('0');
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || places.len() > 8 || !digits(whole) || !digits(places) {
        return None;
    }
    let fraction: i64 = format!("{places:0<8}").parse().ok()?;
    whole.parse::<i64>().ok()?.checked_mul(ONE)?.checked_add(fraction)
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
