//! Budgets from a configuration section or from named values (feature `serde`).

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::{
    Deserialize, Deserializer,
    de::{self, Error as _, MapAccess, Visitor},
};

use crate::{plan::Limits, service::Service, shared::lock};

const LONGEST: f64 = 366.0 * 24.0 * 3600.0;
const ALLOWED: &str = "a duration from 0 to 366 days: seconds as a number, or text like `1.5s`, `250ms`, `2m`, `1h`";
const KEYS: &str = "total, drain, cancel, save, close, components; also force_exit_timeout, \
                    task_cancellation_timeout, data_save_timeout, connection_close_timeout";
const COMPONENT_KEYS: &str = "start, drain, cancel, save, close, unready_delay";

/// A value of the configuration that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigError {
    /// The key with its path, as `components.feed.save`.
    pub key: String,
    /// What it was given.
    pub value: String,
    /// What it may be given instead.
    pub allowed: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is `{}`; allowed: {}", self.key, self.value, self.allowed)
    }
}

impl std::error::Error for ConfigError {}

/// The section `shutdown` of a configuration file, in any format that serde reads.
///
/// All values are durations: seconds as a number, or text like `1.5s`. `drain`, `cancel`, `save`
/// and `close` limit that step over the whole service: divided by the number of components on the
/// longest chain, each component has its part, and a component's own limit wins. Other names of
/// the same keys: `task_cancellation_timeout` (cancel), `data_save_timeout` (save),
/// `connection_close_timeout` (close), `force_exit_timeout` (total). `components` holds limits by
/// component name, which come before those in the program.
///
/// ```
/// let section = r#"{ "total": 20, "save": "1.5s", "components": { "feed": { "drain": 2 } } }"#;
/// let shutdown: softstop::Shutdown = serde_json::from_str(section)?;
///
/// let mut service = softstop::Service::new("example");
/// service.component("feed", (), async |_, ()| Ok(()));
/// shutdown.apply(&mut service)?;
/// assert_eq!(service.check()?.total.as_secs(), 20);
/// # Ok::<(), softstop::BoxError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shutdown {
    total: Option<Duration>,
    chain: Limits,
    components: BTreeMap<String, Component>,
    notes: Vec<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Component {
    limits: Limits,
    unready: Option<Duration>,
}

impl Shutdown {
    /// Reads the named values that some existing programs use, and passes over all others:
    /// `INTERFACE_CLEANUP_TIMEOUT` (drain), `COMPREHENSIVE_CLEANUP_TIMEOUT` (total), both in
    /// seconds or as text; `DISABLE_AIOHTTP_TRANSPORT` has no effect, and the report says so. Pass
    /// `std::env::vars()`: the library does not read the environment by itself.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with the name and its value.
    pub fn from_vars(vars: impl IntoIterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let mut shutdown = Self::default();
        for (name, value) in vars {
            match name.as_str() {
                "INTERFACE_CLEANUP_TIMEOUT" => shutdown.chain.drain = Some(from_text(&name, &value)?),
                "COMPREHENSIVE_CLEANUP_TIMEOUT" => shutdown.total = Some(from_text(&name, &value)?),
                "DISABLE_AIOHTTP_TRANSPORT" => shutdown.notes.push(format!("{name} is set and has no effect here")),
                _ => {}
            }
        }
        Ok(shutdown)
    }

    /// Writes these limits over those of the service. Call it after the components were added.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for the name of a component that does not exist.
    pub fn apply(&self, service: &mut Service) -> Result<(), ConfigError> {
        if let Some(total) = self.total {
            service.total(total);
        }
        over(&mut service.budget.chain, &self.chain);
        for (name, component) in &self.components {
            let names = service.component_names().join(", ");
            let node = service.node_named(name).ok_or_else(|| ConfigError {
                key: "components".to_owned(),
                value: name.clone(),
                allowed: format!("the name of a component: {names}"),
            })?;
            over(&mut node.limits, &component.limits);
            node.unready = component.unready.unwrap_or(node.unready);
        }
        lock(&service.shared.record).notes.extend(self.notes.iter().cloned());
        Ok(())
    }

    fn set(&mut self, key: &str, value: &Raw) -> Result<(), ConfigError> {
        let time = || value.duration(key);
        match key {
            "total" | "force_exit_timeout" => self.total = Some(time()?),
            "drain" => self.chain.drain = Some(time()?),
            "cancel" | "task_cancellation_timeout" => self.chain.cancel = Some(time()?),
            "save" | "data_save_timeout" => self.chain.save = Some(time()?),
            "close" | "connection_close_timeout" => self.chain.close = Some(time()?),
            _ => return Err(unknown(key, value, KEYS)),
        }
        Ok(())
    }
}

