//! How many requests a host gets at once, and how many a second. Pure: `(event, now) -> limits`.
//!
//! Two limits, because hosts have two kinds: what a host *can* shows in its latency and its errors and limits the number of requests
//! at once (`slots`); what it *allows* shows in refusals and limits their rate (`allowance`). Fewer slots do not cure a refusal.
//!
//! A refusal stops all requests to the host for as long as it says. Then one request goes ahead, and the rest follow when it was
//! accepted. Where every answer is an error there are ten requests a second, until one is not.
//!
//! Times are durations since the job began.

mod allowance;
mod recent;
mod slots;

use std::time::Duration;

use self::{
    allowance::Allowance,
    recent::{COUNTED, Recent},
    slots::Slots,
};

/// A moment: how long after the job began.
pub type Time = Duration;

/// No job begins with fewer slots: the few that were left at the end of a bad run are a bad beginning.
pub const FIRST_SLOTS: u32 = 4;
/// So many errors in a row, and every answer is taken to be one.
const FAILING: u32 = 20;
/// Requests a second while that is so.
const CRAWL: f64 = 10.0;
/// An error that took longer, such as a timeout, is set against all that was answered meanwhile.
const LONG: Duration = Duration::from_millis(250);

/// What an answer says of the host's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// It answered, whatever it said.
    Fine,
    /// It asked for fewer requests; the job calls [`Pace::pause`] as well.
    Refused,
    /// It failed or did not answer in time.
    Trouble,
}

/// Whether a request may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permit {
    /// It counts as sent.
    Go,
    /// Not before this moment; ask again then, or when an answer comes.
    Wait(Time),
    /// Not before an answer comes.
    Full,
}

/// Why all requests to a host are stopped for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It refused, with this status.
    Refused(u16),
    /// It cannot be reached.
    Unreachable,
}

/// What limits the requests, most pressing first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// All are stopped until then.
    Paused {
        /// When one goes ahead.
        until: Time,
        /// Why.
        why: Why,
    },
    /// One went ahead after a pause; its answer is awaited.
    Probing(Why),
    /// Every answer is an error.
    Failing,
    /// The host refused more than this rate.
    Allowed,
    /// The person asked for no higher rate.
    Asked,
    /// The number of slots is still being found.
    Starting,
    /// More slots made the host slower.
    Latency,
    /// More than 2 % of the answers were errors.
    Errors,
    /// More slots did not make it faster.
    Enough,
    /// There are as many slots as the person allows.
    Ceiling,
}

/// The limits at a moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Requests at once.
    pub slots: u32,
    /// Requests a second.
    pub rate: Option<f64>,
    /// What makes them so.
    pub reason: Reason,
}

/// The requests to one host.
#[derive(Debug)]
pub struct Pace {
    slots: Slots,
    allowance: Allowance,
    in_flight: u32,
    stop: Stop,
    /// When the last refused request was sent.
    refused: Time,
    /// How many errors there were since the last answer that was none.
    errors: u32,
    /// Answers that were none, and errors that took long.
    accepted: Recent,
    late: Recent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    None,
    Until(Time, Why),
    /// A request went ahead at this moment.
    Probe(Time, Why),
}

impl Pace {
    /// Begins with `start` slots, such as an earlier run has found good, at least [`FIRST_SLOTS`], and never has more than `ceiling`, at
    /// least 1. `rate` is what the person allows a second.
    pub fn new(start: u32, ceiling: u32, rate: Option<f64>) -> Self {
        Self {
            slots: Slots::new(start.max(FIRST_SLOTS), ceiling.max(1)),
            allowance: Allowance::new(rate),
            in_flight: 0,
            stop: Stop::None,
            refused: Time::ZERO,
            errors: 0,
            accepted: Recent::default(),
            late: Recent::default(),
        }
    }

    /// Whether a request may be sent now. After [`Permit::Go`] it has to be, and [`Self::answered`] or [`Self::dropped`] be called.
    pub fn ask(&mut self, now: Time) -> Permit {
        match self.stop {
            Stop::Until(until, _) if now < until => return Permit::Wait(until),
            Stop::Until(_, why) => {
                self.stop = Stop::Probe(now, why);
                self.in_flight += 1;
                return Permit::Go;
            }
            Stop::Probe(..) => return Permit::Full,
            Stop::None => {}
        }
        if self.is_full(now) {
            match self.slots.due() {
                Some(at) if now < at => return Permit::Wait(at),
                Some(_) => self.slots.is_due(now),
                None => {}
            }
            if self.in_flight >= self.slots.count() {
                return Permit::Full;
            }
        }
        match self.allowance.take(now) {
            Ok(()) => {
                self.in_flight += 1;
                // Whoever asks next would have to wait: they need not ask to be told.
                self.is_full(now);
                Permit::Go
            }
            Err(next) => Permit::Wait(next),
        }
    }

