//! One kind of failure, and what has to come of it: everything in the file as it happened.

use std::{
    future::Future,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use market::{Config, Connect, Progress, Reader, internet};
use sims::exchange::{CERTIFICATE, Exchange, Script};
use softstop::{Report, Status};
use tokio::{
    process::Command,
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    time::{sleep, timeout},
};

use super::{
    compare::{self, Compared, Wrong, all_is_there, compare},
    rig::{self, MS, SYMBOLS, goes_on, quick},
};

/// A group takes no longer, on a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_secs(40);
/// Trades that have to come after the last failure.
const AFTERWARDS: usize = 500;

/// A kind of failure.
pub(crate) struct Group {
    pub(crate) name: &'static str,
    pub(crate) seed: u64,
    pub(crate) script: Script,
    /// What of the script has to strike, by its name.
    pub(crate) kinds: &'static [&'static str],
    /// How many faults have to strike.
    pub(crate) faults: u64,
    /// How often the collector is stopped and started again in between.
    pub(crate) stops: u64,
    pub(crate) settings: fn(Config) -> Config,
    pub(crate) exchange: fn(sims::exchange::Config) -> sims::exchange::Config,
    pub(crate) also: Also,
    /// How many order books of each symbol have to be stored, and be right.
    pub(crate) books: usize,
}

/// What is done beside the script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Also {
    Nothing,
    /// So often this program collects into the file and is killed.
    Kills(u64),
    /// The file finds no room for a while, then somebody else holds it.
    Full,
    /// The exchange breaks every connection and resets new ones for a while.
    Gone,
}

/// What was seen.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Seen {
    pub(crate) faults: u64,
    pub(crate) compared: Compared,
    /// Order books that are equal.
    pub(crate) books: usize,
}

impl Group {
    /// Runs all of it; the error says what is wrong.
    pub(crate) async fn run(&self, folder: &Path, leave: impl Future<Output = ()> + Clone) -> Result<Seen, Wrong> {
        let (db, roots) = (folder.join(format!("{}.db", self.seed)), folder.join("root.pem"));
        std::fs::write(&roots, CERTIFICATE)?;
        let exchange = Exchange::start((self.exchange)(goes_on(self.seed, self.script.clone()))).await?;
        let run = Run { group: self, db, connect: internet(Some(&roots))?, roots, exchange };
        let faults = timeout(PATIENCE, run.all(leave)).await.map_err(|_| run.late())??;
        let compared = compare(&run.db, &run.exchange.truth(), &SYMBOLS)?;
        let mut books = 0;
        for symbol in if self.books > 0 { &SYMBOLS[..] } else { &[] } {
            books += compare::books(&run.db, &run.exchange, symbol)?;
        }
        if books < self.books {
            return Err(format!("only {books} order books could be compared").into());
        }
        let log = run.exchange.log();
        if let Some(offence) = log.offences.first() {
            return Err(format!("the collector broke a rule of the exchange: {offence:?}").into());
        }
        run.exchange.stop().await;
        Ok(Seen { faults, compared, books })
    }
}

struct Run<'a> {
    group: &'a Group,
    db: PathBuf,
    /// The file with the exchange's certificate.
    roots: PathBuf,
    connect: Connect,
    exchange: Exchange,
}

