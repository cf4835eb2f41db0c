//! Minutes as people read them: in a table, or on a line each.

use crate::{Level, Summary, wire::decimal};

/// A table of minutes, and under each its levels where they are given; a line each, with a heading.
pub fn table(minutes: &[(Summary, Vec<(i64, Level)>)]) -> String {
    let mut rows =
        vec![["minute (UTC)", "symbol", "trades", "buy", "sell", "delta", "levels", "state"].map(str::to_owned)];
    let row = |at: &str, symbol: &str, Level { buy, sell, trades }, levels: String, state: String| {
        let [buy, sell, delta] = [buy, sell, buy - sell].map(decimal);
        [at.to_owned(), symbol.to_owned(), trades.to_string(), buy, sell, delta, levels, state]
    };
    for (minute, levels) in minutes {
        rows.push(row(&minute.begin, &minute.symbol, minute.total, minute.levels.to_string(), state(minute)));
        rows.extend(
            levels.iter().map(|(price, level)| {
                row(&format!("  at {}", decimal(*price)), "", *level, String::new(), String::new())
            }),
        );
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 8] = std::array::from_fn(width);
    let line = |row: &[String; 8]| {
        let cells = row.iter().zip(widths).enumerate().map(|(column, (cell, width))| match column {
            0 | 1 | 7 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

/// One finished minute on one line.
pub fn line(minute: &Summary) -> String {
    let Summary { begin, symbol, total: Level { buy, sell, trades }, .. } = minute;
    let [bought, sold, delta] = [*buy, *sell, buy - sell].map(decimal);
    let trades = count(*trades, "trade");
    format!("{begin} {symbol}: {trades}, {bought} bought, {sold} sold, delta {delta}, {}", state(minute))
}

/// `1 trade`, `2 trades`.
pub fn count(number: impl Into<i128>, of: &str) -> String {
    match number.into() {
        1 => format!("1 {of}"),
        number => format!("{number} {of}s"),
    }
}

fn state(minute: &Summary) -> String {
    match (minute.complete, minute.missing()) {
        (true, _) => "complete".into(),
        (false, 0) => "partial".into(),
        (false, missing) => format!("partial, {missing} missing"),
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
