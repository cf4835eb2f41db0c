use super::*;
use crate::exchange::{Truth, book::History, truth::Record};

fn play(looped: bool, start_ms: Option<u64>, ticks: usize) -> (Vec<Tick>, World) {
    let mut replay = Replay::new(looped, start_ms);
    let (names, books): (Vec<_>, Vec<_>) = replay.symbols().into_iter().unzip();
    let records = names.into_iter().map(|symbol| Record { symbol, ..Record::default() }).collect();
    let books = books.into_iter().map(History::new).collect();
    let mut world = World { truth: Truth { records }, books, ..World::default() };
    let ticks = std::iter::from_fn(|| replay.next(&mut world)).take(ticks).collect();
    (ticks, world)
}

fn trades(ticks: &[Tick]) -> impl Iterator<Item = (usize, Trade)> {
    ticks
        .iter()
        .filter_map(|tick| if let Kind::Trade(trade, _) = tick.kind { Some((tick.symbol, trade)) } else { None })
}

#[test]
fn the_first_loop_is_the_recording_to_the_letter() {
    let played: Vec<String> = play(false, None, usize::MAX).0.into_iter().map(|tick| tick.data).collect();

    let recorded: Vec<_> = WS.lines().skip(1).filter_map(Line::read).map(|line| line.data).collect();
    assert_eq!(played, recorded);
    assert_eq!(played.len(), WS.lines().skip(1).filter(|line| line.contains("\"stream\"")).count());
}

#[test]
fn ids_and_times_continue_from_loop_to_loop_without_gap_or_repeat() {
    let (ticks, _) = play(true, None, 1000);

    assert!(ticks.windows(2).all(|pair| pair[0].at_ms <= pair[1].at_ms));
    let mut last = BTreeMap::new();
    for (symbol, trade) in trades(&ticks) {
        if let Some(before) = last.insert(symbol, trade) {
            assert_eq!((trade.id, trade.first), (before.id + 1, before.last + 1), "{symbol}");
            assert!(trade.time_ms > before.time_ms);
        }
    }
    assert_eq!(last.len(), 2);
}

#[test]
fn a_book_from_the_first_snapshot_and_every_change_stays_that_of_the_exchange() {
    let replay = Replay::new(true, None);
    let (ticks, _) = play(true, None, 1000);

    for (symbol, mut book) in replay.symbols() {
        let first = book.clone();
        let stream = format!("{}@depth@100ms", symbol.to_ascii_lowercase());
        let mut turns = 0;
        for tick in ticks.iter().filter(|tick| *tick.stream == *stream) {
            let diff: Value = serde_json::from_str(&tick.data).unwrap();
            assert_eq!(diff["U"].as_u64(), Some(book.last_update_id + 1), "{symbol}");
            read_changes(&tick.data).unwrap().into_iter().for_each(|change| book.apply(change));
            book.last_update_id = diff["u"].as_u64().unwrap();
            let best = book.best().unwrap();
            assert!(best.bid.0 < best.ask.0, "{symbol}: {best:?}");
            turns += usize::from((&book.bids, &book.asks) == (&first.bids, &first.asks));
        }
        assert!(turns >= 2, "{symbol} came back to its first book {turns} times");
    }
}

#[test]
fn the_recorded_snapshot_is_the_book_at_its_own_id() {
    let (_, world) = play(false, None, usize::MAX);
    let recorded: Value = serde_json::from_str(REST.lines().next().unwrap().split_once(": ").unwrap().1).unwrap();
    let replay = Replay::new(false, None);
    let at = replay.symbols().iter().position(|(symbol, _)| symbol == "NKNUSDT").unwrap();

    let book = world.books[at].at(recorded["lastUpdateId"].as_u64().unwrap()).unwrap();

    assert_eq!(serde_json::from_str::<Value>(&book.to_rest(1000)).unwrap(), recorded);
}

#[test]
fn a_later_start_begins_with_later_ids() {
    let first = |start_ms| trades(&play(false, start_ms, usize::MAX).0).next().unwrap().1;

    let (recorded, today) = (first(None), first(Some(1_760_000_000_000)));

    assert!(today.id > recorded.id);
    assert!(today.time_ms.abs_diff(1_760_000_000_000) <= 60_000);
}
