use super::*;

const NOON: u64 = 1_700_000_000; // Tue, 14 Nov 2023 22:13:20 GMT
const DATE: (&str, &str) = ("date", "Tue, 14 Nov 2023 22:13:20 GMT");

fn read(headers: &[(&str, &'static str)]) -> Headers {
    Headers::read(|name| headers.iter().find(|(wanted, _)| *wanted == name).map(|(_, value)| *value))
}

#[test]
fn both_forms_of_retry_after_are_understood_by_the_servers_clock() {
    let in_two_minutes = "Tue, 14 Nov 2023 22:15:20 GMT";
    let wait = |headers: &[(&str, &'static str)], now| read(headers).wait(now).map(|wait| wait.as_secs());

    assert_eq!(wait(&[("retry-after", " 120 ")], 0), Some(120));
    assert_eq!(wait(&[("retry-after", in_two_minutes), DATE], NOON + 999_999), Some(120), "our clock does not matter");
    assert_eq!(wait(&[("retry-after", in_two_minutes)], NOON + 20), Some(100), "unless theirs is not told");
    assert_eq!(wait(&[("retry-after", "Tuesday, 14-Nov-23 22:15:20 GMT"), DATE], 0), Some(120), "an older form");
    assert_eq!(wait(&[("retry-after", "Tue Nov 14 22:15:20 2023"), DATE], 0), Some(120), "the oldest");
    assert_eq!(wait(&[("retry-after", "Tue, 14 Nov 2023 22:00:00 GMT"), DATE], 0), Some(0), "in the past");
    for nothing in ["", "soon", "-1", "1.5", "99999999999999999999"] {
        assert_eq!(wait(&[("retry-after", nothing)], 0), None, "{nothing}");
    }
    assert_eq!(wait(&[], 0), None);
}

#[test]
fn freshness_is_what_the_headers_say() {
    for (headers, expected) in [
        (vec![("cache-control", "public, max-age=86400")], Some(86_400)),
        (vec![("cache-control", "max-age=\"60\""), ("age", "45")], Some(15)),
        (vec![("cache-control", "max-age=60"), ("age", "90")], Some(0)),
        (vec![("cache-control", "max-age=60, No-Cache")], Some(0)),
        (vec![("cache-control", "no-store")], Some(0)),
        (vec![("cache-control", "max-age=60"), ("expires", "Tue, 14 Nov 2023 23:13:20 GMT"), DATE], Some(60)),
        (vec![("cache-control", "public"), ("expires", "Tue, 14 Nov 2023 23:13:20 GMT"), DATE], Some(3600)),
        (vec![("expires", "Tue, 14 Nov 2023 20:13:20 GMT"), DATE], Some(0)),
        (vec![("expires", "0"), DATE], Some(0)),
        (vec![("cache-control", "public")], None),
        (vec![DATE], None),
    ] {
        assert_eq!(read(&headers).fresh, expected, "{headers:?}");
    }
}

#[test]
fn validators_are_kept_as_they_stand() {
    let found =
        read(&[("etag", "W/\"a-1\""), ("last-modified", "Tue, 14 Nov 2023 22:13:20 GMT"), ("location", " /x ")]);

    assert_eq!(found.etag.as_deref(), Some("W/\"a-1\""));
    assert_eq!(found.last_modified.as_deref(), Some(DATE.1));
    assert_eq!(found.location.as_deref(), Some("/x"));
    assert_eq!(read(&[("etag", " ")]).etag, None);
}
