//! How fast Redis is filled from the file: minutes a second, from the first connection to the last minute, with a real redis-server.

use std::{
    error::Error,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use market::{Config, Progress, RedisProgress, Sink, Times, config::Redis, service};
use softstop::{Reason, Service};
use tokio::sync::mpsc;

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// As a busy minute of BTCUSDT has at one price a dollar.
const LEVELS: i64 = 70;

fn main() -> Result {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let (minutes, rounds) = if quick { (5_000, 3) } else { (20_000, 7) };
    let folder = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let db = folder.path().join("m.db");
        run(&db, None).await?;
        fill(&db, minutes)?;
        let mut rates = Vec::new();
        for _ in 0..rounds {
            let server = Server::start(folder.path())?;
            let (took, memory) = run(&db, Some((server.port, minutes))).await?;
            rates.push(minutes as f64 / took.as_secs_f64());
            println!("{minutes} minutes of {LEVELS} levels in {took:.2?}, {:.0}/s; at most {memory} in memory", rates[rates.len() - 1]);
        }
        rates.sort_by(f64::total_cmp);
        println!("median {:.0} minutes a second", rates[rates.len() / 2]);
        Ok(())
    })
}

/// A collector without an exchange: makes the file, or fills the Redis at a port with all that is in it.
async fn run(db: &Path, redis: Option<(u16, i64)>) -> Result<(Duration, String)> {
    let (told, mut telling) = mpsc::unbounded_channel();
    let sink = redis.map(|(port, minutes)| {
        let mut to = Redis::default();
        (to.host, to.port) = ("127.0.0.1".into(), port);
        Sink { window_minutes: u32::try_from(minutes).unwrap_or(u32::MAX), ..Sink::new(to) }
    });
    let config = Config {
        redis: sink,
        tell: Arc::new(move |progress| drop(told.send((progress, Instant::now())))),
        times: Times { redis_retry: (Duration::from_millis(2), Duration::from_millis(2)), ..Times::default() },
        ..Config::new("ws://127.0.0.1:1".parse()?, ["BTCUSDT".to_owned()], db)
    };
    let mut market = Service::new("market");
    service(&mut market, config);
    let begun = Instant::now();
    let mut took = Duration::ZERO;
    let stop = async {
        if redis.is_some() {
            while let Some((progress, at)) = telling.recv().await {
                if let Progress::Redis(RedisProgress::CaughtUp(_)) = progress {
                    took = at - begun;
                    break;
                }
            }
        }
        Reason::Requested("the benchmark".into())
    };
    let report = market.run(stop).await;
    if report.code() != 0 {
        return Err(report.line().into());
    }
    let status = std::fs::read_to_string("/proc/self/status")?;
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("?").trim();
    Ok((took, most.to_owned()))
}

/// As the collector writes them; volumes and prices differ from level to level.
fn fill(db: &Path, minutes: i64) -> Result {
    let mut file = rusqlite::Connection::open(db)?;
    let write = file.transaction()?;
    for minute in 0..minutes {
        let begin_ms = 1_700_000_040_000 + minute * 60_000;
        write.execute(
            "INSERT INTO minutes VALUES ('BTCUSDT', ?1, 1, 2, 2, 2, 0, 'complete', 2, 8, 1, 0, ?2)",
            (begin_ms, minute + 1),
        )?;
        let mut put = write.prepare_cached("INSERT INTO levels VALUES ('BTCUSDT', ?1, ?2, ?3, ?4, ?5)")?;
        for level in 0..LEVELS {
            let volume = (minute * 7_919 + level * 104_729) % 900_000_000;
            put.execute((begin_ms, 11_734_500 + level * 100, volume, volume / 3 + level, 1 + level % 90))?;
        }
    }
    write.execute("UPDATE file SET revision = ?1", [minutes])?;
    Ok(write.commit()?)
}

struct Server {
    process: Child,
    port: u16,
}

impl Server {
    fn start(folder: &Path) -> Result<Self> {
        // Free for now; who takes it in between makes this fail.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let process = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir"])
            .arg(folder)
            .stdout(Stdio::null())
            .spawn()?;
        let server = Self { process, port };
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            if begun.elapsed() > Duration::from_secs(10) {
                return Err("redis-server does not answer".into());
            }
            std::thread::yield_now();
        }
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
