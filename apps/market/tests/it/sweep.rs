//! Stops the collector at every await point, on a paused clock, with an exchange in memory and a file of its own in each run.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use market::{Address, Config, Connection, Level, Progress, Reader, Saved, State, TRADES, service};
use softstop::{
    Level as Press, Reason, Report, Result, Service, Status,
    testing::{Fault, Sweep, sweep},
};
use tempfile::TempDir;

use crate::memory::{Exchange, Manner, SCRIPT, Seen, Trade, folder, script};

/// The last word of a collector.
pub(crate) type Said = Arc<Mutex<Option<Saved>>>;

/// What one run leaves behind.
pub(crate) struct Ends {
    pub(crate) folder: TempDir,
    pub(crate) seen: Seen,
    pub(crate) said: Said,
}

/// Adds a collector and its exchange to a service; its file may have so many bytes.
fn collector(to: &mut Service, manner: Manner, folder: &Path, most_bytes: Option<u64>) -> (Seen, Said) {
    let exchange = Exchange::add(to, manner);
    collector_of(to, exchange, folder, |config| Config { most_bytes, ..config })
}

/// Adds a collector of this exchange, with settings of its own.
pub(crate) fn collector_of(
    to: &mut Service,
    exchange: Exchange,
    folder: &Path,
    settings: impl FnOnce(Config) -> Config,
) -> (Seen, Said) {
    let (seen, said) = (exchange.seen.clone(), Said::default());
    let saying = Arc::clone(&said);
    let connect = move |to: &Address| {
        let connected = if to.scheme.is_stream() {
            exchange.connect().map(|tap| Box::new(tap) as Box<dyn Connection>)
        } else {
            exchange.ask().map(|pipe| Box::new(pipe) as Box<dyn Connection>)
        };
        Box::pin(std::future::ready(connected)) as _
    };
    let symbols = script().into_iter().map(|trade| trade.symbol.to_owned());
    let config = Config {
        connect: Arc::new(connect),
        tell: Arc::new(move |progress| {
            if let Progress::Saved(saved) = progress {
                let before = saying.lock().unwrap().replace(saved);
                assert_eq!(before, None, "what was saved is said once");
            }
        }),
        ..Config::new("ws://memory".parse().unwrap(), symbols, folder.join("m.db"))
    };
    service(to, settings(config));
    (seen, said)
}

/// A sweep over a collector; its file is prepared before it starts.
fn stops(
    manner: Manner,
    prepare: impl Fn(&Path) + Send + Sync + 'static,
) -> Sweep<impl Fn(&mut Service) -> Result<Ends> + Send + Sync + 'static> {
    stops_within(manner, None, prepare)
}

/// The same where the file may have so many bytes.
fn stops_within(
    manner: Manner,
    most_bytes: Option<u64>,
    prepare: impl Fn(&Path) + Send + Sync + 'static,
) -> Sweep<impl Fn(&mut Service) -> Result<Ends> + Send + Sync + 'static> {
    let build = move |service: &mut Service| {
        let folder = folder()?;
        prepare(folder.path());
        let (seen, said) = collector(service, manner, folder.path(), most_bytes);
        Ok(Ends { folder, seen, said })
    };
    sweep(build).lasting(SCRIPT)
}

/// So many points or pairs; with `MARKET_SWEEP=all` all of them.
pub(crate) fn unless_all(some: usize) -> usize {
    if std::env::var("MARKET_SWEEP").is_ok_and(|which| which == "all") { usize::MAX } else { some }
}

/// A minute as it should stand in the file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Minute {
    pub(crate) ids: (i64, i64),
    pub(crate) complete: bool,
    pub(crate) levels: BTreeMap<i64, Level>,
}

/// By symbol and beginning.
pub(crate) type Table = BTreeMap<(String, i64), Minute>;

