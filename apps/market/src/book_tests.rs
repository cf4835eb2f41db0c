use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;

use super::*;
use crate::wire::{BookTicker, Decimal, Event, read, recorded, rest};

const SCALE: Scale = Scale { price: 2, quantity: 3 };

fn levels(levels: &[(&str, &str)]) -> Vec<PriceLevel> {
    let number = |text| Decimal::parse(text).unwrap();
    levels.iter().map(|(price, quantity)| PriceLevel { price: number(price), quantity: number(quantity) }).collect()
}

fn snapshot(last_id: i64) -> Snapshot {
    Snapshot { last_id, bids: levels(&[("9.99", "1"), ("9.98", "2")]), asks: levels(&[("10", "3"), ("10.01", "4")]) }
}

fn diff(first: i64, last: i64) -> Diff {
    Diff { first, last, previous: None, bids: Vec::new(), asks: Vec::new() }
}

fn after(previous: i64, first: i64, last: i64) -> Diff {
    Diff { previous: Some(previous), ..diff(first, last) }
}

fn live(rule: Rule, last_id: i64) -> Book {
    let mut book = Book::new(rule, SCALE);
    assert_eq!(book.snapshot(&snapshot(last_id)), Taken::Live { applied: 0 });
    book
}

#[test]
fn changes_before_the_snapshot_wait_and_those_it_holds_are_dropped() {
    let mut book = Book::new(Rule::Spot, SCALE);
    assert!(!book.needs_snapshot());
    for (first, last) in [(101, 103), (104, 104), (105, 110)] {
        assert_eq!(book.diff(diff(first, last)), Step::Buffered);
    }
    assert!(book.needs_snapshot());
    assert_eq!((book.last_id(), book.bids().count()), (None, 0));

    assert_eq!(book.snapshot(&snapshot(99)), Taken::TooOld { first: 101 });
    assert!(book.needs_snapshot());
    assert_eq!(book.snapshot(&snapshot(104)), Taken::Live { applied: 1 });
    assert_eq!((book.last_id(), book.needs_snapshot()), (Some(110), false));
    assert_eq!(book.snapshot(&snapshot(500)), Taken::NotNeeded);
}

#[test]
fn the_first_change_may_begin_before_the_end_of_the_snapshot_or_directly_after_it() {
    for (last_id, taken) in [
        (99, Taken::TooOld { first: 101 }),
        (100, Taken::Live { applied: 1 }),
        (101, Taken::Live { applied: 1 }),
        (102, Taken::Live { applied: 1 }),
        (103, Taken::Live { applied: 0 }),
        (i64::MAX - 1, Taken::Live { applied: 0 }),
    ] {
        let mut book = Book::new(Rule::Spot, SCALE);
        book.diff(diff(101, 103));
        assert_eq!(book.snapshot(&snapshot(last_id)), taken, "{last_id}");
    }
}

#[test]
fn quantities_are_absolute_and_0_removes_a_level() {
    let mut book = live(Rule::Spot, 100);

    let bids = levels(&[("9.99", "0"), ("9.97", "7.5"), ("1", "0")]);
    let asks = levels(&[("10", "0.001")]);
    assert_eq!(book.diff(Diff { bids, asks, ..diff(101, 101) }), Step::Applied);

    assert_eq!(book.top(5), Top { bids: vec![(998, 2000), (997, 7500)], asks: vec![(1000, 1), (1001, 4000)] });
    assert_eq!(book.top(1), Top { bids: vec![(998, 2000)], asks: vec![(1000, 1)] });
}

#[test]
fn a_gap_gives_the_book_up_until_a_snapshot_that_the_change_continues() {
    let mut book = live(Rule::Spot, 100);
    assert_eq!(book.diff(diff(101, 105)), Step::Applied);
    assert_eq!(book.diff(diff(103, 105)), Step::Stale);

    assert_eq!(book.diff(diff(107, 108)), Step::Lost(Loss::Gap { after: 105, before: 107 }));

    assert_eq!((book.last_id(), book.asks().count(), book.needs_snapshot()), (None, 0, true));
    assert_eq!(book.snapshot(&snapshot(105)), Taken::TooOld { first: 107 });
    assert_eq!(book.snapshot(&snapshot(106)), Taken::Live { applied: 1 });
    assert_eq!(book.last_id(), Some(108));
}

