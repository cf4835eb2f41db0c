//! How many requests a second: what the person allows, and what the host did not refuse. Pure.
//!
//! After a first refusal, nine tenths of what it accepted in the second before, and 5 % more each second until it refuses again. Then
//! 0.95 of the rate that was refused, for a minute; then 1 % more each second, until it refuses once more.
//!
//! What was on its way when a refusal came tells more, if it is enough: the host has no credit left then, and accepts just what it
//! allows.
//!
//! Requests are spread evenly, but for those that are late by at most 20 ms: so late may a timer be.

use std::time::Duration;

use super::{
    Reason, Time,
    recent::{COUNTED, GRAIN, Recent},
};

/// Over what time the first refusal looks back: before, there were fewer slots.
const FIRST: Duration = Duration::from_secs(1);
/// A pause as long as this belongs to the time in which was accepted what was: so do limits per minute.
const LONG: Duration = Duration::from_secs(5);
/// How long a rate is kept before more is tried.
const KEEP: Duration = Duration::from_secs(60);
/// How late a timer may be.
const LATE: Duration = Duration::from_millis(20);
/// The same for a rate that is not well known.
const KEEP_ROUGH: Duration = Duration::from_secs(10);
/// How much faster each second: where a burst was all that was accepted, where not enough is known, where it is, and after a while.
const DOUBLING: f64 = 2.0;
const FAST: f64 = 1.2;
const SLOW: f64 = 1.05;
const SLOWEST: f64 = 1.01;
/// So many accepted requests tell a rate.
const ENOUGH: u32 = 20;
/// The lowest rate: one request in ten seconds.
const LOWEST: f64 = 0.1;
/// No rate grows beyond this: nothing is as fast.
const HIGHEST: f64 = 1e6;

#[derive(Debug)]
pub(super) struct Allowance {
    /// What the person allows.
    asked: Option<f64>,
    found: Found,
    /// A limit for as long as the host fails.
    crawl: Option<f64>,
    /// What may be sent at once, and when that was so.
    tokens: f64,
    at: Time,
    /// When a request last had to wait.
    waited: Option<Time>,
    /// When the host was asked again after the last pause, or first.
    since: Time,
    /// What became of the requests that were on their way at the last refusal.
    wave: Option<Wave>,
}

/// Requests sent from one that was refused until all were stopped.
#[derive(Debug)]
struct Wave {
    began: Time,
    ended: Time,
    accepted: u32,
}

/// What the host has shown of its limit.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Found {
    Nothing,
    /// It refused once: this rate grows by this factor each second.
    Once(f64, f64),
    /// It refused more than once: this rate is kept until then.
    Well(f64, Time),
}

impl Allowance {
    pub(super) fn new(asked: Option<f64>) -> Self {
        Self {
            asked: asked.map(|rate| rate.clamp(LOWEST, HIGHEST)),
            found: Found::Nothing,
            crawl: None,
            tokens: 1.0,
            at: Time::ZERO,
            waited: None,
            since: Time::ZERO,
            wave: None,
        }
    }

    /// Requests a second, if that is limited.
    pub(super) fn rate(&self) -> Option<f64> {
        let found = match self.found {
            Found::Nothing => None,
            Found::Once(rate, _) | Found::Well(rate, _) => Some(rate),
        };
        [self.asked, found, self.crawl].into_iter().flatten().reduce(f64::min)
    }

    /// Whether a request had to wait for the rate in the last second.
    pub(super) fn binds(&self, now: Time) -> bool {
        self.waited.is_some_and(|waited| now.saturating_sub(waited) < Duration::from_secs(1))
    }

    /// Whose limit the rate is.
    pub(super) fn reason(&self) -> Reason {
        if self.asked.is_some() && self.asked == self.rate() { Reason::Asked } else { Reason::Allowed }
    }

    /// Takes one request out, or says when there will be one.
    pub(super) fn take(&mut self, now: Time) -> Result<(), Time> {
        let Some(rate) = self.fill(now) else { return Ok(()) };
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        self.waited = Some(now);
        // Rounded up, so that there is one when that moment has come.
        Err(now + Duration::from_secs_f64((1.0 - self.tokens) / rate) + Duration::from_nanos(1000))
    }

    /// Whether a request that is asked for now need not wait.
    pub(super) fn has(&mut self, now: Time) -> bool {
        self.fill(now).is_none() || self.tokens >= 1.0
    }

