use market::{Scale, State};

use super::*;

const MANUAL: &str = include_str!("../../README.md");

fn every_progress() -> Vec<Progress> {
    let (symbol, text) = ("BTCUSDT".to_owned(), "why".to_owned());
    let summary = Summary {
        symbol: symbol.clone(),
        begin_ms: 60_000,
        begin: "1970-01-01 00:01".to_owned(),
        ids: (7, 9),
        expected: 3,
        refilled: 1,
        state: State::Backfilled,
        scale: Scale { price: 2, quantity: 3 },
        total: Level { buy: 1500, sell: 250, trades: 2 },
        levels: 1,
    };
    let standing = Standing { symbol: symbol.clone(), ..Standing::default() };
    vec![
        Progress::Connected,
        Progress::Disconnected(text.clone()),
        Progress::Replacing(text.clone()),
        Progress::Unfilled(symbol.clone(), text.clone()),
        Progress::Missing(symbol.clone(), 3),
        Progress::Filled(symbol.clone(), 3),
        Progress::Hole(symbol.clone(), 3),
        Progress::Unwritten("m.db".to_owned(), text.clone()),
        Progress::Written("m.db".to_owned()),
        Progress::Odd(text.clone()),
        Progress::GivenUp(symbol.clone(), 3),
        Progress::Clock(1, 2),
        Progress::ClockOff(300),
        Progress::Redis(RedisProgress::Connected(text.clone())),
        Progress::Redis(RedisProgress::Away(text.clone())),
        Progress::Redis(RedisProgress::CaughtUp(7)),
        Progress::Redis(RedisProgress::Behind(Some(7))),
        Progress::DepthLive(symbol.clone()),
        Progress::DepthLost(symbol.clone(), text.clone()),
        Progress::DepthUnfetched(symbol.clone(), text),
        Progress::DepthStored(symbol, 1, (2, 3)),
        Progress::Minute(summary),
        Progress::Second(Second { symbols: vec![standing], ..Second::default() }),
        Progress::Saved(Saved::default()),
    ]
}

/// The names of all fields, those within lists too.
fn fields(value: &Value) -> Vec<String> {
    match value {
        Value::Object(fields_of) => {
            fields_of.iter().flat_map(|(name, value)| [vec![name.clone()], fields(value)].concat()).collect()
        }
        Value::Array(items) => items.iter().flat_map(fields).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn the_manual_has_every_event_with_every_field() {
    let table = MANUAL.split("| `event` |").nth(1).unwrap().split("\n\n").next().unwrap();
    for told in every_progress() {
        let object: Value = serde_json::from_str(&progress(&told)).unwrap();
        let event = object["event"].as_str().unwrap();
        assert_ne!(event, "other", "{told:?}");
        let row = table
            .lines()
            .find(|line| line.split('|').nth(1).is_some_and(|names| names.contains(&format!("`{event}`"))));
        let row = row.unwrap_or_else(|| panic!("the manual lacks {event}"));
        for field in fields(&object).iter().filter(|field| !["v", "t", "event"].contains(&field.as_str())) {
            assert!(row.contains(&format!("`{field}`")), "the manual lacks `{field}` of {event}");
        }
    }
    for line in [missed(3), object("collecting", json!({})), object("stopped", json!({}))] {
        let event = serde_json::from_str::<Value>(&line).unwrap()["event"].as_str().unwrap().to_owned();
        assert!(table.contains(&format!("`{event}`")), "{event}");
    }
}

#[test]
fn volumes_are_exact_texts() {
    let Some(Progress::Minute(summary)) = every_progress().into_iter().find(|told| matches!(told, Progress::Minute(_)))
    else {
        panic!("there is a minute")
    };

    let minute = minute(&summary);

    assert_eq!((&minute["buy"], &minute["sell"], &minute["delta"]), (&json!("1.5"), &json!("0.25"), &json!("1.25")));
    assert_eq!(
        (&minute["state"], &minute["missing"], &minute["minute_ms"]),
        (&json!("backfilled"), &json!(1), &json!(60_000))
    );
}
