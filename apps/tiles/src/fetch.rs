//! The component that asks: slots share one desk that says which tile is next, and the connections of one client.

pub(crate) mod body;
pub(crate) mod client;
pub(crate) mod desk;
mod line;
mod progress;
mod request;

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use softstop::{Result, Scope};
use tokio::time::sleep_until;

pub use self::{
    client::Patience,
    progress::{Numbers, Progress},
    request::{HeaderError, Manners},
};
use self::{
    client::{Asking, Client},
    desk::{Desk, Next, Ticket},
};
use crate::{
    answer::{Broken, Tries},
    check::Format,
    grid::Tile,
    keep::{Note, Rows},
    store::{Http, Known, Metadata, Reader, Row, What},
};

/// Asks for one tile after another until there is nothing left to do, or the stop comes.
pub(crate) struct Slot {
    pub(crate) desk: Arc<Desk>,
    pub(crate) client: Arc<Client>,
    pub(crate) rows: Rows,
    /// Where a refresh looks up what is stored.
    pub(crate) stored: Option<Refresh>,
}

/// What a refresh knows of the tiles that are there.
#[derive(Clone)]
pub(crate) struct Refresh {
    /// Where it is looked up how fresh they are.
    pub(crate) reader: Arc<std::sync::Mutex<Reader>>,
    /// Those that stay even if the server does not have them any more.
    pub(crate) known: Arc<Known>,
}

/// What a slot does.
enum Turn {
    Ask(Ticket),
    Keep(Row),
}

impl Slot {
    pub(crate) async fn run(self, scope: Scope) -> Result {
        loop {
            let goes_on = match self.turn(&scope).await {
                Some(Turn::Ask(ticket)) => self.ask(&scope, ticket).await?,
                Some(Turn::Keep(row)) => self.rows.send(row).await.is_ok(),
                None => false,
            };
            if !goes_on {
                return Ok(());
            }
        }
    }

    /// Waits until there is something to do; none if nothing more is wanted. Who has something to do is not told of more: it would
    /// stay with one who is busy.
    async fn turn(&self, scope: &Scope) -> Option<Turn> {
        loop {
            let mut more = std::pin::pin!(self.desk.more.notified());
            // Before looking: what changes between looking and waiting is not missed.
            more.as_mut().enable();
            if scope.is_draining() {
                self.desk.leave();
            }
            match self.desk.next() {
                Next::Ask(ticket) => return Some(Turn::Ask(ticket)),
                Next::Keep(row) => return Some(Turn::Keep(row)),
                Next::Sleep(until) => {
                    tokio::select! { biased;
                        _ = scope.draining() => {}
                        () = more => {}
                        () = sleep_until(until) => {}
                    }
                    self.desk.awake(until);
                }
                Next::Wait => {
                    tokio::select! { biased;
                        _ = scope.draining() => {}
                        () = more => {}
                    }
                }
                Next::Leave => return None,
            }
        }
    }

    /// Asks for one tile and hands on what came; `false` if nothing more is wanted.
    async fn ask(&self, scope: &Scope, ticket: Ticket) -> Result<bool> {
        let stored = match &self.stored {
            Some(refresh) => look_up(scope, Arc::clone(&refresh.reader), ticket.tile).await?,
            None => None,
        };
        let asking = Asking {
            address: &ticket.address,
            own: ticket.own,
            format: ticket.format,
            stored: stored.as_ref(),
            forgiving: ticket.tries == Tries { redirects: ticket.tries.redirects, ..Tries::default() },
        };
        // In a hurry, what is on the wire is dropped.
        let Some(reply) = scope.until_cancelled(self.client.ask(asking)).await else {
            self.desk.dropped();
            return Ok(false);
        };
        let why = if matches!(reply, Err(Broken::Unreachable)) { self.client.why() } else { None };
        let settled = self.desk.answered(ticket, reply, stored.as_ref(), unix());
        if let Some(words) = settled.words {
            scope.say(match why {
                Some(why) => format!("{words} ({why})"),
                None => words,
            });
        }
        if let Some(row) = settled.row.map(|row| self.keep(row))
            && self.rows.send(row).await.is_err()
        {
            return Ok(false);
        }
        if let Some(format) = settled.format
            && self.rows.note(is(format)).await.is_err()
        {
            return Ok(false);
        }
        Ok(true)
    }
}

impl Slot {
    /// A server that does not have a tile any more, for a day or for good, takes nothing away.
    fn keep(&self, row: Row) -> Row {
        match (row.what, &self.stored) {
            (What::Empty { http, .. }, Some(refresh)) if refresh.known.stored.contains(row.tile.id()) => {
                self.desk.gone();
                Row { tile: row.tile, what: What::Unchanged { http } }
            }
            (what, _) => Row { tile: row.tile, what },
        }
    }
}

/// What the file says of tiles of this format.
pub(crate) fn is(format: Format) -> Note {
    let mut metadata = Metadata::new();
    metadata.set("format", format.name());
    Note { metadata, ..Note::default() }
}

async fn look_up(scope: &Scope, reader: Arc<std::sync::Mutex<Reader>>, tile: Tile) -> Result<Option<Http>> {
    let look = move |_: softstop::Flag| {
        let reader = reader.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Ok(reader.validators(tile)?)
    };
    Ok(scope.spawn_blocking("look up", look).await?)
}

/// Seconds since 1970.
pub(crate) fn unix() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
