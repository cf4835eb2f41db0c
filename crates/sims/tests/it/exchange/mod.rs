mod client;
mod faults;
mod heal;
mod limits;
mod requests;
mod streams;

use futures_util::SinkExt;
use serde_json::Value;
use sims::exchange::{AtEnd, Config, Exchange, Generated, Source, WhenIdle};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use self::client::{PATIENCE, close, connect, generated, get, next, next_json};

#[tokio::test]
async fn a_combined_stream_replays_the_recording_in_order() {
    let config = Config {
        source: Source::Recording { looped: false },
        speed: f64::INFINITY,
        at_end: AtEnd::Close,
        ..Config::default()
    };
    let exchange = Exchange::start(config).await.unwrap();
    let streams = "nknusdt@depth@100ms/nknusdt@bookTicker/nknusdt@kline_1m/nknusdt@aggTrade";

    let mut socket = connect(exchange.ws, &format!("/stream?streams={streams}")).await;
    let mut messages = Vec::new();
    while let Some(message) = next(&mut socket).await {
        if let Message::Text(text) = message {
            messages.push(text.to_string());
        }
    }

    let recorded = include_str!("../../../fixtures/binance-ws.txt").lines().skip(1);
    let recorded: Vec<&str> = recorded
        .filter(|line| line.contains("\"stream\":\"nknusdt@"))
        .map(|line| line.split_once(": ").unwrap().1)
        .collect();
    assert_eq!(messages, recorded);
    assert_eq!(exchange.stop().await.count(), 1);
}

#[tokio::test]
async fn the_recording_loops_as_long_as_somebody_listens() {
    let exchange = Exchange::start(Config { speed: f64::INFINITY, ..Config::default() }).await.unwrap();

    let mut socket = connect(exchange.ws, "/ws/lrcbtc@aggTrade").await;
    let (first, second) = (next_json(&mut socket).await, next_json(&mut socket).await);

    assert_eq!(first["a"].as_u64().map(|a| a + 1), second["a"].as_u64());
    assert_eq!(first["T"].as_u64().map(|t| t + 60_000), second["T"].as_u64());
}

#[tokio::test]
async fn what_was_sent_before_a_polite_close_is_what_was_received_and_the_next_listener_goes_on_after_it() {
    let exchange = Exchange::start(generated(None)).await.unwrap();
    let mut received = Vec::new();

    for _ in 0..5 {
        let mut socket = connect(exchange.ws, "/ws/btcusdt@aggTrade").await;
        for _ in 0..300 {
            received.push(next(&mut socket).await.unwrap());
        }
        received.extend(close(socket).await);
    }

    let id =
        |message: &Message| serde_json::from_str::<Value>(message.to_text().unwrap()).unwrap()["a"].as_u64().unwrap();
    let received: Vec<u64> = received.iter().map(id).collect();
    let sent: Vec<u64> = exchange.truth().sent("BTCUSDT").map(|trade| trade.id).collect();
    assert_eq!(received, sent);
    assert!(sent.windows(2).all(|pair| pair[1] == pair[0] + 1), "no gap and no repeat");
    exchange.stop().await;
}

#[tokio::test]
async fn after_a_cut_the_last_messages_come_again() {
    let exchange = Exchange::start(generated(None)).await.unwrap();
    let mut socket = connect(exchange.ws, "/ws/btcusdt@aggTrade").await;
    next(&mut socket).await;

    exchange.cut(10);
    let mut last = 0;
    while let Some(Message::Text(text)) = next(&mut socket).await {
        last = serde_json::from_str::<Value>(&text).unwrap()["a"].as_u64().unwrap();
    }
    let mut socket = connect(exchange.ws, "/ws/btcusdt@aggTrade").await;
    let again = next_json(&mut socket).await["a"].as_u64().unwrap();

    assert_eq!(again, last - 9);
}

#[tokio::test]
async fn a_market_that_runs_on_does_not_wait_for_late_listeners() {
    let config = Config { when_idle: WhenIdle::RunOn, ..generated(Some(1000)) };
    let exchange = Exchange::start(config).await.unwrap();
    let produced = async {
        while get(exchange.rest, "/api/v3/aggTrades?symbol=BTCUSDT&limit=1000").await.1.as_array().unwrap().len() < 1000
        {
        }
    };
    timeout(PATIENCE, produced).await.unwrap();

    let socket = connect(exchange.ws, "/ws/btcusdt@aggTrade").await;

    assert!(close(socket).await.is_empty());
    assert_eq!(exchange.stop().await.count(), 0);
}

