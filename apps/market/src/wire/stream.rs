//! Messages of the WebSocket.

use std::borrow::Cow;

use serde_json::Value;

use super::{
    AggTrade, BookTicker, Diff, Kind, Kline, LONGEST_MESSAGE, SingleTrade, Snapshot, Unreadable,
    fields::{self, Fields, Result, json},
    shape::{self, What},
};

/// What a message of the exchange says. Times are milliseconds since 1970 by the exchange's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// `aggTrade`.
    AggTrade {
        /// Upper case.
        symbol: Cow<'a, str>,
        /// When it was sent.
        event_ms: i64,
        /// What it says.
        trade: AggTrade,
    },
    /// `trade`.
    Trade {
        /// Upper case.
        symbol: Cow<'a, str>,
        /// When it was sent.
        event_ms: i64,
        /// What it says.
        trade: SingleTrade,
    },
    /// `depthUpdate`.
    Diff {
        /// Upper case.
        symbol: Cow<'a, str>,
        /// When it was sent.
        event_ms: i64,
        /// What it says.
        diff: Diff,
    },
    /// `<symbol>@depth5`, `10` or `20`.
    PartialDepth {
        /// Upper case; from the name of the stream, so that a raw stream has none.
        symbol: Option<String>,
        /// What it says.
        book: Snapshot,
    },
    /// `kline`.
    Kline {
        /// Upper case.
        symbol: Cow<'a, str>,
        /// When it was sent.
        event_ms: i64,
        /// What it says.
        kline: Kline,
    },
    /// `bookTicker`.
    BookTicker {
        /// Upper case.
        symbol: Cow<'a, str>,
        /// What it says.
        best: BookTicker,
    },
    /// `serverShutdown`: the exchange is about to close this connection.
    Shutdown {
        /// When it was sent.
        event_ms: i64,
    },
    /// The exchange has done what it was told.
    Answer {
        /// That of the command.
        id: Id,
        /// What it answers.
        result: Answer,
    },
    /// The exchange did not do what it was told.
    Refused {
        /// That of the command; `Null` where the exchange does not say.
        id: Id,
        /// 0 unknown property, 1 wrong type, 2 invalid request, 3 invalid JSON.
        code: i64,
        /// In the exchange's words.
        why: String,
    },
    /// Well-formed, and not known here.
    Unknown {
        /// Its name; where it has none, its keys.
        event: String,
    },
}

/// The id of a command, which its answer repeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Id {
    /// A whole number.
    Number(i64),
    /// A text.
    Text(String),
    /// None.
    Null,
}

/// What a command is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// `null`: it is done.
    Done,
    /// The streams that are subscribed.
    Streams(Vec<String>),
    /// The value of a property.
    Property(bool),
}

impl Event<'_> {
    /// What the exchange calls it; of one that is not known, what stands in the message.
    pub fn name(&self) -> &str {
        match self {
            Self::AggTrade { .. } => "aggTrade",
            Self::Trade { .. } => "trade",
            Self::Diff { .. } => "depthUpdate",
            Self::PartialDepth { .. } => "depth",
            Self::Kline { .. } => "kline",
            Self::BookTicker { .. } => "bookTicker",
            Self::Shutdown { .. } => "serverShutdown",
            Self::Answer { .. } => "answer",
            Self::Refused { .. } => "error",
            Self::Unknown { event } => event,
        }
    }

    /// The symbol it is about, where it is about one.
    pub fn symbol(&self) -> Option<&str> {
        match self {
            Self::AggTrade { symbol, .. }
            | Self::Trade { symbol, .. }
            | Self::Diff { symbol, .. }
            | Self::Kline { symbol, .. }
            | Self::BookTicker { symbol, .. } => Some(symbol),
            Self::PartialDepth { symbol, .. } => symbol.as_deref(),
            Self::Shutdown { .. } | Self::Answer { .. } | Self::Refused { .. } | Self::Unknown { .. } => None,
        }
    }
}

/// Reads one text message of a raw or a combined stream.
///
/// # Errors
/// It is too long, no JSON, of no known shape, or a field is missing or wrong.
#[inline]
pub fn read(text: &str) -> Result<Event<'_>> {
    if text.len() > LONGEST_MESSAGE {
        let detail = format_args!("{} bytes, at most {LONGEST_MESSAGE} are read", text.len());
        return Err(Unreadable::new(Kind::TooLong, detail));
    }
    match shape::event(text) {
        Some(event) => {
            let (symbol, event_ms) = (Cow::Borrowed(event.symbol), event.event_ms);
            Ok(match event.what {
                What::AggTrade(trade) => Event::AggTrade { symbol, event_ms, trade },
                What::Diff(diff) => Event::Diff { symbol, event_ms, diff },
            })
        }
        None => read_any(text),
    }
}

