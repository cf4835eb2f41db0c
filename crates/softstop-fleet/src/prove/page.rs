//! The verdict as one HTML page that needs no network: failures first, then rules, times and single trials.
//!
//! Everything is drawn here, in SVG whose places are percentages: it is as wide as its window, and its text is not scaled. The script
//! only chooses among the timelines and copies replay lines; without it all of them are shown.

mod plots;
mod trial;

use std::{fmt::Write, time::Duration};

use self::plots::{exit_times, scatter};
use super::{
    markup::escape,
    scenario::Severity,
    stats::Summary,
    time::human,
    trial::LogLine,
    verdict::{Problem, Verdict, outcome_name},
};

/// What the page may fetch: nothing.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

/// Writing to a text cannot fail.
macro_rules! put {
    ($html:expr, $($text:tt)*) => { let _ = write!($html, $($text)*); };
}
use put;

impl Verdict {
    /// As one self-contained HTML page.
    pub fn to_html(&self) -> String {
        let class = match self.exit_status() {
            0 if self.warned == 0 => "pass",
            0 | 3 => "warning",
            _ => "failure",
        };
        let command = escape(&self.command.join(" "));
        let title = if command.is_empty() { "softstop prove".to_owned() } else { format!("softstop prove: {command}") };
        let mut html = String::with_capacity(64 * 1024);
        put!(
            html,
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n<title>{title}</title>\n\
             <style>\n{}</style>\n</head>\n<body>\n<main>\n<header class=\"{class}\">\n\
             <p class=\"soft small\">softstop prove, seed {}</p>\n<h1><code>{command}</code></h1>\n\
             <p><b class=\"{class}\">{}</b></p>\n",
            include_str!("page/style.css"),
            self.seed,
            escape(&self.line()),
        );
        for remark in self.remarks() {
            put!(html, "<p class=\"soft small\">{}</p>\n", escape(&remark));
        }
        html.push_str("</header>\n");
        self.cards(&mut html);
        if self.trials > 0 {
            self.rules_table(&mut html);
        }
        self.times_table(&mut html);
        exit_times(&mut html, &self.phases);
        scatter(&mut html, self);
        trial::timelines(&mut html, self);
        put!(html, "</main>\n<script>\n{}</script>\n</body>\n</html>\n", include_str!("page/script.js"));
        html
    }

    fn cards(&self, html: &mut String) {
        for (severity, heading) in
            [(Severity::Failure, "Failures"), (Severity::Warning, "Warnings"), (Severity::Note, "Notes")]
        {
            let found: Vec<&Problem> = self.problems.iter().filter(|problem| problem.severity == severity).collect();
            if found.is_empty() {
                continue;
            }
            put!(html, "<section>\n<h2>{heading}</h2>\n");
            if severity == Severity::Note {
                put!(
                    html,
                    "<p class=\"soft small\">What a program cannot be blamed for, such as before it has a handler.</p>\n"
                );
            }
            found.into_iter().for_each(|problem| self.card(html, problem));
            html.push_str("</section>\n");
        }
    }

    fn card(&self, html: &mut String, problem: &Problem) {
        let class = problem.severity.name();
        let phases: Vec<&str> = problem.phases.iter().map(|phase| phase.name()).collect();
        let trials = if problem.count == 1 { "1 trial".to_owned() } else { format!("{} trials", problem.count) };
        let repeated = match &problem.shrunk {
            Some(shrunk) if shrunk.of > 0 && shrunk.flaky() => {
                format!("; flaky: the line below fails {} of {} times", shrunk.failed, shrunk.of)
            }
            Some(shrunk) if shrunk.of > 0 => format!("; the line below fails {} of {} times", shrunk.failed, shrunk.of),
            _ => String::new(),
        };
        put!(
            html,
            "<article class=\"{class}\">\n<h3><span class=\"badge {class}\">{}</span> {}</h3>\n\
             <p class=\"soft small\">{trials}; {}{repeated}</p>\n",
            problem.rule.name(),
            escape(&problem.text),
            phases.join(", "),
        );
        if !problem.hint.is_empty() {
            put!(html, "<p>{}</p>\n", escape(&sentence(&problem.hint)));
        }
        paste(html, &self.replay_command(problem.shortest()));
        log(html, &problem.log, problem.signalled);
        put!(
            html,
            "<p><button type=\"button\" data-trial=\"{}\">its timeline</button></p>\n</article>\n",
            problem.timeline
        );
    }

