//! The streams that there are, over TCP and TLS.

use std::{collections::BTreeSet, sync::Arc};

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use sims::exchange::{CERTIFICATE, Config, Exchange};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};
use tokio_tungstenite::{client_async, tungstenite::Message};

use super::client::{connect, generated, next_json, start};

#[tokio::test]
async fn every_stream_of_a_symbol_speaks_its_own_form() {
    let exchange = start(Some(3000), "").await;
    let kinds = ["aggTrade", "trade", "bookTicker", "depth", "depth@100ms", "depth5", "depth20@100ms", "kline_1m"];
    let streams: Vec<String> = kinds.iter().map(|kind| format!("btcusdt@{kind}")).collect();
    let mut socket = connect(exchange.ws, &format!("/stream?streams={}", streams.join("/"))).await;

    let mut seen = BTreeSet::new();
    while seen.len() < streams.len() {
        let message = next_json(&mut socket).await;
        let (stream, data) = (message["stream"].as_str().unwrap().to_owned(), &message["data"]);
        let is_right = match stream.as_str() {
            "btcusdt@aggTrade" => data["e"] == "aggTrade" && data["f"].is_u64(),
            "btcusdt@trade" => data["e"] == "trade" && data["t"].is_u64(),
            "btcusdt@bookTicker" => data["b"].as_str() < data["a"].as_str() && data["u"].is_u64(),
            "btcusdt@depth" | "btcusdt@depth@100ms" => {
                data["e"] == "depthUpdate" && data["U"].as_u64() <= data["u"].as_u64()
            }
            "btcusdt@depth5" => data["bids"].as_array().unwrap().len() == 5,
            "btcusdt@depth20@100ms" => data["asks"].as_array().unwrap().len() == 20,
            "btcusdt@kline_1m" => data["k"]["i"] == "1m",
            _ => false,
        };
        assert!(is_right, "{message}");
        seen.insert(stream);
    }
}

#[tokio::test]
async fn properties_and_time_units_change_the_form() {
    let exchange = start(None, "").await;
    let mut socket = connect(exchange.ws, "/ws/btcusdt@aggTrade?timeUnit=MICROSECOND").await;
    assert!(next_json(&mut socket).await["T"].as_u64() > Some(1_000_000_000_000_000));

    let ask = [
        r#"{"method":"SET_PROPERTY","params":["combined",true],"id":1}"#,
        r#"{"method":"GET_PROPERTY","params":["combined"],"id":"two"}"#,
    ];
    for text in ask {
        socket.send(Message::text(text)).await.unwrap();
    }
    let (mut answers, mut wrapped) = (Vec::new(), false);
    while answers.len() < 2 || !wrapped {
        let message = next_json(&mut socket).await;
        wrapped |= message["stream"] == "btcusdt@aggTrade";
        if message["id"] != Value::Null {
            answers.push(message.to_string());
        }
    }
    assert_eq!(answers, [r#"{"id":1,"result":null}"#, r#"{"id":"two","result":true}"#]);
}

#[tokio::test]
async fn a_stepped_market_goes_as_far_as_it_is_told() {
    let exchange = Exchange::start(Config { stepped: true, ..generated(None) }).await.unwrap();
    let mut socket = connect(exchange.ws, "/ws/btcusdt@aggTrade").await;

    for steps in [1, 10, 100] {
        exchange.advance(steps).await;
        for _ in 0..steps {
            next_json(&mut socket).await;
        }
    }

    assert_eq!(exchange.stop().await.happened("BTCUSDT").count(), 111);
}

async fn tls(exchange: &Exchange, rest: bool) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(CERTIFICATE.as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tcp = TcpStream::connect(if rest { exchange.rest } else { exchange.ws }).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap()
}

#[tokio::test]
async fn both_sides_speak_tls() {
    let script = "socket * every 3 split 11".parse().unwrap();
    let exchange = Exchange::start(Config { tls: true, script, ..generated(Some(100)) }).await.unwrap();
    assert!(exchange.ws_url().starts_with("wss://") && exchange.rest_url().starts_with("https://"));

    let stream = tls(&exchange, false).await;
    let mut socket = client_async("wss://localhost/ws/btcusdt@aggTrade", stream).await.unwrap().0;
    for _ in 0..100 {
        assert!(socket.next().await.unwrap().unwrap().is_text());
    }
    socket.send(Message::Close(None)).await.unwrap();
    while let Some(Ok(_)) = socket.next().await {}

    let mut stream = tls(&exchange, true).await;
    let request = b"GET /api/v3/ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("{}"), "{answer}");
    assert_eq!(exchange.stop().await.count(), 100);
}