/// Reads a message however its JSON is written: what [`read`] does when it is not written as usual.
///
/// # Errors
/// Those of [`read`].
pub fn read_any(text: &str) -> Result<Event<'static>> {
    let message = json(text)?;
    let (stream, event) = match (message.get("stream").and_then(Value::as_str), message.get("data")) {
        (stream, Some(data)) => (stream, data),
        _ => (None, &message),
    };
    if !event.is_object() {
        return Err(Unreadable::new(Kind::NotAMessage, "expected a JSON object"));
    }
    match event["e"].as_str() {
        Some(name) => named(name, event),
        None => nameless(stream, event),
    }
}

fn named(name: &str, event: &Value) -> Result<Event<'static>> {
    let of = match name {
        "aggTrade" => "aggTrade",
        "trade" => "trade",
        "depthUpdate" => "depthUpdate",
        "kline" => "kline",
        "bookTicker" => return book_ticker(event),
        "serverShutdown" => "serverShutdown",
        _ => return Ok(Event::Unknown { event: format!("{name:.40}") }),
    };
    let fields = Fields::new(of, event)?;
    let event_ms = fields.get("E").time()?;
    if of == "serverShutdown" {
        return Ok(Event::Shutdown { event_ms });
    }
    let symbol = Cow::Owned(fields.get("s").text()?.to_owned());
    Ok(match of {
        "aggTrade" => Event::AggTrade { symbol, event_ms, trade: fields::agg_trade(fields)? },
        "trade" => {
            let trade = fields::single_trade(fields, ["t", "p", "q", "T", "m"])?;
            Event::Trade { symbol, event_ms, trade }
        }
        "depthUpdate" => Event::Diff { symbol, event_ms, diff: fields::diff(fields)? },
        _ => Event::Kline { symbol, event_ms, kline: fields::kline(Fields::new("kline", &event["k"])?)? },
    })
}

fn book_ticker(event: &Value) -> Result<Event<'static>> {
    let fields = Fields::new("bookTicker", event)?;
    let symbol = Cow::Owned(fields.get("s").text()?.to_owned());
    Ok(Event::BookTicker { symbol, best: fields::book_ticker(fields)? })
}

/// Told apart by their keys.
fn nameless(stream: Option<&str>, event: &Value) -> Result<Event<'static>> {
    let fields = Fields::new("message", event)?;
    if fields.has("lastUpdateId") {
        let symbol = stream.and_then(|name| name.split('@').next()).map(str::to_uppercase);
        return Ok(Event::PartialDepth { symbol, book: fields::snapshot(Fields::new("partial depth", event)?)? });
    }
    if ["u", "s", "b", "B", "a", "A"].iter().all(|name| fields.has(name)) {
        return book_ticker(event);
    }
    // Where the exchange takes commands of its trading interface, the code and the words lie one level deeper.
    let refusal = event.get("error").filter(|error| error.is_object()).unwrap_or(event);
    if let (Some(code), Some(why)) = (refusal["code"].as_i64(), refusal["msg"].as_str()) {
        return Ok(Event::Refused { id: id(&event["id"]), code, why: format!("{why:.300}") });
    }
    if let Some(result) = event.get("result") {
        return Ok(Event::Answer { id: id(&event["id"]), result: answer(result)? });
    }
    let keys: Vec<&str> = event.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).take(10).collect();
    Ok(Event::Unknown { event: format!("{:.80}", keys.join(",")) })
}

fn id(value: &Value) -> Id {
    match (value.as_i64(), value.as_str()) {
        (Some(number), _) => Id::Number(number),
        (None, Some(text)) => Id::Text(format!("{text:.36}")),
        (None, None) => Id::Null,
    }
}

fn answer(result: &Value) -> Result<Answer> {
    let streams = |list: &Vec<Value>| list.iter().map(|name| name.as_str().map(str::to_owned)).collect();
    match result {
        Value::Null => Some(Answer::Done),
        Value::Bool(value) => Some(Answer::Property(*value)),
        Value::Array(list) => Option::map(streams(list), Answer::Streams),
        _ => None,
    }
    .ok_or_else(|| Unreadable::field("answer", "result", result, "null, true, false or a list of streams"))
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