/// Adds trades up one by one.
pub(crate) fn table_of(trades: &[Trade]) -> Table {
    let (mut table, mut begins) = (Table::new(), BTreeMap::new());
    for trade in trades {
        let key = (trade.symbol.to_owned(), trade.time_ms - trade.time_ms % 60_000);
        begins.extend((trade.first..=trade.last).map(|id| ((trade.symbol, id), key.1)));
        let minute = table.entry(key).or_insert_with(|| Minute { ids: (trade.first, trade.last), ..Minute::default() });
        minute.ids.1 = trade.last;
        let level = minute.levels.entry(trade.price).or_default();
        *(if trade.buyer_is_maker { &mut level.sell } else { &mut level.buy }) += trade.quantity;
        level.trades += trade.last - trade.first + 1;
    }
    // Complete: no id is missing from the last one of an earlier minute to the first one of a later.
    for ((symbol, begin_ms), minute) in &mut table {
        let (first, last) = minute.ids;
        let of = |id| begins.get(&(symbol.as_str(), id));
        minute.complete = of(first - 1).is_some_and(|ms| ms < begin_ms)
            && of(last + 1).is_some_and(|ms| ms > begin_ms)
            && (first..=last).all(|id| of(id).is_some());
    }
    table
}

pub(crate) fn table_in(folder: &Path) -> Result<Table> {
    let (db, mut table) = (folder.join("m.db"), Table::new());
    if !db.exists() {
        return Ok(table);
    }
    let reader = Reader::open(&db)?;
    for minute in reader.minutes(None, u32::MAX)? {
        let levels = crate::levels(&reader, &minute);
        table.insert(
            (minute.symbol, minute.begin_ms),
            Minute { ids: minute.ids, complete: matches!(minute.state, State::Complete | State::Backfilled), levels },
        );
    }
    Ok(table)
}

pub(crate) fn lost(report: &Report) -> u64 {
    report.losses.iter().filter(|loss| loss.what == TRADES).map(|loss| loss.count).sum()
}

/// Every trade that the collector was handed is in the file once, or was there before, or is declared as lost. Returns how many are in
/// the file: the first ones, each counted where it belongs, and nothing else.
fn stored(report: &Report, ends: &Ends) -> Result<usize> {
    if let Some(note) = report.notes.iter().find(|note| note.contains("were settled than owed")) {
        return Err(note.clone().into());
    }
    let (all, mut seen) = (script(), BTreeSet::new());
    let received = ends.seen.received.lock().unwrap().clone();
    let new: Vec<Trade> = received.iter().filter(|n| seen.insert(**n)).map(|n| all[*n].clone()).collect();
    let table = table_in(ends.folder.path())?;
    let stored = (0..=new.len()).find(|count| table_of(&new[..*count]) == table).ok_or_else(|| {
        format!("the file holds {table:#?}, which is no beginning of what was received: {:#?}", table_of(&new))
    })?;

    let said = ends.said.lock().unwrap().clone();
    if said.as_ref().is_some_and(|said| said.trades != stored as u64) {
        return Err(format!("{stored} are stored, it says {said:?}").into());
    }
    let (known, lost) = (said.map_or(0, |said| said.known), lost(report));
    if stored as u64 + known + lost != received.len() as u64 {
        let received = received.len();
        return Err(format!("{received} received, {stored} stored, {known} known, {lost} declared as lost").into());
    }
    Ok(stored)
}

/// The same where nothing goes wrong that is a reason to lose something; a hurry is none.
fn all_stored(report: &Report, ends: &Ends) -> Result<usize> {
    let stored = stored(report, ends)?;
    if lost(report) > 0 {
        Err(format!("{stored} stored, {} declared as lost", lost(report)).into())
    } else {
        Ok(stored)
    }
}

/// Starts the collector again on the file of a run: with an exchange that sends everything from the beginning the file ends as if
/// nothing had ever been stopped.
#[derive(Default)]
pub(crate) struct SecondStart(Mutex<HashSet<String>>);

