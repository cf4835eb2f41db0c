use std::{
    fs,
    path::{Path, PathBuf},
};

use rusqlite::Connection;
use tempfile::TempDir;

use super::*;
use crate::{answer::Class, check::Format, grid::Tile, gzip};

/// The least PNG that passes the checks, with something of its own.
fn png(text: &str) -> Vec<u8> {
    let chunk = |name: &[u8], data: &[u8]| {
        let mut sum = flate2::Crc::new();
        sum.update(name);
        sum.update(data);
        [&u32::try_from(data.len()).unwrap().to_be_bytes(), name, data, &sum.sum().to_be_bytes()].concat()
    };
    [b"\x89PNG\r\n\x1a\n".to_vec(), chunk(b"tEXt", text.as_bytes()), chunk(b"IEND", b"")].concat()
}

fn tile(z: u8, x: u32, y: u32) -> Tile {
    Tile::new(z, x, y).unwrap()
}

fn stored(tile: Tile, text: &str) -> Row {
    Row { tile, what: What::Stored { body: png(text), http: Http::default() } }
}

fn empty(tile: Tile) -> Row {
    Row { tile, what: What::Empty { status: 404, http: Http::default() } }
}

fn failed(tile: Tile, class: Class, tries: u32) -> Row {
    Row { tile, what: What::Failed { class, status: Some(500), text: "why".to_owned(), tries } }
}

fn ids(set: &crate::ids::IdSet) -> Vec<u64> {
    set.ranges().flatten().collect()
}

fn folder() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.mbtiles");
    (folder, path)
}

fn open(path: &Path) -> Writer {
    Writer::open(path, &Options::default()).unwrap()
}

fn names(folder: &TempDir) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn rows_count_from_the_south_and_the_file_says_what_it_is() {
    let (folder, path) = folder();
    let mut writer = open(&path);
    writer.commit(&[stored(tile(11, 327, 791), "a")]).unwrap();
    assert_eq!(names(&folder), ["a.mbtiles", "a.mbtiles-journal", "a.mbtiles.lock"]);
    writer.close().unwrap();

    assert_eq!(names(&folder), ["a.mbtiles"], "nothing is left beside it");
    assert_eq!(&fs::read(&path).unwrap()[68..72], b"MPBX");
    let file = Connection::open(&path).unwrap();
    let key = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let found: (u8, u32, u32) = file.query_row("SELECT zoom_level, tile_column, tile_row FROM tiles", [], key).unwrap();
    assert_eq!(found, (11, 327, 1256));
    let pragma = |name: &str| file.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!((pragma("page_size"), pragma("user_version")), (4096, 0));
    let reader = Reader::open(&path).unwrap();
    assert_eq!(reader.body(tile(11, 327, 791)).unwrap().unwrap(), png("a"));
    assert_eq!(reader.body(tile(11, 327, 1256)).unwrap(), None);
}

#[test]
fn what_becomes_of_a_tile_replaces_what_was_known_of_it() {
    let (_folder, path) = folder();
    let mut writer = open(&path);
    let a = tile(3, 1, 2);
    let known = |writer: &Writer| {
        let known = writer.known().unwrap();
        [known.stored.contains(a.id()), known.empty.contains(a.id()), known.failed.contains(a.id())]
    };
    let steps = [
        (failed(a, Class::Server, 5), [false, false, true]),
        (empty(a), [false, true, false]),
        (failed(a, Class::Server, 1), [false, true, true]),
        (stored(a, "1"), [true, false, false]),
        (failed(a, Class::Timeout, 1), [true, false, true]),
        (Row { tile: a, what: What::Unchanged { http: Http::default() } }, [true, false, false]),
        (stored(a, "2"), [true, false, false]),
        (empty(a), [false, true, false]),
    ];

    for (row, expected) in &steps {
        writer.commit(std::slice::from_ref(row)).unwrap();
        assert_eq!(known(&writer), *expected, "{row:?}");
    }
    // All in one commit come to the same, whatever else is among them.
    let (_folder, path) = self::folder();
    let mut writer = open(&path);
    for upto in 1..=steps.len() {
        let mut rows: Vec<_> = steps[..upto].iter().map(|(row, _)| row.clone()).collect();
        rows.insert(upto / 2, stored(tile(3, 1, 3), "another"));
        writer.commit(&rows).unwrap();
        assert_eq!(known(&writer), steps[upto - 1].1, "{upto} in one commit");
    }
}

