//! Order books: whatever goes wrong, what is stored is the exchange's book at that update.

use std::time::Duration;

use market::Progress;
use sims::exchange::{Config, RequestFault, Rule, Script, SocketFault};

use super::{
    compare::books,
    faults::Rig,
    refill::all_is_there,
    rig::{MS, SYMBOLS, goes_on, quick},
};

const AAA: &str = SYMBOLS[0];
const BBB: &str = SYMBOLS[1];

/// Slow enough for the exchange to remember its books until they are compared.
fn market(seed: u64, script: Script) -> Config {
    Config { speed: 100.0, book_levels: 300, ..goes_on(seed, script) }
}

/// Compares the stored books of a symbol with those of the exchange, as far back as that remembers them; how many were compared.
pub(crate) fn right_books(rig: &Rig, symbol: &str) -> usize {
    books(&rig.db(), &rig.exchange, symbol).unwrap()
}

fn stored(rig: &Rig, of: &str) -> usize {
    rig.count(|event| matches!(event, Progress::DepthStored(symbol, ..) if symbol == of))
}

fn live(rig: &Rig, of: &str) -> usize {
    rig.count(|event| matches!(event, Progress::DepthLive(symbol) if symbol == of))
}

fn lost(rig: &Rig, of: &str) -> usize {
    rig.count(|event| matches!(event, Progress::DepthLost(symbol, _) if symbol == of))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_stored_level_is_the_exchange_s_while_everything_goes_wrong() {
    let of_books = |fault| Rule::new(fault).of("@depth@100ms");
    let script = Script::new(51)
        .socket(of_books(SocketFault::Skip(2)).after(150).every(211))
        .socket(of_books(SocketFault::Repeat(2)).after(100).every(23))
        .socket(of_books(SocketFault::Late(5)).after(100).every(37))
        .socket(Rule::new(SocketFault::Drop).after(2500))
        .request(Rule::new(RequestFault::Stale).of("depth").numbers(1..=2))
        .request(Rule::new(RequestFault::Slow(20_000)).of("depth").number(4))
        .request(Rule::new(RequestFault::Status(503, None)).of("depth").number(6))
        .request(Rule::new(RequestFault::Status(429, Some(1))).of("depth").number(8))
        .request(Rule::new(RequestFault::Ban(Duration::from_secs(1))).of("depth").number(10))
        .request(Rule::new(RequestFault::Truncate).of("depth").number(12));
    let rig = Rig::with(market(51, script)).await.depth(100, 50 * MS);

    rig.run(quick(), async |rig| {
        rig.exchange.until_log(|log| log.asked("depth") >= 20 && log.struck.contains_key("drop")).await;
        rig.until(|rig| SYMBOLS.iter().all(|symbol| lost(rig, symbol) >= 3 && stored(rig, symbol) >= 20)).await;
        rig.trades(500).await;
        all_is_there(&rig.db(), &rig.exchange).await;
    })
    .await;

    for symbol in SYMBOLS {
        assert!(live(&rig, symbol) >= 3, "{:?}", rig.events.lock().unwrap());
        let (right, told) = (right_books(&rig, symbol), stored(&rig, symbol));
        assert!(right >= told && right >= 20, "{symbol}: {right} of {told}");
    }
    super::refill::assert_nothing_is_missing(&rig.db(), &rig.exchange.truth());
    let log = rig.exchange.log();
    for fault in ["skip", "repeat", "late", "drop", "stale", "slow", "status", "ban", "truncate"] {
        assert!(log.struck.contains_key(fault), "{fault}: {:?}", log.struck);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gap_of_one_symbol_costs_no_other_its_book() {
    let script = Script::new(52).socket(Rule::new(SocketFault::Skip(1)).of("aaausdt@depth@100ms").after(300).every(97));
    let rig = Rig::with(market(52, script)).await.depth(100, 50 * MS);

    rig.run(quick(), async |rig| {
        rig.until(|rig| lost(rig, AAA) >= 3 && stored(rig, AAA) >= 20 && stored(rig, BBB) >= 20).await;
    })
    .await;

    assert_eq!((live(&rig, BBB), lost(&rig, BBB)), (1, 0));
    assert!(right_books(&rig, AAA) >= 20 && right_books(&rig, BBB) >= 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_of_one_book_that_do_not_come_any_more_are_missed_though_its_trades_go_on() {
    let dies = Rule::new(SocketFault::Skip(1_000_000)).of("aaausdt@depth@100ms").number(1).after(300).every(1);
    let rig = Rig::with(market(57, Script::new(57).socket(dies))).await.depth(100, 50 * MS);
    let times = market::Times { stall: (100 * MS, 500 * MS), ..quick() };

    rig.run(times, async |rig| {
        let missed =
            |event: &Progress| matches!(event, Progress::Replacing(why) if why.contains("no changes of an order book"));
        rig.until(|rig| rig.count(missed) > 0).await;
        let before = stored(rig, AAA);
        rig.until(|rig| stored(rig, AAA) >= before + 5).await;
        all_is_there(&rig.db(), &rig.exchange).await;
    })
    .await;

    assert!(right_books(&rig, AAA) >= 5 && right_books(&rig, BBB) >= 5);
    rig.all_is_well();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_symbol_whose_snapshots_never_come_hurts_no_other() {
    for (seed, fault) in [(53, RequestFault::Status(503, None)), (54, RequestFault::Hang), (55, RequestFault::Stale)] {
        let script = Script::new(seed).request(Rule::new(fault).of("depth?symbol=AAAUSDT"));
        let rig = Rig::with(market(seed, script)).await.depth(100, 50 * MS);

        rig.run(quick(), async |rig| {
            let failed = |event: &Progress| matches!(event, Progress::DepthUnfetched(symbol, _) if symbol == AAA);
            rig.until(|rig| rig.count(failed) > 0 && stored(rig, BBB) >= 20).await;
            rig.trades(500).await;
            all_is_there(&rig.db(), &rig.exchange).await;
        })
        .await;

        assert_eq!((stored(&rig, AAA), live(&rig, BBB), lost(&rig, BBB)), (0, 1, 0), "{fault:?}");
        assert!(right_books(&rig, BBB) >= 20);
        rig.all_is_well();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_replaced_costs_no_book() {
    let rig = Rig::with(market(56, Script::default())).await.depth(100, 50 * MS);
    let times = market::Times { lifetime: 300 * MS, patience: 2000 * MS, connect: 10_000 * MS, ..quick() };

    rig.run(times, async |rig| {
        let replaced = |event: &Progress| matches!(event, Progress::Replacing(_));
        rig.until(|rig| rig.count(replaced) >= 8 && stored(rig, AAA) >= 20).await;
    })
    .await;

    for symbol in SYMBOLS {
        assert_eq!((live(&rig, symbol), lost(&rig, symbol)), (1, 0), "{:?}", rig.events.lock().unwrap());
        assert!(right_books(&rig, symbol) >= 10);
    }
}
