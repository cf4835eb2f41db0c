//! One symbol's book as it follows the exchange: changes that come out of order are put in order, and a book that lost one says so. Pure.
//!
//! Changes come over two connections while one replaces the other, and one of them may be ahead: a change that does not follow is kept for
//! a moment, in which the book stays as it is. Only when what is missing has not come by then is the book given up.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

use crate::{
    book::{Book, Loss, Rule, Step, Taken},
    budget::Purpose,
    wire::{Diff, Scale, Snapshot},
};

/// Changes that wait for one before them: at ten a second, six seconds of both connections.
const MOST_AHEAD: usize = 128;

/// A book, and what came too early for it.
#[derive(Debug)]
pub(super) struct Follow {
    book: Book,
    /// By their last id.
    ahead: BTreeMap<i64, Diff>,
    /// Since when something is missing.
    gap_since: Option<Instant>,
    /// When the latest change was sent, by the exchange's clock.
    time_ms: i64,
}

impl Follow {
    /// Of an exchange whose snapshots have at most so many levels of each side.
    pub(super) fn new(limit: usize) -> Self {
        let book = Book::new(Rule::Spot, Scale { price: 0, quantity: 0 }).limited(limit);
        Self { book, ahead: BTreeMap::new(), gap_since: None, time_ms: 0 }
    }

    pub(super) fn book(&self) -> &Book {
        &self.book
    }

    /// When the latest change was sent, by the exchange's clock, in milliseconds since 1970.
    pub(super) fn time_ms(&self) -> i64 {
        self.time_ms
    }

    pub(super) fn is_live(&self) -> bool {
        self.book.last_id().is_some()
    }

    /// Takes a change; says why the book is lost, where it is.
    pub(super) fn change(&mut self, event_ms: i64, diff: Diff, now: Instant) -> Option<Loss> {
        self.time_ms = self.time_ms.max(event_ms);
        if self.book.is_ahead(&diff) {
            self.ahead.insert(diff.last, diff);
            self.gap_since.get_or_insert(now);
            return if self.ahead.len() > MOST_AHEAD { self.give_up() } else { None };
        }
        match self.book.diff(diff) {
            Step::Lost(lost) => self.give_up().or(Some(lost)),
            Step::Applied => self.catch_up(now),
            Step::Buffered | Step::Stale => None,
        }
    }

    /// Takes a snapshot that was asked for.
    pub(super) fn snapshot(&mut self, snapshot: &Snapshot, now: Instant) -> (Taken, Option<Loss>) {
        let taken = self.book.snapshot(snapshot);
        let lost = if matches!(taken, Taken::Live { .. }) { self.catch_up(now) } else { None };
        (taken, lost)
    }

    /// Lets those follow that were waiting for what has come.
    fn catch_up(&mut self, now: Instant) -> Option<Loss> {
        while let Some((_, diff)) = self.ahead.pop_first() {
            if self.book.is_ahead(&diff) {
                self.ahead.insert(diff.last, diff);
                // Something has come: what is still missing has as much time again.
                self.gap_since = Some(now);
                return None;
            }
            if let Step::Lost(lost) = self.book.diff(diff) {
                return self.give_up().or(Some(lost));
            }
        }
        self.gap_since = None;
        None
    }

    /// When the book is to be given up unless what is missing comes.
    pub(super) fn gives_up_at(&self, patience: Duration) -> Option<Instant> {
        self.gap_since.map(|since| since + patience)
    }

    /// What is missing does not come: the book is lost, and what came after it waits for a snapshot.
    pub(super) fn give_up(&mut self) -> Option<Loss> {
        self.gap_since = None;
        let mut first = None;
        for (_, diff) in std::mem::take(&mut self.ahead) {
            if let Step::Lost(lost) = self.book.diff(diff) {
                first.get_or_insert(lost);
            }
        }
        first
    }

    /// What a snapshot is needed for, if one is.
    pub(super) fn wants(&self) -> Option<Purpose> {
        if self.book.needs_snapshot() { Some(Purpose::Book) } else { self.book.is_shallow().then_some(Purpose::Deeper) }
    }

    /// A snapshot is being asked for.
    pub(super) fn expect_snapshot(&mut self) {
        self.book.expect_snapshot();
    }
}

#[cfg(test)]
#[path = "follow_tests.rs"]
mod tests;
