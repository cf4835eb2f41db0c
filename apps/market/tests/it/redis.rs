//! What goes to Redis, with a real `redis-server`: in the end the list is what Python makes of the file, to the byte.

mod faults;
mod proxy;
mod rig;
mod server;

use market::RedisProgress;
use sims::exchange::Exchange;

use self::{
    rig::{BEGIN_MS, Rig, python},
    server::{Server, Value},
};
use super::generated;

const SYMBOLS: [&str; 2] = ["AAAUSDT", "BBBUSDT"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_collected_is_in_the_list_and_the_next_start_goes_on() {
    let exchange = Exchange::start(generated(31, &SYMBOLS)).await.unwrap();
    let mut rig = Rig::start(&SYMBOLS).await;
    rig.ws = exchange.ws_url();

    for trades in [20_000, 500, 9_000] {
        let before = exchange.truth().count();
        rig.run(async |_| exchange.until(|truth| truth.count() >= before + trades).await).await;
        // The open minute too: the collector has stopped.
        rig.assert_equal();
    }

    assert!(rig.assert_equal() >= 8);
    assert_eq!(
        rig.server.call(&["EXISTS", "trades_window"]),
        Value::Number(0),
        "several symbols have keys of their own"
    );
    exchange.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_symbol_has_the_key_of_the_collector_before() {
    let exchange = Exchange::start(generated(32, &SYMBOLS[..1])).await.unwrap();
    let mut rig = Rig::start(&SYMBOLS[..1]).await;
    rig.ws = exchange.ws_url();

    rig.run(async |_| exchange.until(|truth| truth.count() >= 10_000).await).await;

    let list = rig.server.list("trades_window");
    assert!(list.len() >= 3 && list == rig.expected("AAAUSDT"), "{list:?}");
    exchange.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn minutes_that_change_later_are_corrected_where_they_stand() {
    let rig = Rig::start(&SYMBOLS[..1]).await;
    let mut file = rig.file().await;
    file.put("AAAUSDT", (0..100).filter(|minute| minute % 10 != 3));

    rig.run(async |rig| {
        rig.until_caught_up().await;
        // Those that were missing, in any order, and some that were there.
        file.put("AAAUSDT", [53, 3, 93, 13, 50, 0, 98, -5]);
        rig.until_equal().await;
    })
    .await;

    assert_eq!(rig.assert_equal(), 95);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_minute_that_is_not_over_is_not_shown_before_the_stop() {
    let rig = Rig::start(&SYMBOLS[..1]).await;
    let mut file = rig.file().await;
    let now_ms = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let this = (i64::try_from(now_ms).unwrap() - BEGIN_MS) / 60_000;
    file.put("AAAUSDT", [this - 1, this]);

    rig.run(async |rig| {
        rig.until_caught_up().await;
        assert_eq!(rig.server.list("trades_window"), rig.expected("AAAUSDT")[1..]);
        file.put("AAAUSDT", [this]);
        file.put("AAAUSDT", [this - 2]);
        rig.until_length("AAAUSDT", 2).await;
        assert_eq!(rig.server.list("trades_window"), rig.expected("AAAUSDT")[1..]);
    })
    .await;
    assert_eq!(rig.assert_equal(), 3);

    // The next start replaces it when it is over.
    rig.run(async |rig| {
        file.put("AAAUSDT", [this, this + 1]);
        rig.until(|rig| rig.server.list("trades_window") == rig.expected("AAAUSDT")[1..]).await;
    })
    .await;
    assert_eq!(rig.assert_equal(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_list_drops_is_in_files_first() {
    let mut rig = Rig::start(&SYMBOLS[..1]).await;
    (rig.sink.window_minutes, rig.sink.to.max_storage_files) = (40, Some(150));
    let mut file = rig.file().await;
    file.put("AAAUSDT", 0..30);
    // What the collector before has left, in its own order.
    let before = r#"{"timestamp": "2023-11-14T22:00:30.123456", "price_levels": {"1": {"price_level": 1.0}}}"#;
    rig.server.call(&["RPUSH", "trades_window", before]);

    rig.run(async |rig| {
        rig.until_length("AAAUSDT", 31).await;
        file.put("AAAUSDT", 30..200);
        rig.until_equal().await;
    })
    .await;

    assert_eq!(rig.assert_equal(), 40);
    let storage = rig.folder.path().join("storage");
    let mut files: Vec<String> =
        storage.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    // 160 minutes and the entry of before were dropped, of which the newest 150 files are left.
    assert_eq!((files.len(), files[0].as_str()), (150, "trades_20231114_2224.json"));
    rig.sink.window_minutes = 1000;
    for (name, entry) in files.iter().rev().zip(&rig.expected("AAAUSDT")[40..]) {
        let kept = std::fs::read_to_string(storage.join(name)).unwrap();
        let same: serde_json::Value = serde_json::from_str(&kept).unwrap();
        assert_eq!(same, serde_json::from_str::<serde_json::Value>(entry).unwrap(), "{name}");
        assert_eq!(format!("trades_{}", entry[15..31].replace(['-', ':'], "").replace('T', "_")) + ".json", *name);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_kept_stays_in_the_list() {
    let mut rig = Rig::start(&SYMBOLS[..1]).await;
    rig.sink.window_minutes = 5;
    let mut file = rig.file().await;
    let storage = rig.folder.path().join("storage");
    std::fs::write(&storage, "in the way").unwrap();
    file.put("AAAUSDT", 0..3);

    rig.run(async |rig| {
        rig.until_caught_up().await;
        file.put("AAAUSDT", 3..9);
        rig.until_length("AAAUSDT", 9).await;
        rig.until_heard(|told| matches!(told, RedisProgress::Unkept(_))).await;
        std::fs::remove_file(&storage).unwrap();
        rig.until_length("AAAUSDT", 5).await;
        rig.until_heard(|told| *told == RedisProgress::Kept).await;
    })
    .await;

    let told = rig.heard().into_iter().filter(|told| matches!(told, RedisProgress::Unkept(_))).collect::<Vec<_>>();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].to_string().contains("storage what the list drops: "), "{}", told[0]);
    assert_eq!((rig.assert_equal(), storage.read_dir().unwrap().count()), (5, 4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_snapshot_of_the_book_is_there() {
    let mut rig = Rig::start(&SYMBOLS).await;
    rig.sink.depth_limit = 2;
    let file = rig.file().await;
    let value = |rig: &Rig, symbol: &str| rig.server.call(&["GET", &format!("depth_snapshot_2:{symbol}")]);
    let expected =
        |rig: &Rig, symbol| Value::Text(python(&["depth", rig.db().to_str().unwrap(), symbol, "2"]).remove(0));
    file.snapshot("AAAUSDT", BEGIN_MS, "[[100,5]]", "[]");
    file.snapshot("BBBUSDT", BEGIN_MS + 123, "[[11734567,50000000],[11734566,1],[11734565,7]]", "[[11734568,3]]");

    rig.run(async |rig| {
        rig.until(|rig| SYMBOLS.iter().all(|symbol| value(rig, symbol) == expected(rig, symbol))).await;
        file.snapshot("AAAUSDT", BEGIN_MS + 60_000, "[[101,5],[99,1]]", "[[102,1]]");
        rig.until(|rig| value(rig, "AAAUSDT") == expected(rig, "AAAUSDT")).await;
        rig.server.call(&["FLUSHALL"]);
        rig.until(|rig| SYMBOLS.iter().all(|symbol| value(rig, symbol) == expected(rig, symbol))).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_and_a_database_are_heeded() {
    let server = Server::with(&["--save", "", "--user", "me", "on", ">s3cret", "~*", "+@all"]);
    let mut rig = Rig::with(&SYMBOLS[..1], server.await).await;
    let mut file = rig.file().await;
    file.put("AAAUSDT", 0..3);
    let port = rig.sink.to.port;

    let to: market::config::Redis = format!("redis://me:s3cret@127.0.0.1:{port}/3").parse().unwrap();
    (rig.sink.to.db, rig.sink.to.username, rig.sink.to.password) = (to.db, to.username, to.password);
    rig.run(async |rig| rig.until_caught_up().await).await;
    assert_eq!(rig.server.call(&["LLEN", "trades_window"]), Value::Number(0));
    rig.server.call(&["SWAPDB", "0", "3"]);
    assert_eq!(rig.assert_equal(), 3);

    let wrong: market::config::Redis = "redis://me:wr0ng@host".parse().unwrap();
    rig.sink.to.password = wrong.password;
    rig.run(async |rig| rig.until_heard(|told| matches!(told, RedisProgress::Away(_))).await).await;
    let said = rig
        .heard()
        .into_iter()
        .rev()
        .find_map(|told| if let RedisProgress::Away(why) = told { Some(why) } else { None });
    assert!(said.as_ref().is_some_and(|why| why.contains("WRONGPASS") && !why.contains("wr0ng")), "{said:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_collectors_do_not_take_turns_with_one_list() {
    let rig = Rig::start(&SYMBOLS[..1]).await;
    let mut file = rig.file().await;
    file.put("AAAUSDT", 0..5);
    // Another file: the list is taken over by whoever comes later, and by nobody again.
    let other = rig.folder.path().join("other.db");
    rig.collector(&other).run(std::future::ready(softstop::Reason::Requested("the test".into()))).await;

    rig.run(async |rig| {
        rig.until_caught_up().await;
        let second = rig.collector(&other);
        let enough = async {
            file.put("AAAUSDT", 5..6);
            rig.until_length("AAAUSDT", 6).await;
            let mut theirs = rusqlite::Connection::open(&other).unwrap();
            let write = theirs.transaction().unwrap();
            write
                .execute_batch(
                    "UPDATE file SET revision = 2;
                     INSERT INTO minutes VALUES ('AAAUSDT', 1, 1, 1, 1, 1, 0, 'complete', 2, 8, 1, 0, 1),
                        ('AAAUSDT', 2, 1, 1, 1, 1, 0, 'complete', 2, 8, 1, 0, 2)",
                )
                .unwrap();
            write.commit().unwrap();
            rig.until_heard(
                |told| matches!(told, RedisProgress::Away(why) if why.contains("another `market collect`")),
            )
            .await;
            softstop::Reason::Requested("the test".into())
        };
        let report = second.run(enough).await;
        assert_eq!(report.status, softstop::Status::Clean);
    })
    .await;
}