impl SecondStart {
    /// It depends on the file alone: once for every state of it.
    fn completes(&self, folder: &Path, stored: usize) -> Result {
        if self.is_new(folder)? { second_start(folder, stored) } else { Ok(()) }
    }

    /// Whether the file is in a state that was not seen yet.
    pub(crate) fn is_new(&self, folder: &Path) -> Result<bool> {
        Ok(self.0.lock().unwrap().insert(state_of(&folder.join("m.db"))?))
    }
}

fn state_of(db: &Path) -> Result<String> {
    if !db.exists() {
        return Ok(String::new());
    }
    let rows = |table: &str, columns: &str| {
        format!("(SELECT json_group_array(json_array(symbol, begin_ms, {columns})) FROM {table})")
    };
    let (minutes, levels) =
        (rows("minutes", "first_id, last_id, stored, state"), rows("levels", "price, buy, sell, trades"));
    Ok(rusqlite::Connection::open(db)?.query_row(&format!("SELECT {minutes} || {levels}"), [], |row| row.get(0))?)
}

/// A start that reaches no exchange.
fn count_journal(folder: &Path) -> Result {
    let mut again = Service::new("count");
    let refused = |_: &Address| Box::pin(std::future::ready(Err(std::io::ErrorKind::ConnectionRefused.into()))) as _;
    let symbols = script().into_iter().map(|trade| trade.symbol.to_owned());
    let config = Config {
        connect: Arc::new(refused),
        ..Config::new("ws://memory".parse().unwrap(), symbols, folder.join("m.db"))
    };
    service(&mut again, config);
    let report = run_paused(again, Duration::from_millis(50))?;
    if report.status == Status::Clean { Ok(()) } else { Err(report.line().into()) }
}

/// Runs a service for so long, on a paused clock of its own.
pub(crate) fn run_paused(service: Service, lasting: Duration) -> Result<Report> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?;
    Ok(runtime.block_on(service.run(async {
        tokio::time::sleep(lasting).await;
        Reason::Requested("the test".into())
    })))
}

fn second_start(folder: &Path, stored: usize) -> Result {
    let mut again = Service::new("again");
    let (_, said) = collector(&mut again, Manner::Hasty, folder, None);
    let report = run_paused(again, SCRIPT)?;
    if report.status != Status::Clean {
        return Err(format!("the second start: {}", report.line()).into());
    }
    let all = script();
    let Saved { trades, known, .. } = said.lock().unwrap().clone().unwrap_or_default();
    if (known, trades) != (stored as u64, (all.len() - stored) as u64) {
        return Err(format!("{stored} were stored; the second start knows {known} and adds {trades}").into());
    }
    let table = table_in(folder)?;
    if table == table_of(&all) {
        Ok(())
    } else {
        Err(format!("after the second start the file holds {table:#?}").into())
    }
}

#[test]
fn a_stop_or_a_hurry_anywhere_loses_nothing_and_a_second_start_counts_nothing_twice() {
    let again = SecondStart::default();

    let swept = stops(Manner::Polite, |_| ()).pairs(unless_all(50)).run(move |report, ends| {
        let (sent, received) = (ends.seen.sent.lock().unwrap().len(), ends.seen.received.lock().unwrap().len());
        if report.level == Press::Graceful && sent != received {
            return Err(format!("{sent} were sent until the close frame was answered, {received} received").into());
        }
        again.completes(ends.folder.path(), all_stored(report, &ends)?)
    });

    assert!(swept.points.len() > 300 && swept.pairs > 90 && swept.left_out + swept.missed == 0, "{swept:?}");
}

#[test]
fn a_stop_anywhere_around_a_connection_that_breaks_counts_nothing_twice() {
    let (again, known) = (SecondStart::default(), Arc::new(AtomicU64::new(0)));
    let most = Arc::clone(&known);

    let swept = stops(Manner::Breaks, |_| ()).pairs(unless_all(50)).run(move |report, ends| {
        let stored = all_stored(report, &ends)?;
        let known = ends.said.lock().unwrap().as_ref().map_or(0, |said| said.known);
        most.fetch_max(known, Ordering::Relaxed);
        again.completes(ends.folder.path(), stored)
    });

    assert_eq!(known.load(Ordering::Relaxed), 3, "trades that were sent again");
    assert!(swept.points.len() > 300 && swept.left_out + swept.missed == 0, "{swept:?}");
}

