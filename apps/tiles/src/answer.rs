//! What to do with an answer: for the tile, and for the host and the job. Pure: `(answer, now) -> decision`.
//!
//! | answer | the tile | host and job |
//! |---|---|---|
//! | 200, 203 and a whole tile | stored | |
//! | 200 with nothing in it, 204, 404, 410 | empty, remembered | a warning if so are more than 95 % of the first 200 |
//! | 304 to a question of ours | unchanged | |
//! | 429; 503 with `Retry-After` | again, not counted as a try | all wait as long as it says; more than an hour ends the job |
//! | the same for one tile, time and again while others come | again, 5 tries in all | |
//! | 401, 403, 407, 418, 451 | failed, whatever the body | 5 in a row or more than 10 of 20 end the job |
//! | 202, 408, 421, 425, 500 to 599; reset, timeout, cut | again, 5 tries in all | |
//! | 200 with something else | failed, its beginning kept | |
//! | 301, 302, 303, 307, 308 | asked there, 5 times at most | 301 and 308 are remembered |
//! | other; a body of more than 32 MB | failed | |
//! | no connection | again | after some in a row all wait; an hour of it ends the job |
//! | a kept connection was stale; HTTP/2 turned the request away | again at once, not counted the first time; the first 8 times | |
//!
//! *Again* is at the end of the queue, after a random time up to 0.5 · 2ⁿ s (30 s at most). While more than a tenth of all requests are
//! such repetitions, each waits 15 to 30 s instead.

mod decision;
mod refusal;
mod retry;

use std::time::Duration;

pub use self::decision::{Class, Decision, Failure, Fate, Order};
use self::{
    refusal::{Blocks, Waits},
    retry::Retries,
};
use crate::{
    address::Address,
    check::{self, Format, Wrong},
    headers::Headers,
    pace::{Load, Time, Why},
};

/// Redirects that are followed for one tile.
pub const REDIRECTS: u8 = 5;
/// The longest pause that is waited for, and how long nothing may come before the job ends.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(3600);
/// So many of the last answers say whether the job is wanted.
pub(crate) const JUDGED: u64 = refusal::WINDOW as u64;
/// No tile and no page is shorter.
const SHORTEST: usize = 16;
/// So often HTTP/2 may turn a request away before that counts: connections end, but not one after the other.
const TURNED_AWAY: u8 = 8;
/// So often a host may ask to wait at one and the same tile, while others come, before that counts.
const ASKED_TO_WAIT: u8 = 3;
/// The longest that such a tile waits.
const LONGEST_OF_ONE: Duration = Duration::from_secs(60);
/// After so many results it is looked at how many are no tiles.
const FIRST_RESULTS: u64 = 200;

/// What came of one request.
#[derive(Debug, Clone, Copy)]
pub enum Outcome<'a> {
    /// An answer.
    Answer {
        /// Its status.
        status: u16,
        /// Its headers.
        headers: &'a Headers,
        /// Its body, with the content encoding undone but for that of vector tiles.
        body: &'a [u8],
        /// How the body ended.
        end: End,
        /// Whether it was asked only for what is newer than what is stored.
        conditional: bool,
    },
    /// No answer, or none that is one.
    Broken(Broken),
}

/// How a body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// As its length or its terminator said; or it was unpacked, which proves as much.
    Whole,
    /// With the connection, without saying how long it should be.
    Closed,
    /// Before it should.
    Cut,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// There was no connection: the name is not known, it was refused, or TLS failed.
    Unreachable,
    /// Nothing came in time.
    Timeout,
    /// The connection ended within the answer, or before it on a new connection.
    Reset,
    /// A connection that had been kept ended before the answer began.
    Stale,
    /// HTTP/2 says that the request was not looked at.
    TurnedAway,
    /// The content encoding could not be undone.
    Encoding,
    /// The body is larger than any tile, packed or not.
    TooLarge,
}

/// What was tried for one tile in this run; kept with it while it waits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tries {
    /// Those that count.
    pub counted: u8,
    /// Redirects followed since the last of them.
    pub redirects: u8,
    /// Whether it was repeated once because a kept connection was stale.
    pub stale: bool,
    /// How often HTTP/2 turned it away.
    pub turned_away: u8,
    /// How often the host asked to wait at this tile, though others had come since the last time.
    pub busy: u8,
    /// When it did so last.
    pub busy_at: Time,
    /// Whether no other tile is left: nothing else shows whether it is the host or the tile.
    pub last: bool,
}

