//! The command itself, against small programs of which it is known how they stop.
#![expect(
    clippy::unwrap_used,
    reason = "a test may stop at the first surprise; clippy.toml does not reach the helpers of tests/"
)]

mod planted;

use std::{
    path::Path,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Ends at once, with status 0.
const GOOD: &str = "trap 'exit 0' TERM INT; echo ready; while :; do sleep 0.01; done";
/// The same, and leaves a process of a session of its own behind.
const LEAVES: &str = "setsid sleep 60 & trap 'exit 0' TERM INT; echo ready; while :; do sleep 0.01; done";
/// Ends with a status that says that something went wrong.
const FAILS: &str = "trap 'exit 7' TERM INT; echo ready; while :; do sleep 0.01; done";
/// Does not end.
const DEAF: &str = "trap '' TERM INT; echo ready; while :; do sleep 0.01; done";
/// Leaves a file where nothing may be left.
const LITTERS: &str =
    "trap 'exit 0' TERM INT; echo > ${TMPDIR:-/tmp}/litter-$$; echo ready; while :; do sleep 0.01; done";

fn prove(arguments: &[&str], script: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_softstop"));
    command.arg("prove").args(arguments).args(["--", "sh", "-c", script]).stdin(Stdio::null());
    command.output().unwrap()
}

fn verdict(script: &str) -> (Option<i32>, Value) {
    let output = prove(&["--trials", "12", "--budget", "40", "--json", "-"], script);
    let text = String::from_utf8(output.stdout).unwrap();
    let json = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    (output.status.code(), json)
}

#[test]
fn a_program_that_stops_well_passes() {
    let (status, verdict) = verdict(GOOD);

    assert_eq!(status, Some(0), "{verdict:#}");
    assert_eq!(verdict["trials"], 12, "{verdict:#}");
}

#[test]
fn each_way_to_stop_badly_breaks_its_rule() {
    for (script, rule) in [(LEAVES, "orphans"), (FAILS, "exit"), (LITTERS, "files")] {
        let (status, verdict) = verdict(script);

        assert_eq!(status, Some(1), "{rule}: {verdict:#}");
        let problems = verdict["problems"].as_array().unwrap();
        assert!(problems.iter().any(|problem| problem["rule"] == rule), "{rule}: {verdict:#}");
    }
}

#[test]
fn who_does_not_end_is_ended_and_a_replay_line_shows_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("prove.yaml");
    std::fs::write(&scenario, "rules:\n  gone_within: 300ms\n").unwrap();
    let scenario = scenario.to_str().unwrap();

    let output = prove(&["--scenario", scenario, "--replay", "TERM at ready", "--times", "2"], DEAF);

    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("gone") && text.contains("prove.yaml --replay 'TERM at ready"), "{text}");
    assert_eq!(prove(&["--replay", "TERM at ready"], GOOD).status.code(), Some(0));
}

#[test]
fn what_cannot_be_tried_is_2_and_says_why() {
    for (arguments, script, said) in [
        (&[][..], "echo broken configuration; exit 4", "broken configuration"),
        (&["--replay", "TREM at ready"], GOOD, "TREM"),
        (&["--scenario", "/no/such"], GOOD, "/no/such"),
        (&["--trials", "0"], GOOD, "0"),
        (&["--json", "/no/such/verdict.json"], GOOD, "cannot write /no/such/verdict.json"),
        (&[], "setsid sleep 60 & exit 0", "` went on in"),
        (&[], "exec /no/such", "/no/such"),
    ] {
        let output = prove(arguments, script);
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains(said), "{arguments:?}: {text}");
        assert!(!text.contains("Rules"), "nothing was judged: {text}");
    }
    let missing = softstop(&["prove", "--", "/no/such"]);
    let text = String::from_utf8_lossy(&missing.stdout).into_owned();
    assert!(text.contains("/no/such`: No such file"), "{text}");
    let nothing = Command::new(env!("CARGO_BIN_EXE_softstop")).args(["prove"]).output().unwrap();
    assert_eq!(nothing.status.code(), Some(2));
}

#[test]
fn a_verdict_that_cannot_be_kept_is_shown_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.html");

    let output = prove(&["--trials", "2", "--json", "/dev/full", "--html", page.to_str().unwrap()], GOOD);

    let (text, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(2), "{text}{said}");
    assert!(text.starts_with("passed: ") && said.contains("cannot write /dev/full"), "{text}{said}");
    assert!(std::fs::read_to_string(page).unwrap().contains("<html"));
}

#[test]
fn an_interrupt_ends_it_with_3_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (runs, asked) = (folder.path().join("runs"), folder.path().join("asked"));
    // The folder is named as a word of its own, so it is there for the program too.
    let here = format!("cd {}", folder.path().display());

    interrupted(&format!("{here}; touch runs; {GOOD}"), &runs);
    // Also while it waits for one that was asked and does not end.
    let deaf = format!("{here}; trap 'touch asked' TERM INT; echo ready; while :; do sleep 0.01; done");
    interrupted(&deaf, &asked);
}

/// Interrupts it once its program has made a file.
fn interrupted(script: &str, mark: &Path) {
    let child = Command::new("env")
        .args([
            "--default-signal=INT",
            env!("CARGO_BIN_EXE_softstop"),
            "prove",
            "--budget",
            "60",
            "--",
            "sh",
            "-c",
            script,
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    while !mark.exists() {
        assert!(Instant::now() < until, "the program was not started, or not asked to stop");
        std::thread::park_timeout(Duration::from_millis(5));
    }
    let began = Instant::now();

    kill_process(Pid::from_raw(child.id().cast_signed()).unwrap(), Signal::INT).unwrap();

    let output = child.wait_with_output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(began.elapsed() < Duration::from_secs(5), "{text}");
}

fn softstop(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_softstop")).args(args).output().unwrap()
}

#[test]
fn help_is_no_error_and_an_unknown_command_is_one() {
    assert_eq!(softstop(&["--help"]).status.code(), Some(0));
    assert_eq!(softstop(&[]).status.code(), Some(2));

    let unknown = softstop(&["prvoe"]);

    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("prvoe"));
}

#[test]
fn selftest_prints_a_table_and_passes() {
    let output = softstop(&["selftest"]);

    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("as an ordinary user"), "{text}");
    assert!(text.contains("kill -9 of us"), "{text}");
    assert!(text.ends_with("nobody escaped where nobody may\n"), "{text}");
}
