//! `scripts/demo.sh`, as a person runs it, with programs that are built already.

use std::{path::Path, process::Stdio};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::Command,
    time::timeout,
};

use super::PATIENCE;

#[tokio::test]
async fn ctrl_c_ends_the_demo_with_the_timeline_and_the_saved_minutes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let built = Path::new(env!("CARGO_BIN_EXE_market")).parent().unwrap();
    assert!(built.join("exchange-sim").exists(), "build the workspace first: cargo build --workspace");
    let mut demo = Command::new("env")
        .args(["--default-signal=INT", "bash"])
        .arg(root.join("scripts/demo.sh"))
        .env("DEMO_BIN", built)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A terminal sends Ctrl+C to the whole group.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut out = BufReader::new(demo.stdout.take().unwrap()).lines();
    let mut err = demo.stderr.take().unwrap();
    let mut printed = String::new();
    let ready = async {
        // That it was fetched is said once a second, by the file it may be known before.
        while !printed.contains("demo: ready") || !printed.contains("nothing is missing") {
            printed.push_str(&out.next_line().await.unwrap().expect("the demo goes on until Ctrl+C"));
            printed.push('\n');
        }
    };
    timeout(PATIENCE, ready).await.expect("a gap is filled");

    let group = format!("-{}", demo.id().unwrap());
    assert!(Command::new("kill").args(["-INT", "--", &group]).status().await.unwrap().success());

    let rest = async {
        let mut said = String::new();
        err.read_to_string(&mut said).await.unwrap();
        while let Some(line) = out.next_line().await.unwrap() {
            printed.push_str(&line);
            printed.push('\n');
        }
        (said, demo.wait().await.unwrap())
    };
    let (said, status) = timeout(PATIENCE, rest).await.expect("the demo ends on Ctrl+C");
    assert_eq!(status.code(), Some(0), "{printed}{said}");
    // Whether the aggregator waited longest for the feed or for what fetches is chance.
    assert!(said.contains(" -> aggregator -> store"), "{said}");
    assert!(said.contains("clean, status 0"), "{said}");
    let saved = printed.split("saved:\n").nth(1).unwrap();
    assert!(saved.contains("BTCUSDT") && saved.contains("backfilled") && saved.contains("complete"), "{printed}");
    assert!(printed.contains("trades that had not come; nothing is missing"), "{printed}");
}
