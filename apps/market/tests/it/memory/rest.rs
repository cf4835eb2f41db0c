//! The other side of the exchange in memory: answers requests, and has trades that the stream does not bring, and order books.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use softstop::Scope;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    sync::mpsc,
};

use super::{BEGIN_MS, Trade, script};

/// The place of the change that the stream leaves out.
pub(super) const LEFT_OUT: usize = 15;

/// The script and what the stream does not bring of it: the trade that is missing in it, and one from before it began. The places of
/// both are behind those of the others.
pub(crate) fn everything() -> Vec<Trade> {
    let mut all = script();
    let missing = Trade {
        id: all[9].id - 1,
        first: all[9].first - 1,
        last: all[9].first - 1,
        quantity: 1 << 24,
        ..all[9].clone()
    };
    let before = Trade {
        id: all[0].id - 1,
        first: all[0].first - 1,
        last: all[0].first - 1,
        quantity: 1 << 25,
        ..all[0].clone()
    };
    all.extend([missing, before]);
    all
}

/// One change of the book of a symbol with every trade of it.
pub(super) fn updates(happened: usize, symbol: &str) -> usize {
    script()[..happened].iter().filter(|trade| trade.symbol == symbol).count()
}

/// The bid that the `n`-th change sets.
fn bid(n: usize) -> (i64, i64) {
    (90 + (n % 5) as i64, if n % 4 == 3 { 0 } else { n as i64 })
}

/// All bids after so many changes, highest first; asks do not change.
pub(crate) fn bids(updates: usize) -> Vec<(i64, i64)> {
    let mut bids = BTreeMap::from([(80, 1)]);
    bids.extend((1..=updates).map(bid));
    bids.into_iter().filter(|(_, quantity)| *quantity > 0).rev().collect()
}

/// The message of the change that comes with the trade of this place.
pub(super) fn change(place: usize) -> String {
    let symbol = script()[place].symbol;
    let (n, stream) = (updates(place + 1, symbol), symbol.to_ascii_lowercase());
    let (price, quantity) = bid(n);
    format!(
        r#"{{"stream":"{stream}@depth@100ms","data":{{"e":"depthUpdate","E":{},"s":"{symbol}","U":{n},"u":{n},"b":[["{price}","{quantity}"]],"a":[]}}}}"#,
        BEGIN_MS + place as i64
    )
}

/// Answers on every connection until it is closed.
pub(super) async fn serve(
    scope: Scope,
    mut accepted: mpsc::UnboundedReceiver<DuplexStream>,
    happened: Arc<AtomicUsize>,
) {
    while let Some(stream) = scope.until_draining(accepted.recv()).await.flatten() {
        let happened = Arc::clone(&happened);
        scope.spawn("answer", async move {
            // An error is a client that has gone.
            let _ = answer(stream, &happened).await;
            Ok(())
        });
    }
}

async fn answer(mut stream: DuplexStream, happened: &AtomicUsize) -> std::io::Result<()> {
    let mut asked = Vec::new();
    while stream.read_buf(&mut asked).await? > 0 {
        let Some(end) = asked.windows(4).position(|end| end == b"\r\n\r\n") else { continue };
        let head = String::from_utf8(asked.drain(..end + 4).collect()).unwrap();
        let (status, body) = match body(head.split(' ').nth(1).unwrap(), happened.load(Ordering::Relaxed)) {
            Some(body) => ("200 OK", body),
            None => ("404 Not Found", "{}".to_owned()),
        };
        let length = body.len();
        stream.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}").as_bytes()).await?;
    }
    Ok(())
}

fn body(what: &str, happened: usize) -> Option<String> {
    let (path, query) = what.split_once('?').unwrap_or((what, ""));
    let value = |name| query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name);
    let number = |name| value(name).map(|(_, value)| value.parse::<i64>().unwrap());
    let symbol = value("symbol").map_or("", |(_, symbol)| symbol);
    Some(match path.strip_prefix("/api/v3/")? {
        "time" => format!(r#"{{"serverTime":{BEGIN_MS}}}"#),
        "exchangeInfo" => format!(r#"{{"timezone":"UTC","serverTime":{BEGIN_MS},"rateLimits":[],"symbols":[]}}"#),
        "aggTrades" => aggregates(symbol, number("fromId"), number("startTime"), happened),
        "depth" => {
            let updates = updates(happened, symbol);
            let bids = bids(updates).into_iter().map(|(price, quantity)| format!(r#"["{price}","{quantity}"]"#));
            let bids = bids.collect::<Vec<_>>().join(",");
            format!(r#"{{"lastUpdateId":{updates},"bids":[{bids}],"asks":[["100","1"]]}}"#)
        }
        _ => return None,
    })
}

fn aggregates(symbol: &str, from: Option<i64>, start: Option<i64>, happened: usize) -> String {
    let mut all = everything();
    // What the stream does not bring has happened with the first trade after it.
    let mut trades = all.split_off(24);
    trades.retain(|trade| trade.quantity != 1 << 24 || happened > 9);
    trades.extend(all.drain(..happened));
    trades.retain(|trade| {
        trade.symbol == symbol
            && from.is_none_or(|from| trade.id >= from)
            && start.is_none_or(|from| trade.time_ms >= from)
    });
    trades.sort_by_key(|trade| trade.id);
    let trades = trades.iter().map(|Trade { id, first, last, time_ms, price, quantity, buyer_is_maker, .. }| {
        let [p, q] = [price, quantity].map(|units| super::decimal(*units));
        format!(
            r#"{{"a":{id},"p":"{p}","q":"{q}","f":{first},"l":{last},"T":{time_ms},"m":{buyer_is_maker},"M":true}}"#
        )
    });
    format!("[{}]", trades.collect::<Vec<_>>().join(","))
}
