use super::*;
use crate::Scale;

#[test]
fn the_table_lines_up() {
    let minute = |begin: &str, state, trades| Summary {
        symbol: "NKNUSDT".into(),
        begin_ms: 0,
        begin: begin.into(),
        ids: (1, 3),
        expected: 3,
        refilled: 0,
        state,
        scale: Scale { price: 4, quantity: 8 },
        total: Level { buy: 5_800_000_000, sell: 12_345_000_000, trades },
        levels: 1,
    };
    let levels = vec![(3528, Level { buy: 5_800_000_000, sell: 12_345_000_000, trades: 3 })];

    let text = table(&[
        (minute("2021-10-12 00:28", State::Complete, 3), levels),
        (minute("2021-10-12 00:29", State::Partial, 2), Vec::new()),
    ]);

    assert_eq!(
        text,
        "minute (UTC)      symbol   trades  buy    sell   delta  state\n\
         2021-10-12 00:28  NKNUSDT       3   58  123.45  -65.45  complete\n\
         \x20 at 0.3528                     3   58  123.45  -65.45\n\
         2021-10-12 00:29  NKNUSDT       2   58  123.45  -65.45  1 missing\n"
    );
}

#[test]
fn a_busy_symbol_fits_into_80_columns_whatever_the_state() {
    let minute = |state, expected| Summary {
        symbol: "BTCUSDT".into(),
        begin_ms: 0,
        begin: "2021-10-12 00:28".into(),
        ids: (1, 3),
        expected,
        refilled: 3,
        state,
        scale: Scale { price: 2, quantity: 5 },
        total: Level { buy: 76_325_344, sell: 75_013_911, trades: 10_480 },
        levels: 1,
    };
    let minutes = [
        minute(State::Complete, 10_480),
        minute(State::Backfilled, 10_480),
        minute(State::Hole, 10_499),
        minute(State::Hole, 10_480),
        minute(State::Partial, 10_480),
        minute(State::Partial, 11_479),
    ];

    let text = table(&minutes.map(|minute| (minute, Vec::new())));

    let states: Vec<&str> = text.lines().skip(1).map(|line| line[67..].trim()).collect();
    assert_eq!(states, ["complete", "backfilled", "hole of 19", "hole beside", "partial", "999 missing"]);
    assert!(text.lines().all(|line| line.len() <= 80), "{text}");
}

#[test]
fn one_is_not_many() {
    assert_eq!([count(0, "trade"), count(1, "trade"), count(2, "trade")], ["0 trades", "1 trade", "2 trades"]);
}
