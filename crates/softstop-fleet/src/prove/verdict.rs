//! All trials together: which rules hold, how sure that is, how long stops take, and every failure with its replay line.
//!
//! A [`Tally`] takes trials in, one after the other, in memory that does not grow with their number; [`Tally::finish`] makes the
//! [`Verdict`] of it, from which all outputs are made.

mod json;
mod junit;
mod plain;
mod tally;

use std::{collections::BTreeSet, time::Duration};

pub use self::tally::Tally;
use super::{
    judge::Rule,
    replay::Replay,
    scenario::Severity,
    shrink::Shrunk,
    stats::{Bin, Summary, upper_bound},
    trial::{Exit, Ladder, LogLine, Milestones, Phase, Sent},
};

/// What came of a scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// The file that holds the scenario, if one does.
    pub file: Option<String>,
    /// What was drawn was drawn by this number.
    pub seed: u64,
    /// How it came to its end.
    pub ended: Ended,
    /// How long all of it took.
    pub took: Duration,
    /// What each trial had for itself, and what could not be had, in words; may be empty.
    pub isolation: Vec<String>,
    /// What became of the faults that were to be made, in words, and in how many trials; may be empty.
    pub faults: Vec<(String, u64)>,
    /// Trials that were made.
    pub trials: u64,
    /// Of these, those whose moment never came: nothing was sent.
    pub missed: u64,
    /// Trials with a failure.
    pub failed: u64,
    /// Trials with a warning and no failure.
    pub warned: u64,
    /// What was demanded, in the order of [`Rule::ALL`]; never empty.
    pub rules: Vec<RuleResult>,
    /// Times for each phase and what was sent, in this order.
    pub rows: Vec<Row>,
    /// How exit times are spread in each phase that has any.
    pub phases: Vec<(Phase, Vec<Bin>)>,
    /// What was found, each kind once: failures first, then warnings, then notes; the most frequent first.
    pub problems: Vec<Problem>,
    /// Some of the trials, for a picture; those that failed are kept first.
    pub dots: Vec<Dot>,
    /// Trials to look at closely: one of each problem, and the slowest of each row.
    pub timelines: Vec<Timeline>,
}

/// How a run of trials came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// All planned trials were made.
    Complete,
    /// The budget was over before all planned trials were made: this many were not.
    BudgetSpent(u64),
    /// A person or a supervisor ended it.
    Interrupted,
    /// The program could not be tried, for this reason.
    NotStarted(String),
}

/// How often something failed among trials whose moments were drawn at random: only these say how likely it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Confidence {
    /// How many were drawn.
    pub trials: u64,
    /// How many of these failed.
    pub failed: u64,
}

impl Confidence {
    /// With 95 % confidence the true part is below this; see [`upper_bound`].
    pub fn bound(&self) -> f64 {
        upper_bound(self.failed, self.trials)
    }

    pub(crate) fn add(&mut self, failed: bool) {
        self.trials += 1;
        self.failed += u64::from(failed);
    }

    /// In words, such as `0 of 300, so below 1.0 %`.
    pub fn words(&self) -> String {
        match self.trials {
            0 => "none".to_owned(),
            trials => format!("{} of {trials}, so below {}", self.failed, percent(self.bound())),
        }
    }
}

/// Two figures at most, rounded up: a bound must not look better than it is.
fn percent(part: f64) -> String {
    let percent = part * 100.0;
    if percent < 10.0 { format!("{:.1} %", (percent * 10.0).ceil() / 10.0) } else { format!("{:.0} %", percent.ceil()) }
}

/// What became of one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleResult {
    /// Which.
    pub rule: Rule,
    /// What the scenario demands.
    pub demand: String,
    /// Trials that could have broken it.
    pub judged: u64,
    /// Those that did.
    pub failed: u64,
    /// Those in which it was a warning.
    pub warned: u64,
    /// The same for random moments.
    pub random: Confidence,
}

/// Trials in one phase with the same signals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The phase.
    pub phase: Phase,
    /// What was sent, such as `INT+INT to group`.
    pub label: String,
    /// How many trials.
    pub trials: u64,
    /// How many with a failure.
    pub failed: u64,
    /// How many with a warning and no failure.
    pub warned: u64,
    /// The same for random moments.
    pub random: Confidence,
    /// From the first signal to the first visible act, of the trials whose times count.
    pub response: Option<Summary>,
    /// From the first signal to the end, likewise.
    pub exit: Option<Summary>,
}