/// When an answer came, by both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// Since the job began.
    pub time: Time,
    /// Since 1970, in seconds; matters where a server names a moment and does not tell its own time.
    pub unix: u64,
}

/// All answers of one job from its servers.
#[derive(Debug)]
pub struct Answers {
    expected: Option<Format>,
    waits: Waits,
    blocks: Blocks,
    retries: Retries,
    results: Results,
}

#[derive(Debug, Default)]
struct Results {
    all: u64,
    empty: u64,
    failed: u64,
}

impl Answers {
    /// Takes tiles of this format, or any. `seed` makes the random times.
    pub fn new(expected: Option<Format>, seed: u64) -> Self {
        Self {
            expected,
            waits: Waits::default(),
            blocks: Blocks::default(),
            retries: Retries::new(seed),
            results: Results::default(),
        }
    }

    /// The format that tiles have to have from now on.
    pub fn expect(&mut self, format: Format) {
        self.expected = Some(format);
    }

    /// What to do with what came of a request to this address.
    pub fn decide(&mut self, outcome: Outcome<'_>, from: &Address, tries: Tries, now: Now) -> Decision {
        self.retries.requested();
        let decision = match outcome {
            Outcome::Broken(broken) => self.broken(broken, tries, now.time),
            Outcome::Answer { status, headers, .. } => {
                let wait = headers.wait(now.unix);
                if status == 429 || status == 503 && wait.is_some() {
                    self.busy(status, wait, tries, now.time)
                } else {
                    self.waits.answered(now.time);
                    let (fate, load) = self.answer(outcome, from, tries, now.time);
                    if load == Load::Fine {
                        self.waits.accepted(now.time);
                    }
                    Decision { fate, order: self.blocks.answered(status, load), load }
                }
            }
        };
        let order = self.results.add(&decision.fate);
        Decision { order: decision.order.or(order), ..decision }
    }

    /// How many answers so far say whether we are wanted.
    pub(crate) fn judged(&self) -> u64 {
        self.blocks.judged()
    }

    /// The host asks to wait, or does so for one tile only.
    fn busy(&mut self, status: u16, wait: Option<Duration>, tries: Tries, now: Time) -> Decision {
        let failure = Failure { class: Class::Busy, status: Some(status), text: String::new() };
        let others_came = self.waits.accepted_since(tries.busy_at);
        let more = tries.busy == 0 || others_came || tries.last;
        let tries = Tries { busy: tries.busy.saturating_add(u8::from(more)), busy_at: now, ..tries };
        let counts = tries.busy > ASKED_TO_WAIT && more;
        let fate = match counts {
            true => match self.retries.again(now, tries, failure) {
                Fate::Again { at, tries, failure } => {
                    Fate::Again { at: at.max(now + wait.unwrap_or_default().min(LONGEST_OF_ONE)), tries, failure }
                }
                other => other,
            },
            false => Fate::Again { at: now, tries, failure },
        };
        if counts && others_came {
            return Decision { fate, order: None, load: Load::Trouble };
        }
        let order = self.waits.refused(now, wait, Why::Refused(status));
        Decision { fate, order: Some(order), load: Load::Refused }
    }

    fn broken(&mut self, broken: Broken, tries: Tries, now: Time) -> Decision {
        let class = match broken {
            Broken::Unreachable => Class::Unreachable,
            Broken::Timeout => Class::Timeout,
            Broken::Encoding => Class::Encoding,
            Broken::TooLarge => {
                let failure = Failure { class: Class::NotATile, status: None, text: "larger than 32 MB".to_owned() };
                return Decision { fate: Fate::Failed(failure), order: None, load: Load::Fine };
            }
            Broken::Reset | Broken::Stale | Broken::TurnedAway => Class::Reset,
        };
        let failure = Failure { class, status: None, text: String::new() };
        let (mut order, mut counts, mut left) = (None, true, tries);
        match broken {
            Broken::Unreachable => (order, counts) = self.waits.unreachable(now),
            // What has failed before has been forgiven already, or is not a matter of the connection.
            Broken::Stale => (counts, left.stale) = (tries.stale || tries.counted > 0, true),
            Broken::TurnedAway => {
                (counts, left.turned_away) = (tries.turned_away >= TURNED_AWAY, tries.turned_away + 1)
            }
            Broken::Timeout | Broken::Reset | Broken::Encoding | Broken::TooLarge => {}
        }
        let fate =
            if counts { self.retries.again(now, left, failure) } else { Fate::Again { at: now, tries: left, failure } };
        let at_fault = counts && broken != Broken::Encoding || broken == Broken::Unreachable;
        Decision { fate, order, load: if at_fault { Load::Trouble } else { Load::Fine } }
    }

