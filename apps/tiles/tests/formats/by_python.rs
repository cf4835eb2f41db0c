//! The package `pmtiles` of Python's registry, and Python's own SQLite.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;
use tiles::{
    grid::Tile,
    mbtiles::{Http, Options, Row, Schema, What, Writer, finish},
    pmtiles::Reader,
};

/// Prints what stands in a file, one line for the header, one for the metadata, one for each tile.
const READ: &str = r#"
import sys, json, hashlib
from pmtiles.reader import Reader, MmapSource, all_tiles
with open(sys.argv[1], "rb") as f:
    source = MmapSource(f)
    reader = Reader(source)
    h = reader.header()
    names = ("addressed_tiles_count", "tile_contents_count", "clustered", "min_zoom", "max_zoom", "min_lon_e7", "max_lat_e7", "center_zoom")
    print(*[int(h[name]) for name in names], h["tile_type"].name, h["tile_compression"].name)
    print(json.dumps(reader.metadata(), sort_keys=True, ensure_ascii=False))
    for (z, x, y), body in all_tiles(source):
        print(z, x, y, hashlib.md5(body).hexdigest())
    assert reader.get(12, 3423, 1763) == b"12/3423/1763"
    assert reader.get(2, 0, 0) is None
"#;

/// Makes a file of the tiles whose ids and bodies come on the input.
const WRITE: &str = r#"
import sys
from pmtiles.writer import write
from pmtiles.tile import TileType, Compression
with write(sys.argv[1]) as writer:
    for line in sys.stdin:
        number, body = line.rstrip("\n").split(" ", 1)
        writer.write_tile(int(number), body.encode())
    h = {"tile_type": TileType.PNG, "tile_compression": Compression.NONE, "center_zoom": 2, "center_lon_e7": 0, "center_lat_e7": 0,
         "min_lon_e7": -10000000, "min_lat_e7": 0, "max_lon_e7": 0, "max_lat_e7": 20000000}
    writer.finalize(h, {"name": "theirs", "vector_layers": []})
"#;

/// Reads an MBTiles file by nothing but its specification; prints the metadata, what SQLite finds, the hash made anew, and the tiles.
const READ_MBTILES: &str = r#"
import sys, json, hashlib, sqlite3
file = sqlite3.connect("file:" + sys.argv[1] + "?mode=ro", uri=True)
print(json.dumps(dict(file.execute("SELECT name, value FROM metadata WHERE name <> 'agg_tiles_hash'")), sort_keys=True, ensure_ascii=False))
print(file.execute("PRAGMA integrity_check").fetchone()[0], hex(file.execute("PRAGMA application_id").fetchone()[0]))
total = hashlib.md5()
tiles = []
for z, x, row, body in file.execute("SELECT zoom_level, tile_column, tile_row, tile_data FROM tiles ORDER BY 1, 2, 3"):
    total.update(f"{z}{x}{row}".encode() + body)
    tiles.append(f"{z} {x} {2 ** z - 1 - row} {hashlib.md5(body).hexdigest()}")
said = file.execute("SELECT value FROM metadata WHERE name = 'agg_tiles_hash'").fetchone()[0]
print(said == total.hexdigest().upper())
print(*sorted(tiles), sep="\n")
"#;

/// Where `scripts/python.sh` puts the package.
fn packages() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/python");
    assert!(
        folder.join("pmtiles/reader.py").exists(),
        "the Python package `pmtiles` is not installed: run scripts/python.sh once; scripts/test.sh does"
    );
    folder
}

fn hashed((tile, body): &(Tile, Vec<u8>)) -> String {
    format!("{} {} {} {:x}", tile.z(), tile.x(), tile.y(), md5::compute(body))
}

fn python(script: &str, path: &Path) -> Command {
    let mut command = Command::new("python3");
    command.args(["-B", "-c", script]).arg(path).env("PYTHONPATH", packages()).env("PYTHONIOENCODING", "utf-8");
    command
}

#[test]
fn python_reads_a_finished_mbtiles_file_of_either_layout() {
    let folder = TempDir::new().unwrap();
    for schema in [Schema::Flat, Schema::Dedup] {
        let path = folder.path().join(format!("{schema}.mbtiles"));
        let mut writer = Writer::open(&path, &Options { schema, adopt: false }).unwrap();
        let stored = |(tile, body)| Row { tile, what: What::Stored { body, http: Http::default() } };
        let rows: Vec<_> = crate::tiles().into_iter().map(stored).collect();
        assert!(rows.chunks(250).all(|rows| writer.commit(rows).unwrap().stored == rows.len() as u64));
        writer.set_metadata(&crate::metadata()).unwrap();
        writer.close().unwrap();
        finish(&path).unwrap();

        let output = python(READ_MBTILES, &path).output().unwrap();

        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let mut lines = text.lines();
        let metadata =
            r#"{"attribution": "them", "bounds": "106.6,-6.4,107,-6", "center": "106.8,-6.2,3", "name": "Java \"é\""}"#;
        assert_eq!(lines.next(), Some(metadata));
        assert_eq!((lines.next(), lines.next()), (Some("ok 0x4d504258"), Some("True")));
        let mut expected: Vec<_> = crate::tiles().iter().map(hashed).collect();
        expected.sort();
        assert!(lines.eq(expected));
    }
}

#[test]
fn python_reads_what_is_written() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.pmtiles");
    crate::write(&path);

    let output = python(READ, &path).output().unwrap();

    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines = text.lines();
    let expected = crate::tiles();
    let distinct = expected.iter().map(|(_, body)| body).collect::<std::collections::HashSet<_>>().len();
    let header = format!("{} {distinct} 1 0 30 1066000000 -60000000 3 PNG NONE", expected.len());
    assert_eq!(lines.next(), Some(header.as_str()));
    assert_eq!(lines.next(), Some(r#"{"attribution": "them", "name": "Java \"é\""}"#));
    let hashed =
        |(tile, body): &(Tile, Vec<u8>)| format!("{} {} {} {:x}", tile.z(), tile.x(), tile.y(), md5::compute(body));
    assert!(lines.eq(expected.iter().map(hashed)));
}

#[test]
fn what_python_writes_is_read() {
    let folder = TempDir::new().unwrap();
    let (path, input) = (folder.path().join("a.pmtiles"), folder.path().join("input"));
    let lines = crate::tiles()
        .iter()
        .map(|(tile, body)| format!("{} {}\n", tile.id(), String::from_utf8_lossy(body)))
        .collect::<String>();
    std::fs::write(&input, lines).unwrap();

    let output = python(WRITE, &path).stdin(std::fs::File::open(&input).unwrap()).output().unwrap();

    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let reader = Reader::open(&path).unwrap();
    let read = reader.tiles().unwrap().collect::<Result<Vec<_>, _>>().unwrap();
    assert!(read == crate::tiles());
    assert_eq!(reader.header().bounds, [-1.0, 0.0, 0.0, 2.0]);
    assert_eq!(reader.metadata().unwrap().value("json"), Some(r#"{"vector_layers":[]}"#));
}