#[test]
fn tries_add_up_over_runs_and_failures_are_listed() {
    let (_folder, path) = folder();
    let (a, b) = (tile(5, 3, 4), tile(5, 3, 5));

    for class in [Class::Server, Class::Timeout] {
        let mut writer = open(&path);
        writer.commit(&[failed(a, class, 5), failed(b, Class::Server, 1)]).unwrap();
    }

    let failures = Reader::open(&path).unwrap().failures().unwrap();
    let row =
        |tile, class, tries| FailRow { tile, class: Some(class), status: Some(500), tries, text: "why".to_owned() };
    assert_eq!(failures, [row(b, Class::Server, 2), row(a, Class::Timeout, 10)]);
    let status = Reader::open(&path).unwrap().status().unwrap();
    assert_eq!(status.failed, [("server-error".to_owned(), 1), ("timeout".to_owned(), 1)]);

    let mut writer = open(&path);
    writer.forget_failed().unwrap();
    assert!(writer.known().unwrap().failed.is_empty());
}

#[test]
fn another_run_goes_on_where_the_last_one_was_with_another_area_too() {
    let (_folder, path) = folder();
    let mut first = open(&path);
    first.set_job(&[("url", Some("https://a/{z}")), ("limit", Some("16"))]).unwrap();
    first.commit(&[stored(tile(2, 0, 0), "a"), empty(tile(2, 3, 3))]).unwrap();
    drop(first);

    let mut second = open(&path);
    assert_eq!(second.job("url").unwrap().as_deref(), Some("https://a/{z}"));
    second.set_job(&[("limit", None)]).unwrap();
    assert_eq!(second.job("limit").unwrap(), None);
    second.commit(&[stored(tile(2, 1, 0), "b"), stored(tile(9, 511, 511), "c")]).unwrap();
    let known = second.known().unwrap();
    assert_eq!(ids(&known.stored), [tile(2, 0, 0).id(), tile(2, 1, 0).id(), tile(9, 511, 511).id()]);
    assert_eq!(ids(&known.empty), [tile(2, 3, 3).id()]);
    second.forget_empty().unwrap();
    assert!(second.known().unwrap().empty.is_empty());
}

#[test]
fn a_refresh_asks_for_what_is_stale_with_what_is_remembered() {
    let (_folder, path) = folder();
    let mut writer = open(&path);
    let [fresh, old, plain, gone] = [tile(1, 0, 0), tile(1, 1, 0), tile(1, 0, 1), tile(1, 1, 1)];
    let http = |expires| Http {
        etag: Some("\"1\"".to_owned()),
        last_modified: Some("Thu, 01 Jan 1970 00:00:00 GMT".to_owned()),
        fetched: 100,
        expires: Some(expires),
    };
    let with = |tile, http| Row { tile, what: What::Stored { body: png("a"), http } };
    writer.commit(&[with(fresh, http(300)), with(old, http(150)), stored(plain, "a"), empty(gone)]).unwrap();

    assert_eq!(ids(&writer.stale(200).unwrap()), [plain.id(), gone.id(), old.id()]);
    assert_eq!(writer.validators(old).unwrap(), Some(http(150)));
    assert_eq!(writer.validators(plain).unwrap(), None);

    let unchanged = Http { etag: None, last_modified: None, fetched: 200, expires: Some(400) };
    writer.commit(&[Row { tile: old, what: What::Unchanged { http: unchanged } }]).unwrap();
    assert_eq!(writer.validators(old).unwrap(), Some(Http { fetched: 200, ..http(400) }));
    assert_eq!(ids(&writer.stale(200).unwrap()), [plain.id(), gone.id()]);

    writer.commit(&[stored(old, "changed, and nothing is said of it")]).unwrap();
    assert_eq!(writer.validators(old).unwrap(), None);
}

