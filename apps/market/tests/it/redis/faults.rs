//! Redis that dies, hangs, is slow or forgets; collectors that are killed.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use market::{Progress, Reader, RedisProgress};
use sims::exchange::Exchange;
use tokio::{process::Command, time::timeout};

use super::{
    SYMBOLS,
    proxy::{Manner, Proxy},
    rig::Rig,
    server::{Server, Value, read},
};
use crate::{PATIENCE, Random, generated};

/// A stop takes no longer, whatever becomes of Redis.
const STOP: Duration = Duration::from_secs(3);

fn is_away(told: &RedisProgress) -> bool {
    matches!(told, RedisProgress::Away(_))
}

fn said_at_the_end(rig: &Rig) -> String {
    rig.heard().last().map(ToString::to_string).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_killed_has_everything_afterwards() {
    for mut rig in [Rig::start(&SYMBOLS).await, Rig::with(&SYMBOLS, Server::persistent().await).await] {
        let exchange = Exchange::start(generated(33, &SYMBOLS)).await.unwrap();
        rig.ws = exchange.ws_url();
        let trades = async |more: usize| {
            let before = exchange.truth().count();
            exchange.until(|truth| truth.count() >= before + more).await;
        };

        trades_while(&mut rig, &trades).await;

        let away = rig.heard().iter().filter(|told| is_away(told)).count();
        assert!(away >= 1, "{:?}", rig.heard());
        // A stop does not wait for a disk that is slow: the next start goes on.
        exchange.stop().await;
        rig.run(async |rig| rig.until_caught_up().await).await;
        rig.assert_equal();
    }
}

/// Three times killed and started again, with trades before, meanwhile and afterwards.
async fn trades_while(rig: &mut Rig, trades: &impl AsyncFn(usize)) {
    let market = rig.collector(&rig.db());
    let enough = async {
        for _ in 0..3 {
            trades(7000).await;
            rig.server.kill();
            trades(7000).await;
            rig.server.again().await;
        }
        trades(3000).await;
        // It has been seen to be back.
        while rig.server.list(&rig.key(SYMBOLS[0])).len() < 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        softstop::Reason::Requested("the test".into())
    };
    let report = timeout(2 * PATIENCE, market.run(enough)).await.unwrap();
    assert_eq!(report.status, softstop::Status::Clean, "{}", report.line());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_was_emptied_is_filled_again() {
    let rig = Rig::start(&SYMBOLS).await;
    let mut file = rig.file().await;
    file.put("AAAUSDT", 0..300);
    file.put("BBBUSDT", 0..100);

    rig.run(async |rig| {
        rig.until_equal().await;
        for forget in [&["FLUSHALL"][..], &["DEL", "trades_window:AAAUSDT"], &["SCRIPT", "FLUSH"]] {
            rig.server.call(forget);
            file.put("BBBUSDT", 100..103);
            rig.until_equal().await;
        }
    })
    .await;

    assert_eq!(rig.assert_equal(), 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_are_cut_doubled_or_late_end_in_the_same_list() {
    for seed in [7, 8] {
        println!("seed {seed}");
        let rig = Rig::start(&SYMBOLS).await;
        let mut random = Random(seed);
        let mut file = rig.file().await;
        rig.proxy.at_random(Some(seed));
        rig.run(async |rig| {
            for round in 0..30 {
                let new = round * 20..round * 20 + 20;
                file.put("AAAUSDT", new.clone());
                file.put("BBBUSDT", new.rev().map(|minute| minute - i64::try_from(random.below(40)).unwrap()));
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            rig.proxy.at_random(None);
            rig.until_equal().await;
        })
        .await;
        assert!(rig.assert_equal() >= 900);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_done_before_the_connection_broke_is_not_done_again() {
    let rig = Rig::start(&SYMBOLS[..1]).await;
    let mut file = rig.file().await;
    file.put("AAAUSDT", 0..500);

    rig.run(async |rig| {
        rig.proxy.always(Manner::CutAfter);
        // Not one answer comes, not even to the first word.
        rig.until_heard(is_away).await;
        rig.proxy.always(Manner::Twice);
        rig.until_equal().await;
        // So that calls of before would put back what is not true any more.
        for changed in [0..300, 200..500] {
            file.put("AAAUSDT", changed);
            rig.until_equal().await;
        }
    })
    .await;
    assert_eq!(rig.assert_equal(), 500);

    // All that was ever sent, a thousand times more, in any order.
    let list = rig.server.list("trades_window");
    let mut random = Random(5);
    let asked = rig.proxy.asked();
    let mut stream = std::os::unix::net::UnixStream::connect(rig.server.socket()).unwrap();
    let mut answers = std::io::BufReader::new(stream.try_clone().unwrap());
    for _ in 0..1000 {
        let request = &asked[random.below(asked.len())];
        std::io::Write::write_all(&mut stream, request).unwrap();
        read(&mut answers).unwrap();
    }
    assert!(rig.server.list("trades_window") == list, "the list is another one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_redis_delays_no_trade_and_no_stop() {
    let exchange = Exchange::start(generated(34, &SYMBOLS)).await.unwrap();
    let mut rig = Rig::start(&SYMBOLS).await;
    rig.ws = exchange.ws_url();
    // Longer than the test: who waited for Redis would be seen.
    rig.sink.to.timeout = 2 * PATIENCE;
    let minutes = |rig: &Rig| rig.events.lock().unwrap().iter().filter(|e| matches!(e, Progress::Minute(_))).count();

    let (_, took) = rig
        .run(async |rig| {
            rig.until_caught_up().await;
            rig.server.freeze();
            let (before, began) = (minutes(rig), Instant::now());
            exchange.until(|truth| truth.count() >= 30_000).await;
            rig.until(|rig| minutes(rig) >= before + 6).await;
            println!("30,000 trades, {} minutes in {:?} beside a frozen Redis", minutes(rig) - before, began.elapsed());
        })
        .await;

    assert!(took < STOP, "{took:?}");
    assert!(said_at_the_end(&rig).starts_with("Redis is "), "{:?}", rig.heard());
    let stored: usize = Reader::open(&rig.db()).unwrap().minutes(None, u32::MAX).unwrap().len();
    assert!(stored >= 8);

    // The next start goes on, and the calls that were on their way come late.
    rig.server.thaw();
    rig.sink.to.timeout = Duration::from_secs(5);
    rig.run(async |rig| rig.until_caught_up().await).await;
    assert_eq!(rig.assert_equal(), rig.expected(SYMBOLS[0]).len() + rig.expected(SYMBOLS[1]).len());
    exchange.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_freezes_for_a_while_has_everything_afterwards() {
    let rig = Rig::start(&SYMBOLS[..1]).await;
    let mut file = rig.file().await;

    rig.run(async |rig| {
        for round in 0..3 {
            file.put("AAAUSDT", round * 200..round * 200 + 200);
            rig.server.freeze();
            let before = rig.heard().len();
            rig.until(|rig| rig.heard()[before..].iter().any(is_away)).await;
            file.put("AAAUSDT", [round * 200 + 7]);
            rig.server.thaw();
            rig.until_equal().await;
            rig.until(|rig| matches!(rig.heard().last(), Some(RedisProgress::CaughtUp(_)))).await;
        }
    })
    .await;

    assert_eq!(rig.assert_equal(), 600);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_does_not_wait_for_a_redis_that_is_not_there_or_slow() {
    let mut rig = Rig::start(&SYMBOLS[..1]).await;
    let mut file = rig.file().await;
    file.put("AAAUSDT", 0..2880);

    rig.proxy.always(Manner::Slow(Duration::from_millis(100)));
    let (_, took) = rig.run(async |rig| rig.until_length("AAAUSDT", 128).await).await;
    assert!(took < STOP, "{took:?}");
    assert!(said_at_the_end(&rig).ends_with(" minutes behind; the next start goes on"), "{:?}", rig.heard());

    let port = rig.sink.to.port;
    // Nobody listens there.
    rig.sink.to.port = 1;
    let (_, took) = rig.run(async |rig| rig.until_heard(is_away).await).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(said_at_the_end(&rig), "Redis was not reached; the next start goes on where it stands");

    rig.sink.to.port = port;
    rig.proxy.always(Manner::Pass);
    rig.run(async |rig| rig.until_caught_up().await).await;
    assert_eq!(rig.assert_equal(), 2880);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_is_told_once() {
    let mut rig = Rig::start(&SYMBOLS[..1]).await;
    let port = rig.sink.to.port;
    // Answers, and refuses what it is asked.
    rig.server.call(&["SET", "trades_window", "a text"]);

    rig.run(async |rig| {
        rig.until_heard(is_away).await;
        // Some tries later.
        let before = rig.proxy.asked().len();
        rig.until(|rig| rig.proxy.asked().len() > before + 20).await;
        assert_eq!(rig.heard().len(), 1, "{:?}", rig.heard());
        rig.server.call(&["DEL", "trades_window"]);
        rig.until_caught_up().await;
    })
    .await;

    let told: Vec<String> = rig.heard().iter().map(ToString::to_string).collect();
    assert!(told[0].starts_with("Redis: it answers \"WRONGTYPE "), "{told:?}");
    let address = format!("Redis at 127.0.0.1:{port} is connected");
    assert_eq!(told[1..], [address, "Redis has all minutes, 0 of them new".into()]);
    rig.proxy = Proxy::start(rig.server.socket()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_cannot_be_filled_keeps_no_other_back() {
    let mut rig = Rig::start(&SYMBOLS).await;
    let mut file = rig.file().await;
    SYMBOLS.iter().for_each(|symbol| file.put(symbol, 0..10));
    rig.server.call(&["SET", &rig.key(SYMBOLS[0]), "a text"]);

    rig.run(async |rig| {
        rig.until_length(SYMBOLS[1], 10).await;
        rig.until_heard(is_away).await;
        rig.server.call(&["DEL", &rig.key(SYMBOLS[0])]);
        rig.until_caught_up().await;
    })
    .await;

    assert_eq!(rig.assert_equal(), 20);
    rig.proxy = Proxy::start(rig.server.socket()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_lost_its_last_moments_corrects_what_redis_has_of_them() {
    let rig = Rig::start(&SYMBOLS[..1]).await;
    let mut file = rig.file().await;
    file.put("AAAUSDT", 0..10);
    rig.run(async |rig| rig.until_equal().await).await;

    // As a power cut does: revisions that Redis knows are given again, to other minutes.
    let sqlite = rusqlite::Connection::open(rig.db()).unwrap();
    sqlite
        .execute_batch(
            "DELETE FROM minutes WHERE begin_ms > (SELECT min(begin_ms) FROM minutes) + 6 * 60000; DELETE FROM levels WHERE (symbol, begin_ms) NOT IN (SELECT symbol, begin_ms FROM minutes);
             UPDATE file SET revision = (SELECT max(revision) FROM minutes);",
        )
        .unwrap();
    rig.run(async |rig| {
        rig.until_caught_up().await;
        file.put("AAAUSDT", [2, 7, 8, 9, 10]);
        rig.until_equal().await;
    })
    .await;

    assert_eq!(rig.assert_equal(), 11);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_killed_leaves_nothing_out_and_nothing_double() {
    let seed = 35;
    let mut random = Random(seed);
    let exchange = Exchange::start(generated(seed, &SYMBOLS)).await.unwrap();
    let mut rig = Rig::start(&SYMBOLS).await;
    rig.ws = exchange.ws_url();
    let redis = format!("redis://{}", rig.proxy.address);
    let (db, storage) = (rig.db(), rig.folder.path().to_owned());

    for round in 0..10 {
        let more = 1 + random.below(6000);
        println!("seed {seed}, round {round}: kill -9 after {more} trades");
        let before = exchange.truth().count();
        let mut child = Command::new(env!("CARGO_BIN_EXE_market"))
            .args([
                "collect", "--ws", &rig.ws, "--symbol", SYMBOLS[0], "--symbol", SYMBOLS[1], "--redis", &redis, "--db",
            ])
            .arg(&db)
            .current_dir(&storage)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        timeout(PATIENCE, exchange.until(|truth| truth.count() >= before + more)).await.unwrap();
        child.kill().await.unwrap();
    }
    rig.run(async |rig| rig.until_caught_up().await).await;

    assert!(rig.assert_equal() >= 6);
    assert_eq!(rig.server.call(&["EXISTS", "trades_window:AAAUSDT:place"]), Value::Number(1));
    exchange.stop().await;
}
