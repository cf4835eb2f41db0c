//! The arguments, and what they mean.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, arg, value_parser};
use market::{Address, config::Redis, keep, symbol};

use super::{export, selftest, status};

pub(crate) fn command() -> Command {
    let collect = Command::new("collect")
        .about("Collect trades until Ctrl+C; the next start continues the open minute")
        .after_help(AFTER_COLLECT)
        .args([
            arg!(--symbol <S> ... "What to collect, such as BTCUSDT; may be repeated").value_parser(symbol),
            arg!(--config <FILE> "Settings in YAML, with the keys of the collector that this one replaces; what is said here wins")
                .value_parser(value_parser!(PathBuf)),
            arg!(--exchange <NAME> "Which exchange").value_parser(["binance"]).default_value("binance"),
            arg!(--ws <URL> "Its streams [default: wss://stream.binance.com:9443]").value_parser(Address::stream),
            arg!(--rest <URL> "Where it answers requests [default: https://api.binance.com, with --ws none]: without it nothing that is missing is fetched")
                .value_parser(Address::requests),
            arg!(--depth <LEVELS> "Store so many levels of each side of the order book as well, every minute; 0: none [default: 5000, with --ws none]")
                .value_parser(value_parser!(u32).range(0..=5000)),
            db("The SQLite file; made where there is none"),
            arg!(--redis <URL> "Write the lists and snapshots of the collector that this one replaces to this Redis, such as redis://127.0.0.1:6379/0")
                .value_parser(value_parser!(Redis)),
            arg!(--keep <TIME> "Drop what is older, such as 30d, 12h or 90m; without it everything is kept")
                .value_parser(keep::parse),
            arg!(--ca <FILE> "Trust the certificates in this PEM file as well").value_parser(value_parser!(PathBuf)),
            arg!(--json "Print everything that happens as JSON, one object a line"),
        ]);
    let minutes = Command::new("minutes").about("Show the minutes collected").args([
        db("The SQLite file, also while it is being written"),
        arg!(--symbol <S> "Only this symbol").value_parser(symbol),
        arg!(--last <N> "How many").default_value("20").value_parser(value_parser!(u32)),
        arg!(--levels "Show every price as well"),
    ]);
    Command::new("market")
        .about("Trades by the minute and the price")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .subcommands([collect, minutes, status::command(), export::command(), selftest::command()])
}

const AFTER_COLLECT: &str = "\
A symbol is all that has to be said, here or in the file. --ws alone is another exchange than Binance, such as a simulator: it has
no --rest and no --depth but those that are named.

Exit status: 0 stopped; 78 wrong arguments or settings; 80 it could not be started; 81 something failed; 82 something hung and was
given up; 83 given up by a third Ctrl+C; 85 what was received could not be written. After all of them the same command goes on.";

fn db(help: &'static str) -> Arg {
    arg!(--db <FILE>).value_parser(value_parser!(PathBuf)).default_value("market.db").help(help)
}

/// The value of an argument that is required or has a default.
pub(crate) fn value<T: Clone + Send + Sync + 'static>(matches: &ArgMatches, name: &str) -> T {
    matches.get_one::<T>(name).expect("clap has seen to it").clone()
}

#[cfg(test)]
#[path = "arguments_tests.rs"]
mod tests;
