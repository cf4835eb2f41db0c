//! The program itself, with real signals.

use std::{
    path::Path,
    process::{Output, Stdio},
};

use sims::exchange::Exchange;
use tokio::{process::Command, time::timeout};

use super::{PATIENCE, Random, assert_equal, generated};

const SYMBOLS: [&str; 2] = ["AAAUSDT", "BBBUSDT"];

/// Takes SIGINT as a terminal would give it, also where the test runs with SIGINT ignored.
fn market(arguments: &[&str]) -> Command {
    let mut command = Command::new("env");
    command.args(["--default-signal=INT", env!("CARGO_BIN_EXE_market")]).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

pub(crate) async fn output(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = timeout(PATIENCE, market(arguments).output()).await.unwrap().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// Starts the program, interrupts it after `more` trades, and returns what it printed.
async fn collect(exchange: &Exchange, db: &Path, more: usize) -> String {
    let before = exchange.truth().count();
    let ws = format!("ws://{}", exchange.ws);
    let child =
        market(&["collect", "--ws", &ws, "--symbol", SYMBOLS[0], "--symbol", "bbbusdt", "--db", db.to_str().unwrap()])
            .spawn()
            .unwrap();
    let pid = child.id().unwrap().to_string();
    let ended = async { child.wait_with_output().await.unwrap() };
    let interrupt = async {
        exchange.until(|truth| truth.count() >= before + more).await;
        assert!(Command::new("kill").args(["-INT", &pid]).status().await.unwrap().success());
    };
    let (ended, ()) =
        timeout(PATIENCE, async { tokio::join!(ended, interrupt) }).await.expect("the program ends within the time");
    let (out, err) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert_eq!(ended.status.code(), Some(0), "{out}{err}");
    out.into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_random_interrupts_leave_exactly_what_was_sent() {
    let seed = 21;
    let mut random = Random(seed);
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("m.db");
    let exchange = Exchange::start(generated(seed, &SYMBOLS)).await.unwrap();

    let mut minutes = 0;
    for round in 0..20 {
        let more = 1 + random.below(3000);
        println!("seed {seed}, round {round}: SIGINT after {more} trades");
        let out = collect(&exchange, &db, more).await;
        assert!(out.starts_with("collecting AAAUSDT, BBBUSDT from ws://127.0.0.1:"), "{out}");
        assert!(out.lines().last().is_some_and(|line| line.starts_with("saved ")), "{out}");
        minutes += out.lines().filter(|line| line.contains(" bought, ")).count();
        assert_equal(&db, &exchange.truth(), &SYMBOLS);
    }

    let ended: usize = SYMBOLS.map(|symbol| exchange.truth().minutes(symbol).len() - 1).iter().sum();
    assert_eq!(minutes, ended, "every minute that ended was printed once");
    exchange.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_minutes_collected_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("m.db");
    let exchange = Exchange::start(generated(6, &SYMBOLS)).await.unwrap();
    collect(&exchange, &db, 13_000).await;

    let (status, all, _) = output(&["minutes", "--db", db.to_str().unwrap()]).await;
    let (_, one, _) =
        output(&["minutes", "--db", db.to_str().unwrap(), "--symbol", "aaausdt", "--last", "1", "--levels"]).await;

    assert_eq!(status, Some(0));
    let mut left: Vec<_> = folder.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["m.db", "m.db.lock"], "nothing of SQLite's own is left behind");
    assert!(all.starts_with("minute (UTC)      symbol "), "{all}");
    assert!(all.lines().any(|line| line.ends_with("complete")), "{all}");
    assert!(all.lines().last().is_some_and(|line| line.ends_with("partial")), "{all}");
    assert_eq!(one.lines().filter(|line| line.contains("AAAUSDT")).count(), 1, "{one}");
    assert!(one.lines().filter(|line| line.starts_with("  at ")).count() > 1, "{one}");
}

#[tokio::test]
async fn wrong_arguments_are_named_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("m.db").display().to_string();
    let away = folder.path().join("no/such/m.db").display().to_string();
    let collect = |ws: &'static str, symbol: &'static str, db: &str| {
        ["collect", "--ws", ws, "--symbol", symbol, "--db", db].map(str::to_owned)
    };
    let cases = [
        (collect("wss://exchange/stream", "BTCUSDT", &db).to_vec(), 78, "without a path, such as wss://"),
        (collect("ws://127.0.0.1:1", "", &db).to_vec(), 78, "symbol \"\": it has to be letters and digits"),
        (collect("ws://127.0.0.1:1", "BTCUSDT", &away).to_vec(), 80, "no/such/m.db"),
        (["collect", "--db", &db].map(str::to_owned).to_vec(), 78, "name a symbol, such as --symbol BTCUSDT"),
        (["minutes", "--db", &away].map(str::to_owned).to_vec(), 1, "cannot open the database"),
    ];
    for (arguments, status, says) in cases {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let (code, _, err) = output(&arguments).await;
        assert_eq!(code, Some(status), "{arguments:?}: {err}");
        assert!(err.contains(says), "{err}");
    }
}
