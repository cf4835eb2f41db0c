//! Takes trials in, in memory that does not grow with their number.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{Confidence, Dot, Ended, Problem, Row, RuleResult, Timeline, Verdict};
use crate::prove::{
    draw::Draw,
    judge::{self, Finding, Rule},
    replay::{Moment, Replay},
    scenario::{Scenario, Severity},
    shrink::{Limits, Shrink, Shrunk},
    stats::Times,
    trial::{LogLine, Made, Milestones, Observation, Origin, Phase},
};

/// Dots of trials that failed, and of the others; more than can be told apart in a picture.
const DOTS: [usize; 2] = [500, 1500];
/// Kinds of findings that are kept apart. Programs break in few ways; a log line that is different each time is no kind.
const MOST_PROBLEMS: usize = 40;
/// Rows of the table; there are as many as phases times what the scenario sends.
const MOST_ROWS: usize = 200;
/// The last lines that are kept of a log.
const LOG_LINES: usize = 20;
/// And the first characters of each.
const LINE_LENGTH: usize = 500;

/// Counts trials.
#[derive(Debug, Clone)]
pub struct Tally {
    scenario: Scenario,
    trials: u64,
    missed: u64,
    failed: u64,
    warned: u64,
    rules: BTreeMap<Rule, RuleResult>,
    rows: BTreeMap<(Phase, String), Counted>,
    phases: BTreeMap<Phase, Times>,
    problems: Vec<Found>,
    /// Failed ones, and the others.
    dots: [Sample; 2],
    draw: Draw,
    /// What became of faults, in words, and in how many trials.
    faults: BTreeMap<String, u64>,
}

#[derive(Debug, Clone, Default)]
struct Counted {
    trials: u64,
    failed: u64,
    warned: u64,
    random: Confidence,
    response: Times,
    exit: Times,
    slowest: Option<(Duration, Timeline)>,
}

#[derive(Debug, Clone)]
struct Found {
    kind: String,
    problem: Problem,
    timeline: Timeline,
    /// The first trial of this kind whose moment is a state or a call: one at a time after the start is seldom hit again.
    placed: Option<(Replay, Milestones)>,
}

/// So many of all, each as likely to be among them as any other (Vitter's algorithm R).
#[derive(Debug, Clone, Default)]
struct Sample {
    seen: usize,
    kept: Vec<Dot>,
}

impl Sample {
    fn add(&mut self, dot: Dot, most: usize, draw: &mut Draw) {
        self.seen += 1;
        if self.kept.len() < most {
            self.kept.push(dot);
        } else if let Some(place) = self.kept.get_mut(draw.below(self.seen)) {
            *place = dot;
        }
    }
}

impl Tally {
    /// Begins to count the trials of a scenario.
    pub fn new(scenario: &Scenario) -> Self {
        let rules = Rule::ALL.into_iter().filter_map(|rule| {
            let demand = rule.demand(scenario)?;
            let none = Confidence::default();
            Some((rule, RuleResult { rule, demand, judged: 0, failed: 0, warned: 0, random: none }))
        });
        Self {
            rules: rules.collect(),
            scenario: scenario.clone(),
            trials: 0,
            missed: 0,
            failed: 0,
            warned: 0,
            rows: BTreeMap::new(),
            phases: BTreeMap::new(),
            problems: Vec::new(),
            dots: Default::default(),
            draw: Draw::new(scenario.seed),
            faults: BTreeMap::new(),
        }
    }

