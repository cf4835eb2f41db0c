//! Makes a scenario of a tree: every key known, every value checked, and errors that say what to write.

use std::{fmt, str::FromStr, time::Duration};

use super::{
    ExitRule, Isolation, Moments, Ready, Resume, Rules, Scenario, Severity, Wish,
    yaml::{Node, Value},
};
use crate::prove::{
    packs::{self, OwnLine, Pack},
    replay::{Pattern, Target},
    time,
};

const READY: &str =
    "output, listening, quiet: 500ms, http: URL, tcp: HOST:PORT, log: REGEX, command: [...] or delay: 2s";
const MOMENTS: &str = "random, edges, syscalls, syscalls: 100 or sweep: {from: 0ms, to: 1s, step: 20ms}";
const COMMAND: &str = "a command such as `python agent.py` or [python, agent.py]";
/// A sweep of more steps is a slip of the unit.
const MOST_STEPS: u128 = 100_000;

/// A scenario that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScenarioError {
    /// The line in the file, from 1.
    pub line: usize,
    /// The key with its path, as `rules.gone_within`; empty where the text is no YAML.
    pub key: String,
    /// What stands there, quoted; empty where that says nothing.
    pub value: String,
    /// What to write instead.
    pub expected: String,
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, key, value, expected } = self;
        match (key.is_empty(), value.is_empty()) {
            (true, _) => write!(f, "line {line}: expected {expected}"),
            (false, true) => write!(f, "line {line}: `{key}`: {expected}"),
            (false, false) => write!(f, "line {line}: `{key}` is {value}; write {expected}"),
        }
    }
}

impl std::error::Error for ScenarioError {}

type Result<T> = std::result::Result<T, ScenarioError>;

/// A node and the path to it.
struct At<'a> {
    node: &'a Node,
    path: String,
}

impl<'a> At<'a> {
    fn wrong(&self, expected: impl Into<String>) -> ScenarioError {
        let (line, key) = (self.node.line, self.path.clone());
        ScenarioError { line, key, value: self.node.shown(), expected: expected.into() }
    }

    fn text(&self, expected: &str) -> Result<&'a str> {
        match &self.node.value {
            Value::Text { text, .. } if !text.is_empty() => Ok(text),
            _ => Err(self.wrong(expected)),
        }
    }

    fn duration(&self) -> Result<Duration> {
        time::parse(self.text(time::ALLOWED)?).ok_or_else(|| self.wrong(time::ALLOWED))
    }

    fn number<N: FromStr>(&self, expected: &str) -> Result<N> {
        self.text(expected)?.parse().map_err(|_| self.wrong(expected))
    }

    fn bool(&self) -> Result<bool> {
        match self.text("true or false")? {
            "true" | "yes" => Ok(true),
            "false" | "no" => Ok(false),
            _ => Err(self.wrong("true or false")),
        }
    }

    fn one_of<T: Copy>(&self, words: &[(&str, T)]) -> Result<T> {
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let expected = names.join(" or ");
        let text = self.text(&expected)?;
        let found = words.iter().find(|(word, _)| *word == text);
        found.map(|(_, value)| *value).ok_or_else(|| self.wrong(expected))
    }

    /// The items of a list, or the one value that stands where a list could.
    fn items(&self) -> Vec<At<'a>> {
        match &self.node.value {
            Value::List(items) => {
                let item = |(at, node)| At { node, path: format!("{}[{at}]", self.path) };
                items.iter().enumerate().map(item).collect()
            }
            _ => vec![At { node: self.node, path: self.path.clone() }],
        }
    }

    fn list<T>(&self, expected: &str, read: impl Fn(&At<'a>) -> Result<T>) -> Result<Vec<T>> {
        let items = self.items().iter().map(read).collect::<Result<Vec<T>>>()?;
        if items.is_empty() { Err(self.wrong(format!("at least one of {expected}"))) } else { Ok(items) }
    }

    fn command(&self) -> Result<Vec<String>> {
        let words = match &self.node.value {
            Value::Text { text, .. } => split(text).ok_or_else(|| self.wrong("a closing quote"))?,
            Value::List(_) => self.list(COMMAND, |word| match &word.node.value {
                Value::Text { text, .. } => Ok(text.clone()),
                _ => Err(word.wrong("a word of a command")),
            })?,
            Value::Map(_) => return Err(self.wrong(COMMAND)),
        };
        let named = words.first().is_some_and(|program| !program.is_empty());
        if named { Ok(words) } else { Err(self.wrong(COMMAND)) }
    }

    fn fields(&self, expected: &str) -> Result<Fields<'a>> {
        match &self.node.value {
            Value::Map(fields) => Ok(Fields { fields, path: self.path.clone(), asked: Vec::new() }),
            _ => Err(self.wrong(expected)),
        }
    }

    /// A word alone, or a mapping of one key such as `quiet: 500ms`.
    fn word(&self, expected: &str) -> Result<(&'a str, Option<At<'a>>)> {
        match &self.node.value {
            Value::Text { text, .. } => Ok((text, None)),
            Value::Map(fields) => match fields.as_slice() {
                [(key, node)] => Ok((key, Some(At { node, path: self.path.clone() }))),
                _ => Err(self.wrong(expected)),
            },
            Value::List(_) => Err(self.wrong(expected)),
        }
    }
}

