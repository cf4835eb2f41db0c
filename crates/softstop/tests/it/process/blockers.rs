//! Who holds a thread has a name.

use rustix::process::Signal;
use serde_json::Value;

use super::{Ended, lab};

/// Component, task and what it was at, of every blocker that still held its thread (or of those that had come back).
fn blockers(ended: &Ended, still: bool) -> Vec<String> {
    let rows = ended.report()["blockers"].as_array().unwrap();
    let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
    let name = |row: &Value| format!("{}/{}: {}", text(row, "component"), text(row, "task"), text(row, "doing"));
    let mut names: Vec<String> = rows.iter().filter(|row| row["still"] == still).map(name).collect();
    names.sort();
    names
}

#[test]
fn sigterm_ends_it_in_time_and_the_report_names_both_tasks_that_block_both_workers() {
    let mut lab = lab("blocked how=two total=1.5").start();
    lab.noted_times("blocked", 2);
    lab.noted("ready");

    lab.signal(Signal::TERM);
    let ended = lab.end().left_with(82).within(12);

    assert_eq!(blockers(&ended, true), ["hog/digger: polling", "hog/sleeper: polling"]);
    assert!(ended.report()["deaf_ms"].as_f64().unwrap() > 1000.0, "{ended:#?}");
    for row in ended.report()["blockers"].as_array().unwrap() {
        assert!(row["longest_ms"].as_f64().unwrap() > 1000.0, "{row}");
        assert!(row["site"].as_str().unwrap().contains("tests/lab/main.rs:"), "{row}");
    }
    ended
        .printed("holds its thread: hog/digger: polling for 1")
        .printed("holds its thread: hog/sleeper: polling for 1");
}

#[test]
fn sigusr1_names_the_tasks_that_block_the_workers_with_time_and_site() {
    let mut lab = lab("blocked how=two").start();
    lab.noted_times("blocked", 2);
    lab.noted("ready");
    super::pause(150);

    lab.signal(Signal::USR1);
    lab.printed("holds its thread: hog/digger: polling for ");
    lab.printed("holds its thread: hog/sleeper: polling for ");
    lab.signal(Signal::QUIT);

    let ended = lab.end().left_with(83);
    let line = ended.said.iter().find(|line| line.contains("hog/sleeper: polling")).unwrap();
    assert!(line.contains(" ms, spawned at ") && line.contains("tests/lab/main.rs:"), "{line}");
}

#[test]
fn a_runtime_that_recovered_during_the_stop_is_told_of_with_how_long_it_was_deaf() {
    let mut lab = lab("blocked how=nap count=4").start();
    lab.noted_times("blocked", 2);
    lab.noted("ready");

    lab.signal(Signal::INT);
    lab.printed("stopping: SIGINT");
    super::pause(400);
    lab.open_gate();
    let ended = lab.end().left_with(0);

    assert_eq!(blockers(&ended, false), ["hog/napper: polling"]);
    let deaf = ended.report()["deaf_ms"].as_f64().unwrap();
    assert!((200.0..10_000.0).contains(&deaf), "{deaf} ms");
}

#[test]
fn a_hanging_destructor_and_a_blocking_job_are_told_apart() {
    for (words, told) in [
        ("blocked how=destructor cancel_limit=0.3", "hog/holder: in a destructor"),
        ("blocked how=pool cancel_limit=0.3", "hog/job: a blocking job"),
    ] {
        let mut lab = lab(words).start();
        lab.noted("blocked");
        lab.noted("ready");

        lab.signal(Signal::INT);
        let ended = lab.end().left_with(82).within(12);

        assert_eq!(blockers(&ended, true), [told]);
    }
}

#[test]
fn a_task_that_came_back_is_in_the_report_of_a_clean_stop() {
    let mut lab = lab("blocked how=nap").start();
    lab.noted("blocked");
    lab.noted("ready");
    super::pause(150);
    lab.open_gate();
    lab.noted("awake");

    lab.signal(Signal::INT);
    let ended = lab.end().left_with(0);

    assert_eq!(blockers(&ended, false), ["hog/napper: polling"]);
    assert_eq!(blockers(&ended, true), Vec::<String>::new());
    assert!(ended.report()["deaf_ms"].is_null(), "one of two workers was free: {ended:#?}");
}