#[test]
fn what_the_file_says_of_itself_is_set_name_by_name() {
    let (_folder, path) = folder();
    let mut writer = open(&path);
    writer.set_metadata(&Metadata::from_iter([("name", "Jakarta"), ("format", "png"), ("attribution", "")])).unwrap();
    writer.set_metadata(&Metadata::from_iter([("name", "Java")])).unwrap();

    let metadata = Reader::open(&path).unwrap().metadata().unwrap();
    assert_eq!(metadata, Metadata::from_iter([("name", "Java"), ("format", "png")]));
    assert_eq!(metadata, writer.metadata().unwrap());
}

#[test]
fn a_second_writer_is_refused_at_once_and_readers_are_not() {
    let (_folder, path) = folder();
    let mut writer = open(&path);
    writer.commit(&[stored(tile(0, 0, 0), "a")]).unwrap();

    let error = Writer::open(&path, &Options::default()).unwrap_err();
    assert!(matches!(error, MbtilesError::Locked { .. }), "{error}");
    let reader = Reader::open(&path).unwrap();
    let mut tiles = reader.tiles().unwrap();
    assert_eq!(tiles.total(), 1);
    assert_eq!(tiles.next().unwrap().unwrap(), (tile(0, 0, 0), png("a")));
    writer.commit(&[stored(tile(1, 0, 0), "b")]).unwrap();
    assert!(tiles.next().is_none());
    assert_eq!(reader.status().unwrap().stored.into_iter().collect::<Vec<_>>(), [(0, 1), (1, 1)]);
}

#[test]
fn readers_get_the_tiles_along_the_curve() {
    let (_folder, path) = folder();
    let mut writer = open(&path);
    let rows: Vec<_> = (0..85).rev().map(|id| stored(Tile::from_id(id).unwrap(), &id.to_string())).collect();
    writer.commit(&rows).unwrap();

    let reader = Reader::open(&path).unwrap();
    let read: Vec<_> = reader.tiles().unwrap().map(|item| item.unwrap()).collect();
    let expected: Vec<_> = (0..85).map(|id| (Tile::from_id(id).unwrap(), png(&id.to_string()))).collect();
    assert_eq!(read, expected);
}

#[test]
fn a_foreign_file_is_not_changed_by_a_byte_unless_it_is_adopted() {
    let (folder, path) = folder();
    let foreign = Connection::open(&path).unwrap();
    let tables = "CREATE TABLE metadata (name text, value text);
         CREATE TABLE tiles (zoom_level integer, tile_column integer, tile_row integer, tile_data blob);
         INSERT INTO tiles VALUES (1, 1, 0, x'1234'), (40, 0, 0, x''), (1, 0, 2, x'');
         INSERT INTO metadata VALUES ('name', 'theirs'), ('name', 'twice'), ('agg_tiles_hash', 'OLD');";
    foreign.execute_batch(tables).unwrap();
    for journal in ["DELETE", "WAL"] {
        foreign.pragma_update(None, "journal_mode", journal).unwrap();
        foreign.execute_batch("INSERT INTO metadata VALUES ('more', '1')").unwrap();
        let before = (names(&folder), fs::read(&path).unwrap());
        let error = Writer::open(&path, &Options::default()).unwrap_err();
        assert!(matches!(error, MbtilesError::Foreign { .. }), "{error}");
        assert!(matches!(finish(&path), Err(MbtilesError::Foreign { .. })));
        assert_eq!(Reader::open(&path).unwrap().status().unwrap().stored.get(&1), Some(&1));
        assert!((names(&folder), fs::read(&path).unwrap()) == before, "{journal}");
    }
    drop(foreign);

    let mut writer = Writer::open(&path, &Options { adopt: true, ..Options::default() }).unwrap();
    assert_eq!(ids(&writer.known().unwrap().stored), [tile(1, 1, 1).id()], "keys of no tile are left out");
    writer.commit(&[stored(tile(1, 1, 1), "ours"), stored(tile(0, 0, 0), "ours")]).unwrap();
    writer.set_metadata(&Metadata::from_iter([("name", "ours")])).unwrap();
    assert_eq!(writer.metadata().unwrap(), Metadata::from_iter([("name", "ours"), ("more", "1")]));
    writer.close().unwrap();
    let reader = Reader::open(&path).unwrap();
    assert_eq!(reader.body(tile(1, 1, 1)).unwrap().unwrap(), png("ours"));
    assert_eq!(names(&folder), ["a.mbtiles"]);
}

