//! Numbers drawn by a seed, the same on every machine.

use std::time::Duration;

/// Splitmix64, <https://prng.di.unimi.it/splitmix64.c>.
#[derive(Debug, Clone)]
pub(crate) struct Draw(u64);

impl Draw {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to 1, without 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Below `n`; 0 where `n` is 0.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % (n.max(1) as u64)).unwrap_or_default()
    }

    /// Every moment of it as likely as any other, in whole microseconds.
    pub(crate) fn uniform(&mut self, up_to: Duration) -> Duration {
        micros(up_to.as_micros() as f64 * self.unit())
    }

    /// Every order of magnitude between the two as likely as any other, in whole microseconds.
    pub(crate) fn log_uniform(&mut self, from: Duration, to: Duration) -> Duration {
        let (from, to) = (from.as_micros().max(1) as f64, to.as_micros().max(1) as f64);
        micros(from * (to.max(from) / from).powf(self.unit()))
    }
}

fn micros(us: f64) -> Duration {
    Duration::from_micros(us as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_uniform_favours_the_short() {
        let (ms, s) = (Duration::from_millis(1), Duration::from_secs(1));
        let mut draw = Draw::new(7);

        let drawn: Vec<_> = (0..3000).map(|_| draw.log_uniform(ms, s)).collect();

        assert!(drawn.iter().all(|time| (ms..=s).contains(time)));
        let below_ten = drawn.iter().filter(|time| **time < ms * 10).count();
        assert!((900..1100).contains(&below_ten), "a third: {below_ten}");
    }
}
