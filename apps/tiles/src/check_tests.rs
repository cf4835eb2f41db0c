use proptest::prelude::*;

use super::*;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\x03IDATabccrc!\0\0\0\0IEND\xAE\x42\x60\x82";
const JPEG: &[u8] = b"\xFF\xD8\xFF\xE0some pixels\xFF\xD9";
const WEBP: &[u8] = b"RIFF\x0A\0\0\0WEBPpixels";
const GIF: &[u8] = b"GIF89a pixels;";
const AVIF: &[u8] = b"\0\0\0\x14ftypmif1\0\0\0\0avif\0\0\0\x0Cmdatpix!\0\0\0\x01free\0\0\0\0\0\0\0\x10";
const MVT: &[u8] = b"\x1A\x03abc\x80\x01\x05\x1A\x00\x85\x01four\x81\x01eightyes";
const GZIP: &[u8] = b"\x1F\x8B\x08\0\0\0\0\0\0\x03\x03\0\0\0\0\0\0\0\0\0";

const ALL: [(&[u8], Format); 7] = [
    (PNG, Format::Png),
    (JPEG, Format::Jpeg),
    (WEBP, Format::Webp),
    (GIF, Format::Gif),
    (AVIF, Format::Avif),
    (MVT, Format::Mvt),
    (GZIP, Format::Mvt),
];

#[test]
fn every_format_is_known_by_its_first_bytes() {
    for (body, format) in ALL {
        let gzip = body == GZIP;
        let found = Ok(Found { format, gzip, whole: !gzip });
        assert_eq!(check(body, None), found, "{format}");
        assert_eq!(check(body, Some(format)), found, "{format}");
        assert_eq!(Format::named(format.name()), Some(format));
        let other = if format == Format::Png { Format::Jpeg } else { Format::Png };
        let error = check(body, Some(other)).unwrap_err();
        assert_eq!(error.to_string(), format!("a {format} where {other} is expected"));
    }
    assert_eq!(Format::named("image/jpeg; charset=binary"), Some(Format::Jpeg));
    assert_eq!(Format::named("text/html"), None);
}

#[test]
fn a_body_that_was_cut_anywhere_is_no_tile() {
    for (body, format) in ALL {
        for end in 1..body.len() {
            let cut = check(&body[..end], None);
            // A vector tile may end after any of its fields, an AVIF after any box behind its pixels.
            let may_end = body == MVT && [5, 8, 10, 16].contains(&end) || body == AVIF && end == 32;
            assert_eq!(cut.is_ok(), may_end, "{format} cut at {end}: {cut:?}");
        }
        let message = check(&body[..body.len() - 1], None).unwrap_err().to_string();
        assert_eq!(message, format!("the end of the {format} is missing"));
    }
}

#[test]
fn lengths_of_every_size_are_read() {
    let layer = [&[0x1A, 0xAC, 0x02][..], &[7; 300]].concat();
    let to_the_end = b"\0\0\0\x0Cftypavif\0\0\0\0mdatpixels";
    let long = b"\0\0\0\x0Cftypavif\0\0\0\x01mdat\0\0\0\0\0\0\0\x12px";

    for body in [&layer[..], to_the_end, long] {
        assert!(check(body, None).is_ok(), "{body:?}");
    }
    for body in [&layer[..302], &long[..29], b"\0\0\0\x0Cftypavif\0\0\0\0freenone"] {
        assert!(matches!(check(body, None), Err(Wrong::Cut { .. })), "{body:?}");
    }
}

#[test]
fn what_servers_put_behind_a_trailer_does_no_harm() {
    for (body, format) in [(PNG, Format::Png), (JPEG, Format::Jpeg), (GIF, Format::Gif), (WEBP, Format::Webp)] {
        let longer = [body, b"\0\0\r\n"].concat();
        assert!(check(&longer, None).is_ok_and(|found| found.format == format), "{format}");
    }
    assert!(
        check(b"\x89PNG\r\n\x1a\n\0\0\0\x01IEND\xAE\x42\x60\x82", None).is_err(),
        "a trailer with a length is none"
    );
}

#[test]
fn what_is_no_tile_is_named_and_its_beginning_kept() {
    let long = format!("{{\"error\": \"{}\"}}", "x".repeat(500));
    for (body, says) in [
        (
            "<!DOCTYPE html><html>\n\t<title>Log in</title>",
            "not a tile but HTML: <!DOCTYPE html><html> <title>Log in</title>",
        ),
        ("\u{feff} <html lang=en>", "not a tile but HTML: \u{feff} <html lang=en>"),
        ("<?xml version=\"1.0\"?><ServiceException/>", "not a tile but XML: <?xml"),
        ("{\"message\": \"no\"}", "not a tile but JSON: {\"message\": \"no\"}"),
        (&long, "not a tile but JSON: {\"error\": \"xxx"),
        ("Too many requests\n", "not a tile but text: Too many requests"),
        ("\u{1}\u{2}", "not a tile but unknown bytes: "),
        ("RIFF\u{4}\0\0\0WAVEdata", "not a tile but unknown bytes: RIFF"),
    ] {
        let error = check(body.as_bytes(), Some(Format::Png)).unwrap_err();
        assert!(error.to_string().starts_with(says), "{error}");
        let Wrong::NotATile { start, .. } = error else { panic!("{error}") };
        assert!(start.len() <= KEPT && !start.contains(char::is_control), "{start}");
    }
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(which in 0..ALL.len(), at: prop::sample::Index, byte: u8, more in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = check(&more, None);
        let mut body = ALL[which].0.to_vec();
        let at = at.index(body.len());
        body[at] = byte;
        let _ = check(&body, None);
        body.splice(at.., more);
        let _ = check(&body, None);
    }
}
