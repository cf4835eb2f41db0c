//! What a message can have that it should not, by kind: so that each kind is counted, and told once.

use std::{collections::BTreeMap, fmt};

use serde_json::Value;

/// Why a message or an answer could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// What is wrong, without the values of this one message.
    pub kind: Kind,
    /// The details: what stands there and what should; not longer than a few hundred characters.
    pub detail: String,
}

/// Kinds of messages that could not be used. Two messages of one kind need not both be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// Longer than any message of the exchange.
    TooLong,
    /// A binary frame.
    Binary,
    /// No JSON, or cut off.
    NotJson,
    /// JSON, but of no shape that is known.
    NotAMessage,
    /// A field is missing or wrong: of which event or answer, and its name.
    Field(&'static str, &'static str),
    /// Well-formed, of a symbol nobody asked for.
    WrongSymbol,
    /// Well-formed, an event that is not known here.
    UnknownEvent,
    /// A trade that has the id of one before.
    Renumbered,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => f.write_str("message too long"),
            Self::Binary => f.write_str("binary message"),
            Self::NotJson => f.write_str("not JSON"),
            Self::NotAMessage => f.write_str("no known message"),
            Self::Field(of, name) => write!(f, "field `{name}` of {of}"),
            Self::WrongSymbol => f.write_str("symbol not asked for"),
            Self::UnknownEvent => f.write_str("unknown event"),
            Self::Renumbered => f.write_str("trade with an id of before"),
        }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Field(of, name) => write!(f, "{of}: field `{name}` is {}", self.detail),
            kind => write!(f, "{kind}: {}", self.detail),
        }
    }
}

impl std::error::Error for Unreadable {}

impl Unreadable {
    pub(super) fn new(kind: Kind, detail: impl fmt::Display) -> Self {
        Self { kind, detail: format!("{detail:.300}") }
    }

    pub(super) fn field(of: &'static str, name: &'static str, found: &Value, expected: impl fmt::Display) -> Self {
        let found = match found {
            Value::String(text) if text.len() > 100 => format!("a text of {} bytes", text.len()),
            Value::Array(items) => format!("a list of {}", items.len()),
            Value::Object(_) => "an object".to_owned(),
            plain => plain.to_string(),
        };
        Self::new(Kind::Field(of, name), format_args!("{found}: expected {expected}"))
    }
}

/// How many messages of each kind could not be used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Oddities {
    counts: BTreeMap<Kind, u64>,
}

impl Oddities {
    /// Counts one; whether it is the first of its kind, and so worth a line in the log.
    pub fn note(&mut self, kind: Kind) -> bool {
        let count = self.counts.entry(kind).or_default();
        *count += 1;
        *count == 1
    }

    /// The kinds that came, each with its number.
    pub fn iter(&self) -> impl Iterator<Item = (Kind, u64)> {
        self.counts.iter().map(|(kind, count)| (*kind, *count))
    }

    /// All of them together.
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }
}
