use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{chain::Ids, minutes::Level, wire::Scale};

fn trade(id: i64, time_ms: i64) -> Trade {
    let ids = Ids { aggregate: id, first: id, last: id };
    Trade { ids, time_ms, price: 1, quantity: 1, scale: Scale::default(), buyer_is_maker: false, refilled: false }
}

#[test]
fn a_minute_is_over_with_the_first_trade_of_a_later_one_and_a_late_trade_ends_none() {
    let mut track = Track::new();
    for (id, time_ms) in [(1, 59_999), (2, 60_000), (3, 59_999), (4, 180_000)] {
        assert_eq!(track.take(&trade(id, time_ms)), Ok(Link::New));
    }

    let flush = track.flush().unwrap();

    assert_eq!((flush.over, flush.newest), (vec![0, 60_000], 180_000));
    let minutes: Vec<_> = flush.minutes.iter().map(|minute| (minute.begin_ms, minute.ids)).collect();
    assert_eq!(minutes, [(0, (1, 3)), (60_000, (2, 2)), (180_000, (4, 4))]);
    assert_eq!(track.flush(), None);
}

#[test]
fn a_minute_that_is_not_held_is_asked_for_before_a_trade_changes_it() {
    let mut track = Track::new();
    for n in 0..8 {
        track.take(&trade(10 + 2 * n, n * 60_000)).unwrap();
    }
    assert!(track.is_urgent());
    track.flush();
    assert!(!track.is_urgent());

    assert_eq!(track.wants(&trade(11, 60_000)), Some(60_000));
    assert_eq!(track.wants(&trade(10, 0)), None, "it is known");
    assert_eq!(track.wants(&trade(23, 420_000)), None, "it is held");
    assert_eq!(track.wants(&trade(25, 480_000)), None, "it is new");
    track.put(Minute::stored(60_000, (12, 12), 0, Scale::default(), vec![(1, Level { buy: 1, sell: 0, trades: 1 })]));
    track.take(&trade(11, 60_000)).unwrap();

    assert!(track.is_urgent(), "the file says that it has counted all up to a later one");
    let flush = track.flush().unwrap();
    assert_eq!(flush.minutes[0].levels, [(1, Level { buy: 2, sell: 0, trades: 2 })]);
    assert_eq!(flush.minutes[0].ids, (11, 12));
}

proptest! {
    /// Trades that come twice, late and in any order, written at any moment, add up to what a naive count says.
    #[test]
    fn what_is_written_adds_up_to_what_a_naive_count_says(
        trades in prop::collection::vec((0..240_000_i64, 1..6_i64, 1..1000_i64, any::<bool>(), 0..4_i64), 1..150),
        order in prop::collection::vec((0..150_usize, any::<bool>()), 1..300),
    ) {
        let mut first = 1;
        let all: Vec<Trade> = (1..).zip(&trades).map(|(aggregate, (time_ms, price, quantity, buyer_is_maker, more))| {
            let ids = Ids { aggregate, first, last: first + more };
            first += more + 1;
            let scale = Scale::default();
            Trade { ids, time_ms: *time_ms, price: *price, quantity: *quantity, scale, buyer_is_maker: *buyer_is_maker, refilled: false }
        }).collect();
        let (mut track, mut file, mut naive) = (Track::new(), BTreeMap::new(), BTreeMap::<(i64, i64), Level>::new());
        let write = |track: &mut Track, file: &mut BTreeMap<i64, Changes>| {
            for minute in track.flush().into_iter().flat_map(|flush| flush.minutes) {
                let stored = file.entry(minute.begin_ms).or_insert_with(|| Changes { levels: Vec::new(), ..minute.clone() });
                stored.ids = minute.ids;
                stored.levels.retain(|(price, _)| minute.levels.iter().all(|(changed, _)| changed != price));
                stored.levels.extend(minute.levels);
            }
        };

        for (place, flush) in order {
            let trade = all[place % all.len()];
            if let Some(begin) = track.wants(&trade)
                && let Some(Changes { begin_ms, ids, refilled, scale, levels, .. }) = file.get(&begin).cloned()
            {
                track.put(Minute::stored(begin_ms, ids, refilled, scale, levels));
            }
            if matches!(track.take(&trade).unwrap(), Link::New | Link::Late) {
                let level = naive.entry((begin_of(trade.time_ms), trade.price)).or_default();
                *(if trade.buyer_is_maker { &mut level.sell } else { &mut level.buy }) += trade.quantity;
                level.trades += trade.ids.last - trade.ids.first + 1;
            }
            if flush {
                write(&mut track, &mut file);
            }
        }
        write(&mut track, &mut file);

        let written = file.into_iter().flat_map(|(begin, minute)| minute.levels.into_iter().map(move |(price, level)| ((begin, price), level)));
        prop_assert_eq!(written.collect::<BTreeMap<_, _>>(), naive);
    }
}

#[test]
fn a_known_trade_is_in_a_minute_that_was_begun() {
    let mut track = Track::new();
    for (id, time_ms) in [(7, 0), (8, 60_000)] {
        track.take(&trade(id, time_ms)).unwrap();
    }

    for (id, time_ms, renumbered) in [(8, 60_000, false), (7, 119_999, false), (7, 120_000, true)] {
        let again = trade(id, time_ms);
        assert_eq!((track.take(&again), track.is_renumbered(&again)), (Ok(Link::Known), renumbered));
    }
}
