//! WebP: one colour without loss, and a chunk of noise that decoders pass over.

use crate::tiles::chance::noise;

const CHUNK_OVERHEAD: usize = 8;

pub(super) fn draw(label: &str, seed: u64, size: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(size);
    out.extend_from_slice(b"RIFF\0\0\0\0WEBP");
    // No flags; width and height less one, 24 bits each.
    chunk(&mut out, b"VP8X", &[0, 0, 0, 0, 255, 0, 0, 255, 0, 0]);
    chunk(&mut out, b"VP8L", &colour(seed));
    let mut filler = format!("{label}\0").into_bytes();
    let wanted = size.saturating_sub(out.len() + CHUNK_OVERHEAD + filler.len());
    // A chunk has an even length.
    let even = wanted & !1 | filler.len() & 1;
    noise(&mut filler, seed, if even > wanted { even.saturating_sub(2) } else { even });
    chunk(&mut out, b"TILE", &filler);
    let rest = (out.len() - 8) as u32;
    out[4..8].copy_from_slice(&rest.to_le_bytes());
    out
}

fn chunk(out: &mut Vec<u8>, name: &[u8; 4], content: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(&(content.len() as u32).to_le_bytes());
    out.extend_from_slice(content);
    out.resize(out.len() + content.len() % 2, 0);
}

/// The lossless stream of a picture whose pixels are all the same: five codes of one symbol each, and not one bit for a pixel.
fn colour(seed: u64) -> Vec<u8> {
    let mut bits = Bits(Vec::new(), 0);
    bits.put(0x2f, 8);
    bits.put(255, 14);
    bits.put(255, 14);
    // No alpha, version 0; no transform, no colour cache, no second layer of codes.
    bits.put(0, 1 + 3 + 1 + 1 + 1);
    for symbol in [seed & 255, seed >> 8 & 255, seed >> 16 & 255, 255] {
        // A simple code, of one symbol, of eight bits.
        bits.put(0b101, 3);
        bits.put(symbol as u32, 8);
    }
    // The distances are not used: a simple code of one symbol of one bit.
    bits.put(0b0001, 4);
    bits.0
}

/// Bits from the lowest up, as WebP has them.
struct Bits(Vec<u8>, usize);

impl Bits {
    fn put(&mut self, value: u32, count: usize) {
        for bit in 0..count {
            if self.1.is_multiple_of(8) {
                self.0.push(0);
            }
            let last = self.0.len() - 1;
            self.0[last] |= ((value >> bit & 1) as u8) << (self.1 % 8);
            self.1 += 1;
        }
    }
}
