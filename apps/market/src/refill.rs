//! Fetches what is missing: page by page by id, within the exchange's limits, until it is there or the exchange does not have it.

use std::sync::Arc;

use softstop::{Result, Scope};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep_until},
};

use crate::{
    Progress, TRADES, Tell, Times,
    backoff::Backoff,
    budget::Purpose,
    count::{Input, Need, Page},
    rest::{Client, Trouble},
    wire::rest::{AggTrades, Refusal, agg_trades, exchange_info},
};

/// Aggregates in a page, and what a page weighs.
const PAGE: (usize, u32) = (1000, 4);
const INFO_WEIGHT: u32 = 20;
/// So often is asked for what the exchange must have, and has not yet: REST may be behind the stream.
const EMPTY_PAGES: u32 = 6;

/// Asks whether a silent symbol is quiet.
#[derive(Debug)]
pub(crate) struct Check {
    pub(crate) symbol: usize,
    /// Whether there are trades that have not come; `None` where nobody can say.
    pub(crate) answer: oneshot::Sender<Option<bool>>,
}

pub(crate) struct Refill {
    pub(crate) symbols: Vec<String>,
    pub(crate) client: Client,
    pub(crate) inputs: mpsc::Sender<Input>,
    pub(crate) needs: watch::Receiver<Vec<Need>>,
    /// Changes whenever the stream was connected: what came meanwhile may be had before the next trade shows that it is missing.
    pub(crate) connected: watch::Receiver<u64>,
    pub(crate) checks: mpsc::Receiver<Check>,
    pub(crate) times: Arc<Times>,
    pub(crate) tell: Tell,
}

/// How far a symbol is with what it needs.
struct State {
    /// The newest trades are to be fetched although nothing is known to be missing, unless something comes after this aggregate by itself.
    tail: Option<i64>,
    /// When that is due.
    tail_at: Instant,
    /// Its tick and step are not known yet.
    info: bool,
    not_before: Instant,
    backoff: Backoff,
    empty: u32,
    told: bool,
    /// Something was missing when it was last looked at.
    gap: bool,
    /// Who waits to learn whether there is something newer.
    checks: Vec<oneshot::Sender<Option<bool>>>,
}

/// What to ask for.
enum Ask {
    Info,
    /// Aggregates from here to there; the newest where there is no end.
    Trades(i64, Option<i64>),
    /// Aggregates from this time on: what came in the first minute before collecting began.
    Head(i64),
}

impl Refill {
    /// Goes on until it is dropped.
    pub(crate) async fn run(mut self, scope: Scope) -> Result {
        let new = |_: &String| State {
            tail: None,
            tail_at: Instant::now(),
            info: true,
            not_before: Instant::now(),
            backoff: Backoff::new(self.times.retry),
            empty: 0,
            told: false,
            gap: false,
            checks: Vec::new(),
        };
        let mut states: Vec<State> = self.symbols.iter().map(new).collect();
        let mut turn = 0;
        loop {
            if self.connected.has_changed().unwrap_or(false) {
                self.connected.mark_unchanged();
                let at = Instant::now() + self.times.quiet;
                for (state, need) in states.iter_mut().zip(self.needs.borrow().iter()) {
                    (state.tail, state.tail_at) = (need.last, at);
                }
            }
            let needs = self.needs.borrow_and_update().clone();
            while let Ok(Check { symbol, answer }) = self.checks.try_recv() {
                states[symbol].checks.push(answer);
            }
            for (state, need) in states.iter_mut().zip(&needs) {
                state.check(need);
            }
            for (state, need) in states.iter_mut().zip(&needs) {
                if !std::mem::replace(&mut state.gap, need.gap.is_some()) && state.gap {
                    state.not_before = state.not_before.max(Instant::now() + self.times.patience);
                }
            }
            // In turns, so that a symbol with much to fetch does not keep the others waiting.
            let order = (0..states.len()).map(|n| (turn + n) % states.len());
            let wants = order.filter_map(|at| states[at].wants(&needs[at]).map(|(ask, when)| (at, ask, when)));
            let Some((at, ask, when)) = wants.min_by_key(|(_, _, when)| *when) else {
                if self.changed(None, &mut states).await {
                    continue;
                }
                return Ok(());
            };
            if when > Instant::now() {
                if self.changed(Some(when), &mut states).await {
                    continue;
                }
                return Ok(());
            }
            turn = at + 1;
            let state = &mut states[at];
            match self.ask(&scope, at, &ask, state).await {
                Ok(()) => {}
                Err(trouble) => self.trouble(at, &trouble, state),
            }
        }
    }

