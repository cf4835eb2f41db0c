//! What the script does to connections.

use std::time::Duration;

use futures_util::StreamExt;
use sims::exchange::{Happening, Script};
use tokio::{io::AsyncReadExt, net::TcpStream, time::timeout};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::client::{Socket, close, connect, drain, get, id, logged, next, next_json, start, try_connect};

const SOON: Duration = Duration::from_millis(300);
const TRADES: &str = "/ws/btcusdt@aggTrade";

async fn ids(socket: &mut Socket, count: usize) -> Vec<u64> {
    let mut ids = Vec::new();
    while ids.len() < count {
        ids.extend(next(socket).await.and_then(|message| id(message.to_text().ok()?)));
    }
    ids
}

/// Their distance from the first.
fn steps(ids: &[u64]) -> Vec<u64> {
    ids.iter().map(|id| id - ids[0]).collect()
}

#[tokio::test]
async fn trades_are_left_out_repeated_and_late_where_the_script_says() {
    let script = "socket 1 after 3 skip 2; socket 1 after 6 repeat 1; socket 1 after 8 late 2";
    let exchange = start(Some(12), script).await;
    let mut socket = connect(exchange.ws, TRADES).await;

    assert_eq!(steps(&ids(&mut socket, 11).await), [0, 1, 2, 5, 6, 6, 7, 9, 10, 8, 11]);
    close(socket).await;
    let truth = exchange.stop().await;
    assert_eq!((truth.count(), truth.happened("BTCUSDT").count()), (10, 12));
}

#[tokio::test]
async fn a_late_message_comes_even_if_nothing_follows_it() {
    let exchange = start(Some(3), "socket 1 after 2 late 5").await;
    let mut socket = connect(exchange.ws, TRADES).await;

    assert_eq!(steps(&ids(&mut socket, 3).await), [0, 1, 2]);
    exchange.until(|truth| truth.count() == 3).await;
}

#[tokio::test]
async fn connections_end_after_so_many_messages_with_the_code_or_without_a_word() {
    let script = "socket 1 after 10 close 1008; socket 2 after 5 close 1011; socket 3 after 7 drop";
    let exchange = start(None, script).await;
    let mut last = None;

    for (count, code) in [(10, Some(1008)), (5, Some(1011)), (7, None)] {
        let mut socket = connect(exchange.ws, TRADES).await;
        let (ids, closed) = drain(&mut socket).await;
        assert_eq!(closed.map(|frame| u16::from(frame.code)), code);
        if code.is_some() {
            assert_eq!(ids.len(), count);
            assert!(last.is_none_or(|last| ids[0] == last + 1), "the next listener goes on after the last message");
        } else {
            // A reset may overtake what was sent before it.
            assert!(ids.len() <= count);
        }
        last = ids.last().copied();
    }
    let log = exchange.log();
    assert_eq!((log.faults(), log.struck["close"], log.struck["drop"]), (3, 2, 1));
}

#[tokio::test]
async fn messages_in_pieces_and_frames_are_the_same_messages() {
    let (plain, pieces) = (start(Some(20), "").await, start(Some(20), "socket * split 50; socket * fragment 3").await);
    let mut read = Vec::new();
    for exchange in [&plain, &pieces] {
        let mut socket = connect(exchange.ws, TRADES).await;
        let mut messages = Vec::new();
        for _ in 0..20 {
            messages.push(next(&mut socket).await.unwrap());
        }
        read.push(messages);
    }

    assert_eq!(read[0], read[1]);
    assert_eq!(pieces.log().faults(), 40);
}

#[tokio::test]
async fn a_broken_message_comes_before_the_right_one() {
    let exchange = start(Some(2), "socket 1 garble").await;
    let mut socket = connect(exchange.ws, TRADES).await;

    let broken = next(&mut socket).await.unwrap();
    let whole = next(&mut socket).await.unwrap();

    assert_ne!(broken, whole);
    assert!(id(whole.to_text().unwrap()).is_some() && id(broken.to_text().unwrap()).is_none());
}

#[tokio::test]
async fn a_handshake_is_refused_or_never_answered() {
    let exchange = start(None, "socket 1 refuse 503; socket 2 half-open").await;

    let Err(Error::Http(refusal)) = try_connect(exchange.ws, TRADES).await else { panic!("it has to be refused") };
    assert_eq!(refusal.status().as_u16(), 503);
    assert!(timeout(SOON, try_connect(exchange.ws, TRADES)).await.is_err(), "nobody answers");
    next_json(&mut connect(exchange.ws, TRADES).await).await;
}

#[tokio::test]
async fn a_frozen_connection_says_nothing_and_a_silent_one_answers_pings() {
    let exchange = start(None, "socket 1 after 5 freeze; socket 2 after 5 silence").await;
    for answers in [false, true] {
        let mut socket = connect(exchange.ws, TRADES).await;
        ids(&mut socket, 5).await;
        assert!(timeout(SOON, socket.next()).await.is_err(), "no data");

        futures_util::SinkExt::send(&mut socket, Message::Ping("here?".into())).await.unwrap();
        let answer = timeout(SOON, socket.next()).await;
        assert_eq!(answer.is_ok(), answers);
        if let Ok(Some(Ok(answer))) = answer {
            assert_eq!(answer, Message::Pong("here?".into()));
        }
    }
    // Who listens next goes on where they stopped.
    let mut socket = connect(exchange.ws, TRADES).await;
    let id = ids(&mut socket, 1).await[0];
    assert_eq!(exchange.truth().happened("BTCUSDT").position(|trade| trade.id == id), Some(10));
}