#[test]
fn all_layouts_are_read_and_two_are_written() {
    let (folder, _) = folder();
    let layouts = [
        (
            Schema::Flat,
            "CREATE TABLE tiles (zoom_level, tile_column, tile_row, tile_data);
          INSERT INTO tiles VALUES (1, 0, 0, x'0102')",
        ),
        (
            Schema::FlatWithHash,
            "CREATE TABLE tiles_with_hash (zoom_level, tile_column, tile_row, tile_data, tile_hash);
          CREATE VIEW tiles AS SELECT zoom_level, tile_column, tile_row, tile_data FROM tiles_with_hash;
          INSERT INTO tiles_with_hash VALUES (1, 0, 0, x'0102', '')",
        ),
        (
            Schema::Normalized,
            "CREATE TABLE map (zoom_level, tile_column, tile_row, tile_id);
          CREATE TABLE images (tile_id, tile_data);
          CREATE VIEW tiles AS SELECT zoom_level, tile_column, tile_row, tile_data FROM map JOIN images USING (tile_id);
          INSERT INTO map VALUES (1, 0, 0, 'a'); INSERT INTO images VALUES ('a', x'0102')",
        ),
        (
            Schema::Other,
            "CREATE VIEW tiles AS SELECT 1 AS zoom_level, 0 AS tile_column, 0 AS tile_row, x'0102' AS tile_data",
        ),
    ];
    for (schema, sql) in layouts {
        let path = folder.path().join(format!("{schema}.mbtiles"));
        Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        let reader = Reader::open(&path).unwrap();
        assert_eq!(reader.schema(), schema);
        let tiles: Vec<_> = reader.tiles().unwrap().map(|item| item.unwrap()).collect();
        assert_eq!(tiles, [(tile(1, 0, 1), vec![1, 2])], "{schema}");
        assert_eq!(reader.metadata().unwrap(), Metadata::new());
        assert!(!reader.has_job() && reader.failures().unwrap().is_empty() && reader.job("url").unwrap().is_none());

        let adopted = Writer::open(&path, &Options { adopt: true, ..Options::default() });
        assert_eq!(adopted.is_ok(), schema == Schema::Flat, "{schema}: {adopted:?}");
    }
    let error = Writer::open(&folder.path().join("new"), &Options { schema: Schema::Normalized, adopt: false });
    assert!(matches!(error.unwrap_err(), MbtilesError::ReadOnlySchema { .. }));
    assert!(!folder.path().join("new").exists());
}