#[test]
fn a_gap_among_the_changes_that_wait_needs_a_snapshot_behind_it() {
    let mut book = Book::new(Rule::Spot, SCALE);
    for (first, last, step) in
        [(101, 103, Step::Buffered), (102, 103, Step::Stale), (110, 111, Step::Buffered), (112, 112, Step::Buffered)]
    {
        assert_eq!(book.diff(diff(first, last)), step);
    }
    assert_eq!(book.snapshot(&snapshot(103)), Taken::TooOld { first: 110 });
    assert_eq!(book.snapshot(&snapshot(111)), Taken::Live { applied: 1 });
}

#[test]
fn the_oldest_of_too_many_that_wait_gives_way() {
    let mut book = Book::new(Rule::Spot, SCALE);
    for id in 1..=MOST_BUFFERED as i64 + 10 {
        assert_eq!(book.diff(diff(id, id)), Step::Buffered);
    }
    assert_eq!(book.snapshot(&snapshot(9)), Taken::TooOld { first: 11 });
    assert_eq!(book.snapshot(&snapshot(10)), Taken::Live { applied: MOST_BUFFERED });
}

#[test]
fn futures_name_the_change_before() {
    let mut book = Book::new(Rule::Futures, SCALE);
    for change in [after(90, 95, 99), after(99, 104, 106), after(106, 120, 121)] {
        assert_eq!(book.diff(change), Step::Buffered);
    }
    // It ends between two changes.
    assert_eq!(book.snapshot(&snapshot(94)), Taken::Live { applied: 3 });

    assert_eq!(book.diff(after(121, 130, 140)), Step::Applied);
    assert_eq!(book.diff(after(106, 120, 121)), Step::Stale);
    assert_eq!(book.diff(after(141, 150, 160)), Step::Lost(Loss::Gap { after: 140, before: 150 }));
    assert_eq!(book.snapshot(&snapshot(139)), Taken::TooOld { first: 150 });
    assert_eq!(book.snapshot(&snapshot(155)), Taken::Live { applied: 1 });
}

#[test]
fn a_book_that_is_crossed_or_cannot_be_counted_is_given_up() {
    let mut book = live(Rule::Spot, 100);
    let crossed = Diff { bids: levels(&[("10", "1")]), ..diff(101, 101) };
    assert_eq!(book.diff(crossed), Step::Lost(Loss::Crossed { bid: 1000, ask: 1000 }));
    assert!(book.needs_snapshot());

    let mut book = live(Rule::Spot, 100);
    let too_large = Diff { asks: levels(&[("10.005", "9223372036854776")]), ..diff(101, 101) };
    let Step::Lost(lost @ Loss::Number { error: DecimalError::TooLarge, .. }) = book.diff(too_large.clone()) else {
        panic!("kept")
    };
    assert_eq!(
        lost.to_string(),
        "the level of 9223372036854776 at 10.005 cannot be kept: it is too large to be kept exactly"
    );
    assert_eq!(book.last_id(), None);

    let mut book = Book::new(Rule::Spot, SCALE);
    book.diff(too_large);
    assert!(matches!(book.snapshot(&snapshot(100)), Taken::Lost(Loss::Number { .. })));
    assert!(!book.needs_snapshot());
    assert_eq!(book.snapshot(&snapshot(101)), Taken::Live { applied: 0 });
}

#[test]
fn numbers_with_more_places_refine_the_book() {
    let mut book = live(Rule::Spot, 100).limited(2);

    let finer = Diff { asks: levels(&[("10.0005", "0.00001"), ("10", "0")]), ..diff(101, 101) };
    assert_eq!(book.diff(finer), Step::Applied);

    assert_eq!(book.scale(), Scale { price: 4, quantity: 5 });
    let bids = vec![(99_900, 100_000), (99_800, 200_000)];
    assert_eq!(book.top(9), Top { bids, asks: vec![(100_005, 1), (100_100, 400_000)] });
    let huge = Diff { bids: levels(&[("9", "900000000000000000")]), ..diff(102, 102) };
    assert!(matches!(book.diff(huge), Step::Lost(Loss::Number { .. })));
}

