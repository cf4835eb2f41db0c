//! `market export` and `market status`, on a file that a collector writes to.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use market::{Config, Reader, config::Depth};
use serde_json::Value;
use sims::exchange::{Happening, Script};

use super::{
    faults::Rig,
    refill::all_is_there,
    rig::{MS, SYMBOLS, quick},
};

fn market(arguments: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_market")).args(arguments).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn text(output: Output) -> String {
    String::from_utf8(output.stdout).unwrap()
}

/// Both forms as Python's own readers understand them: `[csv, jsonl]`, each a list of objects.
fn by_python(csv: &Path, jsonl: &Path) -> [Vec<Value>; 2] {
    let script = "import csv, json, sys
rows = list(csv.DictReader(open(sys.argv[1], newline='')))
lines = [json.loads(line) for line in open(sys.argv[2])]
json.dump([rows, lines], sys.stdout)";
    let output =
        Command::new("python3").args(["-c", script]).args([csv, jsonl]).output().expect("python3 is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    [0, 1].map(|form| value[form].as_array().unwrap().clone())
}

/// A file with minutes, levels, order books and a hole.
async fn collected() -> Rig {
    let rig = Rig::start(81, Script::default()).await;
    let depth = Depth::new(20, 50 * MS).unwrap();
    rig.run_with(
        |config| Config { depth: Some(depth), ..config },
        async |rig| {
            rig.trades(500).await;
            rig.exchange.set_script(Script::new(81).event(SYMBOLS[0], 0, Happening::Hole(7)));
            rig.trades(4000).await;
            all_is_there(&rig.db(), &rig.exchange).await;
        },
    )
    .await;
    rig
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_exported_is_what_the_file_holds_as_python_reads_it() {
    let rig = collected().await;
    let (db, folder) = (rig.db(), rig.folder.path());
    let reader = Reader::open(&db).unwrap();
    for what in ["minutes", "levels", "depth", "gaps"] {
        let [csv, jsonl] = ["csv", "jsonl"].map(|format| {
            let out = folder.join(format!("{what}.{format}"));
            let said = market(&[
                "export",
                "--db",
                db.to_str().unwrap(),
                "--what",
                what,
                "--format",
                format,
                "--out",
                out.to_str().unwrap(),
            ]);
            assert_eq!(text(said), "", "what is written to a file is not printed");
            let piped = text(market(&["export", "--db", db.to_str().unwrap(), "--what", what, "--format", format]));
            assert_eq!(fs::read_to_string(&out).unwrap(), piped);
            out
        });
        let [rows, lines] = by_python(&csv, &jsonl);
        if what != "depth" {
            let plain = |line: &Value| -> Value {
                let text = |value: &Value| match value {
                    Value::String(text) => text.clone(),
                    Value::Null => String::new(),
                    number => number.to_string(),
                };
                line.as_object().unwrap().iter().map(|(key, value)| (key.clone(), Value::from(text(value)))).collect()
            };
            assert_eq!(rows, lines.iter().map(plain).collect::<Vec<_>>(), "{what}");
        }
        let stored: usize = SYMBOLS
            .iter()
            .map(|symbol| match what {
                "minutes" => reader.minutes(Some(symbol), u32::MAX).unwrap().len(),
                "levels" => {
                    let minutes = reader.minutes(Some(symbol), u32::MAX).unwrap();
                    minutes.iter().map(|minute| usize::try_from(minute.levels).unwrap()).sum()
                }
                "depth" => reader.depth(symbol, u32::MAX).unwrap().iter().map(|b| b.bids.len() + b.asks.len()).sum(),
                _ => reader.missing(Some(symbol)).unwrap().len(),
            })
            .sum();
        assert_eq!(rows.len(), stored, "{what}");
        assert!(!rows.is_empty(), "{what}");
    }
    assert!(fs::read_dir(folder).unwrap().all(|entry| !entry.unwrap().path().to_string_lossy().ends_with(".part")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_are_exact_and_the_columns_are_as_they_are_written_down() {
    let rig = collected().await;
    let db = rig.db();
    let reader = Reader::open(&db).unwrap();
    let minute = &reader.minutes(Some(SYMBOLS[0]), u32::MAX).unwrap()[1];
    let from = market::utc::iso(minute.begin_ms);
    let to = market::utc::iso(minute.begin_ms + 60_000);
    let export = |what: &str| {
        let db = db.to_str().unwrap();
        text(market(&["export", "--db", db, "--what", what, "--symbol", SYMBOLS[0], "--from", &from, "--to", &to]))
    };

    let minutes = export("minutes");
    let levels = export("levels");

    let volume = |volume| market::decimal(volume, minute.scale.quantity);
    let total = minute.total;
    let line = format!(
        "AAAUSDT,{from},{},{},{},{},{},{},{},{},{},{},{}\r\n",
        minute.state.name(),
        minute.ids.0,
        minute.ids.1,
        total.trades,
        minute.expected,
        minute.missing(),
        minute.refilled,
        volume(total.buy),
        volume(total.sell),
        volume(total.delta()),
        minute.levels
    );
    let head = "symbol,minute,state,first_id,last_id,trades,expected,missing,refilled,buy,sell,delta,levels\r\n";
    assert_eq!(minutes, format!("{head}{line}"));
    let stored = reader.levels(SYMBOLS[0], minute.begin_ms).unwrap();
    let rows = stored.iter().map(|(price, level)| {
        let price = market::decimal(*price, minute.scale.price);
        let [buy, sell, delta] = [level.buy, level.sell, level.delta()].map(volume);
        format!("AAAUSDT,{from},{price},{buy},{sell},{delta},{}\r\n", level.trades)
    });
    assert_eq!(levels, format!("symbol,minute,price,buy,sell,delta,trades\r\n{}", rows.collect::<String>()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_and_export_work_while_a_collector_writes_and_a_closed_pipe_is_no_error() {
    let rig = Rig::start(82, Script::default()).await;

    rig.run(quick(), async |rig| {
        rig.trades(6000).await;
        let db = rig.db().to_str().unwrap().to_owned();
        let before = Reader::open(&rig.db()).unwrap().minutes(None, u32::MAX).unwrap().len();
        let status: Value = serde_json::from_str(&text(market(&["status", "--db", &db, "--json"]))).unwrap();
        assert_eq!(status["running"], true);
        assert_eq!(status["symbols"].as_array().unwrap().len(), 2);
        assert!(status["symbols"][0]["trades"].as_i64().unwrap() > 1000, "{status}");
        assert!(text(market(&["export", "--db", &db])).lines().count() > before);
        let head = Command::new("bash")
            .args(["-c", "\"$0\" export --db \"$1\" --what levels | head -n 2; exit ${PIPESTATUS[0]}"])
            .args([env!("CARGO_BIN_EXE_market"), &db])
            .output()
            .unwrap();
        let away = rig.folder.path().join("no/such/out.csv");
        let away = Command::new(env!("CARGO_BIN_EXE_market"))
            .args(["export", "--db", &db, "--out", away.to_str().unwrap()])
            .output()
            .unwrap();
        assert_eq!(away.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&away.stderr).contains("out.csv: No such file or directory"));
        assert_eq!((head.status.code(), String::from_utf8_lossy(&head.stderr).as_ref()), (Some(0), ""));
    })
    .await;

    let said = text(market(&["status", "--db", rig.db().to_str().unwrap()]));
    assert!(said.contains("\ncollector  not running\n") && said.contains("\nAAAUSDT\n  minutes  "), "{said}");
}

#[test]
fn what_cannot_be_exported_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("m.db");
    rusqlite::Connection::open(&db).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();

    let run = |arguments: &[&str]| Command::new(env!("CARGO_BIN_EXE_market")).args(arguments).output().unwrap();
    let other = run(&["export", "--db", db.to_str().unwrap()]);
    let wrong = run(&["export", "--db", db.to_str().unwrap(), "--from", "yesterday"]);

    assert_eq!(other.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&other.stderr).contains("is not a database of `market`"));
    assert_eq!(wrong.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("time \"yesterday\": write it as 2021-10-12"));
}