#[test]
fn a_stop_anywhere_with_an_exchange_that_never_answers_takes_in_what_it_sends_and_ends_within_3_s() {
    let (again, longest) = (SecondStart::default(), Arc::new(Mutex::new(Duration::ZERO)));
    let took = Arc::clone(&longest);

    stops(Manner::Deaf, |_| ()).at_most(unless_all(60)).pairs(unless_all(20)).run(move |report, ends| {
        let stored = all_stored(report, &ends)?;
        let mut longest = took.lock().unwrap();
        *longest = report.took.max(*longest);
        again.completes(ends.folder.path(), stored)
    });

    let longest = *longest.lock().unwrap();
    assert!(longest > SCRIPT / 2 && longest <= Duration::from_secs(3), "{longest:?}");
}

/// Under each of the faults: the status is the one that is stated, or 85 where something is lost, or 0 where the stop came before it;
/// what was received is stored or declared as lost; and a second start without the fault completes the file.
fn faults(statuses: impl IntoIterator<Item = (Fault, Status)>) {
    for (fault, status) in statuses {
        let (again, what) = (SecondStart::default(), fault.to_string());
        let sweep = stops(Manner::Polite, |_| ()).at_most(unless_all(12)).pairs(unless_all(6)).fault(fault);
        sweep.allow(status).allow(Status::Lost).run(move |report, ends| {
            check_status(report, status)
                .and_then(|()| again.completes(ends.folder.path(), stored(report, &ends)?))
                .map_err(|error| format!("{what}: {error}").into())
        });
    }
}

fn check_status(report: &Report, status: Status) -> Result {
    let failed = !report.failures.is_empty();
    let expected = match report.losses.len() {
        0 if failed || report.status == Status::Overrun => status,
        0 => Status::Clean,
        _ => Status::Lost,
    };
    if report.status == expected { Ok(()) } else { Err(format!("{}, expected {expected:?}", report.line()).into()) }
}

#[test]
fn a_websocket_that_does_not_open_or_close_loses_nothing() {
    let slow = Duration::from_millis(700);
    faults([
        (Fault::open_fails("websocket"), Status::Clean),
        (Fault::nth_open_fails("websocket", 1), Status::Clean),
        (Fault::close_takes("websocket", slow), Status::Clean),
        (Fault::close_fails("websocket"), Status::Failed),
        (Fault::task_panics("feed/receive", 7), Status::Failed),
    ]);
}

#[test]
fn a_database_that_does_not_open_or_close_loses_nothing_silently() {
    let (slow, too_slow) = (Duration::from_millis(700), Duration::from_secs(60));
    faults([
        (Fault::open_fails("database"), Status::StartFailed),
        (Fault::task_panics("store/open", 1), Status::Failed),
        (Fault::close_takes("database", slow), Status::Clean),
        (Fault::close_takes("database", too_slow), Status::Overrun),
        (Fault::close_fails("database"), Status::Failed),
    ]);
}

#[test]
fn a_store_that_fails_loses_nothing_silently() {
    faults([
        (Fault::task_fails("store/transaction", 1), Status::Failed),
        (Fault::task_fails("store/transaction#3", 1), Status::Failed),
        (Fault::task_panics("store/transaction#4", 1), Status::Failed),
        (Fault::task_fails("store/write", 2), Status::Failed),
        (Fault::task_panics("store/write", 9), Status::Failed),
    ]);
}

