//! How far a job is, for a person: the bar, the lines of a log, the last words.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt::Write as _,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    answer::Class,
    pace::{Limits, Pace, Reason, Time, Why},
    store::{Committed, What},
    words::{bytes, count, number, span},
};

/// Over what time the rate is taken.
const RATE: Duration = Duration::from_secs(10);
/// The shortest bar that is drawn, and what stands around it.
const LEAST: usize = 8;
const BRACKETS: usize = 3;
/// How often it is noted how much has come.
const NOTE: Duration = Duration::from_millis(250);

/// How far a job is. Written by the slots and the store, read by whoever shows it.
#[derive(Debug)]
pub struct Progress {
    numbers: Mutex<Numbers>,
    began: Instant,
}

/// What has come of a job so far.
#[derive(Debug, Clone, Default)]
pub struct Numbers {
    /// Tiles that this run is to ask for.
    pub wanted: u64,
    /// Tiles of the area that were there before, empty ones included.
    pub before: u64,
    /// How many of those are empty.
    pub empty_before: u64,
    /// Tiles that failed for good before, and are not asked for.
    pub given_up: u64,
    /// What has arrived in this run.
    pub arrived: Committed,
    /// What of it is safe in the file.
    pub safe: Committed,
    /// Tiles that the server does not have any more, and that stay.
    pub gone: u64,
    /// Tiles of the area that are missing after a run that asked for a part of them.
    pub missing: u64,
    /// Failures of this run that stay, by class.
    pub failed: BTreeMap<Class, u64>,
    /// Answers after which a tile was asked for again, by class.
    pub again: BTreeMap<Class, u64>,
    /// Pauses that the server asked for, or that it needed.
    pub pauses: u64,
    /// What limits the requests.
    limits: Option<(Limits, Time, Instant)>,
    in_flight: u32,
    /// How much had come at what time.
    notes: VecDeque<(Instant, u64)>,
    /// Nothing more is drawn.
    over: bool,
}

impl Default for Progress {
    fn default() -> Self {
        Self { numbers: Mutex::default(), began: Instant::now() }
    }
}

impl Numbers {
    /// Tiles of this run of which it is known what they are.
    pub fn done(&self) -> u64 {
        let Committed { stored, empty, unchanged, failed, .. } = self.arrived;
        stored + empty + unchanged + failed
    }

    /// Tiles of this run of which it is not.
    pub fn left(&self) -> u64 {
        self.wanted.saturating_sub(self.done())
    }

    /// Tiles of the area that failed, in this run or before.
    pub fn failures(&self) -> u64 {
        self.arrived.failed + self.given_up
    }

    fn rate(&self, now: Instant) -> f64 {
        let Some((since, then)) = self.notes.front() else { return 0.0 };
        let passed = now.saturating_duration_since(*since).as_secs_f64();
        if passed < 0.1 { 0.0 } else { (self.done() - then) as f64 / passed }
    }

    fn note(&mut self, now: Instant) {
        if self.notes.back().is_none_or(|(last, _)| now.saturating_duration_since(*last) >= NOTE) {
            self.notes.push_back((now, self.done()));
            while self.notes.front().is_some_and(|(first, _)| now.saturating_duration_since(*first) > RATE) {
                self.notes.pop_front();
            }
        }
    }
}

impl Progress {
    fn numbers(&self) -> MutexGuard<'_, Numbers> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far it is now.
    pub fn now(&self) -> Numbers {
        self.numbers().clone()
    }

    /// How long it has taken so far.
    pub fn took(&self) -> Duration {
        self.began.elapsed()
    }

    pub(crate) fn begin(&self, wanted: u64, before: u64, empty_before: u64, given_up: u64) {
        let mut numbers = self.numbers();
        (numbers.wanted, numbers.before, numbers.given_up) = (wanted, before, given_up);
        numbers.empty_before = empty_before;
        numbers.note(Instant::now());
    }

    pub(crate) fn arrived(&self, what: &What) {
        let mut numbers = self.numbers();
        numbers.arrived.count(what);
        // Without a bar, nobody else looks often enough to know a rate.
        numbers.note(Instant::now());
        if let What::Failed { class, .. } = what {
            *numbers.failed.entry(*class).or_default() += 1;
        }
    }

    pub(crate) fn safe(&self, committed: Committed) {
        self.numbers().safe += committed;
    }

    pub(crate) fn trouble(&self, class: Class) {
        *self.numbers().again.entry(class).or_default() += 1;
    }

    /// What arrived as empty stays as it was.
    pub(crate) fn gone(&self) {
        let mut numbers = self.numbers();
        numbers.gone += 1;
        numbers.arrived.empty -= 1;
        numbers.arrived.unchanged += 1;
    }

    pub(crate) fn missing(&self, missing: u64) {
        self.numbers().missing = missing;
    }

    pub(crate) fn paused(&self) {
        self.numbers().pauses += 1;
    }

