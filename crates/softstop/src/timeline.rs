//! Draws a report as text: one row a component, one letter a step.

use std::{fmt::Write, time::Duration};

use crate::{
    machine::State,
    report::{ComponentReport, Report, plural, text},
    task::Outcome,
};

const LEGEND: &str = "= drain  ~ cancel  # save  + close  . waiting for dependents  * critical path";

pub(crate) fn draw(report: &Report, width: usize) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "stop: {}, {} of {}, {}, {}, status {}",
        report.reason,
        text(report.took),
        text(report.total),
        report.level,
        report.status,
        report.code()
    );
    let mut rows: Vec<&ComponentReport> = report.components.iter().filter(|c| c.asked.is_some()).collect();
    rows.sort_by_key(|c| (c.asked, c.stopped));
    let name_width = rows.iter().map(|c| c.name.chars().count()).max().unwrap_or(0).clamp(4, width / 4);
    let bar_width = (width - name_width).saturating_sub(5 + 9).max(10);
    let scale = Duration::max(report.took, Duration::from_micros(1));
    let (took, indent) = (text(report.took), name_width + 3);
    let _ = writeln!(out, "{:indent$}0{took:>rest$}", "", rest = bar_width - 1);
    for row in &rows {
        let mark = if report.critical_path.contains(&row.name) { '*' } else { ' ' };
        let name = shorten(&row.name, name_width);
        let bar = bar(row, scale, bar_width);
        let spent = row.stopped.unwrap_or(report.took).saturating_sub(row.asked.unwrap_or_default());
        let _ = writeln!(out, "{mark} {name:name_width$}|{bar}| {}", text(spent));
    }
    let never = report.components.len() - rows.len();
    if never > 0 {
        let _ = writeln!(out, "  {} never started", plural(never as u64, "component"));
    }
    if !rows.is_empty() {
        let _ = writeln!(out, "{LEGEND}");
        let _ = writeln!(out, "critical path: {}", report.critical_path.join(" -> "));
    }
    for (level, at) in &report.levels {
        let _ = writeln!(out, "{level} after {}", text(*at));
    }
    for outcome in [Some(Outcome::Aborted), Some(Outcome::Stuck), None] {
        let shown = outcome.map_or("still running".to_owned(), |outcome| outcome.to_string());
        for c in &report.components {
            for t in c.tasks.iter().filter(|t| t.outcome == outcome) {
                let _ = writeln!(out, "{shown}: {}/{} x{}, spawned at {}", c.name, t.name, t.count, t.site);
            }
        }
    }
    if let Some(deaf) = report.deaf {
        let _ = writeln!(out, "the runtime did not answer for {}", text(deaf));
    }
    for blocker in &report.blockers {
        let _ = writeln!(out, "held its thread: {blocker}");
    }
    for failure in &report.failures {
        let _ = writeln!(out, "failure: {failure}");
    }
    for loss in &report.losses {
        let _ = writeln!(out, "lost: {} {} ({})", loss.count, loss.what, loss.why);
    }
    for leak in &report.leaks {
        let _ = writeln!(out, "left open: {} by task {}, opened at {}", leak.kind, leak.task, leak.site);
    }
    for c in &report.components {
        for open in &c.open {
            let _ = writeln!(out, "still open: {} of {}, opened at {}", open.kind, c.name, open.site);
        }
    }
    for note in &report.notes {
        let _ = writeln!(out, "note: {note}");
    }
    out
}

fn bar(row: &ComponentReport, scale: Duration, width: usize) -> String {
    let column = |at: Duration| {
        let share = at.as_secs_f64() / scale.as_secs_f64();
        ((share * width as f64).floor() as usize).min(width.saturating_sub(1))
    };
    let mut cells = vec![' '; width];
    let asked = column(row.asked.unwrap_or_default());
    cells[..asked].fill('.');
    for step in &row.steps {
        let letter = match step.state {
            State::Draining => '=',
            State::Cancelling => '~',
            State::Saving => '#',
            _ => '+',
        };
        if step.took.is_zero() {
            continue;
        }
        // A step that took any time has at least one letter, the latest of several in one cell.
        cells[column(step.at)..=column(step.at + step.took)].fill(letter);
    }
    cells.into_iter().collect()
}

pub(crate) fn shorten(name: &str, width: usize) -> String {
    if name.chars().count() <= width {
        return name.to_owned();
    }
    let mut short: String = name.chars().take(width.saturating_sub(1)).collect();
    short.push('~');
    short
}