    /// Takes in one trial and what [`judge::judge`] found in it.
    pub fn add(&mut self, seen: &Observation, findings: &[Finding]) {
        self.trials += 1;
        for made in seen.faults.iter().map(Made::to_string) {
            if self.faults.len() < MOST_PROBLEMS || self.faults.contains_key(&made) {
                *self.faults.entry(made).or_default() += 1;
            }
        }
        let (Some(phase), Some(signalled)) = (seen.phase(), seen.signalled()) else {
            self.missed += 1;
            return;
        };
        let worst = findings.iter().map(|finding| finding.severity).max();
        let outcome = worst.filter(|severity| *severity > Severity::Note);
        let failed = outcome == Some(Severity::Failure);
        self.failed += u64::from(failed);
        self.warned += u64::from(outcome == Some(Severity::Warning));
        self.count_rules(seen, findings);
        self.count_row(seen, phase, outcome, findings);
        let line = seen.planned.replay.to_string();
        let dot = Dot { at: signalled, exit: seen.exit_time(), phase, outcome, line };
        let kept = usize::from(!failed);
        self.dots[kept].add(dot, DOTS[kept], &mut self.draw);
        for finding in findings {
            self.count_problem(seen, phase, outcome, finding, findings);
        }
    }

    fn count_rules(&mut self, seen: &Observation, findings: &[Finding]) {
        for (rule, result) in &mut self.rules {
            let severity =
                findings.iter().filter(|finding| finding.rule == *rule).map(|finding| finding.severity).max();
            let failed = severity == Some(Severity::Failure);
            if failed || judge::counts(*rule, seen) {
                result.judged += 1;
                if seen.planned.origin == Origin::Random {
                    result.random.add(failed);
                }
            }
            result.failed += u64::from(failed);
            result.warned += u64::from(severity == Some(Severity::Warning));
        }
    }

    fn count_row(&mut self, seen: &Observation, phase: Phase, outcome: Option<Severity>, findings: &[Finding]) {
        let key = (phase, seen.label());
        if self.rows.len() >= MOST_ROWS && !self.rows.contains_key(&key) {
            return;
        }
        let row = self.rows.entry(key).or_default();
        let failed = outcome == Some(Severity::Failure);
        row.trials += 1;
        row.failed += u64::from(failed);
        row.warned += u64::from(outcome == Some(Severity::Warning));
        if seen.planned.origin == Origin::Random {
            row.random.add(failed);
        }
        if let (true, Some(took)) = (seen.timed, seen.exit_time()) {
            row.exit.add(took);
            self.phases.entry(phase).or_default().add(took);
            if row.slowest.as_ref().is_none_or(|(slowest, _)| *slowest < took) {
                row.slowest = Some((took, timeline(seen, phase, outcome, findings)));
            }
        }
        if let (true, Some(after)) = (seen.timed, seen.response()) {
            row.response.add(after);
        }
    }

    fn count_problem(
        &mut self,
        seen: &Observation,
        phase: Phase,
        outcome: Option<Severity>,
        finding: &Finding,
        all: &[Finding],
    ) {
        let same = |found: &&mut Found| found.kind == finding.kind && found.problem.severity == finding.severity;
        let placed = match seen.planned.replay.at {
            Moment::At(_) => None,
            Moment::Edge(..) | Moment::Call { .. } => Some((seen.planned.replay.clone(), seen.milestones)),
        };
        if let Some(found) = self.problems.iter_mut().find(same) {
            found.placed = found.placed.take().or(placed);
            found.problem.count += 1;
            found.problem.phases.insert(phase);
            return;
        }
        let place = if self.problems.len() < MOST_PROBLEMS {
            self.problems.len()
        } else {
            // No room: a failure takes the place of what is milder.
            let milder = |found: &Found| found.problem.severity < finding.severity;
            let Some(place) = self.problems.iter().position(milder) else { return };
            self.problems.remove(place);
            place
        };
        let timeline = timeline(seen, phase, outcome, all);
        let problem = Problem {
            rule: finding.rule,
            severity: finding.severity,
            text: finding.text.clone(),
            hint: finding.hint.clone(),
            count: 1,
            phases: BTreeSet::from([phase]),
            replay: seen.planned.replay.clone(),
            shrunk: None,
            signalled: seen.signalled().unwrap_or_default(),
            log: timeline.log.clone(),
            timeline: 0,
        };
        self.problems.insert(place, Found { kind: finding.kind.clone(), problem, timeline, placed });
    }

