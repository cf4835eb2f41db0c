//! How long a stream may be silent before it is looked after. Pure.
//!
//! Streams die silently: pings go on and nothing comes. A busy symbol is missed after seconds, a quiet one may be quiet for a minute: so the
//! limit is four times what only one pause in a thousand has exceeded so far, between a floor and a cap.

use std::time::Duration;

/// Pauses between messages by their length: one bucket for each power of two of milliseconds.
const BUCKETS: usize = 24;
/// So many pauses are needed before they say something.
const ENOUGH: u32 = 200;
/// Then the counts are halved, so that what was long ago counts less.
const MANY: u32 = 20_000;

/// What is known of one symbol's pauses; times are since any fixed moment.
#[derive(Debug, Clone)]
pub(crate) struct Stall {
    limits: (Duration, Duration),
    pauses: [u32; BUCKETS],
    count: u32,
    last: Duration,
    /// Until when its silence is known to be no stall.
    excused: Duration,
}

impl Stall {
    /// A floor and a cap of the limit.
    pub(crate) fn new(limits: (Duration, Duration), now: Duration) -> Self {
        Self { limits, pauses: [0; BUCKETS], count: 0, last: now, excused: now }
    }

    /// A message has come.
    #[inline]
    pub(crate) fn heard(&mut self, now: Duration) {
        let pause = u64::try_from(now.saturating_sub(self.last).as_millis()).unwrap_or(u64::MAX);
        let bucket = (u64::BITS - pause.leading_zeros()) as usize;
        self.pauses[bucket.min(BUCKETS - 1)] += 1;
        self.count += 1;
        if self.count >= MANY {
            self.pauses.iter_mut().for_each(|count| *count /= 2);
            self.count = self.pauses.iter().sum();
        }
        self.last = now;
    }

    /// Whether it has been silent for too long.
    pub(crate) fn is_due(&self, now: Duration) -> bool {
        self.excused.max(self.last + self.limit()) <= now
    }

    /// It was looked after, and is quiet and not dead: it has as much time again.
    pub(crate) fn excuse(&mut self, now: Duration) {
        self.excused = now + self.limit();
    }

    pub(crate) fn silent(&self, now: Duration) -> Duration {
        now.saturating_sub(self.last)
    }

    /// How long it may be silent.
    pub(crate) fn limit(&self) -> Duration {
        let (floor, cap) = self.limits;
        if self.count < ENOUGH {
            return cap;
        }
        let mut left = self.count / 1000;
        for (bucket, count) in self.pauses.iter().enumerate().rev() {
            if *count > left {
                // The longest that falls into it.
                return Duration::from_millis(4 << bucket).clamp(floor, cap);
            }
            left -= count;
        }
        cap
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOOR: Duration = Duration::from_secs(5);
    const CAP: Duration = Duration::from_secs(60);

    fn learned(pauses: impl Iterator<Item = u64>) -> (Stall, Duration) {
        let (mut stall, mut now) = (Stall::new((FLOOR, CAP), Duration::ZERO), Duration::ZERO);
        for pause in pauses {
            now += Duration::from_millis(pause);
            stall.heard(now);
        }
        (stall, now)
    }

    #[test]
    fn a_busy_stream_is_missed_after_the_floor_and_one_that_nobody_knows_after_the_cap() {
        let (stall, now) = learned((0..1000).map(|n| n % 100));
        assert!(!stall.is_due(now + FLOOR - Duration::from_millis(1)));
        assert!(stall.is_due(now + FLOOR));

        let (unknown, now) = learned([5; 50].into_iter());
        assert!(!unknown.is_due(now + FLOOR));
        assert!(unknown.is_due(now + CAP));
    }

    #[test]
    fn a_quiet_stream_has_more_time_and_one_long_pause_in_a_thousand_gives_it_none() {
        let limit = |pauses: &mut dyn Iterator<Item = u64>| learned(pauses).0.limit();

        assert_eq!(
            limit(&mut (0..1000).map(|n| if n % 10 == 0 { 3000 } else { 100 })),
            Duration::from_millis(4 * 4096)
        );
        assert_eq!(limit(&mut (0..5000).map(|n| if n == 2500 { 50_000 } else { 100 })), FLOOR);
        assert_eq!(limit(&mut [30_000; 300].into_iter()), CAP);
    }

    #[test]
    fn what_was_long_ago_counts_less() {
        let night = std::iter::repeat_n(20_000, 5000);
        let (stall, _) = learned(night.chain(std::iter::repeat_n(50, 300_000)));

        assert_eq!(stall.limit(), FLOOR);
    }

    #[test]
    fn who_was_excused_has_as_much_time_again() {
        let (mut stall, now) = learned((0..1000).map(|_| 10));
        let later = now + FLOOR;
        assert!(stall.is_due(later));

        stall.excuse(later);

        assert!(!stall.is_due(later + FLOOR - Duration::from_millis(1)));
        assert!(stall.is_due(later + FLOOR));
        assert_eq!(stall.silent(later), FLOOR);
    }
}
