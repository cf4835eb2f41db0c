//! A client that does everything right comes to the truth, whatever the script does.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sims::exchange::{Config, Exchange, Script, SocketFault};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use super::client::{PATIENCE, connect, generated, get, id, next, try_connect};

/// Reads trades over one connection until it ends; whether it ever began.
async fn collect(exchange: &Exchange, ids: &mut BTreeSet<u64>, faults: u64) {
    let Ok(mut socket) = try_connect(exchange.ws, "/ws/btcusdt@aggTrade").await else { return };
    while exchange.log().faults() < faults {
        let Some(message) = next(&mut socket).await else { return };
        if let Message::Text(text) = message {
            ids.extend(id(&text));
        }
    }
}

/// Fills every gap between the first trade and the last by id.
async fn fill(exchange: &Exchange, ids: &mut BTreeSet<u64>) {
    let (first, last) = (*ids.first().unwrap(), *ids.last().unwrap());
    let mut want = first;
    while want < last {
        if ids.contains(&want) {
            want += 1;
            continue;
        }
        let path = format!("/api/v3/aggTrades?symbol=BTCUSDT&fromId={want}&limit=1000");
        let (status, page) = get(exchange.rest, &path).await;
        assert_eq!(status, 200, "{page}");
        let page: Vec<u64> = page.as_array().unwrap().iter().map(|trade| trade["a"].as_u64().unwrap()).collect();
        // What comes later says that there is nothing before it.
        want = page[0].max(want + 1);
        ids.extend(page.into_iter().filter(|id| (first..=last).contains(id)));
    }
}

#[tokio::test]
async fn after_two_hundred_faults_nothing_is_missing() {
    let script = Script::seeded(11, 210, &SocketFault::QUICK, 5..=60);
    let script = script.event("BTCUSDT", 300, sims::exchange::Happening::Hole(40)).event(
        "BTCUSDT",
        900,
        sims::exchange::Happening::Hole(1),
    );
    assert_eq!(script, {
        let again = Script::seeded(11, 210, &SocketFault::QUICK, 5..=60);
        again.event("BTCUSDT", 300, sims::exchange::Happening::Hole(40)).event(
            "BTCUSDT",
            900,
            sims::exchange::Happening::Hole(1),
        )
    });
    let exchange = Exchange::start(Config { script, ..generated(None) }).await.unwrap();
    let mut ids = BTreeSet::new();

    let collected = async {
        while exchange.log().faults() < 200 {
            collect(&exchange, &mut ids, 200).await;
        }
    };
    timeout(PATIENCE, collected).await.unwrap();
    fill(&exchange, &mut ids).await;

    let (first, last) = (*ids.first().unwrap(), *ids.last().unwrap());
    let truth = exchange.truth();
    let happened = truth.happened("BTCUSDT").map(|trade| trade.id);
    let happened: BTreeSet<u64> = happened.filter(|id| (first..=last).contains(id)).collect();
    assert_eq!(ids, happened);
    assert_eq!(truth.holes("BTCUSDT").len(), 2);
    assert!(exchange.log().offences.is_empty(), "{:?}", exchange.log().offences);
}

/// A book by the exchange's own rule.
#[derive(Default)]
struct Book {
    id: u64,
    bids: BTreeMap<u64, u64>,
    asks: BTreeMap<u64, u64>,
}

impl Book {
    fn snapshot(snapshot: &Value) -> Self {
        let mut book = Self { id: snapshot["lastUpdateId"].as_u64().unwrap(), ..Self::default() };
        book.apply(&snapshot["bids"], &snapshot["asks"]);
        book
    }

    fn apply(&mut self, bids: &Value, asks: &Value) {
        let number = |text: &Value| text.as_str().unwrap().replace('.', "").parse::<u64>().unwrap();
        for (side, levels) in [(&mut self.bids, bids), (&mut self.asks, asks)] {
            for level in levels.as_array().unwrap() {
                match number(&level[1]) {
                    0 => side.remove(&number(&level[0])),
                    quantity => side.insert(number(&level[0]), quantity),
                };
            }
        }
    }
}

#[tokio::test]
async fn a_book_from_a_snapshot_and_the_changes_after_it_is_that_of_the_exchange() {
    let exchange =
        Exchange::start(Config { script: "request depth 1 stale".parse().unwrap(), speed: 2000.0, ..generated(None) })
            .await
            .unwrap();
    let mut socket = connect(exchange.ws, "/ws/btcusdt@depth@100ms").await;
    let mut early = Vec::new();
    while early.len() < 3 {
        early.push(super::next_json(&mut socket).await);
    }

    let mut asked = 0;
    let mut book = loop {
        asked += 1;
        let (_, snapshot) = get(exchange.rest, "/api/v3/depth?symbol=BTCUSDT&limit=5000").await;
        if snapshot["lastUpdateId"].as_u64() >= early[0]["U"].as_u64() {
            break Book::snapshot(&snapshot);
        }
    };
    let mut applied = 0;
    while applied < 200 {
        let diff = if early.is_empty() { super::next_json(&mut socket).await } else { early.remove(0) };
        let (first, last) = (diff["U"].as_u64().unwrap(), diff["u"].as_u64().unwrap());
        if last <= book.id {
            continue;
        }
        assert!(first <= book.id + 1, "a gap between {} and {first}", book.id);
        book.apply(&diff["b"], &diff["a"]);
        (book.id, applied) = (last, applied + 1);
        let truth = exchange.book("BTCUSDT", Some(last)).unwrap();
        assert_eq!((&book.bids, &book.asks), (&truth.bids, &truth.asks), "after {applied} changes");
    }
    assert!(asked >= 2, "the first snapshot was too old");
}
