use std::{
    io::{Seek as _, Write as _},
    process::{Command, Stdio},
};

use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};

use super::*;
use crate::{
    minutes::Level,
    redis::levels::Rounding,
    wire::{Decimal, Scale},
};

/// Makes of each line `timestamp;precision;price places;quantity places;price,buy,sell,trades …` what the collector that is replaced
/// would have stored, with nothing but Python's own library.
const PYTHON: &str = r#"
import json, sys
from decimal import Decimal, getcontext, ROUND_HALF_UP
getcontext().prec = 80
for line in sys.stdin:
    at, precision, price_places, places, rest = line.rstrip("\n").split(";")
    precision, levels = Decimal(precision), {}
    for row in rest.split():
        price, buy, sell, trades = map(int, row.split(","))
        buy, sell = (Decimal(n).scaleb(-int(places)) for n in (buy, sell))
        steps = (Decimal(price).scaleb(-int(price_places)) / precision).quantize(Decimal(1), rounding=ROUND_HALF_UP)
        level = levels.setdefault((steps * precision).quantize(precision), [0, 0, 0])
        level[:] = [level[0] + buy, level[1] + sell, level[2] + trades]
    text = json.dumps({"timestamp": at, "price_levels": {
        str(price): {"price_level": float(price), "buy_volume": float(buy), "sell_volume": float(sell),
            "total_volume": float(buy + sell), "delta": float(buy - sell), "trade_count": trades}
        for price, (buy, sell, trades) in levels.items()}})
    print(text)
    print(json.dumps(json.dumps(json.loads(text), indent=2, ensure_ascii=False)))
"#;

fn python(program: &str, lines: &str) -> Vec<String> {
    let mut input = tempfile::tempfile().unwrap();
    input.write_all(lines.as_bytes()).unwrap();
    input.rewind().unwrap();
    let printed = Command::new("python3").args(["-c", program]).stdin(Stdio::from(input)).output();
    let printed = printed.expect("python3 is there; if not: apt-get install python3");
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    String::from_utf8(printed.stdout).unwrap().lines().map(str::to_owned).collect()
}

