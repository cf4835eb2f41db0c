//! `market status`: what a file holds and what is missing in it, also while it is being written.

use std::path::{Path, PathBuf};

use clap::{ArgMatches, Command, arg, value_parser};
use market::{Collected, FileStatus, Reader, table::count, utc::iso};
use serde_json::{Value, json};
use softstop::Result;

use super::{arguments::value, print};

pub(crate) fn command() -> Command {
    Command::new("status").about("Show what a file holds, what is missing, and whether it is being written").args([
        arg!(--db <FILE> "The SQLite file").value_parser(value_parser!(PathBuf)).default_value("market.db"),
        arg!(--json "For programs"),
    ])
}

pub(crate) fn run(matches: &ArgMatches) -> Result {
    let path = value::<PathBuf>(matches, "db");
    let status = Reader::open(&path)?.status(&path)?;
    print(if matches.get_flag("json") { json(&path, &status) } else { text(&path, &status) }.trim_end());
    Ok(())
}

/// No line is wider than 80 columns, but for the name of the file.
fn text(path: &Path, status: &FileStatus) -> String {
    let free = match status.free_bytes {
        0 => String::new(),
        free => format!(", {} of it free", bytes(free)),
    };
    let running = if status.running { "running" } else { "not running" };
    let mut text = format!("file       {}: {}{free}\ncollector  {running}\n", path.display(), bytes(status.bytes));
    for symbol in &status.symbols {
        text.push_str(&format!("\n{}\n", symbol.symbol));
        for (name, words) in lines(symbol) {
            text.push_str(&format!("  {name:<8} {words}\n"));
        }
    }
    text
}

fn lines(symbol: &Collected) -> Vec<(&'static str, String)> {
    let minute = |ms: i64| iso(ms).replace('T', " ")[..16].to_owned();
    let Some((first, last)) = symbol.span_ms else { return vec![("minutes", "none yet".to_owned())] };
    let span = format!("{}, from {} to {} UTC", symbol.minutes(), minute(first), minute(last));
    let states = [
        (symbol.complete, "complete"),
        (symbol.backfilled, "backfilled"),
        (symbol.holes, "hole at the exchange"),
        (symbol.partial, "partial"),
    ];
    let states: Vec<String> =
        states.iter().filter(|(number, _)| *number > 0).map(|(number, name)| format!("{number} {name}")).collect();
    let last_trade = symbol.last_trade_ms.map_or(String::new(), |ms| {
        format!(", the last one at {} UTC", iso(ms).replace('T', " ").trim_end_matches('Z'))
    });
    let mut lines =
        vec![("minutes", span), ("", states.join(", ")), ("trades", format!("{}{last_trade}", symbol.trades))];
    let ((open, to_fetch), (holes, lost)) = (symbol.to_fetch, symbol.not_to_be_had);
    if open > 0 {
        lines.push(("missing", format!("{} in {}, to be fetched", count(to_fetch, "trade"), count(open, "gap"))));
    }
    if holes > 0 {
        let name = if open > 0 { "" } else { "missing" };
        lines.push((name, format!("{} in {}, not to be had", count(lost, "trade"), count(holes, "hole"))));
    }
    lines.push(("journal", count(symbol.journal, "aggregated trade")));
    if symbol.books > 0 {
        lines.push(("books", symbol.books.to_string()));
    }
    lines
}

fn json(path: &Path, status: &FileStatus) -> String {
    let symbols = status.symbols.iter().map(|symbol| {
        let (first, last) = symbol.span_ms.map_or((None, None), |(first, last)| (Some(iso(first)), Some(iso(last))));
        json!({
            "symbol": symbol.symbol,
            "first_minute": first,
            "last_minute": last,
            "minutes": symbol.minutes(),
            "complete": symbol.complete,
            "backfilled": symbol.backfilled,
            "hole": symbol.holes,
            "partial": symbol.partial,
            "trades": symbol.trades,
            "last_trade": symbol.last_trade_ms.map(iso),
            "gaps": symbol.to_fetch.0,
            "missing": symbol.to_fetch.1,
            "holes": symbol.not_to_be_had.0,
            "lost": symbol.not_to_be_had.1,
            "journal": symbol.journal,
            "books": symbol.books,
        })
    });
    let value = json!({
        "file": path.display().to_string(),
        "bytes": status.bytes,
        "free_bytes": status.free_bytes,
        "running": status.running,
        "symbols": symbols.collect::<Vec<Value>>(),
    });
    format!("{value:#}")
}

/// `512 B`, `1.4 MB`.
fn bytes(bytes: u64) -> String {
    let units = ["kB", "MB", "GB", "TB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let (mut tenths, mut unit) = (bytes / 100, 0);
    while tenths >= 10_000 && unit + 1 < units.len() {
        (tenths, unit) = (tenths / 1000, unit + 1);
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collected() -> Collected {
        Collected {
            symbol: "NKNUSDT".to_owned(),
            span_ms: Some((1_633_998_480_000, 1_634_084_820_000)),
            complete: 100_400,
            backfilled: 30,
            holes: 1,
            partial: 9,
            trades: 1_234_567_890,
            last_trade_ms: Some(1_634_084_851_007),
            to_fetch: (2, 37),
            not_to_be_had: (1, 20),
            journal: 123,
            books: 144,
        }
    }

    #[test]
    fn the_text_says_everything_within_80_columns() {
        let (empty, symbols) = (Collected { symbol: "BTCUSDT".to_owned(), ..Collected::default() }, collected());
        let status = FileStatus { bytes: 1_456_789, free_bytes: 8192, running: true, symbols: vec![empty, symbols] };

        let text = text(Path::new("m.db"), &status);

        assert_eq!(
            text,
            "file       m.db: 1.4 MB, 8.1 kB of it free\n\
             collector  running\n\
             \n\
             BTCUSDT\n\
             \x20 minutes  none yet\n\
             \n\
             NKNUSDT\n\
             \x20 minutes  100440, from 2021-10-12 00:28 to 2021-10-13 00:27 UTC\n\
             \x20          100400 complete, 30 backfilled, 1 hole at the exchange, 9 partial\n\
             \x20 trades   1234567890, the last one at 2021-10-13 00:27:31.007 UTC\n\
             \x20 missing  37 trades in 2 gaps, to be fetched\n\
             \x20          20 trades in 1 hole, not to be had\n\
             \x20 journal  123 aggregated trades\n\
             \x20 books    144\n"
        );
        assert!(text.lines().all(|line| line.chars().count() <= 80));
    }

    #[test]
    fn sizes_are_short() {
        let said = [0, 999, 1000, 1_456_789, 999_949_999, 12_345_678_901, 5_000_000_000_000_000].map(bytes);
        assert_eq!(said, ["0 B", "999 B", "1.0 kB", "1.4 MB", "999.9 MB", "12.3 GB", "5000.0 TB"]);
    }
}
