//! Everything that happened, in order, with a cursor for every listener. The market writes at one end, the sessions read behind it.

use std::{
    collections::{BTreeMap, VecDeque},
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::{AtEnd, Trade, Truth, WhenIdle};

/// How far the market may run ahead of its slowest listener when it waits for them.
const MOST_AHEAD: usize = 1024;
/// How many messages are kept for a slow listener when it does not.
const MOST_KEPT: usize = 65_536;
/// How many messages are kept behind the slowest listener, to be sent again.
const KEPT_BEHIND: u64 = 1024;
/// How many messages a session writes before it looks for the client's close frame again.
const BATCH: usize = 64;

/// One message of the market.
#[derive(Debug, Clone)]
pub(crate) struct Tick {
    pub(crate) at_ms: u64,
    /// As in an address: `nknusdt@aggTrade`.
    pub(crate) stream: Arc<str>,
    /// The JSON that follows `"data":` in a combined stream.
    pub(crate) data: String,
    /// The symbol, and the trade where the message is one.
    pub(crate) trade: Option<(Arc<str>, Trade)>,
}

#[derive(Debug)]
struct Printed {
    tick: Tick,
    /// The place of its trade in the truth.
    place: usize,
}

/// What a session is to do next.
pub(crate) enum Next {
    /// Write these; the cursor after them.
    Send(Vec<Tick>, u64),
    /// The source has ended, and the connection with it.
    Close,
    /// The listener has fallen too far behind.
    TooSlow,
}

#[derive(Debug)]
pub(crate) struct Tape {
    when_idle: WhenIdle,
    at_end: AtEnd,
    state: Mutex<State>,
    /// Woken when a message was printed.
    printed: Notify,
    /// Woken when a listener came, left or moved on.
    moved: Notify,
}

#[derive(Debug, Default)]
struct State {
    ticks: VecDeque<Printed>,
    /// The number of `ticks[0]`.
    first: u64,
    /// Where the next listener begins after a time without any.
    resume: u64,
    /// The number of the next message of every listener, by session.
    cursors: BTreeMap<u64, u64>,
    sessions: u64,
    ended: bool,
    now_ms: u64,
    truth: Truth,
}

impl State {
    fn end(&self) -> u64 {
        self.first + self.ticks.len() as u64
    }

    fn slowest(&self) -> Option<u64> {
        self.cursors.values().min().copied()
    }

    fn forget(&mut self, when_idle: WhenIdle) {
        let keep = match when_idle {
            WhenIdle::Pause => self.slowest().unwrap_or(self.resume).saturating_sub(KEPT_BEHIND),
            WhenIdle::RunOn => self.end().saturating_sub(MOST_KEPT as u64),
        };
        while self.first < keep && self.ticks.pop_front().is_some() {
            self.first += 1;
        }
    }
}

impl Tape {
    pub(crate) fn new(when_idle: WhenIdle, at_end: AtEnd, symbols: Vec<String>) -> Self {
        let truth = Truth { symbols: symbols.into_iter().map(|symbol| (symbol, Vec::new())).collect() };
        let state = Mutex::new(State { truth, ..State::default() });
        Self { when_idle, at_end, state, printed: Notify::new(), moved: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // ---- for the market ----

    /// Waits until the next message may be printed; whether time stood still meanwhile.
    pub(crate) async fn room(&self) -> bool {
        let mut waited = false;
        loop {
            let moved = self.moved.notified();
            let room = match self.when_idle {
                WhenIdle::RunOn => true,
                WhenIdle::Pause => {
                    let state = self.lock();
                    state.slowest().is_some_and(|slowest| state.end() - slowest < MOST_AHEAD as u64)
                }
            };
            if room {
                return waited;
            }
            waited = true;
            moved.await;
        }
    }

    pub(crate) fn push(&self, tick: Tick) {
        {
            let mut state = self.lock();
            state.now_ms = tick.at_ms;
            let mut place = 0;
            if let Some((symbol, trade)) = &tick.trade {
                let trades = state.truth.symbols.entry(symbol.to_string()).or_default();
                place = trades.len();
                trades.push((*trade, false));
            }
            state.ticks.push_back(Printed { tick, place });
            state.forget(self.when_idle);
        }
        self.printed.notify_waiters();
    }

    pub(crate) fn end(&self) {
        self.lock().ended = true;
        self.printed.notify_waiters();
    }

    // ---- for the sessions ----

    pub(crate) fn join(&self) -> u64 {
        let session = {
            let mut state = self.lock();
            state.sessions += 1;
            let resumes = self.when_idle == WhenIdle::Pause && state.cursors.is_empty();
            let cursor = if resumes { state.resume } else { state.end() };
            let session = state.sessions;
            state.cursors.insert(session, cursor);
            session
        };
        self.moved.notify_waiters();
        session
    }

    pub(crate) fn leave(&self, session: u64) {
        {
            let mut state = self.lock();
            if let Some(cursor) = state.cursors.remove(&session)
                && state.cursors.is_empty()
            {
                state.resume = cursor;
            }
        }
        self.moved.notify_waiters();
    }

    /// Moves a session back by so many messages, as far as they are kept.
    pub(crate) fn rewind(&self, session: u64, messages: u64) {
        let mut state = self.lock();
        let first = state.first;
        if let Some(cursor) = state.cursors.get_mut(&session) {
            *cursor = cursor.saturating_sub(messages).max(first);
        }
    }

    /// What comes after the session's cursor, once there is something. For a session that does not listen it never completes.
    pub(crate) async fn next(&self, session: u64) -> Next {
        loop {
            let printed = self.printed.notified();
            if let Some(next) = self.look(session) {
                return next;
            }
            printed.await;
        }
    }

    fn look(&self, session: u64) -> Option<Next> {
        let state = self.lock();
        let cursor = *state.cursors.get(&session)?;
        let Some(skip) = cursor.checked_sub(state.first) else { return Some(Next::TooSlow) };
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        let ticks: Vec<Tick> = state.ticks.iter().skip(skip).take(BATCH).map(|printed| printed.tick.clone()).collect();
        if !ticks.is_empty() {
            let after = cursor + ticks.len() as u64;
            return Some(Next::Send(ticks, after));
        }
        (state.ended && self.at_end == AtEnd::Close).then_some(Next::Close)
    }

    /// The session has written everything before `after` that `wants` says it listens to.
    pub(crate) fn wrote(&self, session: u64, after: u64, wants: impl Fn(&str) -> bool) {
        {
            let mut state = self.lock();
            let state = &mut *state;
            let Some(cursor) = state.cursors.get_mut(&session) else { return };
            let range = std::mem::replace(cursor, after)..after;
            for number in range {
                let at = number.checked_sub(state.first).and_then(|at| usize::try_from(at).ok());
                let Some(Printed { tick, place }) = at.and_then(|at| state.ticks.get(at)) else { continue };
                if let Some((symbol, _)) = &tick.trade
                    && wants(&tick.stream)
                    && let Some(entry) =
                        state.truth.symbols.get_mut(&**symbol).and_then(|trades| trades.get_mut(*place))
                {
                    entry.1 = true;
                }
            }
            state.forget(self.when_idle);
        }
        self.moved.notify_waiters();
    }

    // ---- for those who look ----

    /// Completes when a listener has come, left or been sent something after this call.
    pub(crate) fn sent(&self) -> impl Future<Output = ()> + '_ {
        self.moved.notified()
    }

    pub(crate) fn truth(&self) -> Truth {
        self.lock().truth.clone()
    }

    /// Runs `read` on the truth without copying it.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Truth) -> T) -> T {
        read(&self.lock().truth)
    }

    /// The time of the last message; 0 before the first.
    pub(crate) fn now_ms(&self) -> u64 {
        self.lock().now_ms
    }
}
