use super::*;
use crate::wire::recorded;

#[test]
fn every_recorded_answer_is_read_alike_in_one_pass_and_by_the_general_parser() {
    for recording in recorded::ALL {
        let mut answers = 0;
        for (url, _, body) in recording.answers() {
            answers += 1;
            assert!(url.contains("/depth?"), "{url}");
            let book = depth(body).unwrap();
            assert!(!book.bids.is_empty() && !book.asks.is_empty(), "{url}");
            assert_eq!(shape::snapshot(body), Some(book.clone()));
            assert_eq!(depth(&body.replace(',', ", ")), Ok(book));
        }
        assert_eq!(answers, 4, "{}", recording.name);
    }
}

#[test]
fn a_page_of_trades_is_read_and_ids_without_a_trade_are_set_apart() {
    let page = r#"[{"a":7,"p":"0.01","q":"4.7","f":27,"l":28,"T":1498793709153,"m":true,"M":true},
        {"a":8,"p":"0","q":"0","f":-1,"l":-1,"T":1498793709153,"m":true,"M":true}]"#;

    let page = agg_trades(page).unwrap();

    assert_eq!((page.trades.len(), page.void), (1, vec![8]));
    let trade = page.trades[0];
    assert_eq!((trade.id, trade.first, trade.last, trade.price), (7, 27, 28, Decimal::parse("0.01").unwrap()));
    assert_eq!(agg_trades("[]"), Ok(AggTrades::default()));
}

