//! A collector in this process, its file, and a Redis behind a proxy.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use market::{Config, Progress, RedisProgress, Sink, Times, config::Redis, service};
use softstop::{Reason, Report, Service, Status};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use super::{
    proxy::Proxy,
    server::{Server, Value},
};
use crate::{PATIENCE, Random};

const MS: Duration = Duration::from_millis(1);
pub(crate) const BEGIN_MS: i64 = 1_700_000_040_000;

pub(crate) struct Rig {
    pub(crate) folder: TempDir,
    pub(crate) server: Server,
    pub(crate) proxy: Proxy,
    pub(crate) sink: Sink,
    pub(crate) symbols: Vec<&'static str>,
    /// The exchange; of one that is not there nothing comes.
    pub(crate) ws: String,
    pub(crate) events: Arc<Mutex<Vec<Progress>>>,
}

impl Rig {
    pub(crate) async fn start(symbols: &[&'static str]) -> Self {
        Self::with(symbols, Server::start().await).await
    }

    pub(crate) async fn with(symbols: &[&'static str], server: Server) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let proxy = Proxy::start(server.socket()).await;
        let mut to = Redis::default();
        (to.host, to.port) = (proxy.address.ip().to_string(), proxy.address.port());
        (to.timeout, to.connect_timeout) = (400 * MS, 400 * MS);
        to.storage_dir = folder.path().join("storage");
        let (events, symbols, ws) = (Arc::default(), symbols.to_vec(), "ws://127.0.0.1:1".to_owned());
        Self { folder, server, proxy, sink: Sink::new(to), symbols, ws, events }
    }

    pub(crate) fn db(&self) -> PathBuf {
        self.folder.path().join("m.db")
    }

    /// A collector for this file.
    pub(crate) fn collector(&self, db: &Path) -> Service {
        let heard = Arc::clone(&self.events);
        let symbols = self.symbols.iter().map(ToString::to_string);
        let config = Config {
            redis: Some(self.sink.clone()),
            tell: Arc::new(move |progress| heard.lock().unwrap().push(progress)),
            times: Times { redis_retry: (5 * MS, 40 * MS), redis_look: 20 * MS, ..Times::default() },
            ..Config::new(self.ws.parse().unwrap(), symbols, db)
        };
        let mut market = Service::new("market");
        service(&mut market, config);
        market
    }

    /// Collects until `enough` completes; says how long the stop took.
    pub(crate) async fn run(&self, enough: impl AsyncFnOnce(&Self)) -> (Report, Duration) {
        self.events.lock().unwrap().clear();
        let market = self.collector(&self.db());
        let asked = Mutex::new(Instant::now());
        let stop = async {
            timeout(PATIENCE, enough(self)).await.expect("it comes so far");
            *asked.lock().unwrap() = Instant::now();
            Reason::Requested("the test".into())
        };
        let report = timeout(2 * PATIENCE, market.run(stop)).await.unwrap();
        let took = asked.lock().unwrap().elapsed();
        assert_eq!(report.status, Status::Clean, "{}\n{:?}", report.line(), report.failures);
        assert!(report.losses.is_empty(), "{:?}", report.losses);
        (report, took)
    }

    /// Makes the file, with nothing in it.
    pub(crate) async fn file(&self) -> File {
        self.run(async |_| {}).await;
        File(rusqlite::Connection::open(self.db()).unwrap(), Random(11))
    }

    pub(crate) fn heard(&self) -> Vec<RedisProgress> {
        let events = self.events.lock().unwrap();
        events
            .iter()
            .filter_map(|event| if let Progress::Redis(redis) = event { Some(redis.clone()) } else { None })
            .collect()
    }

    pub(crate) async fn until(&self, mut enough: impl FnMut(&Self) -> bool) {
        while !enough(self) {
            sleep(5 * MS).await;
        }
    }

    pub(crate) async fn until_heard(&self, enough: impl Fn(&RedisProgress) -> bool) {
        self.until(|rig| rig.heard().iter().any(&enough)).await;
    }

    pub(crate) async fn until_caught_up(&self) {
        self.until_heard(|redis| matches!(redis, RedisProgress::CaughtUp(_))).await;
    }

    pub(crate) fn key(&self, symbol: &str) -> String {
        if self.symbols.len() == 1 { "trades_window".into() } else { format!("trades_window:{symbol}") }
    }

    /// What Python makes of the file.
    pub(crate) fn expected(&self, symbol: &str) -> Vec<String> {
        let (precision, window) = (self.sink.price_precision.to_string(), self.sink.window_minutes.to_string());
        python(&["list", self.db().to_str().unwrap(), symbol, &precision, &window])
    }

    /// Waits until so many minutes are in the list.
    pub(crate) async fn until_length(&self, symbol: &str, length: usize) {
        let key = self.key(symbol);
        let length = i64::try_from(length).unwrap();
        self.until(|rig| rig.server.call(&["LLEN", &key]) == Value::Number(length)).await;
    }

    /// Waits until the lists are what Python makes of the file, which does not change meanwhile.
    pub(crate) async fn until_equal(&self) {
        for symbol in &self.symbols {
            let (expected, key) = (self.expected(symbol), self.key(symbol));
            self.until(|rig| rig.server.list(&key) == expected).await;
        }
    }

    /// The lists hold what is in the file, to the byte; so many minutes.
    pub(crate) fn assert_equal(&self) -> usize {
        let mut count = 0;
        for symbol in &self.symbols {
            let (expected, list) = (self.expected(symbol), self.server.list(&self.key(symbol)));
            count += list.len();
            let times = |list: &[String]| list.iter().map(|entry| entry[15..34].to_owned()).collect::<Vec<_>>();
            assert_eq!(times(&list), times(&expected), "{symbol}");
            assert!(list == expected, "{symbol}: {list:?}\n{expected:?}");
        }
        count
    }
}

pub(crate) fn python(arguments: &[&str]) -> Vec<String> {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/redis/expected.py");
    let output = Command::new("python3").arg(program).args(arguments).output();
    let output = output.expect("python3 is there; if not: apt-get install python3");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// The file of a collector, written to as the collector does.
pub(crate) struct File(rusqlite::Connection, Random);

impl File {
    /// Changes minutes, or adds them, each counted from [`BEGIN_MS`].
    pub(crate) fn put(&mut self, symbol: &str, minutes: impl IntoIterator<Item = i64>) {
        let write = self.0.unchecked_transaction().unwrap();
        for minute in minutes {
            let begin_ms = BEGIN_MS + minute * 60_000;
            // As the collector does, where it begins a minute the one before is over, and that is a change of it.
            write.execute("UPDATE file SET revision = revision + 2", []).unwrap();
            write
                .execute(
                    "UPDATE minutes SET revision = (SELECT revision - 1 FROM file) WHERE symbol = ?1 AND begin_ms < ?2
                        AND begin_ms = (SELECT max(begin_ms) FROM minutes WHERE symbol = ?1)",
                    (symbol, begin_ms),
                )
                .unwrap();
            write
                .execute(
                    "INSERT OR REPLACE INTO minutes SELECT ?1, ?2, 1, 2, 2, 2, 0, 'complete', 2, 8, 1, 0, revision FROM file",
                    (symbol, begin_ms),
                )
                .unwrap();
            for _ in 0..3 {
                let mut below = |bound| i64::try_from(self.1.below(bound)).unwrap();
                let level = (symbol, begin_ms, 11_734_000 + below(500), below(1 << 40), below(1 << 20), 1 + below(9));
                write.execute("INSERT OR REPLACE INTO levels VALUES (?1, ?2, ?3, ?4, ?5, ?6)", level).unwrap();
            }
        }
        write.commit().unwrap();
    }

    pub(crate) fn snapshot(&self, symbol: &str, time_ms: i64, bids: &str, asks: &str) {
        self.0.execute("INSERT INTO depth VALUES (?1, ?2, 7, 2, 8, ?3, ?4)", (symbol, time_ms, bids, asks)).unwrap();
    }
}
