use super::*;
use crate::{minutes::Aggregator, wire::Trade};

fn batch(quantities: &[i64]) -> Batch {
    let mut counted = Aggregator::default();
    for (id, quantity) in (1..).zip(quantities) {
        let trade = Trade {
            symbol: "A".into(),
            id,
            first: id,
            last: id,
            time_ms: 0,
            price: 5,
            quantity: *quantity,
            buyer_is_maker: false,
        };
        counted.add(trade).unwrap();
    }
    counted.batch
}

#[test]
fn batches_add_up_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.db");
    let Database { file, lock: _lock, .. } = Database::open(&path).unwrap();

    add(&file, &batch(&[1, 2])).unwrap();
    add(&file, &batch(&[4])).unwrap();

    let reader = Reader::open(&path).unwrap();
    let levels = reader.levels("A", 0).unwrap();
    let minutes = reader.minutes(None, 20).unwrap();
    assert_eq!(levels, [(5, Level { buy: 7, sell: 0, trades: 3 })]);
    assert_eq!((minutes[0].begin.as_str(), minutes[0].total), ("1970-01-01 00:00", levels[0].1));
    assert_eq!(known(&file).unwrap()["A"], Known { last: 2, open_ms: 0 });
}

#[test]
fn a_sum_that_does_not_fit_is_refused_and_nothing_of_its_batch_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let Database { file, lock: _lock, .. } = Database::open(&folder.path().join("m.db")).unwrap();
    add(&file, &batch(&[i64::MAX])).unwrap();

    assert!(add(&file, &batch(&[1])).is_err());

    let buy: i64 = file.query_row("SELECT buy FROM levels", [], |row| row.get(0)).unwrap();
    assert_eq!(buy, i64::MAX);
}

#[test]
fn files_that_cannot_be_used_are_named_with_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let says = |path: &Path| Database::open(path).err().unwrap().to_string();

    assert!(says(&path("no/such/m.db")).contains("no/such/m.db"));

    Connection::open(path("other.db")).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    assert!(says(&path("other.db")).ends_with("other.db is not a database of `market`; name another file"));

    Connection::open(path("new.db")).unwrap().execute_batch(&format!("{SCHEMA} PRAGMA user_version = 9;")).unwrap();
    assert!(says(&path("new.db")).contains("schema version 9, this program knows 1"));

    let _held = Database::open(&path("m.db")).unwrap();
    assert!(says(&path("m.db")).contains("another `market collect` writes to"));
    assert!(Reader::open(&path("m.db")).is_ok(), "reading is allowed meanwhile");
    assert!(Reader::open(&path("none.db")).is_err());

    std::fs::write(path("begun.db"), "").unwrap();
    let empty = Reader::open(&path("begun.db")).err().unwrap().to_string();
    assert!(empty.ends_with("begun.db is empty: nothing was saved in it yet"), "{empty}");
    assert!(Database::open(&path("begun.db")).is_ok());
}
