use std::{collections::BTreeSet, fs};

use tempfile::TempDir;

use super::*;
use crate::store::{Options, Reader};

fn jpeg(text: &str) -> Vec<u8> {
    [b"\xFF\xD8\xFF", text.as_bytes(), b"\xFF\xD9"].concat()
}

const PROGRESS_JSON: &str = r#"{
  "total_tiles": 4, "total_batches": 2, "completed_batches": [1, 2], "tiles_downloaded": 3, "tiles_failed": 1,
  "config": {"x_start": 1729150, "x_end": 1729381, "y_start": 1051521, "y_end": 1051584, "zoom": 21, "variant": 2, "batch_size": 50},
  "batch_details": {"1": {"status": "completed"}}
}"#;

const FAILED_JSON: &str = r#"{
  "batch_001": [{"x": 1729160, "y": 1051530, "error": "HTTP 503", "retries": 3},
                {"x": 1729150, "y": 1051521, "error": "Timeout", "retries": 3}],
  "batch_002": [{"x": 1729161, "y": 1051530, "error": "Cannot connect to host a:443", "retries": 0},
                {"x": 9999999, "y": 1, "error": "", "retries": 0}, {"x": "none"}]
}"#;

/// What the script leaves: two batches, of which three files are no tiles.
fn left_behind() -> TempDir {
    let folder = TempDir::new().unwrap();
    let files = [
        ("tiles_batch_001/tile_21_1729150_1051521.jpg", jpeg("a")),
        ("tiles_batch_001/tile_21_1729151_1051521.jpg", Vec::new()),
        ("tiles_batch_001/tile_21_1729152_1051521.jpg", b"\x89PNG\r\n\x1a\n\0\0\0\0IEND\xAE\x42\x60\x82".to_vec()),
        ("tiles_batch_002/tile_21_1729200_1051521.jpg", jpeg("b")),
        ("tiles_batch_002/tile_21_1729201_1051521.jpg", b"\xFF\xD8\xFFhalf".to_vec()),
        ("tiles_batch_002/tile_21_1729202_1051521.jpg", b"<html>no</html>".to_vec()),
        ("tiles_batch_002/Thumbs.db", b"other".to_vec()),
        ("tiles_batch_002/tile_21_9999999_1.jpg", jpeg("nowhere")),
        ("progress_async.json", PROGRESS_JSON.into()),
        ("failed_tiles_async.json", FAILED_JSON.into()),
    ];
    for (name, content) in files {
        let path = folder.path().join("tiles").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    folder
}

fn go_on(_: &Taken) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

#[test]
fn only_whole_tiles_are_taken_over_and_failures_are_kept() {
    let left = left_behind();
    let target = left.path().join("a.mbtiles");
    let mut store = Store::open(&target, &Options::default()).unwrap();

    let taken = take_over(left.path(), &mut store, go_on).unwrap();

    assert_eq!((taken.stored, taken.empty, taken.wrong, taken.known, taken.failed), (3, 1, 2, 0, 2));
    let mut why: Vec<_> = taken.named.iter().map(|(_, why)| why.as_str()).collect();
    why.sort_unstable();
    assert_eq!(why, ["it has no bytes", "not a tile but HTML: <html>no</html>", "the end of the jpg is missing"]);
    let ranges =
        Ranges { zoom: 21, x: (1_729_150, 1_729_381), y: (1_051_521, 1_051_584), variant: Some("2".to_owned()) };
    assert_eq!((taken.ranges, taken.unread.len(), taken.ended), (Some(ranges), 0, false));
    assert_eq!(store.metadata().unwrap().value("format"), Some("jpg"));
    // The rest can be fetched: neither a failure nor a refused file counts as there.
    let tile = |x, y| Tile::new(21, x, y).unwrap();
    let known = store.known().unwrap();
    let expected = BTreeSet::from([1_729_150, 1_729_152, 1_729_200].map(|x| tile(x, 1_051_521).id()));
    assert_eq!(BTreeSet::from_iter(known.stored.ranges().flatten()), expected);
    let failures = Reader::open(&target).unwrap().failures().unwrap();
    let failures: Vec<_> = failures.iter().map(|row| (row.tile, row.class, row.status, row.tries)).collect();
    let expected = [
        (tile(1_729_160, 1_051_530), Some(Class::Server), Some(503), 4),
        (tile(1_729_161, 1_051_530), Some(Class::Unreachable), None, 1),
    ];
    assert_eq!(failures, expected);
}

#[test]
fn what_is_there_already_stays_and_a_second_time_changes_nothing() {
    let left = left_behind();
    let mut store = Store::open(&left.path().join("out"), &Options::default()).unwrap();
    let tile = Tile::new(21, 1_729_150, 1_051_521).unwrap();
    store.commit(&[Row { tile, what: What::Stored { body: jpeg("newer"), http: Http::default() } }]).unwrap();

    let first = take_over(&left.path().join("tiles"), &mut store, go_on).unwrap();
    let second = take_over(left.path(), &mut store, go_on).unwrap();

    assert_eq!((first.stored, first.known), (2, 1));
    assert_eq!((second.stored, second.known, second.empty), (0, 3, 1));
    assert_eq!(store.known().unwrap().stored.len(), 3);
    assert_eq!(Reader::open(&left.path().join("out")).unwrap().body(tile).unwrap(), Some(jpeg("newer")));
}

#[test]
fn it_can_be_ended_between_two_groups_and_goes_on_later() {
    let folder = TempDir::new().unwrap();
    let batch = folder.path().join("tiles_batch_001");
    fs::create_dir(&batch).unwrap();
    for x in 0..600 {
        fs::write(batch.join(format!("tile_12_{x}_7.jpg")), jpeg(&x.to_string())).unwrap();
    }
    let mut store = Store::open(&folder.path().join("a.mbtiles"), &Options::default()).unwrap();

    let taken = take_over(folder.path(), &mut store, |_| ControlFlow::Break(())).unwrap();
    assert_eq!((taken.stored, taken.ended, store.known().unwrap().stored.len()), (250, true, 250));
    let mut seen = Vec::new();
    let taken = take_over(folder.path(), &mut store, |taken| {
        seen.push(taken.stored);
        ControlFlow::Continue(())
    });
    let taken = taken.unwrap();
    assert_eq!((taken.stored, taken.known, taken.ended, seen), (350, 250, false, vec![250, 350]));
}

#[test]
fn lists_that_are_cut_are_named_and_the_tiles_taken_all_the_same() {
    let left = left_behind();
    let tiles = left.path().join("tiles");
    fs::write(tiles.join("progress_async.json"), &PROGRESS_JSON[..100]).unwrap();
    fs::write(tiles.join("failed_tiles_async.json"), "").unwrap();
    let mut store = Store::open(&left.path().join("a.mbtiles"), &Options::default()).unwrap();

    let taken = take_over(left.path(), &mut store, go_on).unwrap();

    assert_eq!((taken.stored, taken.failed, taken.ranges, taken.unread.len()), (3, 0, None, 2));
    let empty = TempDir::new().unwrap();
    assert!(matches!(take_over(empty.path(), &mut store, go_on), Err(StoreError::NoBatches { .. })));
    assert!(matches!(take_over(&empty.path().join("none"), &mut store, go_on), Err(StoreError::Open { .. })));
}

#[test]
fn names_and_errors_are_read_as_the_script_writes_them() {
    for wrong in [
        "tile_1_0.jpg",
        "tile_1_0_0_0.jpg",
        "tile_1_2_0.jpg",
        "tile_31_0_0.jpg",
        "tile_1_0_0.txt",
        "tile_1_0_0",
        "1_0_0.jpg",
    ] {
        assert_eq!(named(wrong), None, "{wrong}");
    }
    assert_eq!(named("tile_1_0_1.png"), Tile::new(1, 0, 1).ok());
    let classes =
        ["HTTP 404", "HTTP 403", "HTTP 429", "HTTP 302", "HTTP 408", "Timeout", "", "Server disconnected"].map(class);
    let expected = [
        (Class::Request, Some(404)),
        (Class::Refused, Some(403)),
        (Class::Busy, Some(429)),
        (Class::Redirect, Some(302)),
        (Class::Server, Some(408)),
        (Class::Timeout, None),
        (Class::Timeout, None),
        (Class::Reset, None),
    ];
    assert_eq!(classes, expected);
    let config = |text: &str| ranges(&serde_json::from_str(text).unwrap());
    let quoted =
        r#"{"config": {"x_start": "1", "x_end": "2", "y_start": 0, "y_end": 3, "zoom": "2", "variant": "hybrid"}}"#;
    let expected = Ranges { zoom: 2, x: (1, 2), y: (0, 3), variant: Some("hybrid".to_owned()) };
    assert_eq!(config(quoted), Some(expected));
    assert_eq!(config(&quoted.replace("\"y_end\": 3", "\"y_end\": 4")), None, "there is no such row");
    assert_eq!(config(&quoted.replace("\"x_end\": \"2\"", "\"x_end\": \"0\"")), None, "the wrong way round");
}
