use std::{
    collections::{BTreeMap, HashSet},
    io::{Cursor, Read},
};

use flate2::{Crc, read::GzDecoder};
use sims::tiles::{Format, Tile, make, ocean};

use super::TILE;

/// Width, height and a few pixels of it.
fn decode(format: Format, bytes: &[u8]) -> (usize, usize, Vec<u8>) {
    match format {
        Format::Png => {
            assert_crcs(bytes);
            let mut decoder = zune_png::PngDecoder::new(Cursor::new(bytes));
            let pixels = decoder.decode_raw().unwrap();
            let (width, height) = decoder.dimensions().unwrap();
            (width, height, pixels)
        }
        Format::Jpg => {
            assert!(bytes.ends_with(&[0xff, 0xd9]), "the mark of the end");
            let mut decoder = zune_jpeg::JpegDecoder::new(Cursor::new(bytes));
            let pixels = decoder.decode().unwrap();
            let (width, height) = decoder.dimensions().unwrap();
            (width, height, pixels)
        }
        Format::Webp => {
            let told = u32::from_le_bytes(bytes[4..8].try_into().unwrap());
            assert_eq!(told as usize, bytes.len() - 8, "the length of the container");
            let mut decoder = image_webp::WebPDecoder::new(Cursor::new(bytes)).unwrap();
            let (width, height) = decoder.dimensions();
            let mut pixels = vec![0; decoder.output_buffer_size().unwrap()];
            decoder.read_image(&mut pixels).unwrap();
            (width as usize, height as usize, pixels)
        }
        Format::Pbf => {
            let mut content = Vec::new();
            GzDecoder::new(bytes).read_to_end(&mut content).unwrap();
            (256, 256, layer_name(&content).into_bytes())
        }
    }
}

/// Every chunk of a PNG has the checksum it says, and the last is IEND with nothing after it.
fn assert_crcs(png: &[u8]) {
    let mut rest = &png[8..];
    loop {
        let (length, after) = rest.split_first_chunk::<4>().unwrap();
        let (checked, after) = after.split_at(u32::from_be_bytes(*length) as usize + 4);
        let (crc, after) = after.split_first_chunk::<4>().unwrap();
        let mut found = Crc::new();
        found.update(checked);
        assert_eq!(found.sum(), u32::from_be_bytes(*crc), "{:?}", &checked[..4]);
        rest = after;
        if checked.starts_with(b"IEND") {
            return assert!(rest.is_empty());
        }
    }
}

/// The fields of a protobuf message: numbers, and bytes as they are.
fn fields(mut message: &[u8]) -> BTreeMap<u64, Vec<(u64, &[u8])>> {
    fn varint(message: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let byte = message[0];
            *message = &message[1..];
            value |= u64::from(byte & 127) << shift;
            if byte < 128 {
                break;
            }
        }
        value
    }
    let mut fields = BTreeMap::<u64, Vec<(u64, &[u8])>>::new();
    while !message.is_empty() {
        let key = varint(&mut message);
        let value = varint(&mut message);
        let bytes = match key & 7 {
            0 => &[][..],
            2 => {
                let (bytes, rest) = message.split_at(value as usize);
                message = rest;
                bytes
            }
            wire => panic!("wire type {wire}"),
        };
        fields.entry(key >> 3).or_default().push((value, bytes));
    }
    fields
}

/// Checks the one layer of a vector tile against the specification (version 2.1), and returns the tag `name` of its feature.
fn layer_name(tile: &[u8]) -> String {
    let tile = fields(tile);
    assert_eq!(tile.keys().collect::<Vec<_>>(), [&3]);
    let layer = fields(tile[&3][0].1);
    assert_eq!((layer[&15][0].0, layer[&1][0].1, layer[&5][0].0), (2, &b"tile"[..], 4096));
    let feature = fields(layer[&2][0].1);
    assert_eq!(feature[&3][0].0, 1, "a point");
    // One MoveTo with two parameters, in zigzag.
    assert_eq!(feature[&4][0].1, [9, 0x80, 0x20, 0x80, 0x20]);
    let tags = feature[&2][0].1;
    assert_eq!(layer[&3][usize::from(tags[0])].1, b"name");
    let value = fields(layer[&4][usize::from(tags[1])].1);
    String::from_utf8(value[&1][0].1.to_vec()).unwrap()
}

#[test]
fn decoders_read_every_format_at_every_size() {
    for format in Format::ALL {
        for size in (0..3000).step_by(97).chain([9_999, 65_000, 66_000, 140_000]) {
            let bytes = make(format, TILE, size, 0);

            let (width, height, pixels) = decode(format, &bytes);

            assert_eq!((width, height), (256, 256), "{format:?} of {size}");
            assert!(!pixels.is_empty());
            if size >= 800 {
                assert!((size - 3..=size).contains(&bytes.len()), "{format:?} of {size} has {}", bytes.len());
            }
        }
    }
}

#[test]
fn a_tile_names_itself_in_its_metadata_and_has_a_colour_of_its_own() {
    let other = Tile::new(12, 3424, 1763);
    for format in [Format::Png, Format::Jpg, Format::Webp] {
        let (tile, neighbour) = (make(format, TILE, 2000, 0), make(format, other, 2000, 0));
        assert!(tile.windows(12).any(|part| part == b"12/3423/1763"), "{format:?}");
        assert_ne!(decode(format, &tile).2, decode(format, &neighbour).2, "{format:?}");
    }
    assert_eq!(decode(Format::Pbf, &make(Format::Pbf, TILE, 2000, 3)).2, b"12/3423/1763 revision 3");
}

#[test]
fn every_tile_is_different_and_the_same_every_time() {
    let mut seen = HashSet::new();
    for format in Format::ALL {
        for x in 0..1000 {
            for revision in 0..2 {
                let tile = Tile::new(14, x, x / 3);
                let bytes = make(format, tile, 1000, revision);
                assert_eq!(bytes, make(format, tile, 1000, revision));
                assert!(seen.insert(bytes), "{format:?} {tile} {revision}");
            }
        }
    }
}

#[test]
fn tiles_do_not_become_smaller_by_compression() {
    use flate2::{Compression, read::GzEncoder};
    for format in [Format::Png, Format::Jpg, Format::Webp] {
        let bytes = make(format, TILE, 10_000, 0);
        let mut compressed = Vec::new();
        GzEncoder::new(&bytes[..], Compression::best()).read_to_end(&mut compressed).unwrap();
        assert!(compressed.len() > 9_000, "{format:?}: {}", compressed.len());
    }
}

#[test]
fn water_is_valid_and_small() {
    for format in Format::ALL {
        let bytes = ocean(format);
        assert_eq!(decode(format, &bytes).0, 256);
        assert!((700..=800).contains(&bytes.len()), "{format:?}: {}", bytes.len());
    }
}
