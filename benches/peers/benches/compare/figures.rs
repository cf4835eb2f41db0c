//! What was measured, round by round, and what is made of it.

use std::collections::BTreeMap;

use serde_json::Value;

/// The figures of one sample, by name.
pub(crate) struct Figures(BTreeMap<String, f64>);

impl Figures {
    /// Takes a JSON object of numbers.
    pub(crate) fn from_json(line: &Value) -> Option<Self> {
        let figures = line.as_object()?.iter().map(|(name, value)| Some((name.clone(), value.as_f64()?)));
        figures.collect::<Option<_>>().map(Self)
    }

    fn named(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or(f64::NAN)
    }
}

/// The samples of one peer in the order of the rounds.
#[derive(Default)]
pub(crate) struct Series(Vec<Figures>);

impl Series {
    pub(crate) fn push(&mut self, figures: Figures) {
        self.0.push(figures);
    }

    pub(crate) fn median(&self, name: &str) -> f64 {
        median(self.each(name))
    }

    pub(crate) fn least(&self, name: &str) -> f64 {
        self.each(name).fold(f64::INFINITY, f64::min)
    }

    /// The median of the ratios to `other` in the same round.
    pub(crate) fn ratio(&self, other: &Self, name: &str) -> f64 {
        median(self.each(name).zip(other.each(name)).map(|(a, b)| a / b))
    }

    fn each(&self, name: &str) -> impl Iterator<Item = f64> {
        self.0.iter().map(move |figures| figures.named(name))
    }
}

/// The middle one; of an even number the upper of the two in the middle.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A table in Markdown.
pub(crate) fn table<const COLUMNS: usize>(head: [&str; COLUMNS], rows: Vec<[String; COLUMNS]>) -> String {
    let line = |cells: Vec<&str>| format!("| {} |", cells.join(" | "));
    let rule = line(vec!["---"; COLUMNS]);
    let rows = rows.iter().map(|row| line(row.iter().map(String::as_str).collect()));
    [line(head.to_vec()), rule].into_iter().chain(rows).collect::<Vec<_>>().join("\n")
}

/// A number with its thousands apart: `1,234,567`.
pub(crate) fn grouped(number: f64) -> String {
    let digits = format!("{:.0}", number.abs());
    let mut text = if number < -0.5 { "-".to_owned() } else { String::new() };
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