#[test]
fn equal_bodies_are_kept_once_and_read_as_from_any_file() {
    let (_folder, path) = folder();
    let options = Options { schema: Schema::Dedup, adopt: false };
    let mut writer = Writer::open(&path, &options).unwrap();
    let sea: Vec<_> = (0..4).map(|x| stored(tile(2, x, 1), "sea")).collect();
    let committed = writer.commit(&sea).unwrap();
    assert_eq!((committed.stored, committed.repeated), (4, 3 * png("sea").len() as u64));
    writer.commit(&[stored(tile(2, 0, 0), "land"), stored(tile(2, 1, 1), "land"), empty(tile(2, 2, 1))]).unwrap();
    drop(writer);
    // A later run keeps the numbers apart, whatever layout it asks for.
    let mut writer = open(&path);
    assert_eq!(writer.schema(), Schema::Dedup);
    writer.commit(&[stored(tile(2, 3, 3), "more")]).unwrap();
    drop(writer);

    let reader = Reader::open(&path).unwrap();
    let text = |x, y| reader.body(tile(2, x, y)).unwrap();
    let found = [text(0, 1), text(1, 1), text(2, 1), text(3, 1), text(0, 0), text(3, 3)];
    let expected = [Some("sea"), Some("land"), None, Some("sea"), Some("land"), Some("more")];
    assert_eq!(found, expected.map(|text| text.map(png)));
    let bodies = |reader: &Reader| -> i64 {
        reader.file.query_row("SELECT COUNT(*) FROM tiles_data", [], |row| row.get(0)).unwrap()
    };
    assert_eq!(bodies(&reader), 3);
    drop(reader);

    let mut writer = open(&path);
    writer.commit(&[empty(tile(2, 3, 3))]).unwrap();
    writer.close().unwrap();
    finish(&path).unwrap();
    assert_eq!(bodies(&Reader::open(&path).unwrap()), 2, "a body that no tile has is gone");
    assert!(verify(&path).unwrap().is_sound());
}

#[test]
fn a_full_disk_changes_nothing_and_the_same_rows_may_be_tried_again() {
    for schema in [Schema::Flat, Schema::Dedup] {
        let (_folder, path) = folder();
        let mut writer = Writer::open(&path, &Options { schema, adopt: false }).unwrap();
        writer.commit(&[stored(tile(0, 0, 0), "a")]).unwrap();
        let rows: Vec<_> = (0..64).map(|x| stored(tile(6, x, 0), &"long".repeat(500 + x as usize))).collect();
        let pages: i64 = writer.base.file.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();

        writer.base.file.pragma_update_and_check(None, "max_page_count", pages + 9, |_| Ok(())).unwrap();
        let error = writer.commit(&rows).unwrap_err();
        assert!(matches!(error, MbtilesError::Full { .. }), "{error}");
        assert_eq!(writer.known().unwrap().stored.len(), 1);

        writer.base.file.pragma_update_and_check(None, "max_page_count", 100_000, |_| Ok(())).unwrap();
        assert_eq!(writer.commit(&rows).unwrap().stored, 64);
        drop(writer);
        let reader = Reader::open(&path).unwrap();
        assert_eq!(reader.body(tile(6, 63, 0)).unwrap().unwrap(), png(&"long".repeat(563)));
        assert_eq!(reader.tiles().unwrap().count(), 65);
    }
}

#[test]
fn what_was_not_committed_when_it_crashed_is_rolled_back() {
    let (_folder, path) = folder();
    let mut writer = open(&path);
    writer.commit(&[stored(tile(1, 0, 0), "safe"), failed(tile(1, 1, 1), Class::Server, 1)]).unwrap();
    // So small a cache has to write pages before the commit, as a big transaction does.
    writer
        .base
        .file
        .execute_batch(
            "PRAGMA cache_size = 1; BEGIN IMMEDIATE; UPDATE tiles SET tile_data = x'00'; DELETE FROM ss_fail",
        )
        .unwrap();
    for row in 0..2000 {
        writer.base.file.execute("INSERT INTO tiles VALUES (12, 1, ?1, zeroblob(3000))", [row]).unwrap();
    }
    let crashed = TempDir::new().unwrap();
    let copy = crashed.path().join("a.mbtiles");
    for end in ["", "-journal", ".lock"] {
        let name = |path: &Path| format!("{}{end}", path.display());
        fs::copy(name(&path), name(&copy)).unwrap();
    }
    assert!(fs::metadata(crashed.path().join("a.mbtiles-journal")).unwrap().len() > 512);
    assert!(fs::metadata(&copy).unwrap().len() > 1_000_000);

    let reader = Reader::open(&copy).unwrap();
    assert_eq!(reader.body(tile(1, 0, 0)).unwrap().unwrap(), png("safe"));
    drop(reader);
    let writer = open(&copy);
    let known = writer.known().unwrap();
    assert_eq!((ids(&known.stored), known.failed.len()), (vec![tile(1, 0, 0).id()], 1));
    writer.close().unwrap();
    assert!(verify(&copy).unwrap().is_sound());
    assert_eq!(names(&crashed), ["a.mbtiles"], "a lock that a crash left locks nothing");
}