#[tokio::test]
async fn subscriptions_come_and_go_by_command_and_wrong_commands_are_answered() {
    let exchange = Exchange::start(generated(None)).await.unwrap();
    let mut socket = connect(exchange.ws, "/ws").await;
    let mut ask = async |text: &str| {
        socket.send(Message::text(text)).await.unwrap();
        loop {
            let answer = next_json(&mut socket).await;
            if answer["e"].is_null() {
                return answer.to_string();
            }
        }
    };

    let nonsense = r#"{"code":3,"msg":"Invalid JSON: expected ident at line 1 column 2"}"#;
    assert_eq!(ask("nonsense").await, nonsense);
    let please = ask(r#"{"method":"PLEASE","id":1}"#).await;
    assert!(please.contains("unknown variant `PLEASE`, expected one of `SUBSCRIBE`, "), "{please}");
    assert_eq!(
        ask(r#"{"method":"SUBSCRIBE","params":["btcusdt@aggTrade"],"id":2}"#).await,
        r#"{"id":2,"result":null}"#
    );
    let listed = ask(r#"{"method":"LIST_SUBSCRIPTIONS","id":3}"#).await;
    assert_eq!(listed, r#"{"id":3,"result":["btcusdt@aggTrade"]}"#);
    assert_eq!(
        ask(r#"{"method":"UNSUBSCRIBE","params":["btcusdt@aggTrade"],"id":4}"#).await,
        r#"{"id":4,"result":null}"#
    );

    drop(socket);
    assert!(exchange.stop().await.count() > 0);
}

#[tokio::test]
async fn rest_answers_what_happened_and_names_what_is_wrong() {
    let exchange = Exchange::start(generated(Some(50))).await.unwrap();
    let mut socket = connect(exchange.ws, "/ws/btcusdt@aggTrade").await;
    let mut ids = Vec::new();
    while ids.len() < 50 {
        ids.push(next_json(&mut socket).await["a"].as_u64().unwrap());
    }
    close(socket).await;

    let path = format!("/api/v3/aggTrades?symbol=BTCUSDT&fromId={}&limit=3", ids[10]);
    let (status, trades) = get(exchange.rest, &path).await;
    let listed: Vec<u64> = trades.as_array().unwrap().iter().map(|trade| trade["a"].as_u64().unwrap()).collect();
    assert_eq!((status, &listed[..]), (200, &ids[10..13]));

    let (_, truth) = get(exchange.rest, "/truth/trades?symbol=BTCUSDT&sent=true").await;
    assert_eq!(truth.as_array().unwrap().len(), 50);
    let (_, minutes) = get(exchange.rest, "/truth/minutes?symbol=BTCUSDT").await;
    assert_eq!(minutes[0]["first"], truth[0]["f"]);

    let wrong = [
        ("/api/v3/depth", 400, -1102),
        ("/api/v3/aggTrades?symbol=NOPE", 400, -1121),
        ("/api/v3/aggTrades?symbol=BTCUSDT&fromId=x", 400, -1100),
        ("/nowhere", 404, -1000),
    ];
    for (path, status, code) in wrong {
        let (got, body) = get(exchange.rest, path).await;
        assert_eq!((got, body["code"].as_i64()), (status, Some(code)), "{path}");
    }
}

#[tokio::test]
async fn stopping_closes_every_connection_with_1001() {
    let exchange = Exchange::start(generated(Some(1))).await.unwrap();
    let mut socket = connect(exchange.ws, "/ws/btcusdt@aggTrade").await;
    next(&mut socket).await;

    let (truth, last) = tokio::join!(exchange.stop(), async {
        let mut last = None;
        while let Some(message) = next(&mut socket).await {
            if let Message::Close(frame) = message {
                last = frame;
            }
        }
        last
    });

    assert_eq!(last.map(|frame| u16::from(frame.code)), Some(1001));
    assert_eq!(truth.count(), 1);
}

#[tokio::test]
async fn a_wrong_configuration_is_refused_by_name() {
    for (config, named) in [
        (Config { speed: 0.0, ..Config::default() }, "speed 0"),
        (
            Config {
                source: Source::Generated(Generated { seed: 1, symbols: vec!["btc".into()], rate: 1, count: None }),
                ..Config::default()
            },
            "\"btc\"",
        ),
        (
            Config {
                source: Source::Generated(Generated { seed: 1, symbols: vec!["BTC".into()], rate: 0, count: None }),
                ..Config::default()
            },
            "rate 0",
        ),
        (Config { book_levels: 5, ..generated(None) }, "book levels 5"),
        (Config { script: "market NOPE after 1 hole 1".parse().unwrap(), ..generated(None) }, "market NOPE"),
    ] {
        let error = Exchange::start(config).await.unwrap_err().to_string();
        assert!(error.contains(named), "{error}");
    }
}
