//! HTTP/2 over TLS.

use std::time::Duration;

use sims::tiles::{
    At, Config, Connections, Cut, Delay, Encoding, Fault, Format, Framing, How, Origin, Payload, Protocol, RetryAfter,
    Rule, Script, Site,
};
use tiles::{answer::Class, fetch::Patience};

use super::memory::{dead_after, truth};
use super::support::{Get, TILES, asked_at_most, config};

async fn origin(script: Script) -> Origin {
    Origin::start(Config { tls: true, ..config(script) }).await.unwrap()
}

fn delayed(ms: u64) -> Script {
    Script::new(8).rule(Rule::new(Fault::Delay(Delay::Fixed(Duration::from_millis(ms)))))
}

#[tokio::test]
async fn all_slots_share_one_connection() {
    let origin = origin(delayed(5)).await;

    let ran = Get::from(&origin).tls().concurrent(64).run().await;

    ran.is_complete(|tile| origin.truth(Format::Png, tile));
    let log = origin.stop().await;
    assert!(log.entries().iter().all(|entry| entry.protocol == Protocol::Http2));
    assert_eq!(log.opened(Site::Main), 1);
    asked_at_most(&log, 1);
}

#[tokio::test]
async fn no_more_streams_than_the_server_allows() {
    let script = delayed(5).connections(Connections { streams: Some(10), ..Connections::default() });
    let origin = origin(script).await;

    let ran = Get::from(&origin).tls().concurrent(100).zooms(0..=14).run().await;

    ran.is_complete(|tile| origin.truth(Format::Png, tile));
    let log = origin.stop().await;
    asked_at_most(&log, 1);
    assert!(log.most_in_flight(Site::Main) <= 10 * log.most_connections(Site::Main));
}

#[tokio::test]
async fn nobody_waits_for_a_stream_that_the_server_does_not_allow() {
    let script = delayed(150).connections(Connections { streams: Some(1), ..Connections::default() });
    let origin = origin(script).await;
    let ms = Duration::from_millis;

    let ran = Get::from(&origin).tls().patience(ms(5000), ms(1500), ms(5000)).zooms(0..=11).run().await;

    ran.is_complete(|tile| origin.truth(Format::Png, tile));
    // Only those that were sent before the server had said how many it allows.
    let waited = ran.numbers.again.get(&Class::Timeout).copied().unwrap_or_default();
    assert!(waited <= 3, "{:?}", ran.numbers.again);
    let log = origin.stop().await;
    assert!((2..=16).contains(&log.opened(Site::Main)), "{} connections", log.opened(Site::Main));
}

#[tokio::test]
async fn goaway_again_and_again_costs_no_try() {
    let script = delayed(5).connections(Connections { goaway: Some(20), ..Connections::default() });
    let origin = origin(script).await;

    let ran = Get::from(&origin).tls().concurrent(64).zooms(0..=14).run().await;

    ran.is_complete(|tile| origin.truth(Format::Png, tile));
    let log = origin.stop().await;
    // What was dropped unread is not among them.
    asked_at_most(&log, 1);
    assert!(log.opened(Site::Main) >= 520 / 20, "{}", log.opened(Site::Main));
    assert!(log.opened(Site::Main) < 2 * 520 / 20, "{}", log.opened(Site::Main));
}

#[tokio::test]
async fn a_stream_that_is_reset_is_asked_for_again_and_the_others_go_on() {
    let internal_error = 2;
    for at in [At::Head, At::Byte(0), At::Byte(500)] {
        let fault = Fault::Cut(Cut { at, framing: Framing::Length, how: How::Stream(internal_error) });
        let origin = origin(Script::new(8).rule(Rule::new(fault).share(0.06).first_tries(1))).await;

        let ran = Get::from(&origin).tls().run().await;

        ran.is_complete(|tile| origin.truth(Format::Png, tile));
        let log = origin.stop().await;
        asked_at_most(&log, 2);
        assert_eq!(log.opened(Site::Main), 1, "{at:?}");
        let class = if at == At::Head { Class::Reset } else { Class::Cut };
        assert!(ran.numbers.again.keys().eq([&class]), "{at:?}: {:?}", ran.numbers.again);
    }
}

#[tokio::test]
async fn a_refused_stream_is_asked_for_again_at_once() {
    let refused_stream = 7;
    let fault = Fault::Cut(Cut { at: At::Head, framing: Framing::Length, how: How::Stream(refused_stream) });
    let origin = origin(Script::new(8).rule(Rule::new(fault).first_tries(1))).await;

    let ran = Get::from(&origin).tls().run().await;

    ran.is_complete(|tile| origin.truth(Format::Png, tile));
    asked_at_most(&origin.log(), 2);
}

#[tokio::test]
async fn a_stream_that_is_refused_each_time_is_given_up() {
    let refused_stream = 7;
    let fault = Fault::Cut(Cut { at: At::Head, framing: Framing::Length, how: How::Stream(refused_stream) });
    let origin = origin(Script::new(8).rule(Rule::new(fault).share(0.02))).await;
    let get = Get::from(&origin).tls().zooms(0..=12);

    let ran = get.run().await;

    let log = origin.stop().await;
    let refused: Vec<_> = log.tiles().into_iter().filter(|(_, asked)| asked.served == 0).collect();
    assert!(!refused.is_empty() && refused.iter().all(|(_, asked)| asked.requests <= 15), "{refused:?}");
    assert_eq!(ran.report.code(), 3, "{}", ran.report.why);
    ran.is_in_order();
}

#[tokio::test]
async fn a_connection_that_breaks_under_all_is_made_anew() {
    for how in [How::Close, How::Reset] {
        let fault = Fault::Cut(Cut { at: At::Byte(100), framing: Framing::Length, how });
        let origin = origin(delayed(3).rule(Rule::new(fault).requests(60..=60))).await;

        let ran = Get::from(&origin).tls().run().await;

        ran.is_complete(|tile| origin.truth(Format::Png, tile));
        let log = origin.stop().await;
        asked_at_most(&log, 3);
        assert!(log.opened(Site::Main) <= 3, "{}", log.opened(Site::Main));
    }
}

#[tokio::test]
async fn what_a_server_says_holds_over_http2_as_well() {
    let busy = Fault::Status { code: 429, retry_after: Some(RetryAfter::Seconds(1)), body: Payload::Text };
    let script = Script::new(8)
        .rule(Rule::new(busy).requests(50..=50))
        .rule(Rule::new(Fault::Encoding(Encoding::Gzip)).share(0.2))
        .rule(Rule::new(Fault::Drip(20_000)).share(0.1))
        .rule(Rule::new(Fault::cut(300)).share(0.02).first_tries(1));
    let origin = origin(script).await;

    let ran = Get::from(&origin).tls().run().await;

    ran.is_complete(|tile| origin.truth(Format::Png, tile));
    let log = origin.stop().await;
    // A cut ends the connection, and with it whatever else is on it.
    assert!(log.entries().len() < TILES + 60, "{}", log.entries().len());
    assert_eq!(ran.numbers.pauses, 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_dead_without_a_word_is_left() {
    let (connect, asked) = dead_after(50);
    let mut get = Get::new("https://memory/{z}/{x}/{y}.png");
    (get.connect, get.patience, get.limit) = (connect, Patience::default(), Duration::from_secs(100_000));

    let ran = get.run().await;

    ran.is_complete(truth);
    let timeouts = ran.numbers.again.values().sum::<u64>();
    assert!(timeouts <= 3 * 16, "{:?}", ran.numbers.again);
    assert!(asked.lock().unwrap().len() <= TILES + 16);
}
