//! `market collect`.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use clap::ArgMatches;
use market::{Address, Config, internet, service};

use super::{arguments::value, print};

pub(crate) fn run(matches: &ArgMatches) -> ExitCode {
    softstop::main(|s| {
        let symbols = matches.get_many("symbol").expect("clap has seen to it").cloned();
        let config = Config {
            rest: matches.get_one::<Address>("rest").cloned(),
            connect: internet(matches.get_one::<PathBuf>("ca").map(Path::new))?,
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
