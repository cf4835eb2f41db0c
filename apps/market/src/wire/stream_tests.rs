use std::collections::BTreeMap;

use proptest::{prelude::*, sample::Index};

use super::*;
use crate::wire::{Decimal, Oddities, PriceLevel, recorded};

const TRADE: &str = r#"{"stream":"nknusdt@aggTrade","data":{"e":"aggTrade","E":1633998523963,"s":"NKNUSDT","a":15683430,"p":"0.35280000","q":"58.00000000","f":19862790,"l":19862790,"T":1633998523963,"m":false,"M":true}}"#;
const FUTURES_TRADE: &str = r#"{"e":"aggTrade","E":1626992741575,"a":16599292,"s":"CTKUSDT","p":"1.01100","q":"10","f":23961322,"l":23961323,"T":1626992741421,"m":true}"#;
const DIFF: &str = r#"{"e":"depthUpdate","E":1633998512568,"s":"NKNUSDT","U":499869753,"u":499869754,"b":[["0.35170000","0.00000000"]],"a":[]}"#;

fn number(text: &str) -> Decimal {
    Decimal::parse(text).unwrap()
}

fn level(price: &str, quantity: &str) -> PriceLevel {
    PriceLevel { price: number(price), quantity: number(quantity) }
}

#[test]
fn a_trade_is_read_exactly_in_both_orders_of_its_fields() {
    let trade = AggTrade {
        id: 15_683_430,
        first: 19_862_790,
        last: 19_862_790,
        time_ms: 1_633_998_523_963,
        price: number("0.3528"),
        quantity: number("58"),
        buyer_is_maker: false,
    };
    assert_eq!(read(TRADE), Ok(Event::AggTrade { symbol: "NKNUSDT".into(), event_ms: 1_633_998_523_963, trade }));

    let Ok(Event::AggTrade { symbol, event_ms, trade }) = read(FUTURES_TRADE) else { panic!("no trade") };
    assert_eq!((symbol.as_ref(), event_ms), ("CTKUSDT", 1_626_992_741_575));
    assert_eq!((trade.id, trade.first, trade.last, trade.buyer_is_maker), (16_599_292, 23_961_322, 23_961_323, true));
}

#[test]
fn changes_of_a_book_are_read_exactly() {
    let diff = Diff {
        first: 499_869_753,
        last: 499_869_754,
        previous: None,
        bids: vec![level("0.3517", "0")],
        asks: Vec::new(),
    };
    assert_eq!(read(DIFF), Ok(Event::Diff { symbol: "NKNUSDT".into(), event_ms: 1_633_998_512_568, diff }));

    let futures = DIFF.replace("\"b\":", "\"pu\":499869700,\"b\":").replace("\"s\":", "\"T\":5,\"s\":");
    let Ok(Event::Diff { diff, .. }) = read(&futures) else { panic!("no diff") };
    assert_eq!(diff.previous, Some(499_869_700));
}

