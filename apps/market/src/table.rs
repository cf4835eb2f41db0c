//! Minutes as people read them: in a table, or on a line each.

use crate::{Level, State, Summary, scale::decimal};

/// A table of minutes, and under each its levels where they are given; a line each, with a heading. With five decimal places it fits into 80
/// columns: how many levels there are, the export says.
pub fn table(minutes: &[(Summary, Vec<(i64, Level)>)]) -> String {
    let mut rows = vec![["minute (UTC)", "symbol", "trades", "buy", "sell", "delta", "state"].map(str::to_owned)];
    for (minute, levels) in minutes {
        let row = |at: &str, symbol: &str, level: &Level, state: String| {
            let volume = |volume| decimal(volume, minute.scale.quantity);
            let [buy, sell, delta] = [level.buy, level.sell, level.delta()].map(volume);
            [at.to_owned(), symbol.to_owned(), level.trades.to_string(), buy, sell, delta, state]
        };
        rows.push(row(&minute.begin, &minute.symbol, &minute.total, short(minute)));
        rows.extend(levels.iter().map(|(price, level)| {
            row(&format!("  at {}", decimal(*price, minute.scale.price)), "", level, String::new())
        }));
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 7] = std::array::from_fn(width);
    let line = |row: &[String; 7]| {
        let cells = row.iter().zip(widths).enumerate().map(|(column, (cell, width))| match column {
            0 | 1 | 6 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

/// One finished minute on one line.
pub fn line(minute: &Summary) -> String {
    let Summary { begin, symbol, total, .. } = minute;
    let [bought, sold, delta] =
        [total.buy, total.sell, total.delta()].map(|volume| decimal(volume, minute.scale.quantity));
    let trades = count(total.trades, "trade");
    format!("{begin} {symbol}: {trades}, {bought} bought, {sold} sold, delta {delta}, {}", state(minute))
}

/// `1 trade`, `2 trades`.
pub fn count(number: impl Into<i128>, of: &str) -> String {
    match number.into() {
        1 => format!("1 {of}"),
        number => format!("{number} {of}s"),
    }
}

/// In one or two words.
fn short(minute: &Summary) -> String {
    match (minute.state, minute.missing()) {
        (State::Hole, 1..) => format!("hole of {}", minute.missing()),
        // What is missing lies between it and its neighbour.
        (State::Hole, _) => "hole beside".to_owned(),
        (_, 1..) => format!("{} missing", minute.missing()),
        (state, _) => state.name().to_owned(),
    }
}

fn state(minute: &Summary) -> String {
    let state = match minute.state {
        State::Hole => "hole at the exchange",
        state => state.name(),
    };
    match minute.missing() {
        0 => state.to_owned(),
        missing => format!("{state}, {missing} missing"),
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
