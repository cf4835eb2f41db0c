use std::{collections::BTreeMap, fs, path::PathBuf};

use tempfile::TempDir;

use super::*;
use crate::{
    answer::Class,
    grid::Tile,
    mbtiles,
    store::{self, Store, verify},
};

fn jpeg(text: &str) -> Vec<u8> {
    [b"\xFF\xD8\xFF", text.as_bytes(), b"\xFF\xD9"].concat()
}

fn stored(tile: Tile, body: Vec<u8>) -> Row {
    Row { tile, what: What::Stored { body, http: Http { etag: Some("e".to_owned()), ..Http::default() } } }
}

/// A store of a job: so many tiles, some of them equal, one failed and one empty.
fn source(path: &Path, count: u64) -> BTreeMap<u64, Vec<u8>> {
    let mut store = Store::open(path, &store::Options::default()).unwrap();
    let tiles: BTreeMap<_, _> = (5..5 + 2 * count).step_by(2).map(|id| (id, jpeg(&(id / 5).to_string()))).collect();
    let mut rows: Vec<_> = tiles.iter().map(|(id, body)| stored(Tile::from_id(*id).unwrap(), body.clone())).collect();
    let failed = What::Failed { class: Class::Cut, status: None, text: String::new(), tries: 1 };
    rows.push(Row { tile: Tile::new(0, 0, 0).unwrap(), what: failed });
    rows.push(Row { tile: Tile::new(1, 0, 0).unwrap(), what: What::Empty { status: 404, http: Http::default() } });
    store.commit(&rows).unwrap();
    store.set_job(&[("url", Some("https://secret"))]).unwrap();
    let metadata = [
        ("name", "Java"),
        ("attribution", "© them"),
        ("format", "jpg"),
        ("bounds", "-180,-85,180,85"),
        ("center", "1,2,3"),
    ];
    store.set_metadata(&Metadata::from_iter(metadata)).unwrap();
    store.close().unwrap();
    tiles
}

fn read(path: &Path) -> BTreeMap<u64, Vec<u8>> {
    let reader = Reader::open(path).unwrap();
    reader.tiles().unwrap().0.map(|item| item.map(|(tile, body)| (tile.id(), body)).unwrap()).collect()
}

fn go_on(_: &Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn names(folder: &TempDir) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn all_nine_ways_keep_tiles_and_metadata() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let tiles = source(&path("job.mbtiles"), 60);
    let endings = [".mbtiles", ".pmtiles", ""];
    let mut expected = None;
    for (number, ending) in endings.into_iter().enumerate() {
        let first = path(&format!("first{ending}"));
        let done = convert(&path("job.mbtiles"), &first, &Options::default(), go_on).unwrap().unwrap();
        assert_eq!((done.tiles, done.total), (60, Some(60)));
        for other in endings {
            let second = path(&format!("second-{number}{other}"));
            convert(&first, &second, &Options::default(), go_on).unwrap().unwrap();
            assert!(read(&second) == tiles, "{}", second.display());
            let reader = Reader::open(&second).unwrap();
            let mut metadata = reader.metadata().unwrap();
            metadata.set("agg_tiles_hash", "");
            assert_eq!(
                (metadata.value("minzoom"), metadata.value("maxzoom"), metadata.value("center")),
                (Some("2"), Some("4"), Some("1,2,3"))
            );
            assert_eq!(metadata, *expected.get_or_insert(metadata.clone()), "{}", second.display());
            assert!(!reader.has_job() && reader.failures().unwrap().is_empty());
            assert!(verify(&second).unwrap().is_sound());
        }
    }
    assert!(
        !names(&folder)
            .iter()
            .any(|name| name.contains(".tiles-") || name.contains(".lock") || name.contains("journal")),
        "{:?}",
        names(&folder)
    );
    let content = fs::read(path("first.mbtiles")).unwrap();
    assert!(!content.windows(6).any(|bytes| bytes == b"secret"));
}

#[test]
fn layouts_are_as_asked_for() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let tiles = source(&path("job.mbtiles"), 60);

    convert(&path("job.mbtiles"), &path("d.mbtiles"), &Options { schema: Schema::Dedup, ..Options::default() }, go_on)
        .unwrap();
    convert(&path("job.mbtiles"), &path("tms/"), &Options { tms: true, ..Options::default() }, go_on).unwrap();

    assert_eq!(mbtiles::Reader::open(&path("d.mbtiles")).unwrap().schema(), Schema::Dedup);
    let tile = Tile::from_id(5).unwrap();
    assert!(path("tms").join(format!("{}/{}/{}.jpg", tile.z(), tile.x(), tile.tms_row())).exists());
    assert!(read(&path("d.mbtiles")) == tiles && read(&path("tms")) == tiles);
    let error = convert(
        &path("job.mbtiles"),
        &path("n.mbtiles"),
        &Options { schema: Schema::Other, ..Options::default() },
        go_on,
    );
    assert!(matches!(error, Err(StoreError::ReadOnlySchema { .. })));
    assert!(!path("n.mbtiles").exists());
}