/// A mapping whose keys are asked for one after the other.
struct Fields<'a> {
    fields: &'a [(String, Node)],
    path: String,
    asked: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    fn path(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// The value of a key, unless it is left out or `null`.
    fn find(&mut self, key: &'static str) -> Option<At<'a>> {
        self.asked.push(key);
        let (_, node) = self.fields.iter().find(|(name, _)| name == key)?;
        (!node.is_null()).then(|| At { node, path: self.path(key) })
    }

    /// Writes the value of a key over what stands in `place`.
    fn set<T>(&mut self, key: &'static str, place: &mut T, read: impl Fn(&At<'a>) -> Result<T>) -> Result<()> {
        if let Some(at) = self.find(key) {
            *place = read(&at)?;
        }
        Ok(())
    }

    fn option<T>(&mut self, key: &'static str, read: impl Fn(&At<'a>) -> Result<T>) -> Result<Option<T>> {
        self.find(key).map(|at| read(&at)).transpose()
    }

    fn required(&mut self, key: &'static str, of: &At<'_>, expected: &str) -> Result<At<'a>> {
        self.find(key).ok_or_else(|| of.wrong(format!("{expected}, with the key `{key}`")))
    }

    /// Whatever was not asked for is an error.
    fn done(self) -> Result<()> {
        let Some((key, node)) = self.fields.iter().find(|(key, _)| !self.asked.contains(&key.as_str())) else {
            return Ok(());
        };
        let expected = match nearest(key, &self.asked) {
            Some(near) => format!("there is no such key; did you mean `{near}`?"),
            None => format!("there is no such key; there are {}", self.asked.join(", ")),
        };
        Err(ScenarioError { line: node.line, key: self.path(key), value: String::new(), expected })
    }
}

pub(super) fn scenario(root: &Node) -> Result<Scenario> {
    let root = At { node: root, path: String::new() };
    let Value::Map(_) = root.node.value else {
        return Err(ScenarioError {
            line: root.node.line,
            key: String::new(),
            value: String::new(),
            expected: "keys with values, such as `command: python agent.py`".to_owned(),
        });
    };
    let mut fields = root.fields("a mapping")?;
    let mut to = Scenario::default();
    let strings = |at: &At<'_>| at.items().iter().map(|item| item.text("a path").map(str::to_owned)).collect();
    fields.set("command", &mut to.command, At::command)?;
    fields.set("ready", &mut to.ready, |at| at.list(READY, ready))?;
    fields.set("ready_within", &mut to.ready_within, At::duration)?;
    to.load = fields.option("load", At::command)?;
    fields.set("moments", &mut to.moments, |at| at.list(MOMENTS, moments))?;
    fields.set("signals", &mut to.signals, |at| at.list("TERM, INT, INT+INT, …", parsed::<Pattern>))?;
    fields.set("gaps", &mut to.gaps, |at| at.list(time::ALLOWED, At::duration))?;
    fields.set("target", &mut to.target, |at| at.one_of(&Target::ALL.map(|target| (target.name(), target))))?;
    fields.set("rules", &mut to.rules, rules)?;
    fields.set("watch", &mut to.watch, strings)?;
    fields.set("may_stay", &mut to.may_stay, strings)?;
    to.check = fields.option("check", At::command)?;
    to.resume = fields.option("resume", |at| resume(at, to.ready_within))?;
    fields.set("isolation", &mut to.isolation, isolation)?;
    fields.set("faults", &mut to.faults, |at| at.items().iter().map(parsed).collect())?;
    to.trials = fields.option("trials", positive)?;
    fields.set("budget", &mut to.budget, At::duration)?;
    fields.set("seed", &mut to.seed, |at| at.number("a whole number from 0 on"))?;
    to.parallel = fields.option("parallel", positive)?;
    fields.done()?;
    Ok(to)
}

