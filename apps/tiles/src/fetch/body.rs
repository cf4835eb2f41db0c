//! What a body is, once its content encoding is undone. Pure.

use crate::{check, gzip};

/// The largest body that is taken; real tiles have less than one megabyte.
pub(crate) const LARGEST: usize = 32 << 20;

/// Why a body is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// Its content encoding could not be undone.
    Encoding,
    /// It holds more than [`LARGEST`].
    TooLarge,
}

/// A body as it is checked and stored.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plain {
    pub(crate) body: Vec<u8>,
    /// Unpacking has shown that nothing is missing.
    pub(crate) proven: bool,
}

/// Undoes a content encoding, and packs what is stored packed: MBTiles has vector tiles as gzip.
pub(crate) fn plain(body: Vec<u8>, encoding: Option<&str>) -> Result<Plain, Wrong> {
    if body.starts_with(&[0x1F, 0x8B]) {
        // Whether it says so or not.
        let unpacked = gzip::unpack(&body, LARGEST).map_err(|error| match error.kind() {
            std::io::ErrorKind::FileTooLarge => Wrong::TooLarge,
            _ => Wrong::Encoding,
        })?;
        // A vector tile stays as it was served.
        let body = if is_vector(&unpacked) { body } else { unpacked };
        return Ok(Plain { body, proven: true });
    }
    let encoding = encoding.map(str::trim).unwrap_or_default().to_ascii_lowercase();
    // Some servers say gzip of what is not: what it is, is seen by its first bytes.
    if !body.is_empty() && !matches!(encoding.as_str(), "" | "identity" | "gzip" | "x-gzip") {
        return Err(Wrong::Encoding);
    }
    if is_vector(&body) {
        let body = gzip::pack(&body).map_err(|_| Wrong::Encoding)?;
        return Ok(Plain { body, proven: true });
    }
    Ok(Plain { body, proven: false })
}

fn is_vector(body: &[u8]) -> bool {
    body.first() == Some(&0x1A) && check::check(body, Some(check::Format::Mvt)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\0IEND\xAE\x42\x60\x82";
    /// One field of three bytes, as a layer is.
    const MVT: &[u8] = &[0x1A, 3, 1, 2, 3];

    #[test]
    fn a_picture_is_unpacked_and_a_vector_tile_is_not() {
        let packed = |bytes| gzip::pack(bytes).unwrap();
        let plain = |body: &[u8], encoding| plain(body.to_vec(), encoding).map(|plain| (plain.body, plain.proven));

        assert_eq!(plain(PNG, None), Ok((PNG.to_vec(), false)));
        assert_eq!(plain(PNG, Some("identity")), Ok((PNG.to_vec(), false)));
        assert_eq!(plain(&packed(PNG), Some("GZIP")), Ok((PNG.to_vec(), true)));
        assert_eq!(plain(PNG, Some("gzip")), Ok((PNG.to_vec(), false)), "it says so and is not");
        assert_eq!(plain(&packed(MVT), Some("gzip")), Ok((packed(MVT), true)));
        assert_eq!(plain(&packed(MVT), None), Ok((packed(MVT), true)));
        assert_eq!(plain(MVT, None), Ok((packed(MVT), true)), "MBTiles has it packed");
        assert_eq!(plain(b"", Some("gzip")), Ok((Vec::new(), false)));
    }

    #[test]
    fn what_cannot_be_undone_is_an_error() {
        let cut = &gzip::pack(MVT).unwrap()[..12];
        let bomb = gzip::pack(&vec![0; LARGEST + 1]).unwrap();

        assert_eq!(plain(cut.to_vec(), Some("gzip")), Err(Wrong::Encoding));
        assert_eq!(plain(bomb, Some("gzip")), Err(Wrong::TooLarge));
        assert_eq!(plain(PNG.to_vec(), Some("br")), Err(Wrong::Encoding));
        assert_eq!(plain(cut.to_vec(), None), Err(Wrong::Encoding));
    }
}
