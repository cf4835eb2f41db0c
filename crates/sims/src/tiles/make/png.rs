//! PNG: a pattern that never changes, a palette and a comment that do.

use std::{io::Write, sync::LazyLock};

use flate2::{Compression, Crc, write::ZlibEncoder};

use crate::tiles::chance::noise;

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
/// 256 × 256 pixels of two bits each, by palette.
const HEADER: &[u8] = &[0, 0, 1, 0, 0, 0, 1, 0, 2, 3, 0, 0, 0];
/// Ancillary, private, safe to copy: decoders pass it over.
const FILLER: &[u8; 4] = b"tiLe";
const CHUNK_OVERHEAD: usize = 12;

pub(super) fn draw(label: &str, seed: u64, size: usize) -> Vec<u8> {
    let mut palette = Vec::new();
    noise(&mut palette, !seed, 12);
    let comment = format!("Comment\0{label}");

    let mut out = Vec::with_capacity(size);
    out.extend_from_slice(SIGNATURE);
    chunk(&mut out, b"IHDR", HEADER);
    chunk(&mut out, b"PLTE", &palette);
    chunk(&mut out, b"tEXt", comment.as_bytes());
    let end = CHUNK_OVERHEAD + PATTERN.len() + CHUNK_OVERHEAD;
    let mut filler = Vec::new();
    noise(&mut filler, seed, size.saturating_sub(out.len() + CHUNK_OVERHEAD + end));
    chunk(&mut out, FILLER, &filler);
    chunk(&mut out, b"IDAT", &PATTERN);
    chunk(&mut out, b"IEND", &[]);
    out
}

fn chunk(out: &mut Vec<u8>, name: &[u8; 4], content: &[u8]) {
    out.extend_from_slice(&(content.len() as u32).to_be_bytes());
    let begin = out.len();
    out.extend_from_slice(name);
    out.extend_from_slice(content);
    let mut crc = Crc::new();
    crc.update(&out[begin..]);
    out.extend_from_slice(&crc.sum().to_be_bytes());
}

/// A frame around a chequerboard: with a palette of its own, every tile looks different and none looks empty.
static PATTERN: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    let pixel = |x: u32, y: u32| {
        let frame = x == 0 || y == 0 || x == 255 || y == 255;
        if frame { 3 } else { ((x / 64 + y / 64) % 3) as u8 }
    };
    for y in 0..256 {
        let mut row = vec![0];
        row.extend((0..64).map(|four| (0..4).fold(0, |byte, at| byte << 2 | pixel(four * 4 + at, y))));
        encoder.write_all(&row).expect("memory takes everything");
    }
    encoder.finish().expect("memory takes everything")
});
