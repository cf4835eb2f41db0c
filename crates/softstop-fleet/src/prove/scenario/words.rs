//! What a scenario has besides texts and numbers: durations and commands.

use std::time::Duration;

use settings::{At, Result, Value};

use crate::prove::time;

const COMMAND: &str = "a command such as `python agent.py` or [python, agent.py]";

pub(super) trait Words {
    fn duration(&self) -> Result<Duration>;

    /// A program and its arguments.
    fn command(&self) -> Result<Vec<String>>;
}

impl Words for At<'_> {
    fn duration(&self) -> Result<Duration> {
        time::parse(self.text(time::ALLOWED)?).ok_or_else(|| self.wrong(time::ALLOWED))
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
