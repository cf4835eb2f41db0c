//! When a host is left alone: because it refuses for a while, cannot be reached, or does not want us. Pure.

use std::time::Duration;

use super::{LONGEST_PAUSE, Order};
use crate::pace::{Load, Time, Why};

/// Pauses of our own double up to this.
const LONGEST_OWN: u64 = 60;
/// So many requests in a row without a connection, and the host is taken to be away.
const AWAY: u32 = 4;
/// So many pauses and never a connection: 15 s.
const NEVER: u32 = 4;
/// Refusals in a row that end the job.
const REFUSALS: u32 = 5;
/// Of so many answers more than half must not be refusals.
pub(super) const WINDOW: u32 = 20;

/// Pauses, and how long they have been going on.
#[derive(Debug, Default)]
pub(super) struct Waits {
    /// Since when nothing else has come.
    since: Option<Time>,
    until: Time,
    /// Pauses in a row.
    pauses: u32,
    /// Requests in a row without a connection.
    away: u32,
    /// Whether there ever was an answer.
    answered: bool,
    /// When an answer that was no error last came, but for those of requests that were on their way in a pause.
    accepted: Option<Time>,
}

impl Waits {
    /// Takes in an answer that does not ask to wait.
    pub(super) fn answered(&mut self, now: Time) {
        (self.away, self.answered) = (0, true);
        // What was sent before the pause says nothing of its end.
        if now >= self.until {
            (self.since, self.pauses) = (None, 0);
        }
    }

    /// Takes in that an answer was no error.
    pub(super) fn accepted(&mut self, now: Time) {
        if now >= self.until {
            self.accepted = Some(now);
        }
    }

    /// Whether one came after that.
    pub(super) fn accepted_since(&self, then: Time) -> bool {
        self.accepted.is_some_and(|at| at > then)
    }

    /// How long to wait after an answer that asks for it, perhaps without saying how long.
    pub(super) fn refused(&mut self, now: Time, wait: Option<Duration>, why: Why) -> Order {
        (self.away, self.answered) = (0, true);
        self.pause(now, wait.unwrap_or_default(), why)
    }

    /// Takes in that there was no connection; whether that counts as a try of the tile, which it does not while the host is away.
    pub(super) fn unreachable(&mut self, now: Time) -> (Option<Order>, bool) {
        self.away += 1;
        if self.away < AWAY {
            return (None, true);
        }
        if !self.answered && self.pauses >= NEVER && now >= self.until {
            return (Some(Order::Unreachable), false);
        }
        (Some(self.pause(now, Duration::ZERO, Why::Unreachable)), false)
    }

    /// A pause as long as was asked for, at least one that doubles with each that was in vain. What comes within a pause belongs to
    /// what began it, and only makes it longer if it asks for that.
    fn pause(&mut self, now: Time, asked: Duration, why: Why) -> Order {
        let since = *self.since.get_or_insert(now);
        let own = if now < self.until {
            0
        } else {
            self.pauses += 1;
            LONGEST_OWN.min(1 << (self.pauses - 1).min(10))
        };
        let wait = asked.max(Duration::from_secs(own));
        if wait > LONGEST_PAUSE || now.saturating_sub(since) >= LONGEST_PAUSE {
            return Order::ComeBack { after: wait, why };
        }
        self.until = self.until.max(now + wait);
        Order::Pause { until: self.until, why }
    }
}

/// Whether a status says that we are not wanted.
pub(super) fn is_refusal(status: u16) -> bool {
    matches!(status, 401 | 403 | 407 | 418 | 451)
}

/// Whether the last answers say that we are not wanted.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    in_a_row: u32,
    /// One bit for each of the last answers, set for refusals.
    last: u32,
    answers: u64,
}

impl Blocks {
    /// How many answers were taken in.
    pub(super) fn judged(&self) -> u64 {
        self.answers
    }

    /// Takes in a status. Errors of the server say nothing, and a redirect only where the answer is to be had.
    pub(super) fn answered(&mut self, status: u16, load: Load) -> Option<Order> {
        if load == Load::Trouble || matches!(status, 300..=303 | 305..=399) {
            return None;
        }
        let refused = is_refusal(status);
        self.in_a_row = if refused { self.in_a_row + 1 } else { 0 };
        self.last = (self.last << 1 | u32::from(refused)) & ((1 << WINDOW) - 1);
        self.answers += 1;
        let of_last = self.last.count_ones();
        if self.in_a_row >= REFUSALS {
            Some(Order::Blocked { status, refused: self.in_a_row, of: self.in_a_row })
        } else if refused && self.answers >= u64::from(WINDOW) && of_last > WINDOW / 2 {
            Some(Order::Blocked { status, refused: of_last, of: WINDOW })
        } else {
            None
        }
    }
}
