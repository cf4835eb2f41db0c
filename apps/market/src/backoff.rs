//! Pauses between tries: longer and longer, and different for everybody. Pure but for its seed.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
    time::Duration,
};

/// The first pause and the longest.
pub(crate) type Pauses = (Duration, Duration);

/// Doubles the pause with every try; each is between half of it and the whole, drawn at random, so that a thousand clients of an exchange
/// that comes back do not come at once.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    pauses: Pauses,
    next: Duration,
    state: u64,
}

impl Backoff {
    pub(crate) fn new(pauses: Pauses) -> Self {
        Self::seeded(pauses, RandomState::new().build_hasher().finish())
    }

    pub(crate) fn seeded(pauses: Pauses, seed: u64) -> Self {
        Self { pauses, next: pauses.0, state: seed }
    }

    /// How long to wait before the next try.
    pub(crate) fn next(&mut self) -> Duration {
        let pause = self.next.min(self.pauses.1);
        self.next = (pause * 2).min(self.pauses.1);
        // splitmix64
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let part = (z ^ (z >> 31)) % 1024;
        pause.mul_f64(0.5 + f64::from(u32::try_from(part).unwrap_or(0)) / 2048.0)
    }

    /// It worked: the next pause is the first again.
    pub(crate) fn reset(&mut self) {
        self.next = self.pauses.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_differ() {
        let second = Duration::from_secs(1);
        let mut backoff = Backoff::seeded((second, 5 * second), 7);

        for longest in [1, 2, 4, 5, 5, 5] {
            let pause = backoff.next();
            assert!(pause >= longest * second / 2 && pause <= longest * second, "{pause:?} of {longest} s");
        }
        backoff.reset();
        assert!(backoff.next() <= second);
        assert_ne!(Backoff::seeded((second, second), 1).next(), Backoff::seeded((second, second), 2).next());
    }
}
