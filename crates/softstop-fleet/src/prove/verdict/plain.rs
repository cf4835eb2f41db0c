//! The verdict as plain text, for a terminal of any width.

use std::{fmt::Write, time::Duration};

use super::{Problem, Row, RuleResult, Verdict, counted};
use crate::prove::{scenario::Severity, stats::Summary, time::human};

/// Below this nothing can be laid out; lines are then longer than the terminal.
const NARROWEST: usize = 40;
/// Log lines shown of a failure.
const LOG_LINES: usize = 6;

impl Verdict {
    /// As text: failures first, then the rules, then the times. No line is longer than `width`, except replay commands, which have to be
    /// pasted whole.
    pub fn to_text(&self, width: u16) -> String {
        let width = usize::from(width).max(NARROWEST);
        let mut text = String::new();
        wrap(&mut text, "", &self.line(), width);
        for (severity, heading) in [(Severity::Failure, "Failures"), (Severity::Warning, "Warnings")] {
            let found: Vec<&Problem> = self.problems.iter().filter(|problem| problem.severity == severity).collect();
            if !found.is_empty() {
                let _ = writeln!(text, "\n{heading}");
                found.into_iter().for_each(|problem| self.problem(&mut text, problem, width));
            }
        }
        if self.trials > 0 {
            let _ = writeln!(text, "\nRules");
            self.rules.iter().for_each(|rule| rule_line(&mut text, rule, width));
        }
        if !self.rows.is_empty() {
            table(&mut text, &self.rows, width);
        }
        for remark in self.remarks() {
            text.push('\n');
            wrap(&mut text, "", &remark, width);
        }
        text
    }

    fn problem(&self, text: &mut String, problem: &Problem, width: usize) {
        let phases: Vec<&str> = problem.phases.iter().map(|phase| phase.name()).collect();
        let trials = counted(problem.count, "trial");
        wrap(
            text,
            "  ",
            &format!("{}: {} ({trials}; {})", problem.rule.name(), problem.text, phases.join(", ")),
            width,
        );
        if !problem.hint.is_empty() {
            wrap(text, "    ", &format!("hint: {}", problem.hint), width);
        }
        if let Some(shrunk) = problem.shrunk.as_ref().filter(|shrunk| shrunk.flaky()) {
            let said = format!("flaky: fails {} of {} times by the line below", shrunk.failed, shrunk.of);
            wrap(text, "    ", &said, width);
        }
        let _ = writeln!(text, "    {}", self.replay_command(problem.shortest()));
        for line in problem.log.iter().rev().take(LOG_LINES).rev() {
            let when = if line.at < problem.signalled {
                format!("-{}", human(problem.signalled - line.at))
            } else {
                format!("+{}", human(line.at - problem.signalled))
            };
            let shown = format!("    {when:>9} | {}", visible(&line.text));
            let _ = writeln!(text, "{}", cut(&shown, width));
        }
    }
}

fn rule_line(text: &mut String, result: &RuleResult, width: usize) {
    let mark = match (result.failed, result.warned, result.judged) {
        (1.., ..) => "FAILED ",
        (0, 1.., _) => "warning",
        (0, 0, 0) => "no case",
        _ => "ok     ",
    };
    let counts = match (result.failed, result.warned) {
        (0, 0) => counted(result.judged, "trial"),
        (0, warned) => format!("{} in {}", counted(warned, "warning"), counted(result.judged, "trial")),
        (failed, _) => format!("{failed} of {}", counted(result.judged, "trial")),
    };
    let random =
        if result.random.trials > 0 { format!("; at random {}", result.random.words()) } else { String::new() };
    wrap(text, &format!("  {mark} "), &format!("{}: {counts}{random}", result.demand), width);
}

/// A time of a summary, and its name.
type Column = (&'static str, fn(&Summary) -> Duration);

const ALL_TIMES: [Column; 4] = [("p50", |s| s.p50), ("p95", |s| s.p95), ("p99", |s| s.p99), ("max", |s| s.max)];

/// With as many times as fit: all, without the 99th percentile, the median and the longest, the longest.
fn table(text: &mut String, rows: &[Row], width: usize) {
    let [p50, p95, _, max] = ALL_TIMES;
    let choices: [&[Column]; 4] = [&ALL_TIMES, &[p50, p95, max], &[p50, max], &[max]];
    let laid_out = choices.map(|times| lay_out(rows, times));
    let fits = |lines: &&Vec<String>| lines.iter().all(|line| line.chars().count() <= width);
    let lines = laid_out.iter().find(fits).unwrap_or(&laid_out[3]);
    text.push('\n');
    for line in lines {
        let _ = writeln!(text, "{}", cut(line, width));
    }
}

fn lay_out(rows: &[Row], times: &[Column]) -> Vec<String> {
    let heading = |what: &str| times.iter().map(|(name, _)| format!("{what} {name}")).collect::<Vec<_>>();
    let mut cells = vec![["phase", "sent", "trials", "failed"].map(str::to_owned).to_vec()];
    cells[0].extend(heading("acts"));
    cells[0].extend(heading("gone"));
    for row in rows {
        let mut line =
            vec![row.phase.name().to_owned(), row.label.clone(), row.trials.to_string(), row.failed.to_string()];
        for summary in [&row.response, &row.exit] {
            let shown = |pick: &fn(&Summary) -> Duration| summary.as_ref().map_or("-".to_owned(), |s| human(pick(s)));
            line.extend(times.iter().map(|(_, pick)| shown(pick)));
        }
        cells.push(line);
    }
    let widest = |at: usize| cells.iter().map(|row| row[at].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..cells[0].len()).map(widest).collect();
    let cell = |(at, cell): (usize, &String)| {
        let room = widths[at];
        if at < 2 { format!("{cell:room$}") } else { format!("{cell:>room$}") }
    };
    let line = |row: &Vec<String>| row.iter().enumerate().map(cell).collect::<Vec<_>>().join("  ");
    cells.iter().map(|row| line(row).trim_end().to_owned()).collect()
}

/// Breaks at spaces, and within words that are longer than a line; further lines are indented as deep as the first.
fn wrap(text: &mut String, first: &str, words: &str, width: usize) {
    let indent = first.chars().count();
    let room = width.saturating_sub(indent).max(1);
    let mut lines: Vec<String> = Vec::new();
    for word in visible(words).split_whitespace() {
        let letters: Vec<char> = word.chars().collect();
        for piece in letters.chunks(room) {
            let piece: String = piece.iter().collect();
            match lines.last_mut() {
                Some(line) if line.chars().count() + 1 + piece.chars().count() <= room => {
                    line.push(' ');
                    line.push_str(&piece);
                }
                _ => lines.push(piece),
            }
        }
    }
    for (at, line) in lines.iter().enumerate() {
        let _ = if at == 0 { writeln!(text, "{first}{line}") } else { writeln!(text, "{:indent$}{line}", "") };
    }
}

/// At most so many characters, with `…` where something is left out.
fn cut(line: &str, width: usize) -> String {
    if line.chars().count() <= width {
        return line.to_owned();
    }
    line.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// Without control characters: a program's log must not command the terminal.
fn visible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
