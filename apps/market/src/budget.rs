//! When the exchange may be asked: its weights, and the times in which it wants not to be asked at all. Pure.

use std::time::Duration;

use crate::wire::rest::{LONGEST_WAIT, Limits, Refusal, Waiting};

/// What an address may use in a minute where the exchange does not say it.
const PER_MINUTE: u32 = 6000;
const WINDOW: Duration = Duration::from_secs(60);
/// How long to wait after 429 and 418 that do not say it.
const WAIT: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(120));

/// What a request is for. Each leaves room for those above it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Trades that are missing, and the little things.
    Trades,
    /// A book that is not there.
    Book,
    /// A book that is there and could be deeper.
    Deeper,
}

impl Purpose {
    /// How much of a minute's weight may be used up when such a request has been sent. The rest, a fifth at least, is left to others
    /// behind the same address.
    fn share(self) -> f64 {
        match self {
            Self::Trades => 0.8,
            Self::Book => 0.5,
            Self::Deeper => 0.3,
        }
    }
}

/// One for all requests of the process: the exchange counts by address. `now` is the time since any fixed moment.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    per_minute: u32,
    used: u32,
    /// What of it is on its way: the exchange may not have counted it when it answers another request.
    asked: u32,
    /// When the present minute of the exchange began, as late as it may have been.
    begun: Option<Duration>,
    /// Nothing may be asked before.
    closed_until: Duration,
}

impl Budget {
    pub(crate) fn new() -> Self {
        Self { per_minute: PER_MINUTE, used: 0, asked: 0, begun: None, closed_until: Duration::ZERO }
    }

    /// What the exchange says it allows in a minute.
    pub(crate) fn allows(&mut self, per_minute: u32) {
        self.per_minute = per_minute.max(1);
    }

    /// How long a request of this weight has to wait.
    pub(crate) fn wait(&self, weight: u32, purpose: Purpose, now: Duration) -> Duration {
        let closed = self.closed_until.saturating_sub(now);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of an u32")]
        let most = (f64::from(self.per_minute) * purpose.share()) as u32;
        match self.begun {
            // One that alone is too heavy is sent in a minute of its own.
            Some(begun) if self.used > 0 && self.used.saturating_add(weight) > most => {
                closed.max((begun + WINDOW).saturating_sub(now))
            }
            _ => closed,
        }
    }

    /// A request of this weight is on its way.
    pub(crate) fn asked(&mut self, weight: u32, now: Duration) {
        if self.begun.is_none_or(|begun| begun + WINDOW <= now) {
            (self.begun, self.used) = (Some(now), self.asked);
        }
        self.used = self.used.saturating_add(weight);
        self.asked = self.asked.saturating_add(weight);
    }

    /// A request of this weight is not on its way any more, whatever became of it.
    pub(crate) fn ended(&mut self, weight: u32) {
        self.asked = self.asked.saturating_sub(weight);
    }

    /// What the answer to a request that has [`ended`](Self::ended) says about limits; `wall_ms` is the time since 1970.
    pub(crate) fn answered(&mut self, limits: Limits, refusal: Option<&Refusal>, now: Duration, wall_ms: i64) {
        if let Some(used) = limits.used_weight {
            let used = used.saturating_add(self.asked);
            // Less than before: a new minute has begun there since the last answer.
            if used < self.used {
                self.begun = Some(now);
            }
            self.used = used;
        }
        if let Some(Refusal::Wait { wait, banned, .. }) = refusal {
            let wait = match wait {
                Some(Waiting::For(wait)) => *wait,
                Some(Waiting::UntilMs(until)) => {
                    let wait = Duration::from_millis(u64::try_from(until.saturating_sub(wall_ms)).unwrap_or(0));
                    wait.min(LONGEST_WAIT)
                }
                None if *banned => WAIT.1,
                None => WAIT.0,
            };
            self.closed_until = self.closed_until.max(now.saturating_add(wait));
        }
    }
}

#[cfg(test)]
#[path = "budget_tests.rs"]
mod tests;
