use std::{io::Read, time::Duration};

use flate2::read::GzDecoder;
use sims::tiles::{
    At, Cut, Delay, Encoding, Fault, Format, Framing, How, Limit, Origin, Payload, RetryAfter, Rule, Script, Site, To,
    Which,
};
use tokio::time::Instant;

use super::{
    PATH, TILE,
    client::{Client, End, get},
    origin, png, struck, truth,
};

/// What `GET` gives for each of the first `count` tiles of a row.
async fn statuses(origin: &Origin, count: u32) -> Vec<u16> {
    let mut client = Client::connect(origin.address()).await;
    let mut statuses = Vec::new();
    for x in 0..count {
        statuses.push(client.get(&format!("/14/{x}/0.png")).await.status);
    }
    statuses
}

fn unzipped(bytes: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut content).unwrap();
    content
}

#[tokio::test]
async fn every_refusal_comes_with_its_number_its_body_and_when_to_come_back() {
    let seconds = |text: &str| httpdate::parse_http_date(text).unwrap();
    for (code, retry_after, body) in [
        (429, Some(RetryAfter::Seconds(3600)), Payload::Text),
        (429, Some(RetryAfter::Date(30)), Payload::Json),
        (503, Some(RetryAfter::Date(-30)), Payload::Html),
        (429, None, Payload::Empty),
        (403, None, Payload::Picture),
        (418, None, Payload::Text),
        (401, None, Payload::Html),
        (451, None, Payload::Text),
        (404, None, Payload::Text),
        (410, None, Payload::Picture),
        (204, None, Payload::Text),
        (500, None, Payload::Html),
        (502, None, Payload::Text),
        (408, None, Payload::Text),
    ] {
        let origin = struck(Fault::Status { code, retry_after, body }).await;

        let seen = get(origin.address(), PATH).await;

        let found = seen.header("retry-after").map(|text| match text.parse() {
            Ok(seconds) => RetryAfter::Seconds(seconds),
            Err(_) => {
                let (then, now) = (seconds(text), seconds(seen.header("date").unwrap()));
                RetryAfter::Date(match then.duration_since(now) {
                    Ok(after) => after.as_secs() as i64,
                    Err(before) => -(before.duration().as_secs() as i64),
                })
            }
        });
        assert_eq!((seen.status, found, &seen.end), (code, retry_after, &End::Whole));
        let begin: &[u8] = match body {
            _ if code == 204 => b"",
            Payload::Picture => b"\x89PNG\r\n\x1a\n",
            Payload::Html => b"<!DOCTYPE html>",
            Payload::Json => b"{\"error\"",
            Payload::Text => b"status ",
            _ => b"",
        };
        assert!(seen.body.starts_with(begin) && seen.body.is_empty() == begin.is_empty(), "{code} {body:?}");
        assert_eq!(seen.header("content-type").is_some(), code != 204);
        let log = origin.stop().await;
        assert_eq!((log.count(code), log.entries()[0].rule, log.entries()[0].genuine), (1, Some(0), false));
    }
}

#[tokio::test]
async fn what_is_no_tile_comes_with_status_200() {
    for (payload, begin, media_type) in [
        (Payload::Html, &b"<!DOCTYPE html>"[..], "text/html; charset=utf-8"),
        (Payload::Json, b"{", "application/json"),
        (Payload::Xml, b"<?xml", "application/xml"),
        (Payload::Gif, b"GIF89a\x01\0\x01\0", "image/gif"),
        (Payload::Empty, b"", "image/png"),
    ] {
        let origin = struck(Fault::Instead(payload)).await;

        let seen = get(origin.address(), PATH).await;

        assert_eq!((seen.status, seen.header("content-type")), (200, Some(media_type)));
        assert!(seen.body.starts_with(begin) && seen.body.is_empty() == begin.is_empty(), "{payload:?}");
        assert_eq!(origin.stop().await.tiles()[&TILE].served, 0);
    }
}