fn positive(at: &At<'_>) -> Result<u32> {
    let expected = "a whole number from 1 on";
    match at.number(expected)? {
        0 => Err(at.wrong(expected)),
        number => Ok(number),
    }
}

fn parsed<T>(at: &At<'_>) -> Result<T>
where
    T: FromStr<Err = crate::prove::replay::ReplayError>,
{
    let text = at.text("a word")?;
    text.parse().map_err(|error: T::Err| at.wrong(error.expected))
}

fn ready(at: &At<'_>) -> Result<Ready> {
    Ok(match at.word(READY)? {
        ("output", None) => Ready::Output,
        ("listening", None) => Ready::Listening,
        ("quiet", Some(value)) => Ready::Quiet(value.duration()?),
        ("delay", Some(value)) => Ready::Delay(value.duration()?),
        ("http", Some(value)) => {
            let expected = "an address such as http://127.0.0.1:8000/health";
            let url = value.text(expected)?;
            let host = url.strip_prefix("http://").is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
            Ready::Http(if host { url.to_owned() } else { return Err(value.wrong(expected)) })
        }
        ("tcp", Some(value)) => {
            let expected = "host and port, such as 127.0.0.1:8000";
            let text = value.text(expected)?;
            let port =
                text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
            Ready::Tcp(if port { text.to_owned() } else { return Err(value.wrong(expected)) })
        }
        ("log", Some(value)) => Ready::Log(regex(&value)?),
        ("command", Some(value)) => Ready::Command(value.command()?),
        _ => return Err(at.wrong(READY)),
    })
}

fn regex(at: &At<'_>) -> Result<String> {
    let text = at.text("a regular expression")?;
    packs::check(text).map_err(|error| at.wrong(format!("a regular expression ({error})")))?;
    Ok(text.to_owned())
}

fn moments(at: &At<'_>) -> Result<Moments> {
    Ok(match at.word(MOMENTS)? {
        ("random", None) => Moments::Random,
        ("edges", None) => Moments::Edges,
        ("syscalls", None) => Moments::Syscalls { at_most: 100 },
        ("syscalls", Some(value)) => Moments::Syscalls { at_most: positive(&value)? },
        ("sweep", Some(value)) => {
            let expected = "{from: 0ms, to: 1s, step: 20ms}";
            let mut fields = value.fields(expected)?;
            let mut from = Duration::ZERO;
            fields.set("from", &mut from, At::duration)?;
            let to = fields.required("to", &value, expected)?.duration()?;
            let step = fields.required("step", &value, expected)?;
            let width = step.duration()?;
            fields.done()?;
            if width.is_zero() || to < from || (to - from).as_micros() / width.as_micros().max(1) > MOST_STEPS {
                return Err(step.wrong(format!("more than 0, at most {MOST_STEPS} steps, and `from` not after `to`")));
            }
            Moments::Sweep { from, to, step: width }
        }
        _ => return Err(at.wrong(MOMENTS)),
    })
}

fn rules(at: &At<'_>) -> Result<Rules> {
    let mut fields = at.fields("rules such as {gone_within: 5s, exit: [0]}")?;
    let mut to = Rules::default();
    fields.set("gone_within", &mut to.gone_within, At::duration)?;
    fields.set("act_warn", &mut to.act_warn, At::duration)?;
    fields.set("act_fail", &mut to.act_fail, At::duration)?;
    fields.set("exit", &mut to.exit, |at| at.list("0, 128+n, by-signal", exit))?;
    fields.set("orphans", &mut to.orphans, severity)?;
    fields.set("ports", &mut to.ports, severity)?;
    fields.set("files", &mut to.files, severity)?;
    fields.set("locks", &mut to.locks, severity)?;
    fields.set("keyboard_interrupt", &mut to.keyboard_interrupt, severity)?;
    fields.set("packs", &mut to.packs, |at| {
        at.items().iter().map(|item| item.one_of(&Pack::ALL.map(|pack| (pack.name(), pack)))).collect()
    })?;
    fields.set("lines", &mut to.lines, |at| at.items().iter().map(own_line).collect())?;
    fields.done()?;
    if to.act_fail < to.act_warn {
        let shown = time::exact(to.act_warn);
        return Err(at.wrong(format!("an `act_fail` that is not shorter than `act_warn`, which is {shown}")));
    }
    Ok(to)
}

fn severity(at: &At<'_>) -> Result<Severity> {
    at.one_of(&[("fail", Severity::Failure), ("warn", Severity::Warning), ("note", Severity::Note)])
}

fn exit(at: &At<'_>) -> Result<ExitRule> {
    let expected = "0, another status up to 255, 128+n or by-signal";
    Ok(match at.text(expected)? {
        "128+n" => ExitRule::Plus128,
        "by-signal" => ExitRule::BySignal,
        _ => ExitRule::Status(at.number(expected)?),
    })
}

fn own_line(at: &At<'_>) -> Result<OwnLine> {
    let Value::Map(_) = at.node.value else {
        return Ok(OwnLine { pattern: regex(at)?, hint: None });
    };
    let expected = "a regular expression, or {line: REGEX, hint: text}";
    let mut fields = at.fields(expected)?;
    let pattern = regex(&fields.required("line", at, expected)?)?;
    let hint = fields.option("hint", |at| at.text("a text").map(str::to_owned))?;
    fields.done()?;
    Ok(OwnLine { pattern, hint })
}

fn resume(at: &At<'_>, within: Duration) -> Result<Resume> {
    let mut to = Resume { command: None, within, only_after_kill: false };
    if let Value::Text { .. } = at.node.value {
        return Ok(if at.bool()? { to } else { return Err(at.wrong("true, or leave the key out")) });
    }
    let mut fields = at.fields("true, or {command: …, within: 30s, only_after_kill: true}")?;
    to.command = fields.option("command", At::command)?;
    fields.set("within", &mut to.within, At::duration)?;
    fields.set("only_after_kill", &mut to.only_after_kill, At::bool)?;
    fields.done()?;
    Ok(to)
}

fn isolation(at: &At<'_>) -> Result<Isolation> {
    let wish = |at: &At<'_>| {
        at.one_of(&[("where-possible", Wish::WherePossible), ("required", Wish::Required), ("off", Wish::Off)])
    };
    if let Value::Text { .. } = at.node.value {
        let all = wish(at)?;
        return Ok(Isolation { processes: all, network: all, files: all, ipc: all });
    }
    let mut fields = at.fields("where-possible, required, off, or one of these for processes, network, files, ipc")?;
    let mut to = Isolation::default();
    fields.set("processes", &mut to.processes, wish)?;
    fields.set("network", &mut to.network, wish)?;
    fields.set("files", &mut to.files, wish)?;
    fields.set("ipc", &mut to.ipc, wish)?;
    fields.done()?;
    Ok(to)
}

/// Splits a command at spaces; quotes of both kinds keep what is within together. `None` where one does not end.
fn split(text: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in text.chars() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

/// The name that takes the fewest changes, if few enough.
fn nearest(word: &str, names: &[&'static str]) -> Option<&'static str> {
    let (distance, name) = names.iter().map(|name| (distance(word, name), *name)).min()?;
    (distance <= (word.len() / 3).max(1)).then_some(name)
}

/// Insertions, deletions, replacements and exchanges of neighbours that make one of the other (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let changed = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = changed.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}
