//! Which tiles are asked for again, and when. Pure.

use std::time::Duration;

use super::{Failure, Fate, Tries};
use crate::pace::Time;

/// How often a tile is asked for in one run.
pub(super) const TRIES: u8 = 5;
const LONGEST: f64 = 30.0;
/// Repetitions that are not counted against the tenth: a small job may have some.
const FREE: u64 = 10;

#[derive(Debug)]
pub(super) struct Retries {
    requests: u64,
    repetitions: u64,
    random: u64,
}

impl Retries {
    pub(super) fn new(seed: u64) -> Self {
        Self { requests: 0, repetitions: 0, random: seed }
    }

    pub(super) fn requested(&mut self) {
        self.requests += 1;
    }

    /// Counts a try. The tile waits for a random time, so that many that failed at once do not come back at once.
    pub(super) fn again(&mut self, now: Time, tries: Tries, failure: Failure) -> Fate {
        let counted = tries.counted + 1;
        if counted >= TRIES {
            return Fate::Failed(failure);
        }
        let too_many = self.repetitions * 10 > self.requests + FREE * 10;
        self.repetitions += 1;
        let share = self.share();
        let seconds = if too_many {
            LONGEST * (1.0 + share) / 2.0
        } else {
            share * LONGEST.min(0.5 * f64::from(1_u32 << tries.counted))
        };
        let at = now + Duration::from_secs_f64(seconds);
        Fate::Again { at, tries: Tries { counted, redirects: 0, ..tries }, failure }
    }

    /// A random number from 0 to 1 (splitmix64).
    fn share(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.random;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ mixed >> 31) >> 11) as f64 / (1_u64 << 53) as f64
    }
}
