//! `market collect`.

use std::{process::ExitCode, sync::Arc};

use clap::ArgMatches;
use market::{Config, Sink, Times, internet, service};
use softstop::{Result, Service};

use super::{asked::Asked, complain, console::Console, refuse};

pub(crate) fn run(matches: &ArgMatches) -> ExitCode {
    // Before signals are taken: a file that is a pipe may be waited for.
    match Asked::read(matches) {
        Ok(asked) => softstop::main(|s| build(s, asked)),
        Err(error) => refuse(&error),
    }
}

fn build(s: &mut Service, asked: Asked) -> Result {
    s.name("market");
    let connect = internet(asked.ca.as_deref())?;
    let console = Console::start(s, &asked)?;
    asked.settings.warnings.iter().for_each(|warning| complain(&format!("warning: {warning}")));
    console.begin(&asked);
    let Asked { ws, rest, depth, symbols, db, keep, settings, .. } = asked;
    let times = Times::default();
    let times = Times { request: settings.timeout.unwrap_or(times.request), ..times };
    let tell = Arc::new(move |progress| console.tell(&progress));
    // What is named after the number of levels has as many.
    let levels = depth.unwrap_or(settings.depth).limit;
    let redis = Sink::of(&settings).map(|sink| Sink { depth_limit: levels, ..sink });
    service(s, Config { rest, depth, redis, keep, connect, tell, times, ..Config::new(ws, symbols, db) });
    Ok(settings.shutdown.apply(s)?)
}
