//! Connections that end, or are too many.

use std::time::Duration;

use sims::tiles::{
    At, Config, Connections, Cut, Delay, Fault, Format, Framing, How, Origin, Protocol, Rule, Script, Site,
};

use super::support::{Get, TILES, asked_at_most, config};

fn connections(connections: Connections) -> Script {
    Script::new(6).connections(connections)
}

#[tokio::test]
async fn one_connection_for_each_slot_is_kept() {
    let origin = Origin::start(config(Script::default())).await.unwrap();

    let ran = Get::from(&origin).concurrent(8).run().await;

    ran.is_complete(|tile| origin.truth(Format::Png, tile));
    let log = origin.stop().await;
    assert!(log.opened(Site::Main) <= 8, "{} connections", log.opened(Site::Main));
    assert_eq!(log.connections(Site::Main), 0, "all are closed at the end");
}

#[tokio::test]
async fn connections_that_end_after_some_answers_cost_no_try() {
    for (requests, announced) in [(100, true), (100, false), (7, true), (7, false), (1, true), (1, false)] {
        let limited = Connections { requests: Some(requests), announced, ..Connections::default() };
        let origin = Origin::start(config(connections(limited))).await.unwrap();

        let ran = Get::from(&origin).zooms(0..=14).run().await;

        ran.is_complete(|tile| origin.truth(Format::Png, tile));
        asked_at_most(&origin.log(), 2);
        assert!(ran.numbers.again.values().all(|many| *many <= 520 / requests + 16), "{:?}", ran.numbers.again);
        let words = ran.numbers.failures();
        assert_eq!(words, 0);
    }
}

#[tokio::test]
async fn a_connection_that_breaks_in_an_answer_is_made_anew() {
    let at = [
        (At::Head, How::Close),
        (At::Head, How::Reset),
        (At::Byte(0), How::Close),
        (At::Byte(0), How::Reset),
        (At::Byte(500), How::Reset),
    ];
    for (at, how) in at {
        let fault = Fault::Cut(Cut { at, framing: Framing::Length, how });
        let origin = Origin::start(config(Script::new(6).rule(Rule::new(fault).share(0.06).first_tries(1))));
        let origin = origin.await.unwrap();

        let ran = Get::from(&origin).run().await;

        ran.is_complete(|tile| origin.truth(Format::Png, tile));
        asked_at_most(&origin.log(), 2);
    }
}

#[tokio::test]
async fn a_connection_that_falls_silent_in_an_answer_is_left() {
    for at in [At::Head, At::Byte(0), At::Byte(500)] {
        let fault = Fault::Cut(Cut { at, framing: Framing::Length, how: How::Stall });
        let origin = Origin::start(config(Script::new(6).rule(Rule::new(fault).share(0.03).first_tries(1))));
        let origin = origin.await.unwrap();
        let ms = Duration::from_millis;

        let ran = Get::from(&origin).patience(ms(2000), ms(1000), ms(5000)).run().await;

        ran.is_complete(|tile| origin.truth(Format::Png, tile));
        asked_at_most(&origin.log(), 2);
    }
}

#[tokio::test]
async fn a_server_with_few_connections_gives_all_tiles() {
    for over_is_503 in [false, true] {
        let limited = Connections { at_most: Some(3), over_is_503, ..Connections::default() };
        let delay = Rule::new(Fault::Delay(Delay::Fixed(Duration::from_millis(2))));
        let origin = Origin::start(config(connections(limited).rule(delay))).await.unwrap();

        let ran = Get::from(&origin).run().await;

        ran.is_complete(|tile| origin.truth(Format::Png, tile));
        let log = origin.stop().await;
        assert!(log.tiles().values().all(|asked| asked.requests <= 5));
        assert!(log.entries().len() < TILES + 40, "{} requests", log.entries().len());
    }
}

#[tokio::test]
async fn tls_with_http1_is_as_good() {
    let origin = Origin::start(Config { tls: true, http2: false, ..config(Script::default()) }).await.unwrap();

    let ran = Get::from(&origin).tls().concurrent(4).run().await;

    ran.is_complete(|tile| origin.truth(Format::Png, tile));
    let log = origin.stop().await;
    assert!(log.entries().iter().all(|entry| entry.protocol == Protocol::Http1));
    asked_at_most(&log, 1);
    assert!(log.opened(Site::Main) <= 4);
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_nobody_vouches_for_is_no_connection() {
    // The clock is paused for the pauses; TLS fails within one poll of it or the other.
    let origin = Origin::start(Config { tls: true, ..config(Script::default()) }).await.unwrap();
    let mut get = Get::from(&origin);
    get.limit = Duration::from_secs(1_000_000);

    let ran = get.run().await;

    assert_eq!(ran.report.code(), 5, "{}", ran.report.why);
    assert!(origin.log().entries().is_empty());
    assert!(
        ran.said.iter().any(|line| line.contains("could never be reached") && line.ends_with(')')),
        "{:?}",
        ran.said
    );
    ran.is_in_order();
}