#[test]
fn what_lies_beyond_a_snapshot_is_not_shown_and_a_new_one_makes_the_book_deeper() {
    let mut book = Book::new(Rule::Spot, SCALE).limited(2);
    assert_eq!(book.snapshot(&snapshot(100)), Taken::Live { applied: 0 });
    let beyond = Diff { bids: levels(&[("9.97", "5")]), asks: levels(&[("10.02", "5")]), ..diff(101, 101) };
    let within = Diff { bids: levels(&[("9.985", "6"), ("9.98", "0")]), ..diff(102, 102) };
    assert_eq!((book.diff(beyond), book.is_shallow()), (Step::Applied, false));
    assert_eq!((book.diff(within.clone()), book.is_shallow()), (Step::Applied, false));
    assert_eq!(book.top(9).bids, [(9990, 1000), (9985, 6000)]);
    assert_eq!(book.top(9).asks, [(10_000, 3000), (10_010, 4000)]);

    let gone = Diff { asks: levels(&[("10", "0")]), ..diff(103, 103) };
    assert_eq!((book.diff(gone), book.is_shallow()), (Step::Applied, true));
    assert_eq!(book.snapshot(&snapshot(103)), Taken::NotNeeded);

    book.expect_snapshot();
    assert_eq!(book.diff(Diff { asks: levels(&[("10.01", "7")]), ..diff(104, 104) }), Step::Applied);
    let later = |last_id, asks: &[(&str, &str)]| Snapshot {
        last_id,
        bids: levels(&[("9.99", "1"), ("9.985", "6")]),
        asks: levels(asks),
    };
    assert_eq!(book.snapshot(&snapshot(102)), Taken::TooOld { first: 104 });
    assert_eq!(book.last_id(), Some(104), "the book stays there meanwhile");
    assert_eq!(book.snapshot(&later(103, &[("10.01", "4"), ("10.02", "5")])), Taken::Live { applied: 1 });

    assert_eq!(book.top(9).asks, [(10_010, 7000), (10_020, 5000)]);
    assert_eq!((book.last_id(), book.is_shallow()), (Some(104), false));
    book.expect_snapshot();
    assert_eq!(book.snapshot(&snapshot(103)), Taken::TooOld { first: 104 }, "older than the book");
    assert_eq!(book.snapshot(&snapshot(110)), Taken::Live { applied: 0 });
    assert_eq!(book.diff(diff(105, 110)), Step::Stale);
    assert_eq!(book.diff(diff(111, 111)), Step::Applied);
}

#[test]
fn a_side_that_a_snapshot_shows_whole_is_never_shallow() {
    let mut book = Book::new(Rule::Spot, SCALE).limited(3);
    book.snapshot(&snapshot(100));

    book.diff(Diff { bids: levels(&[("9", "1"), ("9.99", "0"), ("9.98", "0")]), ..diff(101, 101) });

    assert_eq!((book.top(5).bids, book.is_shallow()), (vec![(900, 1000)], false));
}

#[test]
fn recorded_books_stay_consistent_to_the_end_and_agree_with_the_best_prices_sent_beside_them() {
    for recording in recorded::ALL {
        let rule = if recording.name == "Binance futures" { Rule::Futures } else { Rule::Spot };
        let mut answers: Vec<_> = recording.answers().collect();
        answers.sort_by(|a, b| b.1.total_cmp(&a.1));
        let mut books: HashMap<String, Book> = HashMap::new();
        let mut tickers: HashMap<String, BTreeMap<i64, Best>> = HashMap::new();
        let (mut applied, mut agreed) = (0, 0);

        for (at, text) in recording.messages() {
            while let Some((url, _, body)) = answers.pop_if(|(_, answered, _)| *answered <= at) {
                let symbol = url.split(['=', '&']).nth(1).unwrap();
                let book = books.entry(symbol.to_owned()).or_insert_with(|| Book::new(rule, Scale::default()));
                let snapshot = rest::depth(body).unwrap();
                assert!(matches!(book.snapshot(&snapshot), Taken::Live { .. }), "{symbol}");
                assert_eq!(book.bids().count(), snapshot.bids.len(), "{symbol}");
            }
            match read(text).unwrap() {
                Event::Diff { symbol, diff, .. } => {
                    let book = books.entry(symbol.to_string()).or_insert_with(|| Book::new(rule, Scale::default()));
                    match book.diff(diff) {
                        Step::Applied => {
                            applied += 1;
                            let last_id = book.last_id().unwrap();
                            // They are sent at once, the changes later: the last one up to the same update must agree.
                            let best = tickers.get(&*symbol).and_then(|best| best.range(..=last_id).next_back());
                            if let Some((update, best)) = best {
                                assert_eq!(top_of(book), *best, "{symbol} at {last_id}, sent at {update}");
                                agreed += 1;
                            }
                        }
                        Step::Buffered | Step::Stale => {}
                        Step::Lost(lost) => panic!("{} {symbol}: {lost}", recording.name),
                    }
                }
                Event::BookTicker { symbol, best } => {
                    tickers.entry(symbol.to_string()).or_default().insert(best.update, in_units(best));
                }
                _ => {}
            }
        }

        assert_eq!(books.len(), 4, "{}", recording.name);
        for (symbol, book) in &books {
            let Top { bids, asks } = book.top(1);
            assert!(bids[0].0 < asks[0].0, "{symbol}");
        }
        let expected = match recording.name {
            "Binance" => (172, 159),
            "Binance US" => (332, 316),
            _ => (752, 744),
        };
        assert_eq!((applied, agreed), expected, "{}", recording.name);
    }
}

