//! Makes settings of a tree: every value checked, every key that is not known named.

use std::time::Duration;

use settings::{At, Fields, Node, Result, Value};

use super::{Level, Logging, Password, Redis, Settings, expand::OF_OTHERS};
use crate::{Address, Scheme, symbol, wire::Decimal};

const SECTION: &str = "a section of keys with values";
const LONGEST_S: f64 = 24.0 * 3600.0;

pub(super) fn settings(root: &Node) -> Result<Settings> {
    let mut to = Settings::default();
    let mut fields = At::root(root).fields("sections such as `binance:` with keys and values")?;
    for (key, read) in [
        // Before `binance`, whose address is for all streams and wins over the one here.
        ("data_collector", data_collector as fn(&mut Settings, &At<'_>) -> Result<()>),
        ("binance", binance),
        ("redis", redis),
        ("logging", logging),
        ("shutdown", shutdown),
    ] {
        if let Some(at) = fields.find(key) {
            read(&mut to, &at)?;
        }
    }
    for section in OF_OTHERS {
        fields.find(section);
    }
    name_unknown(&mut to, &fields);
    Ok(to)
}

fn name_unknown(to: &mut Settings, fields: &Fields<'_>) {
    to.warnings.extend(fields.unknown().iter().map(ToString::to_string));
}

/// A key that is known and does nothing here.
fn no_effect(to: &mut Settings, fields: &mut Fields<'_>, key: &'static str, why: &str) {
    if let Some(at) = fields.find(key) {
        to.warnings.push(format!("line {}: `{}` has no effect here: {why}", at.node.line, at.path));
    }
}

fn binance(to: &mut Settings, at: &At<'_>) -> Result<()> {
    let mut fields = at.fields(SECTION)?;
    to.rest = fields.option("rest_api_base", |at| base(at, Scheme::Https))?;
    to.ws = fields.option("websocket_base", |at| base(at, Scheme::Wss))?.or(to.ws.take());
    to.timeout = fields.option("timeout", seconds)?;
    if let Some(at) = fields.find("symbol") {
        let expected = "a symbol such as BTCFDUSD, or a list of them";
        let read = |at: &At<'_>| symbol(at.text(expected)?).map_err(|_| at.wrong(expected));
        to.symbols = at.list(expected, read)?.into_iter().collect();
    }
    let why = "the limits of the exchange are kept by what it says in its answers";
    no_effect(to, &mut fields, "rate_limit_requests_per_minute", why);
    name_unknown(to, &fields);
    Ok(())
}

fn data_collector(to: &mut Settings, at: &At<'_>) -> Result<()> {
    let mut fields = at.fields(SECTION)?;
    if let Some(at) = fields.find("depth_snapshot") {
        let mut depth = at.fields(SECTION)?;
        depth.set("limit", &mut to.depth.limit, |at| whole(at, 1, 5000))?;
        depth.set("update_interval_seconds", &mut to.depth.every, seconds)?;
        name_unknown(to, &depth);
    }
    if let Some(at) = fields.find("order_flow") {
        order_flow(to, &at)?;
    }
    name_unknown(to, &fields);
    Ok(())
}

fn order_flow(to: &mut Settings, at: &At<'_>) -> Result<()> {
    let mut fields = at.fields(SECTION)?;
    to.ws = fields.option("websocket_url", |at| base(at, Scheme::Wss))?;
    fields.set("window_size_minutes", &mut to.window_minutes, |at| whole(at, 1, 1_000_000))?;
    fields.set("price_precision", &mut to.price_precision, |at| {
        let expected = "a number above 0, such as 1.0";
        let precision = Decimal::parse(at.text(expected)?).ok().filter(|precision| !precision.is_zero());
        precision.ok_or_else(|| at.wrong(expected))
    })?;
    if let Some(at) = fields.find("aggregation_interval_seconds") {
        let interval = whole(&at, 1, 86_400)?;
        if interval != 60 {
            let line = at.node.line;
            to.warnings.push(format!("line {line}: `{}` is {interval}: trades are counted by the minute", at.path));
        }
    }
    name_unknown(to, &fields);
    Ok(())
}

fn redis(to: &mut Settings, at: &At<'_>) -> Result<()> {
    let mut fields = at.fields(SECTION)?;
    let mut redis = Redis::default();
    fields.set("host", &mut redis.host, |at| at.text("a name or an address").map(str::to_owned))?;
    fields.set("port", &mut redis.port, |at| {
        let expected = "a port from 1 to 65535";
        at.number(expected).and_then(|port| if port == 0 { Err(at.wrong(expected)) } else { Ok(port) })
    })?;
    fields.set("db", &mut redis.db, |at| whole(at, 0, u32::MAX))?;
    fields.set("socket_timeout", &mut redis.timeout, seconds)?;
    fields.set("socket_connect_timeout", &mut redis.connect_timeout, seconds)?;
    fields.set("storage_dir", &mut redis.storage_dir, |at| at.text("a folder").map(Into::into))?;
    redis.username = fields.option("username", |at| at.text("a name").map(str::to_owned))?;
    redis.password = fields.option("password", |at| at.text("a password").map(Password::new))?;
    redis.max_storage_files = fields.option("max_storage_files", |at| whole(at, 1, u32::MAX))?;
    no_effect(to, &mut fields, "decode_responses", "what is stored is the same either way");
    name_unknown(to, &fields);
    to.redis = Some(redis);
    Ok(())
}

fn logging(to: &mut Settings, at: &At<'_>) -> Result<()> {
    let mut fields = at.fields(SECTION)?;
    let mut logging = Logging::default();
    fields.set("level", &mut logging.level, level)?;
    logging.format = fields.option("format", |at| at.text("a format").map(str::to_owned))?;
    fields.set("file_path", &mut logging.file, |at| at.text("a file").map(Into::into))?;
    fields.set("max_file_size_mb", &mut logging.max_bytes, |at| {
        let expected = "megabytes above 0, such as 100";
        let megabytes: f64 = at.number(expected)?;
        let bytes = (megabytes * f64::from(1 << 20)) as u64;
        if (1..=1 << 50).contains(&bytes) { Ok(bytes) } else { Err(at.wrong(expected)) }
    })?;
    fields.set("backup_count", &mut logging.backups, |at| whole(at, 0, 1_000_000))?;
    name_unknown(to, &fields);
    to.logging = Some(logging);
    Ok(())
}

fn level(at: &At<'_>) -> Result<Level> {
    let expected = "DEBUG, INFO, WARNING, ERROR or CRITICAL";
    Ok(match at.text(expected)?.to_ascii_uppercase().as_str() {
        "DEBUG" => Level::Debug,
        "INFO" => Level::Info,
        "WARNING" | "WARN" => Level::Warning,
        "ERROR" => Level::Error,
        "CRITICAL" | "FATAL" => Level::Critical,
        _ => return Err(at.wrong(expected)),
    })
}

/// The library reads this section itself; only the form in which it gets it is made here.
fn shutdown(to: &mut Settings, at: &At<'_>) -> Result<()> {
    let read = serde_json::from_value(json(at.node));
    to.shutdown = read.map_err(|error| settings::Error {
        line: at.node.line,
        key: at.path.clone(),
        value: String::new(),
        expected: error.to_string(),
    })?;
    Ok(())
}

fn json(node: &Node) -> serde_json::Value {
    match &node.value {
        Value::Map(fields) => fields.iter().map(|(key, node)| (key.clone(), json(node))).collect(),
        Value::List(items) => items.iter().map(json).collect(),
        Value::Text { text, plain } => match text.parse::<f64>() {
            Ok(number) if *plain => number.into(),
            _ => text.as_str().into(),
        },
    }
}

fn whole(at: &At<'_>, least: u32, most: u32) -> Result<u32> {
    let expected = format!("a whole number from {least} to {most}");
    let number = at.number(&expected)?;
    if (least..=most).contains(&number) { Ok(number) } else { Err(at.wrong(expected)) }
}

fn seconds(at: &At<'_>) -> Result<Duration> {
    let expected = "seconds above 0, at most a day";
    let seconds: f64 = at.number(expected)?;
    if seconds > 0.0 && seconds <= LONGEST_S { Ok(Duration::from_secs_f64(seconds)) } else { Err(at.wrong(expected)) }
}

/// An address of the same kind as this scheme; the paths that the original appended are left out, as they are appended again.
fn base(at: &At<'_>, scheme: Scheme) -> Result<Address> {
    let expected = format!("an address such as {}://host:port", scheme.name());
    let text = at.text(&expected)?;
    let host = text.find("://").map_or(0, |at| at + 3);
    let (base, path) = text.split_at(text[host..].find('/').map_or(text.len(), |path| host + path));
    let path = path.trim_end_matches('/');
    let known = ["", "/api/v3", "/api", "/ws", "/stream"].contains(&path) || path.starts_with("/ws/");
    let address = base.parse().ok().filter(|base: &Address| known && base.scheme.is_stream() == scheme.is_stream());
    address.ok_or_else(|| at.wrong(expected))
}
