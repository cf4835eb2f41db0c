//! Looks after one connection: when it must be replaced, and whether its silence is a stall.

use std::{fmt, sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use crate::{Times, refill::Check, stall::Stall};

/// Why a connection is replaced although it has not broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Replace {
    /// It is nearly as old as the exchange lets it get.
    Age,
    /// The exchange is about to close it.
    Shutdown,
    /// It brings nothing, although there are trades, or nobody knows whether there are.
    Stall(Duration),
    /// Trades of a symbol come, and changes of its order book for so long not.
    Changes(Duration),
}

impl fmt::Display for Replace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Age => f.write_str("the connection is as old as the exchange lets it get"),
            Self::Shutdown => f.write_str("the exchange is about to close the connection"),
            Self::Changes(silence) => {
                write!(f, "the connection has brought no changes of an order book for {} s", silence.as_secs())
            }
            Self::Stall(silence) => write!(f, "the connection has brought nothing for {} s", silence.as_secs()),
        }
    }
}

pub(super) struct Watch {
    times: Arc<Times>,
    begun: Instant,
    symbols: Vec<Stall>,
    /// When a change of the order book of each came last; `None` where no books are kept.
    changes: Option<Vec<Duration>>,
    /// When anything came, pings too.
    heard: Instant,
    shutdown: bool,
    /// The symbol that was asked about, since when, and the way of the answer.
    check: Option<(usize, Duration, oneshot::Receiver<Option<bool>>)>,
}

impl Watch {
    pub(super) fn new(times: &Arc<Times>, symbols: usize, books: bool) -> Self {
        let now = Instant::now();
        let changes = books.then(|| vec![Duration::ZERO; symbols]);
        let symbols = vec![Stall::new(times.stall, Duration::ZERO); symbols];
        Self { times: Arc::clone(times), begun: now, symbols, changes, heard: now, shutdown: false, check: None }
    }

    /// Something has come: a trade of a symbol, or something else.
    pub(super) fn heard(&mut self, symbol: Option<usize>) {
        self.heard = Instant::now();
        if let Some(symbol) = symbol {
            self.symbols[symbol].heard(self.heard - self.begun);
        }
    }

    /// A change of a symbol's order book has come.
    pub(super) fn changed(&mut self, symbol: usize) {
        self.heard(None);
        if let Some(changes) = &mut self.changes {
            changes[symbol] = self.heard - self.begun;
        }
    }

    pub(super) fn shutdown(&mut self) {
        self.shutdown = true;
    }

    pub(super) fn is_shutting_down(&self) -> bool {
        self.shutdown
    }

    /// Whether the connection has to be replaced. A symbol that is silent for longer than it uses to be is asked about over REST.
    ///
    /// # Errors
    /// Nothing has come for so long that the exchange has gone, which pings.
    pub(super) fn look(&mut self, checks: Option<&mpsc::Sender<Check>>) -> Result<Option<Replace>, Duration> {
        let now = self.begun.elapsed();
        if self.heard.elapsed() >= self.times.silence {
            return Err(self.times.silence);
        }
        if now >= self.times.lifetime {
            return Ok(Some(Replace::Age));
        }
        if let Some(silence) = self.without_changes(now) {
            return Ok(Some(Replace::Changes(silence)));
        }
        if let Some((symbol, since, answer)) = &mut self.check {
            let newer = match answer.try_recv() {
                Ok(newer) => newer,
                // While REST must not be asked, or has much to fetch, nobody else would be looked after.
                Err(oneshot::error::TryRecvError::Empty) if now < *since + self.times.stall.1 => return Ok(None),
                Err(oneshot::error::TryRecvError::Empty | oneshot::error::TryRecvError::Closed) => None,
            };
            let stall = &mut self.symbols[*symbol];
            self.check = None;
            // It may have begun to talk meanwhile.
            let dead = stall.is_due(now) && newer == Some(true);
            // Nobody can say: a new connection is the only way to find out.
            if dead || (newer.is_none() && stall.silent(now) >= self.times.stall.1) {
                return Ok(Some(Replace::Stall(stall.silent(now))));
            }
            stall.excuse(now);
        }
        match checks {
            Some(checks) => {
                if let Some(symbol) = self.symbols.iter().position(|stall| stall.is_due(now)) {
                    let (answer, answered) = oneshot::channel();
                    match checks.try_send(Check { symbol, answer }) {
                        Ok(()) => self.check = Some((symbol, now, answered)),
                        Err(_) => self.symbols[symbol].excuse(now),
                    }
                }
                Ok(None)
            }
            // Without REST one that brings nothing at all is replaced; where the market is quiet, it costs a connection a minute.
            None => {
                let least = self.symbols.iter().map(|stall| stall.silent(now)).min().unwrap_or_default();
                Ok((least >= self.times.stall.1).then_some(Replace::Stall(least)))
            }
        }
    }

    /// How long the order book of a symbol has not changed that was traded meanwhile: trades change it, so its stream is dead.
    fn without_changes(&self, now: Duration) -> Option<Duration> {
        let (floor, cap) = self.times.stall;
        let changes = self.changes.iter().flatten();
        let silent =
            changes.zip(&self.symbols).filter(|(changed, trades)| **changed + floor < now - trades.silent(now));
        silent.map(|(changed, _)| now - *changed).filter(|silence| *silence >= cap).max()
    }
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
