//! What goes wrong, when, and for whom: a script is a value, the same run after run.

use std::{ops::RangeInclusive, time::Duration};

use super::random::Random;

/// Everything that goes wrong.
///
/// ```
/// # use sims::exchange::{RequestFault, Rule, Script, SocketFault};
/// let by_hand = Script::new(7)
///     .socket(Rule::new(SocketFault::Close(1008)).number(2).after(100))
///     .request(Rule::new(RequestFault::Stale).of("depth").numbers(1..=2));
/// let by_text = "seed 7; socket 2 after 100 close 1008; request depth 1..2 stale".parse();
///
/// assert_eq!(by_text, Ok(by_hand));
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Script {
    /// Decides what happens by [`Rule::chance`].
    pub seed: u64,
    /// What happens to WebSocket connections. Looked at in order for every message; all that strike do.
    pub sockets: Vec<Rule<SocketFault>>,
    /// What happens to requests. Looked at in order; the first that strikes does, after [`RequestFault::Delay`]s.
    pub requests: Vec<Rule<RequestFault>>,
    /// What happens to the market itself, where it is generated.
    pub market: Vec<Event>,
}

/// A fault, and when it strikes: when every condition is fulfilled.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule<F> {
    /// Connections, or requests, with these numbers, counted from 1 since the script began; requests are counted for each path.
    pub numbers: RangeInclusive<u64>,
    /// Requests whose path ends with this, without a query or with the symbol alone as its query, or messages whose stream's name does;
    /// `None`: all.
    pub of: Option<String>,
    /// After so many messages on the connection. Without [`every`](Self::every) and [`chance`](Self::chance): once, right then.
    pub after: Option<u64>,
    /// Before every n-th message on the connection from then on, or for every n-th request.
    pub every: Option<u64>,
    /// This share of them, 0.0 to 1.0.
    pub chance: Option<f64>,
    /// What happens.
    pub fault: F,
}

impl<F> Rule<F> {
    /// A fault that always strikes.
    pub fn new(fault: F) -> Self {
        Self { numbers: 1..=u64::MAX, of: None, after: None, every: None, chance: None, fault }
    }

    /// Only this connection or request, counted from 1.
    pub fn number(self, number: u64) -> Self {
        self.numbers(number..=number)
    }

    /// Only these connections or requests, counted from 1.
    pub fn numbers(mut self, numbers: RangeInclusive<u64>) -> Self {
        self.numbers = numbers;
        self
    }

    /// Only requests whose path ends so, such as `depth` or `depth?symbol=BTCUSDT`, or messages whose stream's name does, such as `@aggTrade`.
    pub fn of(mut self, end: &str) -> Self {
        self.of = Some(end.to_owned());
        self
    }

    /// After so many messages.
    pub fn after(mut self, messages: u64) -> Self {
        self.after = Some(messages);
        self
    }

    /// Every n-th time only.
    pub fn every(mut self, n: u64) -> Self {
        self.every = Some(n.max(1));
        self
    }

    /// A share of the times only.
    pub fn chance(mut self, chance: f64) -> Self {
        self.chance = Some(chance);
        self
    }

    /// Whether it strikes before the `message`-th message (from 1) of the `number`-th connection, which is one of this stream.
    pub(crate) fn strikes_message(&self, number: u64, message: u64, stream: &str, random: &mut Random) -> bool {
        let after = self.after.unwrap_or(0);
        if !self.numbers.contains(&number) || message <= after || !self.is_of(stream) {
            return false;
        }
        if self.after.is_some() && self.every.is_none() && self.chance.is_none() {
            return message == after + 1;
        }
        self.often(message - after, random)
    }

    /// Whether it strikes the handshake of the `number`-th connection.
    pub(crate) fn strikes_handshake(&self, number: u64, random: &mut Random) -> bool {
        self.numbers.contains(&number) && self.chance.is_none_or(|chance| random.chance(chance))
    }

    /// Whether it strikes the `number`-th request (from 1) for this path, which is about this symbol.
    pub(crate) fn strikes_request(&self, number: u64, path: &str, symbol: &str, random: &mut Random) -> bool {
        let is_of = self.is_of(path) || self.is_of(&format!("{path}?symbol={symbol}"));
        self.numbers.contains(&number) && is_of && self.often(number, random)
    }

    fn is_of(&self, name: &str) -> bool {
        self.of.as_deref().is_none_or(|end| name.ends_with(end))
    }

    fn often(&self, count: u64, random: &mut Random) -> bool {
        self.every.is_none_or(|every| count.is_multiple_of(every))
            && self.chance.is_none_or(|chance| random.chance(chance))
    }
}

/// What happens to a WebSocket connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketFault {
    /// The connection is accepted and the handshake never answered. `after` and the like do not count.
    HalfOpen,
    /// The handshake is refused with this status.
    Refuse(u16),
    /// The connection is reset without a goodbye.
    Drop,
    /// A close frame with this code, such as 1001, 1008 or 1011; then the end, without waiting for the answer.
    Close(u16),
    /// Nothing more is sent, nothing more is read, and nothing is closed.
    Freeze,
    /// No more messages; pings still come and are answered.
    Silence,
    /// Nothing the client sends is read any more, so its pings get no pong; messages still come.
    Deaf,
    /// The message `serverShutdown`, and after so long the end (1001).
    Shutdown(Duration),
    /// A ping with a payload, out of turn.
    Ping,
    /// So many messages of the stream, this one first, are not sent, although what they say has happened.
    Skip(u64),
    /// The message comes so many times more.
    Repeat(u64),
    /// The message comes after the so many that follow it.
    Late(u64),
    /// A message that is broken in some way comes first.
    Garble,
    /// The message is sent so many bytes at a time, at least 1, a millisecond between.
    Split(usize),
    /// The message is sent in so many frames.
    Fragment(usize),
}

