//! The order book of one symbol, kept by the exchange's own rule from a snapshot and the changes after it. Pure.
//!
//! Changes are buffered until there is a snapshot that they continue. When one is missing, the book is given up and waits for the next
//! snapshot, so that it is right or absent, never wrong. Each symbol has a book of its own: what one misses concerns no other.
//!
//! Rule: binance-spot-api-docs, `web-socket-streams.md`, "How to manage a local order book correctly"; for futures the page of the same
//! name there. One step further than the rule goes: a snapshot that ends directly before the first change is taken too.
//!
//! Levels below those of the snapshot are unknown. A book that is [limited](Book::limited) holds none of them, so that all it shows is
//! exact; as prices move it gets [shallow](Book::is_shallow), until a [new snapshot](Book::expect_snapshot) takes its place.
//!
//! # What it does not do
//! It does not fetch snapshots. A change that comes too early is a gap: who expects changes out of order asks [`Book::is_ahead`].

mod live;

use std::{collections::VecDeque, fmt};

use self::live::Live;
use crate::wire::{DecimalError, Diff, PriceLevel, Scale, Snapshot};

/// Changes that wait for a snapshot: at ten a second a minute. The oldest gives way: a snapshot is newer than the request for it.
const MOST_BUFFERED: usize = 600;

/// How the ids of changes follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Without gaps: `U` is the `u` before, plus one.
    Spot,
    /// With gaps: each names the one before, `pu`.
    Futures,
}

/// What came of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It is in the book.
    Applied,
    /// It waits for a snapshot.
    Buffered,
    /// It was in the book already.
    Stale,
    /// The book is given up; the change waits for a snapshot.
    Lost(Loss),
}

/// Why a book is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Loss {
    /// Changes are missing.
    Gap {
        /// The last one in the book.
        after: i64,
        /// The first one of the change that came.
        before: i64,
    },
    /// The best bid is not below the best ask.
    Crossed {
        /// In units of the scale.
        bid: i64,
        /// In units of the scale.
        ask: i64,
    },
    /// A number that cannot be counted together with the others.
    Number {
        /// As it came.
        level: PriceLevel,
        /// What is wrong with it.
        error: DecimalError,
    },
    /// The numbers of the book are too large to be counted as finely as a new one needs.
    TooFine {
        /// What it needs.
        scale: Scale,
    },
}

/// What came of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// The book is there.
    Live {
        /// How many of the changes that waited continue it; the others were in it already.
        applied: usize,
    },
    /// It ends before the first change that waits: a later one is needed.
    TooOld {
        /// The first change that waits.
        first: i64,
    },
    /// The book was there already, and stays as it is.
    NotNeeded,
    /// The snapshot, or what waits for it, is of no use for this reason. What was there stays, and what waits still waits.
    Lost(Loss),
}

/// The best levels of a book: price and quantity in units of its scale, best first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Top {
    /// Highest price first; may be empty.
    pub bids: Vec<(i64, i64)>,
    /// Lowest price first; may be empty.
    pub asks: Vec<(i64, i64)>,
}

/// The order book of one symbol.
#[derive(Debug, Clone)]
pub struct Book {
    rule: Rule,
    scale: Scale,
    /// How many levels of a side a snapshot has at most.
    limit: usize,
    state: State,
}

#[derive(Debug, Clone)]
enum State {
    /// In the order of their ids. A gap among them shows when a snapshot comes: it has to end behind it.
    Waiting(VecDeque<Diff>),
    /// The book, and while a snapshot is expected all changes since then.
    Live(Live, Option<VecDeque<Diff>>),
}

/// How a change stands to what is known.
enum Follows {
    Next,
    Stale,
    Gap,
}

impl Book {
    /// A book that waits for changes and a snapshot; prices and quantities are counted in units of `scale`, or of a finer one as soon as a
    /// number needs it. Snapshots are whole.
    pub fn new(rule: Rule, scale: Scale) -> Self {
        Self { rule, scale, limit: usize::MAX, state: State::Waiting(VecDeque::new()) }
    }

    /// The same with snapshots that have at most so many levels of each side: a side with as many may have more, which are unknown.
    pub fn limited(self, limit: usize) -> Self {
        Self { limit, ..self }
    }

    /// Takes a change.
    pub fn diff(&mut self, diff: Diff) -> Step {
        let (live, since) = match &mut self.state {
            State::Live(live, since) => (live, since),
            State::Waiting(buffer) => {
                if buffer.back().is_some_and(|last| diff.last <= last.last) {
                    return Step::Stale;
                }
                push(buffer, diff);
                return Step::Buffered;
            }
        };
        let lost = match self.rule.follows(live.last_id, live.fresh, &diff) {
            Follows::Stale => return Step::Stale,
            Follows::Gap => Loss::Gap { after: live.last_id, before: diff.first },
            Follows::Next => match live.apply(&diff) {
                Ok(()) => {
                    since.iter_mut().for_each(|since| push(since, diff.clone()));
                    return Step::Applied;
                }
                Err(lost) => lost,
            },
        };
        self.state = State::Waiting(VecDeque::from([diff]));
        Step::Lost(lost)
    }

