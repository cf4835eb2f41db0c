//! Who asks for which tile next, and what became of each: all slots share one desk. No input or output here.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::{sync::Notify, time::Instant};

use super::{client::Reply, progress::Progress};
use crate::{
    address::Address,
    answer::{Answers, Broken, Class, Failure, Fate, JUDGED, Now, Order, Outcome, Tries},
    check::Format,
    grid::Tile,
    pace::{Pace, Permit, Time},
    store::{Http, Row, What},
    template::Template,
};

/// A tile to be asked for, with all that is to be known for it.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) tile: Tile,
    pub(crate) tries: Tries,
    pub(crate) address: Address,
    /// Whether it is the server that the template names.
    pub(crate) own: bool,
    /// Whether the address is that of a redirect.
    redirected: bool,
    pub(crate) format: Option<Format>,
    sent: Time,
}

/// What a slot does next.
#[derive(Debug)]
pub(crate) enum Next {
    Ask(Ticket),
    /// To be stored.
    Keep(Row),
    /// Nothing before this moment.
    Sleep(Instant),
    /// Nothing before something has changed.
    Wait,
    Leave,
}

/// What became of an answer.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// To be stored.
    pub(crate) row: Option<Row>,
    /// To be told.
    pub(crate) words: Option<String>,
    /// The format of the tiles, if this was the first.
    pub(crate) format: Option<Format>,
}

pub(crate) struct Desk {
    state: Mutex<State>,
    /// Somebody who waits may look again.
    pub(crate) more: Notify,
    leaving: AtomicBool,
    began: Instant,
    progress: Arc<Progress>,
    /// Whether tiles may be asked for there, where a redirect leads.
    allows: Box<dyn Fn(&Address) -> bool + Send + Sync>,
    /// Takes secrets out of what a server says.
    mask: Box<dyn Fn(&str) -> String + Send + Sync>,
    keeps: Option<u64>,
}

struct State {
    todo: Box<dyn Iterator<Item = Tile> + Send>,
    /// Taken from `todo`, and not given out yet.
    next: Option<Tile>,
    again: BinaryHeap<Reverse<Again>>,
    /// Of the tiles that are repeated, how many were so far: keeps those of one moment in order.
    repeated: u64,
    template: Template,
    /// Where the template led at first.
    origin: Option<Address>,
    /// Whether the template has moved to another server.
    elsewhere: bool,
    format: Option<Format>,
    /// Whether the first tile says what the others have to be.
    learns: bool,
    pace: Pace,
    answers: Answers,
    /// Tiles that were refused, by how many answers had been judged then. Where these end the job, it is the job that was refused.
    refused: VecDeque<(u64, Row)>,
    /// The earliest moment for which somebody sleeps.
    alarm: Option<Time>,
    ended: Option<Order>,
    text: String,
}

/// A tile that is asked for again, by time and then in order.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Again {
    at: Time,
    number: u64,
    tile: Tile,
    tries: Tries,
    /// Where it was redirected to.
    address: Option<Address>,
}

