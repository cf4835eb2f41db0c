use std::{
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use super::*;
use crate::{
    answer::Class,
    grid::Tile,
    store::{Http, Metadata, Row, StoreError, What},
};

fn jpeg(text: &str) -> Vec<u8> {
    [b"\xFF\xD8\xFF", text.as_bytes(), b"\xFF\xD9"].concat()
}

fn tile(z: u8, x: u32, y: u32) -> Tile {
    Tile::new(z, x, y).unwrap()
}

fn body(tile: Tile, body: Vec<u8>) -> Row {
    Row { tile, what: What::Stored { body, http: Http::default() } }
}

fn stored(tile: Tile, text: &str) -> Row {
    body(tile, jpeg(text))
}

fn empty(tile: Tile) -> Row {
    Row { tile, what: What::Empty { status: 404, http: Http::default() } }
}

fn failed(tile: Tile) -> Row {
    Row { tile, what: What::Failed { class: Class::Reset, status: None, text: String::new(), tries: 2 } }
}

fn folder() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("tiles");
    (folder, path)
}

fn open(path: &Path) -> Writer {
    Writer::open(path, &Options::default()).unwrap()
}

fn read(path: &Path) -> Vec<(Tile, Vec<u8>)> {
    Reader::open(path, None).unwrap().tiles().unwrap().map(|item| item.unwrap()).collect()
}

/// All files below a folder, by name, without those of the job.
fn files(root: &Path) -> Vec<String> {
    let (mut files, mut folders) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            match path.is_dir() {
                true => folders.push(path),
                false if name.starts_with(JOB) => {}
                false => files.push(name),
            }
        }
    }
    files.sort();
    files
}

#[test]
fn tiles_are_files_by_zoom_column_and_row() {
    let (_folder, path) = folder();
    let mut writer = open(&path);
    let committed =
        writer.commit(&[stored(tile(11, 327, 791), "a"), stored(tile(0, 0, 0), "b"), empty(tile(1, 0, 0))]).unwrap();
    assert_eq!((committed.stored, committed.empty, committed.bytes), (2, 1, 12));
    writer.close().unwrap();

    assert_eq!(files(&path), ["0/0/0.jpg", "11/327/791.jpg"]);
    assert_eq!(fs::read(path.join("11/327/791.jpg")).unwrap(), jpeg("a"));
    assert_eq!(read(&path), [(tile(0, 0, 0), jpeg("b")), (tile(11, 327, 791), jpeg("a"))]);
    let reader = Reader::open(&path, None).unwrap();
    assert_eq!(reader.body(tile(0, 0, 0)).unwrap(), Some(jpeg("b")));
    assert_eq!(reader.body(tile(1, 0, 0)).unwrap(), None);
    assert!(!path.join(PARTS).exists());
}

#[test]
fn rows_count_from_the_south_where_the_folder_was_made_so() {
    let (_folder, path) = folder();
    Writer::open(&path, &Options { tms: true, adopt: false }).unwrap().close().unwrap();
    // It is of the folder, not of who opens it.
    let mut writer = open(&path);
    assert!(writer.is_tms());
    writer.commit(&[stored(tile(11, 327, 791), "a")]).unwrap();
    writer.set_metadata(&Metadata::from_iter([("name", "Java"), ("scheme", "xyz")])).unwrap();
    writer.set_metadata(&Metadata::from_iter([("format", "jpg")])).unwrap();
    writer.close().unwrap();

    assert_eq!(files(&path), ["11/327/1256.jpg", "metadata.json"]);
    assert_eq!(read(&path), [(tile(11, 327, 791), jpeg("a"))]);
    let text = fs::read_to_string(path.join(METADATA)).unwrap();
    assert_eq!(text, "{\n  \"format\": \"jpg\",\n  \"name\": \"Java\",\n  \"scheme\": \"tms\"\n}\n");
    let metadata = Reader::open(&path, None).unwrap().metadata().unwrap();
    assert_eq!(metadata, Metadata::from_iter([("name", "Java"), ("format", "jpg")]));
    let as_xyz = Reader::open(&path, Some(false)).unwrap();
    assert_eq!(as_xyz.tiles().unwrap().next().unwrap().unwrap().0, tile(11, 327, 1256));
}