    /// Waits until something may have to be asked for. `false` when nobody is left to fetch for: the service stops.
    async fn changed(&mut self, until: Option<Instant>, states: &mut [State]) -> bool {
        let wait = async {
            match until {
                Some(until) => sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! { biased;
            changed = self.needs.changed() => changed.is_ok(),
            changed = self.connected.changed() => {
                // Seen by the next round.
                self.connected.mark_changed();
                changed.is_ok()
            }
            Some(Check { symbol, answer }) = self.checks.recv() => {
                states[symbol].checks.push(answer);
                true
            }
            () = wait => true,
        }
    }

    async fn ask(
        &mut self,
        scope: &Scope,
        at: usize,
        ask: &Ask,
        state: &mut State,
    ) -> std::result::Result<(), Trouble> {
        let symbol = &self.symbols[at];
        match *ask {
            Ask::Info => {
                let path = format!("/api/v3/exchangeInfo?symbol={symbol}");
                let body = self.client.get(&path, INFO_WEIGHT, Purpose::Trades).await?;
                let info = exchange_info(&body).map_err(|wrong| Trouble::Unreadable(wrong.to_string()))?;
                if let Some(per_minute) = info.weight_per_minute {
                    self.client.allowance.allows(per_minute);
                }
                state.done();
                state.info = false;
                if let Some(info) = info.symbols.iter().find(|info| info.symbol == *symbol && info.tick.is_some()) {
                    // An error is an aggregator that has ended: so does this task soon.
                    let _ = self.inputs.send(Input::Scale(at, info.scale())).await;
                }
            }
            Ask::Trades(from, to) => {
                let path = format!("/api/v3/aggTrades?symbol={symbol}&fromId={from}&limit={}", PAGE.0);
                let body = self.client.get(&path, PAGE.1, Purpose::Trades).await?;
                let page = agg_trades(&body).map_err(|wrong| Trouble::Unreadable(wrong.to_string()))?;
                let full = page.trades.len() + page.void.len() >= PAGE.0;
                let last = last_of(&page);
                state.done();
                match (last, to) {
                    (Some(_), _) => state.empty = 0,
                    (None, None) => {}
                    // The stream has brought newer ones, so there must be something.
                    (None, Some(_)) if state.empty < EMPTY_PAGES => {
                        state.empty += 1;
                        state.later();
                        return Ok(());
                    }
                    (None, Some(_)) => state.empty = 0,
                }
                if to.is_none() {
                    // What is behind a full page is no news.
                    state.tail = last.filter(|_| full);
                    state.answer(Some(last.is_some()));
                }
                let listed = match (last, to) {
                    (Some(last), _) => Some((from, last)),
                    (None, Some(to)) => Some((from, to)),
                    (None, None) => None,
                };
                hand_over(scope, &self.inputs, at, page, listed, false).await;
            }
            Ask::Head(begin_ms) => {
                let path = format!("/api/v3/aggTrades?symbol={symbol}&startTime={begin_ms}&limit={}", PAGE.0);
                let body = self.client.get(&path, PAGE.1, Purpose::Trades).await?;
                let page = agg_trades(&body).map_err(|wrong| Trouble::Unreadable(wrong.to_string()))?;
                let last = last_of(&page);
                state.done();
                // The stream has brought one of that minute.
                if last.is_none() && state.empty < EMPTY_PAGES {
                    state.empty += 1;
                    state.later();
                    return Ok(());
                }
                state.empty = 0;
                let listed = page.trades.first().map(|trade| trade.id).zip(last);
                hand_over(scope, &self.inputs, at, page, listed, true).await;
            }
        }
        Ok(())
    }

    fn trouble(&mut self, at: usize, trouble: &Trouble, state: &mut State) {
        // What the exchange refuses for good, such as a symbol that it does not know, is asked for again much later.
        let rejected = matches!(trouble, Trouble::Refused(Refusal::Rejected { .. } | Refusal::Firewall));
        // It only saves work: without it numbers are counted in as many places as they turn out to need.
        state.info &= matches!(trouble, Trouble::Unanswered(_) | Trouble::Refused(Refusal::Wait { .. }));
        state.later();
        state.answer(None);
        if rejected {
            state.not_before = Instant::now() + self.times.rejected;
        }
        if !std::mem::replace(&mut state.told, true) {
            (self.tell)(Progress::Unfilled(self.symbols[at].clone(), trouble.to_string()));
        }
    }
}

impl State {
    /// What to ask for, and when.
    fn wants(&self, need: &Need) -> Option<(Ask, Instant)> {
        if self.info {
            return Some((Ask::Info, self.not_before));
        }
        match (need.gap, need.last, self.tail) {
            (Some((from, to)), ..) => Some((Ask::Trades(from, Some(to)), self.not_before)),
            _ if let Some(begin_ms) = need.head => Some((Ask::Head(begin_ms), self.not_before)),
            (None, Some(last), Some(tail)) if last <= tail => {
                Some((Ask::Trades(last + 1, None), self.not_before.max(self.tail_at)))
            }
            _ => None,
        }
    }

    /// Sees to those who wait to learn whether there is something newer.
    fn check(&mut self, need: &Need) {
        match need.last {
            _ if self.checks.is_empty() => {}
            Some(last) => (self.tail, self.tail_at) = (Some(last), Instant::now()),
            // Nothing has ever come: there is nothing that it could be newer than.
            None => self.answer(Some(false)),
        }
    }

    fn answer(&mut self, newer: Option<bool>) {
        for check in self.checks.drain(..) {
            let _ = check.send(newer);
        }
    }

    fn done(&mut self) {
        self.backoff.reset();
        self.told = false;
        self.not_before = Instant::now();
    }

    fn later(&mut self) {
        self.not_before = Instant::now() + self.backoff.next();
    }
}

/// Hands a page over, and waits until it is on disk: then it shows what is missing still.
async fn hand_over(
    scope: &Scope,
    inputs: &mpsc::Sender<Input>,
    symbol: usize,
    page: AggTrades,
    listed: Option<(i64, i64)>,
    begins: bool,
) {
    let (done, written) = oneshot::channel();
    let Ok(place) = inputs.reserve().await else { return };
    // No await between: what is owed is in the channel.
    scope.owe(TRADES, page.trades.len() as u64);
    place.send(Input::Page(Page { symbol, trades: page.trades, listed, begins, done }));
    // An error is an aggregator that has ended: so does this task soon.
    let _ = written.await;
}

fn last_of(page: &AggTrades) -> Option<i64> {
    page.trades.iter().map(|trade| trade.id).chain(page.void.iter().copied()).max()
}
