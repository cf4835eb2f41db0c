//! How many requests at once: by the latency of the answers and the errors among them. Pure.
//!
//! At the end of each tick (at least 250 ms and 20 answers) in which a request waited for a slot, the number is raised: doubled at first,
//! later by a tenth. A raise is taken back if it made nothing faster and the answers slower: in a host that has enough to do, whatever is
//! asked beyond that waits, and the median latency grows with the number. Where it does not, the slots are busy with tiles that take long
//! by themselves, and more slots are what helps; the rate of so short a time says nothing then.
//!
//! It is lowered by a tenth when the median is more than twice the lowest of the last 30 s, and halved when more than 2 % of the answers
//! were errors, at once where these come in a burst. After a change a tick begins when the answers show it.

use std::{collections::VecDeque, time::Duration};

use super::{Reason, Time};

const TICK: Duration = Duration::from_millis(250);
const ANSWERS: usize = 20;
/// So many errors, if they are more than a quarter of all answers, end a tick before its time: where one connection too many is refused
/// at once, its slot would fail one tile after the other while those that work are still at their first.
const SUDDEN: usize = 5;
/// For how long the lowest latency is remembered.
const BASE: Duration = Duration::from_secs(30);
/// For how long nothing more is tried after more slots did not help.
const HOLD: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Slots {
    count: u32,
    ceiling: u32,
    /// Doubling goes on up to here.
    double_to: u32,
    reason: Reason,
    tick: Tick,
    /// Medians of ticks that may yet be the lowest, oldest and lowest first.
    base: VecDeque<(Time, Duration)>,
    /// What was before the last raise of which it is not known whether it helped.
    raise: Option<Raise>,
    /// The median at which the number was lowered in the tick before.
    lowered_at: Option<Duration>,
    hold_until: Time,
}

#[derive(Debug)]
struct Raise {
    count: u32,
    rate: f64,
    median: Duration,
}

#[derive(Debug, Default)]
struct Tick {
    /// The first answer, or the moment from which on answers count.
    began: Option<Time>,
    latencies: Vec<Duration>,
    errors: usize,
    /// Whether a request had to wait for a slot.
    full: bool,
}

impl Slots {
    pub(super) fn new(start: u32, ceiling: u32) -> Self {
        Self {
            count: start.clamp(1, ceiling),
            ceiling,
            double_to: ceiling,
            reason: Reason::Starting,
            tick: Tick::default(),
            base: VecDeque::new(),
            raise: None,
            lowered_at: None,
            hold_until: Time::ZERO,
        }
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }

    pub(super) fn reason(&self) -> Reason {
        self.reason
    }

    pub(super) fn were_full(&mut self) {
        self.tick.full = true;
    }

    /// Begins a new tick, as after a time in which nothing was asked.
    pub(super) fn restart(&mut self) {
        self.tick = Tick::default();
        self.raise = None;
    }

    /// When the number may be raised though no answer comes: all slots may be busy with tiles that take long.
    pub(super) fn due(&self) -> Option<Time> {
        let enough = self.tick.full && self.tick.latencies.len() >= ANSWERS && self.count < self.ceiling;
        self.tick.began.filter(|_| enough).map(|began| began + TICK)
    }

    /// Takes in that this moment has come.
    pub(super) fn is_due(&mut self, now: Time) {
        if let Some(began) = self.tick.began {
            self.end(now, began);
        }
    }

    /// Takes in an answer.
    pub(super) fn answered(&mut self, now: Time, latency: Duration, error: bool) {
        let began = *self.tick.began.get_or_insert(now);
        if error {
            self.tick.errors += 1;
        } else {
            self.tick.latencies.push(latency);
        }
        // The requests of these answers were sent before the last change.
        if now < began {
            self.tick = Tick { began: Some(began), ..Tick::default() };
            return;
        }
        let answers = self.tick.latencies.len() + self.tick.errors;
        let took = now.saturating_sub(began);
        let sudden = self.tick.errors >= SUDDEN && self.tick.errors * 4 > answers;
        if sudden || took >= TICK && answers >= ANSWERS {
            self.end(now, began);
        }
    }

