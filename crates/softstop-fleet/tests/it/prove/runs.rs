//! Whole runs of trials, of shell programs of which it is known how they stop.

use std::time::Duration;

use softstop_fleet::prove::{self, Options, Scenario, Verdict, verdict::Ended};

/// Ends at once, with status 0.
const GOOD: &str = "trap 'exit 0' TERM INT; echo ready; while :; do sleep 0.01; done";

fn proved(script: &str, keys: &str) -> Verdict {
    let mut scenario = Scenario::from_yaml(&format!("trials: 6\n{keys}")).unwrap();
    scenario.command = ["sh", "-c", script].map(str::to_owned).to_vec();
    let options = Options {
        trampoline: env!("CARGO_BIN_EXE_softstop-keeper").into(),
        stop: &|| false,
        tell: &|_| {},
        replay: None,
    };
    prove::run(&scenario, &options)
}

#[test]
fn a_program_that_reads_waits_or_ends_as_the_scenario_says() {
    let console = "echo ready; read line; exit 3";

    let open = proved(console, "stdin: open");
    assert!(open.passed(), "{}", open.to_text(100));
    assert!(matches!(proved(console, "stdin: empty").ended, Ended::NotStarted(_)));
}

#[test]
fn who_waits_for_a_child_that_works_is_not_quiet() {
    let works = "python3 -S -c 'import time\nwhile time.process_time() < 0.6: pass'; exec sleep 60";

    let verdict = proved(works, "ready: [quiet: 200ms]\nmoments: [edges]\nsignals: [TERM]");

    let ready: Vec<_> = verdict.timelines.iter().filter_map(|trial| trial.milestones.ready).collect();
    assert!(!ready.is_empty(), "{}", verdict.to_text(100));
    assert!(ready.iter().all(|ready| *ready > Duration::from_millis(700)), "{ready:?}");
}

#[test]
fn data_are_prepared_before_each_trial() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data");
    let needs = format!("rm {} || exit 4; {GOOD}", file.display());

    let verdict = proved(&needs, &format!("prepare: touch {}", file.display()));
    assert!(verdict.passed(), "{}", verdict.to_text(100));

    let verdict = proved(GOOD, "prepare: [sh, -c, 'echo no database; exit 1']");
    assert!(verdict.line().contains("no database"), "{}", verdict.line());
    assert_eq!(verdict.exit_status(), 2);
}

#[test]
fn a_line_to_paste_names_the_scenario() {
    let mut verdict = proved("trap 'exit 7' TERM INT; echo ready; while :; do sleep 0.01; done", "seed: 3");
    verdict.file = Some("my prove.yaml".to_owned());

    let text = verdict.to_text(200);

    assert!(text.contains("softstop prove --scenario 'my prove.yaml' --replay '"), "{text}");
}

#[test]
fn what_is_required_and_not_to_be_had_is_said_before_any_trial() {
    // No folder is watched, so there is none to have for itself.
    let without = proved(GOOD, "watch: []\nisolation: {files: required}");
    assert_eq!((without.exit_status(), without.trials), (2, 0));
    assert!(without.line().contains("`isolation: {files: required}` cannot be had here"), "{}", without.line());

    assert!(proved(GOOD, "isolation: {files: required}").passed());
    let loose = proved(GOOD, "isolation: {processes: off}");
    assert!(loose.isolation[0].contains("subreaper"), "{:?}", loose.isolation);
}
