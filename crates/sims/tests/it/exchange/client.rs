use std::{net::SocketAddr, time::Duration};

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use sims::exchange::{Config, Exchange, Generated, Log, Source};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{self, Message, protocol::CloseFrame},
};

pub(super) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub(super) const PATIENCE: Duration = Duration::from_secs(30);

pub(super) async fn connect(at: SocketAddr, path: &str) -> Socket {
    try_connect(at, path).await.unwrap()
}

pub(super) async fn try_connect(at: SocketAddr, path: &str) -> tungstenite::Result<Socket> {
    Ok(connect_async(format!("ws://{at}{path}")).await?.0)
}

/// `None` at the end, however it comes.
pub(super) async fn next(socket: &mut Socket) -> Option<Message> {
    timeout(PATIENCE, socket.next()).await.expect("a message within the time")?.ok()
}

/// The next message with data; pings are passed over.
pub(super) async fn next_json(socket: &mut Socket) -> Value {
    loop {
        if let Message::Text(text) = next(socket).await.unwrap() {
            return serde_json::from_str(&text).unwrap();
        }
    }
}

/// Reads to the end: the ids of the trades, and how it closed.
pub(super) async fn drain(socket: &mut Socket) -> (Vec<u64>, Option<CloseFrame>) {
    let (mut ids, mut closed) = (Vec::new(), None);
    while let Some(message) = next(socket).await {
        match message {
            Message::Text(text) => ids.extend(id(&text)),
            Message::Close(frame) => closed = frame,
            _ => {}
        }
    }
    (ids, closed)
}

/// The id of an aggregate.
pub(super) fn id(text: &str) -> Option<u64> {
    serde_json::from_str::<Value>(text).ok()?["a"].as_u64()
}

/// Closes as a careful client does, and returns what still came.
pub(super) async fn close(mut socket: Socket) -> Vec<Message> {
    socket.send(Message::Close(None)).await.unwrap();
    let mut rest = Vec::new();
    while let Some(message) = next(&mut socket).await {
        if message.is_text() {
            rest.push(message);
        }
    }
    rest
}

/// An answer of REST, as it came.
pub(super) struct Answer {
    pub(super) status: u16,
    head: String,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// `None` if the connection ended without an answer.
pub(super) async fn ask(at: SocketAddr, path: &str, headers: &str) -> Option<Answer> {
    let mut stream = TcpStream::connect(at).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = read.ok().and_then(|_| answer.split_once("\r\n\r\n"))?;
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Some(Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() })
}

pub(super) async fn get(at: SocketAddr, path: &str) -> (u16, Value) {
    let answer = ask(at, path, "").await.unwrap();
    (answer.status, answer.json())
}

/// BTCUSDT, 100 trades to the exchange second, as fast as they are read.
pub(super) fn generated(count: Option<u64>) -> Config {
    let generated = Generated { seed: 1, symbols: vec!["BTCUSDT".into()], rate: 100, count };
    Config { source: Source::Generated(generated), speed: f64::INFINITY, ..Config::default() }
}

pub(super) async fn start(count: Option<u64>, script: &str) -> Exchange {
    let script = script.parse().unwrap();
    Exchange::start(Config { script, ..generated(count) }).await.unwrap()
}

/// Waits for something to be in the log.
pub(super) async fn logged(exchange: &Exchange, enough: impl FnMut(&Log) -> bool) {
    timeout(PATIENCE, exchange.until_log(enough)).await.unwrap();
}