#[tokio::test]
async fn a_cut_body_shows_by_its_length_its_chunks_or_not_at_all() {
    for (framing, how, end) in [
        (Framing::Length, How::Close, End::Closed),
        (Framing::Chunked, How::Close, End::Closed),
        (Framing::Close, How::Close, End::Closed),
        (Framing::Length, How::Reset, End::Broken),
        (Framing::Chunked, How::Stream(2), End::Broken),
    ] {
        for bytes in [0, 1, 100, 5000] {
            let origin = struck(Fault::Cut(Cut { at: At::Byte(bytes), framing, how })).await;
            let whole = png(&origin);

            let seen = get(origin.address(), PATH).await;

            let what = format!("{framing:?} {how:?} {bytes}");
            assert_eq!((seen.status, &seen.end, seen.body.len()), (200, &end, bytes), "{what}");
            assert!(whole.starts_with(&seen.body), "{what}");
            let length = (framing == Framing::Length).then(|| whole.len().to_string());
            assert_eq!(seen.header("content-length"), length.as_deref(), "{what}");
            assert_eq!(seen.header("transfer-encoding").is_some(), framing == Framing::Chunked, "{what}");
            let entry = origin.stop().await.entries()[0].clone();
            assert_eq!((entry.bytes, entry.complete, entry.served()), (bytes as u64, false, false), "{what}");
        }
    }
}

#[tokio::test]
async fn a_whole_body_may_end_with_a_last_chunk_or_with_the_connection() {
    for (framing, end) in [(Framing::Length, End::Whole), (Framing::Chunked, End::Whole), (Framing::Close, End::Closed)]
    {
        let origin = struck(Fault::Framing(framing)).await;

        let seen = get(origin.address(), PATH).await;

        assert!(seen.body == png(&origin) && seen.end == end, "{framing:?}");
        assert_eq!(seen.header("connection"), (framing == Framing::Close).then_some("close"));
        assert!(origin.stop().await.entries()[0].served());
    }
}

#[tokio::test]
async fn a_length_may_be_too_long_or_too_short() {
    for off in [7, -7] {
        let origin = struck(Fault::WrongLength(off)).await;
        let whole = png(&origin);

        let seen = get(origin.address(), PATH).await;

        let told: i64 = seen.header("content-length").unwrap().parse().unwrap();
        assert_eq!(told, whole.len() as i64 + off);
        assert!(whole.starts_with(&seen.body));
        assert_eq!(seen.end, if off > 0 { End::Closed } else { End::Whole });
        let entry = origin.stop().await.entries()[0].clone();
        assert_eq!((entry.bytes, entry.complete), (whole.len() as u64, false));
    }
}

#[tokio::test]
async fn a_connection_is_reset_instead_of_an_answer() {
    let origin = struck(Fault::reset()).await;

    let seen = get(origin.address(), PATH).await;

    assert_eq!((seen.status, seen.end), (0, End::Broken));
    let entry = origin.stop().await.entries()[0].clone();
    assert_eq!((entry.status, entry.rule, entry.bytes), (None, Some(0), 0));
}

#[tokio::test]
async fn an_answer_stalls_until_the_client_gives_up() {
    for at in [At::Head, At::Byte(100)] {
        let origin = struck(Fault::Cut(Cut { at, framing: Framing::Length, how: How::Stall })).await;
        let mut client = Client::connect(origin.address()).await;

        client.send("GET", PATH, &[]).await;
        match at {
            At::Head => origin.until(|log| log.in_flight() == 1).await,
            At::Byte(bytes) => assert_eq!(client.begins(bytes).await.status, 200),
        }

        assert_eq!(origin.log().entries()[0].took, None, "it is still under way");
        drop(client);
        origin.until(|log| log.entries()[0].took.is_some()).await;
        assert!(!origin.log().entries()[0].complete);
    }
}

#[tokio::test]
async fn one_tile_never_answers_and_the_others_do() {
    let never = Rule::new(Fault::Delay(Delay::Never)).which(Which::tile(TILE));
    let origin = origin(Script::new(1).rule(never)).await;
    let mut client = Client::connect(origin.address()).await;

    client.send("GET", PATH, &[]).await;
    origin.until(|log| log.in_flight() == 1).await;
    assert_eq!(get(origin.address(), "/12/0/0.png").await.status, 200);

    drop(client);
    origin.until(|log| log.in_flight() == 0).await;
    assert_eq!(origin.log().entries()[0].status, None);
    let other = get(origin.address(), "/12/0/1.png").await;
    assert_eq!(other.status, 200);
}