impl PartialOrd for Again {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Again {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// How a desk begins.
pub(crate) struct Setup {
    pub(crate) todo: Box<dyn Iterator<Item = Tile> + Send>,
    pub(crate) template: Template,
    pub(crate) format: Option<Format>,
    pub(crate) learns: bool,
    pub(crate) pace: Pace,
    pub(crate) seed: u64,
    /// For how many seconds a tile is fresh where the answer says nothing of it.
    pub(crate) keeps: Option<u64>,
    /// Whether the template leads to another server than a person has named.
    pub(crate) elsewhere: bool,
    pub(crate) progress: Arc<Progress>,
    /// Whether tiles may be asked for there, where a redirect leads.
    pub(crate) allows: Box<dyn Fn(&Address) -> bool + Send + Sync>,
    pub(crate) mask: Box<dyn Fn(&str) -> String + Send + Sync>,
}

impl Desk {
    pub(crate) fn new(setup: Setup) -> Self {
        let Setup { todo, template, format, learns, pace, seed, keeps, progress, elsewhere, allows, mask } = setup;
        let state = State {
            todo,
            next: None,
            again: BinaryHeap::new(),
            repeated: 0,
            template,
            origin: None,
            elsewhere,
            format,
            learns,
            pace,
            answers: Answers::new(format, seed),
            refused: VecDeque::new(),
            alarm: None,
            ended: None,
            text: String::new(),
        };
        Self {
            state: Mutex::new(state),
            more: Notify::new(),
            leaving: AtomicBool::new(false),
            began: Instant::now(),
            progress,
            allows,
            mask,
            keeps,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Since the job began.
    fn now(&self) -> Time {
        self.began.elapsed()
    }

    /// Nothing more is given out.
    pub(crate) fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
        self.more.notify_waiters();
    }

    /// Why the job ended before all was asked for.
    pub(crate) fn ended(&self) -> Option<Order> {
        self.state().ended.clone()
    }

    /// How many slots were good at last.
    pub(crate) fn slots(&self) -> u32 {
        self.state().pace.limits(self.now()).slots
    }

    pub(crate) fn next(&self) -> Next {
        let leaving = self.leaving.load(Ordering::Acquire);
        let now = self.now();
        let mut state = self.state();
        if let Some(row) = state.refused(leaving) {
            return self.keep(row);
        }
        if leaving {
            return Next::Leave;
        }
        let next = state.next(now);
        let last = if next.is_none() { state.refused(true) } else { None };
        self.progress.limits(now, &state.pace);
        let looks = state.alarm.is_none() && state.pace.wants_a_look();
        let room = looks || state.pace.in_flight() < state.pace.limits(now).slots;
        drop(state);
        if room && matches!(next, Some(Work::Ask(_) | Work::Failed { .. })) {
            self.more.notify_one();
        }
        match next {
            Some(Work::Ask(ticket)) => Next::Ask(ticket),
            Some(Work::Failed { tile, tries, failure }) => self.keep(Row { tile, what: self.failed(failure, tries) }),
            Some(Work::At(time)) => Next::Sleep(self.began + time),
            Some(Work::Later) => Next::Wait,
            None => match last {
                Some(row) => self.keep(row),
                None => {
                    self.leave();
                    Next::Leave
                }
            },
        }
    }

    fn keep(&self, row: Row) -> Next {
        self.progress.arrived(&row.what);
        Next::Keep(row)
    }

    /// Somebody who slept until `alarm` is awake.
    pub(crate) fn awake(&self, alarm: Instant) {
        let mut state = self.state();
        if state.alarm == Some(alarm.saturating_duration_since(self.began)) {
            state.alarm = None;
        }
    }

    /// A tile that is stored is not at the server any more.
    pub(crate) fn gone(&self) {
        self.progress.gone();
    }

    /// A request was given up.
    pub(crate) fn dropped(&self) {
        let now = self.now();
        self.state().pace.dropped(now);
    }

    /// Takes in what came of a request.
    pub(crate) fn answered(
        &self,
        ticket: Ticket,
        reply: Result<Reply, Broken>,
        stored: Option<&Http>,
        unix: u64,
    ) -> Settled {
        let now = Now { time: self.now(), unix };
        let mut state = self.state();
        let outcome = match &reply {
            Ok(Reply { status, headers, body, end }) => {
                Outcome::Answer { status: *status, headers, body, end: *end, conditional: stored.is_some() }
            }
            Err(broken) => Outcome::Broken(*broken),
        };
        let last = state.is_last();
        let tries = Tries { last, ..ticket.tries };
        let decision = state.answers.decide(outcome, &ticket.address, tries, now);
        state.pace.answered(now.time, ticket.sent, decision.load);
        let mut settled = Settled::default();
        match decision.order {
            Some(Order::Pause { until, why }) => {
                state.pace.pause(now.time, until, why);
                self.progress.paused();
            }
            Some(order) if order.ends() => {
                if matches!(order, Order::Blocked { .. }) {
                    // It is not these tiles that it refused.
                    state.refused.clear();
                }
                // What was on its way when the job ended says the same once more.
                if state.ended.is_none() {
                    settled.words = Some(format!("{order}; {}", order.hint()));
                    state.ended = Some(order);
                }
                drop(state);
                self.leave();
                return settled;
            }
            Some(order) => settled.words = Some(format!("warning: {order}; {}", order.hint())),
            None => {}
        }
        let http = |reply: &Reply| Http {
            // One that repeats a secret would be kept with it.
            etag: reply.headers.etag.clone().filter(|etag| (self.mask)(etag) == *etag),
            last_modified: reply.headers.last_modified.clone(),
            fetched: unix,
            expires: reply.headers.fresh.or(self.keeps).map(|fresh| unix.saturating_add(fresh)),
        };
        let what = match (decision.fate, reply) {
            (Fate::Store(found), Ok(reply)) => {
                if state.learns && state.format.is_none() {
                    state.format = Some(found.format);
                    state.answers.expect(found.format);
                    settled.format = Some(found.format);
                }
                let http = http(&reply);
                Some(What::Stored { body: reply.body, http })
            }
            (Fate::Unchanged, Ok(reply)) => Some(What::Unchanged { http: http(&reply) }),
            (Fate::Empty, Ok(reply)) => Some(What::Empty { status: reply.status, http: http(&reply) }),
            (Fate::Failed(failure), _) if failure.class == Class::Refused => {
                let row = Row { tile: ticket.tile, what: self.failed(failure, tries) };
                if !matches!(state.ended, Some(Order::Blocked { .. })) {
                    let judged = state.answers.judged();
                    state.refused.push_back((judged, row));
                }
                None
            }
            (Fate::Failed(failure), _) => Some(self.failed(failure, tries)),
            (Fate::Again { at, tries, failure }, _) => {
                self.progress.trouble(failure.class);
                let address = ticket.redirected.then_some(ticket.address);
                state.again(at, ticket.tile, tries, address);
                None
            }
            (Fate::Redirect { to, .. }, reply) if !(self.allows)(&to) => {
                let (status, text) = (reply.ok().map(|reply| reply.status), forbidden(&to));
                Some(self.failed(Failure { class: Class::Redirect, status, text }, tries))
            }
            (Fate::Redirect { to, tries, for_good, same_origin }, _) => {
                // Only what the template itself led to says something of the template.
                if for_good
                    && !ticket.redirected
                    && let Some(moved) = state.template.moved(ticket.tile, to.as_str())
                {
                    state.template = moved;
                    state.elsewhere |= !same_origin;
                }
                state.again(now.time, ticket.tile, tries, Some(to));
                None
            }
            // The decision is made of the reply: without one there is nothing to store.
            (Fate::Store(_) | Fate::Unchanged | Fate::Empty, Err(_)) => None,
        };
        drop(state);
        if let Some(what) = &what {
            self.progress.arrived(what);
        }
        settled.row = what.map(|what| Row { tile: ticket.tile, what });
        settled
    }

    fn failed(&self, failure: Failure, tries: Tries) -> What {
        let Failure { class, status, text } = failure;
        What::Failed { class, status, text: (self.mask)(&text), tries: u32::from(tries.counted) + 1 }
    }
}

enum Work {
    Ask(Ticket),
    /// It cannot be asked for.
    Failed {
        tile: Tile,
        tries: Tries,
        failure: Failure,
    },
    At(Time),
    Later,
}

impl State {
    /// None when there is nothing left and nothing on its way.
    fn next(&mut self, now: Time) -> Option<Work> {
        let due = self.again.peek().is_some_and(|Reverse(again)| again.at <= now);
        let probes = self.pace.probes_next();
        if !due || probes {
            self.next = self.next.or_else(|| self.todo.next());
        }
        // Whether the host takes requests again is not tried with a tile that may be refused for itself.
        let due = due && !(probes && self.next.is_some());
        if !due && self.next.is_none() {
            return match self.again.peek().map(|Reverse(again)| again.at) {
                Some(at) => Some(self.sleep(at)),
                None if self.pace.in_flight() > 0 => Some(Work::Later),
                None => None,
            };
        }
        match self.pace.ask(now) {
            Permit::Go => {}
            Permit::Wait(at) => return Some(self.sleep(at)),
            Permit::Full => return Some(Work::Later),
        }
        let again = if due { self.again.pop().map(|Reverse(again)| again) } else { None };
        let (tile, tries, address) = match again {
            Some(again) => (again.tile, again.tries, again.address),
            None => (self.next.take()?, Tries::default(), None),
        };
        let own = match (&address, &self.origin) {
            (Some(address), Some(origin)) => address.same_origin(origin),
            _ => !self.elsewhere,
        };
        let redirected = address.is_some();
        let address = address.or_else(|| {
            self.template.fill(tile, &mut self.text);
            Address::parse(&self.text)
        });
        let Some(address) = address else {
            // A template has been checked with one tile only.
            self.pace.unsent(now);
            let text = format!("no address: {}", self.template.masked(tile));
            return Some(Work::Failed { tile, tries, failure: Failure { class: Class::Request, status: None, text } });
        };
        if self.origin.is_none() {
            self.origin = Some(address.clone());
        }
        Some(Work::Ask(Ticket { tile, tries, address, own, redirected, format: self.format, sent: now }))
    }

