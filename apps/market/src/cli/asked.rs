//! What is to be collected: what a flag says, else what the file says, else Binance.

use std::{collections::BTreeSet, fs, path::PathBuf, time::Duration};

use clap::ArgMatches;
use market::{
    Address,
    config::{Depth, Redis, Settings},
};

/// Where Binance's streams and its answers are.
const WS: &str = "wss://stream.binance.com:9443";
const REST: &str = "https://api.binance.com";

/// What is to be collected, from where, into which file.
pub(crate) struct Asked {
    pub(crate) ws: Address,
    pub(crate) rest: Option<Address>,
    pub(crate) depth: Option<Depth>,
    pub(crate) symbols: BTreeSet<String>,
    pub(crate) db: PathBuf,
    pub(crate) ca: Option<PathBuf>,
    /// How long what was collected is kept; `None`: for ever.
    pub(crate) keep: Option<Duration>,
    pub(crate) json: bool,
    /// The rest of the file; where there is none, its defaults.
    pub(crate) settings: Settings,
}

impl Asked {
    /// Reads the file that the flags name, if they do.
    ///
    /// # Errors
    /// What is wrong, and what to write instead.
    pub(crate) fn read(matches: &ArgMatches) -> Result<Self, String> {
        let settings = match matches.get_one::<PathBuf>("config") {
            Some(path) => {
                let named = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
                let text = fs::read_to_string(path).map_err(|error| named(&error))?;
                let mut settings =
                    Settings::from_yaml(&text, |name| std::env::var(name).ok()).map_err(|error| named(&error))?;
                settings.warnings.iter_mut().for_each(|warning| *warning = named(warning));
                settings
            }
            None => Settings::default(),
        };
        Self::of(matches, settings)
    }

    fn of(matches: &ArgMatches, mut settings: Settings) -> Result<Self, String> {
        let (ws, rest) = sides(matches, &mut settings)?;
        let named = matches.get_many::<String>("symbol").map(|symbols| symbols.cloned().collect());
        let symbols = named.unwrap_or_else(|| std::mem::take(&mut settings.symbols));
        if symbols.is_empty() {
            return Err("there is nothing to collect: name a symbol, such as --symbol BTCUSDT, or in the file as \
                        `binance.symbol`"
                .to_owned());
        }
        if let Some(Redis { host, port, db, username, password, .. }) = matches.get_one::<Redis>("redis").cloned() {
            let redis = settings.redis.get_or_insert_default();
            (redis.host, redis.port, redis.db, redis.username, redis.password) = (host, port, db, username, password);
        }
        Ok(Self {
            ws,
            rest,
            depth: depth(matches, &settings),
            symbols,
            db: matches.get_one::<PathBuf>("db").cloned().unwrap_or_default(),
            ca: matches.get_one::<PathBuf>("ca").cloned(),
            keep: matches.get_one::<Duration>("keep").copied(),
            json: matches.get_flag("json"),
            settings,
        })
    }
}

/// A simulator has no books unless they are asked for.
fn depth(matches: &ArgMatches, settings: &Settings) -> Option<Depth> {
    let said = matches.get_one::<u32>("depth").map(|levels| Depth::new(*levels, settings.depth.every).ok());
    let alone = matches.contains_id("ws") && !matches.contains_id("config") && settings.redis.is_none();
    said.unwrap_or_else(|| (!alone).then_some(settings.depth))
}

/// Stream and requests of one exchange: what is said of one side alone says nothing of the other, whose ids may be those of
/// another market.
fn sides(matches: &ArgMatches, settings: &mut Settings) -> Result<(Address, Option<Address>), String> {
    let flag = |name: &str| matches.get_one::<Address>(name).cloned();
    let (stream, requests) = (Address::stream(WS)?, Address::requests(REST)?);
    if let Some(ws) = flag("ws") {
        return Ok((ws, flag("rest")));
    }
    let (ws, said) = (settings.ws.take().unwrap_or_else(|| stream.clone()), settings.rest.take());
    let rest = flag("rest").or(said).or_else(|| (ws == stream).then_some(requests));
    if rest.is_none() {
        let why = "without `binance.rest_api_base` nothing that is missing is fetched";
        settings.warnings.push(format!("the stream is {ws}: {why}"));
    }
    Ok((ws, rest))
}

#[cfg(test)]
#[path = "asked_tests.rs"]
mod tests;