#[test]
fn what_is_there_is_replaced_only_if_asked_for_and_only_by_what_is_whole() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let tiles = source(&path("job.mbtiles"), 501);
    for name in ["a.mbtiles", "a.pmtiles", "a"] {
        let to = path(name);
        if name == "a" {
            fs::create_dir(&to).unwrap();
            fs::write(to.join("old"), "old").unwrap();
        } else {
            fs::write(&to, "PMTiles\x03").unwrap();
        }
        let old = |to: &PathBuf| fs::read(to.join("old")).or_else(|_| fs::read(to)).unwrap();
        let before = (old(&to), names(&folder));

        let error = convert(&path("job.mbtiles"), &to, &Options::default(), go_on).unwrap_err();
        assert!(matches!(error, StoreError::Exists { .. }), "{error}");
        let replace = Options { replace: true, ..Options::default() };
        let mut seen = Vec::new();
        let ended = convert(&path("job.mbtiles"), &to, &replace, |progress| {
            seen.push(progress.tiles);
            assert_eq!(old(&to), before.0);
            if seen.len() == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!((ended.unwrap(), seen), (None, vec![250, 500]));
        assert_eq!((old(&to), names(&folder)), before);

        convert(&path("job.mbtiles"), &to, &replace, go_on).unwrap().unwrap();
        assert!(read(&to) == tiles);
        assert_eq!(names(&folder), before.1);
        // Of itself, too.
        convert(&to, &to, &replace, go_on).unwrap().unwrap();
        assert!(read(&to) == tiles && !to.join("old").exists());
        assert_eq!(names(&folder), before.1);
    }
}

#[test]
fn what_a_crash_left_of_either_file_does_no_harm() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let tiles = source(&path("job.mbtiles"), 60);
    source(&path("old.mbtiles"), 60);
    for left in
        [".tiles-part-old.mbtiles", ".tiles-part-old.mbtiles-journal", "old.mbtiles-journal", "old.mbtiles.lock"]
    {
        fs::write(path(left), "left behind").unwrap();
    }
    fs::create_dir_all(path(".tiles-part-dir/1/0")).unwrap();
    fs::write(path(".tiles-part-dir/1/0/0.jpg"), jpeg("left")).unwrap();

    // What others call so stays.
    fs::create_dir(path("dir.part")).unwrap();
    fs::create_dir(path("dir.old")).unwrap();
    fs::write(path("old.mbtiles.part"), "of a person").unwrap();

    convert(&path("job.mbtiles"), &path("old.mbtiles"), &Options { replace: true, ..Options::default() }, go_on)
        .unwrap();
    convert(&path("job.mbtiles"), &path("dir"), &Options::default(), go_on).unwrap();

    assert!(read(&path("old.mbtiles")) == tiles && read(&path("dir")) == tiles);
    assert_eq!(names(&folder), ["dir", "dir.old", "dir.part", "job.mbtiles", "old.mbtiles", "old.mbtiles.part"]);
}

#[test]
fn vector_tiles_are_compressed_where_the_target_has_them_so() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir_all(path("bare/1/0")).unwrap();
    fs::write(path("bare/1/0/0.pbf"), b"\x1A\x01a").unwrap();
    fs::write(path("bare/metadata.json"), r#"{"json": {"vector_layers": [{"id": "a"}]}, "maxzoom": 1}"#).unwrap();
    let packed = BTreeMap::from([(1, gzip::pack(b"\x1A\x01a").unwrap())]);

    for (from, to, expected) in [
        ("bare", "a.mbtiles", packed.clone()),
        ("bare", "a.pmtiles", packed.clone()),
        ("bare", "copy", BTreeMap::from([(1, b"\x1A\x01a".to_vec())])),
        ("a.pmtiles", "packed", packed.clone()),
    ] {
        convert(&path(from), &path(to), &Options::default(), go_on).unwrap().unwrap();
        assert_eq!(read(&path(to)), expected, "{from} to {to}");
        let metadata = Reader::open(&path(to)).unwrap().metadata().unwrap();
        assert_eq!(
            (metadata.value("json"), metadata.format()),
            (Some(r#"{"vector_layers":[{"id":"a"}]}"#), Some(Format::Mvt))
        );
        assert_eq!((metadata.value("name"), metadata.value("maxzoom")), (Some("bare"), Some("1")));
    }
    assert!(verify(&path("a.mbtiles")).unwrap().missing.is_empty());
}

#[test]
fn nothing_is_made_of_what_cannot_be_read() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("no.mbtiles"), "nothing").unwrap();
    for (from, to) in
        [("no.mbtiles", "a.pmtiles"), ("none.mbtiles", "a"), ("none.pmtiles", "a.mbtiles"), ("none", "a.mbtiles")]
    {
        assert!(convert(&path(from), &path(to), &Options::default(), go_on).is_err(), "{from}");
    }
    assert_eq!(names(&folder), ["no.mbtiles"]);

    // Damaged in the middle: all of it or nothing.
    source(&path("job.mbtiles"), 60);
    convert(&path("job.mbtiles"), &path("b.pmtiles"), &Options::default(), go_on).unwrap();
    let mut bytes = fs::read(path("b.pmtiles")).unwrap();
    bytes[140..160].fill(0xFF);
    fs::write(path("b.pmtiles"), bytes).unwrap();
    let error = convert(&path("b.pmtiles"), &path("c.mbtiles"), &Options::default(), go_on).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert_eq!(names(&folder), ["b.pmtiles", "job.mbtiles", "no.mbtiles"]);
    // No tiles are no error.
    fs::create_dir(path("empty")).unwrap();
    for to in ["e.mbtiles", "e.pmtiles", "e"] {
        let done = convert(&path("empty"), &path(to), &Options::default(), go_on).unwrap().unwrap();
        assert_eq!((done.tiles, read(&path(to)).len()), (0, 0));
    }
}
