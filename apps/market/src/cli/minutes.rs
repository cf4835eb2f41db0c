//! `market minutes`.

use std::path::PathBuf;

use clap::ArgMatches;
use market::{Reader, table};
use softstop::Result;

use super::{arguments::value, print};

pub(crate) fn run(matches: &ArgMatches) -> Result {
    let reader = Reader::open(&value::<PathBuf>(matches, "db"))?;
    let symbol = matches.get_one::<String>("symbol");
    let mut rows = Vec::new();
    for minute in reader.minutes(symbol.map(String::as_str), value(matches, "last"))? {
        let levels =
            if matches.get_flag("levels") { reader.levels(&minute.symbol, minute.begin_ms)? } else { Vec::new() };
        rows.push((minute, levels));
    }
    print(table::table(&rows).trim_end());
    Ok(())
}
