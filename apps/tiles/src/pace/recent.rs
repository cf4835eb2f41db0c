//! How much came in the last ten seconds. Pure.

use std::{collections::VecDeque, time::Duration};

use super::Time;

/// How far it looks back.
pub(super) const COUNTED: Duration = Duration::from_secs(10);
/// The grain of counting.
pub(super) const GRAIN: Duration = Duration::from_millis(50);

/// How many, by the time in grains; oldest first.
#[derive(Debug, Default)]
pub(super) struct Recent(VecDeque<(u128, u32)>);

impl Recent {
    pub(super) fn add(&mut self, now: Time) {
        let grain = now.as_nanos() / GRAIN.as_nanos();
        match self.0.back_mut() {
            Some((last, count)) if *last == grain => *count += 1,
            _ => self.0.push_back((grain, 1)),
        }
        let oldest = now.saturating_sub(COUNTED).as_nanos() / GRAIN.as_nanos();
        while self.0.front().is_some_and(|(grain, _)| *grain < oldest) {
            self.0.pop_front();
        }
    }

    /// How many in so much time before now.
    pub(super) fn count_in(&self, now: Time, last: Duration) -> u32 {
        let from = now.saturating_sub(last).as_nanos() / GRAIN.as_nanos();
        self.0.iter().filter(|(grain, _)| *grain >= from).map(|(_, count)| count).sum()
    }

    /// How many a second, in so much time before now.
    pub(super) fn rate_in(&self, now: Time, last: Duration) -> f64 {
        f64::from(self.count_in(now, last)) / last.max(GRAIN).as_secs_f64()
    }
}
