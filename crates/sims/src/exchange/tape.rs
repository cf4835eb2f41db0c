//! Everything that happened, in order, with a cursor for every listener. The market writes at one end, the sessions read behind it.

use std::{
    collections::{BTreeMap, VecDeque},
    future::Future,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::{sync::Notify, time::Instant};

use super::{
    AtEnd, Config, Truth, WhenIdle,
    market::{Kind, Market, Tick, World},
};

/// How far the market may run ahead of its slowest listener when it waits for them.
const MOST_AHEAD: usize = 1024;
/// How many messages are kept behind the slowest listener, to be sent again.
const KEPT_BEHIND: u64 = 1024;
/// How many messages a session writes before it looks for the client's close frame again.
const BATCH: usize = 64;

#[derive(Debug, Clone)]
pub(crate) struct Printed {
    pub(crate) tick: Tick,
    /// The place of its trade in the truth.
    pub(crate) place: usize,
}

/// What a session is to do next.
pub(crate) enum Next {
    /// Write these; the cursor after them.
    Send(Vec<Printed>, u64),
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
    /// How many messages are kept for a slow listener when the market does not wait for it.
    most_behind: u64,
    ended: bool,
    now_ms: u64,
    /// What the market is waiting for: since when, until what exchange time, how fast.
    waiting: Option<(Instant, u64, f64)>,
    /// How many trades may still happen, where that is up to somebody.
    allowed: Option<u64>,
    world: World,
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
            WhenIdle::RunOn => self.end().saturating_sub(self.most_behind),
        };
        while self.first < keep && self.ticks.pop_front().is_some() {
            self.first += 1;
        }
    }
}

impl Tape {
    /// A tape of this world, whose time is `now_ms`.
    pub(crate) fn new(config: &Config, world: World, now_ms: u64) -> Self {
        let state = State {
            world,
            now_ms,
            most_behind: config.limits.behind,
            allowed: config.stepped.then_some(0),
            ..State::default()
        };
        Self {
            when_idle: config.when_idle,
            at_end: config.at_end,
            state: Mutex::new(state),
            printed: Notify::new(),
            moved: Notify::new(),
        }
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
            let room = {
                let mut state = self.lock();
                let listened = match self.when_idle {
                    WhenIdle::RunOn => true,
                    WhenIdle::Pause => state.slowest().is_some_and(|slowest| state.end() - slowest < MOST_AHEAD as u64),
                };
                state.waiting = None;
                listened && state.allowed != Some(0)
            };
            if room {
                return waited;
            }
            waited = true;
            moved.await;
        }
    }

    /// The market waits for this exchange time; meanwhile its clock runs.
    pub(crate) fn wait_until(&self, due_ms: u64, speed: f64) {
        self.lock().waiting = Some((Instant::now(), due_ms, speed));
    }

    /// Lets the next message happen and writes it down; `at_ms` is when it was due.
    pub(crate) fn print(&self, market: &mut Market, at_ms: u64) {
        {
            let mut state = self.lock();
            let state = &mut *state;
            (state.now_ms, state.waiting) = (state.now_ms.max(at_ms), None);
            let Some(tick) = market.next(&mut state.world) else { return };
            let mut place = 0;
            if let Kind::Trade(trade, _) = tick.kind {
                let record = &mut state.world.truth.records[tick.symbol];
                place = record.trades.len();
                record.trades.push((trade, false));
                state.allowed = state.allowed.map(|allowed| allowed.saturating_sub(1));
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

    /// Moves a session back by so many trades, as far as they are kept.
    pub(crate) fn rewind(&self, session: u64, trades: u64) {
        let mut state = self.lock();
        let Some(cursor) = state.cursors.get(&session).copied() else { return };
        let behind = usize::try_from(cursor.saturating_sub(state.first)).unwrap_or(usize::MAX);
        let is_trade = |printed: &&Printed| matches!(printed.tick.kind, Kind::Trade(..));
        let kept = state.ticks.iter().take(behind).rev();
        let mut left = trades;
        let back = kept.take_while(|printed| {
            let more = left > 0;
            left -= u64::from(more && is_trade(printed));
            more
        });
        let back = back.count() as u64;
        state.cursors.insert(session, cursor - back);
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
        let ticks: Vec<Printed> = state.ticks.iter().skip(skip).take(BATCH).cloned().collect();
        if !ticks.is_empty() {
            let after = cursor + ticks.len() as u64;
            return Some(Next::Send(ticks, after));
        }
        (state.ended && self.at_end == AtEnd::Close).then_some(Next::Close)
    }

    /// The session is done with everything before `after`, and has written these trades: symbol and place.
    pub(crate) fn wrote(&self, session: u64, after: u64, trades: &[(usize, usize)]) {
        {
            let mut state = self.lock();
            let state = &mut *state;
            if let Some(cursor) = state.cursors.get_mut(&session) {
                *cursor = after;
            }
            for (symbol, place) in trades {
                let record = &mut state.world.truth.records[*symbol];
                if let Some((_, sent)) = record.trades.get_mut(*place) {
                    record.sent += usize::from(!std::mem::replace(sent, true));
                }
            }
            state.forget(self.when_idle);
        }
        self.moved.notify_waiters();
    }

    /// The session has written trades that it had held back.
    pub(crate) fn sent_late(&self, session: u64, trades: &[(usize, usize)]) {
        let cursor = self.lock().cursors.get(&session).copied();
        self.wrote(session, cursor.unwrap_or_default(), trades);
    }

    // ---- for those who look ----

    /// Completes when a listener has come, left or been sent something after this call.
    pub(crate) fn sent(&self) -> impl Future<Output = ()> + '_ {
        self.moved.notified()
    }

    pub(crate) fn truth(&self) -> Truth {
        self.lock().world.truth.clone()
    }

    /// Runs `read` on everything there is to know without copying it.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&World) -> T) -> T {
        read(&self.lock().world)
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut World)) {
        change(&mut self.lock().world);
    }

    /// How many trades have happened.
    pub(crate) fn trades(&self) -> usize {
        self.read(|world| world.truth.records.iter().map(|record| record.trades.len()).sum())
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.lock().ended
    }

    /// Lets so many more trades happen where that is up to somebody.
    pub(crate) fn allow(&self, trades: u64) {
        {
            let mut state = self.lock();
            state.allowed = state.allowed.map(|allowed| allowed + trades);
        }
        self.moved.notify_waiters();
    }

    /// Completes when a message has been printed after this call.
    pub(crate) fn printed(&self) -> impl Future<Output = ()> + '_ {
        self.printed.notified()
    }

    /// The time of the exchange. It stands still with the market.
    pub(crate) fn now_ms(&self) -> u64 {
        let state = self.lock();
        let Some((since, due_ms, speed)) = state.waiting else { return state.now_ms };
        let left = due_ms.saturating_sub(state.now_ms) as f64;
        let passed = (since.elapsed().as_secs_f64() * 1000.0 * speed).min(left);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and what is left")]
        let passed = passed as u64;
        state.now_ms + passed
    }
}