#[test]
fn what_is_known_outlasts_the_writer() {
    let (_folder, path) = folder();
    let [a, b, c] = [tile(3, 1, 2), tile(3, 1, 3), tile(3, 5, 5)];
    let mut writer = open(&path);
    writer.set_job(&[("url", Some("https://a"))]).unwrap();
    writer.commit(&[stored(a, "a"), empty(b), failed(c)]).unwrap();
    drop(writer);

    let mut writer = open(&path);
    let known = writer.known().unwrap();
    assert!(known.stored.contains(a.id()) && known.empty.contains(b.id()) && known.failed.contains(c.id()));
    assert_eq!(writer.job("url").unwrap().as_deref(), Some("https://a"));
    assert!(matches!(Writer::open(&path, &Options::default()), Err(StoreError::Locked { path: at }) if at == path));
    writer.commit(&[failed(c), stored(b, "b"), empty(a)]).unwrap();

    let reader = Reader::open(&path, None).unwrap();
    let known = reader.known().unwrap();
    assert_eq!((known.stored.len(), known.stored.contains(b.id()), known.empty.contains(a.id())), (1, true, true));
    let status = reader.status().unwrap();
    assert_eq!((status.stored.into_iter().collect::<Vec<_>>(), status.empty), (vec![(3, 1)], 1));
    assert_eq!(status.failed, [("reset".to_owned(), 1)]);
    assert_eq!(reader.failures().unwrap()[0].tries, 4);
    assert_eq!(reader.job("url").unwrap().as_deref(), Some("https://a"));
    assert_eq!(files(&path), ["3/1/3.jpg"], "the file of the empty tile is gone");
}

#[test]
fn of_rows_of_one_tile_the_later_one_counts() {
    let (_folder, path) = folder();
    let a = tile(4, 5, 6);
    let mut writer = open(&path);

    writer.commit(&[stored(a, "1"), stored(a, "2"), failed(a)]).unwrap();
    assert_eq!(read(&path), [(a, jpeg("2"))]);
    writer.commit(&[stored(a, "3"), empty(a)]).unwrap();
    assert!(read(&path).is_empty() && !writer.known().unwrap().stored.contains(a.id()));
    writer.commit(&[empty(a), stored(a, "4")]).unwrap();
    assert_eq!(read(&path), [(a, jpeg("4"))]);
    assert!(writer.known().unwrap().empty.is_empty());
}

#[test]
fn a_tile_that_becomes_another_format_has_one_file() {
    let (_folder, path) = folder();
    let a = tile(4, 5, 6);
    let mut writer = open(&path);
    let gif = b"GIF89a;".to_vec();

    writer.commit(&[stored(a, "1")]).unwrap();
    writer.commit(&[body(a, gif.clone())]).unwrap();
    assert_eq!(files(&path), ["4/5/6.gif"]);
    writer.commit(&[stored(a, "2"), body(a, gif.clone()), stored(a, "3")]).unwrap();
    assert_eq!((files(&path), read(&path)), (vec!["4/5/6.jpg".to_owned()], vec![(a, jpeg("3"))]));
    writer.commit(&[body(a, b"something".to_vec())]).unwrap();
    assert_eq!((files(&path), read(&path)), (vec!["4/5/6.bin".to_owned()], vec![(a, b"something".to_vec())]));
}

#[test]
fn what_a_crash_left_is_cleared_away_and_nothing_else() {
    let (_folder, path) = folder();
    let [a, b] = [tile(4, 5, 6), tile(4, 5, 7)];
    let mut writer = open(&path);
    writer.commit(&[stored(a, "a"), stored(b, "b")]).unwrap();
    // As if it had crashed while it wrote tiles, and between the transaction and the removal of files; b came again meanwhile.
    fs::write(path.join(PARTS).join("0"), "half a ti").unwrap();
    writer
        .base
        .file
        .execute_batch("DELETE FROM ss_stored WHERE row = 9; INSERT INTO ss_gone VALUES (4, 5, 9, 'jpg'), (4, 5, 8, 'jpg'), (4, 5, 1, 'jpg')")
        .unwrap();
    drop(writer);
    assert_eq!(files(&path), [".tiles-part/0", "4/5/6.jpg", "4/5/7.jpg"]);

    let writer = open(&path);
    assert_eq!(files(&path), ["4/5/7.jpg"]);
    writer.close().unwrap();
    assert_eq!(read(&path), [(b, jpeg("b"))]);
}