type Best = [(i64, i64); 2];

fn top_of(book: &Book) -> Best {
    let Top { bids, asks } = book.top(1);
    [bids[0], asks[0]]
}

fn in_units(best: BookTicker) -> Best {
    [best.bid, best.ask].map(|level| (level.price.at(8).unwrap(), level.quantity.at(8).unwrap()))
}

/// What the exchange has: every change in its order, one id each, bids below 500, asks above.
fn changes() -> impl Strategy<Value = Vec<(bool, i64, i64)>> {
    prop::collection::vec((any::<bool>(), 1..20_i64, 0..5_i64), 1..120)
}

fn truth(changes: &[(bool, i64, i64)]) -> Top {
    let (mut bids, mut asks) = (BTreeMap::new(), BTreeMap::new());
    for (bid, price, quantity) in changes {
        let side = if *bid { &mut bids } else { &mut asks };
        side.insert(if *bid { 500 - price } else { 500 + price }, *quantity);
    }
    let side = |levels: BTreeMap<i64, i64>| levels.into_iter().filter(|(_, quantity)| *quantity > 0);
    Top { bids: side(bids).rev().collect(), asks: side(asks).collect() }
}

fn plain(units: &(i64, i64)) -> PriceLevel {
    let number = |units: i64| Decimal::parse(&units.to_string()).unwrap();
    PriceLevel { price: number(units.0), quantity: number(units.1) }
}

proptest! {
    /// Whatever is lost, repeated or late: a book that is there is the exchange's at that id.
    #[test]
    fn a_book_is_right_or_absent(
        changes in changes(),
        faults in prop::collection::vec((1..6_usize, 0..10_u8, any::<bool>()), 60),
        futures: bool,
    ) {
        let rule = if futures { Rule::Futures } else { Rule::Spot };
        let mut book = Book::new(rule, Scale { price: 0, quantity: 0 });
        let (mut sent, mut late) = (0, None::<Diff>);
        for (many, fault, answers) in faults {
            let from = sent;
            sent = (sent + many).min(changes.len());
            if from == sent {
                break;
            }
            let side = |bid: bool| {
                let of = changes[from..sent].iter().filter(move |change| change.0 == bid);
                of.map(|(bid, price, quantity)| plain(&(if *bid { 500 - price } else { 500 + price }, *quantity)))
            };
            let diff = Diff {
                first: from as i64 + 1,
                last: sent as i64,
                previous: futures.then_some(from as i64),
                bids: side(true).collect(),
                asks: side(false).collect(),
            };
            match fault {
                0 => {}
                1 => late = Some(diff),
                2 => {
                    book.diff(diff.clone());
                    book.diff(diff);
                }
                _ => {
                    book.diff(diff);
                    late.take().map(|diff| book.diff(diff));
                }
            }
            if answers {
                let ends = if fault % 2 == 0 { sent } else { from };
                let Top { bids, asks } = truth(&changes[..ends]);
                let (bids, asks) = (bids.iter().map(plain).collect(), asks.iter().map(plain).collect());
                book.snapshot(&Snapshot { last_id: ends as i64, bids, asks });
            }
            if let Some(last_id) = book.last_id() {
                prop_assert_eq!(book.top(usize::MAX), truth(&changes[..last_id as usize]));
            }
        }
    }
}