#[test]
fn a_file_that_was_replaced_or_removed_is_not_written_to() {
    let (_folder, path) = folder();
    let mut writer = open(&path);
    let other = path.with_extension("other");
    fs::write(&other, "something else").unwrap();
    fs::rename(&other, &path).unwrap();

    let error = writer.commit(&[stored(tile(0, 0, 0), "a")]).unwrap_err();
    assert!(matches!(error, MbtilesError::Replaced { .. }), "{error}");
    assert!(matches!(writer.set_job(&[("a", None)]), Err(MbtilesError::Replaced { .. })));
    assert_eq!(fs::read(&path).unwrap(), b"something else");
    fs::remove_file(&path).unwrap();
    assert!(matches!(writer.commit(&[]), Err(MbtilesError::Replaced { .. })));
    drop(writer);
    assert!(!path.exists());
}

#[test]
fn what_is_no_mbtiles_file_is_refused_untouched() {
    let (folder, path) = folder();
    let sql = folder.path().join("sql");
    Connection::open(&sql).unwrap().execute_batch("CREATE TABLE a (b)").unwrap();
    for content in [&b"x"[..], &[b'x'; 10_000], &fs::read(&sql).unwrap()] {
        fs::write(&path, content).unwrap();
        for adopt in [false, true] {
            let error = Writer::open(&path, &Options { adopt, ..Options::default() }).unwrap_err();
            assert!(matches!(error, MbtilesError::NotMbtiles { .. }), "{error}");
        }
        assert!(matches!(Reader::open(&path), Err(MbtilesError::NotMbtiles { .. })));
        assert!(matches!(finish(&path), Err(MbtilesError::NotMbtiles { .. })));
        assert!(fs::read(&path).unwrap() == content);
    }
    // An empty file is one that is being made.
    fs::write(&path, "").unwrap();
    assert!(matches!(Reader::open(&path), Err(MbtilesError::Empty { .. })));
    open(&path).close().unwrap();
}

#[test]
fn what_is_not_there_or_a_folder_is_named() {
    let (folder, path) = folder();
    for read in [Reader::open(&path).map(drop), verify(&path).map(drop), finish(&path)] {
        assert!(matches!(read, Err(MbtilesError::Open { .. })), "{read:?}");
    }
    assert!(matches!(Reader::open(folder.path()), Err(MbtilesError::Open { .. })));
    let inside = folder.path().join("none/a.mbtiles");
    let error = Writer::open(&inside, &Options::default()).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot open {}", inside.display()));
    assert!(!error.hint().is_empty() && std::error::Error::source(&error).is_some());
    assert!(names(&folder).is_empty(), "asking makes nothing");
}

#[test]
fn damage_is_named_and_verified() {
    let (_folder, path) = folder();
    let mut writer = open(&path);
    let rows: Vec<_> = (0..256).map(|x| stored(tile(8, x, 7), &format!("{x}").repeat(100))).collect();
    writer.commit(&rows).unwrap();
    writer.close().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[4096..40_000].fill(0xA5);
    fs::write(&path, bytes).unwrap();

    let outcome = Writer::open(&path, &Options::default()).and_then(|writer| writer.known());
    assert!(matches!(outcome, Err(MbtilesError::Corrupt { .. })), "{outcome:?}");
    assert!(verify(&path).map_or(true, |verified| !verified.is_sound()));
}

