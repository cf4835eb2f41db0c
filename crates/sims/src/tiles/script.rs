//! What goes wrong, when, and for whom: a script is a value, the same run after run.

use std::{
    ops::{Range, RangeInclusive},
    time::Duration,
};

use super::which::Which;

/// Everything that goes wrong.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Script {
    /// The same seed hits the same tiles.
    pub seed: u64,
    /// Looked at in order for every request for a tile. [`Fault::Delay`]s add up; the first other fault that strikes decides, and
    /// what comes after it is not looked at.
    pub rules: Vec<Rule>,
    /// What happens to whole connections.
    pub connections: Connections,
}

impl Script {
    /// A script in which nothing goes wrong yet.
    pub fn new(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    /// Adds a rule at the end.
    pub fn rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// Sets what happens to whole connections.
    pub fn connections(mut self, connections: Connections) -> Self {
        self.connections = connections;
        self
    }
}

/// One of the two hosts that an origin is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Site {
    /// The one whose address is given out.
    Main,
    /// The one that redirects to another host lead to. It is a server like the first, but [`Connections`] does not touch it.
    Other,
}

/// One fault and the requests it strikes: those that fulfil every condition.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Requests for these tiles.
    pub which: Which,
    /// Requests to this host; `None`: to both.
    pub site: Option<Site>,
    /// Requests for tiles with these numbers, counted from 1 since the script began, in order of arrival.
    pub requests: RangeInclusive<u64>,
    /// Only every n-th of those requests; 1: all.
    pub every: u64,
    /// The k-th time that a tile is asked for since the script began, counted from 1.
    pub tries: RangeInclusive<u32>,
    /// While this time runs since the script began.
    pub during: Range<Duration>,
    /// This share of them, 0.0 to 1.0: the seed, the tile and its try say whether.
    pub chance: f64,
    /// What happens.
    pub fault: Fault,
}

impl Rule {
    /// A fault that strikes every request for a tile.
    pub fn new(fault: Fault) -> Self {
        Self {
            which: Which::all(),
            site: None,
            requests: 1..=u64::MAX,
            every: 1,
            tries: 1..=u32::MAX,
            during: Duration::ZERO..Duration::MAX,
            chance: 1.0,
            fault,
        }
    }

    /// Requests for these tiles only.
    pub fn which(mut self, which: Which) -> Self {
        self.which = which;
        self
    }

    /// A share of all tiles: the same ones at every try.
    pub fn share(mut self, share: f64) -> Self {
        self.which.share = share;
        self
    }

    /// A share of all requests: a tile that was struck may go through at its next try.
    pub fn chance(mut self, chance: f64) -> Self {
        self.chance = chance;
        self
    }

    /// Only the first `count` times that a tile is asked for.
    pub fn first_tries(mut self, count: u32) -> Self {
        self.tries = 1..=count;
        self
    }

    /// Only requests with these numbers, counted from 1.
    pub fn requests(mut self, numbers: RangeInclusive<u64>) -> Self {
        self.requests = numbers;
        self
    }

    /// Only every n-th request.
    pub fn every(mut self, n: u64) -> Self {
        self.every = n.max(1);
        self
    }

    /// Only while this time runs.
    pub fn during(mut self, time: Range<Duration>) -> Self {
        self.during = time;
        self
    }

    /// Only requests to this host.
    pub fn on(mut self, site: Site) -> Self {
        self.site = Some(site);
        self
    }
}

/// What happens to a request for a tile.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// The answer comes later; what else happens is up to the rules that follow.
    Delay(Delay),
    /// Refused if too many came in a short time; otherwise up to the rules that follow.
    Limit(Limit),
    /// Another status.
    Status {
        /// The number; the body comes with it except for 204 and 304.
        code: u16,
        /// What Retry-After says.
        retry_after: Option<RetryAfter>,
        /// What the body is.
        body: Payload,
    },
    /// Status 200, but not a tile.
    Instead(Payload),
    /// Sent on to another address.
    Redirect {
        /// 301, 302, 303, 307 or 308.
        code: u16,
        /// Where to.
        to: To,
    },
    /// The tile, whole, its end told in another way.
    Framing(Framing),
    /// The tile, but Content-Length is so many bytes more than it has, or fewer. The connection is closed after the last byte.
    WrongLength(i64),
    /// The tile, with something odd about Content-Encoding.
    Encoding(Encoding),
    /// The tile, so many bytes a second, at least 1; over HTTP/2 the same in frames of that size.
    Drip(u32),
    /// The answer stops before its end.
    Cut(Cut),
}

