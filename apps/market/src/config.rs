//! The settings of `market collect` from a YAML file: the keys and defaults of the collector that it replaces. Pure.
//!
//! Every key may be left out. One that is not known, or has no effect here, is named in [`Settings::warnings`]; a wrong value is an
//! error that names key and value. `${NAME}` stands for a variable of the environment, which the caller hands in.
//!
//! ```
//! use market::config::Settings;
//!
//! let settings = Settings::from_yaml("binance: {symbol: BTCFDUSD}\nredis: {host: '${REDIS}'}", |name| {
//!     (name == "REDIS").then(|| "10.0.0.5".to_owned())
//! })?;
//!
//! assert!(settings.symbols.contains("BTCFDUSD"));
//! assert_eq!(settings.redis.expect("the section is there").host, "10.0.0.5");
//! assert_eq!(settings.depth.limit, 5000);
//! # Ok::<(), settings::Error>(())
//! ```

mod expand;
mod read;
mod redis;

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use settings::Result;

use crate::{Address, wire::Decimal};

/// What the file says, and for the rest what the original would have done.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Settings {
    /// `binance.symbol`, one or a list, upper case; empty where the file leaves it to the command line.
    pub symbols: BTreeSet<String>,
    /// `binance.rest_api_base`, without a path; `None` where the file does not say it.
    pub rest: Option<Address>,
    /// `binance.websocket_base`, or the address in `data_collector.order_flow.websocket_url`; without a path. `None` as above.
    pub ws: Option<Address>,
    /// `binance.timeout`: of one request; `None` as above.
    pub timeout: Option<Duration>,
    /// `redis`; `None` without that section: then nothing goes to Redis.
    pub redis: Option<Redis>,
    /// `data_collector.depth_snapshot`.
    pub depth: Depth,
    /// `data_collector.order_flow.window_size_minutes`: how many minutes the list in Redis keeps.
    pub window_minutes: u32,
    /// `data_collector.order_flow.price_precision`: the width of a price level in Redis; above 0. The original
    /// reads this key and takes 1 all the same.
    pub price_precision: Decimal,
    /// `logging`; `None` without that section.
    pub logging: Option<Logging>,
    /// `shutdown`: limits of the stop.
    pub shutdown: softstop::Shutdown,
    /// What the file says that is not done, each in one line for a person.
    pub warnings: Vec<String>,
}

/// Where Redis is, and what is kept of what it would drop. Its address is also read from a text such as
/// `redis://user:password@host:6379/0`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Redis {
    /// Name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The number of the database.
    pub db: u32,
    /// Who asks, where Redis knows users.
    pub username: Option<String>,
    /// Asked for by some.
    pub password: Option<Password>,
    /// How long one command may take.
    pub timeout: Duration,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// The folder for windows that the list has dropped.
    pub storage_dir: PathBuf,
    /// How many files it may hold; `None`: any number.
    pub max_storage_files: Option<u32>,
}

/// A password: `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

/// Snapshots of the book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Depth {
    /// Levels of each side, from 1 to 5000.
    pub limit: u32,
    /// How often.
    pub every: Duration,
}

impl Depth {
    /// So many levels of each side, so often.
    ///
    /// # Errors
    /// The limit is not one that the exchange has, from 1 to 5000, or the time is 0; the message says what to write.
    pub fn new(limit: u32, every: Duration) -> std::result::Result<Self, String> {
        if !(1..=5000).contains(&limit) {
            return Err(format!("{limit} levels: it has to be 1 to 5000"));
        }
        if every.is_zero() {
            return Err("a time of 0 between two snapshots: name a longer one, such as 60 s".to_owned());
        }
        Ok(Self { limit, every })
    }
}

impl Default for Depth {
    /// As the original has it.
    fn default() -> Self {
        Self { limit: 5000, every: Duration::from_secs(60) }
    }
}

/// Where the log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Logging {
    /// What is less than this is left out.
    pub level: Level,
    /// A format of Python's logging, kept as it is.
    pub format: Option<String>,
    /// The file.
    pub file: PathBuf,
    /// At this size, in bytes, it is set aside and a new one is begun.
    pub max_bytes: u64,
    /// How many of those set aside are kept.
    pub backups: u32,
}

/// How much a line of the log matters; the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For who looks for a fault.
    Debug,
    /// What happens.
    Info,
    /// What is worth a look.
    Warning,
    /// What failed.
    Error,
    /// What ends the program.
    Critical,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            symbols: BTreeSet::new(),
            rest: None,
            ws: None,
            timeout: None,
            redis: None,
            depth: Depth::default(),
            window_minutes: 2880,
            price_precision: Decimal::ONE,
            logging: None,
            shutdown: softstop::Shutdown::default(),
            warnings: Vec::new(),
        }
    }
}

impl Default for Redis {
    fn default() -> Self {
        Self {
            host: "localhost".to_owned(),
            port: 6379,
            db: 0,
            username: None,
            password: None,
            timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(5),
            storage_dir: "storage".into(),
            max_storage_files: None,
        }
    }
}

impl Default for Logging {
    fn default() -> Self {
        Self {
            level: Level::Info,
            format: None,
            file: "logs/strategy_agent.log".into(),
            max_bytes: 100 << 20,
            backups: 5,
        }
    }
}

impl Settings {
    /// Reads the text of a file; `variable` is asked for what `${NAME}` stands for.
    ///
    /// # Errors
    /// It is no YAML, a value is wrong, or a variable is not set; the error names line, key and value, and says what to write.
    pub fn from_yaml(text: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let mut root = settings::load(text)?;
        expand::expand(&mut root, &variable)?;
        read::settings(&root)
    }
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