#[test]
fn what_may_not_be_written_says_so_and_changes_nothing() {
    let (_folder, path) = folder();
    let mut writer = open(&path);
    // Root may write to anything; this is what SQLite says to everybody else.
    writer.base.file.pragma_update(None, "query_only", true).unwrap();
    let error = writer.commit(&[stored(tile(0, 0, 0), "a")]).unwrap_err();
    assert!(matches!(error, MbtilesError::ReadOnly { .. }), "{error}");
    drop(writer);

    let before = fs::read(&path).unwrap();
    let mut permissions = fs::metadata(&path).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&path, permissions).unwrap();
    match Writer::open(&path, &Options::default()) {
        Ok(writer) => writer.close().unwrap(),
        Err(error) => assert!(matches!(error, MbtilesError::ReadOnly { .. }), "{error}"),
    }
    assert!(fs::read(&path).unwrap() == before);
}

#[test]
fn another_program_that_keeps_it_locked_is_named() {
    let (_folder, path) = folder();
    let mut writer = open(&path);
    writer.base.file.busy_timeout(std::time::Duration::from_millis(10)).unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();

    let error = writer.commit(&[stored(tile(0, 0, 0), "a")]).unwrap_err();
    assert!(matches!(error, MbtilesError::Busy { .. }), "{error}");
    // A reader holds up only the end of the transaction.
    other.execute_batch("COMMIT; BEGIN; SELECT * FROM metadata").unwrap();
    other.query_row("SELECT COUNT(*) FROM tiles", [], |_| Ok(())).unwrap();
    let error = writer.commit(&[stored(tile(0, 0, 0), "a")]).unwrap_err();
    assert!(matches!(error, MbtilesError::Busy { .. }), "{error}");

    other.execute_batch("COMMIT").unwrap();
    assert_eq!(writer.commit(&[stored(tile(0, 0, 0), "a")]).unwrap().stored, 1);
}

#[test]
fn a_finished_file_has_nothing_of_the_job_and_a_hash_that_goes_when_it_is_written_again() {
    let (folder, path) = folder();
    let mut writer = open(&path);
    writer.set_job(&[("url", Some("https://secret"))]).unwrap();
    writer.set_metadata(&Metadata::from_iter([("format", "png")])).unwrap();
    writer.commit(&[stored(tile(1, 0, 0), "a"), empty(tile(1, 1, 1)), failed(tile(1, 0, 1), Class::Cut, 1)]).unwrap();
    assert!(matches!(finish(&path), Err(MbtilesError::Locked { .. })));
    drop(writer);

    finish(&path).unwrap();
    assert_eq!(names(&folder), ["a.mbtiles"]);
    let content = fs::read(&path).unwrap();
    assert_eq!(&content[68..72], b"MPBX");
    assert!(!content.windows(6).any(|bytes| bytes == b"secret" || bytes.starts_with(b"ss_")));
    let verified = verify(&path).unwrap();
    assert_eq!(
        (verified.agg, verified.is_sound(), &verified.missing[..2]),
        (Agg::Right, true, &["name", "bounds"][..])
    );
    assert!(matches!(Writer::open(&path, &Options::default()), Err(MbtilesError::Foreign { .. })));

    let change = Connection::open(&path).unwrap();
    change.execute("UPDATE tiles SET tile_data = tile_data || x'00'", []).unwrap();
    let verified = verify(&path).unwrap();
    assert_eq!((verified.agg, verified.wrong, verified.is_sound()), (Agg::Wrong, 0, false));
    let writer = Writer::open(&path, &Options { adopt: true, ..Options::default() }).unwrap();
    assert_eq!(writer.metadata().unwrap().value("agg_tiles_hash"), None);
}

