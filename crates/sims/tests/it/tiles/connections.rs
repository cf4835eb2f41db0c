use std::{net::SocketAddr, time::Duration};

use sims::tiles::{At, Config, Connections, Cut, Delay, Fault, Framing, How, Origin, Rule, Script, Site, Which};
use tokio::{
    net::TcpStream,
    task::yield_now,
    time::{Instant, timeout},
};

use super::{
    PATH, TILE,
    client::{Client, End, PATIENCE, get},
    origin, png,
    protocols::{Http2, cause, reset_reason},
};

async fn with(connections: Connections) -> Origin {
    origin(Script::new(1).connections(connections)).await
}

fn delay(millis: u64) -> Rule {
    Rule::new(Fault::Delay(Delay::Fixed(Duration::from_millis(millis))))
}

#[tokio::test]
async fn a_connection_is_closed_after_so_many_answers_announced_or_not() {
    for announced in [true, false] {
        let origin = with(Connections { requests: Some(3), announced, ..Connections::default() }).await;
        let mut client = Client::connect(origin.address()).await;

        for answer in 1..=3 {
            let seen = client.get(PATH).await;
            assert!(seen.body == png(&origin) && seen.end == End::Whole);
            assert_eq!(seen.header("connection"), (announced && answer == 3).then_some("close"));
        }
        let fourth = client.get(PATH).await;

        assert_eq!(fourth.status, 0);
        assert_ne!(fourth.end, End::Whole);
        let log = origin.stop().await;
        assert_eq!((log.entries().len(), log.opened(Site::Main)), (3, 1));
    }
}

#[tokio::test]
async fn one_connection_too_many_is_reset_or_told_so() {
    for over_is_503 in [false, true] {
        let origin = with(Connections { at_most: Some(2), over_is_503, ..Connections::default() }).await;
        let mut first = Client::connect(origin.address()).await;
        let second = Client::connect(origin.address()).await;
        assert_eq!(first.get(PATH).await.status, 200);
        origin.until(|log| log.connections(Site::Main) == 2).await;

        let third = get(origin.address(), PATH).await;

        assert_eq!((third.status, third.end), if over_is_503 { (503, End::Whole) } else { (0, End::Broken) });
        assert_eq!(get(origin.other(), PATH).await.status, 200, "the other host has no limit");
        drop(second);
        origin.until(|log| log.connections(Site::Main) == 1).await;
        assert_eq!(get(origin.address(), PATH).await.status, 200, "there is room again");
        assert_eq!(origin.log().most_connections(Site::Main), 3);
    }
}

async fn connects(at: SocketAddr) -> bool {
    TcpStream::connect(at).await.is_ok()
}

#[tokio::test]
async fn a_server_that_is_gone_cuts_and_refuses_and_comes_back_on_its_port() {
    let origin = origin(Script::new(1).rule(Rule::new(Fault::Delay(Delay::Never)).first_tries(1))).await;
    let mut client = Client::connect(origin.address()).await;
    client.send("GET", PATH, &[]).await;
    origin.until(|log| log.in_flight() == 1).await;

    origin.set_gone(true);

    let seen = client.answer().await;
    assert_eq!(seen.status, 0);
    let refused = async { while connects(origin.address()).await {} };
    timeout(PATIENCE, refused).await.unwrap();
    assert_eq!(get(origin.other(), "/log").await.status, 200, "the other host stays");

    origin.set_gone(false);
    let back = async { while !connects(origin.address()).await {} };
    timeout(PATIENCE, back).await.unwrap();
    assert!(get(origin.address(), PATH).await.body == png(&origin));
}

#[tokio::test]
async fn a_script_says_when_the_server_is_gone() {
    let gone = Duration::from_millis(100)..Duration::from_millis(600);
    let origin = with(Connections { gone: vec![gone.clone()], ..Connections::default() }).await;
    let began = Instant::now();
    assert!(connects(origin.address()).await);
    let until = async |open| {
        let turn = async {
            while connects(origin.address()).await != open {
                yield_now().await;
            }
        };
        timeout(PATIENCE, turn).await.unwrap();
        began.elapsed()
    };

    let (went, came) = (until(false).await, until(true).await);

    // The origin began a little earlier than this test's clock.
    let slack = Duration::from_millis(30);
    assert!(went + slack >= gone.start, "{went:?}");
    assert!(came + slack >= gone.end, "{came:?}");
    origin.reset(None);
    assert!(until(false).await > came, "a reset begins anew");
    until(true).await;
    let now = origin.now();
    origin.set_script(Script::new(1).connections(Connections { gone: vec![gone.clone()], ..Connections::default() }));
    until(false).await;
    assert!(origin.now() + slack >= now + gone.start, "and so does another script");
    until(true).await;
}

