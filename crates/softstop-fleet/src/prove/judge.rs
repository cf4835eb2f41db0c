//! Holds what was seen in a trial against what is demanded. Pure: `(rules, observation) -> findings`.
//!
//! | rule | broken when | before a handler | after KILL | after close-stdout |
//! |---|---|---|---|---|
//! | gone | it is there when `gone_within` is over; where times do not count, 3 s later | note | failure | failure |
//! | response | its first visible act comes after `act_warn` (warning), `act_fail` (failure); only where times count | note | not judged | not judged |
//! | exit | it ends in a way that is not allowed | note | not judged | warning |
//! | orphans, ports | they are left | as stated | note | as stated |
//! | files, locks | they are left | as stated | note | as stated |
//! | lines | a forbidden line was written after the first signal | note | note | warning |
//! | load | the command fails | warning | note | failure |
//! | check, resume | the command fails; it is not ready again in time | warning | failure | failure |
//!
//! What is left of a program that did not end, and was ended by force, is a note.
//!
//! Before a program could have installed a handler the kernel ends it, and it cannot be blamed for more than what it left behind. KILL
//! gives it no chance at all: what counts then is whether it can go on with the same data.
//!
//! Who writes to a stdout that nobody reads is ended by SIGPIPE or told EPIPE. To end by SIGPIPE (or with 141) is then as good as to end by
//! the signal, and what a language says of EPIPE on its stderr, and the status that follows, is a warning; all else holds. After a hang-up
//! nothing of what it writes is seen, so the response is not judged either, and there are no lines.
//!
//! Where the disk was full and a file could not be written after the first signal, exit status 0 is a failure, and any other is right.

use super::{
    packs::Lines,
    replay::Signal,
    scenario::{ExitRule, Rules, Scenario, Severity},
    time::human,
    trial::{Exit, Observation, Phase},
};

/// What is demanded, in the order in which results are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// It is gone in time.
    Gone,
    /// It shows in time that it has heard.
    Response,
    /// It ends in an allowed way.
    Exit,
    /// No process is left.
    Orphans,
    /// No listening socket is left.
    Ports,
    /// No new file is left.
    Files,
    /// No lock names a process that is gone.
    Locks,
    /// No forbidden line was written.
    Lines,
    /// The load went well.
    Load,
    /// The data are intact.
    Check,
    /// It starts again on the same data.
    Resume,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Gone,
        Self::Response,
        Self::Exit,
        Self::Orphans,
        Self::Ports,
        Self::Files,
        Self::Locks,
        Self::Lines,
        Self::Load,
        Self::Check,
        Self::Resume,
    ];

    /// Its word, the same in every output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Response => "response",
            Self::Exit => "exit",
            Self::Orphans => "orphans",
            Self::Ports => "ports",
            Self::Files => "files",
            Self::Locks => "locks",
            Self::Lines => "lines",
            Self::Load => "load",
            Self::Check => "check",
            Self::Resume => "resume",
        }
    }

    /// What this scenario demands, as a sentence without its end; `None` where it demands nothing of the kind.
    pub fn demand(self, scenario: &Scenario) -> Option<String> {
        let Rules { gone_within, act_warn, act_fail, exit, packs, lines, .. } = &scenario.rules;
        Some(match self {
            Self::Gone => format!("gone within {}", human(*gone_within)),
            Self::Response => format!("first visible act within {} ({} fails)", human(*act_warn), human(*act_fail)),
            Self::Exit => format!("ends with {}", exits(exit)),
            Self::Orphans => "no process left".to_owned(),
            Self::Ports => "no listening socket left".to_owned(),
            Self::Files => "no new file left".to_owned(),
            Self::Locks => "no lock names a dead process".to_owned(),
            Self::Lines if packs.is_empty() && lines.is_empty() => return None,
            Self::Lines => "no forbidden log line".to_owned(),
            Self::Load => scenario.load.is_some().then(|| "the load goes well".to_owned())?,
            Self::Check => scenario.check.is_some().then(|| "data intact".to_owned())?,
            Self::Resume => format!("ready again within {}", human(scenario.resume.as_ref()?.within)),
        })
    }
}

/// A rule that was broken in a trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which.
    pub rule: Rule,
    /// What that is here.
    pub severity: Severity,
    /// What was seen, with its values.
    pub text: String,
    /// What helps, in one sentence; may be empty.
    pub hint: String,
    /// Equal for findings of one kind in different trials.
    pub kind: String,
}

/// Judges one trial. Nothing is found where the moment never came.
pub fn judge(rules: &Rules, lines: &Lines, seen: &Observation) -> Vec<Finding> {
    let Some(phase) = seen.phase() else { return Vec::new() };
    let killed = seen.signals().contains(&Signal::Kill);
    let judging = Judging { rules, seen, sent: sent(seen) };
    let mut findings = Vec::new();
    findings.extend(judging.gone());
    if !killed {
        findings.extend(judging.response());
        findings.extend(judging.exit());
    }
    findings.extend(judging.leftovers());
    findings.extend(judging.lines(lines));
    findings.extend(judging.commands());
    for finding in &mut findings {
        finding.severity = finding.severity.min(worst(finding.rule, phase, seen));
    }
    findings.sort_by_key(|finding| (std::cmp::Reverse(finding.severity), finding.rule));
    findings
}