    /// Puts back what was taken for a request that is not sent.
    pub(super) fn put_back(&mut self) {
        self.tokens += 1.0;
    }

    /// Puts in what the time has brought; none where there is no limit.
    fn fill(&mut self, now: Time) -> Option<f64> {
        self.grow(now);
        let rate = self.rate();
        if let Some(rate) = rate {
            let passed = now.saturating_sub(self.at).as_secs_f64();
            self.tokens = (self.tokens + passed * rate).min(1.0 + rate * LATE.as_secs_f64());
        }
        self.at = self.at.max(now);
        rate
    }

    /// Takes in that a request sent at `sent` was accepted.
    pub(super) fn accepted(&mut self, sent: Time) {
        if let Some(wave) = self.wave.as_mut().filter(|wave| wave.began <= sent && sent <= wave.ended) {
            wave.accepted += 1;
        }
    }

    pub(super) fn crawl(&mut self, rate: Option<f64>) {
        self.crawl = rate;
    }

    /// Takes in that the host refused a request sent at `sent`, and is asked again at `until`; `limits` says whether it did so because
    /// there were too many. `accepted` are those that it did not refuse.
    pub(super) fn refused(&mut self, now: Time, sent: Time, until: Time, limits: bool, accepted: &Recent) {
        self.grow(now);
        self.wave = Some(Wave { began: sent, ended: now, accepted: 0 });
        let (active, pause) = (now.saturating_sub(self.since), until.saturating_sub(now));
        let recent = accepted.rate_in(now, active.min(FIRST));
        let counted = active.min(COUNTED);
        let counts = if limits { counted + pause } else { counted };
        let sustained = f64::from(accepted.count_in(now, counted)) / counts.max(GRAIN).as_secs_f64();
        let keep = until + KEEP;
        self.found = match self.found {
            // Limits per minute or hour: what was accepted is all there is until the pause is over.
            _ if limits && pause >= LONG && pause > active => Found::Well(least(0.98 * sustained), keep),
            // A burst at the beginning says little.
            Found::Nothing if active < FIRST => Found::Once(sustained.max(1.0), DOUBLING),
            Found::Nothing => Found::Once((0.9 * recent).max(1.0), FAST),
            Found::Once(rate, _) | Found::Well(rate, _) if active < FIRST => Found::Well(least(0.7 * rate), keep),
            Found::Once(_, growth) if growth > SLOW => Found::Well(least(0.9 * recent), until + KEEP_ROUGH),
            Found::Once(rate, _) | Found::Well(rate, _) => {
                // A rate that was not reached was not what was refused.
                let enough = Duration::from_secs_f64(20.0 / rate).clamp(FIRST, COUNTED).min(active);
                Found::Well(least(0.95 * rate.min(1.1 * accepted.rate_in(now, enough))), keep)
            }
        };
    }

    /// Begins to count anew, with one request at once.
    pub(super) fn resume(&mut self, now: Time) {
        (self.since, self.at, self.tokens) = (now, now, 0.0);
        let Some(wave) = self.wave.take().filter(|wave| wave.accepted >= ENOUGH) else { return };
        let allowed = f64::from(wave.accepted) / (wave.ended - wave.began).as_secs_f64();
        match &mut self.found {
            Found::Nothing => {}
            // Where all slots had been filled at once, little was on its way behind the one that was refused.
            Found::Once(rate, _) if 0.95 * allowed < *rate => {}
            Found::Once(..) => self.found = Found::Once(0.95 * allowed, SLOW),
            // What was found already is 0.95 of what was refused.
            Found::Well(rate, keep) => {
                *rate = least(0.97 * allowed).clamp(0.7 * *rate, *rate);
                *keep = now + KEEP;
            }
        }
    }

    /// Lets a rate grow with the time that has passed.
    fn grow(&mut self, now: Time) {
        let passed = now.saturating_sub(self.at.max(self.since)).as_secs_f64();
        match &mut self.found {
            Found::Once(rate, growth) => *rate = (*rate * growth.powf(passed)).min(HIGHEST),
            Found::Well(rate, keep) if *keep < now => {
                let passed = now.saturating_sub(self.at.max(*keep)).as_secs_f64();
                *rate = (*rate * SLOWEST.powf(passed)).min(HIGHEST);
            }
            _ => {}
        }
    }
}

fn least(rate: f64) -> f64 {
    rate.max(LOWEST)
}