#[test]
fn an_aggregator_that_fails_loses_nothing_silently() {
    faults([
        (Fault::task_panics("aggregator/count", 1), Status::Failed),
        (Fault::task_panics("aggregator/count", 5), Status::Failed),
        (Fault::task_panics("aggregator/count", 16), Status::Failed),
        (Fault::task_fails("aggregator/count", 20), Status::Failed),
        (Fault::task_fails("aggregator/start", 1), Status::StartFailed),
        (Fault::task_fails("aggregator/on_stop", 1), Status::Failed),
    ]);
}

#[test]
fn a_disk_that_is_full_to_the_end_loses_nothing_silently_and_the_next_start_completes_the_file() {
    let template = tempfile::tempdir().unwrap();
    second_start(template.path(), 0).unwrap();
    let file = rusqlite::Connection::open(template.path().join("m.db")).unwrap();
    // Pages so small, and filled so far, that a few levels are too much.
    file.execute_batch(
        "DELETE FROM minutes; DELETE FROM levels; DELETE FROM trades; DELETE FROM gaps; DELETE FROM symbols;
         WITH n(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM n WHERE n < 12) INSERT INTO levels SELECT 'ZZZ', 0, n, 0, 0, 0 FROM n;
         PRAGMA journal_mode = DELETE; PRAGMA page_size = 512; VACUUM",
    )
    .unwrap();
    drop(file);
    let most_bytes = std::fs::metadata(template.path().join("m.db")).unwrap().len();
    let copy = move |folder: &Path| {
        std::fs::copy(template.path().join("m.db"), folder.join("m.db")).unwrap();
    };
    let (again, refused) = (SecondStart::default(), Arc::new(AtomicU64::new(0)));
    let most = Arc::clone(&refused);

    let sweep = stops_within(Manner::Polite, Some(most_bytes), copy).at_most(unless_all(40)).pairs(unless_all(12));
    // The error names the folder, which is another one in each run.
    sweep.allow(Status::Lost).allow(Status::Failed).not_repeatable().run(move |report, ends| {
        check_status(report, Status::Failed)?;
        // What is in the journal could not be counted.
        count_journal(ends.folder.path())?;
        let stored = stored(report, &ends)?;
        most.fetch_max(lost(report), Ordering::Relaxed);
        again.completes(ends.folder.path(), stored)
    });

    let most = refused.load(Ordering::Relaxed);
    assert!(most > 1 && most < 24, "{most} of 24 trades were declared as lost");
}

#[test]
fn a_file_that_refuses_a_minute_loses_nothing_silently_and_leaves_no_gap() {
    let full = format!(
        "DELETE FROM minutes; DELETE FROM levels; DELETE FROM trades; DELETE FROM gaps; DELETE FROM symbols;
         CREATE TRIGGER full BEFORE INSERT ON trades WHEN new.time_ms / 60000 = {}
         BEGIN SELECT raise(ABORT, 'refused'); END",
        script()[12].time_ms / 60_000
    );
    let template = tempfile::tempdir().unwrap();
    second_start(template.path(), 0).unwrap();
    let sql = |folder: &Path, sql: &str| rusqlite::Connection::open(folder.join("m.db"))?.execute_batch(sql);
    sql(template.path(), &full).unwrap();
    let copy = move |folder: &Path| {
        std::fs::copy(template.path().join("m.db"), folder.join("m.db")).unwrap();
    };
    let (again, refused) = (SecondStart::default(), Arc::new(AtomicU64::new(0)));
    let most = Arc::clone(&refused);

    let sweep = stops(Manner::Polite, copy).at_most(unless_all(12)).pairs(unless_all(6));
    sweep.allow(Status::Lost).run(move |report, ends| {
        check_status(report, Status::Failed)?;
        let stored = stored(report, &ends)?;
        most.fetch_max(lost(report), Ordering::Relaxed);
        sql(ends.folder.path(), "DROP TRIGGER full")?;
        again.completes(ends.folder.path(), stored)
    });

    assert!(refused.load(Ordering::Relaxed) > 1, "trades that were refused and declared as lost");
}
