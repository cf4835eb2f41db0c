//! Weights of requests, and what becomes of those who ask too much.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use tokio::time::Instant;

use super::{Limits, Offence};

#[derive(Debug)]
pub(crate) struct Weights {
    limit: u64,
    window: Duration,
    ignored: u64,
    ban: Duration,
    begun: Instant,
    clients: BTreeMap<IpAddr, Client>,
}

#[derive(Debug, Default)]
struct Client {
    window: u128,
    used: u64,
    /// Requests that came although they had been told to wait.
    ignored: u64,
    /// Until when the client was told to wait.
    wait_until: Option<Instant>,
    banned_until: Option<Instant>,
}

/// Whether a request is let through; `used` is what the header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Fine { used: u64 },
    TooMuch { used: u64, wait: Duration },
    Banned { used: u64, wait: Duration },
}

impl Weights {
    pub(crate) fn new(limits: &Limits) -> Self {
        let Limits { weight, weight_window, ignored, ban, .. } = limits;
        let window = (*weight_window).max(Duration::from_millis(1));
        let begun = Instant::now();
        Self { limit: *weight, window, ignored: *ignored, ban: *ban, begun, clients: BTreeMap::new() }
    }

    /// Counts a request, and says what it has done wrong.
    pub(crate) fn ask(&mut self, from: IpAddr, weight: u64, now: Instant) -> (Verdict, Option<Offence>) {
        let passed = now.duration_since(self.begun);
        let window = passed.as_nanos() / self.window.as_nanos();
        let client = self.clients.entry(from).or_default();
        if client.window != window {
            (client.window, client.used, client.ignored) = (window, 0, 0);
        }
        let early = client.wait_until.is_some_and(|until| now < until);
        if let Some(until) = client.banned_until.filter(|until| now < *until) {
            let verdict = Verdict::Banned { used: client.used, wait: until - now };
            return (verdict, early.then_some(Offence::TooEarly));
        }
        client.used = client.used.saturating_add(weight);
        if client.used <= self.limit {
            // Told to wait by the script rather than by the limit: it counts as an offence, and nothing more.
            return (Verdict::Fine { used: client.used }, early.then_some(Offence::TooEarly));
        }
        client.ignored += u64::from(early);
        if client.ignored > self.ignored {
            client.banned_until = Some(now + self.ban);
            client.wait_until = client.banned_until;
            return (Verdict::Banned { used: client.used, wait: self.ban }, Some(Offence::TooEarly));
        }
        let into_window = Duration::from_nanos(u64::try_from(passed.as_nanos() % self.window.as_nanos()).unwrap_or(0));
        let wait = self.window - into_window;
        client.wait_until = Some(now + wait);
        let offence = if early { Offence::TooEarly } else { Offence::TooMuchWeight };
        (Verdict::TooMuch { used: client.used, wait }, Some(offence))
    }

    /// The script has told the client to wait.
    pub(crate) fn told_to_wait(&mut self, from: IpAddr, until: Instant, banned: bool) {
        let client = self.clients.entry(from).or_default();
        client.wait_until = Some(until);
        if banned {
            client.banned_until = Some(until);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_much_weight_is_refused_until_the_window_ends_and_insisting_leads_to_a_ban() {
        let limits = Limits { weight: 10, ignored: 2, ..Limits::default() };
        let (mut weights, from) = (Weights::new(&limits), IpAddr::from([127, 0, 0, 1]));
        let begun = weights.begun;
        let at = |seconds| begun + Duration::from_secs(seconds);

        assert_eq!(weights.ask(from, 10, at(0)), (Verdict::Fine { used: 10 }, None));
        let refused = Verdict::TooMuch { used: 11, wait: Duration::from_secs(50) };
        assert_eq!(weights.ask(from, 1, at(10)), (refused, Some(Offence::TooMuchWeight)));
        assert_eq!(weights.ask(from, 1, at(60)), (Verdict::Fine { used: 1 }, None));

        weights.ask(from, 10, at(61));
        for second in 62..64 {
            let (verdict, offence) = weights.ask(from, 1, at(second));
            assert!(matches!(verdict, Verdict::TooMuch { .. }), "{verdict:?}");
            assert_eq!(offence, Some(Offence::TooEarly));
        }
        let banned = |used, seconds| Verdict::Banned { used, wait: Duration::from_secs(seconds) };
        assert_eq!(weights.ask(from, 1, at(64)), (banned(14, 120), Some(Offence::TooEarly)));
        assert_eq!(weights.ask(from, 1, at(180)).0, banned(0, 4));
        assert_eq!(weights.ask(from, 1, at(184)), (Verdict::Fine { used: 1 }, None));
    }
}