    /// The failures so far, and for each the rule that a shorter trial has to break again. The number is that of [`Self::shrink`] and
    /// [`Self::shrunk`]; it holds until the next [`Self::add`].
    pub fn failures(&self) -> impl Iterator<Item = (usize, Rule)> {
        let failures =
            self.problems.iter().enumerate().filter(|(_, found)| found.problem.severity == Severity::Failure);
        failures.map(|(at, found)| (at, found.problem.rule))
    }

    /// Begins to make a failure shorter. `None` for a number that [`Self::failures`] did not give.
    pub fn shrink(&self, failure: usize, limits: Limits) -> Option<Shrink> {
        let Found { problem, timeline, placed, .. } = self.problems.get(failure)?;
        let (replay, milestones) = placed.clone().unwrap_or((problem.replay.clone(), timeline.milestones));
        Some(Shrink::new(replay, milestones, self.scenario.load.is_some(), limits))
    }

    /// Takes in what a failure was made to. A number that [`Self::failures`] did not give changes nothing.
    pub fn shrunk(&mut self, failure: usize, shrunk: Shrunk) {
        if let Some(found) = self.problems.get_mut(failure) {
            found.problem.shrunk = Some(shrunk);
        }
    }

    /// How many trials were made and how many of them failed; for a line of progress.
    pub fn so_far(&self) -> (u64, u64) {
        (self.trials, self.failed)
    }

    /// Makes the verdict. `isolation` says in words what each trial had for itself.
    pub fn finish(self, ended: Ended, took: Duration, isolation: Vec<String>) -> Verdict {
        let mut timelines: Vec<Timeline> = Vec::new();
        let mut problems: Vec<Problem> = Vec::new();
        let mut found = self.problems;
        found.sort_by_key(|Found { problem, .. }| (std::cmp::Reverse((problem.severity, problem.count)), problem.rule));
        let mut place = |timeline: Timeline| {
            let known = timelines.iter().position(|known| known.line == timeline.line);
            known.unwrap_or_else(|| {
                timelines.push(timeline);
                timelines.len() - 1
            })
        };
        for Found { problem, timeline, .. } in found {
            problems.push(Problem { timeline: place(timeline), ..problem });
        }
        let mut rows = Vec::new();
        for ((phase, label), counted) in self.rows {
            let Counted { trials, failed, warned, random, response, exit, slowest } = counted;
            slowest.map(|(_, timeline)| place(timeline));
            let (response, exit) = (response.summary(), exit.summary());
            rows.push(Row { phase, label, trials, failed, warned, random, response, exit });
        }
        Verdict {
            command: self.scenario.command,
            file: self.scenario.file,
            seed: self.scenario.seed,
            ended,
            took,
            isolation,
            faults: self.faults.into_iter().collect(),
            trials: self.trials,
            missed: self.missed,
            failed: self.failed,
            warned: self.warned,
            rules: self.rules.into_values().collect(),
            rows,
            phases: self.phases.into_iter().map(|(phase, times)| (phase, times.histogram())).collect(),
            problems,
            dots: self.dots.into_iter().flat_map(|sample| sample.kept).collect(),
            timelines,
        }
    }
}

fn timeline(seen: &Observation, phase: Phase, outcome: Option<Severity>, findings: &[Finding]) -> Timeline {
    let last = &seen.log[seen.log.len().saturating_sub(LOG_LINES)..];
    let log = last.iter().map(|line| LogLine { text: line.text.chars().take(LINE_LENGTH).collect(), ..line.clone() });
    Timeline {
        line: seen.planned.replay.to_string(),
        phase,
        outcome,
        sent: seen.sent.clone(),
        milestones: seen.milestones,
        ladder: seen.ladder,
        exit: seen.exit,
        timed: seen.timed,
        findings: findings.iter().map(|finding| format!("{}: {}", finding.severity.name(), finding.text)).collect(),
        log: log.collect(),
    }
}
