use std::{
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use super::{directory::Entry, header::START, *};
use crate::{
    check::Format,
    grid::Tile,
    gzip,
    store::{Metadata, StoreError},
};

const PNG: Options = Options { format: Some(Format::Png), replace: false };

fn folder() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.pmtiles");
    (folder, path)
}

fn tile(id: u64) -> Tile {
    Tile::from_id(id).unwrap()
}

/// Makes a file of these ids and bodies.
fn make(options: &Options, tiles: &[(u64, &[u8])]) -> (TempDir, PathBuf, Written) {
    let (folder, path) = folder();
    let mut writer = Writer::create(&path, options).unwrap();
    tiles.iter().for_each(|(id, body)| writer.put(tile(*id), body).unwrap());
    let written = writer.finish(&Metadata::from_iter([("name", "Java")])).unwrap();
    (folder, path, written)
}

fn read(path: &Path) -> Vec<(u64, Vec<u8>)> {
    let reader = Reader::open(path).unwrap();
    reader.tiles().unwrap().map(|item| item.map(|(tile, body)| (tile.id(), body)).unwrap()).collect()
}

#[test]
fn equal_tiles_are_kept_once_and_neighbours_are_one_entry() {
    let tiles = [(1, &b"sea"[..]), (2, b"sea"), (3, b"land"), (5, b"sea"), (6, b""), (7, b"sea"), (20, b"sea!")];
    let (folder, path, written) = make(&PNG, &tiles);

    assert_eq!(written, Written { tiles: 6, entries: 5, contents: 3, bytes: 11 });
    let expected: Vec<_> = tiles.iter().filter(|(id, _)| *id != 6).map(|(id, body)| (*id, body.to_vec())).collect();
    assert_eq!(read(&path), expected);
    let reader = Reader::open(&path).unwrap();
    for id in 0..30 {
        let body = expected.iter().find(|(known, _)| *known == id).map(|(_, body)| body.clone());
        assert_eq!(reader.body(tile(id)).unwrap(), body, "{id}");
    }
    assert_eq!(reader.tiles().unwrap().total(), Some(6));
    assert_eq!(Vec::from_iter(reader.status().unwrap().stored), [(1, 3), (2, 3)]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn the_header_says_where_the_tiles_lie_unless_the_metadata_do() {
    let corner = Tile::new(2, 3, 0).unwrap();
    let (_folder, path, _) = make(&PNG, &[(1, b"a"), (corner.id(), b"b")]);
    let header = *Reader::open(&path).unwrap().header();
    assert_eq!((header.zooms, header.format, header.clustered), ((1, 2), Some(Format::Png), true));
    assert_eq!(header.bounds.map(|degree| degree.round()), [90.0, 67.0, 180.0, 85.0]);
    assert_eq!((header.center.0, header.center.2), (135.0, 1));
    assert_eq!(
        (header.internal, header.compression, header.bodies.offset),
        (Compression::Gzip, Compression::None, START)
    );

    let said = Metadata::from_iter([
        ("bounds", "177,-19,-179,-16"),
        ("center", "178,-17,7"),
        ("minzoom", "0"),
        ("format", "pbf"),
    ]);
    let mut writer = Writer::create(&path, &Options { replace: true, ..PNG }).unwrap();
    writer.put(tile(1), b"a").unwrap();
    writer.finish(&said).unwrap();
    let reader = Reader::open(&path).unwrap();
    assert_eq!(reader.header().bounds, [-180.0, -19.0, 180.0, -16.0], "no box crosses the antimeridian");
    assert_eq!((reader.header().center, reader.header().zooms), ((178.0, -17.0, 7), (1, 1)));
    let metadata = reader.metadata().unwrap();
    assert_eq!((metadata.value("format"), metadata.value("bounds")), (Some("png"), Some("-180,-19,180,-16")));
}

#[test]
fn vector_tiles_are_compressed_once() {
    let packed = gzip::pack(b"\x1A\x01b").unwrap();
    let (_folder, path, written) = make(
        &Options { format: Some(Format::Mvt), replace: false },
        &[(1, b"\x1A\x01a"), (2, &packed), (3, b"\x1A\x01b")],
    );

    assert_eq!(written.contents, 2, "the same, however it comes");
    assert_eq!(Reader::open(&path).unwrap().header().compression, Compression::Gzip);
    assert_eq!(read(&path), [(1, gzip::pack(b"\x1A\x01a").unwrap()), (2, packed.clone()), (3, packed)]);
}

#[test]
fn many_tiles_have_leaves() {
    let bodies: Vec<_> = (0..70_000_u64).map(|id| (id * 3, (id * 7919).to_string().into_bytes())).collect();
    let (_folder, path) = folder();
    let mut writer = Writer::create(&path, &PNG).unwrap();
    bodies.iter().for_each(|(id, body)| writer.put(tile(*id), body).unwrap());
    let written = writer.finish(&Metadata::new()).unwrap();

    assert_eq!((written.tiles, written.entries), (70_000, 70_000));
    assert!(read(&path) == bodies);
    let reader = Reader::open(&path).unwrap();
    let header = reader.header();
    assert!(header.root.offset + header.root.length <= START && header.leaves.length > 0);
    for (id, body) in bodies.iter().step_by(997) {
        assert_eq!(reader.body(tile(*id)).unwrap().as_ref(), Some(body));
        assert_eq!(reader.body(tile(id + 1)).unwrap(), None);
    }
}

#[test]
fn a_file_of_no_tiles_is_one() {
    let (_folder, path, written) = make(&PNG, &[]);

    assert_eq!(written, Written::default());
    assert!(read(&path).is_empty());
    let reader = Reader::open(&path).unwrap();
    assert_eq!((reader.body(tile(0)).unwrap(), reader.tiles().unwrap().total()), (None, None));
    assert_eq!(reader.metadata().unwrap().value("name"), Some("Java"));
}

#[test]
fn a_file_is_there_when_it_is_whole_and_not_before() {
    let (folder, path) = folder();
    let names = || fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
    fs::write(&path, "precious").unwrap();
    assert!(matches!(Writer::create(&path, &PNG), Err(StoreError::Exists { .. })));

    let replace = Options { replace: true, ..PNG };
    let mut writer = Writer::create(&path, &replace).unwrap();
    writer.put(tile(1), b"a").unwrap();
    assert!(matches!(Writer::create(&path, &replace), Err(StoreError::Locked { .. })));
    assert_eq!(names().len(), 3, "itself, the part and the lock: {:?}", names());
    drop(writer);
    assert_eq!((fs::read(&path).unwrap(), names().len()), (b"precious".to_vec(), 1));

    let mut writer = Writer::create(&path, &replace).unwrap();
    writer.put(tile(7), b"a").unwrap();
    for id in [7, 6, 0] {
        let error = writer.put(tile(id), b"b").unwrap_err();
        assert!(matches!(error, StoreError::Order { .. }), "{error}");
    }
    writer.finish(&Metadata::new()).unwrap();
    assert_eq!((read(&path), names().len()), (vec![(7, b"a".to_vec())], 1));
}

#[test]
fn what_is_no_such_file_is_refused() {
    let (folder, path) = folder();
    assert!(matches!(Reader::open(&path), Err(StoreError::Open { .. })));
    assert!(matches!(Reader::open(folder.path()), Err(StoreError::Open { .. })));
    for content in
        ["", "PMTiles\x03", "PMTiles\x02 and so on", &"x".repeat(1000), &format!("PMTiles\x03{}", "\x01".repeat(200))]
    {
        fs::write(&path, content).unwrap();
        let error = Reader::open(&path).unwrap_err();
        assert!(matches!(error, StoreError::NotPmtiles { .. }), "{error}");
    }
}

#[test]
fn no_byte_that_changes_makes_it_panic_or_run_on() {
    let tiles: Vec<_> = (0..40_u64).map(|id| (id * 2, vec![id as u8 + 1; 5])).collect();
    let tiles: Vec<_> = tiles.iter().map(|(id, body)| (*id, &body[..])).collect();
    let (_folder, path, _) = make(&PNG, &tiles);
    let good = fs::read(&path).unwrap();
    let root = Reader::open(&path).unwrap().header().root;
    let end = (root.offset + root.length) as usize;

    for at in (0..end).chain(START as usize + 190..good.len()) {
        for flip in [1, 0x80] {
            let mut bytes = good.clone();
            bytes[at] ^= flip;
            fs::write(&path, &bytes).unwrap();
            let Ok(reader) = Reader::open(&path) else { continue };
            let _ = reader.metadata();
            let _ = reader.body(tile(4));
            if let Ok(tiles) = reader.tiles() {
                assert!(tiles.take(1000).count() <= 40, "byte {at}");
            }
        }
    }
}

#[test]
fn directories_that_lead_to_themselves_end() {
    let (_folder, path, _) = make(&PNG, &[(0, b"a")]);
    let itself = |root_is_leaf| {
        let mut header = *Reader::open(&path).unwrap().header();
        // Not compressed, so that its length is known beforehand.
        let directory = directory::encode(&[Entry { id: 0, offset: 0, length: 5, run: 0 }]);
        assert_eq!(directory.len(), 5);
        header.internal = Compression::None;
        header.root.length = 5;
        header.leaves = if root_is_leaf { header.root } else { header.bodies };
        header.metadata.length = 0;
        let mut bytes = [header.encode(), directory].concat();
        bytes.resize(START as usize + 100, 0);
        fs::write(&path, bytes).unwrap();
        let reader = Reader::open(&path).unwrap();
        let last = reader.tiles().unwrap().take(10).last().unwrap().unwrap_err();
        [last, reader.body(tile(0)).unwrap_err()].map(|error| error.to_string())
    };

    let expected =
        |what| [format!("{} is damaged: {what}", path.display()), format!("{} is damaged: {what}", path.display())];
    assert_eq!(itself(true), expected("its directories are too deep"));
    assert_eq!(itself(false), expected("a directory lies outside of its part"));
}
