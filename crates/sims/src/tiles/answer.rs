//! What an answer says, before anything is sent: the truth, and what a fault makes of it.

use std::{
    io::Write,
    time::{Duration, SystemTime},
};

use flate2::{Compression, write::GzEncoder};
use httpdate::{fmt_http_date, parse_http_date};
use hyper::body::Bytes;

use super::{
    make,
    script::{At, Cut, Encoding, Fault, Framing, How, Payload, RetryAfter},
    tile::Format,
    world::{Absence, Content, Truth},
};

/// What is said about how long a tile keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caching {
    /// Whether tiles have an ETag, and If-None-Match is understood.
    pub etag: bool,
    /// Whether tiles have a Last-Modified, and If-Modified-Since is understood.
    pub last_modified: bool,
    /// Seconds for `Cache-Control: max-age`.
    pub max_age: Option<u32>,
    /// Seconds from the Date of the answer to its Expires.
    pub expires: Option<u32>,
    /// Seconds that a cache on the way has kept it: Age.
    pub age: Option<u32>,
}

impl Default for Caching {
    /// Both validators, and an hour.
    fn default() -> Self {
        Self { etag: true, last_modified: true, max_age: Some(3600), expires: None, age: None }
    }
}

/// An answer as it is to be sent. Its Date, its length and what ends it are up to who sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Bytes,
    pub(crate) framing: Framing,
    /// How many bytes more than there are Content-Length tells of.
    pub(crate) length_off: i64,
    pub(crate) cut: Option<(At, How)>,
    /// Bytes a second.
    pub(crate) drip: Option<u32>,
    /// Whether it is the truth about the tile.
    pub(crate) genuine: bool,
}

impl Answer {
    pub(crate) fn new(status: u16, media_type: &str, body: impl Into<Bytes>) -> Self {
        let headers = vec![("Content-Type", media_type.to_owned())];
        Self { headers, body: body.into(), ..Self::empty(status) }
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Bytes::new(),
            framing: Framing::Length,
            length_off: 0,
            cut: None,
            drip: None,
            genuine: false,
        }
    }

    pub(crate) fn with(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Whether this status has no body and tells no length.
    pub(crate) fn is_bodiless(&self) -> bool {
        matches!(self.status, 204 | 304)
    }

    /// What Content-Length says.
    pub(crate) fn announced(&self) -> u64 {
        (self.body.len() as u64).saturating_add_signed(self.length_off)
    }
}

/// The two headers that ask for a tile only if it has changed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Conditions<'a> {
    pub(crate) if_none_match: Option<&'a str>,
    pub(crate) if_modified_since: Option<&'a str>,
}

/// The truth about a tile, if nothing goes wrong.
pub(crate) fn truth(
    truth: Truth,
    format: Format,
    caching: &Caching,
    conditions: Conditions<'_>,
    now: SystemTime,
) -> Answer {
    let answer = match truth {
        Truth::Absent(Absence::NoContent) => Answer::empty(204),
        Truth::Absent(Absence::Empty) => Answer::new(200, format.media_type(), Bytes::new()),
        Truth::Absent(absence) => Answer::new(absence.status(), "text/plain", "there is no such tile\n"),
        Truth::There(content) => {
            let answer = if unchanged(&content, caching, conditions) {
                Answer::empty(304)
            } else {
                let compressed = (format == Format::Pbf).then(|| ("Content-Encoding", "gzip".to_owned()));
                let mut answer = Answer::new(200, format.media_type(), content.bytes);
                answer.headers.extend(compressed);
                answer
            };
            let validators = [
                caching.etag.then_some(("ETag", content.etag)),
                caching.last_modified.then(|| ("Last-Modified", fmt_http_date(content.modified))),
            ];
            let mut answer = keeping(answer, caching, now);
            answer.headers.extend(validators.into_iter().flatten());
            answer
        }
    };
    Answer { genuine: true, ..answer }
}

fn keeping(mut answer: Answer, caching: &Caching, now: SystemTime) -> Answer {
    let seconds = |seconds: u32| Duration::from_secs(u64::from(seconds));
    let keeping = [
        caching.max_age.map(|age| ("Cache-Control", format!("public, max-age={age}"))),
        caching.expires.map(|after| ("Expires", fmt_http_date(now + seconds(after)))),
        caching.age.map(|age| ("Age", age.to_string())),
    ];
    answer.headers.extend(keeping.into_iter().flatten());
    answer
}

