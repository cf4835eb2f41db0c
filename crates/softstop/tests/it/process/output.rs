//! What is written where, and that it changes nothing.

use std::fs;

use rustix::process::Signal;

use super::lab;

#[test]
fn a_closed_stdout_and_stderr_change_no_status() {
    let cases = [
        ("stack", Some(Signal::INT), 0),
        ("mixed loss", Some(Signal::INT), 85),
        ("mixed failure", Some(Signal::TERM), 81),
        ("stack hold=never", Some(Signal::QUIT), 83),
        ("chain at=1 how=fails", None, 80),
        ("blocked how=park count=4 total=1.5", Some(Signal::INT), 82),
        ("circle", None, 78),
    ];
    for closed in [">&-", "2>&-", ">&- 2>&-"] {
        for (words, signal, status) in cases {
            let script = format!(r#"exec "$@" {closed}"#);
            let mut lab = lab(words).started_by(&["sh", "-c", &script, "sh"]).start();
            if let Some(signal) = signal {
                lab.noted("ready");
                lab.signal(signal);
            }

            lab.end().left_with(status);
        }
    }
}

#[test]
fn a_reader_that_went_away_changes_no_status() {
    let (reader, writer) = std::io::pipe().unwrap();
    let mut lab = lab("stack hold=gate").output(writer.try_clone().unwrap(), writer).start();
    lab.noted("ready");
    drop(reader);

    lab.signal(Signal::INT);
    lab.noted("feed drains");
    lab.open_gate();

    lab.end().left_with(0);
}

#[test]
fn a_report_that_cannot_be_written_changes_no_status() {
    let mut lab =
        lab("stack").without_report().started_by(&["env", "SOFTSTOP_REPORT=/nowhere/at/all/report.json"]).start();
    lab.noted("ready");

    lab.signal(Signal::INT);

    lab.end().left_with(0).printed("cannot write the report to `/nowhere/at/all/report.json`");
}

#[test]
fn a_report_to_a_device_leaves_the_device_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let device = dir.path().join("stdout");
    std::os::unix::fs::symlink("/dev/stdout", &device).unwrap();
    let place = format!("SOFTSTOP_REPORT={}", device.display());
    let mut lab = lab("stack").without_report().started_by(&["env", &place]).start();
    lab.noted("ready");

    lab.signal(Signal::INT);

    lab.end().left_with(0).printed(r#""outcome": "clean""#);
    assert!(fs::symlink_metadata(&device).unwrap().is_symlink());
}

#[test]
fn a_report_replaces_an_older_one_in_one_step() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("report.json");
    fs::write(&path, "old").unwrap();
    let place = format!("SOFTSTOP_REPORT={}", path.display());
    let mut lab = lab("stack").without_report().started_by(&["env", &place]).start();
    lab.noted("ready");

    lab.signal(Signal::INT);
    lab.end().left_with(0);

    let report: serde_json::Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(report["status"], 0);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "a temporary file was left behind");
}

#[test]
fn the_timeline_is_printed_where_it_was_asked_for_at_every_level() {
    for (signal, status) in [(Signal::INT, 0), (Signal::QUIT, 83)] {
        let mut lab = lab("stack").without_report().started_by(&["env", "SOFTSTOP_REPORT=-"]).start();
        lab.noted("ready");

        lab.signal(signal);

        lab.end().left_with(status).printed("stop: SIG").printed("stopped: SIG");
    }
}

#[test]
fn sigusr1_prints_what_is_running_and_changes_nothing() {
    let mut lab = lab("stack hold=never").start();
    lab.noted("ready");

    lab.signal(Signal::USR1);
    lab.printed("lab: running");
    lab.signal(Signal::INT);
    lab.noted("feed drains");
    lab.signal(Signal::USR1);
    lab.printed("lab: stopping");
    lab.signal(Signal::QUIT);
    let ended = lab.end().left_with(83);

    let printed: Vec<String> = ended.said.iter().map(|line| without_figures(line)).collect();
    let dumps = [
        "lab: running for T",
        "  store: running",
        "    open thing for T, opened at crates/softstop/tests/lab/main.rs:N",
        "  feed: running",
        "    task work x1, spawned at crates/softstop/tests/lab/main.rs:N",
        "    open thing for T, opened at crates/softstop/tests/lab/main.rs:N",
        "stopping: SIGINT, 2 components, at most T; Ctrl+C again to hurry",
        "lab: stopping for T",
        "  store: running",
        "    open thing for T, opened at crates/softstop/tests/lab/main.rs:N",
        "  feed: draining",
        "    task work x1, spawned at crates/softstop/tests/lab/main.rs:N",
        "    open thing for T, opened at crates/softstop/tests/lab/main.rs:N",
    ];
    assert_eq!(printed[..dumps.len()], dumps, "{ended:#?}");
}

/// A time with its unit becomes `T`, a line and column become `N`.
fn without_figures(line: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in line.split(' ') {
        let unit = word.trim_end_matches([',', ';']);
        let figure = |word: &String| !word.is_empty() && word.chars().all(|c| c.is_ascii_digit() || c == '.');
        if matches!(unit, "us" | "ms" | "s") && words.last().is_some_and(figure) {
            words.pop();
            words.push(word.replacen(unit, "T", 1));
        } else if let Some((file, _)) = word.split_once(".rs:") {
            words.push(format!("{file}.rs:N"));
        } else {
            words.push(word.to_owned());
        }
    }
    words.join(" ")
}