#[test]
fn the_hash_is_that_of_other_programs() {
    let (_folder, path) = folder();
    open(&path).close().unwrap();
    finish(&path).unwrap();
    let empty = Reader::open(&path).unwrap().metadata().unwrap();
    assert_eq!(empty.value("agg_tiles_hash"), Some("D41D8CD98F00B204E9800998ECF8427E"));

    let (_folder, path) = folder();
    let mut writer = open(&path);
    let body = |body: &[u8]| What::Stored { body: body.to_vec(), http: Http::default() };
    let rows = [(tile(1, 1, 0), &b"b"[..]), (tile(0, 0, 0), b"a")].map(|(tile, bytes)| Row { tile, what: body(bytes) });
    writer.commit(&rows).unwrap();
    drop(writer);
    finish(&path).unwrap();
    // printf 000a111b | md5sum
    let expected = format!("{:X}", md5::compute("000a111b"));
    assert_eq!(Reader::open(&path).unwrap().metadata().unwrap().value("agg_tiles_hash"), Some(expected.as_str()));
}

#[test]
fn verifying_finds_each_tile_that_is_none() {
    let (_folder, path) = folder();
    let mut writer = open(&path);
    writer.set_metadata(&Metadata::from_iter([("format", "pbf")])).unwrap();
    let put = |x, body: Vec<u8>| Row { tile: tile(4, x, 0), what: What::Stored { body, http: Http::default() } };
    let layer = gzip::pack(b"\x1A\x01a").unwrap();
    let mut damaged = layer.clone();
    damaged[12] ^= 0xFF;
    let rows = [
        put(0, layer.clone()),
        put(1, b"\x1A\x01a".to_vec()),
        put(2, damaged),
        put(3, layer[..21].to_vec()),
        put(4, gzip::pack(b"<html>").unwrap()),
        put(5, png("a")),
        put(6, b"{}".to_vec()),
        put(7, Vec::new()),
    ];
    writer.commit(&rows).unwrap();
    writer.base.file.execute("INSERT INTO tiles VALUES (4, 99, 0, x'1A0161')", []).unwrap();
    drop(writer);

    let verified = verify(&path).unwrap();
    let wrong: Vec<_> = verified.named.iter().map(|(tile, _)| tile.x()).collect();
    assert_eq!((verified.wrong, wrong, verified.nowhere), (6, vec![2, 3, 4, 5, 6, 7], 1));
    assert_eq!(verified.formats.into_iter().collect::<Vec<_>>(), [("pbf", 2)]);
    assert_eq!((verified.said, verified.agg, verified.damage.len()), (Some(Format::Mvt), Agg::Absent, 0));
    assert_eq!(verified.named[0].1, "it cannot be unpacked: corrupt gzip stream does not have a matching checksum");
    assert!(verified.missing.contains(&"json"));
}

#[test]
fn finishing_changes_nothing_before_all_of_it_is_done() {
    let (folder, path) = folder();
    let mut writer = open(&path);
    // More knowledge than tiles: the gaps it leaves go as well.
    let rows: Vec<_> = (0..2000).map(|x| empty(tile(11, x, 0))).chain([stored(tile(0, 0, 0), "a")]).collect();
    writer.commit(&rows).unwrap();
    writer.close().unwrap();
    let before = fs::read(&path).unwrap();
    // In the way of the copy, and not to be removed.
    fs::create_dir(folder.path().join(".tiles-part-a.mbtiles")).unwrap();

    finish(&path).unwrap_err();
    assert!(fs::read(&path).unwrap() == before);
    fs::remove_dir(folder.path().join(".tiles-part-a.mbtiles")).unwrap();
    for left in [".tiles-part-a.mbtiles", ".tiles-more-a.mbtiles", ".tiles-part-a.mbtiles-journal"] {
        fs::write(folder.path().join(left), "left by a crash").unwrap();
    }
    finish(&path).unwrap();

    assert_eq!(names(&folder), ["a.mbtiles"]);
    assert!(fs::metadata(&path).unwrap().len() < 30_000 && before.len() > 60_000, "{}", before.len());
    assert!(verify(&path).unwrap().is_sound() && !Reader::open(&path).unwrap().has_job());
}
