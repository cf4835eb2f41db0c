//! `softstop_fleet::prove`, against small programs of which it is known what they do.

mod calls;
mod data;
mod deeds;
mod faults;
mod ladder;
mod runs;

use std::{fs, path::PathBuf};

use softstop_fleet::prove::{
    Options, Scenario, Verdict,
    judge::Rule,
    run,
    scenario::Severity,
    verdict::{Problem, Timeline},
};
use tempfile::TempDir;

use crate::support::keeper;

/// A Python program in a folder of its own, which every trial shares.
struct Program {
    folder: TempDir,
}

impl Program {
    fn new(text: &str) -> Self {
        let program = Self { folder: tempfile::tempdir().unwrap() };
        fs::write(program.script(), text).unwrap();
        program
    }

    fn script(&self) -> PathBuf {
        self.folder.path().join("program.py")
    }

    fn file(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }

    fn prove(&self, yaml: &str) -> Verdict {
        self.run(yaml, None)
    }

    fn replay(&self, line: &str, yaml: &str) -> Verdict {
        self.run(yaml, Some((line.parse().unwrap(), 1)))
    }

    /// Ready as the scenario says, not by a line.
    fn prove_as(&self, yaml: &str) -> Verdict {
        self.run_as(yaml, None)
    }

    fn replay_as(&self, line: &str, yaml: &str) -> Verdict {
        self.run_as(yaml, Some((line.parse().unwrap(), 1)))
    }

    fn run(&self, yaml: &str, replay: Option<(softstop_fleet::prove::Replay, u32)>) -> Verdict {
        self.run_as(&format!("ready: [log: ^ready]\n{yaml}"), replay)
    }

    fn run_as(&self, yaml: &str, replay: Option<(softstop_fleet::prove::Replay, u32)>) -> Verdict {
        let mut scenario = Scenario::from_yaml(yaml).unwrap();
        if scenario.command.is_empty() {
            scenario.command = ["python3", "-S", self.script().to_str().unwrap()].map(str::to_owned).to_vec();
        }
        let options = Options { trampoline: keeper(), stop: &|| false, tell: &|_| {}, replay };
        run(&scenario, &options)
    }
}

/// The one trial of a verdict.
fn only(verdict: &Verdict) -> &Timeline {
    assert_eq!(verdict.timelines.len(), 1, "{}", verdict.to_text(120));
    &verdict.timelines[0]
}

fn log(verdict: &Verdict) -> Vec<&str> {
    only(verdict).log.iter().map(|line| line.text.as_str()).collect()
}

fn problem(verdict: &Verdict, rule: Rule, severity: Severity) -> Option<&Problem> {
    verdict.problems.iter().find(|problem| problem.rule == rule && problem.severity == severity)
}

fn assert_passed(verdict: &Verdict) {
    assert!(verdict.passed(), "{}", verdict.to_text(120));
}