impl Fault {
    /// A status with a short text.
    pub fn status(code: u16) -> Self {
        Self::Status { code, retry_after: None, body: Payload::Text }
    }

    /// The body stops after so many bytes, and the connection is closed; Content-Length has told how many there should be.
    pub fn cut(bytes: usize) -> Self {
        Self::Cut(Cut { at: At::Byte(bytes), framing: Framing::Length, how: How::Close })
    }

    /// The connection is reset instead of an answer.
    pub fn reset() -> Self {
        Self::Cut(Cut { at: At::Head, framing: Framing::Length, how: How::Reset })
    }
}

/// How long an answer takes to begin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Delay {
    /// Always so long.
    Fixed(Duration),
    /// So long on average, exponentially distributed, but never more than ten times that.
    Exponential(Duration),
    /// It never comes.
    Never,
}

/// How many requests are accepted: each host has a bucket that fills with time, and every accepted request takes one out.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    /// How fast the bucket fills.
    pub per_second: f64,
    /// How much it holds; it is full at the beginning.
    pub burst: f64,
    /// How a refusal is numbered: 429 or 503.
    pub code: u16,
    /// What Retry-After says of a refusal.
    pub retry_after: Option<RetryAfter>,
}

impl Limit {
    /// 429 with `Retry-After: 1` beyond this rate and burst.
    pub fn new(per_second: f64, burst: f64) -> Self {
        Self { per_second, burst, code: 429, retry_after: Some(RetryAfter::Seconds(1)) }
    }
}

/// The two forms of Retry-After.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAfter {
    /// So many seconds.
    Seconds(u64),
    /// The date so many seconds after the Date of the answer; negative: one that has passed.
    Date(i64),
}

/// What a body can be besides the tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payload {
    /// No bytes.
    Empty,
    /// A valid picture that says nothing: what servers show to those they have blocked.
    Picture,
    /// A page that asks to log in.
    Html,
    /// An error object.
    Json,
    /// A service exception.
    Xml,
    /// The transparent GIF of one pixel.
    Gif,
    /// One line of text.
    Text,
}

/// Where a redirect leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// The same host, `/moved/…`, where the tile is.
    SameHost,
    /// The other host, `/moved/…` without the query, where the tile is.
    OtherHost,
    /// So many redirects on the same host, one after the other, before the tile comes; at least 1.
    Hops(u32),
    /// The same address.
    Itself,
}

/// How the end of a body is told. Over HTTP/2 the last frame tells it; then only `Length` has a Content-Length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Content-Length.
    Length,
    /// Chunks.
    Chunked,
    /// The connection is closed.
    Close,
}

/// What is odd about Content-Encoding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encoding {
    /// The header says this, the body is as ever.
    Label(String),
    /// A vector tile comes without the header that it is compressed; a picture as ever.
    Unlabelled,
    /// The body is compressed once more, or at all, and the header says gzip.
    Gzip,
    /// The header says gzip, and the body becomes so many zeros.
    Bomb(usize),
}

/// An answer that stops before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Where it stops.
    pub at: At,
    /// How the end that never comes would have been told.
    pub framing: Framing,
    /// What happens there.
    pub how: How,
}

/// Where an answer stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// Before its head.
    Head,
    /// After the head and so many bytes of the body, at most all but the last.
    Byte(usize),
}

/// How an answer stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// The connection is closed, over HTTP/2 with all its streams. Over TLS without saying so.
    Close,
    /// The connection is reset, over HTTP/2 with all its streams.
    Reset,
    /// Over HTTP/2 the stream is reset with this reason, and the connection goes on; over HTTP/1.1 the connection is reset.
    Stream(u32),
    /// Nothing more comes, and nothing is closed.
    Stall,
}

/// What happens to whole connections to [`Site::Main`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Connections {
    /// How many there may be at once. One counts until the server has seen its end.
    pub at_most: Option<usize>,
    /// What those beyond get: a connection that is reset at once, or, if set, 503 to the first request and the end.
    pub over_is_503: bool,
    /// Over HTTP/1.1: closed after so many answers.
    pub requests: Option<u64>,
    /// Whether the last of those answers says `Connection: close`; otherwise the client finds out.
    pub announced: bool,
    /// Over HTTP/2: how many streams there may be at once (SETTINGS_MAX_CONCURRENT_STREAMS).
    pub streams: Option<u32>,
    /// Over HTTP/2: after so many streams comes GOAWAY. Those are answered; what the client opened beyond them is dropped unread, and
    /// the last id tells so.
    pub goaway: Option<u64>,
    /// When the server is gone: connections are cut, new ones refused. Times since the script began.
    pub gone: Vec<Range<Duration>>,
}
