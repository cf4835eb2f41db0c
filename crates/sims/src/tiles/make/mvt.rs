//! A vector tile: one layer with one point that names the tile, compressed with gzip in blocks that only store.

use flate2::Crc;

use crate::tiles::chance::noise;

/// What one stored block holds at most.
const BLOCK: usize = 65_535;
const BYTES: u64 = 2;
const NUMBER: u64 = 0;

pub(super) fn draw(label: &str, seed: u64, size: usize) -> Vec<u8> {
    let mut filler = size.saturating_sub(gzip(&layer(label, seed, 0)).len());
    loop {
        let out = gzip(&layer(label, seed, filler));
        // Longer lengths take longer numbers: what was too much is taken away, and then a byte or two may be missing.
        match out.len().checked_sub(size).filter(|excess| *excess > 0 && filler > 0) {
            Some(excess) => filler = filler.saturating_sub(excess),
            None => return out,
        }
    }
}

/// `vector_tile.Tile` with one layer `tile`: a point in the middle with the tags `name` and `filler`.
fn layer(label: &str, seed: u64, filler: usize) -> Vec<u8> {
    let mut feature = Vec::new();
    number(&mut feature, 1, seed >> 1);
    bytes(&mut feature, 2, &[0, 0, 1, 1]);
    number(&mut feature, 3, 1);
    // MoveTo once, (2048, 2048) in zigzag.
    bytes(&mut feature, 4, &[9, 0x80, 0x20, 0x80, 0x20]);

    let mut layer = Vec::new();
    number(&mut layer, 15, 2);
    bytes(&mut layer, 1, b"tile");
    bytes(&mut layer, 2, &feature);
    bytes(&mut layer, 3, b"name");
    bytes(&mut layer, 3, b"filler");
    text_value(&mut layer, label.as_bytes());
    text_value(&mut layer, &letters(seed, filler));
    number(&mut layer, 5, 4096);

    let mut tile = Vec::new();
    bytes(&mut tile, 3, &layer);
    tile
}

/// Noise as text: a string of protobuf has to be UTF-8.
fn letters(seed: u64, count: usize) -> Vec<u8> {
    let mut letters = Vec::new();
    noise(&mut letters, seed, count);
    letters.iter_mut().for_each(|byte| *byte = b'0' + (*byte & 63));
    letters
}

fn text_value(layer: &mut Vec<u8>, text: &[u8]) {
    let mut value = Vec::with_capacity(text.len() + 8);
    bytes(&mut value, 1, text);
    bytes(layer, 4, &value);
}

fn number(out: &mut Vec<u8>, field: u64, value: u64) {
    varint(out, field << 3 | NUMBER);
    varint(out, value);
}

fn bytes(out: &mut Vec<u8>, field: u64, content: &[u8]) {
    varint(out, field << 3 | BYTES);
    varint(out, content.len() as u64);
    out.extend_from_slice(content);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value > 127 {
        out.push(value as u8 | 128);
        value >>= 7;
    }
    out.push(value as u8);
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let mut blocks = content.chunks(BLOCK).peekable();
    while let Some(block) = blocks.next() {
        out.push(u8::from(blocks.peek().is_none()));
        out.extend_from_slice(&(block.len() as u16).to_le_bytes());
        out.extend_from_slice(&(!(block.len() as u16)).to_le_bytes());
        out.extend_from_slice(block);
    }
    let mut crc = Crc::new();
    crc.update(content);
    out.extend_from_slice(&crc.sum().to_le_bytes());
    out.extend_from_slice(&crc.amount().to_le_bytes());
    out
}
