//! The service in this process, stopped by a future.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
};

use market::{Config, Progress, Saved, State, service};
use sims::exchange::Exchange;
use softstop::{Level, Reason, Report, Service, Status};
use tokio::time::timeout;

use super::{PATIENCE, Random, assert_equal, generated};

type Events = Arc<Mutex<Vec<Progress>>>;

fn collector(ws: SocketAddr, symbols: &[&str], db: &Path) -> (Service, Events) {
    let events = Events::default();
    let heard = Arc::clone(&events);
    let symbols = symbols.iter().map(ToString::to_string);
    let config = Config {
        tell: Arc::new(move |progress| heard.lock().unwrap().push(progress)),
        ..Config::new(format!("ws://{ws}").parse().unwrap(), symbols, db)
    };
    let mut market = Service::new("market");
    service(&mut market, config);
    (market, events)
}

/// Collects until `more` trades were sent since the beginning of this call; the stop is a clean one.
async fn collect(exchange: &Exchange, symbols: &[&str], db: &Path, more: usize) -> (Report, Vec<Progress>) {
    let (market, events) = collector(exchange.ws, symbols, db);
    let before = exchange.truth().count();
    let stop = async {
        if more > 0 {
            exchange.until(|truth| truth.count() >= before + more).await;
        }
        Reason::Requested("the test".into())
    };
    let report = timeout(PATIENCE, market.run(stop)).await.expect("the collector ends within the time");
    assert_eq!(report.status, Status::Clean, "{}", report.line());
    assert!(report.losses.is_empty(), "{:?}", report.losses);
    let events = std::mem::take(&mut *events.lock().unwrap());
    (report, events)
}

