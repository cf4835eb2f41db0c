//! Reads replay lines and patterns; says where and what it expected.

use std::{fmt, time::Duration};

use super::{Act, Deed, Edge, Fault, Moment, Pattern, Replay, Target, When};
use crate::prove::time;

const ACT: &str = "TERM, INT, HUP, QUIT, KILL, hang-up or close-stdout, with ` x50` after it for a storm";
const MOMENT: &str = "a moment: `12.5ms` after the start, a state such as `ready` or `ready+2ms` (also handler, output, listening, \
                      acted), or a system call such as `renameat2#3 pid1`";
const WHEN: &str = "`100ms later` or `at` and a moment";
const FAULT: &str = "disk-full#1, stopped-child, cpu-10% or silent-peer";
/// Enough for any storm; standard signals coalesce anyway.
const MOST_TIMES: u32 = 100_000;

/// A line that cannot be read. Its text shows the place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayError {
    /// The line.
    pub line: String,
    /// Where, in bytes from its beginning; on a boundary of a character.
    pub at: usize,
    /// What could stand there.
    pub expected: String,
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let before = self.line.get(..self.at).map_or(0, |before| before.chars().count());
        let found = self.line.get(self.at..).unwrap_or_default().split(',').next().unwrap_or_default().trim();
        let found = if found.is_empty() { "nothing".to_owned() } else { format!("`{found}`") };
        write!(f, "column {}: {found} instead of {}\n  {}\n  {:before$}^", before + 1, self.expected, self.line, "")
    }
}

impl std::error::Error for ReplayError {}

/// A part of the line that knows where it stands.
#[derive(Clone, Copy)]
struct Part<'a> {
    line: &'a str,
    from: usize,
    to: usize,
}

impl<'a> Part<'a> {
    fn whole(line: &'a str) -> Self {
        Self { line, from: 0, to: line.len() }.trimmed()
    }

    fn text(self) -> &'a str {
        self.line.get(self.from..self.to).unwrap_or_default()
    }

    fn trimmed(self) -> Self {
        let text = self.text();
        let from = self.from + (text.len() - text.trim_start().len());
        Self { from, to: from + text.trim().len(), ..self }
    }

    /// What stands before and after the first `by`.
    fn cut(self, by: &str) -> Option<(Self, Self)> {
        let at = self.from + self.text().find(by)?;
        Some((Self { to: at, ..self }.trimmed(), Self { from: at + by.len(), ..self }.trimmed()))
    }

    /// The rest after a beginning.
    fn after(self, beginning: &str) -> Option<Self> {
        self.text().starts_with(beginning).then(|| Self { from: self.from + beginning.len(), ..self })
    }

    fn split(self, by: &str) -> Vec<Self> {
        let (mut parts, mut rest) = (Vec::new(), self);
        while let Some((part, after)) = rest.cut(by) {
            parts.push(part);
            rest = after;
        }
        parts.push(rest);
        parts
    }

    fn number<N: std::str::FromStr + PartialOrd + From<u8>>(self, what: &str) -> Result<N, ReplayError> {
        // `parse` would take a sign as well.
        let digits = self.text().starts_with(|c: char| c.is_ascii_digit());
        let number = digits.then(|| self.text().parse().ok()).flatten();
        number.ok_or_else(|| self.wrong(what))
    }

    fn nth(self) -> Result<u32, ReplayError> {
        match self.number("a number from 1 on")? {
            0 => Err(self.wrong("a number from 1 on")),
            nth => Ok(nth),
        }
    }

    fn wrong(self, expected: impl Into<String>) -> ReplayError {
        ReplayError { line: self.line.to_owned(), at: self.from, expected: expected.into() }
    }
}

pub(super) fn replay(line: &str) -> Result<Replay, ReplayError> {
    let mut parts = Part::whole(line).split(",").into_iter();
    let first = parts.next().unwrap_or(Part::whole(line));
    let Some((what, at)) = first.cut(" at ") else {
        let end = Part { from: first.to, ..first };
        return Err(match act(first) {
            Ok(_) => end.wrong(format!("` at ` and {MOMENT}")),
            Err(error) => error,
        });
    };
    let mut replay = Replay::new(act(what)?, moment(at)?);
    if let Moment::Edge(Edge::Acted, _) = replay.at {
        return Err(at.wrong("a moment before the first signal; `acted` is what follows upon it"));
    }
    for part in parts {
        if let Some(target_of) = part.after("to ") {
            replay.target = target(target_of)?;
        } else if let Some(of) = part.after("fault ") {
            replay.faults.push(read_fault(of)?);
        } else if let Some(seed) = part.after("seed ") {
            replay.seed = seed.trimmed().number("a number")?;
        } else if part.text() == "without load" {
            replay.without_load = true;
        } else {
            let (act, when) = further(part)?;
            replay.then.push((act, when.ok_or_else(|| part.wrong(WHEN))?));
        }
    }
    if replay.signals().next().is_none() {
        return Err(
            Part::whole(line).wrong("a signal or hang-up among the acts: close-stdout alone asks nothing to stop")
        );
    }
    Ok(replay)
}