/// One kind of finding, and the trial that shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Which rule.
    pub rule: Rule,
    /// What it is.
    pub severity: Severity,
    /// What was seen in the trial that shows it.
    pub text: String,
    /// What helps; may be empty.
    pub hint: String,
    /// In how many trials.
    pub count: u64,
    /// In which phases.
    pub phases: BTreeSet<Phase>,
    /// The trial that showed it first.
    pub replay: Replay,
    /// What it was made to.
    pub shrunk: Option<Shrunk>,
    /// When its first signal came.
    pub signalled: Duration,
    /// The last it wrote.
    pub log: Vec<LogLine>,
    /// Its place among the timelines.
    pub timeline: usize,
}

impl Problem {
    /// The shortest trial that shows it.
    pub fn shortest(&self) -> &Replay {
        self.shrunk.as_ref().map_or(&self.replay, |shrunk| &shrunk.replay)
    }
}

/// One trial as a dot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dot {
    /// When the first signal came.
    pub at: Duration,
    /// From there to the end; `None` where it was ended by force.
    pub exit: Option<Duration>,
    /// What the program was doing.
    pub phase: Phase,
    /// The worst finding; `None`: none but notes.
    pub outcome: Option<Severity>,
    /// The line that replays it.
    pub line: String,
}

/// One trial with its times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeline {
    /// The line that replays it.
    pub line: String,
    /// What the program was doing.
    pub phase: Phase,
    /// The worst finding; `None`: none but notes.
    pub outcome: Option<Severity>,
    /// What was done.
    pub sent: Vec<Sent>,
    /// The states it went through.
    pub milestones: Milestones,
    /// How far the stop came.
    pub ladder: Ladder,
    /// How it ended.
    pub exit: Exit,
    /// Whether its times count.
    pub timed: bool,
    /// What was found.
    pub findings: Vec<String>,
    /// The last it wrote.
    pub log: Vec<LogLine>,
}

impl Verdict {
    /// Whether all rules hold.
    pub fn passed(&self) -> bool {
        self.exit_status() == 0
    }

    /// 0: all rules hold. 1: one is broken. 2: the program could not be tried. 3: interrupted.
    pub fn exit_status(&self) -> u8 {
        match self.ended {
            Ended::Interrupted => 3,
            Ended::NotStarted(_) => 2,
            _ if self.failed > 0 => 1,
            // Nothing was shown.
            _ if self.trials == self.missed => 2,
            _ => 0,
        }
    }

    /// One line: the outcome, what it rests on, how long it took.
    pub fn line(&self) -> String {
        let broken = self.rules.iter().filter(|rule| rule.failed > 0).count();
        let (failed, trials, rules) = (self.failed, counted(self.trials, "trial"), self.rules.len());
        let took = super::time::human(self.took);
        match (&self.ended, self.exit_status()) {
            (Ended::NotStarted(why), _) => format!("not tried: {why}"),
            (_, 2) => format!("not tried: in none of {trials} did the moment of the signal come"),
            (Ended::Interrupted, _) => format!("interrupted after {took}: {failed} of {trials} failed so far"),
            (_, 0) => format!("passed: all {rules} rules hold in {trials}, in {took}"),
            _ => format!("failed: {broken} of {rules} rules broken, {failed} of {trials} failed, in {took}"),
        }
    }

    /// Further facts that a reader has to know to judge the verdict, each a sentence; may be empty.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if let Ended::BudgetSpent(left) = self.ended {
            remarks.push(format!("The budget was over with {} not made.", counted(left, "planned trial")));
        }
        if self.missed > 0 {
            remarks
                .push(format!("In {} the moment never came, and no signal was sent.", counted(self.missed, "trial")));
        }
        if self.rows.iter().any(|row| row.exit.is_some()) {
            remarks.push("Times are taken from trials that ran alone, without a fault and without ptrace.".to_owned());
        }
        if !self.isolation.is_empty() {
            remarks.push(format!("Each trial had {}.", self.isolation.join("; ")));
        }
        remarks.extend(self.faults.iter().map(|(made, trials)| format!("In {} {made}.", counted(*trials, "trial"))));
        remarks
    }

    /// The command that replays a trial, to paste into a shell.
    pub fn replay_command(&self, replay: &Replay) -> String {
        self.paste_of(&replay.to_string())
    }

    /// The same for a replay line.
    pub(crate) fn paste_of(&self, line: &str) -> String {
        let command: Vec<String> = self.command.iter().map(|word| quoted(word)).collect();
        let scenario = self.file.iter().map(|file| format!("--scenario {} ", quoted(file))).collect::<String>();
        format!("softstop prove {scenario}--replay '{line}' -- {}", command.join(" "))
    }
}

/// `1 trial`, `2 trials`.
fn counted(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// A word as a POSIX shell reads it.
fn quoted(word: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(safe) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// The word for the outcome of a trial.
pub(crate) fn outcome_name(outcome: Option<Severity>) -> &'static str {
    outcome.map_or("pass", Severity::name)
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
pub(super) mod tests;
