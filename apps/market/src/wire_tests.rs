//! What the collector reads today; each module of `wire` has tests of its own.

use super::{fields::LATEST_MS, *};
use proptest::prelude::*;

const RECORDED: &str = r#"{"stream":"nknusdt@aggTrade","data":{"e":"aggTrade","E":1633998523963,"s":"NKNUSDT","a":15683430,"p":"0.35280000","q":"58.00000000","f":19862790,"l":19862790,"T":1633998523963,"m":false,"M":true}}"#;

#[test]
fn a_recorded_trade_is_read_exactly() {
    let trade = Trade {
        symbol: "NKNUSDT".into(),
        id: 15_683_430,
        first: 19_862_790,
        last: 19_862_790,
        time_ms: 1_633_998_523_963,
        price: 35_280_000,
        quantity: 58 * ONE,
        buyer_is_maker: false,
    };
    assert_eq!(parse(RECORDED), Ok(Message::Trade(trade)));
}

#[test]
fn a_number_that_does_not_fit_eight_places_is_named() {
    for (was, is, says) in [
        ("0.35280000", "0.123456789", "aggTrade: field `p` is 0.123456789: it has more places"),
        ("58.00000000", "92233720369", "aggTrade: field `q` is 92233720369: it is too large"),
    ] {
        let error = parse(&RECORDED.replace(was, is)).unwrap_err();
        assert!(error.to_string().starts_with(says), "{error}");
    }
}

#[test]
fn other_events_and_answers_are_not_errors() {
    assert_eq!(parse(r#"{"result":null,"id":1}"#), Ok(Message::Answer));
    assert_eq!(parse(r#"{"code":3,"msg":"Invalid JSON"}"#), Ok(Message::Refused("Invalid JSON".into())));
    for other in [r#"{"e":"serverShutdown","E":1}"#, r#"{"u":1,"s":"A","b":"1","B":"1","a":"1","A":"1"}"#] {
        assert_eq!(parse(other), Ok(Message::Other));
    }
}

proptest! {
    #[test]
    fn every_trade_survives_the_wire(
        id in 0..i64::MAX, first in 0..i64::MAX / 2, more in 0..1000_i64, time_ms in 0..LATEST_MS,
        price in 1..i64::MAX, quantity in 1..i64::MAX, buyer_is_maker: bool, wrapped: bool,
    ) {
        let trade = Trade { symbol: "BTCFDUSD".into(), id, first, last: first + more, time_ms, price, quantity, buyer_is_maker };
        let (p, q) = (decimal(price), decimal(quantity));
        let mut text = format!(
            r#"{{"e":"aggTrade","E":1,"s":"BTCFDUSD","a":{id},"p":"{p}","q":"{q}","f":{first},"l":{},"T":{time_ms},"m":{buyer_is_maker},"M":true}}"#,
            trade.last
        );
        if wrapped {
            text = format!(r#"{{"stream":"x","data":{text}}}"#);
        }
        prop_assert_eq!(parse(&text), Ok(Message::Trade(trade)));
    }
}
