//! A YAML text as a tree that knows its lines.

use saphyr_parser::{Event, Parser, ScalarStyle};

use crate::Error;

/// Deeper than any settings are.
const DEEPEST: usize = 12;

/// A value and where it begins.
#[derive(Debug, Clone)]
pub struct Node {
    /// From 1.
    pub line: usize,
    /// What stands there.
    pub value: Value,
}

/// A value.
#[derive(Debug, Clone)]
pub enum Value {
    /// One value: a text, a number, a word.
    Text {
        /// As it is written, without quotes.
        text: String,
        /// Without quotes, so that nothing, `~` and `null` are no text.
        plain: bool,
    },
    /// A list, in its order; may be empty.
    List(Vec<Node>),
    /// A mapping, in its order; every key once; may be empty.
    Map(Vec<(String, Node)>),
}

impl Node {
    /// Whether nothing stands there.
    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Text { text, plain: true } if matches!(text.as_str(), "" | "~" | "null"))
    }

    /// For messages: short, one line.
    pub fn shown(&self) -> String {
        match &self.value {
            Value::Text { text, .. } if text.is_empty() => "nothing".to_owned(),
            Value::Text { text, .. } => format!("`{:.60}`", text.lines().next().unwrap_or_default()),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a mapping".to_owned(),
        }
    }
}

/// Reads the one document of a text; an empty one is an empty mapping.
///
/// # Errors
/// It is no YAML, or has what is not read here; the error names the line.
pub fn load(text: &str) -> Result<Node, Error> {
    let mut reader = Reader { parser: Parser::new_from_str(text), line: 1 };
    let mut root = None;
    loop {
        match reader.next()? {
            Event::StreamEnd => break,
            Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
            _ if root.is_some() => return Err(reader.wrong("one document, without `---` in the middle")),
            event => root = Some(reader.node(event, 0)?),
        }
    }
    Ok(root.filter(|node| !node.is_null()).unwrap_or(Node { line: 1, value: Value::Map(Vec::new()) }))
}

struct Reader<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    line: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<Event<'a>, Error> {
        match self.parser.next() {
            Some(Ok((event, span))) => {
                self.line = span.start.line();
                Ok(event)
            }
            Some(Err(error)) => {
                self.line = error.marker().line();
                Err(self.wrong(&format!("YAML: {}", error.info())))
            }
            None => Ok(Event::StreamEnd),
        }
    }

    fn wrong(&self, expected: &str) -> Error {
        Error { line: self.line, key: String::new(), value: String::new(), expected: expected.to_owned() }
    }

    fn node(&mut self, event: Event<'a>, depth: usize) -> Result<Node, Error> {
        let line = self.line;
        if depth > DEEPEST {
            return Err(self.wrong(&format!("at most {DEEPEST} levels within each other")));
        }
        let value = match event {
            Event::Scalar(text, style, 0, None) => {
                Value::Text { text: text.into_owned(), plain: style == ScalarStyle::Plain }
            }
            Event::SequenceStart(0, None) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        Event::SequenceEnd => break Value::List(items),
                        event => items.push(self.node(event, depth + 1)?),
                    }
                }
            }
            Event::MappingStart(0, None) => {
                let mut fields: Vec<(String, Node)> = Vec::new();
                loop {
                    let key = match self.next()? {
                        Event::MappingEnd => break Value::Map(fields),
                        event => self.node(event, depth + 1)?,
                    };
                    let Value::Text { text, .. } = key.value else {
                        return Err(self.wrong("a word before the colon"));
                    };
                    if fields.iter().any(|(known, _)| *known == text) {
                        return Err(self.wrong(&format!("the key `{text}` once; it is here a second time")));
                    }
                    let event = self.next()?;
                    let mut node = self.node(event, depth + 1)?;
                    // Where nothing follows the colon, the parser's place is that of the next line.
                    if node.is_null() {
                        node.line = key.line;
                    }
                    fields.push((text, node));
                }
            }
            Event::Alias(_) => return Err(self.wrong("the value itself: aliases (`*name`) are not read")),
            Event::Scalar(..) | Event::SequenceStart(..) | Event::MappingStart(..) => {
                return Err(self.wrong("plain values: tags (`!name`) and anchors (`&name`) are not read"));
            }
            _ => return Err(self.wrong("a value")),
        };
        Ok(Node { line, value })
    }
}
