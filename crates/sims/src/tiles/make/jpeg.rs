//! JPEG: a grey square, baseline, with Huffman tables of no more than the three codes it needs.

use crate::tiles::chance::noise;

/// What one comment segment holds at most.
const COMMENT: usize = 65_533;
const SEGMENT_OVERHEAD: usize = 4;

pub(super) fn draw(label: &str, seed: u64, size: usize) -> Vec<u8> {
    let mut rest = Vec::new();
    segment(&mut rest, 0xdb, &[&[0][..], &[4; 64]].concat());
    // 8 bits, 256 × 256, one component without subsampling.
    segment(&mut rest, 0xc0, &[8, 1, 0, 1, 0, 1, 1, 0x11, 0]);
    // For DC: `0` no difference, `10` one of 8 bits. For AC: `0` the end of the block.
    segment(&mut rest, 0xc4, &[&[0x00, 1, 1][..], &[0; 14], &[0, 8]].concat());
    segment(&mut rest, 0xc4, &[&[0x10, 1, 0][..], &[0; 14], &[0]].concat());
    segment(&mut rest, 0xda, &[1, 1, 0, 0, 63, 0]);
    scan(&mut rest, seed as u8);
    rest.extend_from_slice(&[0xff, 0xd9]);

    let mut out = Vec::with_capacity(size);
    out.extend_from_slice(&[0xff, 0xd8]);
    segment(&mut out, 0xe0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0");
    segment(&mut out, 0xfe, label.as_bytes());
    fill(&mut out, seed, size.saturating_sub(rest.len()));
    out.extend_from_slice(&rest);
    out
}

/// 1024 blocks: the first one says which grey, the others that nothing changes.
fn scan(out: &mut Vec<u8>, grey: u8) {
    // Bits of 0 from the third byte on; the last byte holds one bit and is filled up with ones, as the standard asks.
    let first = 0b10 << 14 | u16::from(grey) << 6;
    out.extend_from_slice(&first.to_be_bytes());
    out.extend_from_slice(&[0; 255]);
    out.push(0x7f);
}

/// Comments of noise until `out` has `end` bytes.
fn fill(out: &mut Vec<u8>, seed: u64, end: usize) {
    let mut part = seed;
    while end >= out.len() + SEGMENT_OVERHEAD {
        let mut filler = Vec::new();
        part = part.wrapping_add(1);
        noise(&mut filler, part, (end - out.len() - SEGMENT_OVERHEAD).min(COMMENT));
        segment(out, 0xfe, &filler);
    }
}

fn segment(out: &mut Vec<u8>, marker: u8, content: &[u8]) {
    out.extend_from_slice(&[0xff, marker]);
    out.extend_from_slice(&(content.len() as u16 + 2).to_be_bytes());
    out.extend_from_slice(content);
}