    pub(crate) fn limits(&self, now: Time, pace: &Pace) {
        let mut numbers = self.numbers();
        (numbers.limits, numbers.in_flight) = (Some((pace.limits(now), now, Instant::now())), pace.in_flight());
    }

    /// Nothing more is drawn: the last words are said.
    pub(crate) fn over(&self) {
        self.numbers().over = true;
    }

    /// The line at the bottom of a terminal.
    pub fn line(&self, width: usize) -> String {
        let now = Instant::now();
        let mut numbers = self.numbers();
        if numbers.over || numbers.wanted == 0 {
            return String::new();
        }
        numbers.note(now);
        let all = numbers.wanted;
        let share = numbers.done() as f64 / all as f64;
        // What matters most first: what does not fit is left out.
        let mut parts = vec![format!("{:>3} %", (share * 100.0) as u64), format!("{} left", number(numbers.left()))];
        parts.push(format!("{}/s", number(numbers.rate(now).round() as u64)));
        parts.extend(eta(&numbers, now).map(|eta| format!("ETA {eta}")));
        let failed = numbers.failures();
        if failed > 0 {
            parts.push(format!("{} failed", number(failed)));
        }
        parts.extend(Self::limit(&numbers));
        let first = parts.len();
        parts.push(format!("{} stored", number(numbers.arrived.stored + numbers.arrived.unchanged)));
        if numbers.arrived.empty > 0 {
            parts.push(format!("{} empty", number(numbers.arrived.empty)));
        }
        parts.push(bytes(numbers.arrived.bytes));
        drop(numbers);
        let mut line = String::new();
        for (at, part) in parts.into_iter().enumerate() {
            // The last ones leave room for a short bar.
            let width = if at < first { width } else { width.saturating_sub(LEAST + BRACKETS) };
            let gap = if line.is_empty() { 0 } else { 2 };
            if line.chars().count() + gap + part.chars().count() > width {
                continue;
            }
            line.push_str(&" ".repeat(gap));
            line.push_str(&part);
        }
        let room = width.saturating_sub(line.chars().count() + BRACKETS).min(30);
        if room >= LEAST {
            let full = (share * room as f64) as usize;
            let head = if full < room { ">" } else { "" };
            line = format!("[{}{head}{}] {line}", "=".repeat(full), " ".repeat(room - full - head.len()));
        }
        line
    }

    /// A line for a log.
    pub fn log(&self) -> String {
        let now = Instant::now();
        let mut numbers = self.numbers();
        numbers.note(now);
        let mut line = format!(
            "{} of {}: {} stored, {} empty, {} failed, {} left, {}/s, {}",
            number(numbers.done()),
            count(numbers.wanted, "tile"),
            number(numbers.arrived.stored + numbers.arrived.unchanged),
            number(numbers.arrived.empty),
            number(numbers.failures()),
            number(numbers.left()),
            number(numbers.rate(now).round() as u64),
            bytes(numbers.arrived.bytes),
        );
        if let Some(eta) = eta(&numbers, now) {
            let _ = write!(line, ", ETA {eta}");
        }
        if let Some(limit) = Self::limit(&numbers) {
            let _ = write!(line, ", {limit}");
        }
        line
    }

    /// What limits the requests, in a few words.
    fn limit(numbers: &Numbers) -> Option<String> {
        let (Limits { slots, rate, reason }, then, at) = numbers.limits?;
        let because = |why: Why| match why {
            Why::Refused(status) => status.to_string(),
            Why::Unreachable => "unreachable".to_owned(),
        };
        let allowed = rate.map(|rate| format!("{}/s", number(rate.round().max(1.0) as u64))).unwrap_or_default();
        Some(match reason {
            Reason::Paused { until, why } => {
                let left = until.saturating_sub(then + at.elapsed());
                format!("{}: waiting {}", because(why), span(left))
            }
            Reason::Probing(why) => format!("{}: trying one", because(why)),
            Reason::Failing => "server fails: trying slowly".to_owned(),
            Reason::Allowed => format!("server allows {allowed}"),
            Reason::Asked => format!("--rate {allowed}"),
            Reason::Starting => format!("{slots} at once, finding out"),
            Reason::Latency => format!("{slots} at once, more is slower"),
            Reason::Errors => format!("{slots} at once, after errors"),
            Reason::Enough => format!("{slots} at once, more is no faster"),
            Reason::Ceiling => format!("{slots} at once, as allowed"),
        })
    }
}

fn eta(numbers: &Numbers, now: Instant) -> Option<String> {
    let rate = numbers.rate(now);
    // One that is beyond all numbers is none.
    let left = Duration::try_from_secs_f64(numbers.left() as f64 / rate).ok()?;
    (rate >= 0.01 && !left.is_zero()).then(|| span(left))
}

#[cfg(test)]
#[path = "progress_tests.rs"]
mod tests;
