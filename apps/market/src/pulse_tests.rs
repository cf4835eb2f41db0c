use super::*;
use crate::{chain::Ids, wire::Scale};

fn trade(id: i64, trades: i64, time_ms: i64, refilled: bool) -> Trade {
    let ids = Ids { aggregate: id, first: id, last: id + trades - 1 };
    Trade { ids, time_ms, price: 1, quantity: 1, scale: Scale::default(), buyer_is_maker: false, refilled }
}

#[test]
fn a_second_says_what_was_counted_in_it_and_what_is_missing_now() {
    let names = ["AAAUSDT", "BBBUSDT"].map(str::to_owned);
    let (mut pulse, mut tracks) = (Pulse::new(&names), [Track::new(), Track::new()]);
    assert_eq!(pulse.beat(&tracks), None, "no second has passed");
    let mut count = |pulse: &mut Pulse, trade: Trade| {
        tracks[0].take(&trade).unwrap();
        pulse.count(0, &trade);
        pulse.taken();
        pulse.beat(&tracks).unwrap()
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
