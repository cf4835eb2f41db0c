//! Servers that ask to wait, or do not want us.

use std::{collections::BTreeMap, time::Duration};

use sims::tiles::{Entry, Fault, Format, Limit, Log, Origin, Payload, RetryAfter, Rule, Script, Site, To};
use tiles::answer::Class;
use tokio::time::Instant;

use super::{
    memory::{Answer, Memory, truth},
    support::{Get, Ran, TILES, all_failed, asked_at_most, config, together},
};

/// Refused while it is the request with one of these numbers.
fn refused(code: u16, retry_after: Option<RetryAfter>, numbers: std::ops::RangeInclusive<u64>) -> Script {
    Script::new(9).rule(Rule::new(Fault::Status { code, retry_after, body: Payload::Text }).requests(numbers))
}

/// All requests stopped for about a second after the first refusal, and then one went ahead.
#[track_caller]
fn waited_a_second(log: &Log) {
    let entries = log.entries();
    let first = entries.iter().find(|entry| matches!(entry.status, Some(429 | 503))).unwrap();
    let after = |entry: &&Entry| entry.at > first.at + Duration::from_millis(300);
    let mut later = entries.iter().filter(after);
    let probe = later.next().unwrap();
    assert!(probe.at >= first.at + Duration::from_millis(990), "{:?} after {:?}", probe.at, first.at);
    let answered = probe.at + probe.took.unwrap();
    assert!(later.next().unwrap().at >= answered - Duration::from_millis(1), "one goes ahead alone");
}

#[tokio::test]
async fn every_form_of_waiting_is_obeyed_by_all_and_costs_no_try() {
    let forms = [
        (429, Some(RetryAfter::Seconds(1))),
        (429, Some(RetryAfter::Date(1))),
        (429, Some(RetryAfter::Date(-3600))),
        (429, None),
        (503, Some(RetryAfter::Seconds(1))),
        (503, Some(RetryAfter::Date(1))),
    ];
    together(forms.map(async |(code, retry)| {
        // The clock of the server is wrong by an hour: what it says is relative to it.
        let script = refused(code, retry, 60..=60);
        let origin = Origin::start(sims::tiles::Config { clock_skew: -3600, ..config(script) }).await.unwrap();

        let ran = Get::from(&origin).run().await;

        ran.is_complete(|tile| origin.truth(Format::Png, tile));
        assert_eq!((ran.numbers.again.clone(), ran.numbers.pauses), (BTreeMap::from([(Class::Busy, 1)]), 1));
        let log = origin.stop().await;
        waited_a_second(&log);
        asked_at_most(&log, 2);
    }))
    .await;
}

#[tokio::test(start_paused = true)]
async fn one_tile_that_is_always_refused_is_a_failed_tile_and_no_more() {
    for (status, code, head) in [(503, 503, "Retry-After: 2\r\n"), (429, 429, "")] {
        let memory = Memory::new(move |asked| match asked.tile.z {
            5 => Answer::Status(code, head),
            _ => Answer::Late(Duration::from_millis(20)),
        });
        let began = Instant::now();
        let get = Get::of(&memory);

        let ran = get.run().await;

        let refused = |ran: &Ran| all_failed(at_zoom_5(ran), Class::Busy, Some(status));
        assert_eq!(ran.report.code(), 3, "{}", ran.report.why);
        ran.is_complete_but(&refused(&ran), truth);
        assert!(began.elapsed() < Duration::from_secs(180), "{:?}", began.elapsed());
        assert!(memory.asked().iter().all(|asked| asked.time == 1 || asked.tile.z == 5));

        // Nor does it keep another run, in which it is the only one.
        let again = Instant::now();
        let ran = get.run().await;
        assert_eq!(ran.report.code(), 3, "{}", ran.report.why);
        assert!(again.elapsed() < Duration::from_secs(180), "{:?}", again.elapsed());
    }
}

fn at_zoom_5(ran: &Ran) -> Vec<tiles::grid::Tile> {
    ran.wanted().into_iter().filter(|tile| tile.z() == 5).collect()
}

#[tokio::test]
async fn a_limited_server_is_not_stormed() {
    let script = Script::new(9).rule(Rule::new(Fault::Limit(Limit::new(100.0, 40.0))));
    let origin = Origin::start(config(script)).await.unwrap();

    let ran = Get::from(&origin).run().await;

    ran.is_complete(|tile| origin.truth(Format::Png, tile));
    let log = origin.stop().await;
    waited_a_second(&log);
    assert!(log.count(429) <= 2 * 16, "{} refused", log.count(429));
    assert_eq!(log.asked_again(), BTreeMap::new());
}

