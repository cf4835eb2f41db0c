//! Formats of Python's logging: `%(levelname)-8s %(message)s`. Pure.

use std::borrow::Cow;

use market::{config::Level, utc::iso};

/// What stands for the name of a logger, a module, a file, a function: this program has one.
const NAME: &str = "market";

/// What a line is made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record<'a> {
    /// Since 1970.
    pub(super) time_ms: i64,
    pub(super) level: Level,
    pub(super) message: &'a str,
}

/// A format that was understood.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Format(Vec<Piece>);

#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Text(String),
    Field(Field, Shape),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Time,
    Created,
    Msecs,
    Relative,
    LevelName,
    LevelNumber,
    Message,
    Name,
    Line,
    Process,
    ProcessName,
    ThreadName,
}

const FIELDS: [(&str, Field); 16] = [
    ("asctime", Field::Time),
    ("created", Field::Created),
    ("msecs", Field::Msecs),
    ("relativeCreated", Field::Relative),
    ("levelname", Field::LevelName),
    ("levelno", Field::LevelNumber),
    ("message", Field::Message),
    ("name", Field::Name),
    ("module", Field::Name),
    ("filename", Field::Name),
    ("pathname", Field::Name),
    ("funcName", Field::Name),
    ("lineno", Field::Line),
    ("process", Field::Process),
    ("processName", Field::ProcessName),
    ("threadName", Field::ThreadName),
];

/// What stands between the name of a field and its letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shape {
    left: bool,
    zeros: bool,
    width: usize,
    precision: Option<usize>,
    kind: char,
}

/// What a field holds.
enum Value<'a> {
    Text(Cow<'a, str>),
    Number(f64),
}

impl Format {
    /// # Errors
    /// What is wrong with it, and what may stand there.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let (mut pieces, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some((before, after)) = rest.split_once('%') {
            plain.push_str(before);
            if let Some(after) = after.strip_prefix('%') {
                plain.push('%');
                rest = after;
                continue;
            }
            let (name, after) = after
                .strip_prefix('(')
                .and_then(|after| after.split_once(')'))
                .ok_or("`%` begins a field, such as %(message)s; write %% for the sign itself")?;
            let field = FIELDS.iter().find(|(known, _)| *known == name).map(|(_, field)| *field).ok_or_else(|| {
                let known: Vec<&str> = FIELDS.iter().map(|(known, _)| *known).collect();
                format!("there is no field `{name}`; there are {}", known.join(", "))
            })?;
            let (shape, after) = Shape::read(after).ok_or_else(|| {
                format!(
                    "after %({name}) comes a letter such as s, d or f, before it at most flags and a width up to 200"
                )
            })?;
            pieces.extend([Piece::Text(std::mem::take(&mut plain)), Piece::Field(field, shape)]);
            rest = after;
        }
        plain.push_str(rest);
        pieces.push(Piece::Text(plain));
        Ok(Self(pieces))
    }

    pub(super) fn line(&self, record: &Record<'_>) -> String {
        let mut line = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => line.push_str(text),
                Piece::Field(field, shape) => shape.write(&mut line, &field.of(record)),
            }
        }
        line
    }
}

impl Field {
    fn of<'a>(self, record: &Record<'a>) -> Value<'a> {
        let Record { time_ms, level, message } = *record;
        let ms = time_ms.rem_euclid(1000);
        match self {
            // As Python's: a space between date and time, a comma before the milliseconds.
            Self::Time => {
                let second = iso(time_ms - ms).replace('T', " ");
                Value::Text(format!("{},{ms:03}", second.trim_end_matches('Z')).into())
            }
            Self::Created => Value::Number(time_ms as f64 / 1000.0),
            Self::Msecs => Value::Number(ms as f64),
            Self::LevelName => Value::Text(name(level).into()),
            Self::LevelNumber => Value::Number(f64::from(10 * (level as u32 + 1))),
            Self::Message => Value::Text(message.into()),
            Self::Name => Value::Text(NAME.into()),
            Self::Line | Self::Relative => Value::Number(0.0),
            Self::Process => Value::Number(f64::from(std::process::id())),
            Self::ProcessName => Value::Text("MainProcess".into()),
            Self::ThreadName => Value::Text("MainThread".into()),
        }
    }
}

/// As Python calls it.
fn name(level: Level) -> &'static str {
    match level {
        Level::Debug => "DEBUG",
        Level::Info => "INFO",
        Level::Warning => "WARNING",
        Level::Error => "ERROR",
        Level::Critical => "CRITICAL",
    }
}

impl Shape {
    fn read(text: &str) -> Option<(Self, &str)> {
        let rest = text.trim_start_matches(['-', '0', '+', ' ', '#']);
        let flags = &text[..text.len() - rest.len()];
        let (width, rest) = number(rest);
        let (precision, rest) = match rest.strip_prefix('.') {
            Some(rest) => {
                let (precision, rest) = number(rest);
                (Some(precision.unwrap_or(0)), rest)
            }
            None => (None, rest),
        };
        let kind = rest.chars().next().filter(|kind| "sdifr".contains(*kind))?;
        let (left, zeros, width) = (flags.contains('-'), flags.contains('0'), width.unwrap_or(0));
        let shape = Self { left, zeros, width, precision, kind };
        (width <= 200 && precision.unwrap_or(0) <= 200).then_some((shape, &rest[1..]))
    }

    fn write(self, line: &mut String, value: &Value<'_>) {
        let text = match (value, self.kind) {
            (Value::Number(number), 'd' | 'i') => format!("{number:.0}"),
            (Value::Number(number), 'f') => format!("{number:.*}", self.precision.unwrap_or(6)),
            (Value::Number(number), _) => number.to_string(),
            (Value::Text(text), _) => text.chars().take(self.precision.unwrap_or(usize::MAX)).collect(),
        };
        let room = self.width.saturating_sub(text.chars().count());
        let fill = |with: &str| with.repeat(room);
        match (self.left, self.zeros && matches!(value, Value::Number(_))) {
            (true, _) => line.extend([text, fill(" ")]),
            (false, true) => line.extend([fill("0"), text]),
            (false, false) => line.extend([fill(" "), text]),
        }
    }
}

/// The number at the beginning; one that is too long is too large.
fn number(text: &str) -> (Option<usize>, &str) {
    let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits = &text[..text.len() - rest.len()];
    ((!digits.is_empty()).then(|| digits.parse().unwrap_or(usize::MAX)), rest)
}

#[cfg(test)]
#[path = "format_tests.rs"]
mod tests;
