//! The crate `pmtiles`.

use std::{collections::HashSet, fs::File};

use pmtiles::{AsyncPmTilesReader, Compression, HashMapCache, PmTilesWriter, TileCoord, TileId, TileType};
use tempfile::TempDir;
use tiles::pmtiles::Reader;

#[test]
fn the_crate_reads_what_is_written() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.pmtiles");
    crate::write(&path);
    let expected = crate::tiles();

    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let reader = AsyncPmTilesReader::new_with_cached_path(HashMapCache::default(), &path).await.unwrap();
        let header = reader.get_header();
        let distinct = expected.iter().map(|(_, body)| body).collect::<HashSet<_>>().len() as u64;
        assert_eq!(header.n_addressed_tiles().unwrap().get(), expected.len() as u64);
        assert_eq!(header.n_tile_contents().unwrap().get(), distinct);
        assert!(header.clustered() && header.n_tile_entries().unwrap().get() < expected.len() as u64);
        assert_eq!((header.tile_type, header.min_zoom, header.max_zoom), (TileType::Png, 0, 30));
        assert_eq!((header.min_longitude, header.max_latitude, header.center_zoom), (106.6, -6.0, 3));
        assert_eq!(reader.get_metadata().await.unwrap(), r#"{"attribution":"them","name":"Java \"é\""}"#);
        for (tile, body) in &expected {
            let coord = TileCoord::new(tile.z(), tile.x(), tile.y()).unwrap();
            assert_eq!(TileId::from(coord).value(), tile.id());
            assert_eq!(reader.get_tile(coord).await.unwrap().as_deref(), Some(&body[..]), "{tile}");
        }
        let absent = TileId::new(5).unwrap();
        assert_eq!(reader.get_tile(absent).await.unwrap(), None);
    });
}

#[test]
fn what_the_crate_writes_is_read() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.pmtiles");
    for internal in [Compression::Gzip, Compression::None] {
        let writer =
            PmTilesWriter::new(TileType::Png).internal_compression(internal).metadata(r#"{"name":"theirs","n":1}"#);
        let mut writer = writer.create(File::create(&path).unwrap()).unwrap();
        for (tile, body) in crate::tiles() {
            writer.add_tile(TileCoord::new(tile.z(), tile.x(), tile.y()).unwrap(), &body).unwrap();
        }
        writer.finalize().unwrap();

        let reader = Reader::open(&path).unwrap();
        let read = reader.tiles().unwrap().collect::<Result<Vec<_>, _>>().unwrap();
        assert!(read == crate::tiles());
        let metadata = reader.metadata().unwrap();
        assert_eq!(
            (metadata.value("name"), metadata.value("n"), metadata.value("format")),
            (Some("theirs"), Some("1"), Some("png"))
        );
    }
}