    /// What to do with an answer that did not ask to wait.
    fn answer(&mut self, outcome: Outcome<'_>, from: &Address, tries: Tries, now: Time) -> (Fate, Load) {
        let Outcome::Answer { status, headers, body, end, conditional } = outcome else {
            unreachable!("decide looks at what is broken itself")
        };
        let failure = |class, text| Failure { class, status: Some(status), text };
        let fine = |fate| (fate, Load::Fine);
        match status {
            // Nothing tells whether what ended with its connection was meant to be so short.
            200 | 203 if end == End::Cut || end == End::Closed && body.len() < SHORTEST => {
                (self.retries.again(now, tries, failure(Class::Cut, String::new())), Load::Trouble)
            }
            200 | 203 if body.is_empty() => fine(Fate::Empty),
            200 | 203 => fine(match check::check(body, self.expected) {
                Ok(found) if found.whole || end == End::Whole => Fate::Store(found),
                Ok(_) => self.retries.again(now, tries, failure(Class::Cut, String::new())),
                Err(wrong @ Wrong::Cut { .. }) => {
                    self.retries.again(now, tries, failure(Class::Cut, wrong.to_string()))
                }
                Err(wrong @ Wrong::NotATile { .. }) => Fate::Failed(failure(Class::NotATile, wrong.to_string())),
                Err(wrong @ Wrong::Format { .. }) => Fate::Failed(failure(Class::Format, wrong.to_string())),
            }),
            204 | 404 | 410 => fine(Fate::Empty),
            304 if conditional => fine(Fate::Unchanged),
            301 | 302 | 303 | 307 | 308 => fine(match redirect(status, headers, from, tries) {
                Ok(redirect) => redirect,
                Err(text) => Fate::Failed(failure(Class::Redirect, text)),
            }),
            202 | 421 | 425 => fine(self.retries.again(now, tries, failure(Class::Server, check::words(body)))),
            408 | 500..=599 => {
                (self.retries.again(now, tries, failure(Class::Server, check::words(body))), Load::Trouble)
            }
            _ if refusal::is_refusal(status) => fine(Fate::Failed(failure(Class::Refused, check::words(body)))),
            _ => fine(Fate::Failed(failure(Class::Request, check::words(body)))),
        }
    }
}

fn redirect(status: u16, headers: &Headers, from: &Address, tries: Tries) -> Result<Fate, String> {
    let location = headers.location.as_deref().ok_or("it says not where to")?;
    let to = from.join(location).ok_or_else(|| format!("it leads to {location:.100}"))?;
    if tries.redirects >= REDIRECTS {
        return Err(format!("more than {REDIRECTS} in a row"));
    }
    Ok(Fate::Redirect {
        same_origin: from.same_origin(&to),
        to,
        tries: Tries { redirects: tries.redirects + 1, ..tries },
        for_good: matches!(status, 301 | 308),
    })
}

impl Results {
    /// At the end of the first results, a warning if hardly any is a tile.
    fn add(&mut self, fate: &Fate) -> Option<Order> {
        match fate {
            Fate::Store(_) | Fate::Unchanged => {}
            Fate::Empty => self.empty += 1,
            Fate::Failed(_) => self.failed += 1,
            Fate::Again { .. } | Fate::Redirect { .. } => return None,
        }
        self.all += 1;
        let few = self.all == FIRST_RESULTS && (self.empty + self.failed) * 20 > FIRST_RESULTS * 19;
        few.then_some(Order::FewTiles { empty: self.empty, failed: self.failed, of: FIRST_RESULTS })
    }
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
