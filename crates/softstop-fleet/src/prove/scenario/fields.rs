//! Reads values of a tree: each knows its line and the path of its key, and says what to write where it is wrong.

use std::{fmt, str::FromStr, time::Duration};

use super::yaml::{Node, Value};
use crate::prove::time;

const COMMAND: &str = "a command such as `python agent.py` or [python, agent.py]";

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

pub(super) type Result<T> = std::result::Result<T, ScenarioError>;

/// A node and the path to it.
pub(super) struct At<'a> {
    pub(super) node: &'a Node,
    pub(super) path: String,
}

impl<'a> At<'a> {
    pub(super) fn wrong(&self, expected: impl Into<String>) -> ScenarioError {
        let (line, key) = (self.node.line, self.path.clone());
        ScenarioError { line, key, value: self.node.shown(), expected: expected.into() }
    }

    pub(super) fn text(&self, expected: &str) -> Result<&'a str> {
        match &self.node.value {
            Value::Text { text, .. } if !text.is_empty() => Ok(text),
            _ => Err(self.wrong(expected)),
        }
    }

    pub(super) fn duration(&self) -> Result<Duration> {
        time::parse(self.text(time::ALLOWED)?).ok_or_else(|| self.wrong(time::ALLOWED))
    }

    pub(super) fn number<N: FromStr>(&self, expected: &str) -> Result<N> {
        self.text(expected)?.parse().map_err(|_| self.wrong(expected))
    }

    pub(super) fn bool(&self) -> Result<bool> {
        match self.text("true or false")? {
            "true" | "yes" => Ok(true),
            "false" | "no" => Ok(false),
            _ => Err(self.wrong("true or false")),
        }
    }

    pub(super) fn one_of<T: Copy>(&self, words: &[(&str, T)]) -> Result<T> {
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let expected = names.join(" or ");
        let text = self.text(&expected)?;
        let found = words.iter().find(|(word, _)| *word == text);
        found.map(|(_, value)| *value).ok_or_else(|| self.wrong(expected))
    }

    /// The items of a list, or the one value that stands where a list could.
    pub(super) fn items(&self) -> Vec<At<'a>> {
        match &self.node.value {
            Value::List(items) => {
                let item = |(at, node)| At { node, path: format!("{}[{at}]", self.path) };
                items.iter().enumerate().map(item).collect()
            }
            _ => vec![At { node: self.node, path: self.path.clone() }],
        }
    }

    pub(super) fn list<T>(&self, expected: &str, read: impl Fn(&At<'a>) -> Result<T>) -> Result<Vec<T>> {
        let items = self.items().iter().map(read).collect::<Result<Vec<T>>>()?;
        if items.is_empty() { Err(self.wrong(format!("at least one of {expected}"))) } else { Ok(items) }
    }

    pub(super) fn command(&self) -> Result<Vec<String>> {
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

    pub(super) fn fields(&self, expected: &str) -> Result<Fields<'a>> {
        match &self.node.value {
            Value::Map(fields) => Ok(Fields { fields, path: self.path.clone(), asked: Vec::new() }),
            _ => Err(self.wrong(expected)),
        }
    }

    /// A word alone, or a mapping of one key such as `quiet: 500ms`.
    pub(super) fn word(&self, expected: &str) -> Result<(&'a str, Option<At<'a>>)> {
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
pub(super) struct Fields<'a> {
    fields: &'a [(String, Node)],
    path: String,
    asked: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    pub(super) fn path(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// The value of a key, unless it is left out or `null`.
    pub(super) fn find(&mut self, key: &'static str) -> Option<At<'a>> {
        self.asked.push(key);
        let (_, node) = self.fields.iter().find(|(name, _)| name == key)?;
        (!node.is_null()).then(|| At { node, path: self.path(key) })
    }

    /// Writes the value of a key over what stands in `place`.
    pub(super) fn set<T>(
        &mut self,
        key: &'static str,
        place: &mut T,
        read: impl Fn(&At<'a>) -> Result<T>,
    ) -> Result<()> {
        if let Some(at) = self.find(key) {
            *place = read(&at)?;
        }
        Ok(())
    }

    pub(super) fn option<T>(&mut self, key: &'static str, read: impl Fn(&At<'a>) -> Result<T>) -> Result<Option<T>> {
        self.find(key).map(|at| read(&at)).transpose()
    }

    pub(super) fn required(&mut self, key: &'static str, of: &At<'_>, expected: &str) -> Result<At<'a>> {
        self.find(key).ok_or_else(|| of.wrong(format!("{expected}, with the key `{key}`")))
    }

    /// Whatever was not asked for is an error.
    pub(super) fn done(self) -> Result<()> {
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
