//! Servers that take their time, or are not there for a while.

use std::time::Duration;

use sims::tiles::{Delay, Fault, Format, Origin, Rule, Script, Site};
use tiles::answer::Class;
use tokio::time::Instant;

use super::{
    memory::{Answer, Call, Memory, truth},
    support::{Get, TILES, all_failed, asked_at_most, config},
};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test]
async fn latency_costs_no_second_request() {
    let mean = Duration::from_millis(20);
    for delay in [Delay::Fixed(mean), Delay::Exponential(mean)] {
        let origin = Origin::start(config(Script::new(5).rule(Rule::new(Fault::Delay(delay))))).await.unwrap();

        let ran = Get::from(&origin).concurrent(64).run().await;

        ran.is_complete(|tile| origin.truth(Format::Png, tile));
        asked_at_most(&origin.log(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn one_tile_that_never_answers_holds_up_nobody() {
    let memory = Memory::new(|asked| match asked.tile.z {
        5 => Answer::Never,
        _ => Answer::Late(Duration::from_millis(20)),
    });

    let ran = Get::of(&memory).zooms(0..=14).run().await;

    let struck = ran.wanted().into_iter().filter(|tile| tile.z() == 5);
    ran.is_complete_but(&all_failed(struck, Class::Timeout, None), truth);
    let asked = memory.asked();
    let at: Vec<Duration> = asked.iter().filter(|asked| asked.tile.z == 5).map(|asked| asked.at).collect();
    assert_eq!(at.len(), 5);
    // Ten seconds without a byte, and a pause of at most 0.5, 1, 2, 4 seconds.
    for (pair, most) in at.windows(2).zip([0.5, 1.0, 2.0, 4.0]) {
        let gap = (pair[1] - pair[0]).as_secs_f64();
        assert!((10.0..=10.0 + most + 0.01).contains(&gap), "{gap}");
    }
    let others = asked.iter().filter(|asked| asked.tile.z != 5).map(|asked| asked.at).max().unwrap();
    assert!(others < seconds(10), "{others:?}");
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_an_answer_does_not_hold_up_what_is_due() {
    // Four tiles: the last takes nine seconds; the others fail once, and then take long as well.
    let memory = Memory::new(|asked| match (asked.tile.z, asked.time) {
        (4, _) => Answer::Late(seconds(9)),
        (_, 1) => Answer::Status(500, ""),
        _ => Answer::Late(seconds(5)),
    });

    let ran = Get::of(&memory).zooms(1..=4).concurrent(4).run().await;

    ran.is_complete(truth);
    let last = memory.asked().iter().map(|asked| asked.at).max().unwrap();
    assert!(last < seconds(1), "{last:?}");
}

#[tokio::test(start_paused = true)]
async fn tiles_that_take_long_do_not_keep_slots_from_the_others() {
    // One in twenty takes four seconds, the others five milliseconds: 64 slots can do 312 a second.
    let memory = Memory::new(|asked| match (asked.tile.x * 7 + asked.tile.y) % 20 {
        0 => Answer::Late(seconds(4)),
        _ => Answer::Late(Duration::from_millis(5)),
    });
    let began = Instant::now();

    let ran = Get::of(&memory).zooms(0..=15).concurrent(64).run().await;

    ran.is_complete(truth);
    let rate = memory.asked().len() as f64 / began.elapsed().as_secs_f64();
    assert!(rate >= 150.0, "{rate:.0} a second");
}

#[tokio::test(start_paused = true)]
async fn one_byte_a_second_is_given_up_after_thirty_and_asked_for_again() {
    let memory = Memory::new(|asked| match (asked.tile.z, asked.time) {
        (9, 1) => Answer::Drip(seconds(1)),
        _ => Answer::Tile,
    });
    let began = Instant::now();

    let ran = Get::of(&memory).run().await;

    ran.is_complete(truth);
    assert_eq!(ran.numbers.again.get(&Class::Timeout), Some(&4));
    assert_eq!(memory.asked().len(), TILES + 4);
    assert!((30..33).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_slow_body_that_ends_in_time_is_taken() {
    // A tile of 1.5 KB takes 50 ms; the longest silence is shorter than what is waited for.
    let script = Script::new(5).rule(Rule::new(Fault::Drip(30_000)));
    let origin = Origin::start(config(script)).await.unwrap();
    let get = Get::from(&origin).concurrent(64).patience(seconds(5), seconds(3), seconds(8));

    let ran = get.run().await;

    ran.is_complete(|tile| origin.truth(Format::Png, tile));
    asked_at_most(&origin.log(), 1);
}

#[tokio::test(start_paused = true)]
async fn errors_for_ten_seconds_cost_few_requests_and_no_tile() {
    let memory = Memory::new(|asked| match asked.at.as_secs() {
        1..=10 => Answer::Status(503, ""),
        _ => Answer::Late(Duration::from_millis(50)),
    });

    let ran = Get::of(&memory).zooms(0..=14).run().await;

    ran.is_complete(truth);
    let asked = memory.asked();
    assert!(asked.iter().all(|asked| asked.time <= 5), "{asked:?}");
    // Twenty until it is seen, then ten a second.
    let refused = asked.iter().filter(|asked| (1..=10).contains(&asked.at.as_secs())).count();
    assert!(refused < 20 + 16 + 10 * 10, "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_away_for_ten_minutes_costs_no_tile() {
    let away = |at: Duration| if (2..602).contains(&at.as_secs()) { Call::Refused } else { Call::Taken };
    let memory = Memory::at_times(away, |_| Answer::Late(Duration::from_millis(100)));

    let ran = Get::of(&memory).zooms(0..=14).run().await;

    ran.is_complete(truth);
    let calls = memory.calls().into_iter().filter(|at| away(*at) == Call::Refused).count();
    // One after each pause, which double up to a minute.
    assert!((10..40).contains(&calls), "{calls}");
    assert!(memory.asked().iter().all(|asked| asked.time <= 2));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_was_never_there_is_given_up_soon() {
    let memory = Memory::at_times(|_| Call::Refused, |_| Answer::Tile);
    let began = Instant::now();
    let get = Get::of(&memory);

    let ran = get.run().await;

    assert_eq!(ran.report.code(), 5, "{}", ran.report.why);
    ran.says(
        "the server could never be reached; look at the host's name, the port and the network (connection refused)",
    );
    ran.says(&format!("159 to go, continue with: tiles get {}", ran.path.display()));
    ran.is_in_order();
    assert_eq!(ran.stored(), 0);
    assert!((15..25).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    assert!(memory.calls().len() < 40, "{}", memory.calls().len());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_away_for_an_hour_ends_the_job_and_it_goes_on_later() {
    let memory = Memory::at_times(
        |at| if (1..4000).contains(&at.as_secs()) { Call::Refused } else { Call::Taken },
        |_| Answer::Late(Duration::from_millis(100)),
    );
    let get = Get::of(&memory);

    let ran = get.run().await;

    assert_eq!(ran.report.code(), 4, "{}", ran.report.why);
    ran.says("the server cannot be reached: come back in 1 minutes; run the same command again then");
    ran.is_in_order();
    let stored = ran.stored();
    assert!(stored > 0 && (stored as usize) < TILES, "{stored}");

    tokio::time::sleep(seconds(4000)).await;
    get.run().await.is_complete(truth);
    assert!(memory.asked().iter().all(|asked| asked.time <= 2));
}

#[tokio::test(start_paused = true)]
async fn calls_that_nobody_hears_are_given_up_after_ten_seconds() {
    let unheard = |at: Duration| if at < seconds(25) { Call::Unheard } else { Call::Taken };
    let memory = Memory::at_times(unheard, |_| Answer::Tile);

    let ran = Get::of(&memory).run().await;

    ran.is_complete(truth);
    assert!(memory.calls().len() < 40, "{:?}", memory.calls());
    assert!(memory.asked().iter().all(|asked| asked.time == 1));
}

#[tokio::test]
async fn a_real_server_that_goes_and_comes_back_is_waited_for() {
    let slow = Script::new(5).rule(Rule::new(Fault::Delay(Delay::Fixed(Duration::from_millis(5)))));
    let origin = Origin::start(config(slow)).await.unwrap();
    let get = Get::from(&origin);

    let (ran, ()) = tokio::join!(get.run(), async {
        origin.until(|log| log.entries().len() >= 60).await;
        origin.set_gone(true);
        origin.until(|log| log.in_flight() == 0).await;
        origin.set_gone(false);
    });

    ran.is_complete(|tile| origin.truth(Format::Png, tile));
    // What was on the wire when it went was asked for again.
    let again = origin.log().tiles().into_values().filter(|asked| asked.requests > 1).count();
    assert!(again <= 16, "{again}");
}

#[tokio::test]
async fn a_server_gets_four_requests_at_first_and_sixteen_at_most() {
    let delay = Rule::new(Fault::Delay(Delay::Fixed(Duration::from_millis(10))));
    let origin = Origin::start(config(Script::new(5).rule(delay))).await.unwrap();

    Get::from(&origin).zooms(0..=14).run().await.is_complete(|tile| origin.truth(Format::Png, tile));

    let log = origin.stop().await;
    let first = &log.entries()[0];
    let before = log.entries().iter().filter(|entry| entry.at < first.at + Duration::from_millis(10)).count();
    assert!(before <= 4, "{before}");
    assert!(log.most_in_flight(Site::Main) <= 16, "{}", log.most_in_flight(Site::Main));
    asked_at_most(&log, 1);
}

#[tokio::test(start_paused = true)]
async fn no_more_a_second_than_a_person_allows() {
    let memory = Memory::new(|_| Answer::Late(Duration::from_millis(50)));
    let mut get = Get::of(&memory);
    get.request.rate = Some(10.0);

    get.run().await.is_complete(truth);

    let asked = memory.asked();
    for (at, pair) in asked.windows(11).enumerate() {
        assert!(pair[10].at - pair[0].at >= Duration::from_millis(960), "{at}: {:?} {:?}", pair[0].at, pair[10].at);
    }
    let took = asked.last().unwrap().at - asked[0].at;
    assert!((15..18).contains(&took.as_secs()), "{took:?}");
}