fn saved(events: &[Progress]) -> (u64, u64, u64) {
    match events.last() {
        Some(Progress::Saved(Saved { minutes, trades, known, .. })) => (*minutes, *trades, *known),
        other => panic!("the last word is about what was saved, not {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_stop_the_file_equals_what_the_exchange_sent() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("m.db");
    let symbols = ["AAAUSDT", "BBBUSDT"];
    let exchange = Exchange::start(generated(1, &symbols)).await.unwrap();

    let (_, events) = collect(&exchange, &symbols, &db, 20_000).await;

    let truth = exchange.stop().await;
    assert_equal(&db, &truth, &symbols);
    assert_eq!(saved(&events).1, truth.count() as u64);
    let complete: Vec<bool> = events
        .iter()
        .filter_map(
            |event| if let Progress::Minute(minute) = event { Some(minute.state == State::Complete) } else { None },
        )
        .collect();
    assert!(complete.len() >= 4, "{complete:?}");
    assert!(
        !complete[0] && complete[2..].iter().all(|complete| *complete),
        "the first of each symbol began before: {complete:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_continues_the_open_minute() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("m.db");
    let exchange = Exchange::start(generated(2, &["AAAUSDT"])).await.unwrap();

    let (_, first) = collect(&exchange, &["AAAUSDT"], &db, 200).await;
    assert_equal(&db, &exchange.truth(), &["AAAUSDT"]);
    let (_, second) = collect(&exchange, &["AAAUSDT"], &db, 200).await;

    let truth = exchange.stop().await;
    assert_equal(&db, &truth, &["AAAUSDT"]);
    assert_eq!(saved(&first).1 + saved(&second).1, truth.count() as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_random_stops_lose_nothing_and_count_nothing_twice() {
    let seed = 20;
    let mut random = Random(seed);
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("m.db");
    let symbols = ["AAAUSDT", "BBBUSDT"];
    let exchange = Exchange::start(generated(seed, &symbols)).await.unwrap();

    for round in 0..20 {
        // Every fifth is stopped at once, while it starts.
        let more = if round % 5 == 4 { 0 } else { 1 + random.below(3000) };
        println!("seed {seed}, round {round}: stop after {more} trades");
        collect(&exchange, &symbols, &db, more).await;
        if exchange.truth().count() > 0 {
            assert_equal(&db, &exchange.truth(), &symbols);
        }
    }

    exchange.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hurry_loses_nothing_that_it_does_not_declare() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("m.db");
    let exchange = Exchange::start(generated(3, &["AAAUSDT"])).await.unwrap();
    let (market, events) = collector(exchange.ws, &["AAAUSDT"], &db);
    let handle = market.handle();

    let stop = async {
        exchange.until(|truth| truth.count() >= 5000).await;
        handle.hurry();
        Reason::Requested("the test".into())
    };
    let report = timeout(PATIENCE, market.run(stop)).await.unwrap();

    let lost: u64 = report.losses.iter().map(|loss| loss.count).sum();
    assert_eq!(report.status, if lost == 0 { Status::Clean } else { Status::Lost }, "{}", report.line());
    assert_eq!(report.level, Level::Hurry);
    // What was accepted is either in the file or declared; what the exchange sent in vain was never accepted.
    let kept = saved(&events.lock().unwrap()).1;
    assert!(kept > 0 && kept + lost <= exchange.truth().count() as u64, "kept {kept}, lost {lost}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_written_is_declared_as_lost() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("m.db");
    let exchange = Exchange::start(generated(7, &["AAAUSDT"])).await.unwrap();
    collect(&exchange, &["AAAUSDT"], &db, 100).await;
    let kept = exchange.truth();
    let full = "CREATE TRIGGER full BEFORE INSERT ON trades BEGIN SELECT raise(ABORT, 'the disk is full'); END";
    rusqlite::Connection::open(&db).unwrap().execute_batch(full).unwrap();

    let (market, events) = collector(exchange.ws, &["AAAUSDT"], &db);
    let report = timeout(PATIENCE, market.run(std::future::pending())).await.unwrap();

    let lost: u64 = report.losses.iter().map(|loss| loss.count).sum();
    assert_eq!(report.status, Status::Lost, "{}", report.line());
    assert!(lost > 0 && lost <= (exchange.stop().await.count() - kept.count()) as u64, "{lost}");
    assert_eq!(saved(&events.lock().unwrap()), (0, 0, 0));
    assert_equal(&db, &kept, &["AAAUSDT"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_messages_are_counted_and_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("m.db");
    let config = sims::exchange::Config { garble_every: Some(5), ..generated(4, &["AAAUSDT"]) };
    let exchange = Exchange::start(config).await.unwrap();

    let (_, events) = collect(&exchange, &["AAAUSDT"], &db, 1000).await;

    let truth = exchange.stop().await;
    assert_equal(&db, &truth, &["AAAUSDT"]);
    let Some(Progress::Saved(Saved { malformed, ignored, .. })) = events.last() else { panic!("nothing saved") };
    assert_eq!(malformed + ignored, truth.count() as u64 / 5, "every fifth message is followed by a broken one");
    assert!(*malformed > 5 * ignored, "{malformed} malformed, {ignored} of another kind");
    let mut odd: Vec<_> =
        events.iter().filter(|event| matches!(event, Progress::Odd(_))).map(ToString::to_string).collect();
    let told = odd.len();
    odd.sort();
    odd.dedup_by_key(|text| text.split(" is ").next().unwrap().to_owned());
    assert!((2..20).contains(&told) && odd.len() == told, "each kind is told once: {odd:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_connection_is_made_again_and_what_comes_twice_is_counted_once() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("m.db");
    let exchange = Exchange::start(generated(5, &["AAAUSDT"])).await.unwrap();
    let (market, events) = collector(exchange.ws, &["AAAUSDT"], &db);
    let heard = Arc::clone(&events);
    let connections = || heard.lock().unwrap().iter().filter(|event| matches!(event, Progress::Connected)).count();

    let stop = async {
        for cuts in 1..=3 {
            exchange.until(|truth| truth.count() >= cuts * 1000 && connections() == cuts).await;
            exchange.cut(100);
        }
        exchange.until(|truth| truth.count() >= 4000 && connections() == 4).await;
        Reason::Requested("the test".into())
    };
    let report = timeout(PATIENCE, market.run(stop)).await.unwrap();

    assert_eq!(report.status, Status::Clean, "{}", report.line());
    assert_equal(&db, &exchange.stop().await, &["AAAUSDT"]);
    let events = events.lock().unwrap();
    assert!(saved(&events).2 >= 100, "some were known already: {:?}", saved(&events));
    assert!(events.iter().any(|event| matches!(event, Progress::Disconnected(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exchange_that_is_not_there_does_not_hold_up_the_stop() {
    let folder = tempfile::tempdir().unwrap();
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (market, events) = collector(nobody, &["AAAUSDT"], &folder.path().join("m.db"));
    let heard = Arc::clone(&events);

    let stop = async move {
        while heard.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        Reason::Requested("the test".into())
    };
    let report = timeout(PATIENCE, market.run(stop)).await.unwrap();

    assert_eq!(report.status, Status::Clean, "{}", report.line());
    let events = events.lock().unwrap();
    let first = events.iter().find(|event| !matches!(event, Progress::Second(_)));
    assert!(matches!(first, Some(Progress::Disconnected(error)) if error.contains("cannot connect to ws://")));
}
