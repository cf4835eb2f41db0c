//! What clients did, and what was done to them.

use std::collections::BTreeMap;

/// What clients did, and what was done to them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Log {
    /// WebSocket connections that were accepted or refused.
    pub connects: u64,
    /// How often each fault of the script struck, by its name in the text form.
    pub struck: BTreeMap<&'static str, u64>,
    /// Pings that were answered with their payload.
    pub pongs: u64,
    /// What clients did that an exchange does not forgive; empty for one that obeys every rule.
    pub offences: Vec<Offence>,
    /// All requests, in order.
    pub requests: Vec<Asked>,
}

impl Log {
    /// How many faults of the script struck.
    pub fn faults(&self) -> u64 {
        self.struck.values().sum()
    }

    /// How many requests had a path that ends so.
    pub fn asked(&self, path: &str) -> usize {
        self.requests.iter().filter(|asked| asked.path().ends_with(path)).count()
    }
}

/// A request and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Path and query.
    pub what: String,
    /// What it was answered; 0 for no answer.
    pub status: u16,
    /// How much it weighed.
    pub weight: u64,
}

impl Asked {
    /// Without the query.
    pub fn path(&self) -> &str {
        self.what.split('?').next().unwrap_or_default()
    }
}

/// What an exchange does not forgive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Offence {
    /// A pong whose payload was not that of a ping.
    WrongPong,
    /// No pong within [`pong_within`](super::Limits::pong_within).
    NoPong,
    /// More than [`messages_per_second`](super::Limits::messages_per_second).
    TooManyMessages,
    /// More than [`connects`](super::Limits::connects).
    TooManyConnects,
    /// More than [`weight`](super::Limits::weight).
    TooMuchWeight,
    /// A request before the Retry-After of an earlier answer had passed.
    TooEarly,
}