/// Whether a trial could have broken this rule, so that it counts among those that did not.
pub fn counts(rule: Rule, seen: &Observation) -> bool {
    let Some(phase) = seen.phase() else { return false };
    let killed = seen.signals().contains(&Signal::Kill);
    let judged = match rule {
        Rule::Response => seen.timed && !killed && seen.heard() && seen.response().is_some(),
        Rule::Exit => !killed && seen.exit != Exit::Forced,
        Rule::Load => seen.load.is_some(),
        Rule::Check => seen.check.is_some(),
        Rule::Resume => seen.resumed.is_some(),
        _ => true,
    };
    judged && worst(rule, phase, seen) == Severity::Failure
}

/// The most that a rule can be in this phase.
fn worst(rule: Rule, phase: Phase, seen: &Observation) -> Severity {
    let killed = seen.signals().contains(&Signal::Kill);
    match rule {
        Rule::Orphans | Rule::Ports | Rule::Files | Rule::Locks | Rule::Lines | Rule::Load if killed => Severity::Note,
        // Who was ended by us had no chance to tidy up; that it did not end is a finding of its own.
        Rule::Orphans | Rule::Ports | Rule::Files | Rule::Locks if seen.exit == Exit::Forced => Severity::Note,
        Rule::Orphans | Rule::Ports | Rule::Files | Rule::Locks => Severity::Failure,
        Rule::Exit | Rule::Lines if seen.unread() && phase != Phase::BeforeHandler => Severity::Warning,
        _ if killed || phase != Phase::BeforeHandler => Severity::Failure,
        Rule::Load | Rule::Check | Rule::Resume => Severity::Warning,
        _ => Severity::Note,
    }
}

/// What ends who writes where nobody reads, unless it said otherwise.
const SIGPIPE: i32 = 13;

/// The signals as they are named in findings: `TERM`, `INT and INT`.
fn sent(seen: &Observation) -> String {
    let names: Vec<&str> = seen.signals().into_iter().map(Signal::name).collect();
    names.join(" and ")
}

struct Judging<'a> {
    rules: &'a Rules,
    seen: &'a Observation,
    sent: String,
}

fn finding(rule: Rule, severity: Severity, text: String, hint: impl Into<String>) -> Finding {
    Finding { rule, severity, text, hint: hint.into(), kind: rule.name().to_owned() }
}

