//! Reads values of a tree: each knows its line and the path of its key, and says what to write where it is wrong.

use std::{fmt, str::FromStr};

use crate::{Node, Value};

/// A file that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// The line in the file, from 1.
    pub line: usize,
    /// The key with its path, as `rules.gone_within`; empty where the text is no YAML.
    pub key: String,
    /// What stands there, quoted; empty where that says nothing.
    pub value: String,
    /// What to write instead.
    pub expected: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, key, value, expected } = self;
        match (key.is_empty(), value.is_empty()) {
            (true, _) => write!(f, "line {line}: expected {expected}"),
            (false, true) => write!(f, "line {line}: `{key}`: {expected}"),
            (false, false) => write!(f, "line {line}: `{key}` is {value}; write {expected}"),
        }
    }
}

impl std::error::Error for Error {}

/// What reading gives.
pub type Result<T> = std::result::Result<T, Error>;

/// A node and the path to it.
#[derive(Debug, Clone)]
pub struct At<'a> {
    /// The node.
    pub node: &'a Node,
    /// Such as `rules.gone_within`; empty for the whole file.
    pub path: String,
}

impl<'a> At<'a> {
    /// The whole file.
    pub fn root(node: &'a Node) -> Self {
        Self { node, path: String::new() }
    }

    /// The error that something else is expected here.
    pub fn wrong(&self, expected: impl Into<String>) -> Error {
        let (line, key) = (self.node.line, self.path.clone());
        Error { line, key, value: self.node.shown(), expected: expected.into() }
    }

    /// A text that is not empty.
    ///
    /// # Errors
    /// It is something else; the error says `expected`.
    pub fn text(&self, expected: &str) -> Result<&'a str> {
        match &self.node.value {
            Value::Text { text, .. } if !text.is_empty() => Ok(text),
            _ => Err(self.wrong(expected)),
        }
    }

    /// A number.
    ///
    /// # Errors
    /// It is something else; the error says `expected`.
    pub fn number<N: FromStr>(&self, expected: &str) -> Result<N> {
        self.text(expected)?.parse().map_err(|_| self.wrong(expected))
    }

    /// `true` or `false`; `yes` and `no` are read too.
    ///
    /// # Errors
    /// It is something else.
    pub fn bool(&self) -> Result<bool> {
        match self.text("true or false")?.to_ascii_lowercase().as_str() {
            "true" | "yes" => Ok(true),
            "false" | "no" => Ok(false),
            _ => Err(self.wrong("true or false")),
        }
    }

    /// What stands beside one of these words.
    ///
    /// # Errors
    /// It is none of them; the error lists them.
    pub fn one_of<T: Copy>(&self, words: &[(&str, T)]) -> Result<T> {
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let expected = names.join(" or ");
        let text = self.text(&expected)?;
        let found = words.iter().find(|(word, _)| *word == text);
        found.map(|(_, value)| *value).ok_or_else(|| self.wrong(expected))
    }

    /// The items of a list, or the one value that stands where a list could.
    pub fn items(&self) -> Vec<At<'a>> {
        match &self.node.value {
            Value::List(items) => {
                let item = |(at, node)| At { node, path: format!("{}[{at}]", self.path) };
                items.iter().enumerate().map(item).collect()
            }
            _ => vec![At { node: self.node, path: self.path.clone() }],
        }
    }

    /// What `read` makes of each item, at least one.
    ///
    /// # Errors
    /// There is none, or `read` fails.
    pub fn list<T>(&self, expected: &str, read: impl Fn(&At<'a>) -> Result<T>) -> Result<Vec<T>> {
        let items = self.items().iter().map(read).collect::<Result<Vec<T>>>()?;
        if items.is_empty() { Err(self.wrong(format!("at least one of {expected}"))) } else { Ok(items) }
    }

    /// The keys of a mapping.
    ///
    /// # Errors
    /// It is something else; the error says `expected`.
    pub fn fields(&self, expected: &str) -> Result<Fields<'a>> {
        match &self.node.value {
            Value::Map(fields) => {
                Ok(Fields { fields, line: self.node.line, path: self.path.clone(), asked: Vec::new() })
            }
            _ => Err(self.wrong(expected)),
        }
    }

    /// A word alone, or a mapping of one key such as `quiet: 500ms`.
    ///
    /// # Errors
    /// It is something else; the error says `expected`.
    pub fn word(&self, expected: &str) -> Result<(&'a str, Option<At<'a>>)> {
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

/// A mapping whose keys are asked for one after the other; at the end it knows those that were not.
#[derive(Debug)]
pub struct Fields<'a> {
    fields: &'a [(String, Node)],
    line: usize,
    path: String,
    asked: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    /// The path of a key.
    pub fn path(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// The value of a key, unless it is left out or `null`.
    pub fn find(&mut self, key: &'static str) -> Option<At<'a>> {
        self.asked.push(key);
        let (_, node) = self.fields.iter().find(|(name, _)| name == key)?;
        (!node.is_null()).then(|| At { node, path: self.path(key) })
    }

    /// Writes the value of a key over what stands in `place`, unless the key is left out.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn set<T>(&mut self, key: &'static str, place: &mut T, read: impl Fn(&At<'a>) -> Result<T>) -> Result<()> {
        if let Some(at) = self.find(key) {
            *place = read(&at)?;
        }
        Ok(())
    }

    /// The value of a key, if it is there.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn option<T>(&mut self, key: &'static str, read: impl Fn(&At<'a>) -> Result<T>) -> Result<Option<T>> {
        self.find(key).map(|at| read(&at)).transpose()
    }

    /// The value of a key that has to be there.
    ///
    /// # Errors
    /// It is left out; the error says `expected`.
    pub fn required(&mut self, key: &'static str, expected: &str) -> Result<At<'a>> {
        let (line, path) = (self.line, self.path.clone());
        self.find(key).ok_or_else(|| {
            let expected = format!("{expected}, with the key `{key}`");
            Error { line, key: path, value: "a mapping".to_owned(), expected }
        })
    }

    /// Whatever was not asked for is an error.
    ///
    /// # Errors
    /// The first such key, with the one that may be meant.
    pub fn done(self) -> Result<()> {
        self.unknown().into_iter().next().map_or(Ok(()), Err)
    }

    /// Every key that was not asked for, with the one that may be meant: for a program that goes on without them.
    pub fn unknown(&self) -> Vec<Error> {
        let not_asked = self.fields.iter().filter(|(key, _)| !self.asked.contains(&key.as_str()));
        let unknown = not_asked.map(|(key, node)| {
            let expected = match nearest(key, &self.asked) {
                Some(near) => format!("there is no such key; did you mean `{near}`?"),
                None => format!("there is no such key; there are {}", self.asked.join(", ")),
            };
            Error { line: node.line, key: self.path(key), value: String::new(), expected }
        });
        unknown.collect()
    }
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
