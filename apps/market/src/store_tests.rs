use std::path::Path;

use rusqlite::Connection;

use super::*;
use crate::{
    chain::Ids,
    minutes::{Level, Minute},
    wire::{AggTrade, Decimal, Scale},
};

/// Version 1 as it was written: two minutes and an open one, the second of them with a trade missing inside.
const VERSION_1: &str = "
CREATE TABLE minutes (
    symbol TEXT NOT NULL, begin_ms INTEGER NOT NULL, first_id INTEGER NOT NULL, last_id INTEGER NOT NULL,
    begun INTEGER NOT NULL, ended INTEGER NOT NULL, PRIMARY KEY (symbol, begin_ms)) STRICT, WITHOUT ROWID;
CREATE TABLE levels (
    symbol TEXT NOT NULL, begin_ms INTEGER NOT NULL, price INTEGER NOT NULL,
    buy INTEGER NOT NULL, sell INTEGER NOT NULL, trades INTEGER NOT NULL,
    PRIMARY KEY (symbol, begin_ms, price)) STRICT, WITHOUT ROWID;
INSERT INTO minutes VALUES ('A', 0, 1, 2, 1, 1), ('A', 60000, 3, 5, 1, 1), ('A', 120000, 6, 6, 1, 0);
INSERT INTO levels VALUES ('A', 0, 5, 10, 0, 2), ('A', 60000, 5, 10, 0, 1), ('A', 60000, 6, 0, 7, 1), ('A', 120000, 5, 1, 0, 1);
PRAGMA user_version = 1;";

fn trade(id: i64, time_ms: i64, quantity: i64) -> Trade {
    let ids = Ids { aggregate: id, first: id, last: id };
    Trade { ids, time_ms, price: 5, quantity, scale: Scale::default(), buyer_is_maker: false, refilled: false }
}

/// What the aggregator does with these trades.
fn count(database: &Database, track: &mut Track, trades: &[Trade]) -> Order {
    let mut order = Order::default();
    for trade in trades {
        if let Some(begin_ms) = track.wants(trade)
            && let Some(minute) = database.writing.minute(0, begin_ms).unwrap()
        {
            track.put(minute);
        }
        track.take(trade).unwrap();
        order.rows.push((0, *trade));
    }
    order.flushes.extend(track.flush().map(|flush| (0, flush)));
    order
}

fn open(path: &Path) -> (Database, Track) {
    let mut database = Database::open(path, &["A".into()], None).unwrap();
    let track = database.tracks.remove(0);
    (database, track)
}

fn write(database: &Database, order: &Order) -> rusqlite::Result<()> {
    let transaction = database.writing.file.unchecked_transaction()?;
    database.writing.append(&order.rows)?;
    for (symbol, flush) in &order.flushes {
        database.writing.flush(*symbol, flush)?;
    }
    transaction.commit()
}

fn minutes(path: &Path) -> Vec<(i64, i64, i64, &'static str)> {
    let minutes = Reader::open(path).unwrap().minutes(None, 20).unwrap();
    minutes.iter().map(|m| (m.begin_ms, m.total.trades, m.missing(), m.state.name())).collect()
}

#[test]
fn a_file_of_version_1_is_taken_over_and_continued() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.db");
    Connection::open(&path).unwrap().execute_batch(VERSION_1).unwrap();

    let (database, mut track) = open(&path);
    let order = count(&database, &mut track, &[trade(7, 120_001, 4), trade(8, 180_000, 1)]);
    write(&database, &order).unwrap();
    database.close().unwrap();

    assert_eq!(
        minutes(&path),
        [(0, 2, 0, "complete"), (60_000, 2, 1, "partial"), (120_000, 2, 0, "complete"), (180_000, 1, 0, "partial")]
    );
    let levels = Reader::open(&path).unwrap().levels("A", 120_000).unwrap();
    assert_eq!(levels, [(5, Level { buy: 5, sell: 0, trades: 2 })]);
}

