use super::*;
use crate::cli::arguments::command;

fn asked(arguments: &[&str], file: &str) -> Result<Asked, String> {
    let matches = command().try_get_matches_from(["market", "collect"].iter().chain(arguments)).unwrap();
    let (_, matches) = matches.subcommand().unwrap();
    Asked::of(matches, Settings::from_yaml(file, |_| None).unwrap())
}

fn sides(arguments: &[&str], file: &str) -> (String, Option<String>) {
    let asked = asked(arguments, file).unwrap();
    (asked.ws.to_string(), asked.rest.map(|rest| rest.to_string()))
}

#[test]
fn a_symbol_is_enough_and_the_rest_is_binance() {
    let asked = asked(&["--symbol", "btcusdt"], "").unwrap();

    assert_eq!(asked.symbols, BTreeSet::from(["BTCUSDT".to_owned()]));
    assert_eq!((asked.ws.to_string().as_str(), asked.db.to_str()), (WS, Some("market.db")));
    assert_eq!(asked.rest.map(|rest| rest.to_string()).as_deref(), Some(REST));
    assert!(asked.settings.warnings.is_empty() && asked.settings.redis.is_none());
}

#[test]
fn a_side_of_another_exchange_says_nothing_of_the_other_side() {
    let symbol = ["--symbol", "X"];
    let with = |more: &[&'static str]| [&symbol[..], more].concat();
    let both = "binance: {websocket_base: 'ws://file', rest_api_base: 'http://file'}";
    let stream = "data_collector: {order_flow: {websocket_url: 'wss://file/ws/x@aggTrade'}}";
    let own = |ws: &str, rest: Option<&str>| (ws.to_owned(), rest.map(str::to_owned));

    assert_eq!(sides(&with(&["--ws", "ws://flag"]), ""), own("ws://flag", None));
    assert_eq!(sides(&with(&["--ws", "ws://flag"]), both), own("ws://flag", None));
    assert_eq!(
        sides(&with(&["--ws", "ws://flag", "--rest", "http://flag"]), both),
        own("ws://flag", Some("http://flag"))
    );
    assert_eq!(sides(&with(&["--rest", "http://flag"]), both), own("ws://file", Some("http://flag")));
    assert_eq!(sides(&symbol, both), own("ws://file", Some("http://file")));
    assert_eq!(sides(&symbol, "binance: {rest_api_base: 'http://file/api/v3'}"), own(WS, Some("http://file")));
    assert_eq!(sides(&symbol, &stream.replace("wss://file", WS)), own(WS, Some(REST)));
    assert_eq!(sides(&symbol, stream), own("wss://file", None));
    let warnings = asked(&symbol, stream).unwrap().settings.warnings;
    assert_eq!(
        warnings,
        ["the stream is wss://file: without `binance.rest_api_base` nothing that is missing is fetched"]
    );
}

#[test]
fn order_books_are_stored_unless_the_exchange_is_another_one() {
    let depth = |arguments: &[&str], file: &str| {
        let depth = asked(&[&["--symbol", "X"], arguments].concat(), file).unwrap().depth;
        depth.map(|depth| (depth.limit, depth.every.as_secs()))
    };
    let every = "data_collector: {depth_snapshot: {limit: 100, update_interval_seconds: 5}}";

    assert_eq!(depth(&[], ""), Some((5000, 60)));
    assert_eq!(depth(&[], every), Some((100, 5)));
    assert_eq!(depth(&["--depth", "20"], every), Some((20, 5)));
    assert_eq!(depth(&["--depth", "0"], every), None);
    assert_eq!(depth(&["--ws", "ws://x"], ""), None);
    assert_eq!(depth(&["--ws", "ws://x", "--depth", "20"], ""), Some((20, 60)));
    assert_eq!(depth(&["--ws", "ws://x", "--redis", "redis://h"], ""), Some((5000, 60)), "it wants them");
}

#[test]
fn flags_win_over_the_file() {
    let file = "binance: {symbol: [AAA, BBB]}\nredis: {host: other, db: 3, socket_timeout: 1, storage_dir: kept}";

    let by_file = asked(&[], file).unwrap();
    let by_flag =
        asked(&["--symbol", "CCC", "--redis", "redis://127.0.0.1:6380", "--db", "x.db", "--json"], file).unwrap();

    assert_eq!(by_file.symbols.into_iter().collect::<Vec<_>>(), ["AAA", "BBB"]);
    assert_eq!(by_flag.symbols.into_iter().collect::<Vec<_>>(), ["CCC"]);
    assert!(by_flag.json && !by_file.json && by_flag.db.ends_with("x.db"));
    let redis = by_flag.settings.redis.unwrap();
    assert_eq!((redis.host.as_str(), redis.port, redis.db), ("127.0.0.1", 6380, 0));
    assert_eq!((redis.timeout.as_secs(), redis.storage_dir.to_str()), (1, Some("kept")), "what a flag does not say");
    assert!(asked(&[], "").err().unwrap().contains("name a symbol, such as --symbol BTCUSDT"));
}
