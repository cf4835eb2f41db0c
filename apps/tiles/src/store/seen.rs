//! Knows bodies that were there before. Pure.

use std::collections::HashMap;

use twox_hash::XxHash3_128;

/// So many bodies are remembered at least, and twice as many at most: some 6 MB.
const REMEMBERED: usize = 1 << 16;

/// The bodies that came lately, by their hash and length.
///
/// Bodies that repeat are few and repeat often, so it forgets what has not come for long. 128 bits do not collide by accident; who could
/// make them collide on purpose sends all tiles anyway.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    recent: HashMap<(u128, usize), i64>,
    older: HashMap<(u128, usize), i64>,
}

impl Seen {
    /// The number under which a body is known. Otherwise it is known as `number` from now on.
    pub(crate) fn find(&mut self, body: &[u8], number: i64) -> Option<i64> {
        let key = (XxHash3_128::oneshot(body), body.len());
        if let Some(known) = self.recent.get(&key) {
            return Some(*known);
        }
        if self.recent.len() >= REMEMBERED {
            self.older = std::mem::take(&mut self.recent);
        }
        let known = self.older.get(&key).copied();
        self.recent.insert(key, known.unwrap_or(number));
        known
    }

    /// Forgets everything, as after a transaction that was not committed.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_often_is_known_however_much_else_comes() {
        let mut seen = Seen::default();
        let other = |number: i64| number.to_le_bytes();

        assert_eq!(seen.find(b"sea", 1), None);
        for number in 2..3 * REMEMBERED as i64 {
            assert_eq!(seen.find(&other(number), number), None);
            if number % 10_000 == 0 {
                assert_eq!(seen.find(b"sea", number), Some(1), "after {number}");
            }
        }
        assert_eq!(seen.find(&other(2), 9), None, "forgotten");
        assert!(seen.recent.len() <= REMEMBERED && seen.older.len() <= REMEMBERED);
        seen.clear();
        assert_eq!(seen.find(b"sea", 5), None);
    }
}
