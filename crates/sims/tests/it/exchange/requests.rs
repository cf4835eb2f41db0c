//! REST: what it answers, and what the script does to it.

use std::time::{Duration, Instant};

use serde_json::Value;
use sims::exchange::{Config, Exchange};
use tokio::time::timeout;

use super::client::{ask, connect, drain, generated, get, start};

/// An exchange at the end of its trades.
async fn ended(count: u64, script: &str) -> Exchange {
    let script = script.parse().unwrap();
    let config = Config { script, at_end: sims::exchange::AtEnd::Close, ..generated(Some(count)) };
    let exchange = Exchange::start(config).await.unwrap();
    drain(&mut connect(exchange.ws, "/ws/btcusdt@aggTrade").await).await;
    exchange
}

async fn list(exchange: &Exchange, path: &str) -> Vec<Value> {
    let (status, body) = get(exchange.rest, path).await;
    assert_eq!(status, 200, "{path}: {body}");
    body.as_array().unwrap().clone()
}

#[tokio::test]
async fn paging_by_id_or_by_time_finds_every_trade_once() {
    let exchange = ended(2500, "").await;
    let all: Vec<(u64, u64)> = exchange.truth().happened("BTCUSDT").map(|trade| (trade.id, trade.time_ms)).collect();
    let base = "/api/v3/aggTrades?symbol=BTCUSDT";

    let (mut by_id, mut from) = (Vec::new(), all[0].0);
    loop {
        let page = list(&exchange, &format!("{base}&limit=1000&fromId={from}")).await;
        by_id.extend(page.iter().map(|trade| trade["a"].as_u64().unwrap()));
        if page.len() < 1000 {
            break;
        }
        from = by_id[by_id.len() - 1] + 1;
    }
    let (start, end) = (all[500].1, all[900].1);
    let by_time = list(&exchange, &format!("{base}&limit=1000&startTime={start}&endTime={end}")).await;
    let newest = list(&exchange, base).await;

    assert_eq!(by_id, all.iter().map(|trade| trade.0).collect::<Vec<_>>());
    let within = all.iter().filter(|trade| (start..=end).contains(&trade.1)).count();
    assert_eq!((by_time.len(), by_time[0]["T"].as_u64()), (within, Some(start)));
    assert_eq!((newest.len(), newest[499]["a"].as_u64()), (500, Some(all[2499].0)));
}

#[tokio::test]
async fn single_trades_add_up_to_the_aggregates() {
    let exchange = ended(50, "").await;
    let all: Vec<_> = exchange.truth().happened("BTCUSDT").collect();
    let path = format!("/api/v3/historicalTrades?symbol=BTCUSDT&limit=1000&fromId={}", all[10].first + 1);

    let singles = list(&exchange, &path).await;
    let newest = list(&exchange, "/api/v3/trades?symbol=BTCUSDT&limit=7").await;

    let ids: Vec<u64> = singles.iter().map(|single| single["id"].as_u64().unwrap()).collect();
    assert_eq!(ids, (all[10].first + 1..=all[49].last).collect::<Vec<_>>());
    let number = |value: &Value| value.as_str().unwrap().replace('.', "").parse::<u64>().unwrap();
    let whole: u64 = all[20..].iter().map(|trade| trade.quantity).sum();
    let parts = singles.iter().filter(|single| single["id"].as_u64() >= Some(all[20].first));
    assert_eq!(parts.map(|single| number(&single["qty"])).sum::<u64>(), whole);
    assert_eq!((newest.len(), newest[6]["id"].as_u64()), (7, Some(all[49].last)));
}

