//! `market export`: what a file holds as CSV or as JSON, a line each.
//!
//! The file is read in pages, each at one moment, so that memory stays flat and who collects meanwhile waits for nobody. The lines of a
//! symbol stand together, the oldest first.

mod lines;
mod sink;

use std::path::PathBuf;

use clap::{ArgMatches, Command, arg, value_parser};
use market::{Reader, symbol, utc};
use softstop::Result;

use self::{
    lines::{Line, Of},
    sink::{Closed, Sink},
};
use super::arguments::value;

/// Minutes in a page; of what has many lines, so many times fewer.
const PAGE: u32 = 256;

pub(crate) fn command() -> Command {
    Command::new("export")
        .about("Write minutes, levels, order books or gaps as CSV or JSON lines; also while they are collected")
        .after_help(AFTER)
        .args([
            arg!(--db <FILE> "The SQLite file").value_parser(value_parser!(PathBuf)).default_value("market.db"),
            arg!(--format <FORMAT> "How").value_parser(["csv", "jsonl"]).default_value("csv"),
            arg!(--what <WHAT> "What").value_parser(["minutes", "levels", "depth", "gaps"]).default_value("minutes"),
            arg!(--symbol <S> "Only this symbol").value_parser(symbol),
            arg!(--from <TIME> "From this time on, such as 2021-10-12 or 2021-10-12T00:28, in UTC")
                .value_parser(utc::parse),
            arg!(--to <TIME> "Up to this time, which is not in it").value_parser(utc::parse),
            arg!(--out <FILE> "Into this file, which is there when it is whole [default: to stdout]")
                .value_parser(value_parser!(PathBuf)),
        ])
}

const AFTER: &str = "\
Columns, which stay as they are; times are UTC, prices and volumes exact decimals, in JSON as text:
  minutes  symbol, minute, state, first_id, last_id, trades, expected, missing, refilled, buy, sell, delta, levels
  levels   symbol, minute, price, buy, sell, delta, trades
  depth    symbol, time, last_id, side, price, quantity; in JSON a line per book, with bids and asks, the best first
  gaps     symbol, after, before, first_id, last_id, trades, state (open or hole); after and before are the minutes around it

Exit status: 0 written, or the reader has gone; 1 failed; 78 wrong arguments.";

/// What is asked for.
struct Asked {
    symbols: Vec<String>,
    of: Of,
    from_ms: i64,
    to_ms: i64,
}

pub(crate) fn run(matches: &ArgMatches) -> Result {
    let reader = Reader::open(&value::<PathBuf>(matches, "db"))?;
    let symbols = match matches.get_one::<String>("symbol") {
        Some(symbol) => vec![symbol.clone()],
        None => reader.symbols()?,
    };
    let asked = Asked {
        symbols,
        of: Of::named(&value::<String>(matches, "what")),
        from_ms: matches.get_one("from").copied().unwrap_or(i64::MIN),
        to_ms: matches.get_one("to").copied().unwrap_or(i64::MAX),
    };
    let csv = value::<String>(matches, "format") == "csv";
    let mut sink = Sink::new(matches.get_one::<PathBuf>("out"), csv)?;
    match write(&reader, &asked, &mut sink) {
        Ok(()) => sink.finish(),
        // Who reads has had enough.
        Err(error) if error.is::<Closed>() => Ok(()),
        Err(error) => Err(error),
    }
}

fn write(reader: &Reader, asked: &Asked, sink: &mut Sink) -> Result {
    sink.head(asked.of)?;
    for symbol in &asked.symbols {
        match asked.of {
            Of::Minutes => pages(asked, |from, to| {
                let minutes = reader.minutes_between(symbol, from, to, PAGE)?;
                minutes.iter().try_for_each(|minute| sink.line(&Line::minute(minute)))?;
                Ok(minutes.last().map(|minute| minute.begin_ms))
            })?,
            Of::Levels => pages(asked, |from, to| {
                let minutes = reader.levels_between(symbol, from, to, PAGE / 16)?;
                for (minute, levels) in &minutes {
                    levels.iter().try_for_each(|level| sink.line(&Line::level(minute, level)))?;
                }
                Ok(minutes.last().map(|(minute, _)| minute.begin_ms))
            })?,
            Of::Depth => pages(asked, |from, to| {
                let books = reader.depth_between(symbol, from, to, 1)?;
                books.iter().try_for_each(|book| sink.book(book))?;
                Ok(books.last().map(|book| book.time_ms))
            })?,
            Of::Gaps => {
                let missing = reader.missing(Some(symbol))?.into_iter();
                let inside = |(after, before): (Option<i64>, Option<i64>)| {
                    before.is_none_or(|before| before >= asked.from_ms) && after.is_none_or(|after| after < asked.to_ms)
                };
                missing
                    .filter(|missing| inside(missing.between_ms))
                    .try_for_each(|missing| sink.line(&Line::missing(&missing)))?;
            }
        }
    }
    Ok(())
}

/// Page by page, each from right behind where the last one ended.
fn pages(asked: &Asked, mut page: impl FnMut(i64, i64) -> Result<Option<i64>>) -> Result {
    let mut from_ms = asked.from_ms;
    while let Some(last) = page(from_ms, asked.to_ms)? {
        from_ms = last + 1;
    }
    Ok(())
}