type Case = (&'static str, Scale, Vec<(i64, Level)>);

/// Numbers as a market has them, and numbers at the edge of what fits.
fn cases() -> impl Strategy<Value = Case> {
    let volume = || prop_oneof![Just(0), 1..1000_i64, 0..1_i64 << 40, 0..i64::MAX / 4];
    let price = prop_oneof![1..1000_i64, 1..1_i64 << 44, 1..i64::MAX / 4];
    let level = (price, volume(), volume(), 1..9_i64);
    let level = level.prop_map(|(price, buy, sell, trades)| (price, Level { buy, sell, trades }));
    let levels = prop::collection::btree_map(any::<u8>(), level, 1..12).prop_map(|levels| {
        let mut levels: Vec<_> = levels.into_values().collect();
        levels.sort_by_key(|(price, _)| *price);
        levels.dedup_by_key(|(price, _)| *price);
        levels
    });
    let precision = prop::sample::select(vec!["1", "0.01", "0.5", "0.00000001", "25", "0.000000000000000001"]);
    let scale = (0..=8_u8, 0..=18_u8).prop_map(|(price, quantity)| Scale { price, quantity });
    (precision, scale, levels)
}

#[test]
fn a_minute_is_byte_for_byte_what_python_writes() {
    let mut runner = TestRunner::deterministic();
    let mut cases: Vec<Case> = (0..400).map(|_| cases().new_tree(&mut runner).unwrap().current()).collect();
    let real = [(11_734_567_000_000, 100_000, 0, 1), (11_734_599_000_000, 17_000, 352_800, 12)];
    let real = real.map(|(price, buy, sell, trades)| (price, Level { buy, sell, trades }));
    cases.push(("1", Scale { price: 8, quantity: 8 }, real.to_vec()));
    let row = |(price, level): &(i64, Level)| format!("{price},{},{},{}", level.buy, level.sell, level.trades);
    let line = |(precision, scale, levels): &Case| {
        let levels = levels.iter().map(row).collect::<Vec<_>>().join(" ");
        format!("2025-10-25T12:34:00;{precision};{};{};{levels}\n", scale.price, scale.quantity)
    };

    let theirs = python(PYTHON, &cases.iter().map(line).collect::<String>());

    assert_eq!(theirs.len(), 2 * cases.len());
    for (case, theirs) in cases.iter().zip(theirs.chunks(2)) {
        let (precision, scale, levels) = case;
        let rounding = Rounding::to(Decimal::parse(precision).unwrap());
        let ours = minute("2025-10-25T12:34:00", &rounding.merge(levels, *scale), rounding.places, scale.quantity);
        assert_eq!(ours, theirs[0], "{}", line(case));
        assert_eq!(serde_json::Value::from(indented(&ours)).to_string(), theirs[1], "{}", line(case));
    }
}

#[test]
fn numbers_are_written_as_python_writes_floats() {
    let written = |number: i128, places: u8| {
        let mut text = String::new();
        float(&mut text, number, places);
        text
    };
    for (number, places, expected) in [
        (0, 8, "0.0"),
        (117_345, 0, "117345.0"),
        (117_345_670, 3, "117345.67"),
        (-5, 1, "-0.5"),
        (1, 4, "0.0001"),
        (1, 5, "1e-05"),
        (-125, 12, "-1.25e-10"),
        (1_230_000, 14, "1.23e-08"),
        (10_i128.pow(15), 0, "1000000000000000.0"),
        (10_i128.pow(16), 0, "1e+16"),
        (12 * 10_i128.pow(20), 0, "1.2e+21"),
        (9_007_199_254_740_993, 0, "9007199254740992.0"),
        (i128::from(i64::MAX), 18, "9.223372036854776"),
        (300_000_000_000_000_000, 18, "0.3"),
        // Halfway between two that are as short.
        (102_558_019_725_549_625, 2, "1025580197255496.2"),
        (102_558_019_725_549_675, 2, "1025580197255496.8"),
    ] {
        assert_eq!(written(number, places), expected);
    }
}

#[test]
fn prices_are_written_as_python_writes_decimals() {
    let written = |number: i128, places: u8| {
        let mut text = String::new();
        decimal(&mut text, number, places);
        text
    };
    for (number, places, expected) in [
        (117_345, 0, "117345"),
        (30, 2, "0.30"),
        (1230, 2, "12.30"),
        (873, 8, "0.00000873"),
        (73, 8, "7.3E-7"),
        (0, 8, "0E-8"),
    ] {
        assert_eq!(written(number, places), expected);
    }
}

#[test]
fn a_snapshot_is_written_as_python_writes_it() {
    let bids = [(11_734_567, 50_000_000), (11_734_566, 1)];

    let text = depth("BTCFDUSD", "2025-10-25T12:34:56.123000", [&bids, &[]], [2, 8]);

    let expected = r#"{"symbol": "BTCFDUSD", "timestamp": "2025-10-25T12:34:56.123000", "bids": [[117345.67, 0.5], [117345.66, 1e-08]], "asks": []}"#;
    assert_eq!(text, expected);
    let program = "import json, sys\nfor line in sys.stdin: print(json.dumps(json.loads(line)))";
    assert_eq!(python(program, &format!("{text}\n")), [expected]);
}

#[test]
fn what_others_wrote_is_indented_without_a_change() {
    let json = r#"{"timestamp":"a \" , { b","price_levels":{ },"list":[1e-05, [ ]]}"#;

    let expected =
        "{\n  \"timestamp\": \"a \\\" , { b\",\n  \"price_levels\": {},\n  \"list\": [\n    1e-05,\n    []\n  ]\n}";
    assert_eq!(indented(json), expected);
}

#[test]
fn large_numbers_are_written_as_python_writes_floats() {
    let mut runner = TestRunner::deterministic();
    let large = (any::<i128>(), 0..127_u32, 0..=18_u8).prop_map(|(number, bits, places)| (number >> bits, places));
    let numbers: Vec<(i128, u8)> = (0..20_000).map(|_| large.new_tree(&mut runner).unwrap().current()).collect();
    let lines: String = numbers.iter().map(|(number, places)| format!("{number} {places}\n")).collect();
    let program = "import sys\nfrom decimal import Decimal\nfor line in sys.stdin:\n    n, p = line.split(); print(float(Decimal(n + 'e-' + p)))";

    let theirs = python(program, &lines);

    assert_eq!(theirs.len(), numbers.len());
    for ((number, places), theirs) in numbers.into_iter().zip(theirs) {
        let mut ours = String::new();
        float(&mut ours, number, places);
        assert_eq!(ours, theirs, "{number} {places}");
    }
}
