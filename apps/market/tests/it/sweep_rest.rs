//! Stops the collector at every await point with an exchange in memory that answers requests as well: what is missing is fetched, order
//! books are kept.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use market::{Config, Reader, config::Depth};
use softstop::{
    Report, Result, Service, Status,
    testing::{Fault, Sweep, sweep},
};

use crate::{
    memory::{
        Exchange, Manner, SCRIPT, Trade, folder,
        rest::{bids, everything},
    },
    sweep::{Ends, SecondStart, Table, collector_of, lost, run_paused, table_in, table_of, unless_all},
};

fn with_everything(config: Config) -> Config {
    let depth = Depth::new(100, Duration::from_millis(300)).unwrap();
    Config { rest: Some("http://memory".parse().unwrap()), depth: Some(depth), ..config }
}

fn stops(manner: Manner) -> Sweep<impl Fn(&mut Service) -> Result<Ends> + Send + Sync + 'static> {
    let build = move |service: &mut Service| {
        let folder = folder()?;
        let exchange = Exchange::with_rest(service, manner);
        let (seen, said) = collector_of(service, exchange, folder.path(), with_everything);
        Ok(Ends { folder, seen, said })
    };
    sweep(build).lasting(SCRIPT)
}

/// Each minute with its ids and levels alone, as text.
fn counted(table: Table) -> Vec<String> {
    table.into_iter().map(|(key, minute)| format!("{key:?}: {:?} {:?}", minute.ids, minute.levels)).collect()
}

/// In the order in which they add up to minutes.
fn sorted(mut trades: Vec<Trade>) -> Vec<Trade> {
    trades.sort_by_key(|trade| trade.id);
    trades
}

/// Which trades the file holds, each of which has a bit of its own in the sums; that nothing else is counted, and nothing twice.
fn stored(folder: &Path) -> Result<Vec<usize>> {
    let (table, all) = (table_in(folder)?, everything());
    let levels = table.values().flat_map(|minute| minute.levels.values());
    let bits = levels.fold(0, |bits, level| bits | level.buy | level.sell);
    let places: Vec<usize> = (0..all.len()).filter(|place| bits >> place & 1 == 1).collect();
    let right = table_of(&sorted(places.iter().map(|place| all[*place].clone()).collect()));
    let (table, right) = (counted(table), counted(right));
    if table == right { Ok(places) } else { Err(format!("the file holds {table:#?}, not {right:#?}").into()) }
}

/// Every order book in the file is the one at its update.
fn books(folder: &Path) -> Result<usize> {
    let (mut count, db) = (0, folder.join("m.db"));
    if !db.exists() {
        return Ok(0);
    }
    for symbol in ["AAAUSDT", "BBBUSDT"] {
        for book in Reader::open(&db)?.depth(symbol, u32::MAX)? {
            count += 1;
            let right = bids(usize::try_from(book.last_id)?);
            if (&book.bids, book.asks.as_slice()) != (&right, &[(100, 1)]) {
                return Err(format!("{book:?}, not {right:?}").into());
            }
        }
    }
    Ok(count)
}

/// What the stream brought is in the file or declared as lost; what is in the file is right. Returns how many order books are.
fn is_right(report: &Report, ends: &Ends) -> Result<usize> {
    if let Some(note) = report.notes.iter().find(|note| note.contains("were settled than owed")) {
        return Err(note.clone().into());
    }
    let stored = stored(ends.folder.path())?;
    let received = ends.seen.received.lock().unwrap().clone();
    let missing = received.iter().filter(|place| !stored.contains(place)).count() as u64;
    if missing > lost(report) {
        return Err(format!("{missing} of what was received are not stored, {:?}", report.losses).into());
    }
    books(ends.folder.path())
}

/// Starts the collector again on the file of a run: it ends with everything, whole but for the last minutes.
fn second_start(folder: &Path) -> Result {
    let mut again = Service::new("again");
    let exchange = Exchange::with_rest(&mut again, Manner::Hasty);
    collector_of(&mut again, exchange, folder, with_everything);
    let report = run_paused(again, SCRIPT)?;
    if report.status != Status::Clean {
        return Err(format!("the second start: {}", report.line()).into());
    }
    books(folder)?;
    let stored = stored(folder)?;
    if stored.len() != everything().len() {
        return Err(format!("after the second start the file holds {stored:?} alone").into());
    }
    let table = table_in(folder)?;
    let last = |symbol: &str| table.keys().filter(|(name, _)| name == symbol).map(|(_, begin_ms)| *begin_ms).max();
    match table.iter().find(|((symbol, begin_ms), minute)| minute.complete == (last(symbol) == Some(*begin_ms))) {
        Some(wrong) => Err(format!("after the second start: {wrong:?}").into()),
        None => Ok(()),
    }
}

fn completes(again: &SecondStart, report: &Report, ends: &Ends, most: &AtomicUsize) -> Result {
    most.fetch_max(is_right(report, ends)?, Ordering::Relaxed);
    if again.is_new(ends.folder.path())? { second_start(ends.folder.path()) } else { Ok(()) }
}

#[test]
fn a_stop_anywhere_loses_nothing_and_stores_no_wrong_book() {
    for manner in [Manner::Polite, Manner::Breaks] {
        let (again, most) = (SecondStart::default(), Arc::<AtomicUsize>::default());
        let seen = Arc::clone(&most);

        let swept = stops(manner).at_most(unless_all(120)).pairs(unless_all(16)).run(move |report, ends| {
            if lost(report) > 0 {
                return Err(format!("{:?} are declared as lost", report.losses).into());
            }
            completes(&again, report, &ends, &seen)
        });

        assert!(swept.points.len() + swept.left_out > 300, "{swept:?}");
        assert!(most.load(Ordering::Relaxed) >= 8, "{most:?} order books");
    }
}

#[test]
fn what_fails_around_requests_and_books_loses_nothing_silently() {
    for (fault, status) in [
        (Fault::task_panics("refill/fetch", 5), Status::Failed),
        (Fault::task_panics("books/follow", 9), Status::Failed),
        (Fault::task_panics("store/depth", 1), Status::Failed),
        (Fault::task_fails("books/start", 1), Status::StartFailed),
        (Fault::task_panics("exchange/answer", 3), Status::Failed),
    ] {
        let (again, most, what) = (SecondStart::default(), AtomicUsize::default(), fault.to_string());
        let sweep = stops(Manner::Polite).at_most(unless_all(12)).pairs(unless_all(6)).fault(fault);
        sweep.allow(status).allow(Status::Lost).run(move |report, ends| {
            completes(&again, report, &ends, &most).map_err(|error| format!("{what}: {error}").into())
        });
    }
}