    fn end(&mut self, now: Time, began: Time) {
        let tick = std::mem::replace(&mut self.tick, Tick { began: Some(now), ..Tick::default() });
        let answers = tick.latencies.len() + tick.errors;
        let rate = tick.latencies.len() as f64 / now.saturating_sub(began).as_secs_f64();
        let median = median(tick.latencies);
        let before = self.count;
        match median {
            Some(median) if tick.errors * 50 <= answers => self.settle(now, median, rate, tick.full),
            _ => self.halve(),
        }
        if self.count != before {
            self.tick.began = Some(now + median.unwrap_or_default());
        }
    }

    fn halve(&mut self) {
        // Doubling goes as far as half of what it was before the first of several halvings.
        let before = if self.reason == Reason::Errors { self.double_to } else { self.count / 2 };
        self.double_to = before.max(1);
        self.count = (self.count / 2).max(1);
        self.reason = Reason::Errors;
        (self.raise, self.lowered_at) = (None, None);
    }

    fn settle(&mut self, now: Time, median: Duration, rate: f64, full: bool) {
        let slow = median > 2 * self.lowest(now, median);
        let lowered_at = self.lowered_at.take();
        if slow && lowered_at.is_some_and(|before| median * 20 >= before * 19) {
            // Fewer slots did not make it faster: these answers take longer by themselves.
            self.base = VecDeque::from([(now, median)]);
        } else if slow {
            self.count = (self.count * 9 / 10).max(1);
            self.double_to = self.double_to.min(self.count);
            self.reason = Reason::Latency;
            (self.raise, self.lowered_at) = (None, Some(median));
        } else if full {
            self.raise(now, median, rate);
        } else {
            self.raise = None;
        }
    }

    /// Raises the number, or takes the last raise back if it did not help.
    fn raise(&mut self, now: Time, median: Duration, rate: f64) {
        let before = self.raise.take().filter(|before| rate < before.rate * 1.02);
        match before {
            Some(before) if before.makes_wait(self.count, median) => {
                self.to(before.count, Reason::Enough);
                self.double_to = before.count;
                self.hold_until = now + HOLD;
            }
            _ if now < self.hold_until || self.count == self.ceiling => {}
            before => {
                // One that has not shown yet what it does is judged together with the next.
                self.raise = before.or(Some(Raise { count: self.count, rate, median }));
                let doubled = self.count.saturating_mul(2).min(self.double_to);
                let raised = self.count + (self.count / 10).max(1);
                self.to(doubled.max(raised).min(self.ceiling), Reason::Starting);
            }
        }
    }

    fn to(&mut self, count: u32, reason: Reason) {
        self.count = count;
        self.reason = if count == self.ceiling { Reason::Ceiling } else { reason };
    }

    /// The lowest median of the last 30 s, this one included.
    fn lowest(&mut self, now: Time, median: Duration) -> Duration {
        while self.base.front().is_some_and(|(at, _)| *at + BASE < now) {
            self.base.pop_front();
        }
        while self.base.back().is_some_and(|(_, other)| *other >= median) {
            self.base.pop_back();
        }
        self.base.push_back((now, median));
        self.base[0].1
    }
}

impl Raise {
    /// Whether the answers take longer at least half as much as there are more slots now: all of it if none of these helps.
    fn makes_wait(&self, count: u32, median: Duration) -> bool {
        let growth = f64::from(count) / f64::from(self.count);
        median > self.median.mul_f64((1.0 + growth) / 2.0)
    }
}

fn median(mut latencies: Vec<Duration>) -> Option<Duration> {
    let middle = latencies.len() / 2;
    (!latencies.is_empty()).then(|| *latencies.select_nth_unstable(middle).1)
}