pub(super) fn fault(line: &str) -> Result<Fault, ReplayError> {
    read_fault(Part::whole(line))
}

pub(super) fn pattern(line: &str) -> Result<Pattern, ReplayError> {
    let whole = Part::whole(line);
    let (acts, to) = match whole.cut(" to ") {
        Some((acts, to)) => (acts, Some(target(to)?)),
        None => (whole, None),
    };
    let by = if acts.text().contains(',') { "," } else { "+" };
    let mut parts = acts.split(by).into_iter();
    let first = act(parts.next().unwrap_or(acts))?;
    let then: Vec<_> = parts.map(further).collect::<Result<_, _>>()?;
    if first.deed.signal().is_none() && then.iter().all(|(act, _)| act.deed.signal().is_none()) {
        return Err(
            whole.wrong("a signal as well, such as `close-stdout+TERM`: close-stdout alone asks nothing to stop")
        );
    }
    Ok(Pattern { first, then, target: to })
}

/// An act, and when it follows if that is said.
fn further(part: Part<'_>) -> Result<(Act, Option<When>), ReplayError> {
    if let Some((what, at)) = part.cut(" at ") {
        return Ok((act(what)?, Some(When::At(moment(at)?))));
    }
    let Some(end) = part.text().strip_suffix(" later").map(str::len) else {
        return Ok((act(part)?, None));
    };
    let whole = Part { to: part.from + end, ..part };
    let space = whole.text().rfind(' ').ok_or_else(|| part.wrong(format!("an act, and {WHEN}")))?;
    let gap = Part { from: whole.from + space + 1, ..whole };
    let what = Part { to: whole.from + space, ..whole }.trimmed();
    Ok((act(what)?, Some(When::Later(duration(gap)?))))
}

fn act(part: Part<'_>) -> Result<Act, ReplayError> {
    let (name, times) = match part.cut(" x") {
        Some((name, times)) => (name, times.nth()?),
        None => (part, 1),
    };
    if times > MOST_TIMES {
        return Err(part.wrong(format!("a storm of at most {MOST_TIMES}")));
    }
    let word = name.text();
    let word = word.strip_prefix("SIG").or_else(|| word.strip_prefix("sig")).unwrap_or(word);
    let deed = Deed::ALL.into_iter().find(|deed| deed.name().eq_ignore_ascii_case(word));
    Ok(Act { deed: deed.ok_or_else(|| name.wrong(ACT))?, times })
}

fn moment(part: Part<'_>) -> Result<Moment, ReplayError> {
    if let Some((call, rest)) = part.cut("#") {
        let name = call.text();
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_') {
            return Err(call.wrong("the name of a system call, such as renameat2"));
        }
        let (nth, place) = rest.cut(" pid").ok_or_else(|| rest.wrong("a number and the process: `3 pid1`"))?;
        let (process, thread) = match place.cut(".") {
            Some((process, thread)) => (process, thread.nth()?),
            None => (place, 1),
        };
        return Ok(Moment::Call { call: name.to_owned(), nth: nth.nth()?, process: process.nth()?, thread });
    }
    let (name, after) = match part.cut("+") {
        Some((name, after)) => (name, duration(after)?),
        None => (part, Duration::ZERO),
    };
    if let Some(edge) = Edge::ALL.into_iter().find(|edge| edge.name() == name.text()) {
        return Ok(Moment::Edge(edge, after));
    }
    time::parse(part.text()).map(Moment::At).ok_or_else(|| part.wrong(MOMENT))
}

fn duration(part: Part<'_>) -> Result<Duration, ReplayError> {
    time::parse(part.text()).ok_or_else(|| part.wrong(time::ALLOWED))
}

fn target(part: Part<'_>) -> Result<Target, ReplayError> {
    let part = part.trimmed();
    let found = Target::ALL.into_iter().find(|target| target.name() == part.text());
    found.ok_or_else(|| part.wrong("main, group or all"))
}

fn read_fault(part: Part<'_>) -> Result<Fault, ReplayError> {
    let part = part.trimmed();
    if let Some(write) = part.after("disk-full#") {
        return Ok(Fault::DiskFull(write.nth()?));
    }
    if let Some(percent) = part.after("cpu-").filter(|part| part.text().ends_with('%')) {
        let number = Part { to: percent.to - 1, ..percent };
        return match number.number("a percentage from 1 to 100")? {
            percent @ 1..=100 => Ok(Fault::Cpu(percent)),
            _ => Err(number.wrong("a percentage from 1 to 100")),
        };
    }
    match part.text() {
        "stopped-child" => Ok(Fault::StoppedChild),
        "silent-peer" => Ok(Fault::SilentPeer),
        _ => Err(part.wrong(FAULT)),
    }
}