impl Judging<'_> {
    fn gone(&self) -> Option<Finding> {
        let limit = self.rules.gone_within;
        let mut severity = Severity::Failure;
        let text = match (self.seen.exit, self.seen.exit_time()) {
            (Exit::Forced, _) | (_, None) => {
                let shown = match self.seen.response() {
                    Some(after) => format!("its first visible act came after {}", human(after)),
                    None => "it showed nothing of having heard".to_owned(),
                };
                format!("still there {} after {}; {shown}", human(limit), self.sent)
            }
            (_, Some(took)) if took > limit => {
                if !self.seen.timed {
                    severity = Severity::Note;
                }
                format!("gone {} after {}, more than {}", human(took), self.sent, human(limit))
            }
            _ => return None,
        };
        let hint = "bound every step of the stop by a deadline, and let the last one end the process";
        Some(finding(Rule::Gone, severity, text, hint))
    }

    fn response(&self) -> Option<Finding> {
        let judged = self.seen.timed && self.seen.heard();
        let (Rules { act_warn, act_fail, .. }, true) = (self.rules, judged) else { return None };
        let after = self.seen.response()?;
        let severity = match after {
            _ if after > *act_fail => Severity::Failure,
            _ if after > *act_warn => Severity::Warning,
            _ => return None,
        };
        let limit = human(if severity == Severity::Failure { *act_fail } else { *act_warn });
        let delivered = self.seen.ladder.delivered.zip(self.seen.signalled());
        let delivered = delivered.map_or(String::new(), |(at, signalled)| {
            format!("; the kernel had delivered it after {}", human(at.saturating_sub(signalled)))
        });
        let text = format!("first visible act {} after {}, more than {limit}{delivered}", human(after), self.sent);
        let hint = "say at once that the stop has begun; look for calls that block the thread which handles the signal";
        Some(finding(Rule::Response, severity, text, hint))
    }

    fn exit(&self) -> Option<Finding> {
        let signals = self.seen.signals();
        let pipe = self.seen.unread().then_some(SIGPIPE);
        let numbers = || signals.iter().map(|signal| signal.number()).chain(pipe);
        let allowed = |rule: &ExitRule| match (rule, self.seen.exit) {
            (ExitRule::Status(status), Exit::Status(seen)) => i32::from(*status) == seen,
            (ExitRule::Plus128, Exit::Status(seen)) => numbers().any(|n| 128 + n == seen),
            (ExitRule::BySignal, Exit::Signal(seen)) => numbers().any(|n| n == seen),
            _ => false,
        };
        let ended = match self.seen.exit {
            Exit::Forced => return None,
            Exit::Status(status) if let Some(file) = &self.seen.unsaved => {
                let text = format!("exit status 0 after {}, though {file} could not be written", self.sent);
                let hint = "look at what each write, flush, fsync and close of a save returns, and end with a status of its own";
                let kind = "exit: 0 after a failed save".to_owned();
                return (status == 0).then(|| Finding { kind, ..finding(Rule::Exit, Severity::Failure, text, hint) });
            }
            _ if self.rules.exit.iter().any(allowed) => return None,
            ended => ended.to_string(),
        };
        let text = format!("{ended} after {}; allowed: {}", self.sent, exits(&self.rules.exit));
        let hint = "end with 0 after a clean stop, or die by the same signal; a failed save needs a status of its own";
        Some(Finding { kind: format!("exit: {ended}"), ..finding(Rule::Exit, Severity::Failure, text, hint) })
    }

    fn leftovers(&self) -> Vec<Finding> {
        let left = &self.seen.leftovers;
        let orphans = left.orphans.iter().map(|orphan| format!("{} ({})", orphan.command, orphan.pid)).collect();
        let locks = left.locks.iter().map(|lock| format!("{} names {}", lock.path, lock.pid)).collect();
        let all: [(Rule, Severity, &str, Vec<String>, &str); 4] = [
            (
                Rule::Orphans,
                self.rules.orphans,
                "process left",
                orphans,
                "signal its whole group, wait for every child, and use a group or cgroup for those that detach",
            ),
            (
                Rule::Ports,
                self.rules.ports,
                "socket still listening",
                left.ports.clone(),
                "close listening sockets first; a child that inherited one keeps it open",
            ),
            (
                Rule::Files,
                self.rules.files,
                "new file left",
                left.files.clone(),
                "remove temporary files in the stop path, or name what may stay under `may_stay`",
            ),
            (
                Rule::Locks,
                self.rules.locks,
                "stale lock",
                locks,
                "remove it in the stop path, or use flock, which ends with the process",
            ),
        ];
        let found = all.into_iter().filter(|(.., left, _)| !left.is_empty());
        found
            .map(|(rule, severity, what, left, hint)| finding(rule, severity, format!("{what}: {}", some(&left)), hint))
            .collect()
    }

    fn lines(&self, lines: &Lines) -> Vec<Finding> {
        let log: Vec<_> = self.seen.log_after_signal().collect();
        let hits = lines.find(log.iter().copied(), &self.seen.signals());
        hits.into_iter()
            .map(|hit| {
                let interrupt = hit.keyboard_interrupt;
                let severity = if interrupt { self.rules.keyboard_interrupt } else { hit.severity };
                let line = log.get(hit.at).map_or("", |line| line.text.trim());
                let times = if hit.times > 1 { format!(", {} times", hit.times) } else { String::new() };
                let ends = if interrupt { " (it ends in KeyboardInterrupt)" } else { "" };
                let text = format!("wrote `{line:.120}`{times}: {}{ends}", hit.means);
                let kind = format!("lines: {}{ends}", hit.means);
                Finding { kind, ..finding(Rule::Lines, severity, text, hit.hint) }
            })
            .collect()
    }

    fn commands(&self) -> Vec<Finding> {
        let failed = |rule, what: &str, said: Option<&super::trial::Said>, hint: &str| {
            let said = said.filter(|said| !said.ok)?;
            let last = said.text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
            Some(finding(rule, Severity::Failure, format!("{what} failed: {:.200}", last.trim()), hint))
        };
        let mut findings = Vec::new();
        let load = "finish what was accepted before closing: drain, then stop";
        findings.extend(failed(Rule::Load, "the load", self.seen.load.as_ref(), load));
        let write = "write beside the file, fsync, and rename it over the old one";
        findings.extend(failed(Rule::Check, "the check", self.seen.check.as_ref(), write));
        if let Some(resumed) = &self.seen.resumed {
            if resumed.ready.is_none() {
                let text = "not ready again in time on the same data".to_owned();
                let hint = "look for locks, half-written files and ports that the stopped run left";
                findings.push(finding(Rule::Resume, Severity::Failure, text, hint));
            }
            findings.extend(failed(Rule::Resume, "the check after starting again", resumed.check.as_ref(), write));
        }
        findings
    }
}

/// The first few, and how many more.
fn some(items: &[String]) -> String {
    const SHOWN: usize = 3;
    let shown = items.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if items.len() > SHOWN { format!("{shown} and {} more", items.len() - SHOWN) } else { shown }
}

/// What is allowed, for people.
fn exits(allowed: &[ExitRule]) -> String {
    let words: Vec<String> = allowed
        .iter()
        .map(|rule| match rule {
            ExitRule::Status(status) => format!("status {status}"),
            ExitRule::Plus128 => "128+n".to_owned(),
            ExitRule::BySignal => "by the signal".to_owned(),
        })
        .collect();
    words.join(", ")
}

#[cfg(test)]
#[path = "judge_tests.rs"]
pub(super) mod tests;
