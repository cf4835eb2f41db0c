//! How often the exchange may be connected to. Pure.

use std::{collections::VecDeque, time::Duration};

/// Binance shuts out an address that connects more often, for as long as the window lasts.
const MOST: usize = 300;
const WINDOW: Duration = Duration::from_secs(300);

/// Connections of the last minutes. A fifth of what the exchange allows is left to others behind the same address.
#[derive(Debug, Clone)]
pub(crate) struct Connects {
    most: usize,
    window: Duration,
    made: VecDeque<Duration>,
}

impl Connects {
    pub(crate) fn new() -> Self {
        Self { most: MOST * 4 / 5, window: WINDOW, made: VecDeque::new() }
    }

    /// How long the next one has to wait; `now` is the time since any fixed moment.
    pub(crate) fn wait(&self, now: Duration) -> Duration {
        let Some(first) = self.made.len().checked_sub(self.most).and_then(|at| self.made.get(at)) else {
            return Duration::ZERO;
        };
        (*first + self.window).saturating_sub(now)
    }

    /// One is being made.
    pub(crate) fn made(&mut self, now: Duration) {
        self.made.push_back(now);
        while self.made.len() > self.most {
            self.made.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_more_connections_in_any_window_than_allowed() {
        let (mut connects, mut now, mut made) = (Connects::new(), Duration::ZERO, Vec::new());

        for n in 0..2000_u32 {
            now += Duration::from_millis(u64::from(n % 7) * 100) + connects.wait(now);
            assert_eq!(connects.wait(now), Duration::ZERO);
            connects.made(now);
            made.push(now);
        }

        for (at, last) in made.iter().enumerate().skip(240) {
            assert!(*last - made[at - 240] >= WINDOW, "241 connections within {:?}", *last - made[at - 240]);
        }
        assert!(now < WINDOW * 9, "and not much fewer: {now:?}");
    }
}
