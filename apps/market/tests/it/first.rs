//! The first minute of a symbol, which had begun before the collector did.

use market::{Progress, Reader, State, Summary};
use sims::exchange::{RequestFault, Rule, Script};

use super::{
    faults::Rig,
    refill::all_is_there,
    rig::{SYMBOLS, quick},
};

/// An exchange in the middle of a minute.
async fn in_the_middle(seed: u64, script: Script) -> Rig {
    let rig = Rig::start(seed, script).await;
    let minute_ms = rig.exchange.now_ms() / 60_000 * 60_000;
    rig.until(|rig| rig.exchange.now_ms() > minute_ms + 60_000).await;
    rig.until(|rig| rig.exchange.now_ms() % 60_000 > 20_000).await;
    rig
}

/// The first minute of each symbol.
fn firsts(rig: &Rig) -> Vec<Summary> {
    let reader = Reader::open(&rig.db()).unwrap();
    SYMBOLS.iter().map(|symbol| reader.minutes(Some(symbol), u32::MAX).unwrap().remove(0)).collect()
}

/// Collects some minutes.
async fn some(rig: &Rig) {
    rig.trades(4000).await;
    all_is_there(&rig.db(), &rig.exchange).await;
}

async fn until_it_begins(rig: &Rig) {
    let begun = |file: rusqlite::Connection| {
        file.query_row("SELECT count(*) FROM minutes WHERE begun = 2", [], |row| row.get::<_, i64>(0)).unwrap_or(0)
    };
    rig.until(|rig| rusqlite::Connection::open(rig.db()).map_or(0, begun) == 2).await;
}

fn assert_whole(rig: &Rig) {
    let truth = rig.exchange.truth();
    for minute in firsts(rig) {
        let begin_ms = u64::try_from(minute.begin_ms).unwrap();
        let mut of_it =
            truth.happened(&minute.symbol).filter(|trade| trade.time_ms - trade.time_ms % 60_000 == begin_ms);
        assert_eq!(minute.ids.0, i64::try_from(of_it.next().unwrap().first).unwrap(), "{minute:?}");
        // Unless the first that came was the first that happened in it.
        let state = if minute.refilled == 0 { State::Complete } else { State::Backfilled };
        assert_eq!((minute.state, minute.missing()), (state, 0), "{minute:?}");
    }
    rig.all_is_well();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_before_the_first_trade_in_its_minute_is_fetched() {
    let rig = in_the_middle(61, Script::default()).await;

    rig.run(quick(), async |rig| {
        until_it_begins(rig).await;
        some(rig).await;
    })
    .await;

    assert_whole(&rig);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_minute_that_cannot_be_fetched_says_so_and_the_next_start_fetches_it() {
    let away = Script::new(62).request(Rule::new(RequestFault::Status(503, None)).of("aggTrades"));
    let rig = in_the_middle(62, away).await;

    rig.run(quick(), async |rig| {
        let unfilled = |event: &Progress| matches!(event, Progress::Unfilled(..));
        rig.until(|rig| rig.count(unfilled) >= 2).await;
        rig.trades(4000).await;
    })
    .await;
    assert!(firsts(&rig).iter().all(|minute| minute.state == State::Partial), "{:?}", firsts(&rig));

    rig.exchange.set_script(Script::default());
    rig.run(quick(), async |rig| {
        until_it_begins(rig).await;
        some(rig).await;
    })
    .await;

    assert_whole(&rig);
}
