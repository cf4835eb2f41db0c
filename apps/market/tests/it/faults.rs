//! An exchange on which everything goes wrong: in the end the file holds what happened.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use market::{Config, Progress, Reader, Times, config::Depth};
use sims::exchange::{Exchange, Happening, Log, RequestFault, Rule, Script, SocketFault};
use softstop::{Report, Status};
use tempfile::TempDir;
use tokio::time::timeout;

use super::{
    PATIENCE,
    books::right_books,
    refill::{all_is_there, assert_nothing_is_missing},
    rig::{self, MS, SYMBOLS, goes_on, quick},
};

/// A collector in this process, and its exchange.
#[derive(Clone)]
pub(crate) struct Rig {
    pub(crate) exchange: Arc<Exchange>,
    pub(crate) folder: Arc<TempDir>,
    pub(crate) events: Arc<Mutex<Vec<Progress>>>,
    depth: Option<Depth>,
}

impl Rig {
    pub(crate) async fn start(seed: u64, script: Script) -> Self {
        Self::with(goes_on(seed, script)).await
    }

    pub(crate) async fn with(config: sims::exchange::Config) -> Self {
        let exchange = Arc::new(Exchange::start(config).await.unwrap());
        Self { exchange, folder: Arc::new(tempfile::tempdir().unwrap()), events: Arc::default(), depth: None }
    }

    /// With order books.
    pub(crate) fn depth(self, limit: u32, every: Duration) -> Self {
        Self { depth: Some(Depth::new(limit, every).unwrap()), ..self }
    }

    pub(crate) fn db(&self) -> PathBuf {
        self.folder.path().join("m.db")
    }

    pub(crate) fn count(&self, which: impl Fn(&Progress) -> bool) -> usize {
        self.events.lock().unwrap().iter().filter(|event| which(event)).count()
    }

    fn replaced(&self) -> usize {
        self.count(|event| matches!(event, Progress::Replacing(_)))
    }

    /// Until so many more trades were sent.
    pub(crate) async fn trades(&self, more: usize) {
        let before = self.exchange.truth().count();
        self.exchange.until(|truth| truth.count() >= before + more).await;
    }

    pub(crate) async fn until(&self, mut enough: impl FnMut(&Self) -> bool) {
        while !enough(self) {
            tokio::time::sleep(10 * MS).await;
        }
    }

    /// Collects until `enough` completes; says how long the stop took.
    pub(crate) async fn run(&self, times: Times, enough: impl AsyncFnOnce(&Self)) -> (Report, Duration) {
        let (report, took) = self.run_with(|config| Config { times, ..config }, enough).await;
        assert_eq!(report.status, Status::Clean, "{}\n{:?}", report.line(), report.failures);
        (report, took)
    }

    /// The same with other settings, however it ends.
    pub(crate) async fn run_with(
        &self,
        settings: impl FnOnce(Config) -> Config,
        enough: impl AsyncFnOnce(&Self),
    ) -> (Report, Duration) {
        let heard = Arc::clone(&self.events);
        let depth = self.depth;
        let told = |config: Config| {
            let tell = Arc::new(move |progress| heard.lock().unwrap().push(progress));
            settings(Config { depth, tell, ..config })
        };
        let asked = Mutex::new(Instant::now());
        let enough = async {
            timeout(PATIENCE, enough(self)).await.expect("it comes so far");
            *asked.lock().unwrap() = Instant::now();
        };
        let db = self.db();
        let collecting = rig::collect(&self.exchange, &db, told, enough);
        let report = timeout(2 * PATIENCE, collecting).await.unwrap().unwrap();
        let took = asked.lock().unwrap().elapsed();
        (report, took)
    }