    /// Whether the tile of which the answer has come is the last of all.
    fn is_last(&mut self) -> bool {
        self.next = self.next.or_else(|| self.todo.next());
        self.next.is_none() && self.again.is_empty() && self.pace.in_flight() == 1
    }

    /// A tile that was refused, and nothing that comes can make it a refusal of the job; or any, when nothing more is asked.
    fn refused(&mut self, any: bool) -> Option<Row> {
        let judged = self.answers.judged();
        self.refused.pop_front_if(|(then, _)| any || judged >= *then + JUDGED).map(|(_, row)| row)
    }

    /// One sleeps for all.
    fn sleep(&mut self, at: Time) -> Work {
        if self.alarm.is_some_and(|alarm| alarm <= at) {
            return Work::Later;
        }
        self.alarm = Some(at);
        Work::At(at)
    }

    fn again(&mut self, at: Time, tile: Tile, tries: Tries, address: Option<Address>) {
        self.repeated += 1;
        let tries = Tries { last: false, ..tries };
        self.again.push(Reverse(Again { at, number: self.repeated, tile, tries, address }));
    }
}

fn forbidden(to: &Address) -> String {
    format!("it leads to {}: its operators forbid bulk downloads", to.host())
}

#[cfg(test)]
#[path = "desk_tests.rs"]
mod tests;