#[tokio::test]
async fn a_delay_comes_before_the_answer_and_an_origin_that_stops_does_not_wait_for_it() {
    let delay = Duration::from_millis(80);
    let origin_ = struck(Fault::Delay(Delay::Fixed(delay))).await;
    let began = Instant::now();
    assert_eq!(get(origin_.address(), PATH).await.status, 200);
    assert!(began.elapsed() >= delay);

    let hour = Rule::new(Fault::Delay(Delay::Fixed(Duration::from_secs(3600))));
    origin_.reset(Some(Script::new(1).rule(hour)));
    let mut client = Client::connect(origin_.address()).await;
    client.send("GET", PATH, &[]).await;
    origin_.until(|log| log.in_flight() == 1).await;
    let log = tokio::time::timeout(Duration::from_secs(1), origin_.stop()).await.unwrap();
    assert_eq!((log.in_flight(), log.entries()[0].status), (0, None));
}

#[tokio::test]
async fn a_script_that_is_changed_begins_then_and_the_log_goes_on() {
    let window = Duration::from_millis(250);
    let slow = Rule::new(Fault::Delay(Delay::Fixed(window * 2))).requests(1..=1);
    let origin = origin(Script::new(1).rule(slow)).await;
    let mut client = Client::connect(origin.address()).await;
    assert_eq!(client.get(PATH).await.status, 200);
    let changed = origin.now();

    let unwell = Rule::new(Fault::status(503)).during(Duration::ZERO..window);
    let first = Rule::new(Fault::status(500)).requests(1..=1);
    origin.set_script(Script::new(1).rule(first).rule(unwell));

    assert_eq!([client.get(PATH).await.status, client.get(PATH).await.status], [500, 503]);
    let well = async { while client.get(PATH).await.status != 200 {} };
    tokio::time::timeout(Duration::from_secs(10), well).await.unwrap();
    assert!(origin.now() >= changed + window);
    let log = origin.stop().await;
    assert_eq!((log.entries()[0].status, log.tiles()[&TILE].served), (Some(200), 2));
    assert!(log.entries()[0].at < changed && log.entries()[1].at >= changed);
}

#[tokio::test]
async fn a_drip_takes_its_time() {
    // 250 bytes each 50 ms.
    let origin = struck(Fault::Drip(5000)).await;
    let began = Instant::now();
    let mut client = Client::connect(origin.address()).await;
    client.send("GET", PATH, &[]).await;

    let seen = client.begins(1000).await;

    assert!(began.elapsed() >= Duration::from_millis(140), "{:?}", began.elapsed());
    assert!(png(&origin).starts_with(&seen.body));
}

#[tokio::test]
async fn a_limit_refuses_what_is_beyond_it_on_each_host() {
    let limit = Limit { retry_after: Some(RetryAfter::Seconds(7)), ..Limit::new(0.001, 5.0) };
    let origin = struck(Fault::Limit(limit)).await;

    assert_eq!(statuses(&origin, 8).await, [200, 200, 200, 200, 200, 429, 429, 429]);
    let refused = get(origin.address(), PATH).await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("7")));
    assert_eq!(get(origin.other(), PATH).await.status, 200);

    let log = origin.stop().await;
    let refused: u64 = log.windows(Duration::from_secs(3600)).iter().map(|window| window.refused).sum();
    assert_eq!((refused, log.entries().len()), (4, 10));
}

#[tokio::test]
async fn rules_strike_by_try_by_number_and_by_host() {
    let script = Script::new(9)
        .rule(Rule::new(Fault::status(500)).first_tries(1).share(0.3))
        .rule(Rule::new(Fault::status(403)).requests(201..=u64::MAX).on(Site::Main));
    let origin = origin(script).await;

    let first = statuses(&origin, 100).await;
    let second = statuses(&origin, 100).await;
    let third = statuses(&origin, 10).await;

    let failed = first.iter().filter(|status| **status == 500).count();
    assert!((18..42).contains(&failed), "{failed} of 100");
    assert!(second.iter().all(|status| *status == 200), "{second:?}");
    assert!(third.iter().all(|status| *status == 403), "{third:?}");
    assert_eq!(get(origin.other(), "/14/0/0.png").await.status, 200);
}