impl Run<'_> {
    async fn all(&self, leave: impl Future<Output = ()> + Clone) -> Result<u64, Wrong> {
        let Group { stops, faults, also, .. } = *self.group;
        let mut done = match also {
            Also::Kills(kills) => self.kills(kills, leave.clone()).await?,
            Also::Full => self.full(leave.clone()).await?,
            Also::Gone => self.gone(leave.clone()).await?,
            Also::Nothing => 0,
        };
        for stop in 1..=stops {
            let enough = self.struck(faults * stop / (stops + 1), &[]);
            self.collect(self.group.settings, enough, leave.clone()).await?;
        }
        let enough = async {
            self.struck(faults, self.group.kinds).await;
            self.stored_books(self.group.books).await;
            done += self.happened_to_the_market();
            let struck = self.exchange.log().faults();
            done += struck;
            // What the script does for ever must not go on while the last gap is filled.
            self.exchange.set_script(Script::default());
            // A connection keeps the script that it began with.
            self.exchange.cut(0);
            self.trades(AFTERWARDS).await;
            all_is_there(&self.db, &self.exchange, &SYMBOLS).await;
        };
        self.collect(self.group.settings, enough, leave).await?;
        Ok(done)
    }

    /// Collects until it is enough, or the person wants to leave. The stop has to be a clean one.
    async fn collect(
        &self,
        settings: impl FnOnce(Config) -> Config,
        enough: impl Future<Output = ()>,
        leave: impl Future<Output = ()>,
    ) -> Result<Report, Wrong> {
        let enough = async {
            tokio::select! { biased;
                () = leave => {}
                () = enough => {}
            }
        };
        let connect = Arc::clone(&self.connect);
        let settings = |config| Config { connect, ..settings(config) };
        let report = rig::collect(&self.exchange, &self.db, settings, enough).await?;
        if report.status != Status::Clean {
            return Err(report.line().into());
        }
        Ok(report)
    }

    /// Until so many faults have struck, and of each of these kinds one.
    async fn struck(&self, faults: u64, kinds: &[&str]) {
        let enough = |log: &sims::exchange::Log| {
            log.faults() + self.of_the_market() >= faults && kinds.iter().all(|kind| log.struck.contains_key(kind))
        };
        self.exchange.until_log(enough).await;
        // What happens to the market is not in the log.
        while self.happened_to_the_market() < self.of_the_market() {
            sleep(10 * MS).await;
        }
    }

    /// Until so many order books of each symbol are stored.
    async fn stored_books(&self, books: usize) {
        let stored = |symbol: &str| -> usize {
            Reader::open(&self.db).and_then(|reader| Ok(reader.depth(symbol, u32::MAX)?.len())).unwrap_or(0)
        };
        while books > 0 && SYMBOLS.iter().any(|symbol| stored(symbol) < books) {
            sleep(50 * MS).await;
        }
    }

    fn of_the_market(&self) -> u64 {
        self.group.script.market.len() as u64
    }

    /// How many of the events of the script have happened: those that the trades have passed.
    fn happened_to_the_market(&self) -> u64 {
        let truth = self.exchange.truth();
        let passed = |event: &&sims::exchange::Event| truth.happened(&event.symbol).count() as u64 > event.at;
        self.group.script.market.iter().filter(passed).count() as u64
    }

    async fn trades(&self, more: usize) {
        let before = self.exchange.truth().count();
        self.exchange.until(|truth| truth.count() >= before + more).await;
    }

    /// This program, as it is installed, killed in the middle.
    async fn kills(&self, kills: u64, leave: impl Future<Output = ()> + Clone) -> Result<u64, Wrong> {
        for _ in 0..kills {
            let before = self.reached();
            let mut program = Command::new(std::env::current_exe()?);
            program.args(["collect", "--ws", &self.exchange.ws_url(), "--rest", &self.exchange.rest_url(), "--db"]);
            program.arg(&self.db).arg("--ca").arg(&self.roots).args(SYMBOLS.map(|symbol| format!("--symbol={symbol}")));
            program.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
            let mut child = program.spawn().map_err(|error| format!("cannot start this program: {error}"))?;
            let more = async {
                while self.reached() <= before.saturating_add(300) {
                    sleep(10 * MS).await;
                }
            };
            tokio::select! { biased;
                () = leave.clone() => return Ok(0),
                ended = child.wait() => return Err(format!("the collector ended by itself: {}", ended?).into()),
                () = more => child.kill().await?,
            }
        }
        Ok(kills)
    }

    /// The last single trade of a symbol in the file; 0 where there is none.
    fn reached(&self) -> i64 {
        let ends = Reader::open(&self.db).ok().and_then(|reader| reader.ends(SYMBOLS[0]).ok().flatten());
        ends.map_or(0, |(_, last)| last)
    }

    /// The file finds no room, then somebody else holds it.
    async fn full(&self, leave: impl Future<Output = ()> + Clone) -> Result<u64, Wrong> {
        self.collect(|config| config, self.trades(100), leave.clone()).await?;
        let file = rusqlite::Connection::open(&self.db)?;
        file.busy_timeout(PATIENCE)?;
        file.execute_batch("CREATE TABLE filler AS SELECT zeroblob(4000000) AS x; PRAGMA wal_checkpoint(TRUNCATE)")?;
        let most_bytes = std::fs::metadata(&self.db)?.len();
        let (said, mut heard) = unbounded_channel();
        let settings = |config: Config| Config {
            most_bytes: Some(most_bytes),
            tell: Arc::new(move |progress| {
                // Nobody listens any more at the end.
                let _ = said.send(progress);
            }),
            ..config
        };
        let steps = async move {
            refused(&mut heard).await;
            file.execute_batch("DROP TABLE filler")?;
            self.trades(2000).await;
            file.execute_batch("BEGIN IMMEDIATE")?;
            refused(&mut heard).await;
            file.execute_batch("ROLLBACK")?;
            self.trades(AFTERWARDS).await;
            Ok::<_, Wrong>(())
        };
        let mut done = Ok(());
        let enough = async { done = steps.await };
        self.collect(settings, enough, leave).await?;
        done?;
        Ok(2)
    }

    /// The exchange is not there for a while, twice.
    async fn gone(&self, leave: impl Future<Output = ()> + Clone) -> Result<u64, Wrong> {
        let enough = async {
            for _ in 0..2 {
                self.trades(1000).await;
                self.exchange.set_gone(true);
                sleep(300 * MS).await;
                self.exchange.set_gone(false);
            }
            self.trades(AFTERWARDS).await;
        };
        self.collect(|config| Config { times: quick(), ..config }, enough, leave).await?;
        Ok(2)
    }

    /// What is lacking after all the time there was.
    fn late(&self) -> Wrong {
        let struck = self.exchange.log().struck;
        let missing = Reader::open(&self.db).and_then(|reader| Ok(reader.missing(None)?)).unwrap_or_default();
        let open: Vec<_> = missing.into_iter().filter(|missing| !missing.hole).collect();
        format!("after {PATIENCE:?} it has not come to its end; struck: {struck:?}, missing: {open:?}").into()
    }
}

/// Until the collector says that it cannot write.
async fn refused(heard: &mut UnboundedReceiver<Progress>) {
    while heard.recv().await.is_some_and(|progress| !matches!(progress, Progress::Unwritten(..))) {}
}
