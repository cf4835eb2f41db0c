use super::*;
use crate::chain::Ids;

fn trade(first: i64, price: i64, quantity: i64, buyer_is_maker: bool) -> Trade {
    let ids = Ids { aggregate: first, first, last: first };
    Trade { ids, time_ms: 60_500, price, quantity, scale: Scale::default(), buyer_is_maker, refilled: false }
}

fn minute(trades: &[Trade]) -> Minute {
    let mut minute = Minute::new(&trades[0]);
    trades.iter().for_each(|trade| minute.add(trade).unwrap());
    minute
}

#[test]
fn the_buyer_as_maker_means_an_aggressive_sale() {
    let minute = minute(&[trade(1, 100, 7, true), trade(2, 100, 5, false)]);

    let levels: Vec<_> = minute.levels().collect();
    assert_eq!(levels, [(100, Level { buy: 5, sell: 7, trades: 2 })]);
    assert_eq!((levels[0].1.delta(), minute.begin_ms, minute.ids), (-2, 60_000, (1, 2)));
}

#[test]
fn only_what_has_changed_is_to_be_written_and_it_is_absolute() {
    let mut minute = minute(&[trade(1, 100, 7, false), trade(2, 101, 1, false)]);
    assert_eq!(minute.changes().unwrap().levels.len(), 2);
    assert_eq!(minute.changes(), None);

    minute.add(&trade(3, 101, 2, false)).unwrap();

    assert_eq!(minute.changes().unwrap().levels, [(101, Level { buy: 3, sell: 0, trades: 2 })]);
}

#[test]
fn a_finer_trade_makes_the_minute_finer_and_changes_no_number() {
    let cents = Scale { price: 2, quantity: 0 };
    let mut minute = minute(&[Trade { scale: cents, ..trade(1, 150, 7, false) }]);
    minute.changes();

    minute.add(&Trade { scale: Scale { price: 3, quantity: 1 }, ..trade(2, 1501, 75, true) }).unwrap();
    minute.add(&Trade { scale: cents, ..trade(3, 150, 1, false) }).unwrap();

    let changes = minute.changes().unwrap();
    assert!(changes.anew);
    assert_eq!(changes.scale, Scale { price: 3, quantity: 1 });
    assert_eq!(
        changes.levels,
        [(1500, Level { buy: 80, sell: 0, trades: 2 }), (1501, Level { buy: 0, sell: 75, trades: 1 })]
    );
}

#[test]
fn a_sum_that_does_not_fit_is_an_error_and_changes_nothing() {
    let mut full = minute(&[trade(1, 100, i64::MAX, false)]);
    let before = full.clone();

    assert_eq!(full.add(&trade(2, 100, 1, false)), Err(TooLarge));
    assert_eq!(full, before);
    // Coarser, it fits: where the step size is 1 a volume is 10⁸ times as large.
    let coarse = |first| Trade { scale: Scale { price: 2, quantity: 0 }, ..trade(first, 1, 500_000_000_000, false) };
    assert_eq!(minute(&[coarse(1), coarse(2)]).levels().next().unwrap().1.buy, 1_000_000_000_000);
}
