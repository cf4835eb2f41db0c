//! The log as JSON.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};

use super::{
    log::{Entry, Log, Protocol},
    script::Site,
};

/// Every request, one object each, and the summary.
pub(crate) fn full(log: &Log) -> Value {
    json!({ "summary": summary(log), "requests": log.entries().iter().map(entry).collect::<Vec<_>>() })
}

/// Counts.
pub(crate) fn summary(log: &Log) -> Value {
    let mut statuses = BTreeMap::<String, u64>::new();
    for entry in log.entries() {
        let status = entry.status.map_or_else(|| "none".to_owned(), |status| status.to_string());
        *statuses.entry(status).or_default() += 1;
    }
    let tiles = log.tiles();
    json!({
        "requests": log.entries().len(),
        "statuses": statuses,
        "tiles": tiles.len(),
        "tiles_served": tiles.values().filter(|asked| asked.served > 0).count(),
        "tiles_asked_again": log.asked_again().len(),
        "bytes": log.entries().iter().map(|entry| entry.bytes).sum::<u64>(),
        "in_flight": log.in_flight(),
        "most_in_flight": log.most_in_flight(Site::Main),
        "connections_opened": log.opened(Site::Main),
        "most_connections": log.most_connections(Site::Main),
        "dropped_streams": log.dropped_streams(),
        "per_second": log.windows(Duration::from_secs(1)).iter().map(|window| window.requests).collect::<Vec<_>>(),
    })
}

fn entry(entry: &Entry) -> Value {
    let headers: BTreeMap<&str, &str> = entry.headers.lines().filter_map(|line| line.split_once(": ")).collect();
    json!({
        "at_ms": millis(entry.at),
        "took_ms": entry.took.map(millis),
        "host": match entry.site { Site::Main => "main", Site::Other => "other" },
        "connection": entry.connection,
        "protocol": match entry.protocol { Protocol::Http1 => "http/1.1", Protocol::Http2 => "h2" },
        "method": &*entry.method,
        "path": entry.path,
        "headers": headers,
        "tile": entry.tile.map(|tile| tile.to_string()),
        "rule": entry.rule,
        "status": entry.status,
        "bytes": entry.bytes,
        "complete": entry.complete,
        "genuine": entry.genuine,
    })
}

fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}