impl SocketFault {
    /// One of every kind that ends a connection at once or does not end it, so that a run with hundreds of them is quick.
    pub const QUICK: [Self; 12] = [
        Self::Drop,
        Self::Close(1001),
        Self::Close(1008),
        Self::Close(1011),
        Self::Refuse(503),
        Self::Ping,
        Self::Skip(3),
        Self::Repeat(2),
        Self::Late(5),
        Self::Garble,
        Self::Split(7),
        Self::Fragment(3),
    ];

    /// Those that a client finds out only by waiting.
    pub const SLOW: [Self; 4] = [Self::HalfOpen, Self::Freeze, Self::Silence, Self::Deaf];

    /// As in the text form.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::HalfOpen => "half-open",
            Self::Refuse(_) => "refuse",
            Self::Drop => "drop",
            Self::Close(_) => "close",
            Self::Freeze => "freeze",
            Self::Silence => "silence",
            Self::Deaf => "deaf",
            Self::Shutdown(_) => "shutdown",
            Self::Ping => "ping",
            Self::Skip(_) => "skip",
            Self::Repeat(_) => "repeat",
            Self::Late(_) => "late",
            Self::Garble => "garble",
            Self::Split(_) => "split",
            Self::Fragment(_) => "fragment",
        }
    }

    /// Whether the connection is of no more use afterwards.
    pub fn is_end(self) -> bool {
        matches!(self, Self::HalfOpen | Self::Refuse(_) | Self::Drop | Self::Close(_) | Self::Shutdown(_))
            || Self::SLOW.contains(&self)
    }
}

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RequestFault {
    /// The answer begins so much later; what else happens is up to the rules that follow.
    Delay(Duration),
    /// Another status with the body that belongs to it, and Retry-After in seconds.
    Status(u16, Option<u64>),
    /// 418, and nothing but 418 for so long, whatever is asked.
    Ban(Duration),
    /// An order book from the beginning of the market: its `lastUpdateId` is below every `U`.
    Stale,
    /// The body comes at so many bytes a second.
    Slow(u32),
    /// Status 200 and a body that ends in the middle of the JSON.
    Truncate,
    /// The connection breaks in the middle of the body.
    Break,
    /// The connection breaks instead of an answer.
    Drop,
    /// No answer ever.
    Hang,
    /// `serverTime` is wrong by so many milliseconds.
    Skew(i64),
}

impl RequestFault {
    /// As in the text form.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Delay(_) => "delay",
            Self::Status(..) => "status",
            Self::Ban(_) => "ban",
            Self::Stale => "stale",
            Self::Slow(_) => "slow",
            Self::Truncate => "truncate",
            Self::Break => "break",
            Self::Drop => "drop",
            Self::Hang => "hang",
            Self::Skew(_) => "skew",
        }
    }
}

/// Something that happens to the market itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// To this symbol.
    pub symbol: String,
    /// After so many trades of it.
    pub at: u64,
    /// What.
    pub happening: Happening,
}

/// What happens to the market itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happening {
    /// The exchange loses so many trades: their ids are used up, and nobody ever sees them, by REST neither.
    Hole(u64),
    /// For so many milliseconds of exchange time the symbol's status is HALT and nothing is traded; ids go on without a gap.
    Halt(u64),
}

impl Script {
    /// A script in which nothing goes wrong yet.
    pub fn new(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    /// Adds a rule for connections at the end.
    pub fn socket(mut self, rule: Rule<SocketFault>) -> Self {
        self.sockets.push(rule);
        self
    }

    /// Adds a rule for requests at the end.
    pub fn request(mut self, rule: Rule<RequestFault>) -> Self {
        self.requests.push(rule);
        self
    }

    /// Adds an event at the end.
    pub fn event(mut self, symbol: &str, at: u64, happening: Happening) -> Self {
        self.market.push(Event { symbol: symbol.to_owned(), at, happening });
        self
    }

    /// A script of `count` faults for connections, each of a kind from `kinds`, so many messages apart. Whenever a fault ends a
    /// connection, the next one is for the next connection. The same seed gives the same script.
    /// Without kinds it is empty.
    pub fn seeded(seed: u64, count: u64, kinds: &[SocketFault], apart: RangeInclusive<u64>) -> Self {
        let mut random = Random(seed);
        let mut script = Self::new(seed);
        let (first, last) = (*apart.start(), (*apart.end()).max(*apart.start()));
        let (mut connection, mut message) = (1, 0);
        while !kinds.is_empty() && (script.sockets.len() as u64) < count {
            let kind = usize::try_from(random.between(0, kinds.len() as u64)).unwrap_or(0);
            let mut fault = kinds[kind];
            if matches!(fault, SocketFault::HalfOpen | SocketFault::Refuse(_)) && message > 0 {
                // What is planned for this connection happens first.
                fault = SocketFault::Drop;
            }
            message += random.between(first, last + 1);
            script.sockets.push(Rule::new(fault).number(connection).after(message));
            if fault.is_end() {
                (connection, message) = (connection + 1, 0);
            }
        }
        script
    }
}
