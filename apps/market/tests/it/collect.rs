//! `market collect` as its owner runs it: settings in a file, a log, JSON, TLS.

use std::{collections::BTreeSet, fs, path::Path, process::Stdio};

use serde_json::Value;
use sims::exchange::{self, CERTIFICATE, Exchange, Rule, Script, SocketFault};
use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    time::timeout,
};

use super::{
    PATIENCE,
    process::output,
    refill::{all_is_there, assert_nothing_is_missing},
    rig::{SYMBOLS, goes_on},
};

/// Every key of the original that has an effect on a collector without Redis.
const SETTINGS: &str = r#"
binance:
  rest_api_base: "${REST}/api/v3"
  websocket_base: "${WS}/ws"
  symbol: [aaausdt, BBBUSDT]
  rate_limit_requests_per_minute: 1200
  timeout: 5
data_collector:
  depth_snapshot: {limit: 20, update_interval_seconds: 1}
  order_flow: {window_size_minutes: 2880, price_precision: 1.0}
analyzer: {deepseek: {api_key: "${NOT_SET}"}}
logging:
  level: DEBUG
  format: "%(asctime)s|%(name)s|%(levelname)-7s|%(message)s"
  file_path: "${LOG}"
  max_file_size_mb: 1
  backup_count: 2
  colour: red
shutdown: {data_save_timeout: 5, force_exit_timeout: 20}
"#;

/// An exchange with TLS that loses a message, and a folder with settings for it.
struct Rig {
    exchange: Exchange,
    folder: TempDir,
}

impl Rig {
    async fn start(seed: u64, settings: &str) -> Self {
        let script = Script::new(seed).socket(Rule::new(SocketFault::Skip(3)).after(100));
        let exchange = Exchange::start(exchange::Config { tls: true, ..goes_on(seed, script) }).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("root.pem"), CERTIFICATE).unwrap();
        fs::write(folder.path().join("c.yaml"), settings).unwrap();
        Self { exchange, folder }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn collect(&self, more: &[&str]) -> Child {
        let mut market = Command::new("env");
        market.args(["--default-signal=INT", env!("CARGO_BIN_EXE_market"), "collect"]);
        market.args(["--config", &self.path("c.yaml"), "--ca", &self.path("root.pem"), "--db", &self.path("m.db")]);
        market.args(more).env("WS", self.exchange.ws_url()).env("REST", self.exchange.rest_url());
        market.env("LOG", self.path("logs/c.log"));
        market.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap()
    }