/// RFC 9110, section 13.2.2: a tag that is asked for decides, and only without one the date does.
fn unchanged(content: &Content, caching: &Caching, conditions: Conditions<'_>) -> bool {
    if let Some(tags) = conditions.if_none_match.filter(|_| caching.etag) {
        let mut tags = tags.split(',').map(|tag| tag.trim().trim_start_matches("W/"));
        return tags.any(|tag| tag == "*" || tag == content.etag);
    }
    let since = conditions.if_modified_since.filter(|_| caching.last_modified);
    since.and_then(|date| parse_http_date(date).ok()).is_some_and(|date| content.modified <= date)
}

/// What a fault makes of the truth. Delays and redirects are not its business.
pub(crate) fn struck(answer: Answer, fault: &Fault, format: Format, now: SystemTime) -> Answer {
    match fault {
        Fault::Limit(limit) => refusal(limit.code, Payload::Text, limit.retry_after, format, now),
        Fault::Status { code, retry_after, body } => refusal(*code, *body, *retry_after, format, now),
        Fault::Instead(payload) => instead(200, *payload, format),
        Fault::Framing(framing) => Answer { framing: *framing, ..answer },
        Fault::WrongLength(off) => Answer { length_off: *off, genuine: false, ..answer },
        Fault::Encoding(encoding) => encoded(answer, encoding),
        Fault::Drip(rate) => Answer { drip: Some((*rate).max(1)), ..answer },
        Fault::Cut(cut) => stopped(answer, *cut),
        Fault::Delay(_) | Fault::Redirect { .. } => answer,
    }
}

fn refusal(code: u16, body: Payload, retry: Option<RetryAfter>, format: Format, now: SystemTime) -> Answer {
    let answer = instead(code, body, format);
    let retry = retry.map(|retry| match retry {
        RetryAfter::Seconds(seconds) => seconds.to_string(),
        RetryAfter::Date(seconds) => {
            let apart = Duration::from_secs(seconds.unsigned_abs());
            fmt_http_date(if seconds < 0 { now - apart } else { now + apart })
        }
    });
    match retry {
        Some(retry) => answer.with("Retry-After", retry),
        None => answer,
    }
}

fn instead(status: u16, payload: Payload, format: Format) -> Answer {
    let drawn = if format == Format::Pbf { Format::Png } else { format };
    let (media_type, body) = match payload {
        Payload::Empty => (format.media_type(), Bytes::new()),
        Payload::Picture => (drawn.media_type(), make::blocked(drawn).into()),
        Payload::Html => ("text/html; charset=utf-8", Bytes::from_static(HTML)),
        Payload::Json => ("application/json", Bytes::from_static(b"{\"error\":\"no tile for you\"}\n")),
        Payload::Xml => ("application/xml", Bytes::from_static(XML)),
        Payload::Gif => ("image/gif", Bytes::from_static(GIF)),
        Payload::Text => ("text/plain", format!("status {status}\n").into()),
    };
    let answer = Answer::new(status, media_type, body);
    if answer.is_bodiless() { Answer::empty(status) } else { answer }
}

const HTML: &[u8] =
    b"<!DOCTYPE html>\n<html><head><title>Log in</title></head><body><form>Please log in.</form></body></html>\n";
const XML: &[u8] = b"<?xml version=\"1.0\"?>\n<ServiceExceptionReport><ServiceException>no tile</ServiceException></ServiceExceptionReport>\n";
const GIF: &[u8] =
    b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff!\xf9\x04\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x01D\0;";

fn encoded(mut answer: Answer, encoding: &Encoding) -> Answer {
    if answer.status != 200 {
        return answer;
    }
    answer.headers.retain(|(name, _)| *name != "Content-Encoding");
    match encoding {
        Encoding::Unlabelled => answer,
        // Who believes the label cannot read it.
        Encoding::Label(label) => {
            answer.genuine = false;
            answer.with("Content-Encoding", label.clone())
        }
        Encoding::Gzip => {
            answer.body = gzip(&answer.body).into();
            answer.with("Content-Encoding", "gzip".into())
        }
        Encoding::Bomb(size) => {
            (answer.body, answer.genuine) = (bomb(*size).into(), false);
            answer.with("Content-Encoding", "gzip".into())
        }
    }
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).expect("memory takes everything");
    encoder.finish().expect("memory takes everything")
}

