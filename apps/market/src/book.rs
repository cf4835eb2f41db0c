//! The order book of one symbol, kept by the exchange's own rule from a snapshot and the changes after it. Pure.
//!
//! Changes are buffered until there is a snapshot that they continue. When one is missing, the book is given up and waits for the next
//! snapshot, so that it is right or absent, never wrong. Each symbol has a book of its own: what one misses concerns no other.
//!
//! Rule: binance-spot-api-docs, `web-socket-streams.md`, "How to manage a local order book correctly"; for futures the page of the same
//! name there. One step further than the rule goes: a snapshot that ends directly before the first change is taken too.
//!
//! # What it does not do
//! Levels below those of the snapshot are unknown until they change. It does not fetch snapshots, and does not know when to.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
};

use crate::wire::{DecimalError, Diff, PriceLevel, Scale, Snapshot};

/// Changes that wait for a snapshot: at ten a second a quarter of an hour. The oldest gives way.
const MOST_BUFFERED: usize = 10_000;

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
    /// A number that cannot be counted in units of the scale.
    Number {
        /// As it came.
        level: PriceLevel,
        /// What is wrong with it.
        error: DecimalError,
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
    /// The book is not there for this reason; what waits still waits.
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
    state: State,
}

#[derive(Debug, Clone)]
enum State {
    /// In the order of their ids. A gap among them shows when a snapshot comes: it has to end behind it.
    Waiting(VecDeque<Diff>),
    Live(Live),
}

#[derive(Debug, Clone)]
struct Live {
    last_id: i64,
    /// Whether `last_id` is a snapshot's, which with futures need not be that of a change.
    fresh: bool,
    /// Price to quantity, in units of the scale; no quantity is 0.
    bids: BTreeMap<i64, i64>,
    asks: BTreeMap<i64, i64>,
}

/// How a change stands to what is known.
enum Follows {
    Next,
    Stale,
    Gap,
}

impl Book {
    /// A book that waits for changes and a snapshot; prices and quantities are counted in units of `scale`.
    pub fn new(rule: Rule, scale: Scale) -> Self {
        Self { rule, scale, state: State::Waiting(VecDeque::new()) }
    }

    /// Takes a change.
    pub fn diff(&mut self, diff: Diff) -> Step {
        let live = match &mut self.state {
            State::Live(live) => live,
            State::Waiting(buffer) => {
                if buffer.back().is_some_and(|last| diff.last <= last.last) {
                    return Step::Stale;
                }
                if buffer.len() == MOST_BUFFERED {
                    buffer.pop_front();
                }
                buffer.push_back(diff);
                return Step::Buffered;
            }
        };
        let lost = match self.rule.follows(live.last_id, live.fresh, &diff) {
            Follows::Stale => return Step::Stale,
            Follows::Gap => Loss::Gap { after: live.last_id, before: diff.first },
            Follows::Next => match live.apply(&diff, self.scale) {
                Ok(()) => return Step::Applied,
                Err(lost) => lost,
            },
        };
        self.state = State::Waiting(VecDeque::from([diff]));
        Step::Lost(lost)
    }

    /// Takes a snapshot, if one is needed.
    pub fn snapshot(&mut self, snapshot: &Snapshot) -> Taken {
        let State::Waiting(buffer) = &mut self.state else { return Taken::NotNeeded };
        let mut live = match Live::new(snapshot, self.scale) {
            Ok(live) => live,
            Err(lost) => return Taken::Lost(lost),
        };
        let mut applied = 0;
        for diff in &*buffer {
            match self.rule.follows(live.last_id, live.fresh, diff) {
                Follows::Stale => {}
                Follows::Gap => return Taken::TooOld { first: diff.first },
                Follows::Next => match live.apply(diff, self.scale) {
                    Ok(()) => applied += 1,
                    Err(lost) => {
                        // With this change among those that wait, no snapshot before it would do.
                        buffer.clear();
                        return Taken::Lost(lost);
                    }
                },
            }
        }
        self.state = State::Live(live);
        Taken::Live { applied }
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

    /// What its prices and quantities are counted in.
    pub fn scale(&self) -> Scale {
        self.scale
    }

    /// Price and quantity of every bid, highest price first; none while the book is not there.
    pub fn bids(&self) -> impl Iterator<Item = (i64, i64)> {
        self.live().into_iter().flat_map(|live| live.bids.iter().rev().map(|(price, quantity)| (*price, *quantity)))
    }

    /// Price and quantity of every ask, lowest price first; none while the book is not there.
    pub fn asks(&self) -> impl Iterator<Item = (i64, i64)> {
        self.live().into_iter().flat_map(|live| live.asks.iter().map(|(price, quantity)| (*price, *quantity)))
    }

    /// The best levels of both sides, at most so many of each.
    pub fn top(&self, levels: usize) -> Top {
        Top { bids: self.bids().take(levels).collect(), asks: self.asks().take(levels).collect() }
    }

    fn live(&self) -> Option<&Live> {
        match &self.state {
            State::Live(live) => Some(live),
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

impl Live {
    fn new(snapshot: &Snapshot, scale: Scale) -> Result<Self, Loss> {
        let side =
            |levels| Ok::<_, Loss>(units(levels, scale)?.into_iter().filter(|(_, quantity)| *quantity > 0).collect());
        let (bids, asks) = (side(&snapshot.bids)?, side(&snapshot.asks)?);
        Self { last_id: snapshot.last_id, fresh: true, bids, asks }.uncrossed()
    }

    fn apply(&mut self, diff: &Diff, scale: Scale) -> Result<(), Loss> {
        for (levels, side) in [(&diff.bids, &mut self.bids), (&diff.asks, &mut self.asks)] {
            for (price, quantity) in units(levels, scale)? {
                if quantity == 0 {
                    side.remove(&price);
                } else {
                    side.insert(price, quantity);
                }
            }
        }
        (self.last_id, self.fresh) = (diff.last, false);
        self.check()
    }

    fn uncrossed(self) -> Result<Self, Loss> {
        self.check().map(|()| self)
    }

    fn check(&self) -> Result<(), Loss> {
        match (self.bids.last_key_value(), self.asks.first_key_value()) {
            (Some((bid, _)), Some((ask, _))) if bid >= ask => Err(Loss::Crossed { bid: *bid, ask: *ask }),
            _ => Ok(()),
        }
    }
}

fn units(levels: &[PriceLevel], scale: Scale) -> Result<Vec<(i64, i64)>, Loss> {
    let units = |level: &PriceLevel| Ok((level.price.at(scale.price)?, level.quantity.at(scale.quantity)?));
    levels.iter().map(|level| units(level).map_err(|error| Loss::Number { level: *level, error })).collect()
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gap { after, before } => write!(f, "changes are missing between {after} and {before}"),
            Self::Crossed { bid, ask } => write!(f, "the best bid, {bid}, is not below the best ask, {ask}"),
            Self::Number { level: PriceLevel { price, quantity }, error } => {
                write!(f, "the level of {quantity} at {price} cannot be kept: {error}")
            }
        }
    }
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod tests;