#[tokio::test]
async fn candles_are_the_minutes_of_the_truth() {
    let exchange = ended(15_000, "").await;

    let candles = list(&exchange, "/api/v3/klines?symbol=BTCUSDT&interval=1m&startTime=0").await;

    let minutes = exchange.truth().minutes_of("BTCUSDT", 0..=u64::MAX);
    assert!(minutes.len() > 2 && candles.len() + 1 >= minutes.len());
    for candle in &candles {
        let minute = &minutes[&candle[0].as_u64().unwrap()];
        let volume: u64 = minute.levels.values().map(|level| level.buy + level.sell).sum();
        assert_eq!(candle[5], sims::exchange::decimal(volume));
        assert_eq!(candle[8].as_u64(), Some(minute.levels.values().map(|level| level.trades).sum()));
    }
    let (_, last) = get(exchange.rest, "/api/v3/klines?symbol=BTCUSDT&interval=1m&limit=1").await;
    assert_eq!(last.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_exchange_says_its_steps_limits_and_halts() {
    let exchange = start(Some(30), "market BTCUSDT after 10 halt 3600000").await;
    let (_, info) = get(exchange.rest, "/api/v3/exchangeInfo?symbol=BTCUSDT").await;
    assert_eq!(info["symbols"][0]["status"], "TRADING");
    assert_eq!((&info["symbols"][0]["baseAsset"], &info["symbols"][0]["quoteAsset"]), (&"BTC".into(), &"USDT".into()));
    assert_eq!(info["symbols"][0]["filters"][0]["tickSize"], "0.01000000");
    assert_eq!(info["rateLimits"][0]["limit"], 6000);

    let config = Config {
        stepped: true,
        script: "market BTCUSDT after 10 halt 3600000".parse().unwrap(),
        speed: 1.0,
        ..generated(None)
    };
    let exchange = Exchange::start(config).await.unwrap();
    let _listener = connect(exchange.ws, "/ws/btcusdt@aggTrade").await;
    exchange.advance(10).await;
    // The next trade would come an hour later.
    let halted = async {
        exchange.until(|truth| truth.count() == 10).await;
        let wanted = tokio::time::timeout(Duration::from_millis(50), exchange.advance(1));
        assert!(wanted.await.is_err());
        get(exchange.rest, "/api/v3/exchangeInfo").await.1
    };
    assert_eq!(halted.await["symbols"][0]["status"], "HALT");
}

#[tokio::test]
async fn times_are_microseconds_for_who_asks_for_them() {
    let exchange = ended(5, "").await;
    let header = "X-MBX-TIME-UNIT: MICROSECOND\r\n";
    let path = "/api/v3/aggTrades?symbol=BTCUSDT";

    let (plain, micro) = (get(exchange.rest, path).await.1, ask(exchange.rest, path, header).await.unwrap().json());

    assert_eq!(micro[0]["T"].as_u64(), plain[0]["T"].as_u64().map(|ms| ms * 1000));
    assert_eq!(micro[0]["a"], plain[0]["a"]);
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said_as_binance_says_it() {
    let exchange = ended(1, "").await;
    let wrong = [
        ("depth", -1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."),
        ("depth?symbol=btcusdt", -1100, "legal range is '^[A-Z0-9-_.]{1,20}$'."),
        ("exchangeInfo?symbol=NOPE", -1121, "Invalid symbol."),
        ("aggTrades?symbol=BTCUSDT&limit=", -1105, "Parameter 'limit' was empty."),
        ("aggTrades?symbol=BTCUSDT&limit=0", -1130, "Data sent for parameter 'limit' is not valid."),
        ("aggTrades?symbol=BTCUSDT&fromId=1&startTime=1", -1128, "Combination of optional parameters invalid."),
        ("klines?symbol=BTCUSDT&interval=7m", -1120, "Invalid interval."),
    ];
    for (path, code, text) in wrong {
        let (status, body) = get(exchange.rest, &format!("/api/v3/{path}")).await;
        assert_eq!((status, body["code"].as_i64()), (400, Some(code)), "{path}");
        assert!(body["msg"].as_str().unwrap().contains(text), "{body}");
    }
}

#[tokio::test]
async fn a_stale_book_is_older_than_every_change() {
    let exchange = ended(100, "request depth 1 stale").await;
    let path = "/api/v3/depth?symbol=BTCUSDT&limit=5000";

    let (stale, now) = (get(exchange.rest, path).await.1, get(exchange.rest, path).await.1);

    let oldest = exchange.book("BTCUSDT", None).unwrap();
    assert_eq!(now["lastUpdateId"].as_u64(), Some(oldest.last_update_id));
    assert!(exchange.book("BTCUSDT", stale["lastUpdateId"].as_u64()).is_none());
    assert_eq!(
        (now["bids"].as_array().unwrap().len(), now["asks"].as_array().unwrap().len()),
        (oldest.bids.len(), oldest.asks.len())
    );
}

#[tokio::test]
async fn requests_fail_as_the_script_says() {
    let script = "
        request time 1 status 503; request time 2 status 429 retry 0; request time 3 status 403
        request time 4 skew -5000
        request depth 1 truncate; request depth 2 break; request depth 3 drop; request depth 4 hang
        request depth 5 slow 20000; request ping 1 delay 100; request ping 2 ban 1000";
    let exchange = ended(10, script).await;
    let at = exchange.rest;
    let (time, depth, ping) = ("/api/v3/time", "/api/v3/depth?symbol=BTCUSDT&limit=100", "/api/v3/ping");

    assert_eq!(get(at, time).await.1["code"], -1008);
    let limited = ask(at, time, "").await.unwrap();
    assert_eq!((limited.status, limited.header("retry-after")), (429, Some("0")));
    assert!(ask(at, time, "").await.unwrap().body.contains("<html>"));
    assert_eq!(get(at, time).await.1["serverTime"].as_u64(), Some(exchange.now_ms() - 5000));

    let truncated = ask(at, depth, "").await.unwrap();
    assert_eq!(truncated.status, 200);
    assert!(serde_json::from_str::<Value>(&truncated.body).is_err());
    let broken = ask(at, depth, "").await;
    assert!(broken.is_none_or(|broken| broken.body.len() < broken.header("content-length").unwrap().parse().unwrap()));
    assert!(ask(at, depth, "").await.is_none(), "dropped");
    assert!(timeout(Duration::from_millis(200), ask(at, depth, "")).await.is_err(), "hangs");
    let begun = Instant::now();
    let slow = ask(at, depth, "").await.unwrap();
    assert!(begun.elapsed() > Duration::from_millis(200) && slow.json()["bids"].is_array());

    let begun = Instant::now();
    assert_eq!(get(at, ping).await.0, 200);
    assert!(begun.elapsed() >= Duration::from_millis(100));
    assert_eq!(get(at, ping).await.0, 418);
    assert_eq!(get(at, time).await.0, 418);
    let log = exchange.log();
    assert_eq!((log.struck["status"], log.struck["ban"], log.offences.len()), (3, 1, 1));
}