#[test]
fn the_rarer_events_are_read() {
    let trade = r#"{"e":"trade","E":1753000000001,"s":"BTCFDUSD","t":431000000,"p":"117345.67000000","q":"0.00100000","T":1753000000000,"m":true,"M":true}"#;
    let Ok(Event::Trade { trade, .. }) = read(trade) else { panic!("no trade") };
    assert_eq!((trade.id, trade.quantity, trade.buyer_is_maker), (431_000_000, number("0.001"), true));

    let partial = r#"{"lastUpdateId":160,"bids":[["1.5","2"]],"asks":[]}"#;
    let wrapped = format!(r#"{{"stream":"nknusdt@depth20@100ms","data":{partial}}}"#);
    let book = Snapshot { last_id: 160, bids: vec![level("1.5", "2")], asks: Vec::new() };
    assert_eq!(read(&wrapped), Ok(Event::PartialDepth { symbol: Some("NKNUSDT".into()), book: book.clone() }));
    assert_eq!(read(partial), Ok(Event::PartialDepth { symbol: None, book }));

    let empty = r#"{"e":"kline","E":2,"s":"A","k":{"t":1,"T":2,"s":"A","i":"1m","f":-1,"L":-1,"o":"1","c":"1","h":"1","l":"1","v":"0","n":0,"x":true,"q":"0","V":"0","Q":"0"}}"#;
    let Ok(Event::Kline { kline, .. }) = read(empty) else { panic!("no kline") };
    assert_eq!((kline.ids, kline.trades, kline.closed), (None, 0, Some(true)));

    for shutdown in
        [r#"{"e":"serverShutdown","E":7}"#, r#"{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":7}}"#]
    {
        assert_eq!(read(shutdown), Ok(Event::Shutdown { event_ms: 7 }));
    }
}

#[test]
fn answers_to_commands_are_read() {
    let streams = vec!["nknusdt@aggTrade".to_owned()];
    for (text, id, result) in [
        (r#"{"result":null,"id":1}"#, Id::Number(1), Answer::Done),
        (r#"{"result":["nknusdt@aggTrade"],"id":"x"}"#, Id::Text("x".into()), Answer::Streams(streams)),
        (r#"{"result":true,"id":null}"#, Id::Null, Answer::Property(true)),
    ] {
        assert_eq!(read(text), Ok(Event::Answer { id, result }));
    }
    for (text, id, code) in [
        (r#"{"code":2,"msg":"Invalid request"}"#, Id::Null, 2),
        (r#"{"error":{"code":3,"msg":"Invalid request"},"id":4}"#, Id::Number(4), 3),
    ] {
        assert_eq!(read(text), Ok(Event::Refused { id, code, why: "Invalid request".into() }));
    }
}

#[test]
fn what_is_not_known_is_no_error_and_has_a_name() {
    for (text, name) in [
        (r#"{"e":"blockTrade","E":1,"s":"A","t":1,"p":"1","q":"1","T":1,"m":true}"#, "blockTrade"),
        (r#"{"hello":1,"world":2}"#, "hello,world"),
        ("{}", ""),
    ] {
        assert_eq!(read(text), Ok(Event::Unknown { event: name.into() }));
    }
}

#[test]
fn what_is_wrong_is_named_with_its_field_and_value() {
    for (was, is, says) in [
        ("\"0.35280000\"", "0.3528", "aggTrade: field `p` is 0.3528: expected a decimal"),
        ("\"0.35280000\"", "\"-1\"", "field `p` is \"-1\": expected a decimal in quotes, but it has a sign"),
        ("\"0.35280000\"", "\"1e-3\"", "field `p` is \"1e-3\": expected a decimal in quotes, but it has an exponent"),
        ("\"58.00000000\"", "\"0.0\"", "field `q` is \"0.0\": expected a decimal in quotes, above 0"),
        ("\"58.00000000\"", "\"9223372036854775808\"", "but it is too large"),
        ("\"58.00000000\"", "\"0.0000000000000000001\"", "but it has more places"),
        ("\"a\":15683430", "\"a\":1e99", "field `a` is 1e+99"),
        ("\"a\":15683430", "\"A\":15683430", "field `a` is null"),
        ("\"l\":19862790", "\"l\":5", "field `l` is 5: expected an id not below the first, 19862790"),
        ("\"T\":1633998523963", "\"T\":-1", "field `T` is -1"),
        ("\"T\":1633998523963", "\"T\":1633998523963000", "field `T` is 1633998523963000: expected a time in milli"),
        ("\"m\":false", "\"m\":null", "field `m` is null: expected true or false"),
        ("NKNUSDT", "", "field `s` is \"\""),
        ("}}", "}", "not JSON: EOF"),
    ] {
        let error = read(&TRADE.replace(was, is)).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    for (was, is, says) in [
        (
            "[\"0.35170000\",\"0.00000000\"]",
            "[\"1\"]",
            "depthUpdate: field `b` is a list of 1: expected levels such as",
        ),
        ("\"0.35170000\"", "\"0\"", "field `b` is \"0\": expected a decimal in quotes, above 0"),
        ("\"a\":[]", "\"a\":{}", "field `a` is an object: expected a list"),
        ("\"u\":499869754", "\"u\":1", "field `u` is 1: expected an id not below the first"),
    ] {
        let error = read(&DIFF.replace(was, is)).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn garbage_and_what_is_too_long_have_kinds_that_are_told_once() {
    let huge = " ".repeat(LONGEST_MESSAGE + 1);
    let deep = "[".repeat(100_000);
    let long = TRADE.replace("58.00000000", &"9".repeat(100_000));
    let mut oddities = Oddities::default();
    let mut told = Vec::new();
    for text in ["", "hello", "\u{0}", "[1]", "1", "null", "\"aggTrade\"", &huge, &huge, &deep, &long, &long] {
        let error = read(text).unwrap_err();
        assert!(error.to_string().len() < 500, "{error}");
        if oddities.note(error.kind) {
            told.push(error.kind);
        }
    }
    assert_eq!(told, [Kind::NotJson, Kind::NotAMessage, Kind::TooLong, Kind::Field("aggTrade", "q")]);
    assert_eq!(oddities.total(), 12);
    assert_eq!(oddities.iter().find(|(kind, _)| *kind == Kind::NotJson), Some((Kind::NotJson, 4)));
}

#[test]
fn every_recorded_message_is_read_and_the_frequent_ones_in_one_pass() {
    for recording in recorded::ALL {
        let mut counts = BTreeMap::<&str, usize>::new();
        for (_, text) in recording.messages() {
            let event = read(text).unwrap_or_else(|error| panic!("{}: {error}: {text}", recording.name));
            assert!(event.symbol().is_some(), "{text}");
            let name = match event {
                Event::AggTrade { .. } => "aggTrade",
                Event::Diff { .. } => "depthUpdate",
                Event::Kline { .. } => "kline",
                Event::BookTicker { .. } => "bookTicker",
                other => panic!("{}: {other:?}: {text}", recording.name),
            };
            *counts.entry(name).or_default() += 1;
            assert_eq!(shape::event(text).is_some(), matches!(name, "aggTrade" | "depthUpdate"), "{text}");
            assert_eq!(read(text), read_any(text));
        }
        let expected = match recording.name {
            "Binance" => [("aggTrade", 2), ("bookTicker", 84), ("depthUpdate", 177), ("kline", 2)],
            "Binance US" => [("aggTrade", 11), ("bookTicker", 128), ("depthUpdate", 336), ("kline", 5)],
            _ => [("aggTrade", 91), ("bookTicker", 613), ("depthUpdate", 764), ("kline", 67)],
        };
        assert_eq!(counts.into_iter().collect::<Vec<_>>(), expected, "{}", recording.name);
    }
}

/// A recorded message, damaged in up to four places: bytes replaced, put in, taken out or doubled, pieces of other messages.
fn mutated() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[\\PC\\x00-\\x1f]{0,4}",
        "[0-9\",:{}\\[\\].eE+\\-\\\\ ]{1,3}",
        prop_oneof![Just("\"e\":\"aggTrade\",".to_owned()), Just("\"m\":true,".into()), Just("\"\\u0041\"".into())],
        Just("9".repeat(20)),
    ];
    let lines: Vec<&str> =
        recorded::ALL.iter().flat_map(|recording| recording.messages().map(|(_, text)| text)).collect();
    (any::<Index>(), prop::collection::vec((any::<Index>(), 0_usize..12, piece), 0..5)).prop_map(move |(line, cuts)| {
        let mut text = (*line.get(&lines)).to_owned();
        for (at, take, piece) in cuts {
            let boundary = |mut at: usize, text: &str| {
                while !text.is_char_boundary(at) {
                    at -= 1;
                }
                at
            };
            let from = boundary(at.index(text.len() + 1), &text);
            let to = boundary((from + take).min(text.len()), &text).max(from);
            text.replace_range(from..to, &piece);
        }
        text
    })
}

const FIELDS: [(&str, &str); 10] = [
    ("E", "1633998523963"),
    ("s", "\"NKNUSDT\""),
    ("a", "15683430"),
    ("p", "\"0.35280000\""),
    ("q", "\"58.00000000\""),
    ("f", "19862790"),
    ("l", "19862791"),
    ("T", "1633998523963"),
    ("m", "true"),
    ("M", "true"),
];

/// A value of JSON, or nearly.
const ODD_VALUES: &str = "0|-?[1-9][0-9]{0,20}|0[0-9]{1,17}|25340230080000[01]|[0-9]{1,3}[.eE][0-9]{0,3}|true|false|null|\\{\\}|\\[\\]\
    |\"[A-Z]{0,3}\"|\"A\\\\u0041\"|\"\u{1}\"|\"[0-9]{1,20}(\\.[0-9]{0,20})?\"";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn both_parsers_say_the_same_of_damaged_messages_and_neither_panics(text in mutated()) {
        prop_assert_eq!(read(&text), read_any(&text));
    }

    #[test]
    fn both_parsers_say_the_same_of_trades_with_odd_values(
        fields in Just(FIELDS.to_vec()).prop_shuffle(),
        odd in prop::collection::vec((any::<Index>(), ODD_VALUES), 0..3),
        left_out in 0..100_usize, again in any::<bool>(), wrapped: bool,
    ) {
        let mut fields: Vec<(&str, String)> = fields.into_iter().map(|(key, value)| (key, value.to_owned())).collect();
        for (at, value) in odd {
            let at = at.index(fields.len());
            if again {
                fields.push((fields[at].0, value));
            } else {
                fields[at].1 = value;
            }
        }
        let fields = fields.iter().enumerate().filter(|(at, _)| *at != left_out);
        let fields: String = fields.map(|(_, (key, value))| format!(",\"{key}\":{value}")).collect();
        let text = format!("{{\"e\":\"aggTrade\"{fields}}}");
        let text = if wrapped { format!("{{\"stream\":\"x\",\"data\":{text}}}") } else { text };
        prop_assert_eq!(read(&text), read_any(&text));
    }

    #[test]
    fn any_text_is_answered(text in "\\PC{0,200}") {
        let _ = read(&text);
    }
}