fn bomb(size: usize) -> Vec<u8> {
    static PIECE: [u8; 65_536] = [0; 65_536];
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let mut left = size;
    while left > 0 {
        let piece = left.min(PIECE.len());
        encoder.write_all(&PIECE[..piece]).expect("memory takes everything");
        left -= piece;
    }
    encoder.finish().expect("memory takes everything")
}

fn stopped(answer: Answer, cut: Cut) -> Answer {
    let at = match cut.at {
        At::Head => At::Head,
        At::Byte(byte) => At::Byte(byte.min(answer.body.len().saturating_sub(1))),
    };
    Answer { framing: cut.framing, cut: Some((at, cut.how)), ..answer }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_800_000_000);

    fn content() -> Content {
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        Content { bytes: vec![1, 2, 3], etag: "\"a\"".into(), modified }
    }

    fn ask(caching: &Caching, tag: Option<&str>, date: Option<&str>) -> Answer {
        let conditions = Conditions { if_none_match: tag, if_modified_since: date };
        truth(Truth::There(content()), Format::Png, caching, conditions, SystemTime::UNIX_EPOCH + NOW)
    }

    fn header(answer: &Answer, name: &str) -> Option<String> {
        answer.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
    }

    #[test]
    fn a_condition_that_holds_saves_the_body() {
        let (all, none) = (Caching::default(), Caching { etag: false, last_modified: false, ..Caching::default() });
        let date_only = Caching { etag: false, ..Caching::default() };
        let made = Some("Tue, 14 Nov 2023 22:13:20 GMT");
        let before = Some("Tue, 14 Nov 2023 22:13:19 GMT");
        for (caching, tag, date, status) in [
            (&all, None, None, 200),
            (&all, Some("\"a\""), None, 304),
            (&all, Some("\"x\", W/\"a\""), None, 304),
            (&all, Some("*"), None, 304),
            (&all, Some("\"x\""), made, 200),
            (&all, None, made, 304),
            (&all, None, before, 200),
            (&all, None, Some("yesterday"), 200),
            (&date_only, Some("\"x\""), made, 304),
            (&none, Some("\"a\""), made, 200),
        ] {
            let answer = ask(caching, tag, date);
            assert_eq!(
                (answer.status, answer.body.is_empty()),
                (status, status == 304),
                "{caching:?} {tag:?} {date:?}"
            );
            assert_eq!(header(&answer, "ETag").is_some(), caching.etag);
            assert_eq!(header(&answer, "Content-Type").is_some(), status == 200);
        }
    }

    #[test]
    fn how_long_it_keeps_is_said_as_configured() {
        let caching = Caching { max_age: Some(60), expires: Some(120), age: Some(7), ..Caching::default() };

        let answer = ask(&caching, None, None);

        assert_eq!(header(&answer, "Cache-Control").unwrap(), "public, max-age=60");
        assert_eq!(header(&answer, "Expires").unwrap(), "Fri, 15 Jan 2027 08:02:00 GMT");
        assert_eq!(header(&answer, "Age").unwrap(), "7");
        assert_eq!(header(&answer, "Last-Modified").unwrap(), "Tue, 14 Nov 2023 22:13:20 GMT");
    }

    #[test]
    fn retry_after_has_two_forms_and_the_date_may_have_passed() {
        for (retry, text) in [
            (RetryAfter::Seconds(3600), "3600"),
            (RetryAfter::Date(5), "Fri, 15 Jan 2027 08:00:05 GMT"),
            (RetryAfter::Date(-5), "Fri, 15 Jan 2027 07:59:55 GMT"),
        ] {
            let fault = Fault::Status { code: 429, retry_after: Some(retry), body: Payload::Text };
            let answer =
                struck(ask(&Caching::default(), None, None), &fault, Format::Png, SystemTime::UNIX_EPOCH + NOW);
            assert_eq!((answer.status, header(&answer, "Retry-After").as_deref()), (429, Some(text)));
            assert!(!answer.genuine && header(&answer, "ETag").is_none());
        }
    }

    #[test]
    fn a_cut_leaves_at_least_one_byte_out() {
        for (asked, at) in [(0, 0), (2, 2), (3, 2), (9, 2)] {
            let answer =
                struck(ask(&Caching::default(), None, None), &Fault::cut(asked), Format::Png, SystemTime::now());
            assert_eq!(answer.cut, Some((At::Byte(at), How::Close)), "cut({asked})");
        }
    }
}
