//! An exchange that goes on while nobody listens, breaks connections, and sees the collector killed: the file ends without a gap.

use std::{collections::BTreeMap, path::Path, process::Stdio, time::Duration};

use market::{Level, Reader, State, Summary};
use sims::exchange::{Config, Exchange, Generated, Script, Source, Truth, WhenIdle};
use tokio::{
    process::{Child, Command},
    time::{sleep, timeout},
};

use super::{PATIENCE, Random, levels};

pub(crate) const SYMBOLS: [&str; 2] = ["AAAUSDT", "BBBUSDT"];

/// Five exchange minutes a second, whether anybody listens or not.
pub(crate) fn goes_on(seed: u64, script: Script) -> Config {
    let symbols = SYMBOLS.map(str::to_owned).to_vec();
    let source = Source::Generated(Generated { seed, symbols, rate: 10, count: None });
    Config { source, speed: 300.0, when_idle: WhenIdle::RunOn, script, ..Config::default() }
}

/// What is in the file is what happened between its first trade and its last, holes of the exchange are marked, and no minute but the
/// first and the last is partial. Returns how many aggregates that are.
pub(crate) fn assert_nothing_is_missing(db: &Path, truth: &Truth) -> usize {
    let open: Vec<_> = gaps(db).into_iter().filter(|gap| gap[5] == 0).collect();
    assert!(open.is_empty(), "{open:?}");
    let (mut count, number) = (0, |id: u64| i64::try_from(id).unwrap());
    for symbol in SYMBOLS {
        let reader = Reader::open(db).unwrap();
        let minutes = reader.minutes(Some(symbol), u32::MAX).unwrap();
        let (first, last) = (minutes[0].ids.0, minutes.last().unwrap().ids.1);
        let mut sums = BTreeMap::<i64, BTreeMap<i64, Level>>::new();
        for trade in truth.happened(symbol).filter(|t| number(t.first) >= first && number(t.last) <= last) {
            count += 1;
            let begin_ms = number(trade.time_ms - trade.time_ms % 60_000);
            let level = sums.entry(begin_ms).or_default().entry(number(trade.price)).or_default();
            *(if trade.buyer_is_maker { &mut level.sell } else { &mut level.buy }) += number(trade.quantity);
            level.trades += number(trade.last - trade.first + 1);
        }
        assert_eq!(minutes.iter().map(|m| m.begin_ms).collect::<Vec<_>>(), sums.keys().copied().collect::<Vec<_>>());
        let lost: i64 =
            truth.holes(symbol).iter().map(|hole| number(hole.trades.end() - hole.trades.start() + 1)).sum();
        assert!(minutes.iter().map(Summary::missing).sum::<i64>() <= lost, "{symbol} {:?}", gaps(db));
        for minute in &minutes {
            assert_eq!(levels(&reader, minute), sums[&minute.begin_ms], "{symbol} {}", minute.begin);
            let inside = minute.ids.0 != first && minute.ids.1 != last;
            let near = |id: u64| (minute.ids.0 - 1..=minute.ids.1 + 1).contains(&number(id));
            let hole = truth.holes(symbol).iter().any(|hole| near(*hole.trades.start()) || near(*hole.trades.end()));
            let right = match minute.state {
                State::Complete | State::Backfilled => !hole && minute.missing() == 0,
                State::Hole => hole,
                _ => !inside,
            };
            assert!(right, "{symbol}: {minute:?}");
        }
    }
    count
}

/// By symbol: first and last single trade, first and last aggregate, hole.
fn gaps(db: &Path) -> Vec<[i64; 6]> {
    let file = rusqlite::Connection::open(db).unwrap();
    let mut query = file.prepare("SELECT * FROM gaps").unwrap();
    let row = |row: &rusqlite::Row<'_>| Ok([0, 1, 2, 3, 4, 5].map(|column| row.get(column).unwrap()));
    query.query_map([], row).unwrap().collect::<Result<_, _>>().unwrap()
}

/// Completes when all that has happened so far is in the file, or known not to be had.
pub(crate) async fn all_is_there(db: &Path, exchange: &Exchange) {
    let truth = exchange.truth();
    let there = || {
        let Ok(file) = rusqlite::Connection::open(db) else { return false };
        let count = |query: &str| file.query_row(query, [], |row| row.get::<_, i64>(0)).unwrap_or(1);
        let last = |symbol: &&str| i64::try_from(truth.happened(symbol).last().unwrap().last).unwrap();
        let reached =
            |symbol| count(&format!("SELECT last_id < {} FROM symbols WHERE name = '{symbol}'", last(&symbol)));
        SYMBOLS.into_iter().all(|symbol| reached(symbol) == 0) && count("SELECT count(*) FROM gaps WHERE NOT hole") == 0
    };
    let waiting = async {
        while !there() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, waiting).await.expect("what is missing is fetched");
}

fn collect(exchange: &Exchange, db: &Path) -> Child {
    let mut market = Command::new("env");
    market.args(["--default-signal=INT", env!("CARGO_BIN_EXE_market"), "collect", "--db", db.to_str().unwrap()]);
    market.args(["--ws", &format!("ws://{}", exchange.ws), "--rest", &format!("http://{}", exchange.rest)]);
    market.args(SYMBOLS.map(|symbol| format!("--symbol={symbol}")));
    market.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn().unwrap()
}

/// Killed at once, or asked to stop, at random moments: the union of what is stored is what happened.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_and_stopped_at_random_moments_it_has_everything_in_the_end() {
    let seed = 32;
    let mut random = Random(seed);
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("m.db");
    let exchange = Exchange::start(goes_on(seed, Script::default())).await.unwrap();

    for round in 0..20 {
        let (pause, signal) = (random.below(400), ["-KILL", "-KILL", "-INT", "-TERM"][random.below(4)]);
        println!("seed {seed}, round {round}: {signal} after {pause} ms");
        let mut child = collect(&exchange, &db);
        sleep(Duration::from_millis(pause as u64)).await;
        let pid = child.id().unwrap().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().await.unwrap().success());
        timeout(PATIENCE, child.wait()).await.unwrap().unwrap();
    }
    let mut child = collect(&exchange, &db);
    let before = exchange.truth().count();
    timeout(PATIENCE, exchange.until(|truth| truth.count() > before + 2000)).await.unwrap();
    all_is_there(&db, &exchange).await;
    let pid = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().await.unwrap().success());
    let ended = timeout(PATIENCE, child.wait()).await.unwrap().unwrap();

    assert_eq!(ended.code(), Some(0));
    assert!(assert_nothing_is_missing(&db, &exchange.stop().await) > 2000);
}
