use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::{
    answer::Class,
    check::Format,
    store::{Agg, What},
};

fn tile(z: u8, x: u32, y: u32) -> Tile {
    Tile::new(z, x, y).unwrap()
}

fn jpeg(text: &str) -> Vec<u8> {
    [b"\xFF\xD8\xFF", text.as_bytes(), b"\xFF\xD9"].concat()
}

fn http(expires: u64) -> Http {
    Http { etag: Some("\"e\"".to_owned()), expires: Some(expires), ..Http::default() }
}

fn stored(tile: Tile, text: &str) -> Row {
    Row { tile, what: What::Stored { body: jpeg(text), http: http(50) } }
}

fn paths() -> (TempDir, [PathBuf; 2]) {
    let folder = TempDir::new().unwrap();
    let paths = [folder.path().join("a.mbtiles"), folder.path().join("a")];
    (folder, paths)
}

#[test]
fn the_kind_is_known_by_what_is_there_or_else_by_the_name() {
    let (folder, _) = paths();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("dir.mbtiles")).unwrap();
    fs::write(path("odd"), "PMTiles\x03").unwrap();
    fs::write(path("other.pmtiles"), "SQLite format 3").unwrap();
    let cases = [
        ("dir.mbtiles", Kind::Folder),
        ("odd", Kind::Pmtiles),
        ("other.pmtiles", Kind::Mbtiles),
        ("new.mbtiles", Kind::Mbtiles),
        ("new.db", Kind::Mbtiles),
        ("new.PMTiles", Kind::Pmtiles),
        ("new", Kind::Folder),
        ("new.d/", Kind::Folder),
    ];

    for (name, kind) in cases {
        assert_eq!(Kind::of(&path(name)), kind, "{name}");
    }
    let error = Store::open(&path("new.pmtiles"), &Options::default()).unwrap_err();
    assert!(matches!(error, StoreError::NotAppendable { .. }), "{error}");
}

#[test]
fn all_stores_do_the_same() {
    let (_folder, paths) = paths();
    let [a, b, c, d] = [tile(2, 0, 0), tile(2, 1, 0), tile(2, 2, 0), tile(2, 3, 0)];
    let mut results = Vec::new();
    for path in &paths {
        let mut store = Store::open(path, &Options::default()).unwrap();
        store.set_metadata(&Metadata::from_iter([("format", "jpg"), ("name", "a")])).unwrap();
        store.set_job(&[("url", Some("u")), ("x", Some("y"))]).unwrap();
        store.set_job(&[("x", None)]).unwrap();
        let failed = What::Failed { class: Class::Cut, status: Some(200), text: "t".to_owned(), tries: 1 };
        let rows = [
            stored(a, "1"),
            stored(b, "1"),
            Row { tile: c, what: What::Empty { status: 204, http: http(10) } },
            Row { tile: d, what: failed.clone() },
        ];
        let first = store.commit(&rows).unwrap();
        let second = store
            .commit(&[
                Row { tile: a, what: What::Unchanged { http: http(500) } },
                Row { tile: b, what: What::Empty { status: 404, http: Http::default() } },
                Row { tile: d, what: failed },
            ])
            .unwrap();
        store.still_there().unwrap();
        drop(store);

        let mut store = Store::open(path, &Options::default()).unwrap();
        let known = store.known().unwrap();
        let ids = [&known.stored, &known.empty, &known.failed].map(|ids| Vec::from_iter(ids.ranges().flatten()));
        let stale = Vec::from_iter(store.stale(100).unwrap().ranges().flatten());
        let kept = (
            store.validators(a).unwrap(),
            store.job("url").unwrap(),
            store.job("x").unwrap(),
            store.metadata().unwrap(),
        );
        let reader = Reader::open(path).unwrap();
        let (tiles, total) = reader.tiles().unwrap();
        let tiles = tiles.collect::<Result<Vec<_>, _>>().unwrap();
        assert_eq!((tiles.len() as u64, reader.body(a).unwrap()), (total.unwrap(), Some(jpeg("1"))));
        assert!(reader.has_job() && reader.job("url").unwrap().as_deref() == Some("u"));
        let read = (tiles, reader.status().unwrap(), reader.failures().unwrap(), reader.metadata().unwrap());
        drop(reader);
        store.forget_failed().unwrap();
        store.forget_empty().unwrap();
        let known = store.known().unwrap();
        assert!(known.failed.is_empty() && known.empty.is_empty());
        store.close().unwrap();
        results.push((first, second, ids, stale, kept, read));
    }

    assert_eq!(results[0], results[1]);
    assert_eq!(results[0].0.repeated, jpeg("1").len() as u64);
    assert_eq!(
        results[0].2,
        [
            vec![a.id()],
            vec![c.id(), b.id()].into_iter().collect::<std::collections::BTreeSet<_>>().into_iter().collect(),
            vec![d.id()]
        ]
    );
    assert_eq!(results[0].4.0, Some(http(500)));
}

#[test]
fn all_stores_are_verified() {
    let (folder, [file, tree]) = paths();
    for path in [&file, &tree] {
        let mut store = Store::open(path, &Options::default()).unwrap();
        store.set_metadata(&Metadata::from_iter([("format", "jpg")])).unwrap();
        store.commit(&[stored(tile(1, 0, 0), "a"), stored(tile(1, 1, 0), "b"), stored(tile(1, 1, 1), "c")]).unwrap();
    }
    let packed = folder.path().join("a.pmtiles");
    let mut writer =
        pmtiles::Writer::create(&packed, &pmtiles::Options { format: Some(Format::Jpeg), replace: false }).unwrap();
    for item in Reader::open(&file).unwrap().tiles().unwrap().0 {
        let (tile, body) = item.unwrap();
        writer.put(tile, &body).unwrap();
    }
    writer.finish(&Metadata::new()).unwrap();

    for path in [&file, &tree, &packed] {
        let verified = verify(path).unwrap();
        assert!(verified.is_sound() && verified.agg == Agg::Absent, "{verified:?}");
        assert_eq!((Vec::from_iter(verified.tiles), verified.bytes), (vec![(1, 3)], 18));
        assert_eq!(Vec::from_iter(verified.formats), [("jpg", 3)]);
    }
    fs::write(tree.join("1/0/0.jpg"), b"\xFF").unwrap();
    fs::write(tree.join("1/1/0.jpg"), "").unwrap();
    fs::remove_file(tree.join("1/1/1.jpg")).unwrap();
    let verified = verify(&tree).unwrap();
    let mut named = Vec::from_iter(verified.named.iter().map(|(tile, why)| format!("{tile} {why}")));
    named.sort();
    assert_eq!((verified.wrong, verified.is_sound()), (3, false));
    assert_eq!(named[1..], ["1/1/0 it has no bytes", "1/1/1 it has no bytes"]);

    let mut bytes = fs::read(&packed).unwrap();
    let at = bytes.windows(3).position(|bytes| bytes == b"\xFFa\xFF").unwrap();
    bytes[at + 3] = 0;
    fs::write(&packed, bytes).unwrap();
    assert_eq!(verify(&packed).unwrap().wrong, 1);
}
