//! How long after it was sent a trade can be read in the file by somebody else.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rusqlite::{Connection, OpenFlags};

use crate::{
    Result, collect,
    exchange::{Exchange, FIRST, Frames},
};

/// How often the file is looked at; a delay may be less by so much.
const LOOK: Duration = Duration::from_micros(200);

pub(crate) fn at_50_000_a_second(folder: &Path, frames: &Arc<Frames>, seconds: u64) -> Result<Vec<Duration>> {
    let folder = tempfile::tempdir_in(folder)?;
    let db = folder.path().join("m.db");
    let exchange = Exchange::new(frames, Some((50_000, Duration::from_secs(seconds))));
    let over = Arc::new(AtomicBool::new(false));
    let (path, ends) = (db.clone(), Arc::clone(&over));
    let looking = thread::spawn(move || seen(&path, &ends));
    let collected = collect(&db, &exchange, exchange.all_sent());
    over.store(true, Ordering::Relaxed);
    let seen = looking.join().map_err(|_| "who looked has panicked")??;
    collected?;

    let sent = exchange.sent.lock().expect("nobody panics with it");
    let mut delays = Vec::new();
    let mut at = seen.iter().peekable();
    let mut from = FIRST;
    for (when, behind) in sent.iter() {
        // The group can be read when its last trade can.
        while at.peek().is_some_and(|(_, last)| last + 1 < *behind) {
            at.next();
        }
        let Some((read, _)) = at.peek() else { break };
        delays.extend((from..*behind).map(|_| read.saturating_duration_since(*when)));
        from = *behind;
    }
    if delays.is_empty() { Err("nothing was seen".into()) } else { Ok(delays) }
}

/// The last trade in the journal, whenever it was another, and when that was.
#[expect(
    clippy::disallowed_methods,
    reason = "a thread of its own, beside all that is measured, which ends with the run"
)]
fn seen(db: &Path, over: &AtomicBool) -> std::result::Result<Vec<(Instant, u64)>, String> {
    let mut seen: Vec<(Instant, u64)> = Vec::new();
    let mut file = None;
    while !over.load(Ordering::Relaxed) {
        if file.is_none() {
            file = Connection::open_with_flags(db, OpenFlags::SQLITE_OPEN_READ_WRITE).ok();
        }
        let last = file.as_ref().and_then(|file| last(file).ok().flatten());
        if let Some(last) = last
            && seen.last().is_none_or(|(_, before)| *before < last)
        {
            seen.push((Instant::now(), last));
        }
        thread::sleep(LOOK);
    }
    Ok(seen)
}

fn last(file: &Connection) -> rusqlite::Result<Option<u64>> {
    let mut query = file.prepare_cached("SELECT max(id) FROM trades WHERE symbol = 1")?;
    query.query_row([], |row| row.get::<_, Option<i64>>(0)).map(|id| id.and_then(|id| u64::try_from(id).ok()))
}
