//! An exchange that goes on while nobody listens, breaks connections, and sees the collector killed: the file ends without a gap.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use market::{Config, Level, Progress, Reader, State, Times, service, tcp};
use serde_json::Value;
use sims::exchange::{self, Exchange, Generated, Source, WhenIdle};
use softstop::{Reason, Service, Status};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::{Child, Command},
    time::{sleep, timeout},
};

use super::{PATIENCE, Random, levels};

const SYMBOLS: [&str; 2] = ["AAAUSDT", "BBBUSDT"];

/// Five exchange minutes a second, whether anybody listens or not.
async fn exchange(seed: u64) -> Exchange {
    let symbols = SYMBOLS.map(str::to_owned).to_vec();
    let source = Source::Generated(Generated { seed, symbols, rate: 10, count: None });
    let config = exchange::Config { source, speed: 300.0, when_idle: WhenIdle::RunOn, ..exchange::Config::default() };
    Exchange::start(config).await.unwrap()
}

/// All trades that the exchange has of a symbol from an aggregate on: first and last id, time, price, quantity, buyer is maker.
async fn happened(rest: SocketAddr, symbol: &str, mut from: i64) -> Vec<(i64, i64, i64, i64, i64, bool)> {
    let mut all = Vec::new();
    loop {
        let mut stream = TcpStream::connect(rest).await.unwrap();
        let path = format!("/api/v3/aggTrades?symbol={symbol}&fromId={from}&limit=1000");
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let page: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
        let units = |value: &Value| value.as_str().unwrap().replace('.', "").parse::<i64>().unwrap();
        let id = |value: &Value| value.as_i64().unwrap();
        let trade = |t: &Value| {
            (id(&t["f"]), id(&t["l"]), id(&t["T"]), units(&t["p"]), units(&t["q"]), t["m"].as_bool().unwrap())
        };
        let page = page.as_array().unwrap();
        all.extend(page.iter().map(trade));
        let Some(last) = page.last() else { return all };
        from = id(&last["a"]) + 1;
    }
}

/// What is in the file is what happened between its first trade and its last; no minute but the first and the last is partial.
async fn assert_nothing_is_missing(db: &Path, rest: SocketAddr) -> usize {
    let mut count = 0;
    for symbol in SYMBOLS {
        let reader = Reader::open(db).unwrap();
        let minutes = reader.minutes(Some(symbol), u32::MAX).unwrap();
        let (first, last) = (minutes[0].ids.0, minutes.last().unwrap().ids.1);
        let mut truth = BTreeMap::<i64, BTreeMap<i64, Level>>::new();
        for (f, l, time, price, quantity, maker) in happened(rest, symbol, 0).await {
            if f < first || l > last {
                continue;
            }
            count += 1;
            let level = truth.entry(time - time % 60_000).or_default().entry(price).or_default();
            *(if maker { &mut level.sell } else { &mut level.buy }) += quantity;
            level.trades += l - f + 1;
        }
        let stored: BTreeMap<_, _> = minutes.iter().map(|minute| (minute.begin_ms, levels(&reader, minute))).collect();
        assert_eq!(stored.keys().collect::<Vec<_>>(), truth.keys().collect::<Vec<_>>(), "{symbol}");
        for (begin_ms, levels) in &stored {
            assert_eq!(levels, &truth[begin_ms], "{symbol} {begin_ms}");
        }
        let inside = &minutes[1..minutes.len() - 1];
        let wrong = inside.iter().find(|m| !matches!(m.state, State::Complete | State::Backfilled) || m.missing() > 0);
        assert_eq!(wrong, None, "{symbol}");
    }
    count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_while_the_connection_was_gone_is_fetched() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("m.db");
    let exchange = exchange(31).await;
    let events = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&events);
    let mut market = Service::new("market");
    service(
        &mut market,
        Config {
            ws: format!("ws://{}", exchange.ws),
            rest: Some(exchange.rest.to_string()),
            connect: tcp(),
            symbols: SYMBOLS.map(str::to_owned).into(),
            db: db.clone(),
            tell: Arc::new(move |progress| heard.lock().unwrap().push(progress)),
            times: Times { patience: Duration::from_millis(5), ..Times::default() },
        },
    );
    let connections = || events.lock().unwrap().iter().filter(|event| matches!(event, Progress::Connected)).count();

    let stop = async {
        for cuts in 1..=6 {
            let before = exchange.truth().count();
            exchange.until(|truth| truth.count() >= before + 500 && connections() == cuts).await;
            exchange.cut(0);
        }
        let before = exchange.truth().count();
        exchange.until(|truth| truth.count() >= before + 500 && connections() == 7).await;
        // Until the last gap is closed.
        let open =
            || rusqlite::Connection::open(&db).unwrap().query_row("SELECT count(*) FROM gaps", [], |row| row.get(0));
        while open() != Ok(0) {
            sleep(Duration::from_millis(10)).await;
        }
        Reason::Requested("the test".into())
    };
    let report = timeout(PATIENCE, market.run(stop)).await.unwrap();

    assert_eq!(report.status, Status::Clean, "{}", report.line());
    assert!(assert_nothing_is_missing(&db, exchange.rest).await > 3000);
    let refilled: i64 = Reader::open(&db).unwrap().minutes(None, u32::MAX).unwrap().iter().map(|m| m.refilled).sum();
    assert!(refilled > 0, "something was fetched later");
    exchange.stop().await;
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
    let exchange = exchange(seed).await;

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
    let open = "SELECT count(*) FROM gaps WHERE NOT hole";
    let query = || rusqlite::Connection::open(&db)?.query_row(open, [], |row| row.get::<_, i64>(0));
    let closed = async {
        while query() != Ok(0) {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, closed).await.unwrap();
    let pid = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().await.unwrap().success());
    let ended = timeout(PATIENCE, child.wait()).await.unwrap().unwrap();

    assert_eq!(ended.code(), Some(0));
    assert!(assert_nothing_is_missing(&db, exchange.rest).await > 2000);
    exchange.stop().await;
}