#[test]
fn a_commit_that_fails_may_be_tried_again() {
    let (_folder, path) = folder();
    let mut writer = open(&path);
    let rows: Vec<_> = (0..200).map(|x| stored(tile(8, x, 1), "a")).collect();
    // In the way of a column.
    fs::create_dir(path.join("8")).unwrap();
    fs::write(path.join("8/150"), "").unwrap();

    assert!(matches!(writer.commit(&rows), Err(StoreError::Open { .. })));
    assert!(writer.known().unwrap().stored.is_empty());
    fs::remove_file(path.join("8/150")).unwrap();
    assert_eq!(writer.commit(&rows).unwrap().stored, 200);
    writer.close().unwrap();
    assert_eq!((files(&path).len(), read(&path).len()), (200, 200));
}

#[test]
fn a_foreign_folder_is_not_changed_unless_it_is_adopted() {
    let (_folder, path) = folder();
    fs::create_dir_all(path.join("3/1")).unwrap();
    let names = [
        ("3/1/2.jpg", jpeg("theirs")),
        ("3/1/3.jpeg", jpeg("as well")),
        ("3/1/4.jpg", Vec::new()),
        ("3/1/5.jpg", b"\xFF\xD8\xFFcut".to_vec()),
        ("3/1/6.png", jpeg("no png")),
        ("3/1/99.jpg", jpeg("nowhere")),
        ("3/1/07.jpg", jpeg("an odd name")),
        ("3/1/7.txt", jpeg("no tile")),
        ("index.html", Vec::new()),
    ];
    names.iter().for_each(|(name, body)| fs::write(path.join(name), body).unwrap());
    let before = files(&path);
    assert!(matches!(Writer::open(&path, &Options::default()), Err(StoreError::Foreign { .. })));
    assert_eq!((files(&path), path.join(JOB).exists()), (before.clone(), false));
    let all = std::collections::BTreeSet::from_iter(read(&path).into_iter().map(|(tile, _)| tile.y()));
    assert_eq!(Vec::from_iter(all), [2, 3, 5, 6], "without bytes, it is none");

    let mut writer = Writer::open(&path, &Options { tms: true, adopt: true }).unwrap();
    assert!(!writer.is_tms());
    let known = writer.known().unwrap();
    assert!(known.stored.len() == 2 && [2, 3].iter().all(|y| known.stored.contains(tile(3, 1, *y).id())));
    writer.commit(&[stored(tile(3, 1, 3), "ours")]).unwrap();
    writer.close().unwrap();
    let expected = before.iter().map(|name| name.replace("3.jpeg", "3.jpg"));
    assert!(files(&path).into_iter().eq(expected));
}

#[test]
fn a_folder_that_was_moved_is_not_written_to() {
    let (_folder, path) = folder();
    let mut writer = open(&path);
    fs::rename(&path, path.with_extension("old")).unwrap();

    assert!(matches!(writer.commit(&[stored(tile(0, 0, 0), "a")]), Err(StoreError::Replaced { .. })));
    fs::create_dir(&path).unwrap();
    assert!(matches!(writer.set_metadata(&Metadata::new()), Err(StoreError::Replaced { .. })));
    assert!(files(&path).is_empty());
}

#[test]
fn what_is_no_folder_is_named() {
    let (folder, path) = folder();
    assert!(matches!(Reader::open(&path, None), Err(StoreError::Open { .. })));
    fs::write(&path, "").unwrap();
    assert!(matches!(Reader::open(&path, None), Err(StoreError::Open { .. })));
    assert!(matches!(Writer::open(&path, &Options::default()), Err(StoreError::Open { .. })));
    let deep = folder.path().join("a/b");
    assert!(matches!(Writer::open(&deep, &Options::default()), Err(StoreError::Open { .. })));
    fs::remove_file(&path).unwrap();
    open(&path).close().unwrap();
    fs::write(path.join(METADATA), "[]").unwrap();
    assert!(matches!(Writer::open(&path, &Options::default()), Err(StoreError::Damaged { .. })));
}