#[test]
fn a_reader_takes_over_version_1_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.db");
    Connection::open(&path).unwrap().execute_batch(VERSION_1).unwrap();

    assert_eq!(minutes(&path), [(0, 2, 0, "complete"), (60_000, 2, 1, "partial"), (120_000, 1, 0, "partial")]);
}

#[test]
fn a_file_of_version_2_is_taken_over_and_each_change_of_a_minute_has_a_revision_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.db");
    let (database, mut track) = open(&path);
    write(&database, &count(&database, &mut track, &[trade(1, 0, 1), trade(2, 60_000, 2)])).unwrap();
    database.close().unwrap();
    let before = minutes(&path);
    let back = "DROP INDEX minutes_by_revision; ALTER TABLE minutes DROP COLUMN revision; DROP TABLE depth; PRAGMA user_version = 2";
    Connection::open(&path).unwrap().execute_batch(back).unwrap();
    let revisions = || {
        let file = Connection::open(&path).unwrap();
        let mut query = file.prepare("SELECT begin_ms, revision FROM minutes ORDER BY revision").unwrap();
        query
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
            .collect::<Result<Vec<(i64, i64)>, _>>()
            .unwrap()
    };

    let (database, mut track) = open(&path);

    assert_eq!(minutes(&path), before);
    assert_eq!(revisions(), [(0, 1), (60_000, 2)]);
    write(&database, &count(&database, &mut track, &[trade(3, 60_001, 4), trade(4, 120_000, 1)])).unwrap();
    assert_eq!(revisions(), [(0, 1), (60_000, 3), (120_000, 4)]);
}

#[test]
fn what_was_journaled_and_not_counted_is_counted_by_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.db");
    let (database, mut track) = open(&path);
    write(&database, &count(&database, &mut track, &[trade(1, 0, 1), trade(2, 1, 2)])).unwrap();
    let more = [trade(3, 2, 4), trade(6, 60_000, 1)];
    write(&database, &Order { rows: more.map(|trade| (0, trade)).to_vec(), ..Order::default() }).unwrap();
    // As if it had been killed here.
    drop(database);

    let (database, mut track) = open(&path);

    assert_eq!(minutes(&path), [(0, 3, 0, "partial"), (60_000, 1, 0, "partial")]);
    assert_eq!(track.chain.open().map(|gap| gap.ids).collect::<Vec<_>>(), [(4, 5)]);
    // What comes again is known, and what was missing is counted where it belongs.
    assert!(count(&database, &mut track, &more).flushes.is_empty());
    write(&database, &count(&database, &mut track, &[trade(4, 59_999, 8), trade(5, 60_000, 16)])).unwrap();
    let reader = Reader::open(&path).unwrap();
    assert_eq!(reader.levels("A", 0).unwrap(), [(5, Level { buy: 15, sell: 0, trades: 4 })]);
    assert_eq!(reader.levels("A", 60_000).unwrap(), [(5, Level { buy: 17, sell: 0, trades: 2 })]);
}

#[test]
fn each_minute_says_how_much_of_it_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.db");
    let (database, mut track) = open(&path);
    let of = |id: i64, minute: i64| trade(id, minute * 60_000, 1);
    let trades = [of(1, 0), of(2, 1), of(5, 1), of(6, 2), of(7, 3), of(9, 4), of(10, 5)];
    write(&database, &count(&database, &mut track, &trades)).unwrap();
    let state = |at: usize| (minutes(&path)[at].2, minutes(&path)[at].3);

    assert_eq!(
        [0, 1, 2, 3, 4, 5].map(state),
        [
            (0, "partial"), // Nobody knows what came before.
            (2, "partial"),
            (0, "complete"),
            (0, "partial"), // Something is missing on its border.
            (0, "partial"),
            (0, "partial"), // It is not over.
        ]
    );

    track.listed(8, 8);
    let late = Trade { refilled: true, ..of(3, 1) };
    write(
        &database,
        &count(&database, &mut track, &[late, Trade { ids: Ids { aggregate: 4, first: 4, last: 4 }, ..late }]),
    )
    .unwrap();

    assert_eq!([1, 3, 4].map(state), [(0, "backfilled"), (0, "hole"), (0, "hole")]);
}

