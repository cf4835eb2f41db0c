//! Packing and unpacking with gzip, within limits.

use std::io::{self, Read, Write};

use flate2::{Compression, read::MultiGzDecoder, write::GzEncoder};

/// What a gzip stream holds, if that is at most `most` bytes. The end of the stream and its checksum have been seen then.
///
/// # Errors
/// It is no gzip, cut, damaged, or holds more.
pub fn unpack(packed: &[u8], most: usize) -> io::Result<Vec<u8>> {
    let mut unpacked = Vec::with_capacity(most.min(packed.len().saturating_mul(4)));
    let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    MultiGzDecoder::new(packed).take(limit).read_to_end(&mut unpacked)?;
    if unpacked.len() > most {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it holds more than {most} bytes")));
    }
    Ok(unpacked)
}

/// A gzip stream that holds these bytes; the same each time.
///
/// # Errors
/// None are known: it writes into memory.
pub fn pack(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_packed_comes_back_within_the_limit() {
        let packed = pack(&[7; 1000]).unwrap();

        assert_eq!(unpack(&packed, 1000).unwrap(), [7; 1000]);
        assert_eq!(unpack(&packed, 999).unwrap_err().to_string(), "it holds more than 999 bytes");
        assert_eq!(pack(&[7; 1000]).unwrap(), packed);
    }

    #[test]
    fn what_is_cut_or_damaged_does_not_come_back() {
        let packed = pack(b"a layer and another layer").unwrap();

        for end in 0..packed.len() {
            assert!(unpack(&packed[..end], 1000).is_err(), "cut at {end}");
        }
        let mut damaged = packed.clone();
        damaged[packed.len() - 6] ^= 1;
        assert!(unpack(&damaged, 1000).is_err());
        assert!(unpack(b"<html>", 1000).is_err());
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let bomb = pack(&vec![0; 50_000_000]).unwrap();

        assert!(bomb.len() < 100_000 && unpack(&bomb, 1_000_000).is_err());
    }
}
