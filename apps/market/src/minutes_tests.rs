use proptest::prelude::*;

use super::*;

fn trade(first: i64, time_ms: i64, price: i64, quantity: i64, buyer_is_maker: bool) -> Trade {
    Trade { symbol: "A".into(), id: first, first, last: first, time_ms, price, quantity, buyer_is_maker }
}

fn key(begin_ms: i64) -> Key {
    ("A".into(), begin_ms)
}

#[test]
fn the_buyer_as_maker_means_an_aggressive_sale() {
    let mut counted = Aggregator::default();
    counted.add(trade(1, 0, 100, 7, true)).unwrap();
    counted.add(trade(2, 0, 100, 5, false)).unwrap();

    let batch = std::mem::take(&mut counted.batch);

    assert_eq!(batch.minutes[&key(0)].levels[&100], Level { buy: 5, sell: 7, trades: 2 });
    assert_eq!(batch.trades, 2);
}

#[test]
fn a_minute_is_over_with_the_first_trade_of_a_later_one_and_has_begun_if_nothing_is_missing() {
    let mut counted = Aggregator::default();

    assert!(!counted.add(trade(1, 59_999, 1, 1, false)).unwrap());
    assert!(counted.add(trade(2, 60_000, 1, 1, false)).unwrap());
    assert!(counted.add(trade(4, 180_000, 1, 1, false)).unwrap(), "an id is missing and so is a minute");

    let batch = std::mem::take(&mut counted.batch);
    assert_eq!(batch.over, [(key(0), true), (key(60_000), false)]);
    assert_eq!(batch.minutes.values().map(|minute| minute.begun).collect::<Vec<_>>(), [false, true, false]);
}

#[test]
fn known_trades_are_not_counted_again_after_a_restart() {
    let mut counted =
        Aggregator { known: HashMap::from([("A".into(), Known { last: 10, open_ms: 0 })]), ..Aggregator::default() };

    assert!(!counted.add(trade(10, 59_000, 1, 1, false)).unwrap());
    assert!(!counted.add(trade(11, 59_001, 1, 1, false)).unwrap());

    let batch = std::mem::take(&mut counted.batch);
    assert_eq!((batch.known, batch.trades), (1, 1));
    assert_eq!(batch.minutes[&key(0)].ids, (11, 11));
}

#[test]
fn a_late_trade_is_counted_in_its_own_minute() {
    let mut counted = Aggregator::default();
    counted.add(trade(1, 60_000, 1, 1, false)).unwrap();

    assert!(!counted.add(trade(2, 59_999, 1, 1, false)).unwrap());

    assert_eq!(std::mem::take(&mut counted.batch).minutes[&key(0)].ids, (2, 2));
    assert!(!counted.add(trade(3, 60_001, 1, 1, false)).unwrap(), "the later minute is still the open one");
}

#[test]
fn a_sum_that_does_not_fit_is_an_error_that_names_it() {
    let mut counted = Aggregator::default();
    counted.add(trade(1, 0, 100_000_000, i64::MAX, false)).unwrap();

    let error = counted.add(trade(2, 0, 100_000_000, 1, false)).unwrap_err();

    assert!(error.starts_with("the volume of A at 1 is too large"), "{error}");
}

proptest! {
    #[test]
    fn batches_add_up_to_what_a_naive_count_says(
        trades in prop::collection::vec((0..240_000_i64, 1..6_i64, 1..1000_i64, any::<bool>(), 0..4_i64, prop::sample::select(vec!["A", "B"])), 0..200),
        cut in 1..20_usize,
    ) {
        let mut counted = Aggregator::default();
        let mut naive = BTreeMap::<(Key, i64), Level>::new();
        let mut sum = BTreeMap::<(Key, i64), Level>::new();
        let mut first = 1;
        for (at, (time_ms, price, quantity, buyer_is_maker, more, symbol)) in trades.iter().enumerate() {
            let level = naive.entry(((symbol.to_string(), time_ms / MINUTE_MS * MINUTE_MS), *price)).or_default();
            *(if *buyer_is_maker { &mut level.sell } else { &mut level.buy }) += quantity;
            level.trades += more + 1;

            let trade = Trade { symbol: symbol.to_string(), id: first, first, last: first + more, time_ms: *time_ms, price: *price, quantity: *quantity, buyer_is_maker: *buyer_is_maker };
            first += more + 1;
            counted.add(trade.clone()).unwrap();
            counted.add(trade).unwrap(); // Again: known.
            if at % cut == 0 || at + 1 == trades.len() {
                for (key, minute) in std::mem::take(&mut counted.batch).minutes {
                    for (price, level) in minute.levels {
                        let total = sum.entry((key.clone(), price)).or_default();
                        *total = Level { buy: total.buy + level.buy, sell: total.sell + level.sell, trades: total.trades + level.trades };
                    }
                }
            }
        }
        prop_assert_eq!(sum, naive);
    }
}