#[tokio::test]
async fn a_deaf_connection_sends_on_and_never_answers() {
    let exchange = start(None, "socket 1 after 1 deaf").await;
    let mut socket = connect(exchange.ws, TRADES).await;
    ids(&mut socket, 1).await;
    logged(&exchange, |log| log.struck.contains_key("deaf")).await;

    futures_util::SinkExt::send(&mut socket, Message::Ping("here?".into())).await.unwrap();
    for _ in 0..5000 {
        let message = next(&mut socket).await.unwrap();
        assert!(message.is_text(), "{message:?}");
    }
}

#[tokio::test]
async fn a_shutdown_is_announced_and_then_happens() {
    let exchange = start(None, "socket 1 after 2 shutdown 50").await;
    for (path, stream) in [(TRADES, None), ("/stream?streams=btcusdt@aggTrade", Some("!serverShutdown"))] {
        let mut socket = connect(exchange.ws, path).await;
        if stream.is_some() {
            next_json(&mut socket).await;
            exchange.announce_shutdown(Duration::from_millis(50));
        }
        let notice = loop {
            let message = next_json(&mut socket).await;
            let data = if message["data"].is_null() { &message } else { &message["data"] };
            if data["e"] == "serverShutdown" {
                assert!(data["E"].is_u64());
                break message;
            }
        };
        assert_eq!(notice["stream"].as_str(), stream);
        assert_eq!(drain(&mut socket).await.1.map(|frame| u16::from(frame.code)), Some(1001));
    }
}

#[tokio::test]
async fn a_hole_is_nowhere_and_a_halt_is_announced() {
    let exchange = start(Some(40), "market BTCUSDT after 10 hole 5; market BTCUSDT after 20 halt 7200000").await;
    let mut socket = connect(exchange.ws, TRADES).await;

    let ids = ids(&mut socket, 40).await;

    let truth = exchange.truth();
    let hole = &truth.holes("BTCUSDT")[0].aggregates;
    assert_eq!((*hole.start(), *hole.end()), (ids[9] + 1, ids[10] - 1));
    let path = format!("/api/v3/aggTrades?symbol=BTCUSDT&fromId={}&limit=1", hole.start());
    assert_eq!(get(exchange.rest, &path).await.1[0]["a"], ids[10]);
    let (_, holes) = get(exchange.rest, "/truth/holes?symbol=BTCUSDT").await;
    assert_eq!(holes[0]["a"][0], *hole.start());
    let times: Vec<u64> = truth.happened("BTCUSDT").map(|trade| trade.time_ms).collect();
    assert!(times[20] - times[19] >= 7_200_000);
    assert_eq!(ids[20], ids[19] + 1);
}

#[tokio::test]
async fn who_is_gone_resets_every_connection_until_it_is_back() {
    let exchange = start(None, "").await;
    let mut socket = connect(exchange.ws, TRADES).await;
    ids(&mut socket, 1).await;

    exchange.set_gone(true);
    drain(&mut socket).await;
    assert!(try_connect(exchange.ws, TRADES).await.is_err());
    let mut request = TcpStream::connect(exchange.rest).await.unwrap();
    assert_eq!(request.read(&mut [0]).await.unwrap_or(0), 0);

    exchange.set_gone(false);
    ids(&mut connect(exchange.ws, TRADES).await, 1).await;
}

#[tokio::test]
async fn another_script_counts_from_its_own_beginning() {
    let exchange = start(None, "socket 1 after 1 close 1008").await;
    let mut socket = connect(exchange.ws, TRADES).await;
    assert_eq!(drain(&mut socket).await.0.len(), 1);

    exchange.set_script(Script::new(0).event("BTCUSDT", 0, Happening::Hole(3)));
    let mut socket = connect(exchange.ws, TRADES).await;
    ids(&mut socket, 5000).await;

    assert_eq!(exchange.truth().holes("BTCUSDT").len(), 1);
}

#[tokio::test]
async fn one_stream_can_be_late_while_the_others_are_not() {
    let exchange = start(None, "socket 1 of @depth@100ms late 100").await;
    let mut socket = connect(exchange.ws, "/stream?streams=btcusdt@aggTrade/btcusdt@depth@100ms").await;

    let mut trades = 0;
    let (changed_ms, newest_ms) = loop {
        let message = next_json(&mut socket).await;
        if message["stream"] == "btcusdt@aggTrade" {
            trades = message["data"]["T"].as_u64().unwrap();
        } else {
            break (message["data"]["E"].as_u64().unwrap(), trades);
        }
    };

    assert!(newest_ms > changed_ms + 300, "a change at {changed_ms} came before a trade at {newest_ms}");
}
