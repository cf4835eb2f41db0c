//! The verdict as JSON, after `prove.schema.json`.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Confidence, Dot, Ended, Problem, Row, RuleResult, Timeline, Verdict, outcome_name};
use crate::prove::{
    stats::{Bin, Summary},
    trial::{LogLine, Stream},
};

impl Verdict {
    /// As JSON after `prove.schema.json`. Times are in milliseconds and count from the start of the program, but for `response_ms` and
    /// `exit_ms`, which count from the first signal.
    pub fn to_json(&self) -> String {
        let list = |values: Vec<Value>| Value::Array(values);
        let (ended, why) = match &self.ended {
            Ended::Complete => ("complete", None),
            Ended::BudgetSpent(left) => ("budget-spent", Some(format!("{left} planned trials were not made"))),
            Ended::Interrupted => ("interrupted", None),
            Ended::NotStarted(why) => ("not-started", Some(why.clone())),
        };
        let phases = self
            .phases
            .iter()
            .map(|(phase, bins)| json!({ "phase": phase.name(), "exit_ms": bins.iter().map(bin).collect::<Vec<_>>() }));
        let value = json!({
            "schema": 1,
            "command": self.command,
            "seed": self.seed,
            "passed": self.passed(),
            "exit_status": self.exit_status(),
            "line": self.line(),
            "ended": ended,
            "why": why,
            "took_ms": ms(self.took),
            "remarks": self.remarks(),
            "trials": self.trials,
            "missed": self.missed,
            "failed": self.failed,
            "warned": self.warned,
            "rules": list(self.rules.iter().map(rule).collect()),
            "rows": list(self.rows.iter().map(row).collect()),
            "phases": list(phases.collect()),
            "problems": list(self.problems.iter().map(|found| problem(self, found)).collect()),
            "dots": list(self.dots.iter().map(dot).collect()),
            "timelines": list(self.timelines.iter().map(timeline).collect()),
        });
        let mut text = format!("{value:#}");
        text.push('\n');
        text
    }
}

/// Milliseconds, to the microsecond.
fn ms(time: Duration) -> f64 {
    time.as_micros() as f64 / 1000.0
}

fn maybe(time: Option<Duration>) -> Option<f64> {
    time.map(ms)
}

fn summary(summary: &Summary) -> Value {
    let Summary { count, p50, p95, p99, max } = *summary;
    json!({ "count": count, "p50": ms(p50), "p95": ms(p95), "p99": ms(p99), "max": ms(max) })
}

fn bin(bin: &Bin) -> Value {
    json!({ "from": ms(bin.from), "to": ms(bin.to), "count": bin.count })
}

fn confidence(confidence: &Confidence) -> Value {
    let Confidence { trials, failed } = *confidence;
    json!({ "trials": trials, "failed": failed, "below_at_95_percent": confidence.bound() })
}

fn rule(result: &RuleResult) -> Value {
    let RuleResult { rule, demand, judged, failed, warned, random } = result;
    json!({
        "rule": rule.name(),
        "demand": demand,
        "passed": *failed == 0,
        "judged": judged,
        "failed": failed,
        "warned": warned,
        "random": confidence(random),
    })
}

fn row(row: &Row) -> Value {
    json!({
        "phase": row.phase.name(),
        "sent": row.label,
        "trials": row.trials,
        "failed": row.failed,
        "warned": row.warned,
        "random": confidence(&row.random),
        "response_ms": row.response.as_ref().map(summary),
        "exit_ms": row.exit.as_ref().map(summary),
    })
}

fn problem(verdict: &Verdict, problem: &Problem) -> Value {
    let repeated = problem.shrunk.as_ref().map(|shrunk| json!({ "failed": shrunk.failed, "of": shrunk.of }));
    json!({
        "rule": problem.rule.name(),
        "severity": problem.severity.name(),
        "text": problem.text,
        "hint": problem.hint,
        "count": problem.count,
        "phases": problem.phases.iter().map(|phase| phase.name()).collect::<Vec<_>>(),
        "first_seen": problem.replay.to_string(),
        "replay": problem.shortest().to_string(),
        "command": verdict.replay_command(problem.shortest()),
        "repeated": repeated,
        "signalled_ms": ms(problem.signalled),
        "log": problem.log.iter().map(log_line).collect::<Vec<_>>(),
        "timeline": problem.timeline,
    })
}

fn dot(dot: &Dot) -> Value {
    json!({
        "at_ms": ms(dot.at),
        "exit_ms": maybe(dot.exit),
        "phase": dot.phase.name(),
        "outcome": outcome_name(dot.outcome),
        "replay": dot.line,
    })
}

fn timeline(timeline: &Timeline) -> Value {
    let (reached, ladder) = (&timeline.milestones, &timeline.ladder);
    let sent: Vec<Value> =
        timeline.sent.iter().map(|sent| json!({ "act": sent.act.to_string(), "at_ms": ms(sent.at) })).collect();
    json!({
        "replay": timeline.line,
        "phase": timeline.phase.name(),
        "outcome": outcome_name(timeline.outcome),
        "timed": timeline.timed,
        "sent": sent,
        "handler_ms": maybe(reached.handler),
        "output_ms": maybe(reached.output),
        "listening_ms": maybe(reached.listening),
        "ready_ms": maybe(reached.ready),
        "delivered_ms": maybe(ladder.delivered),
        "acted_ms": maybe(ladder.acted),
        "unserving_ms": maybe(ladder.unserving),
        "exited_ms": maybe(ladder.exited),
        "clean_ms": maybe(ladder.clean),
        "exit": timeline.exit.to_string(),
        "findings": timeline.findings,
        "log": timeline.log.iter().map(log_line).collect::<Vec<_>>(),
    })
}

fn log_line(line: &LogLine) -> Value {
    let stream = match line.stream {
        Stream::Out => "stdout",
        Stream::Err => "stderr",
    };
    json!({ "at_ms": ms(line.at), "stream": stream, "text": line.text })
}