#[tokio::test]
async fn an_address_that_is_taken_is_refused_by_name() {
    let origin = with(Connections::default()).await;

    for config in [
        Config { listen: origin.address(), ..Config::default() },
        Config { other: origin.address(), ..Config::default() },
    ] {
        let error = Origin::start(config).await.unwrap_err().to_string();
        assert!(error.starts_with(&format!("cannot listen on {}: ", origin.address())), "{error}");
    }
    let address = origin.address();
    origin.stop().await;
    let again = Origin::start(Config { listen: address, ..Config::default() }).await.unwrap();
    assert_eq!(again.address(), address);
}

#[tokio::test]
async fn streams_are_limited_as_the_settings_say() {
    let script =
        Script::new(1).rule(delay(20)).connections(Connections { streams: Some(10), ..Connections::default() });
    let origin = origin(script).await;
    let client = Http2::connect(origin.address()).await;
    // With the first answer come the settings.
    assert_eq!(client.get(PATH.into()).await.unwrap().status, 200);

    let answers = client.all((0..30).map(|x| format!("/14/{x}/0.png"))).await;

    assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|seen| seen.status == 200)));
    let log = origin.stop().await;
    assert_eq!((log.most_in_flight(Site::Main), log.entries().len(), log.opened(Site::Main)), (10, 31, 1));
}

#[tokio::test]
async fn goaway_answers_the_streams_up_to_its_last_and_drops_the_others_unread() {
    let script = Script::new(1).rule(delay(50)).connections(Connections { goaway: Some(5), ..Connections::default() });
    let origin = origin(script).await;
    let client = Http2::connect(origin.address()).await;

    let answers = client.all((0..20).map(|x| format!("/14/{x}/0.png"))).await;

    let (whole, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!((whole.len(), lost.len()), (5, 15));
    for error in lost {
        let error = error.unwrap_err();
        assert!(cause(&error).is_some_and(|cause| cause.is_go_away() && cause.is_remote()), "{error:?}");
    }
    let log = origin.stop().await;
    assert_eq!((log.entries().len(), log.dropped_streams()), (5, 15));
    assert!(log.entries().iter().all(|entry| entry.served()));
}

#[tokio::test]
async fn one_stream_is_reset_with_its_reason_and_the_others_go_on() {
    for (at, bytes) in [(At::Head, None), (At::Byte(0), Some(0)), (At::Byte(100), Some(100))] {
        let cut = Fault::Cut(Cut { at, framing: Framing::Length, how: How::Stream(7) });
        let script = Script::new(1).rule(Rule::new(cut).which(Which::tile(TILE))).rule(delay(20));
        let origin = origin(script).await;
        let client = Http2::connect(origin.address()).await;

        let answers = client.all(["/12/0/0.png", PATH, "/12/0/1.png"].map(str::to_owned)).await;

        match (&answers[1], bytes) {
            (Err(error), None) => assert_eq!(reset_reason(error), Some(7)),
            (Ok(seen), Some(bytes)) => {
                assert_eq!((seen.status, seen.body.len(), seen.reset), (200, bytes, Some(7)));
            }
            other => panic!("{at:?}: {other:?}"),
        }
        for answer in [&answers[0], &answers[2]] {
            assert_eq!(answer.as_ref().unwrap().reset, None);
        }
        assert_eq!(client.get(PATH.replace("1763", "1")).await.unwrap().status, 200, "on the same connection");
        let log = origin.stop().await;
        assert_eq!((log.tiles()[&TILE].served, log.opened(Site::Main)), (0, 1));
    }
}

#[tokio::test]
async fn a_connection_that_ends_takes_all_its_streams_with_it() {
    for how in [How::Close, How::Reset] {
        let cut = Fault::Cut(Cut { at: At::Byte(10), framing: Framing::Length, how });
        let script = Script::new(1)
            .rule(Rule::new(Fault::Delay(Delay::Never)).requests(1..=2))
            .rule(Rule::new(cut).which(Which::tile(TILE)));
        let origin = origin(script).await;
        let client = Http2::connect(origin.address()).await;

        let answers = client.all(["/12/0/0.png", "/12/0/1.png", PATH].map(str::to_owned)).await;

        assert!(answers[..2].iter().all(Result::is_err), "{how:?}: {answers:?}");
        assert!(answers[2].as_ref().map_or(true, |seen| seen.body.len() <= 10 && seen.broken), "{answers:?}");
        origin.until(|log| log.in_flight() == 0).await;
        assert!(origin.log().entries().iter().all(|entry| !entry.complete));
    }
}
