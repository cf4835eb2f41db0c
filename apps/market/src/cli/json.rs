//! What happens as JSON, one object a line. Every object has `v`, the version of these fields, `t`, when it was written, and `event`;
//! within a version fields and events are added, never changed or taken away. The book has the table.

use market::{Level, Progress, RedisProgress, Saved, Second, Standing, Summary, decimal, utc::iso};
use serde_json::{Map, Value, json};

use super::now_ms;

/// Of the fields.
const VERSION: u32 = 1;

/// What was told.
pub(crate) fn progress(progress: &Progress) -> String {
    let (event, fields) = match progress {
        Progress::Connected => ("connected", json!({})),
        Progress::Disconnected(error) => ("disconnected", json!({ "error": error })),
        Progress::Replacing(why) => ("replacing", json!({ "why": why })),
        Progress::Unfilled(symbol, error) => ("unfilled", json!({ "symbol": symbol, "error": error })),
        Progress::Missing(symbol, trades) => ("missing", json!({ "symbol": symbol, "trades": trades })),
        Progress::Filled(symbol, trades) => ("filled", json!({ "symbol": symbol, "trades": trades })),
        Progress::Hole(symbol, trades) => ("hole", json!({ "symbol": symbol, "trades": trades })),
        Progress::Odd(why) => ("odd", json!({ "why": why })),
        Progress::Unwritten(file, error) => ("unwritten", json!({ "file": file, "error": error })),
        Progress::GivenUp(symbol, trades) => ("given_up", json!({ "symbol": symbol, "trades": trades })),
        Progress::Written(file) => ("written", json!({ "file": file })),
        Progress::Clock(offset_ms, within_ms) => ("clock", json!({ "offset_ms": offset_ms, "within_ms": within_ms })),
        Progress::ClockOff(offset_ms) => ("clock_off", json!({ "offset_ms": offset_ms })),
        Progress::DepthLive(symbol) => ("depth_live", json!({ "symbol": symbol })),
        Progress::DepthLost(symbol, why) => ("depth_lost", json!({ "symbol": symbol, "why": why })),
        Progress::DepthUnfetched(symbol, error) => ("depth_unfetched", json!({ "symbol": symbol, "error": error })),
        Progress::DepthStored(symbol, time_ms, (bids, asks)) => {
            ("depth_stored", json!({ "symbol": symbol, "time_ms": time_ms, "bids": bids, "asks": asks }))
        }
        Progress::Minute(summary) => ("minute", minute(summary)),
        Progress::Second(told) => ("second", second(told)),
        Progress::Redis(told) => ("redis", redis(told)),
        Progress::Saved(told) => ("saved", saved(told)),
        other => ("other", json!({ "text": other.to_string() })),
    };
    object(event, fields)
}

/// One line: the fields of an event, with those that every one has before them.
pub(crate) fn object(event: &str, fields: Value) -> String {
    let mut all = Map::from_iter([
        ("v".to_owned(), json!(VERSION)),
        ("t".to_owned(), json!(iso(now_ms()))),
        ("event".to_owned(), json!(event)),
    ]);
    if let Value::Object(fields) = fields {
        all.extend(fields);
    }
    Value::Object(all).to_string()
}

/// So many lines were left out because nobody read.
pub(crate) fn missed(lines: u64) -> String {
    object("missed", json!({ "lines": lines }))
}

/// Volumes are text: a number of JSON would not be exact.
fn minute(summary: &Summary) -> Value {
    let Summary { symbol, begin_ms, begin, ids, expected, refilled, state, scale, total, levels, .. } = summary;
    let Level { buy, sell, trades } = total;
    let volume = |volume: i64| decimal(volume, scale.quantity);
    json!({
        "symbol": symbol,
        "minute": begin,
        "minute_ms": begin_ms,
        "state": state.name(),
        "first_id": ids.0,
        "last_id": ids.1,
        "trades": trades,
        "expected": expected,
        "missing": summary.missing(),
        "refilled": refilled,
        "buy": volume(*buy),
        "sell": volume(*sell),
        "delta": volume(total.delta()),
        "levels": levels,
    })
}

fn second(second: &Second) -> Value {
    let Second { trades, last_ms, lag_ms, symbols } = second;
    let symbol = |standing: &Standing| {
        let Standing { symbol, minute_ms, minute_trades, gaps, missing, filled, holes } = standing;
        json!({
            "symbol": symbol,
            "minute_ms": minute_ms,
            "minute_trades": minute_trades,
            "gaps": gaps,
            "missing": missing,
            "filled": filled,
            "holes": holes,
        })
    };
    json!({
        "trades": trades,
        "last_ms": last_ms,
        "lag_ms": lag_ms,
        "symbols": symbols.iter().map(symbol).collect::<Vec<_>>(),
    })
}

fn redis(redis: &RedisProgress) -> Value {
    match redis {
        RedisProgress::Connected(to) => json!({ "state": "connected", "to": to }),
        RedisProgress::Away(error) => json!({ "state": "away", "error": error }),
        RedisProgress::CaughtUp(minutes) => json!({ "state": "caught_up", "minutes": minutes }),
        RedisProgress::Behind(minutes) => json!({ "state": "behind", "minutes": minutes }),
        RedisProgress::Unkept(error) => json!({ "state": "unkept", "error": error }),
        RedisProgress::Kept => json!({ "state": "kept" }),
        other => json!({ "state": "other", "text": other.to_string() }),
    }
}

fn saved(saved: &Saved) -> Value {
    let Saved { minutes, trades, known, malformed, ignored, depths, dropped, .. } = saved;
    json!({
        "minutes": minutes,
        "trades": trades,
        "known": known,
        "malformed": malformed,
        "ignored": ignored,
        "depths": depths,
        "dropped": dropped,
    })
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
