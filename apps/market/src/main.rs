//! `market collect` and `market minutes`.

use std::{io::Write as _, path::PathBuf, process::ExitCode, sync::Arc};

use clap::{ArgMatches, Command, arg, value_parser};
use market::{Address, Config, Reader, service, symbol, table};
use softstop::Result;

fn main() -> ExitCode {
    let matches = match arguments().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 78 } else { 0 });
        }
    };
    match matches.subcommand() {
        Some(("collect", matches)) => collect(matches),
        Some(("minutes", matches)) => match minutes(matches) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                let _ = writeln!(std::io::stderr(), "error: {error}");
                ExitCode::FAILURE
            }
        },
        _ => unreachable!("a subcommand is required"),
    }
}

fn arguments() -> Command {
    let db = |help: &'static str| arg!(--db <FILE>).required(true).value_parser(value_parser!(PathBuf)).help(help);
    let collect =
        Command::new("collect").about("Collect trades until Ctrl+C; the next start continues the open minute").args([
            arg!(--ws <URL> "The exchange, such as ws://127.0.0.1:9443").required(true).value_parser(Address::stream),
            arg!(--rest <URL> "Where it answers requests, such as http://127.0.0.1:8080; without it nothing that is missing is fetched")
                .value_parser(Address::requests),
            arg!(--symbol <S> ... "What to collect, such as BTCUSDT; may be repeated")
                .required(true)
                .value_parser(symbol),
            db("The SQLite file; made where there is none"),
        ]);
    let minutes = Command::new("minutes").about("Show the minutes collected").args([
        db("The SQLite file, also while it is being written"),
        arg!(--symbol <S> "Only this symbol").value_parser(symbol),
        arg!(--last <N> "How many").default_value("20").value_parser(value_parser!(u32)),
        arg!(--levels "Show every price as well"),
    ]);
    Command::new("market")
        .about("Trades by the minute and the price")
        .subcommand_required(true)
        .subcommands([collect, minutes])
}

/// The value of an argument that is required or has a default.
fn value<T: Clone + Send + Sync + 'static>(matches: &ArgMatches, name: &str) -> T {
    matches.get_one::<T>(name).expect("clap has seen to it").clone()
}

fn collect(matches: &ArgMatches) -> ExitCode {
    softstop::main(|s| {
        let symbols = matches.get_many("symbol").expect("clap has seen to it").cloned();
        let config = Config {
            rest: matches.get_one::<Address>("rest").cloned(),
            tell: Arc::new(|progress| print(&progress.to_string())),
            ..Config::new(value(matches, "ws"), symbols, value::<PathBuf>(matches, "db"))
        };
        let symbols: Vec<&str> = config.symbols.iter().map(String::as_str).collect();
        print(&format!("collecting {} from {} into {}", symbols.join(", "), config.ws, config.db.display()));
        s.name("market");
        service(s, config);
        Ok(())
    })
}

fn minutes(matches: &ArgMatches) -> Result {
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

/// A closed stdout changes nothing.
fn print(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
