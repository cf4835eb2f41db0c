//! What is older than what is kept goes, while trades come, and what is left is right.

use std::time::Duration;

use market::{Config, Progress, Reader};
use rusqlite::Connection;
use sims::exchange::{Exchange, Happening, Rule, Script, SocketFault, Trade};

use super::{
    faults::Rig,
    refill::all_is_there,
    rig::{MS, SYMBOLS, quick},
};

/// Five minutes of the exchange, which are a second.
const KEPT_MS: i64 = 300_000;

fn keeping(config: Config) -> Config {
    Config { keep: Some(Duration::from_secs(300)), ..config }
}

fn minutes(rig: &Rig, symbol: &str) -> Vec<market::Summary> {
    // At first there is no file.
    Reader::open(&rig.db()).map(|reader| reader.minutes(Some(symbol), u32::MAX).unwrap()).unwrap_or_default()
}

/// Until nothing is left that begins before what is kept.
async fn is_clear(rig: &Rig) {
    let file = Connection::open(rig.db()).unwrap();
    let aged = |table: &str, time: &str| -> i64 {
        let newest = "(SELECT max(newest_ms) FROM symbols)";
        // It is looked for once a second, which are five minutes here.
        let query = format!("SELECT count(*) FROM {table} WHERE {time} < {newest} - {}", 3 * KEPT_MS);
        file.query_row(&query, [], |row| row.get(0)).unwrap_or(1)
    };
    rig.until(|_| aged("minutes", "begin_ms") + aged("levels", "begin_ms") + aged("trades", "time_ms") == 0).await;
}

/// Each minute from here on is what happened in it.
fn assert_right(rig: &Rig, exchange: &Exchange, from_ms: i64) {
    let (reader, truth) = (Reader::open(&rig.db()).unwrap(), exchange.truth());
    for symbol in SYMBOLS {
        let minutes: Vec<_> = minutes(rig, symbol).into_iter().filter(|minute| minute.begin_ms >= from_ms).collect();
        let last = minutes.last().unwrap().ids.1;
        assert!(minutes.len() > 3, "{minutes:?}");
        for minute in &minutes {
            let inside = |trade: &Trade| {
                i64::try_from(trade.time_ms / 60_000 * 60_000).unwrap() == minute.begin_ms
                    && i64::try_from(trade.last).unwrap() <= last
            };
            let happened: u64 = truth.happened(symbol).filter(inside).map(|trade| trade.last - trade.first + 1).sum();
            assert_eq!(u64::try_from(minute.total.trades).unwrap(), happened, "{minute:?}");
            assert_eq!(crate::levels(&reader, minute).len(), usize::try_from(minute.levels).unwrap());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_older_than_what_is_kept_goes_while_trades_come_and_after_a_restart() {
    let rig = Rig::start(71, Script::default()).await;
    rig.run(quick(), async |rig| rig.until(|rig| minutes(rig, SYMBOLS[0]).len() >= 15).await).await;
    let first = minutes(&rig, SYMBOLS[0])[0].begin_ms;

    for _ in 0..2 {
        let (report, _) = rig
            .run_with(keeping, async |rig| {
                rig.trades(6000).await;
                all_is_there(&rig.db(), &rig.exchange).await;
                is_clear(rig).await;
            })
            .await;
        assert_eq!(report.code(), 0, "{}", report.line());
    }

    assert!(minutes(&rig, SYMBOLS[0])[0].begin_ms > first);
    // What is older may be there still, or be a part of itself: a stop does not wait for it to go.
    let kept = SYMBOLS.iter().map(|symbol| minutes(&rig, symbol).last().unwrap().begin_ms).max().unwrap() - KEPT_MS;
    assert_right(&rig, &rig.exchange, kept);
    // And without it the file goes on as it is.
    rig.run(quick(), async |rig| {
        rig.trades(1000).await;
        all_is_there(&rig.db(), &rig.exchange).await;
    })
    .await;
    assert_right(&rig, &rig.exchange, kept);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_symbol_that_was_silent_for_longer_than_what_is_kept_goes_on() {
    let quiet = SYMBOLS[1];
    let rig = Rig::start(73, Script::default()).await;

    let (report, _) = rig
        .run_with(keeping, async |rig| {
            rig.until(|rig| minutes(rig, quiet).len() > 1).await;
            let halt = Happening::Halt(8 * KEPT_MS.unsigned_abs());
            rig.exchange.set_script(Script::new(73).event(quiet, 0, halt));
            // All that was there of it goes, and then it is traded again.
            rig.until(|rig| minutes(rig, quiet).is_empty()).await;
            rig.until(|rig| minutes(rig, quiet).len() > 4).await;
        })
        .await;

    assert_eq!(report.code(), 0, "{}\n{:?}", report.line(), report.failures);
    let floor = minutes(&rig, SYMBOLS[0]).last().unwrap().begin_ms - KEPT_MS;
    rig.run(quick(), async |rig| {
        rig.trades(1000).await;
        all_is_there(&rig.db(), &rig.exchange).await;
    })
    .await;
    assert_right(&rig, &rig.exchange, floor);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_missing_and_too_old_is_given_up_and_said() {
    let script = Script::new(72).socket(Rule::new(SocketFault::Skip(5)).number(1).after(500));
    let rig = Rig::start(72, script).await;
    let without_rest = |config| Config { rest: None, ..config };

    rig.run_with(without_rest, async |rig| rig.trades(4000).await).await;
    let missing = || Reader::open(&rig.db()).unwrap().missing(None).unwrap();
    assert!(!missing().is_empty());
    let (report, _) = rig
        .run_with(
            |config| keeping(without_rest(config)),
            async |rig| {
                let given_up = |rig: &Rig| rig.count(|event| matches!(event, Progress::GivenUp(..)));
                rig.until(|rig| given_up(rig) > 0).await;
                is_clear(rig).await;
                tokio::time::sleep(10 * MS).await;
            },
        )
        .await;

    assert_eq!(report.code(), 0, "{}", report.line());
    let said = rig.events.lock().unwrap().iter().find(|e| matches!(e, Progress::GivenUp(..))).unwrap().to_string();
    assert!(said.ends_with("missing are older than what is kept; not fetched any more"), "{said}");
    // What was missed between the two runs reaches to the first minute that is kept, or is not old yet.
    let first = minutes(&rig, SYMBOLS[0])[0].ids.0;
    assert!(
        missing().iter().filter(|m| m.symbol == SYMBOLS[0]).all(|missing| missing.ids.1 >= first - 1),
        "{:?}",
        missing()
    );
}
