//! What clients may do, and what becomes of those who do more.

use std::time::Duration;

use futures_util::SinkExt;
use sims::exchange::{Config, Exchange, Limits, Offence};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::client::{ask, connect, drain, generated, logged, next, next_json, start, try_connect};

const TRADES: &str = "/ws/btcusdt@aggTrade";

async fn limited(limits: Limits) -> Exchange {
    Exchange::start(Config { limits, ..generated(Some(5)) }).await.unwrap()
}

fn code(closed: Option<tokio_tungstenite::tungstenite::protocol::CloseFrame>) -> Option<u16> {
    closed.map(|frame| frame.code.into())
}

#[tokio::test]
async fn pings_have_a_payload_and_whoever_answers_with_it_stays() {
    let ping_every = Duration::from_millis(5);
    let exchange = limited(Limits { ping_every, messages_per_second: usize::MAX, ..Limits::default() }).await;
    let mut socket = connect(exchange.ws, TRADES).await;
    let mut pings = 0;
    while pings < 5 {
        if let Message::Ping(payload) = next(&mut socket).await.unwrap() {
            assert!(!payload.is_empty());
            pings += 1;
        }
        socket.flush().await.unwrap();
    }

    logged(&exchange, |log| log.pongs >= 4).await;
    assert!(exchange.log().offences.is_empty());
}

#[tokio::test]
async fn a_pong_with_another_payload_closes_the_connection() {
    let exchange = start(None, "socket 1 after 1 ping").await;
    let mut socket = connect(exchange.ws, TRADES).await;
    logged(&exchange, |log| log.struck.contains_key("ping")).await;

    socket.send(Message::Pong("something else".into())).await.unwrap();

    assert_eq!(code(drain(&mut socket).await.1), Some(1008));
    assert_eq!(exchange.log().offences, [Offence::WrongPong]);
}

#[tokio::test]
async fn who_does_not_answer_a_ping_is_closed() {
    let (ping_every, pong_within) = (Duration::from_millis(10), Duration::from_millis(50));
    let exchange = limited(Limits { ping_every, pong_within, ..Limits::default() }).await;
    let mut socket = connect(exchange.ws, TRADES).await;

    // Pongs are sent by reading.
    logged(&exchange, |log| log.offences == [Offence::NoPong]).await;

    assert_eq!(code(drain(&mut socket).await.1), Some(1008));
}

#[tokio::test]
async fn more_than_five_messages_a_second_are_too_many() {
    let exchange = limited(Limits::default()).await;
    let mut socket = connect(exchange.ws, TRADES).await;

    for _ in 0..6 {
        socket.send(Message::text(r#"{"method":"LIST_SUBSCRIPTIONS","id":1}"#)).await.unwrap();
    }

    assert_eq!(code(drain(&mut socket).await.1), Some(1008));
    assert_eq!(exchange.log().offences, [Offence::TooManyMessages]);
}

#[tokio::test]
async fn too_many_connections_are_refused_until_the_window_has_passed() {
    let connect_window = Duration::from_millis(300);
    let exchange = limited(Limits { connects: 3, connect_window, ..Limits::default() }).await;
    for _ in 0..3 {
        connect(exchange.ws, TRADES).await;
    }

    let Err(Error::Http(refusal)) = try_connect(exchange.ws, TRADES).await else { panic!("it has to be refused") };
    assert_eq!(refusal.status().as_u16(), 429);
    assert_eq!(exchange.log().offences, [Offence::TooManyConnects]);
    tokio::time::sleep(connect_window).await;
    connect(exchange.ws, TRADES).await;
}

#[tokio::test]
async fn a_connection_lives_as_long_as_it_may() {
    let exchange = limited(Limits { lifetime: Duration::from_millis(50), ..Limits::default() }).await;
    let mut socket = connect(exchange.ws, TRADES).await;

    let (ids, closed) = drain(&mut socket).await;

    assert_eq!((ids.len(), code(closed)), (5, Some(1001)));
}

#[tokio::test]
async fn too_many_streams_are_refused() {
    let exchange = limited(Limits { streams: 2, ..Limits::default() }).await;
    assert!(try_connect(exchange.ws, "/ws/a@trade/b@trade/c@trade").await.is_err());

    let mut socket = connect(exchange.ws, "/ws/a@trade/b@trade").await;
    socket.send(Message::text(r#"{"method":"SUBSCRIBE","params":["c@trade"],"id":1}"#)).await.unwrap();

    assert_eq!(next_json(&mut socket).await["code"], 2);
}

#[tokio::test]
async fn weight_is_counted_told_and_limited_and_who_does_not_listen_is_banned() {
    let exchange = limited(Limits { weight: 300, ignored: 2, ..Limits::default() }).await;
    let depth = "/api/v3/depth?symbol=BTCUSDT&limit=5000";
    let trades = "/api/v3/aggTrades?symbol=BTCUSDT";

    for (path, used) in [(depth, "250"), (trades, "254")] {
        let answer = ask(exchange.rest, path, "").await.unwrap();
        assert_eq!((answer.status, answer.header("x-mbx-used-weight-1m")), (200, Some(used)));
    }
    for _ in 0..3 {
        let answer = ask(exchange.rest, depth, "").await.unwrap();
        assert_eq!((answer.status, answer.json()["code"].as_i64()), (429, Some(-1003)));
        assert!((1..=60).contains(&answer.header("retry-after").unwrap().parse::<u64>().unwrap()));
        assert!(
            answer.body.contains("Too much request weight used; current limit is 300 request weight per 1 MINUTE.")
        );
    }
    let answer = ask(exchange.rest, trades, "").await.unwrap();
    assert_eq!((answer.status, answer.header("retry-after")), (418, Some("120")));
    assert!(answer.body.contains("IP banned until"), "{}", answer.body);

    let log = exchange.log();
    let early = Offence::TooEarly;
    assert_eq!(log.offences, [Offence::TooMuchWeight, early, early, early]);
    assert_eq!((log.asked("depth"), log.requests[0].weight, log.requests[5].status), (4, 250, 418));
}