/// Trades as they are fetched.
fn page(ids: &[i64]) -> Vec<AggTrade> {
    let trade = |id: &i64| AggTrade {
        id: *id,
        first: *id,
        last: *id,
        time_ms: 0,
        price: Decimal::ONE,
        quantity: Decimal::ONE,
        buyer_is_maker: false,
    };
    ids.iter().map(trade).collect()
}

#[test]
fn of_what_is_fetched_for_the_first_minute_only_what_came_before_is_kept() {
    let mut track = Track::new();
    for id in [5, 9] {
        track.take(&trade(id, 30_000, 1)).unwrap();
    }
    let (mut trades, mut listed) = (page(&[2, 3, 5, 6, 7, 10]), Some((2, 10)));

    track.begins(&mut trades, &mut listed);

    assert_eq!(trades, page(&[2, 3]));
    assert_eq!(listed, Some((2, 3)), "nothing is said of what is missing later");
}

#[test]
fn the_first_minute_is_whole_once_what_came_before_in_it_was_fetched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.db");
    let (database, mut track) = open(&path);
    write(&database, &count(&database, &mut track, &[trade(5, 30_000, 1), trade(6, 60_000, 1)])).unwrap();
    assert_eq!((minutes(&path)[0].3, track.head()), ("partial", Some(0)));
    drop(database);
    let (database, mut track) = open(&path);
    assert_eq!(track.head(), Some(0), "the next start knows it too");

    track.begins(&mut page(&[3, 4, 5, 6]), &mut None);
    let late = |id| Trade { refilled: true, ..trade(id, 0, 1) };
    write(&database, &count(&database, &mut track, &[late(3)])).unwrap();
    assert_eq!((minutes(&path)[0].2, minutes(&path)[0].3), (1, "partial"));
    drop(database);
    let (database, mut track) = open(&path);
    assert_eq!((track.head(), track.chain.open().count()), (None, 1));
    write(&database, &count(&database, &mut track, &[late(4)])).unwrap();

    assert_eq!(minutes(&path)[0], (0, 3, 0, "backfilled"));
}

#[test]
fn a_first_minute_that_begins_with_the_first_trade_is_complete() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.db");
    let (database, mut track) = open(&path);
    write(&database, &count(&database, &mut track, &[trade(5, 30_000, 1), trade(6, 60_000, 1)])).unwrap();

    track.begins(&mut page(&[5, 6]), &mut None);
    write(&database, &count(&database, &mut track, &[])).unwrap();

    assert_eq!(minutes(&path)[0], (0, 1, 0, "complete"));
}

#[test]
fn rows_that_are_counted_are_dropped_whatever_is_missing_before_them() {
    let folder = tempfile::tempdir().unwrap();
    let (database, mut track) = open(&folder.path().join("m.db"));
    let trades = [trade(1, 0, 1), trade(2, 59_999, 1), trade(4, 60_000, 1), trade(5, 120_000, 1)];
    write(&database, &count(&database, &mut track, &trades)).unwrap();
    let left = |database: &Database| {
        assert!(!database.writing.drop_counted(0).unwrap());
        let mut query = database.writing.file.prepare("SELECT id FROM trades").unwrap();
        query.query_map([], |row| row.get(0)).unwrap().collect::<Result<Vec<i64>, _>>().unwrap()
    };

    // Of the open minute: it is what is counted last.
    assert_eq!(left(&database), [5]);

    write(&database, &count(&database, &mut track, &[trade(3, 60_000, 1)])).unwrap();
    assert_eq!(left(&database), [5]);
}

#[test]
fn a_file_has_one_lock_by_whatever_name() {
    let folder = tempfile::tempdir().unwrap();
    let (path, link) = (folder.path().join("m.db"), folder.path().join("link.db"));
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let (database, _) = open(&path);

    let error = Database::open(&link, &["A".into()], None).err().unwrap().to_string();

    assert!(error.starts_with("another `market collect` writes to "), "{error}");
    let seen = Reader::open(&link).unwrap().status(&link).unwrap();
    assert!(seen.running && seen.bytes > std::fs::metadata(&path).unwrap().len(), "with its log: {seen:?}");
    database.close().unwrap();
}

