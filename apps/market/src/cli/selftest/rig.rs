//! A collector in this process, on a simulated exchange where a minute takes a moment. The tests of the program use it as well.

use std::{future::Future, path::Path, time::Duration};

use market::{Config, Times, service};
use sims::exchange::{Exchange, Generated, Script, Source, WhenIdle};
use softstop::{Reason, Report, Service};

use super::compare::Wrong;

/// What is collected.
pub(crate) const SYMBOLS: [&str; 2] = ["AAAUSDT", "BBBUSDT"];

pub(crate) const MS: Duration = Duration::from_millis(1);

/// Five exchange minutes a second, whether anybody listens or not.
pub(crate) fn goes_on(seed: u64, script: Script) -> sims::exchange::Config {
    let symbols = SYMBOLS.map(str::to_owned).to_vec();
    let source = Source::Generated(Generated { seed, symbols, rate: 10, count: None });
    sims::exchange::Config { source, speed: 300.0, when_idle: WhenIdle::RunOn, script, ..Default::default() }
}

/// What takes minutes with a real exchange takes a moment here.
pub(crate) fn quick() -> Times {
    Times {
        connect: 500 * MS,
        reconnect: (5 * MS, 40 * MS),
        request: 500 * MS,
        retry: (5 * MS, 100 * MS),
        rewrite: (5 * MS, 100 * MS),
        patience: 5 * MS,
        ..Times::default()
    }
}

/// Collects into the file until `enough` completes, with other settings where there are any.
pub(crate) async fn collect(
    exchange: &Exchange,
    db: &Path,
    settings: impl FnOnce(Config) -> Config,
    enough: impl Future<Output = ()>,
) -> Result<Report, Wrong> {
    let symbols = SYMBOLS.map(str::to_owned);
    let config = Config {
        rest: Some(exchange.rest_url().parse()?),
        times: quick(),
        ..Config::new(exchange.ws_url().parse()?, symbols, db)
    };
    let mut market = Service::new("market");
    service(&mut market, settings(config));
    Ok(market
        .run(async {
            enough.await;
            Reason::Requested("enough".into())
        })
        .await)
}