#[test]
fn single_trades_klines_and_the_time_are_read() {
    let trade = r#"[{"id":28457,"price":"4.00000100","qty":"12.00000000","quoteQty":"48.000012","time":1499865549590,"isBuyerMaker":true,"isBestMatch":true}]"#;
    assert_eq!(trades(trade).unwrap()[0].id, 28_457);

    let kline = r#"[[1499040000000,"0.01634790","0.80000000","0.01575800","0.01577100","148976.11427815",1499644799999,"2434.19055334",308,"1756.87402397","28.46694368","17928899.62484339"]]"#;
    let kline = klines(kline).unwrap().remove(0);
    assert_eq!((kline.open_ms, kline.close_ms, kline.trades), (1_499_040_000_000, 1_499_644_799_999, 308));
    assert_eq!(kline.bought.to_string(), "1756.87402397");

    assert_eq!(server_time(r#"{"serverTime":1499827319559}"#), Ok(1_499_827_319_559));
}

const INFO: &str = r#"{"timezone":"UTC","serverTime":1565246363776,
    "rateLimits":[{"rateLimitType":"ORDERS","interval":"SECOND","intervalNum":10,"limit":50},
        {"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":6000}],
    "symbols":[
        {"symbol":"BTCFDUSD","status":"TRADING","baseAsset":"BTC","quoteAsset":"FDUSD","filters":[
            {"filterType":"PRICE_FILTER","minPrice":"0.01","maxPrice":"1000000","tickSize":"0.01000000"},
            {"filterType":"LOT_SIZE","minQty":"0.00001","maxQty":"9000","stepSize":"0.00001000"}]},
        {"symbol":"BTTCUSDT","status":"NAPPING","baseAsset":"BTTC","quoteAsset":"USDT","filters":[
            {"filterType":"PRICE_FILTER","tickSize":"0.00000000"},{"filterType":"LOT_SIZE","stepSize":"1.00"}]},
        {"symbol":"BROKEN","status":"TRADING","baseAsset":"A","quoteAsset":"B","filters":[
            {"filterType":"LOT_SIZE","stepSize":"tiny"}]}]}"#;

#[test]
fn a_symbol_that_cannot_be_read_spoils_only_itself() {
    let info = exchange_info(INFO).unwrap();

    assert_eq!((info.server_ms, info.weight_per_minute), (1_565_246_363_776, Some(6000)));
    let known: Vec<_> = info.symbols.iter().map(|info| (info.symbol.as_str(), &info.status, info.scale())).collect();
    let napping = Status::Other("NAPPING".into());
    assert_eq!(
        known,
        [
            ("BTCFDUSD", &Status::Trading, Scale { price: 2, quantity: 5 }),
            ("BTTCUSDT", &napping, Scale { price: 8, quantity: 0 })
        ]
    );
    assert_eq!(info.unreadable.len(), 1);
    assert!(info.unreadable[0].to_string().starts_with("exchangeInfo: field `stepSize` is \"tiny\""));
}

#[test]
fn headers_are_read_in_any_case_and_nonsense_is_as_if_it_were_not_there() {
    let read = limits([("X-MBX-USED-WEIGHT-1M", "1200"), ("retry-after", " 30 "), ("date", "today")]);
    assert_eq!(read, Limits { used_weight: Some(1200), retry_after: Some(Duration::from_secs(30)) });

    assert_eq!(limits([("X-MBX-USED-WEIGHT-1M", "-1"), ("Retry-After", "soon")]), Limits::default());
}

#[test]
fn a_refusal_says_how_long_to_wait() {
    let told = Limits { retry_after: Some(Duration::from_secs(30)), ..Limits::default() };
    let body =
        r#"{"code":-1003,"msg":"Way too much request weight used; IP banned until 1659146400000. Use the stream."}"#;
    let error = api_error(body);
    assert_eq!(error.as_ref().map(|error| error.code), Some(-1003));

    let wait = |status, limits| match refusal(status, limits, body) {
        Some(Refusal::Wait { wait, banned, error: found }) if found == error => (wait, banned),
        other => panic!("{other:?}"),
    };
    assert_eq!(wait(429, told), (Some(Waiting::For(Duration::from_secs(30))), false));
    assert_eq!(wait(418, Limits::default()), (Some(Waiting::UntilMs(1_659_146_400_000)), true));

    assert_eq!(refusal(200, told, body), None);
    assert_eq!(refusal(403, told, "<html>"), Some(Refusal::Firewall));
    assert_eq!(refusal(400, told, "oops"), Some(Refusal::Rejected { status: 400, error: None }));
    assert_eq!(refusal(502, told, body), Some(Refusal::Failed { status: 502, error }));
    assert_eq!(refusal(429, Limits::default(), "{}"), Some(Refusal::Wait { wait: None, banned: false, error: None }));
}

#[test]
fn an_answer_that_is_cut_off_or_of_another_shape_is_named() {
    for error in [
        depth(r#"{"lastUpdateId":1,"bids":[["1","#).unwrap_err(),
        agg_trades("<html>").unwrap_err(),
        klines("").unwrap_err(),
    ] {
        assert_eq!(error.kind, Kind::NotJson);
    }
    for (error, says) in [
        (
            agg_trades(r#"{"code":-1121,"msg":"Invalid symbol."}"#).unwrap_err(),
            "aggTrades: field `itself` is an object",
        ),
        (depth(r#"{"lastUpdateId":1,"bids":[]}"#).unwrap_err(), "depth: field `asks` is null: expected a list"),
        (depth(r#"{"lastUpdateId":-1,"bids":[],"asks":[]}"#).unwrap_err(), "depth: field `lastUpdateId` is -1"),
        (klines("[[1,2]]").unwrap_err(), "klines: field `row` is a list of 2: expected a list of at least 11"),
        (server_time("{}").unwrap_err(), "time: field `serverTime` is null"),
        (trades("[5]").unwrap_err(), "trades: field `itself` is 5: expected an object"),
    ] {
        assert!(error.to_string().starts_with(says), "{error}");
    }
}

#[test]
fn no_header_makes_anybody_wait_for_more_than_a_week() {
    for seconds in [u64::MAX.to_string(), "9999999999".into()] {
        assert_eq!(limits([("Retry-After", seconds.as_str())]).retry_after, Some(Duration::from_secs(7 * 86400)));
    }
}