    /// Collects until so many trades were sent and all is there, then interrupts; returns what was printed to both.
    async fn run(&self, trades: usize, more: &[&str]) -> (String, String) {
        let child = self.collect(more);
        let pid = child.id().unwrap().to_string();
        let ended = async { child.wait_with_output().await.unwrap() };
        let interrupt = async {
            self.exchange.until(|truth| truth.count() >= trades).await;
            all_is_there(Path::new(&self.path("m.db")), &self.exchange).await;
            assert!(Command::new("kill").args(["-INT", &pid]).status().await.unwrap().success());
        };
        let (ended, ()) = timeout(PATIENCE, async { tokio::join!(ended, interrupt) }).await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let (out, err) = (text(&ended.stdout), text(&ended.stderr));
        assert_eq!(ended.status.code(), Some(0), "{out}{err}");
        (out, err)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_settings_of_the_original_are_enough() {
    let rig = Rig::start(61, SETTINGS).await;

    let (out, err) = rig.run(12_000, &[]).await;

    assert!(out.starts_with("collecting AAAUSDT, BBBUSDT from wss://127.0.0.1:"), "{out}");
    assert!(out.lines().any(|line| line.contains(" bought, ")) && !out.contains("in this second"), "{out}");
    let warnings: Vec<&str> = err.lines().filter(|line| line.starts_with("warning: ")).collect();
    assert_eq!(warnings.len(), 2, "{err}");
    assert!(warnings[0].contains("c.yaml: line 6: `binance.rate_limit_requests_per_minute` has no effect"), "{err}");
    assert!(warnings[1].contains("c.yaml: line 18: `logging.colour`: there is no such key"), "{err}");
    assert!(err.contains("components, at most 20 s; Ctrl+C again to hurry"), "{err}");
    assert_nothing_is_missing(Path::new(&rig.path("m.db")), &rig.exchange.truth());

    let log = fs::read_to_string(rig.path("logs/c.log")).unwrap();
    let lines: Vec<Vec<&str>> = log.lines().map(|line| line.splitn(4, '|').collect()).collect();
    assert!(lines.iter().all(|line| line.len() == 4 && line[0].len() == 23 && line[1] == "market"), "{log}");
    let levels: BTreeSet<&str> = lines.iter().map(|line| line[2]).collect();
    assert!(levels.is_superset(&BTreeSet::from(["DEBUG  ", "INFO   ", "WARNING"])), "{levels:?}");
    let said: Vec<&str> = lines.iter().map(|line| line[3]).collect();
    for line in out.lines() {
        assert!(said.contains(&line), "it is in the log as well: {line}");
    }
    assert!(said.contains(&"stopping: SIGINT") && said[said.len() - 1].starts_with("stopped: SIGINT, "), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_line_of_json_is_an_object_of_a_version() {
    let rig = Rig::start(62, SETTINGS).await;

    let (out, _) = rig.run(12_000, &["--json"]).await;

    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().all(|line| line["v"] == 1 && line["t"].as_str().is_some_and(|t| t.ends_with('Z'))), "{out}");
    let of = |event: &str| lines.iter().filter(|line| line["event"] == event).collect::<Vec<_>>();
    assert_eq!(lines[0]["event"], "collecting");
    assert_eq!(lines[0]["symbols"], serde_json::json!(SYMBOLS));
    assert_eq!(lines[0]["rest"], rig.exchange.rest_url());
    assert_eq!(lines[0]["warnings"].as_array().map(Vec::len), Some(2));
    assert!(of("connected").len() == 1 && of("depth_live").len() >= 2, "{out}");

    let minute = of("minute")[0];
    assert!(SYMBOLS.contains(&minute["symbol"].as_str().unwrap()), "{minute}");
    let number = |field: &str| minute[field].as_str().unwrap().parse::<f64>().unwrap();
    assert!((number("buy") - number("sell") - number("delta")).abs() < 1e-6, "{minute}");
    assert_eq!(minute["minute_ms"].as_i64().unwrap() % 60_000, 0, "{minute}");
    let seconds = of("second");
    assert!(!seconds.is_empty() && seconds.iter().all(|line| line["symbols"].as_array().unwrap().len() == 2), "{out}");
    assert!(seconds.iter().any(|line| line["trades"].as_i64() > Some(0) && line["lag_ms"].is_i64()), "{out}");
    let last: Vec<&Value> = lines[lines.len() - 2..].iter().map(|line| &line["event"]).collect();
    assert!(of("stopping").len() == 1 && last == ["saved", "stopped"], "{out}");
    assert_eq!(lines[lines.len() - 1]["status"], 0);
}

#[tokio::test]
async fn wrong_settings_are_named_by_key_and_value_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let full = path("full");
    fs::write(&full, "no folder").unwrap();
    let symbol = "binance: {symbol: X}\n";
    for (text, more, says) in [
        ("redis: {port: many}".to_owned(), "", "c.yaml: line 1: `redis.port` is `many`; write a port".to_owned()),
        ("redis: {host: '${NOT_SET_ANYWHERE}'}".to_owned(), "", "set the environment variable NOT_SET_ANYWHERE".into()),
        (format!("{symbol}logging: {{format: '%(nonsense)s'}}"), "", "`logging.format` is `%(nonsense)s`".into()),
        (
            format!("{symbol}logging: {{file_path: '{full}/c.log'}}"),
            "",
            format!("cannot write the log to {full}/c.log"),
        ),
        (format!("{symbol}shutdown: {{hurry: 1}}"), "", "`hurry` is".into()),
        (format!("{symbol}shutdown: {{components: {{nobody: {{save: 1}}}}}}"), "", "`nobody`".into()),
        ("binance: {}".to_owned(), "", "name a symbol, such as --symbol BTCUSDT".into()),
        (symbol.to_owned(), "--ca=missing.pem", "cannot trust the certificates of missing.pem".into()),
        (
            symbol.to_owned(),
            "--redis=127.0.0.1:6379",
            "expected redis://host:6379/0 or redis://user:password@host:6379/0".into(),
        ),
        (symbol.to_owned(), "--exchange=kraken", "[possible values: binance]".into()),
        (symbol.to_owned(), "--depth=5001", "5001 is not in 0..=5000".into()),
    ] {
        fs::write(path("c.yaml"), &text).unwrap();
        let (config, db) = (path("c.yaml"), path("m.db"));
        let arguments = ["collect", "--config", &config, "--db", &db, more];
        let arguments: Vec<&str> = arguments.into_iter().filter(|argument| !argument.is_empty()).collect();

        let (status, out, err) = output(&arguments).await;

        assert_eq!(status, Some(78), "{text} {more}: {out}{err}");
        assert!(err.starts_with("error: ") && err.contains(&says), "{text} {more}: {err}");
        assert!(!folder.path().join("m.db").exists(), "nothing was begun");
    }
    let (status, _, err) = output(&["collect", "--config", &path("none.yaml")]).await;
    assert!(status == Some(78) && err.contains("none.yaml: No such file"), "{err}");
}
