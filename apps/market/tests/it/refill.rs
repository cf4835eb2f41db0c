//! An exchange that goes on while nobody listens, breaks connections, and sees the collector killed: the file ends without a gap.

use std::{path::Path, process::Stdio, time::Duration};

use sims::exchange::{Exchange, Script, Truth};
use tokio::{
    process::{Child, Command},
    time::{sleep, timeout},
};

use super::{
    PATIENCE, Random,
    compare::compare,
    rig::{SYMBOLS, goes_on},
};

/// See [`compare`]. Returns how many single trades that are.
pub(crate) fn assert_nothing_is_missing(db: &Path, truth: &Truth) -> i64 {
    compare(db, truth, &SYMBOLS).unwrap().trades
}

/// Completes when all that has happened so far is in the file, or known not to be had.
pub(crate) async fn all_is_there(db: &Path, exchange: &Exchange) {
    let there = crate::compare::all_is_there(db, exchange, &SYMBOLS);
    timeout(PATIENCE, there).await.expect("what is missing is fetched");
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