    /// Whether the book is there and a change between it and this one is missing, or comes later.
    pub fn is_ahead(&self, diff: &Diff) -> bool {
        self.live().is_some_and(|live| matches!(self.rule.follows(live.last_id, live.fresh, diff), Follows::Gap))
    }

    /// Takes a snapshot, if one is needed or [expected](Self::expect_snapshot).
    pub fn snapshot(&mut self, snapshot: &Snapshot) -> Taken {
        let buffer = match &mut self.state {
            State::Waiting(buffer) | State::Live(_, Some(buffer)) => buffer,
            State::Live(_, None) => return Taken::NotNeeded,
        };
        let mut live = match Live::new(snapshot, self.scale, self.limit) {
            Ok(live) => live,
            Err(lost) => return Taken::Lost(lost),
        };
        let mut applied = 0;
        for diff in &*buffer {
            match self.rule.follows(live.last_id, live.fresh, diff) {
                Follows::Stale => {}
                Follows::Gap => return Taken::TooOld { first: diff.first },
                Follows::Next => match live.apply(diff) {
                    Ok(()) => applied += 1,
                    Err(lost) => {
                        // With this change among those that wait, no snapshot before it would do.
                        buffer.clear();
                        return Taken::Lost(lost);
                    }
                },
            }
        }
        if let Some(last_id) = self.last_id().filter(|last_id| live.last_id < *last_id) {
            return Taken::TooOld { first: last_id };
        }
        self.scale = live.scale;
        self.state = State::Live(live, None);
        Taken::Live { applied }
    }

    /// Lets a snapshot that is asked for from now on take the place of the book. The book stays there meanwhile; it does nothing where it
    /// is not.
    pub fn expect_snapshot(&mut self) {
        if let State::Live(_, since) = &mut self.state {
            since.get_or_insert_default();
        }
    }

    /// Whether less than nine tenths of the levels are known that a snapshot would have, and there may be more.
    pub fn is_shallow(&self) -> bool {
        self.live().is_some_and(|live| live.bids.is_shallow(self.limit) || live.asks.is_shallow(self.limit))
    }

    /// Gives the book up, as when the connection is lost; nothing waits any more.
    pub fn reset(&mut self) {
        self.state = State::Waiting(VecDeque::new());
    }

    /// Whether it is time to fetch a snapshot: a change waits for one.
    pub fn needs_snapshot(&self) -> bool {
        matches!(&self.state, State::Waiting(buffer) if !buffer.is_empty())
    }

    /// The last update in the book; `None` while it is not there.
    pub fn last_id(&self) -> Option<i64> {
        self.live().map(|live| live.last_id)
    }

    /// What its prices and quantities are counted in at present.
    pub fn scale(&self) -> Scale {
        self.live().map_or(self.scale, |live| live.scale)
    }

    /// Price and quantity of every bid, highest price first; none while the book is not there.
    pub fn bids(&self) -> impl Iterator<Item = (i64, i64)> {
        self.live()
            .into_iter()
            .flat_map(|live| live.bids.levels.iter().rev().map(|(price, quantity)| (*price, *quantity)))
    }

    /// Price and quantity of every ask, lowest price first; none while the book is not there.
    pub fn asks(&self) -> impl Iterator<Item = (i64, i64)> {
        self.live().into_iter().flat_map(|live| live.asks.levels.iter().map(|(price, quantity)| (*price, *quantity)))
    }

    /// The best levels of both sides, at most so many of each.
    pub fn top(&self, levels: usize) -> Top {
        Top { bids: self.bids().take(levels).collect(), asks: self.asks().take(levels).collect() }
    }

    fn live(&self) -> Option<&Live> {
        match &self.state {
            State::Live(live, _) => Some(live),
            State::Waiting(_) => None,
        }
    }
}

impl Rule {
    /// `fresh`: `last_id` is a snapshot's.
    fn follows(self, last_id: i64, fresh: bool, diff: &Diff) -> Follows {
        let (stale, next) = match (self, diff.previous) {
            // A snapshot's id may lie between two changes: then the one it lies in, or before which it lies, is next.
            (Self::Futures, Some(previous)) if fresh => {
                (diff.last < last_id, diff.first <= last_id || previous <= last_id)
            }
            (Self::Futures, Some(previous)) => (diff.last <= last_id, previous == last_id),
            (Self::Spot, _) | (_, None) => (diff.last <= last_id, diff.first <= last_id.saturating_add(1)),
        };
        match (stale, next) {
            (true, _) => Follows::Stale,
            (false, true) => Follows::Next,
            (false, false) => Follows::Gap,
        }
    }
}

/// The oldest gives way.
fn push(buffer: &mut VecDeque<Diff>, diff: Diff) {
    if buffer.len() == MOST_BUFFERED {
        buffer.pop_front();
    }
    buffer.push_back(diff);
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gap { after, before } => write!(f, "changes are missing between {after} and {before}"),
            Self::Crossed { bid, ask } => write!(f, "the best bid, {bid}, is not below the best ask, {ask}"),
            Self::Number { level: PriceLevel { price, quantity }, error } => {
                write!(f, "the level of {quantity} at {price} cannot be kept: {error}")
            }
            Self::TooFine { scale: Scale { price, quantity } } => {
                write!(f, "prices with {price} and quantities with {quantity} places are too large to be kept exactly")
            }
        }
    }
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod tests;