#[tokio::test(start_paused = true)]
async fn an_hour_is_waited_for_and_more_is_not() {
    let asks = |seconds: &'static str| {
        Memory::new(move |asked| match (asked.tile.z, asked.time) {
            (12, 1) if asked.at < Duration::from_secs(10) => Answer::Status(429, seconds),
            _ => Answer::Late(Duration::from_millis(10)),
        })
    };
    let began = Instant::now();
    let patient = asks("Retry-After: 3600\r\n");

    let ran = Get::of(&patient).run().await;

    ran.is_complete(truth);
    // So few were allowed in so long a time that it goes on with one in ten seconds.
    assert!((3600..4000).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    let during = |at: Duration| (2..3599).contains(&at.as_secs());
    assert!(!patient.asked().iter().any(|asked| during(asked.at)), "nobody asks meanwhile");

    let memory = asks("Retry-After: 3601\r\n");
    let get = Get::of(&memory);
    let ran = get.run().await;

    assert_eq!((ran.report.code(), ran.report.why.as_str()), (4, "the server answers 429: come back in 61 minutes"));
    ran.says(
        "the server answers 429: come back in 61 minutes; run the same command again then: it goes on where it is",
    );
    ran.is_in_order();
    assert!(memory.asked().len() < 29 + 16, "{}", memory.asked().len());
    tokio::time::sleep(Duration::from_secs(3601)).await;
    get.run().await.is_complete(truth);
}

#[tokio::test(start_paused = true)]
async fn an_hour_of_nothing_but_refusals_ends_the_job() {
    let memory = Memory::new(|_| Answer::Status(429, "Retry-After: 600\r\n"));

    let ran = Get::of(&memory).run().await;

    assert_eq!(ran.report.code(), 4);
    ran.says("the server answers 429: come back in 10 minutes");
    // Those of the first wave, and one after each pause.
    assert!(memory.asked().len() <= 16 + 7, "{}", memory.asked().len());
    assert_eq!(ran.stored(), 0);
    ran.is_in_order();
}

#[tokio::test]
async fn a_server_that_does_not_want_us_is_left_alone() {
    for (code, body) in [
        (401, Payload::Json),
        (403, Payload::Picture),
        (403, Payload::Empty),
        (418, Payload::Text),
        (451, Payload::Html),
    ] {
        let script = Script::new(9).rule(Rule::new(Fault::Status { code, retry_after: None, body }));
        let origin = Origin::start(config(script)).await.unwrap();

        let ran = Get::from(&origin).concurrent(500).run().await;

        assert_eq!(ran.report.code(), 5, "{code} {body:?}");
        ran.says(&format!(
            "the server refuses us: status {code}, 5 of the last 5 answers; the operator does not allow this"
        ));
        ran.is_in_order();
        assert_eq!(ran.stored(), 0, "a picture with status {code} is no tile");
        let log = origin.stop().await;
        assert!(log.entries().len() <= 5 + 4, "{} requests", log.entries().len());
        asked_at_most(&log, 1);
    }
}

#[tokio::test]
async fn a_block_in_the_middle_ends_the_job_and_loses_nothing() {
    let blocked = Fault::Status { code: 403, retry_after: None, body: Payload::Picture };
    let script = Script::new(9).rule(Rule::new(blocked).requests(100..=u64::MAX));
    let origin = Origin::start(config(script)).await.unwrap();
    let get = Get::from(&origin);

    let ran = get.run().await;

    assert_eq!(ran.report.code(), 5, "{}", ran.report.why);
    ran.says("the server refuses us: status 403");
    ran.says("to go, continue with: tiles get");
    ran.is_in_order();
    assert_eq!((ran.stored(), ran.numbers.failures()), (99, 0));
    let log = origin.log();
    assert!(log.entries().len() < 99 + 5 + 16, "{}", log.entries().len());
    asked_at_most(&log, 1);

    // Once it wants us again, the rest comes: it was not these tiles that were refused.
    origin.set_script(Script::default());
    get.run().await.is_complete(|tile| origin.truth(Format::Png, tile));
    asked_at_most(&origin.log(), 2);
}

#[tokio::test]
async fn a_refusal_behind_a_redirect_is_one_as_well() {
    let script = Script::new(9)
        .rule(Rule::new(Fault::Redirect { code: 302, to: To::OtherHost }).on(Site::Main))
        .rule(Rule::new(Fault::status(403)).on(Site::Other));
    let origin = Origin::start(config(script)).await.unwrap();

    // One at a time: a redirect and a refusal, again and again.
    let ran = Get::from(&origin).concurrent(1).run().await;

    assert_eq!(ran.report.code(), 5, "{}", ran.report.why);
    ran.is_in_order();
    assert_eq!(origin.log().entries().len(), 2 * 5);
}

#[tokio::test]
async fn single_refusals_amid_tiles_are_failed_tiles() {
    let script = Script::new(9).rule(Rule::new(Fault::status(403)).share(0.04));
    let origin = Origin::start(config(script)).await.unwrap();

    let ran = Get::from(&origin).run().await;

    let log = origin.stop().await;
    let refused = log.entries().iter().filter(|entry| entry.status == Some(403));
    let failed: BTreeMap<_, _> = refused.map(|entry| (entry.tile.unwrap(), (Class::Refused, Some(403)))).collect();
    assert!(!failed.is_empty() && log.entries().len() == TILES);
    assert_eq!(ran.report.code(), 3);
    ran.is_complete_but(&failed, truth);
}

#[tokio::test]
async fn a_few_errors_are_made_good() {
    let script = Script::new(9).rule(Rule::new(Fault::status(500)).share(0.02).first_tries(1));
    let origin = Origin::start(config(script)).await.unwrap();

    let ran = Get::from(&origin).zooms(0..=14).run().await;

    ran.is_complete(|tile| origin.truth(Format::Png, tile));
    let errors = origin.log().count(500);
    assert!((3..30).contains(&errors), "{errors}");
    asked_at_most(&origin.log(), 2);
}