#[tokio::test]
async fn a_content_encoding_may_be_wrong_missing_doubled_or_a_bomb() {
    let ask = async |encoding: Encoding, format: Format| {
        let origin = struck(Fault::Encoding(encoding)).await;
        let seen = get(origin.address(), &format!("/{TILE}.{}", format.extension())).await;
        let whole = truth(&origin, format, TILE).bytes;
        let encoding = seen.header("content-encoding").map(str::to_owned);
        (encoding, seen.body, whole, origin.stop().await.tiles()[&TILE].served)
    };

    let (header, body, whole, served) = ask(Encoding::Label("br".into()), Format::Png).await;
    assert!(header.as_deref() == Some("br") && body == whole && served == 0);

    let (header, body, whole, served) = ask(Encoding::Unlabelled, Format::Pbf).await;
    assert!(header.is_none() && body == whole && served == 1);

    let (header, body, whole, served) = ask(Encoding::Gzip, Format::Png).await;
    assert!(header.as_deref() == Some("gzip") && body != whole && unzipped(&body) == whole && served == 1);

    let (header, body, _, served) = ask(Encoding::Bomb(20_000_000), Format::Png).await;
    assert!(header.as_deref() == Some("gzip") && body.len() < 50_000 && served == 0, "{}", body.len());
    assert_eq!(unzipped(&body).len(), 20_000_000);
}

#[tokio::test]
async fn a_redirect_leads_to_the_tile_on_this_host_on_the_other_or_nowhere() {
    let follow = async |code, to| {
        let origin = struck(Fault::Redirect { code, to }).await;
        let whole = png(&origin);
        let (mut path, mut at) = (format!("{PATH}?key=k"), origin.address());
        for hop in 0..10 {
            let seen = get(at, &path).await;
            if seen.status == 200 {
                assert!(seen.body == whole);
                return (hop, path, at == origin.other(), origin.stop().await);
            }
            assert_eq!(seen.status, if hop == 0 { code } else { seen.status });
            let location = seen.header("location").unwrap().to_owned();
            path = match location.strip_prefix(origin.base(Site::Other)) {
                Some(path) => {
                    at = origin.other();
                    path.to_owned()
                }
                None => location,
            };
        }
        (10, path, false, origin.stop().await)
    };

    let (hops, path, other, log) = follow(301, To::SameHost).await;
    assert_eq!((hops, &*path, other), (1, "/moved/12/3423/1763.png?key=k", false));
    assert_eq!((log.count(301), log.tiles()[&TILE].requests, log.tiles()[&TILE].served), (1, 2, 1));
    let (hops, path, other, _) = follow(308, To::OtherHost).await;
    assert_eq!((hops, &*path, other), (1, "/moved/12/3423/1763.png", true));
    let (hops, ..) = follow(302, To::Hops(4)).await;
    assert_eq!(hops, 4);
    let (hops, path, ..) = follow(302, To::Itself).await;
    assert_eq!((hops, &*path), (10, "/12/3423/1763.png?key=k"));
}

#[tokio::test]
async fn the_same_script_does_the_same_to_requests_in_any_order() {
    let script = Script::new(42)
        .rule(Rule::new(Fault::status(500)).chance(0.2))
        .rule(Rule::new(Fault::cut(10)).share(0.1))
        .rule(Rule::new(Fault::reset()).share(0.1).first_tries(2));
    let run = async |order: &[u32]| {
        let origin = origin(script.clone()).await;
        let mut seen = Vec::new();
        for x in order {
            for try_ in 0..3 {
                let answer = get(origin.address(), &format!("/14/{x}/5.png")).await;
                seen.push((*x, try_, answer.status, answer.body));
            }
        }
        seen.sort();
        seen
    };
    let order: Vec<u32> = (0..60).collect();
    let back: Vec<u32> = (0..60).rev().collect();

    let (first, second) = (run(&order).await, run(&back).await);

    assert!(first == second);
    for struck in [0, 200, 500] {
        assert!(first.iter().any(|(_, _, status, _)| *status == struck), "{struck}");
    }
}

#[tokio::test]
async fn the_truth_and_the_log_are_never_struck() {
    let origin = struck(Fault::reset()).await;

    assert!(get(origin.address(), "/truth/12/3423/1763.png").await.body == png(&origin));
    assert_eq!(get(origin.address(), "/log").await.status, 200);
    assert_eq!(get(origin.address(), "/tiles.json").await.status, 200);
}
