use rusqlite::OpenFlags;

use super::*;
use crate::store::schema::connect;

const MINUTE: i64 = 60_000;

/// A file with so many minutes of `A`, each with so many levels, and an order book each.
fn file(folder: &std::path::Path, minutes: i64, levels: i64) -> Connection {
    let file = connect(&folder.join("m.db"), OpenFlags::default()).unwrap();
    file.execute_batch(&format!(
        "PRAGMA synchronous = OFF;
         INSERT INTO symbols (name, first_id, last_id, counted, newest_ms) VALUES ('A', 1, {minutes} * 10, {minutes} * 10, {minutes} * 60000);
         WITH n(n) AS (VALUES (0) UNION ALL SELECT n + 1 FROM n WHERE n < {minutes} - 1)
         INSERT INTO minutes SELECT 'A', n * 60000, n * 10 + 1, n * 10 + 10, 10, 10, 0, 'complete', 0, 0, 1, 0, n FROM n;
         WITH n(n) AS (VALUES (0) UNION ALL SELECT n + 1 FROM n WHERE n < {minutes} - 1),
              l(l) AS (VALUES (0) UNION ALL SELECT l + 1 FROM l WHERE l < {levels} - 1)
         INSERT INTO levels SELECT 'A', n * 60000, l, 1, 0, 1 FROM n, l;
         INSERT INTO trades SELECT 1, first_id, first_id, last_id, begin_ms, 1, 1, 0, 0, 0, 0 FROM minutes;"
    ))
    .unwrap();
    file
}

fn count(file: &Connection, what: &str) -> i64 {
    file.query_row(&format!("SELECT count(*) FROM {what}"), [], |row| row.get(0)).unwrap()
}

/// Drops all that is older; says how many transactions that took, and the most rows that one of them changed.
fn all(file: &Connection, floor: i64, mut between: impl FnMut()) -> (usize, u64) {
    let (mut steps, mut most) = (0, 0);
    loop {
        let before = file.total_changes();
        let shed = step(file, floor, &[1]).unwrap();
        most = most.max(file.total_changes() - before);
        steps += 1;
        between();
        if !shed.more {
            return (steps, most);
        }
    }
}

#[test]
fn a_million_levels_go_in_transactions_of_a_thousand_rows_and_the_file_shrinks() {
    let folder = tempfile::tempdir().unwrap();
    let file = file(folder.path(), 2000, 520);
    let pages = || file.query_row("PRAGMA page_count", [], |row| row.get::<_, i64>(0)).unwrap();
    let before = pages();
    assert!(count(&file, "levels") > 1_000_000);

    let (steps, most) = all(&file, 1990 * MINUTE, || ());

    assert!(most <= AT_ONCE as u64, "{most} rows in one transaction");
    assert!(steps > 1000, "{steps}");
    assert_eq!((count(&file, "minutes"), count(&file, "levels"), count(&file, "trades")), (10, 5200, 10));
    assert!(pages() < before / 20 + FREE, "{} of {before} pages are left", pages());
    let sound: String = file.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
}

#[test]
fn whoever_reads_meanwhile_sees_whole_minutes() {
    let folder = tempfile::tempdir().unwrap();
    let file = file(folder.path(), 20, 700);
    let reader = Connection::open(folder.path().join("m.db")).unwrap();
    let part = "(SELECT count(*) AS n FROM minutes JOIN levels USING (symbol, begin_ms) GROUP BY symbol, begin_ms) WHERE n <> 700";

    all(&file, 15 * MINUTE, || assert_eq!(count(&reader, part), 0));

    assert_eq!((count(&file, "minutes"), count(&file, "levels")), (5, 3500));
}

#[test]
fn order_books_go_too_a_few_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let file = file(folder.path(), 100, 1);
    file.execute_batch("INSERT INTO depth SELECT symbol, begin_ms, 1, 0, 0, '[]', '[]' FROM minutes").unwrap();

    let (steps, most) = all(&file, 90 * MINUTE, || ());

    assert!(steps >= 9 && most <= AT_ONCE as u64, "{steps} steps of {most} rows");
    assert_eq!(count(&file, "depth"), 10);
}

#[test]
fn what_is_not_counted_yet_stays_in_the_journal() {
    let folder = tempfile::tempdir().unwrap();
    let file = file(folder.path(), 10, 1);
    file.execute_batch("UPDATE symbols SET counted = 31").unwrap();

    all(&file, 8 * MINUTE, || ());

    assert_eq!((count(&file, "minutes"), count(&file, "trades")), (2, 6));
}

#[test]
fn gaps_of_a_symbol_that_is_not_collected_any_more_are_given_up_when_the_minutes_around_them_have_gone() {
    let folder = tempfile::tempdir().unwrap();
    let file = file(folder.path(), 10, 1);
    // One inside the minutes that go, a hole there, one at the border, one behind.
    file.execute_batch("INSERT INTO gaps VALUES (1, 13, 15, 2, 2, 0), (1, 27, 27, 3, 2, 1), (1, 50, 50, 5, 5, 0), (1, 72, 73, 8, 8, 0)")
        .unwrap();

    let mut given_up = Vec::new();
    loop {
        let shed = step(&file, 5 * MINUTE, &[]).unwrap();
        given_up.extend(shed.given_up);
        if !shed.more {
            break;
        }
    }

    assert_eq!(given_up, [("A".to_owned(), 3)]);
    assert_eq!(count(&file, "gaps WHERE first_id IN (50, 72)"), 2);
    assert_eq!(count(&file, "gaps"), 2);
}

#[test]
fn a_file_that_cannot_give_pages_back_keeps_its_size_and_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.db");
    drop(file(folder.path(), 200, 800));
    let file = Connection::open(&path).unwrap();
    file.execute_batch("PRAGMA journal_mode = DELETE; PRAGMA auto_vacuum = NONE; VACUUM").unwrap();

    all(&file, 190 * MINUTE, || ());

    assert_eq!(count(&file, "levels"), 8000);
    let free: i64 = file.query_row("PRAGMA freelist_count", [], |row| row.get(0)).unwrap();
    assert!(free > FREE, "{free}");
}

#[test]
fn many_pages_are_given_back_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = file(folder.path(), 200, 800);
    let free = || file.query_row("PRAGMA freelist_count", [], |row| row.get::<_, i64>(0)).unwrap();
    file.execute("DELETE FROM levels", []).unwrap();
    let before = free();

    assert!(shrink(&file).unwrap());

    assert_eq!(free(), before - PAGES_AT_ONCE);
}
