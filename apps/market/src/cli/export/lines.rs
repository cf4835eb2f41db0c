//! The lines: columns and what stands in them. Pure.

use market::{Level, Missing, StoredDepth, Summary, decimal, utc::iso};
use serde_json::{Map, Value, json};

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    Minutes,
    Levels,
    Depth,
    Gaps,
}

impl Of {
    /// As a person says it.
    pub(crate) fn named(name: &str) -> Self {
        match name {
            "levels" => Self::Levels,
            "depth" => Self::Depth,
            "gaps" => Self::Gaps,
            _ => Self::Minutes,
        }
    }

    /// The names of the columns.
    pub(crate) fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Minutes => &[
                "symbol", "minute", "state", "first_id", "last_id", "trades", "expected", "missing", "refilled", "buy",
                "sell", "delta", "levels",
            ],
            Self::Levels => &["symbol", "minute", "price", "buy", "sell", "delta", "trades"],
            Self::Depth => &["symbol", "time", "last_id", "side", "price", "quantity"],
            Self::Gaps => &["symbol", "after", "before", "first_id", "last_id", "trades", "state"],
        }
    }
}

/// One cell: a whole number, or text; nothing where it is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cell {
    Number(i64),
    Text(String),
    Nothing,
}

/// One line, in the order of the columns.
pub(crate) struct Line {
    of: Of,
    cells: Vec<Cell>,
}

impl Line {
    pub(crate) fn minute(minute: &Summary) -> Self {
        let Summary { symbol, begin_ms, ids, expected, refilled, state, total, levels, .. } = minute;
        let volume = |volume| Cell::Text(decimal(volume, minute.scale.quantity));
        let cells = vec![
            Cell::Text(symbol.clone()),
            Cell::Text(iso(*begin_ms)),
            Cell::Text(state.name().to_owned()),
            Cell::Number(ids.0),
            Cell::Number(ids.1),
            Cell::Number(total.trades),
            Cell::Number(*expected),
            Cell::Number(minute.missing()),
            Cell::Number(*refilled),
            volume(total.buy),
            volume(total.sell),
            volume(total.delta()),
            Cell::Number(*levels),
        ];
        Self { of: Of::Minutes, cells }
    }

    pub(crate) fn level(minute: &Summary, (price, level): &(i64, Level)) -> Self {
        let volume = |volume| Cell::Text(decimal(volume, minute.scale.quantity));
        let cells = vec![
            Cell::Text(minute.symbol.clone()),
            Cell::Text(iso(minute.begin_ms)),
            Cell::Text(decimal(*price, minute.scale.price)),
            volume(level.buy),
            volume(level.sell),
            volume(level.delta()),
            Cell::Number(level.trades),
        ];
        Self { of: Of::Levels, cells }
    }

    /// One price of an order book.
    pub(crate) fn price(book: &StoredDepth, side: &str, (price, quantity): &(i64, i64)) -> Self {
        let cells = vec![
            Cell::Text(book.symbol.clone()),
            Cell::Text(iso(book.time_ms)),
            Cell::Number(book.last_id),
            Cell::Text(side.to_owned()),
            Cell::Text(decimal(*price, book.scale.price)),
            Cell::Text(decimal(*quantity, book.scale.quantity)),
        ];
        Self { of: Of::Depth, cells }
    }

    pub(crate) fn missing(missing: &Missing) -> Self {
        let minute = |ms: Option<i64>| ms.map_or(Cell::Nothing, |ms| Cell::Text(iso(ms)));
        let cells = vec![
            Cell::Text(missing.symbol.clone()),
            minute(missing.between_ms.0),
            minute(missing.between_ms.1),
            Cell::Number(missing.ids.0),
            Cell::Number(missing.ids.1),
            Cell::Number(missing.trades()),
            Cell::Text(if missing.hole { "hole" } else { "open" }.to_owned()),
        ];
        Self { of: Of::Gaps, cells }
    }

    /// As RFC 4180 has it, without the end of the line.
    pub(crate) fn csv(&self) -> String {
        let cells: Vec<String> = self.cells.iter().map(csv).collect();
        cells.join(",")
    }

    /// An object with the columns as its keys.
    pub(crate) fn json(&self) -> String {
        let cell = |cell: &Cell| match cell {
            Cell::Number(number) => json!(number),
            Cell::Text(text) => json!(text),
            Cell::Nothing => Value::Null,
        };
        let names = self.of.columns().iter().map(ToString::to_string);
        Value::Object(names.zip(self.cells.iter().map(cell)).collect::<Map<_, _>>()).to_string()
    }
}

/// A whole book as an object.
pub(crate) fn book_json(book: &StoredDepth) -> String {
    let side = |side: &[(i64, i64)]| -> Vec<[String; 2]> {
        side.iter()
            .map(|(price, quantity)| [decimal(*price, book.scale.price), decimal(*quantity, book.scale.quantity)])
            .collect()
    };
    json!({
        "symbol": book.symbol,
        "time": iso(book.time_ms),
        "last_id": book.last_id,
        "bids": side(&book.bids),
        "asks": side(&book.asks),
    })
    .to_string()
}

fn csv(cell: &Cell) -> String {
    match cell {
        Cell::Number(number) => number.to_string(),
        Cell::Text(text) if text.contains([',', '"', '\r', '\n']) => format!("\"{}\"", text.replace('"', "\"\"")),
        Cell::Text(text) => text.clone(),
        Cell::Nothing => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_part_a_line_is_quoted() {
        let text = |text: &str| csv(&Cell::Text(text.to_owned()));
        assert_eq!([text("a"), text("a,b"), text("a\"b"), text("a\nb")], ["a", "\"a,b\"", "\"a\"\"b\"", "\"a\nb\""]);
        assert_eq!([csv(&Cell::Number(-7)), csv(&Cell::Nothing)], ["-7", ""]);
    }
}