    fn rules_table(&self, html: &mut String) {
        html.push_str(
            "<section>\n<h2>Rules</h2>\n<div class=\"wide\"><table>\n<tr><th></th><th class=\"left\">demanded</th><th>trials</th>\
             <th>failed</th><th>warned</th><th class=\"left\">at random moments</th></tr>\n",
        );
        for result in &self.rules {
            let (class, mark) = match (result.failed, result.warned, result.judged) {
                (1.., ..) => ("failure", "failed"),
                (0, 1.., _) => ("warning", "warning"),
                (0, 0, 0) => ("note", "no case"),
                _ => ("pass", "holds"),
            };
            put!(
                html,
                "<tr><td class=\"left\"><span class=\"badge {class}\">{mark}</span></td><td class=\"left free\">{}</td><td>{}</td>\
                 <td>{}</td><td>{}</td><td class=\"left\">{}</td></tr>\n",
                escape(&result.demand),
                result.judged,
                result.failed,
                result.warned,
                escape(&result.random.words()),
            );
        }
        html.push_str(
            "</table></div>\n<p class=\"soft small\">Where a percentage is named, the true part of failures is below it with 95 % \
             confidence (Clopper and Pearson). It holds for moments like those drawn; sweeps, edges and system calls are chosen where \
             programs fail, and say nothing of how often.</p>\n</section>\n",
        );
    }

    fn times_table(&self, html: &mut String) {
        if self.rows.is_empty() {
            return;
        }
        html.push_str(
            "<section>\n<h2>Times from the first signal</h2>\n<div class=\"wide\"><table>\n<tr><th class=\"left\" rowspan=\"2\">phase</th>\
             <th class=\"left\" rowspan=\"2\">sent</th><th rowspan=\"2\">trials</th><th rowspan=\"2\">failed</th>\
             <th colspan=\"4\">first visible act</th><th colspan=\"4\">gone</th></tr>\n<tr>",
        );
        for _ in 0..2 {
            html.push_str("<th class=\"group\">p50</th><th>p95</th><th>p99</th><th>max</th>");
        }
        html.push_str("</tr>\n");
        for row in &self.rows {
            let class = if row.failed > 0 { " class=\"failure\"" } else { "" };
            put!(
                html,
                "<tr><td class=\"left\">{}</td><td class=\"left\">{}</td><td>{}</td><td{class}>{}</td>",
                row.phase.name(),
                escape(&row.label),
                row.trials,
                row.failed,
            );
            for summary in [&row.response, &row.exit] {
                times(html, summary.as_ref());
            }
            html.push_str("</tr>\n");
        }
        html.push_str("</table></div>\n</section>\n");
    }
}

fn times(html: &mut String, summary: Option<&Summary>) {
    let all = summary.map(|summary| [summary.p50, summary.p95, summary.p99, summary.max]);
    for at in 0..4 {
        let shown = all.map_or("–".to_owned(), |all| human(all[at]));
        let class = if at == 0 { " class=\"group\"" } else { "" };
        put!(html, "<td{class}>{shown}</td>");
    }
}

/// A command with a button that copies it.
fn paste(html: &mut String, command: &str) {
    put!(
        html,
        "<div class=\"paste\"><code>{}</code><button type=\"button\" class=\"copy\">copy</button></div>\n",
        escape(command)
    );
}

/// Log lines with their time from the signal, and a line where it came.
fn log(html: &mut String, lines: &[LogLine], signalled: Duration) {
    if lines.is_empty() {
        html.push_str("<p class=\"soft small\">It wrote nothing.</p>\n");
        return;
    }
    html.push_str("<div class=\"log\"><table>\n");
    let mut before = true;
    for line in lines {
        let after = line.at >= signalled;
        let class = if after && before { " class=\"cut\"" } else { "" };
        before = !after;
        put!(html, "<tr{class}><td>{}</td><td>{}</td></tr>\n", from_signal(line.at, signalled), escape(&line.text));
    }
    html.push_str("</table></div>\n");
}

/// `+12.5 ms` after the signal, `-3 ms` before.
fn from_signal(at: Duration, signalled: Duration) -> String {
    if at < signalled { format!("−{}", human(signalled - at)) } else { format!("+{}", human(at - signalled)) }
}

/// With a capital letter and a full stop.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    let stop = if text.ends_with('.') { "" } else { "." };
    format!("{first}{}{stop}", letters.as_str())
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
