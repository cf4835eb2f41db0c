use super::*;
use crate::{chain::Ids, wire::Scale};

fn trade(id: i64, trades: i64, time_ms: i64, refilled: bool) -> Trade {
    let ids = Ids { aggregate: id, first: id, last: id + trades - 1 };
    Trade { ids, time_ms, price: 1, quantity: 1, scale: Scale::default(), buyer_is_maker: false, refilled }
}

fn second(mut told: Vec<Progress>) -> Second {
    match told.pop() {
        Some(Progress::Second(second)) => second,
        other => panic!("the last word is how everything stands, not {other:?}"),
    }
}

#[test]
fn a_second_says_what_was_counted_in_it_and_what_is_missing_now() {
    let names = ["AAAUSDT", "BBBUSDT"].map(str::to_owned);
    let (mut pulse, mut tracks) = (Pulse::new(&names, Offset::default()), [Track::new(), Track::new()]);
    assert_eq!(pulse.beat(&tracks), [], "no second has passed");
    let mut count = |pulse: &mut Pulse, trade: Trade| {
        tracks[0].take(&trade).unwrap();
        pulse.count(0, &trade);
        pulse.taken();
        second(pulse.beat(&tracks))
    };

    let first = count(&mut pulse, trade(10, 3, 60_001, false));
    let second = count(&mut pulse, trade(20, 1, 60_500, false));
    let third = count(&mut pulse, trade(15, 2, 60_400, true));

    assert_eq!((first.trades, first.missing(), first.minute_ms(), first.minute_trades()), (3, (0, 0), Some(60_000), 3));
    assert_eq!((second.trades, second.missing(), second.last_ms), (1, (1, 7), Some(60_500)));
    assert!(second.lag_ms.unwrap() > 1_600_000_000_000, "the clock of 1970");
    assert_eq!((third.trades, third.missing(), third.filled(), third.minute_trades()), (2, (2, 5), 2, 6));
    assert_eq!(third.last_ms, Some(60_500), "what is fetched later is not what the stream brought");
    assert_eq!(third.symbols[1], Standing { symbol: "BBBUSDT".into(), ..Standing::default() });
    assert!(third.to_string().ends_with(" ms, 5 trades missing in 2 gaps, 2 fetched later"), "{third}");
}

#[test]
fn the_lag_is_by_the_clock_of_the_exchange() {
    let offset = Offset::default();
    let mut pulse = Pulse::new(&["AAAUSDT".into()], Offset::clone(&offset));
    offset.store(60_700 - wall_ms(), Ordering::Relaxed);

    pulse.count(0, &trade(10, 1, 60_500, false));
    pulse.taken();

    let lag = pulse.lag_ms.unwrap();
    assert!((200..5000).contains(&lag), "{lag}");
}

#[test]
fn what_is_missing_is_told_once_and_again_when_it_was_fetched_or_cannot_be_had() {
    let (mut pulse, mut track) = (Pulse::new(&["AAAUSDT".into()], Offset::default()), [Track::new()]);
    let mut count = |ids: &[(i64, bool)], listed: Option<(i64, i64)>| {
        for (id, refilled) in ids {
            let trade = trade(*id, 1, 60_000, *refilled);
            track[0].take(&trade).unwrap();
            pulse.count(0, &trade);
        }
        listed.into_iter().for_each(|(from, to)| track[0].listed(from, to));
        let mut told = pulse.beat(&track);
        told.pop();
        told.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    count(&[(1, false)], None);

    assert_eq!(count(&[(2, false), (5, false)], None), ["AAAUSDT: 2 trades missing"]);
    assert!(count(&[(6, false), (8, false)], None).is_empty(), "it is known that something is missing");
    assert!(count(&[(3, true), (4, true)], None).is_empty(), "something is missing still");
    assert_eq!(count(&[(7, true)], None), ["AAAUSDT: fetched 3 trades that had not come; nothing is missing"]);
    assert_eq!(
        count(&[(9, false), (12, false)], Some((10, 11))),
        ["AAAUSDT: the exchange does not have 2 trades either, whose ids are missing"]
    );
}