    /// Takes in what an answer says of the host; `sent` is when its request was.
    pub fn answered(&mut self, now: Time, sent: Time, load: Load) {
        self.is_full(now);
        self.in_flight = self.in_flight.saturating_sub(1);
        let latency = now.saturating_sub(sent);
        match load {
            Load::Fine => {
                self.errors = 0;
                self.accepted.add(now);
                self.allowance.accepted(sent);
            }
            Load::Refused => self.refused = sent,
            Load::Trouble => {
                self.errors += 1;
                if latency > LONG {
                    self.late.add(now);
                }
            }
        }
        match self.stop {
            Stop::Probe(since, _) if sent >= since && load != Load::Refused => self.resume(now),
            Stop::None if load != Load::Refused => {}
            _ => return self.probe_again(now),
        }
        let failing = self.failing();
        self.allowance.crawl(failing.then_some(CRAWL));
        // That one tile takes too long says nothing of the host while others come well.
        if load == Load::Fine || latency <= LONG || self.are_many_late(now) {
            self.slots.answered(now, latency, load == Load::Trouble);
        }
    }

    fn are_many_late(&self, now: Time) -> bool {
        self.late.count_in(now, COUNTED) * 50 > self.accepted.count_in(now, COUNTED)
    }

    /// Whether all slots are in use; notes it where nothing else keeps a request waiting.
    fn is_full(&mut self, now: Time) -> bool {
        let full = self.in_flight >= self.slots.count();
        if full && self.allowance.has(now) {
            self.slots.were_full();
        }
        full
    }

    /// Whether somebody should ask though all slots are in use, to be told when more may come without an answer.
    pub fn wants_a_look(&self) -> bool {
        self.stop == Stop::None && self.in_flight >= self.slots.count() && self.slots.due().is_some()
    }

    /// Whether the next request goes ahead alone, to see whether the host has become better.
    pub fn probes_next(&self) -> bool {
        matches!(self.stop, Stop::Until(..))
    }

    /// Takes in that the request that has just been permitted is not sent.
    pub fn unsent(&mut self, now: Time) {
        self.allowance.put_back();
        self.dropped(now);
    }

    /// Takes in that a request ended without an answer that says anything of the host, such as one that was cancelled.
    pub fn dropped(&mut self, now: Time) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.probe_again(now);
    }

    /// Lets another request go ahead if the one that did has ended and said nothing.
    fn probe_again(&mut self, now: Time) {
        if let Stop::Probe(_, why) = self.stop
            && self.in_flight == 0
        {
            self.stop = Stop::Until(now, why);
        }
    }

    fn failing(&self) -> bool {
        self.errors >= FAILING
    }

    /// Stops all requests until a moment. Several refusals of one wave are one: the latest moment counts.
    pub fn pause(&mut self, now: Time, until: Time, why: Why) {
        if let Stop::Until(before, why) = self.stop {
            self.stop = Stop::Until(before.max(until), why);
            return;
        }
        if let Why::Refused(status) = why {
            // 503 is a server that is down for a while, and says nothing of how much it allows in that time.
            self.allowance.refused(now, self.refused, until, status != 503, &self.accepted);
        }
        self.stop = Stop::Until(until, why);
    }

    /// The limits now, and what makes them so.
    pub fn limits(&self, now: Time) -> Limits {
        let rate = self.allowance.rate();
        let reason = match self.stop {
            Stop::Until(until, why) => Reason::Paused { until, why },
            Stop::Probe(_, why) => Reason::Probing(why),
            Stop::None if self.failing() => Reason::Failing,
            Stop::None if self.allowance.binds(now) => self.allowance.reason(),
            Stop::None => self.slots.reason(),
        };
        Limits { slots: self.slots.count(), rate, reason }
    }

    /// Requests that are sent and not answered.
    pub fn in_flight(&self) -> u32 {
        self.in_flight
    }

    fn resume(&mut self, now: Time) {
        self.stop = Stop::None;
        self.slots.restart();
        self.allowance.resume(now);
    }
}

#[cfg(test)]
#[path = "pace_tests.rs"]
mod tests;