#[test]
fn a_minute_in_a_finer_scale_is_written_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.db");
    let (database, mut track) = open(&path);
    let cents = Scale { price: 2, quantity: 0 };
    let first = Trade { scale: cents, ..trade(1, 0, 7) };
    write(&database, &count(&database, &mut track, &[first])).unwrap();

    let finer = Trade { price: 51, quantity: 25, scale: Scale { price: 3, quantity: 1 }, ..trade(2, 1, 0) };
    write(&database, &count(&database, &mut track, &[finer])).unwrap();

    let reader = Reader::open(&path).unwrap();
    assert_eq!(reader.minutes(None, 1).unwrap()[0].scale, finer.scale);
    let levels = [(51, Level { buy: 25, sell: 0, trades: 1 }), (50, Level { buy: 70, sell: 0, trades: 1 })];
    assert_eq!(reader.levels("A", 0).unwrap(), levels);
    assert_eq!(database.writing.minute(0, 0).unwrap().map(|minute: Minute| minute.scale), Some(finer.scale));
}

#[test]
fn an_order_book_is_stored_as_it_is_shown_and_one_of_the_same_moment_takes_its_place() {
    use crate::{
        book::{Book, Rule},
        wire::{PriceLevel, Snapshot},
    };

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.db");
    let (mut database, _) = open(&path);
    let mut put = |last_id: i64, time_ms| {
        let level = |price: &str| PriceLevel { price: Decimal::parse(price).unwrap(), quantity: Decimal::ONE };
        let (bids, asks) = (["1.5", "1.25"].map(level).to_vec(), Vec::new());
        let mut book = Book::new(Rule::Spot, Scale { price: 0, quantity: 3 });
        book.snapshot(&Snapshot { last_id, bids, asks });
        database.put_depth(&DepthRow::of(0, &book, time_ms, 2).unwrap()).unwrap();
    };
    for (last_id, time_ms) in [(7, 1000), (8, 2000), (9, 2000)] {
        put(last_id, time_ms);
    }

    let reader = Reader::open(&path).unwrap();
    let stored = reader.depth("A", 9).unwrap();
    assert_eq!(stored.iter().map(|depth| (depth.time_ms, depth.last_id)).collect::<Vec<_>>(), [(1000, 7), (2000, 9)]);
    assert_eq!(reader.depth("A", 1).unwrap(), [stored[1].clone()]);
    assert_eq!(reader.depth("B", 1).unwrap(), []);
    let StoredDepth { scale, bids, asks, .. } = &stored[1];
    let scaled = (Scale { price: 2, quantity: 3 }, &vec![(150, 1000), (125, 1000)], &vec![]);
    assert_eq!((*scale, bids, asks), scaled);
}

#[test]
fn files_that_cannot_be_used_are_named_with_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let says = |path: &Path| Database::open(path, &[], None).err().unwrap().to_string();

    assert!(says(&path("no/such/m.db")).contains("no/such/m.db"));

    Connection::open(path("other.db")).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    assert!(says(&path("other.db")).ends_with("other.db is not a database of `market`; name another file"));

    Connection::open(path("new.db")).unwrap().execute_batch("CREATE TABLE t (x); PRAGMA user_version = 9;").unwrap();
    assert!(says(&path("new.db")).contains("schema version 9, this program knows 3"));

    let _held = Database::open(&path("m.db"), &[], None).unwrap();
    assert!(says(&path("m.db")).contains("another `market collect` writes to"));
    assert!(Reader::open(&path("m.db")).is_ok(), "reading is allowed meanwhile");
    assert!(Reader::open(&path("none.db")).is_err());

    std::fs::write(path("begun.db"), "").unwrap();
    let empty = Reader::open(&path("begun.db")).err().unwrap().to_string();
    assert!(empty.ends_with("begun.db is empty: nothing was saved in it yet"), "{empty}");
    assert!(Database::open(&path("begun.db"), &[], None).is_ok());
}
