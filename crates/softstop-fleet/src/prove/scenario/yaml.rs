//! A YAML text as a tree that knows its lines. No tags, anchors or aliases: a scenario is written out, and cannot explode.

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::ScenarioError;

/// Deeper than any scenario is.
const DEEPEST: usize = 12;

/// A value and where it begins.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) value: Value,
}

#[derive(Debug, Clone)]
pub(super) enum Value {
    /// `plain`: without quotes, so that nothing, `~` and `null` are no text.
    Text {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Text { text, plain: true } if matches!(text.as_str(), "" | "~" | "null"))
    }

    /// For messages.
    pub(super) fn shown(&self) -> String {
        match &self.value {
            Value::Text { text, .. } if text.is_empty() => "nothing".to_owned(),
            Value::Text { text, .. } => format!("`{:.60}`", text.lines().next().unwrap_or_default()),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a mapping".to_owned(),
        }
    }
}

/// Reads the one document of a text; an empty one is an empty mapping.
pub(super) fn load(text: &str) -> Result<Node, ScenarioError> {
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
    fn next(&mut self) -> Result<Event<'a>, ScenarioError> {
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

    fn wrong(&self, expected: &str) -> ScenarioError {
        ScenarioError { line: self.line, key: String::new(), value: String::new(), expected: expected.to_owned() }
    }

    fn node(&mut self, event: Event<'a>, depth: usize) -> Result<Node, ScenarioError> {
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
