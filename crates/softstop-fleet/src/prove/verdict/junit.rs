//! The verdict as JUnit XML, which CI systems show as tests: one for each rule.
//!
//! The form is that of the Ant task, as Jenkins and GitLab read it: `testsuites > testsuite > testcase > failure`.

use std::fmt::Write;

use super::{Ended, Problem, Verdict, counted};
use crate::prove::{markup::escape, scenario::Severity};

impl Verdict {
    /// As JUnit XML: a test for each rule, with its failures, their replay lines and last log lines; skipped where no trial could have
    /// broken it.
    ///
    /// A run that was interrupted or could not begin is an error of a test of its own, so that it never looks like success.
    pub fn to_junit(&self) -> String {
        let stopped = match &self.ended {
            _ if self.exit_status() == 0 || self.exit_status() == 1 => None,
            Ended::NotStarted(why) => Some(why.clone()),
            _ => Some(self.line()),
        };
        let (tests, errors) = (self.rules.len() + usize::from(stopped.is_some()), usize::from(stopped.is_some()));
        let failures = self.rules.iter().filter(|rule| rule.failed > 0).count();
        let skipped = self.rules.iter().filter(|rule| rule.failed == 0 && rule.judged == 0).count();
        let name = escape(&format!("softstop prove {}", self.command.join(" ")));
        let head = format!(
            "tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\" time=\"{:.3}\"",
            self.took.as_secs_f64()
        );
        let mut xml = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites {head}>\n<testsuite name=\"{name}\" {head}>\n"
        );
        if let Some(why) = stopped {
            let why = escape(&why);
            let _ = writeln!(xml, "<testcase classname=\"prove\" name=\"run\"><error message=\"{why}\"/></testcase>");
        }
        for result in &self.rules {
            let name = escape(&format!("{}: {}", result.rule.name(), result.demand));
            let _ = writeln!(xml, "<testcase classname=\"prove\" name=\"{name}\">");
            let of_rule = |severity| {
                let of = |problem: &&Problem| problem.rule == result.rule && problem.severity == severity;
                self.problems.iter().filter(of).collect::<Vec<_>>()
            };
            let failures = of_rule(Severity::Failure);
            if result.failed > 0 {
                let first = failures.first().map_or(result.demand.as_str(), |first| &first.text);
                let message = format!("{} of {}: {first}", result.failed, counted(result.judged, "trial"));
                let text: String = failures.iter().map(|problem| self.described(problem)).collect();
                let _ = writeln!(xml, "<failure message=\"{}\">{}</failure>", escape(&message), escape(&text));
            } else if result.judged == 0 {
                xml.push_str("<skipped message=\"no trial could have broken it\"/>\n");
            }
            let warnings: String = of_rule(Severity::Warning).iter().map(|problem| self.described(problem)).collect();
            let _ = writeln!(
                xml,
                "<system-out>{}{}</system-out>",
                escape(&format!("at random moments: {}", result.random.words())),
                escape(&format!("\n{warnings}"))
            );
            xml.push_str("</testcase>\n");
        }
        xml.push_str("</testsuite>\n</testsuites>\n");
        xml
    }

    /// A problem in full, for places without a layout.
    fn described(&self, problem: &Problem) -> String {
        let Problem { severity, text, hint, count, .. } = problem;
        let mut full = format!("{}, {}: {text}\n", severity.name(), counted(*count, "trial"));
        if !hint.is_empty() {
            let _ = writeln!(full, "hint: {hint}");
        }
        let _ = writeln!(full, "replay: {}", self.replay_command(problem.shortest()));
        for line in &problem.log {
            let _ = writeln!(full, "  {}", line.text);
        }
        full.push('\n');
        full
    }
}
