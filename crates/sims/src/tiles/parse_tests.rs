use super::*;
use crate::tiles::Tile;

fn fault_of(json: &str) -> Fault {
    let script = Script::from_json(&format!(r#"{{"rules": [{{"fault": {json}}}]}}"#));
    script.unwrap_or_else(|error| panic!("{json}: {error}")).rules.remove(0).fault
}

#[test]
fn every_fault_can_be_written_down() {
    let millis = Duration::from_millis;
    let cut = |at, framing, how| Fault::Cut(Cut { at, framing, how });
    let status = |code, retry_after, body| Fault::Status { code, retry_after, body };
    let redirect = |code, to| Fault::Redirect { code, to };
    let limited = Limit { code: 503, retry_after: None, ..Limit::new(0.5, 2.0) };
    for (json, fault) in [
        (r#"{"delay": {"fixed_ms": 50}}"#, Fault::Delay(Delay::Fixed(millis(50)))),
        (r#"{"delay": {"mean_ms": 50}}"#, Fault::Delay(Delay::Exponential(millis(50)))),
        (r#"{"delay": "never"}"#, Fault::Delay(Delay::Never)),
        (r#"{"limit": {"per_second": 5}}"#, Fault::Limit(Limit::new(5.0, 1.0))),
        (r#"{"limit": {"per_second": 0.5, "burst": 2, "code": 503, "retry_after": null}}"#, Fault::Limit(limited)),
        (r#"{"status": {"code": 500}}"#, Fault::status(500)),
        (
            r#"{"status": {"code": 429, "retry_after": 3600}}"#,
            status(429, Some(RetryAfter::Seconds(3600)), Payload::Text),
        ),
        (
            r#"{"status": {"code": 429, "retry_after": {"date_s": -5}, "body": "json"}}"#,
            status(429, Some(RetryAfter::Date(-5)), Payload::Json),
        ),
        (r#"{"status": {"code": 403, "body": "picture"}}"#, status(403, None, Payload::Picture)),
        (r#"{"instead": "html"}"#, Fault::Instead(Payload::Html)),
        (r#"{"instead": "gif"}"#, Fault::Instead(Payload::Gif)),
        (r#"{"instead": "empty"}"#, Fault::Instead(Payload::Empty)),
        (r#"{"instead": "xml"}"#, Fault::Instead(Payload::Xml)),
        (r#"{"redirect": {"to": "same", "code": 301}}"#, redirect(301, To::SameHost)),
        (r#"{"redirect": {"to": "other"}}"#, redirect(302, To::OtherHost)),
        (r#"{"redirect": {"to": "itself"}}"#, redirect(302, To::Itself)),
        (r#"{"redirect": {"to": {"hops": 6}}}"#, redirect(302, To::Hops(6))),
        (r#"{"framing": "chunked"}"#, Fault::Framing(Framing::Chunked)),
        (r#"{"wrong_length": -3}"#, Fault::WrongLength(-3)),
        (r#"{"encoding": {"label": "br"}}"#, Fault::Encoding(Encoding::Label("br".into()))),
        (r#"{"encoding": "unlabelled"}"#, Fault::Encoding(Encoding::Unlabelled)),
        (r#"{"encoding": "gzip"}"#, Fault::Encoding(Encoding::Gzip)),
        (r#"{"encoding": {"bomb_bytes": 100}}"#, Fault::Encoding(Encoding::Bomb(100))),
        (r#"{"drip": 1}"#, Fault::Drip(1)),
        (r#"{"cut": {"at": 100}}"#, Fault::cut(100)),
        (r#"{"cut": {"at": "head", "how": "reset"}}"#, Fault::reset()),
        (r#"{"cut": {"at": 0, "framing": "close", "how": "stall"}}"#, cut(At::Byte(0), Framing::Close, How::Stall)),
        (
            r#"{"cut": {"at": 5, "framing": "chunked", "how": {"stream": 7}}}"#,
            cut(At::Byte(5), Framing::Chunked, How::Stream(7)),
        ),
    ] {
        assert_eq!(fault_of(json), fault, "{json}");
    }
}

#[test]
fn every_condition_and_every_rule_for_connections_can_be_written_down() {
    let script = Script::from_json(
        r#"{"seed": 3, "rules": [{"zooms": [3, 5], "columns": 7, "rows": [1, 2], "tiles": ["3/7/1"], "share": 0.5, "chance": 0.25,
            "requests": [10, 20], "every": 2, "tries": 1, "during_ms": [500], "host": "other", "fault": {"drip": 1}}],
            "connections": {"at_most": 4, "over_is_503": true, "requests": 100, "announced": true, "streams": 10, "goaway": 50,
            "gone_ms": [[100, 200], [900]]}}"#,
    )
    .unwrap();

    let millis = Duration::from_millis;
    let which = Which { columns: 7..=7, rows: 1..=2, ..Which::tile(Tile::new(3, 7, 1)).zooms(3..=5).share(0.5) };
    let rule = Rule::new(Fault::Drip(1)).which(which).chance(0.25).requests(10..=20).every(2).first_tries(1);
    let connections = Connections {
        at_most: Some(4),
        over_is_503: true,
        requests: Some(100),
        announced: true,
        streams: Some(10),
        goaway: Some(50),
        gone: vec![millis(100)..millis(200), millis(900)..Duration::MAX],
    };
    let rule = rule.during(millis(500)..Duration::MAX).on(Site::Other);
    assert_eq!(script, Script::new(3).rule(rule).connections(connections));
}

#[test]
fn a_range_without_its_last_goes_on_to_the_end() {
    let json = r#"{"rules": [{"zooms": [5], "columns": [7], "rows": [1], "requests": [1000], "tries": [2], "fault": {"drip": 1}}]}"#;

    let rule = Script::from_json(json).unwrap().rules.remove(0);

    assert_eq!((rule.requests, rule.tries), (1000..=u64::MAX, 2..=u32::MAX));
    let Which { zooms, columns, rows, .. } = rule.which;
    assert_eq!((zooms, columns, rows), (5..=30, 7..=u32::MAX, 1..=u32::MAX));
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    for (json, error) in [
        ("{", "script: text: EOF while parsing an object at line 1 column 1"),
        ("[]", "script: script: it has to be an object"),
        (r#"{"rule": []}"#, "script: script: there is no field \"rule\""),
        (r#"{"rules": [{}]}"#, "script: script.rules[0]: \"fault\" is missing"),
        (r#"{"rules": [{"fault": {"drip": 1}, "tilez": []}]}"#, "script: script.rules[0]: there is no field \"tilez\""),
        (
            r#"{"rules": [{"fault": {"cut": {"at": 1, "hwo": 2}}}]}"#,
            "script: script.rules[0].fault.cut: there is no field \"hwo\"",
        ),
        (r#"{"rules": [{"fault": {"oops": 1}}]}"#, "script: script.rules[0].fault.oops: there is no such fault"),
        (
            r#"{"rules": [{"fault": {"drip": 1, "cut": {}}}]}"#,
            "script: script.rules[0].fault: it has to be an object with one field",
        ),
        (
            r#"{"rules": [{"fault": {"status": {"code": 99}}}]}"#,
            "script: script.rules[0].fault.status.code: a status is 200 to 599",
        ),
        (
            r#"{"rules": [{"fault": {"framing": "tea"}}]}"#,
            "script: script.rules[0].fault.framing: it has to be one of \"length\", \"chunked\", \"close\"",
        ),
        (
            r#"{"rules": [{"share": 2, "fault": {"drip": 1}}]}"#,
            "script: script.rules[0].share: it has to be 0.0 to 1.0",
        ),
        (
            r#"{"rules": [{"tiles": ["1/2/3"], "fault": {"drip": 1}}]}"#,
            "script: script.rules[0].tiles[0]: \"1/2/3\" names no tile: it has to be zoom/column/row, such as 12/3423/1763",
        ),
        (
            r#"{"connections": {"streams": -1}}"#,
            "script: script.connections.streams: it has to be a whole number that fits",
        ),
    ] {
        assert_eq!(Script::from_json(json).unwrap_err().to_string(), error);
    }
}
