//! `tiles selftest`: this program, as it is installed, against a server that does what goes wrong with real ones.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{ExitCode, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use sims::tiles::{
    Absence, At, CERTIFICATE, Config, Connections, Cut, Delay, Encoding, Fault, Format, Framing, How, Limit, Origin,
    Payload, RetryAfter, Rule, Script, To, Truth, Which, World,
};
use tiles::store::{Reader, verify};
use tokio::{process::Command, time::timeout};

use super::print;

/// West, south, east, north, zooms, and how many tiles these are.
const AREA: (&str, &str, u64) = ("106.6,-6.4,107.0,-6.0", "0-14", 520);
/// One run takes no longer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Of a group and what waits for it, and requests at once.
const ON_ITS_WAY: u64 = 250 + 256 + 16;

type Verdict = Result<String, String>;

pub(crate) fn run() -> ExitCode {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(all()),
        Err(error) => {
            print(&format!("no runtime: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn all() -> ExitCode {
    let began = Instant::now();
    let folder = std::env::temp_dir().join(format!("tiles-selftest-{}", std::process::id()));
    let made = fs::create_dir_all(&folder).and_then(|()| fs::write(folder.join("root.pem"), CERTIFICATE));
    if let Err(error) = made {
        print(&format!("cannot write to {}: {error}", folder.display()));
        return ExitCode::FAILURE;
    }
    let mut failed = 0;
    for (number, case) in cases().into_iter().enumerate() {
        let began = Instant::now();
        let name = case.name;
        let out = folder.join(format!("{number}{}", case.ending));
        let verdict = case.run(&out, &folder).await;
        let took = began.elapsed().as_secs_f64();
        match verdict {
            Ok(detail) => print(&format!("ok    {name}: {detail} ({took:.1} s)")),
            Err(why) => {
                failed += 1;
                print(&format!("FAIL  {name}: {why} ({took:.1} s)"));
            }
        }
    }
    let _ = fs::remove_dir_all(&folder);
    let took = began.elapsed().as_secs_f64();
    match failed {
        0 => print(&format!("selftest passed in {took:.1} s")),
        failed => print(&format!("selftest failed: {failed}, in {took:.1} s")),
    }
    ExitCode::from(u8::from(failed > 0))
}

/// One thing that goes wrong, and what has to come of it.
struct Case {
    name: &'static str,
    ending: &'static str,
    config: Config,
    format: Format,
    /// Signals, each in a run of its own before the last: after so many requests more.
    stops: Vec<(Signal, u64)>,
    /// What the last run says.
    status: i32,
    /// How often tiles may be asked for, besides once each.
    more: u64,
}

fn case(name: &'static str, script: Script) -> Case {
    Case {
        name,
        ending: ".mbtiles",
        config: Config { script, ..Config::default() },
        format: Format::Png,
        stops: Vec::new(),
        status: 0,
        more: 0,
    }
}

fn cases() -> Vec<Case> {
    let ms = Duration::from_millis;
    let rules = |rules: Vec<Rule>| rules.into_iter().fold(Script::new(7), Script::rule);
    let plain = || Script::new(7);
    let one = |fault| rules(vec![Rule::new(fault)]);
    let slow = || one(Fault::Delay(Delay::Exponential(ms(5))));
    let first = |fault, share| rules(vec![Rule::new(fault).share(share).first_tries(1)]);
    let again = |script, share: f64| (script, (AREA.2 as f64 * share * 2.0) as u64);
    let with = |case: Case, (_, more): (Script, u64)| Case { more, ..case };
    let retried = |name, fault, share| with(case(name, first(fault, share)), again(plain(), share));
    let limit = Limit { retry_after: Some(RetryAfter::Seconds(1)), ..Limit::new(400.0, 100.0) };
    let ocean =
        World { absent: vec![(Which { share: 0.3, ..Which::default() }, Absence::NotFound)], ..World::default() };
    let kills = [5, 60, 150, 100, 100].map(|requests| (Signal::KILL, requests)).to_vec();
    let stops =
        [(Signal::INT, 0), (Signal::INT, 40), (Signal::TERM, 90), (Signal::INT, 150), (Signal::TERM, 30)].to_vec();
    vec![
        case("everything once", plain()),
        Case { stops, ..case("stopped five times", slow()) },
        Case { stops: kills.clone(), more: 5 * ON_ITS_WAY, ..case("killed five times", slow()) },
        Case { stops: kills, more: 5 * ON_ITS_WAY, ending: "", ..case("killed, into a folder", slow()) },
        Case { stops: vec![(Signal::INT, 100)], ending: ".pmtiles", ..case("into PMTiles, stopped once", slow()) },
        Case { more: 60, ..case("429 with Retry-After", one(Fault::Limit(limit))) },
        retried("500 now and then", Fault::status(500), 0.1),
        retried("cut in the middle", Fault::cut(3000), 0.1),
        retried(
            "cut without a length",
            Fault::Cut(Cut { at: At::Byte(3000), framing: Framing::Close, how: How::Close }),
            0.1,
        ),
        retried("resets", Fault::reset(), 0.1),
        Case {
            status: 3,
            ..case("a page instead of a tile", rules(vec![Rule::new(Fault::Instead(Payload::Html)).share(0.05)]))
        },
        Case { config: Config { world: ocean, ..Config::default() }, ..case("a third of it is not there", plain()) },
        Case { more: 20, ..case("moved for good", one(Fault::Redirect { code: 301, to: To::OtherHost })) },
        case("packed pictures", one(Fault::Encoding(Encoding::Gzip))),
        Case { format: Format::Pbf, ..case("vector tiles", plain()) },
        Case {
            config: Config {
                tls: true,
                script: plain().connections(Connections {
                    streams: Some(10),
                    goaway: Some(100),
                    ..Connections::default()
                }),
                ..Config::default()
            },
            more: 60,
            ..case("HTTP/2 with ten streams and GOAWAY", plain())
        },
        Case {
            config: Config {
                script: plain().connections(Connections { requests: Some(20), ..Connections::default() }),
                ..Config::default()
            },
            more: 60,
            ..case("connections closed after 20 requests", plain())
        },
    ]
}

/// How one run ended.
struct Ended {
    status: ExitStatus,
    said: String,
}

impl Case {
    async fn run(self, out: &Path, folder: &Path) -> Verdict {
        let (format, status, more) = (self.format, self.status, self.more);
        let origin = Origin::start(self.config.clone()).await.map_err(|error| error.to_string())?;
        for (signal, requests) in &self.stops {
            let ended = self.fetch(&origin, out, folder, Some((*signal, *requests))).await?;
            let done = ended.status.code() == Some(0);
            if !done && ended.status.signal() != Some(signal.as_raw()) {
                return Err(format!("after {signal:?}: {}; {}", ended.status, ended.said));
            }
        }
        let ended = self.fetch(&origin, out, folder, None).await?;
        if ended.status.code() != Some(status) {
            return Err(format!("{}; {}", ended.status, ended.said));
        }
        let (log, mut stored) = (origin.log(), 0);
        let reader = Reader::open(out).map_err(|error| error.to_string())?;
        for tile in reader.tiles().map_err(|error| error.to_string())?.0 {
            let (tile, body) = tile.map_err(|error| error.to_string())?;
            match origin.truth(format, sims::tiles::Tile::new(tile.z(), tile.x(), tile.y())) {
                Truth::There(content) if content.bytes == body => stored += 1,
                _ => return Err(format!("{}/{}/{} is not what the server has", tile.z(), tile.x(), tile.y())),
            }
        }
        let absent =
            log.tiles().keys().filter(|tile| matches!(origin.truth(format, **tile), Truth::Absent(_))).count() as u64;
        let failed = match status {
            0 => 0,
            _ => AREA.2 - stored - absent,
        };
        if stored + absent + failed != AREA.2 {
            return Err(format!("{stored} of {} are stored", AREA.2 - absent));
        }
        if !verify(out).is_ok_and(|verified| verified.is_sound()) {
            return Err("the file is not sound".to_owned());
        }
        let requests: u64 = log.tiles().values().map(|asked| asked.requests).sum();
        let again: u64 = log.asked_again().values().sum();
        let (most, killed) = (AREA.2 + more, self.stops.iter().any(|(signal, _)| *signal == Signal::KILL));
        if requests > most || (again > 0 && !killed) {
            return Err(format!("{requests} requests for {} tiles, {again} of them again", AREA.2));
        }
        let finished: BTreeMap<&str, u64> =
            [("stored", stored), ("empty", absent), ("failed", failed), ("requests", requests)]
                .into_iter()
                .filter(|(_, n)| *n > 0)
                .collect();
        Ok(finished.iter().map(|(what, many)| format!("{many} {what}")).collect::<Vec<_>>().join(", "))
    }

    /// One run of this program; with a signal after so many requests more.
    async fn fetch(
        &self,
        origin: &Origin,
        out: &Path,
        folder: &Path,
        stop: Option<(Signal, u64)>,
    ) -> Result<Ended, String> {
        let program: PathBuf = std::env::current_exe().map_err(|error| error.to_string())?;
        let url =
            origin.template(self.format).replace("127.0.0.1", if self.config.tls { "localhost" } else { "127.0.0.1" });
        let mut command = Command::new(program);
        command
            .arg("get")
            .arg(out)
            .args(["--url", &url, "--bbox", AREA.0, "--zoom", AREA.1])
            .arg("--ca")
            .arg(folder.join("root.pem"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let before = origin.log().entries().len() as u64;
        let child = command.spawn().map_err(|error| format!("cannot start this program: {error}"))?;
        let pid = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
        let interrupt = async {
            let Some((signal, requests)) = stop else { return };
            let enough = origin.until(|log| log.entries().len() as u64 >= before + requests);
            let _ = timeout(Duration::from_secs(2), enough).await;
            if let Some(pid) = pid {
                // It may have ended by itself.
                let _ = kill_process(pid, signal);
            }
        };
        let ended = async { tokio::join!(child.wait_with_output(), interrupt).0 };
        let output = timeout(PATIENCE, ended).await.map_err(|_| "it does not end".to_owned())?;
        let output = output.map_err(|error| error.to_string())?;
        Ok(Ended { status: output.status, said: String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ") })
    }
}
