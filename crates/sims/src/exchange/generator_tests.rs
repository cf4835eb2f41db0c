use std::collections::BTreeMap;

use serde_json::Value;

use super::*;
use crate::exchange::{
    Trade,
    book::History,
    market::Kind,
    script::{Event, Happening},
    trade::units,
    truth::Record,
};

fn generated(seed: u64, symbols: &[&str], count: u64) -> Generated {
    let symbols = symbols.iter().map(ToString::to_string).collect();
    Generated { seed, symbols, rate: 100, count: Some(count) }
}

fn world(generator: &Generator) -> World {
    let (names, books): (Vec<_>, Vec<_>) = generator.symbols().into_iter().unzip();
    let records = names.into_iter().map(|symbol| Record { symbol, ..Record::default() }).collect();
    let books = books.into_iter().map(History::new).collect();
    World { truth: crate::exchange::Truth { records }, books, ..World::default() }
}

fn run(generated: &Generated, events: Vec<Event>) -> (Vec<Tick>, World) {
    let mut generator = Generator::new(generated, 100, None).unwrap();
    let mut world = World { events, ..world(&generator) };
    let mut ticks = Vec::new();
    while generator.due_ms().is_some() {
        ticks.extend(generator.next(&mut world));
    }
    (ticks, world)
}

fn trades(ticks: &[Tick]) -> Vec<Trade> {
    let trade = |tick: &Tick| if let Kind::Trade(trade, _) = tick.kind { Some(trade) } else { None };
    ticks.iter().filter_map(trade).collect()
}

#[test]
fn the_same_seed_gives_the_same_trades_and_another_gives_others() {
    let all = |seed| trades(&run(&generated(seed, &["AAA", "BBB"], 500), Vec::new()).0);
    assert_eq!(all(7), all(7));
    assert_ne!(all(7), all(8));
    assert_eq!(all(7).len(), 1000);
}

#[test]
fn time_never_goes_back_and_ids_are_chained() {
    let (ticks, _) = run(&generated(1, &["AAA"], 2000), Vec::new());
    let trades = trades(&ticks);

    assert!(ticks.windows(2).all(|pair| pair[0].at_ms <= pair[1].at_ms));
    for pair in trades.windows(2) {
        assert_eq!(pair[1].id, pair[0].id + 1);
        assert_eq!(pair[1].first, pair[0].last + 1);
    }
    assert!(trades.windows(2).any(|pair| pair[0].time_ms == pair[1].time_ms), "there are bursts");
    let seconds = (trades[1999].time_ms - trades[0].time_ms) / 1000;
    assert!((10..40).contains(&seconds), "2000 trades at 100 a second took {seconds} s");
}

#[test]
fn a_high_rate_puts_many_trades_into_one_millisecond() {
    let generated = Generated { rate: 500_000, ..generated(3, &["AAA"], 100_000) };
    let trades = trades(&run(&generated, Vec::new()).0);

    let took_ms = trades[99_999].time_ms - trades[0].time_ms;
    assert!((100..400).contains(&took_ms), "100000 trades at 500000 a second took {took_ms} ms");
}

/// What a client's book becomes: both kinds of diffs, applied to the first snapshot, give the book of the exchange.
#[test]
fn diffs_without_a_gap_lead_from_the_first_book_to_the_last() {
    let generated = generated(5, &["AAA"], 3000);
    let first = Generator::new(&generated, 100, None).unwrap().symbols().remove(0).1;
    let (ticks, world) = run(&generated, Vec::new());

    for kind in [Kind::Diff, Kind::SlowDiff] {
        let mut book = first.clone();
        for tick in ticks.iter().filter(|tick| tick.kind == kind) {
            let diff: Value = serde_json::from_str(&tick.data).unwrap();
            assert_eq!(diff["U"].as_u64(), Some(book.last_update_id + 1));
            book.last_update_id = diff["u"].as_u64().unwrap();
            for (side, levels) in [(&mut book.bids, &diff["b"]), (&mut book.asks, &diff["a"])] {
                apply(side, levels);
            }
            assert!(book.best().is_some_and(|best| best.bid.0 < best.ask.0), "the book is never crossed");
            assert_eq!(Some(&book), world.books[0].at(book.last_update_id).as_ref());
        }
        assert_eq!(book, world.books[0].now);
    }
}

fn apply(side: &mut BTreeMap<u64, u64>, levels: &Value) {
    for level in levels.as_array().unwrap() {
        let number = |at: usize| units(level[at].as_str().unwrap()).unwrap();
        if number(1) == 0 {
            side.remove(&number(0));
        } else {
            side.insert(number(0), number(1));
        }
    }
}

#[test]
fn candles_say_what_the_trades_of_the_minute_add_up_to() {
    let (ticks, _) = run(&generated(2, &["AAA"], 12_000), Vec::new());
    let trades = trades(&ticks);

    let closed: Vec<Value> = ticks
        .iter()
        .filter(|tick| tick.stream.ends_with("@kline_1m"))
        .map(|tick| serde_json::from_str::<Value>(&tick.data).unwrap()["k"].clone())
        .filter(|candle| candle["x"] == true)
        .collect();

    assert!(!closed.is_empty());
    for candle in closed {
        let begin_ms = candle["t"].as_u64().unwrap();
        let minute: Vec<&Trade> =
            trades.iter().filter(|trade| trade.time_ms - trade.time_ms % 60_000 == begin_ms).collect();
        let volume: u64 = minute.iter().map(|trade| trade.quantity).sum();
        assert_eq!(candle["v"].as_str().and_then(units), Some(volume));
        assert_eq!(candle["n"].as_u64(), Some(minute.iter().map(|trade| trade.last - trade.first + 1).sum()));
        assert_eq!(candle["L"].as_u64(), Some(minute[minute.len() - 1].last));
    }
}

#[test]
fn a_hole_uses_up_ids_and_a_halt_uses_up_time() {
    let symbol = || "AAA".to_owned();
    let events = vec![
        Event { symbol: symbol(), at: 100, happening: Happening::Hole(20) },
        Event { symbol: symbol(), at: 200, happening: Happening::Halt(60_000) },
    ];
    let (ticks, world) = run(&generated(4, &["AAA"], 300), events);
    let trades = trades(&ticks);

    let hole = &world.truth.records[0].holes[0];
    assert_eq!(*hole.aggregates.start(), trades[99].id + 1);
    assert_eq!(*hole.aggregates.end(), trades[99].id + 20);
    assert_eq!((trades[100].id, trades[100].first), (trades[99].id + 21, hole.trades.end() + 1));
    assert_eq!(trades[200].id, trades[199].id + 1);
    assert!(trades[200].time_ms >= trades[199].time_ms + 60_000);
    assert!(world.is_halted(0, trades[199].time_ms + 30_000) && !world.is_halted(0, trades[200].time_ms));
}
