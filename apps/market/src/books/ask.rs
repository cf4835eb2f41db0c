//! Asks for snapshots, one after the other: first for the books that are not there, then for those that could be deeper.

use tokio::time::Instant;

use super::{Books, limit};
use crate::{
    Progress,
    book::Taken,
    budget::Purpose,
    rest::{Client, Trouble},
    wire::{
        Snapshot,
        rest::{Refusal, depth},
    },
};

/// The client, the number of the symbol, and what came of it.
pub(super) type Answer = (Client, usize, Result<Snapshot, Trouble>);

/// What the exchange counts for a snapshot of so many levels.
pub(super) fn weight(limit: usize) -> u32 {
    match limit {
        0..=100 => 5,
        101..=500 => 25,
        501..=1000 => 50,
        _ => 250,
    }
}

impl Books {
    /// Begins to ask for what is needed most, unless an answer is waited for.
    pub(super) fn ask(&mut self, now: Instant) {
        let Some((at, purpose)) = self.next_ask(now) else { return };
        let Some(mut client) = self.client.take() else { return };
        self.turn = at + 1;
        let (shelf, limit) = (&mut self.symbols[at], limit(self.depth));
        shelf.follow.expect_snapshot();
        let path = format!("/api/v3/depth?symbol={}&limit={limit}", shelf.name);
        self.asking = Some(Box::pin(async move {
            let answer = client.get(&path, weight(limit), purpose).await;
            let snapshot = answer.and_then(|body| depth(&body).map_err(|wrong| Trouble::Unreadable(wrong.to_string())));
            (client, at, snapshot)
        }));
    }

    /// Whose turn it is, and what for: as far as the budget has room for it now.
    fn next_ask(&self, now: Instant) -> Option<(usize, Purpose)> {
        let (client, count) = (self.client.as_ref()?, self.symbols.len());
        [Purpose::Book, Purpose::Deeper].into_iter().find_map(|purpose| {
            let wants = |at: &usize| self.symbols[*at].asks().is_some_and(|(what, at)| what == purpose && at <= now);
            let at = (0..count).map(|n| (self.turn + n) % count).find(wants)?;
            client.allowance.wait(weight(limit(self.depth)), purpose).is_zero().then_some((at, purpose))
        })
    }

    pub(super) fn answered(&mut self, (client, at, answer): Answer) {
        (self.client, self.asking) = (Some(client), None);
        let now = Instant::now();
        match answer {
            Ok(snapshot) => self.fetched(at, &snapshot, now),
            Err(trouble) => {
                self.later(at, &trouble.to_string(), 1);
                // What the exchange refuses for good, such as a symbol that it does not know, is asked for again much later.
                if matches!(trouble, Trouble::Refused(Refusal::Rejected { .. } | Refusal::Firewall)) {
                    self.symbols[at].ask_at = now + self.times.rejected;
                }
            }
        }
    }

    fn fetched(&mut self, at: usize, snapshot: &Snapshot, now: Instant) {
        let shelf = &mut self.symbols[at];
        let was_live = shelf.follow.is_live();
        let (taken, lost) = shelf.follow.snapshot(snapshot, now);
        match taken {
            Taken::Live { .. } | Taken::NotNeeded => {
                shelf.backoff.reset();
                shelf.tries = 0;
                // One that gets shallow at once is not asked for more often than it is stored.
                shelf.deepen_at = now + self.depth.every;
                if !was_live {
                    (self.tell)(Progress::DepthLive(shelf.name.clone()));
                }
            }
            Taken::TooOld { first } => {
                let why = format!("its snapshot ends at {}, before {first}", snapshot.last_id);
                // REST may be a little behind the stream.
                self.later(at, &why, 3);
            }
            Taken::Lost(lost) => self.later(at, &lost.to_string(), 1),
        }
        if let Some(lost) = lost {
            self.lost(at, lost);
        }
    }

    /// It is tried again after a pause; which is said once, at the `say`-th time.
    fn later(&mut self, at: usize, why: &str, say: u32) {
        let shelf = &mut self.symbols[at];
        shelf.ask_at = Instant::now() + shelf.backoff.next();
        shelf.tries += 1;
        if shelf.tries == say {
            (self.tell)(Progress::DepthUnfetched(shelf.name.clone(), why.to_owned()));
        }
    }
}
