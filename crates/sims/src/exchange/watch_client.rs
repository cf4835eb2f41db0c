//! Keeps an eye on a client: pings that must be answered, messages that must not be too many.

use std::collections::VecDeque;

use tokio::time::Instant;

use super::Limits;

#[derive(Debug)]
pub(crate) struct Client {
    limits: Limits,
    /// When its last frames came.
    spoke: VecDeque<Instant>,
    /// Payloads of pings that are not answered yet, and since when.
    owed: VecDeque<(String, Instant)>,
    next_ping: Instant,
    pings: u64,
}

/// What is to be done when patience is over.
pub(crate) enum Pinged {
    /// A ping with this payload.
    Send(String),
    /// The client has not answered in time.
    GiveUp,
}

impl Client {
    pub(crate) fn new(limits: &Limits) -> Self {
        let next_ping = Instant::now() + limits.ping_every;
        Self { limits: limits.clone(), spoke: VecDeque::new(), owed: VecDeque::new(), next_ping, pings: 0 }
    }

    /// A frame has come; whether it is not one too many.
    pub(crate) fn may_speak(&mut self) -> bool {
        let now = Instant::now();
        while self.spoke.front().is_some_and(|at| now.duration_since(*at).as_secs() >= 1) {
            self.spoke.pop_front();
        }
        self.spoke.push_back(now);
        self.spoke.len() <= self.limits.messages_per_second
    }

    /// When to look after it again.
    pub(crate) fn patience(&self) -> Instant {
        let owed = self.owed.front().map(|(_, since)| *since + self.limits.pong_within);
        owed.map_or(self.next_ping, |owed| owed.min(self.next_ping))
    }

    /// Patience is over.
    pub(crate) fn ping(&mut self, now_ms: u64) -> Pinged {
        let now = Instant::now();
        if self.owed.front().is_some_and(|(_, since)| now.duration_since(*since) >= self.limits.pong_within) {
            return Pinged::GiveUp;
        }
        self.next_ping = now + self.limits.ping_every;
        let payload = now_ms.to_string();
        self.owed.push_back((payload.clone(), now));
        Pinged::Send(payload)
    }

    /// A ping out of turn.
    pub(crate) fn extra_ping(&mut self) -> String {
        self.pings += 1;
        let payload = format!("extra-{}", self.pings);
        self.owed.push_back((payload.clone(), Instant::now()));
        payload
    }

    /// A pong has come: whether it answers a ping with its payload, and those before; `None` if nobody asked for it.
    pub(crate) fn pong(&mut self, payload: &[u8]) -> Option<bool> {
        if let Some(at) = self.owed.iter().position(|(owed, _)| owed.as_bytes() == payload) {
            self.owed.drain(..=at);
            return Some(true);
        }
        // Unsolicited pongs are allowed; their payload should be empty.
        (!payload.is_empty() && !self.owed.is_empty()).then_some(false)
    }
}
