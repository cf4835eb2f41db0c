//! The arguments, and what they mean.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, arg, value_parser};
use market::{Address, symbol};

use super::selftest;

pub(crate) fn command() -> Command {
    let collect =
        Command::new("collect").about("Collect trades until Ctrl+C; the next start continues the open minute").args([
            arg!(--ws <URL> "The exchange, such as wss://stream.binance.com:9443").required(true).value_parser(Address::stream),
            arg!(--rest <URL> "Where it answers requests, such as https://api.binance.com; without it nothing that is missing is fetched")
                .value_parser(Address::requests),
            arg!(--symbol <S> ... "What to collect, such as BTCUSDT; may be repeated")
                .required(true)
                .value_parser(symbol),
            db("The SQLite file; made where there is none"),
            arg!(--ca <FILE> "Trust the certificates in this PEM file as well").value_parser(value_parser!(PathBuf)),
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
        .subcommands([collect, minutes, selftest::command()])
}

fn db(help: &'static str) -> Arg {
    arg!(--db <FILE>).required(true).value_parser(value_parser!(PathBuf)).help(help)
}

/// The value of an argument that is required or has a default.
pub(crate) fn value<T: Clone + Send + Sync + 'static>(matches: &ArgMatches, name: &str) -> T {
    matches.get_one::<T>(name).expect("clap has seen to it").clone()
}