    /// Everything is in the file, and no rule of the exchange was broken. Returns how many trades were fetched later.
    pub(crate) fn all_is_well(&self) -> i64 {
        assert_nothing_is_missing(&self.db(), &self.exchange.truth());
        assert_eq!(self.exchange.log().offences, []);
        let minutes = Reader::open(&self.db()).unwrap().minutes(None, u32::MAX).unwrap();
        minutes.iter().map(|minute| minute.refilled).sum()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_two_hundred_faults_nothing_is_missing_and_nothing_counted_twice() {
    let seed = 41;
    // More than have to strike: a connection that fails by itself takes those with it that were meant for it.
    let script = Script::seeded(seed, 215, &SocketFault::QUICK, 20..=60)
        .request(Rule::new(RequestFault::Break).of("aggTrades").chance(0.1))
        .request(Rule::new(RequestFault::Status(503, None)).of("aggTrades").chance(0.1))
        .request(Rule::new(RequestFault::Truncate).of("aggTrades").chance(0.1));
    // With order books there is twice as much to read: a little slower, for machines that do other things as well.
    let config = sims::exchange::Config { speed: 200.0, ..goes_on(seed, script) };
    let rig = Rig::with(config).await.depth(100, 100 * MS);

    rig.run(quick(), async |rig| {
        // Those of connections; the others have no end.
        let of = |log: &Log, name| log.struck.get(name).copied().unwrap_or(0);
        let done = |log: &Log| log.faults() - of(log, "break") - of(log, "status") - of(log, "truncate");
        rig.exchange.until_log(|log| done(log) >= 200).await;
        rig.trades(500).await;
        all_is_there(&rig.db(), &rig.exchange).await;
    })
    .await;

    assert!(rig.all_is_well() > 0, "something was fetched later");
    let books: usize = SYMBOLS.iter().map(|symbol| right_books(&rig, symbol)).sum();
    assert!(books > 20, "{books} order books");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hole_at_the_exchange_is_marked_and_not_asked_for_again() {
    let rig = Rig::start(42, Script::default()).await;

    rig.run(quick(), async |rig| {
        rig.trades(500).await;
        let holes = Script::new(42).event(SYMBOLS[0], 0, Happening::Hole(20)).event(SYMBOLS[1], 0, Happening::Hole(1));
        rig.exchange.set_script(holes);
        rig.trades(5000).await;
        all_is_there(&rig.db(), &rig.exchange).await;
    })
    .await;

    rig.all_is_well();
    let minutes = Reader::open(&rig.db()).unwrap().minutes(Some(SYMBOLS[0]), u32::MAX).unwrap();
    let holes = rig.exchange.truth().holes(SYMBOLS[0]).to_vec();
    let lost: u64 = holes.iter().map(|hole| hole.trades.end() - hole.trades.start() + 1).sum();
    assert_eq!(minutes.iter().map(|minute| minute.missing()).sum::<i64>(), i64::try_from(lost).unwrap());
    assert!(minutes.iter().any(|minute| minute.state == market::State::Hole));
    assert!(rig.exchange.log().asked("aggTrades") < 20, "{}", rig.exchange.log().asked("aggTrades"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_to_end_is_replaced_before_and_nothing_has_to_be_fetched() {
    let lead = Duration::from_secs(2);
    let script = (1..=4).fold(Script::new(43), |script, number| {
        script.socket(Rule::new(SocketFault::Shutdown(lead)).number(number).after(200))
    });
    let rig = Rig::start(43, script).await;
    // One is a little ahead of the other for a moment: what is late is not missing.
    let times = Times { lifetime: 400 * MS, patience: 500 * MS, connect: 10_000 * MS, ..quick() };

    let (report, _) = rig
        .run(times, async |rig| {
            rig.until(|rig| rig.replaced() >= 8).await;
            rig.trades(500).await;
            all_is_there(&rig.db(), &rig.exchange).await;
        })
        .await;

    rig.all_is_well();
    assert_eq!(report.leaked, 0, "a connection that was replaced is closed: {:?}", report.leaks);
    // What came before the first is always fetched.
    let reader = Reader::open(&rig.db()).unwrap();
    let later = SYMBOLS.map(|symbol| reader.minutes(Some(symbol), u32::MAX).unwrap().split_off(1));
    let refilled: i64 = later.iter().flatten().map(|minute| minute.refilled).sum();
    let said =
        rig.events.lock().unwrap().iter().filter(|e| !matches!(e, Progress::Minute(_))).cloned().collect::<Vec<_>>();
    let log = rig.exchange.log();
    let asked: Vec<_> = log.requests.iter().filter(|asked| asked.path().ends_with("aggTrades")).collect();
    assert_eq!(refilled, 0, "both connections together had everything: {said:?} {asked:?}");
    assert_eq!(rig.count(|event| matches!(event, Progress::Disconnected(_))), 0);
    assert_eq!(rig.count(|event| matches!(event, Progress::Replacing(why) if why.contains("about to close"))), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_dies_silently_is_found_and_replaced() {
    let script = SocketFault::SLOW
        .into_iter()
        .zip(1..)
        .fold(Script::new(44), |script, (fault, number)| script.socket(Rule::new(fault).number(number).after(1000)));
    let rig = Rig::start(44, script).await;
    let times = Times { stall: (100 * MS, 500 * MS), ..quick() };

    rig.run(times, async |rig| {
        rig.exchange.until_log(|log| log.struck.len() >= 3).await;
        rig.trades(4000).await;
        all_is_there(&rig.db(), &rig.exchange).await;
    })
    .await;

    assert!(rig.all_is_well() > 0);
    assert!(rig.replaced() >= 2, "{:?}", rig.events.lock().unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exchange_that_wants_not_to_be_asked_is_not_asked() {
    let script = Script::new(45)
        .socket(Rule::new(SocketFault::Skip(5)).number(1).after(50).every(100))
        .request(Rule::new(RequestFault::Status(429, Some(1))).of("aggTrades").numbers(2..=3))
        .request(Rule::new(RequestFault::Ban(Duration::from_secs(2))).of("aggTrades").number(5));
    let rig = Rig::start(45, script).await;

    rig.run(quick(), async |rig| {
        rig.until(|rig| rig.exchange.log().asked("aggTrades") > 8).await;
        rig.exchange.cut(0);
        rig.trades(2000).await;
        all_is_there(&rig.db(), &rig.exchange).await;
    })
    .await;

    assert!(rig.all_is_well() > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_takes_at_most_3_s_with_rest_hanging_and_the_exchange_silent() {
    let script = Script::new(46)
        .socket(Rule::new(SocketFault::Skip(5)).after(50).every(100))
        .socket(Rule::new(SocketFault::Freeze).after(1000))
        .request(Rule::new(RequestFault::Hang));
    let rig = Rig::start(46, script).await;
    let times = Times { request: Duration::from_secs(60), ..quick() };

    let (report, took) = rig
        .run(times, async |rig| {
            rig.exchange.until_log(|log| log.struck.contains_key("freeze") && log.struck.contains_key("hang")).await;
        })
        .await;

    assert!(took < Duration::from_secs(3), "{took:?}");
    assert!(report.losses.is_empty(), "{:?}", report.losses);

    // What it could not fetch the next start fetches.
    rig.exchange.set_script(Script::default());
    rig.run(quick(), async |rig| {
        rig.trades(500).await;
        all_is_there(&rig.db(), &rig.exchange).await;
    })
    .await;
    assert!(rig.all_is_well() > 0);
}