impl Component {
    fn set(&mut self, key: &str, path: &str, value: &Raw) -> Result<(), ConfigError> {
        let time = Some(value.duration(path));
        let limits = &mut self.limits;
        let place = match key {
            "start" => &mut limits.start,
            "drain" => &mut limits.drain,
            "cancel" => &mut limits.cancel,
            "save" => &mut limits.save,
            "close" => &mut limits.close,
            "unready_delay" => &mut self.unready,
            _ => return Err(unknown(path, value, COMPONENT_KEYS)),
        };
        *place = time.transpose()?;
        Ok(())
    }
}

fn over(limits: &mut Limits, by: &Limits) {
    limits.start = by.start.or(limits.start);
    limits.drain = by.drain.or(limits.drain);
    limits.cancel = by.cancel.or(limits.cancel);
    limits.save = by.save.or(limits.save);
    limits.close = by.close.or(limits.close);
}

fn unknown(key: &str, value: &Raw, allowed: &str) -> ConfigError {
    ConfigError { key: key.to_owned(), value: value.to_string(), allowed: format!("not this key; there are {allowed}") }
}

/// A value as it stands in the file.
#[derive(Debug, Clone)]
enum Raw {
    Number(f64),
    Text(String),
    Components(Vec<(String, Vec<(String, Raw)>)>),
    Other(&'static str),
}

impl fmt::Display for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
            Self::Components(_) => f.write_str("a section"),
            Self::Other(what) => f.write_str(what),
        }
    }
}

impl Raw {
    fn duration(&self, key: &str) -> Result<Duration, ConfigError> {
        match self {
            Self::Number(seconds) => from_seconds(*seconds),
            Self::Text(text) => return from_text(key, text),
            Self::Components(_) | Self::Other(_) => None,
        }
        .ok_or_else(|| refused(key, &self.to_string()))
    }
}

fn refused(key: &str, value: &str) -> ConfigError {
    ConfigError { key: key.to_owned(), value: value.to_owned(), allowed: ALLOWED.to_owned() }
}

fn from_seconds(seconds: f64) -> Option<Duration> {
    (0.0..=LONGEST).contains(&seconds).then(|| Duration::from_secs_f64(seconds))
}

fn from_text(key: &str, text: &str) -> Result<Duration, ConfigError> {
    let trimmed = text.trim();
    let digits = trimmed.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &trimmed[digits.len()..] {
        "" | "s" => 1.0,
        "us" => 1e-6,
        "ms" => 1e-3,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(refused(key, text)),
    };
    let number = digits.trim_end();
    // `parse` would also take an exponent, a sign, or `inf`.
    let plain = !number.is_empty() && number.chars().all(|c| c.is_ascii_digit() || c == '.');
    let seconds = plain.then(|| number.parse::<f64>().ok()).flatten().map(|number| number * unit);
    seconds.and_then(from_seconds).ok_or_else(|| refused(key, text))
}

impl<'de> Deserialize<'de> for Shutdown {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Section)
    }
}

struct Section;

impl<'de> Visitor<'de> for Section {
    type Value = Shutdown;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a section with the keys {KEYS}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shutdown, A::Error> {
        let mut shutdown = Shutdown::default();
        let mut seen = BTreeMap::<String, ()>::new();
        while let Some(key) = map.next_key::<String>()? {
            let value: Raw = map.next_value()?;
            if seen.insert(key.clone(), ()).is_some() {
                return Err(A::Error::custom(format!("`{key}` is there twice")));
            }
            match (key.as_str(), &value) {
                ("components", Raw::Components(components)) => {
                    for (name, pairs) in components {
                        let mut component = Component::default();
                        for (key, value) in pairs {
                            let path = format!("components.{name}.{key}");
                            component.set(key, &path, value).map_err(A::Error::custom)?;
                        }
                        shutdown.components.insert(name.clone(), component);
                    }
                }
                ("components", _) => {
                    let allowed = format!("a section per component with {COMPONENT_KEYS}");
                    let error = ConfigError { key, value: value.to_string(), allowed };
                    return Err(A::Error::custom(error));
                }
                _ => shutdown.set(&key, &value).map_err(A::Error::custom)?,
            }
        }
        Ok(shutdown)
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(ALLOWED)
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Raw, E> {
        Ok(Raw::Number(number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Raw, E> {
        Ok(Raw::Number(number as f64))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Raw, E> {
        Ok(Raw::Number(number as f64))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Raw, E> {
        Ok(Raw::Text(text.to_owned()))
    }

    fn visit_bool<E: de::Error>(self, truth: bool) -> Result<Raw, E> {
        Ok(Raw::Other(if truth { "true" } else { "false" }))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Raw, E> {
        Ok(Raw::Other("nothing"))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Raw, A::Error> {
        while seq.next_element::<de::IgnoredAny>()?.is_some() {}
        Ok(Raw::Other("a list"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut components = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            let Pairs(pairs) = map.next_value()?;
            components.push((name, pairs));
        }
        Ok(Raw::Components(components))
    }
}

struct Pairs(Vec<(String, Raw)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PairsVisitor;

        impl<'de> Visitor<'de> for PairsVisitor {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a section with the keys {COMPONENT_KEYS}")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry::<String, Raw>()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_map(PairsVisitor)
    }
}
