//! The REST side.

use std::{convert::Infallible, sync::Arc};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::CONTENT_TYPE,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch, task::JoinSet};

use super::{Trade, Truth, decimal, replay::Snapshot, stopped, tape::Tape};

/// What the answers are made from.
pub(crate) struct Desk {
    tape: Arc<Tape>,
    snapshots: Vec<Snapshot>,
}

pub(crate) async fn serve(listener: TcpListener, desk: Arc<Desk>, mut stop: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept() => {
                let desk = Arc::clone(&desk);
                let answer = service_fn(move |request| {
                    let desk = Arc::clone(&desk);
                    async move { Ok::<_, Infallible>(desk.answer(&request)) }
                });
                connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
            }
            Some(_) = connections.join_next() => {}
            () = stopped(&mut stop) => return,
        }
    }
}

/// The number and text of an error, as the exchange has them.
struct Refusal(i32, &'static str);

const UNKNOWN_SYMBOL: Refusal = Refusal(-1121, "Invalid symbol.");
const NO_SYMBOL: Refusal = Refusal(-1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.");
const NOT_A_NUMBER: Refusal = Refusal(-1100, "Illegal characters found in a parameter.");

impl Desk {
    pub(crate) fn new(tape: Arc<Tape>, snapshots: Vec<Snapshot>) -> Self {
        Self { tape, snapshots }
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let query = Query(request.uri().query().unwrap_or_default());
        let body = match (request.method(), request.uri().path()) {
            (&Method::GET, "/api/v3/ping") => Ok("{}".to_owned()),
            (&Method::GET, "/api/v3/time") => Ok(json!({ "serverTime": self.tape.now_ms() }).to_string()),
            (&Method::GET, "/api/v3/exchangeInfo") => Ok(self.info()),
            (&Method::GET, "/api/v3/depth") => self.depth(&query),
            (&Method::GET, "/api/v3/aggTrades") => self.trades(&query),
            (&Method::GET, "/sim/truth") => self.truth(&query),
            _ => return reply(StatusCode::NOT_FOUND, json!({ "code": -1000, "msg": "No such path." }).to_string()),
        };
        match body {
            Ok(body) => reply(StatusCode::OK, body),
            Err(Refusal(code, msg)) => reply(StatusCode::BAD_REQUEST, json!({ "code": code, "msg": msg }).to_string()),
        }
    }

    fn info(&self) -> String {
        let symbols = self.tape.read(|truth| truth.symbols.keys().cloned().collect::<Vec<_>>());
        let symbol = |symbol: &String| json!({ "symbol": symbol, "status": "TRADING" });
        json!({
            "timezone": "UTC",
            "serverTime": self.tape.now_ms(),
            "rateLimits": [],
            "symbols": symbols.iter().map(symbol).collect::<Vec<_>>(),
        })
        .to_string()
    }

    /// The recorded book; for generated trades five made-up prices on either side of the last one.
    fn depth(&self, query: &Query<'_>) -> Result<String, Refusal> {
        let symbol = query.text("symbol").ok_or(NO_SYMBOL)?;
        if let Some(snapshot) = self.snapshots.iter().find(|snapshot| snapshot.symbol == symbol) {
            return Ok(snapshot.body(self.tape.now_ms()));
        }
        let last = self
            .tape
            .read(|truth| truth.symbols.get(symbol).map(|trades| trades.last().copied()))
            .ok_or(UNKNOWN_SYMBOL)?;
        let Some((last, _)) = last else { return Ok(json!({ "lastUpdateId": 0, "bids": [], "asks": [] }).to_string()) };
        let side = |up: bool| -> Vec<Value> {
            let price = |step: u64| if up { last.price + step } else { last.price.saturating_sub(step) };
            (1..=5).map(|n| json!([decimal(price(n * 1_000_000)), decimal(n * 100_000_000)])).collect()
        };
        Ok(json!({ "lastUpdateId": last.last, "bids": side(false), "asks": side(true) }).to_string())
    }

    /// What happened, sent or not: an exchange knows all of it. Without `fromId` the newest.
    fn trades(&self, query: &Query<'_>) -> Result<String, Refusal> {
        let symbol = query.text("symbol").ok_or(NO_SYMBOL)?;
        let limit = query.number("limit")?.unwrap_or(500).min(1000);
        let limit = usize::try_from(limit).unwrap_or(1000);
        let from = query.number("fromId")?;
        self.tape.read(|truth| {
            let trades = truth.symbols.get(symbol).ok_or(UNKNOWN_SYMBOL)?;
            let begin = match from {
                Some(id) => trades.partition_point(|(trade, _)| trade.id < id),
                None => trades.len().saturating_sub(limit),
            };
            Ok(list(trades[begin..].iter().take(limit).map(|(trade, _)| *trade)))
        })
    }

    /// All trades that were sent; with `by=minute` summed up by minute and price.
    fn truth(&self, query: &Query<'_>) -> Result<String, Refusal> {
        let symbol = query.text("symbol").ok_or(NO_SYMBOL)?;
        let by_minute = query.text("by") == Some("minute");
        self.tape.read(|truth| {
            truth.symbols.get(symbol).ok_or(UNKNOWN_SYMBOL)?;
            if by_minute { Ok(minutes(truth, symbol)) } else { Ok(list(truth.sent(symbol))) }
        })
    }
}

fn list(trades: impl Iterator<Item = Trade>) -> String {
    let trades: Vec<String> = trades.map(Trade::to_rest).collect();
    format!("[{}]", trades.join(","))
}

fn minutes(truth: &Truth, symbol: &str) -> String {
    let minutes = truth.minutes(symbol).into_iter().map(|(begin_ms, minute)| {
        let levels = minute.levels.iter().map(|(price, level)| {
            json!({ "price": decimal(*price), "buy": decimal(level.buy), "sell": decimal(level.sell), "trades": level.trades })
        });
        json!({ "minute": begin_ms, "first": minute.first, "last": minute.last, "levels": levels.collect::<Vec<_>>() })
    });
    Value::Array(minutes.collect()).to_string()
}

fn reply(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/json"));
    response
}

struct Query<'a>(&'a str);

impl<'a> Query<'a> {
    fn text(&self, name: &str) -> Option<&'a str> {
        let mut pairs = self.0.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, value)| *key == name && !value.is_empty()).map(|(_, value)| value)
    }

    fn number(&self, name: &str) -> Result<Option<u64>, Refusal> {
        self.text(name).map(|text| text.parse().map_err(|_| NOT_A_NUMBER)).transpose()
    }
}
