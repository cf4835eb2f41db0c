use super::*;
use crate::{
    pace::{Load, Permit},
    store::Http,
};

const SECOND: Duration = Duration::from_secs(1);

fn stored(bytes: usize) -> What {
    What::Stored { body: vec![1; bytes], http: Http::default() }
}

fn failed(class: Class) -> What {
    What::Failed { class, status: None, text: String::new(), tries: 1 }
}

/// A job of 2,000 tiles of which 500 arrive in ten seconds, evenly; 10 of them have failed.
async fn half_done() -> Progress {
    let progress = Progress::default();
    progress.begin(2000, 100, 0, 3);
    for i in 0..500 {
        progress.arrived(&match i % 50 {
            0 => failed(Class::Server),
            1 | 2 => What::Empty { status: 404, http: Http::default() },
            _ => stored(10_000),
        });
        tokio::time::advance(SECOND / 50).await;
        progress.line(80);
    }
    progress
}

#[tokio::test(start_paused = true)]
async fn the_bar_has_what_matters_most_at_every_width() {
    let progress = half_done().await;
    let pace = Pace::new(16, 64, None);
    progress.limits(10 * SECOND, &pace);

    assert_eq!(progress.line(80), "[==>     ]  25 %  1,500 left  50/s  ETA 0:30  13 failed  16 at once, finding out");
    assert_eq!(
        progress.line(160).trim_start_matches(['[', '=', '>', ' ', ']']),
        "25 %  1,500 left  50/s  ETA 0:30  13 failed  16 at once, finding out  470 stored  20 empty  4.7 MB"
    );
    assert_eq!(progress.line(40), " 25 %  1,500 left  50/s  ETA 0:30");
    assert_eq!(progress.line(20), " 25 %  1,500 left");
    for width in 0..200 {
        assert!(progress.line(width).chars().count() <= width, "{width}: {}", progress.line(width));
    }
}

#[tokio::test(start_paused = true)]
async fn a_line_of_a_log_has_all_of_it() {
    let progress = half_done().await;

    assert_eq!(
        progress.log(),
        "500 of 2,000 tiles: 470 stored, 20 empty, 13 failed, 1,500 left, 50/s, 4.7 MB, ETA 0:30"
    );
    progress.limits(10 * SECOND, &Pace::new(16, 64, Some(50.0)));
    assert!(progress.log().ends_with(", 16 at once, finding out"), "{}", progress.log());
}

#[tokio::test(start_paused = true)]
async fn before_the_beginning_and_after_the_end_there_is_no_bar() {
    let progress = Progress::default();
    assert_eq!(progress.line(80), "");
    progress.begin(1, 0, 0, 0);
    assert!(progress.line(80).ends_with("]   0 %  1 left  0/s  0 stored  0 B"), "{}", progress.line(80));
    progress.arrived(&stored(999));
    assert!(progress.line(80).contains("=] 100 %  0 left"), "{}", progress.line(80));
    progress.over();
    assert_eq!(progress.line(80), "");
}

#[tokio::test(start_paused = true)]
async fn the_rate_is_that_of_the_last_ten_seconds() {
    let progress = half_done().await;

    tokio::time::advance(5 * SECOND).await;
    assert!(progress.log().contains(" 24/s,"), "{}", progress.log());
    tokio::time::advance(10 * SECOND).await;
    progress.log();
    tokio::time::advance(SECOND).await;

    let log = progress.log();
    assert!(log.contains(" 0/s,") && !log.contains("ETA"), "{log}");
}

#[tokio::test(start_paused = true)]
async fn what_is_counted_adds_up() {
    let progress = half_done().await;
    progress.arrived(&What::Unchanged { http: Http::default() });
    progress.trouble(Class::Busy);
    progress.trouble(Class::Busy);
    progress.paused();
    let mut committed = Committed::default();
    committed.count(&stored(10));
    progress.safe(committed);
    progress.safe(committed);

    let numbers = progress.now();

    assert_eq!((numbers.done(), numbers.left(), numbers.failures()), (501, 1499, 13));
    assert_eq!(numbers.failed, BTreeMap::from([(Class::Server, 10)]));
    assert_eq!((numbers.again, numbers.pauses), (BTreeMap::from([(Class::Busy, 2)]), 1));
    assert_eq!((numbers.safe.stored, numbers.safe.bytes), (2, 20));
    assert!(progress.took() >= 10 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn what_limits_the_requests_is_said_in_words() {
    let progress = half_done().await;
    let says = |pace: &Pace| {
        progress.limits(progress.took(), pace);
        progress.log().rsplit(", ").next().unwrap().to_owned()
    };
    let mut pace = Pace::new(4, 4, None);
    let now = progress.took();
    assert_eq!(pace.ask(now), Permit::Go);
    pace.answered(now, now, Load::Refused);
    pace.pause(now, now + 12 * SECOND, Why::Refused(429));
    assert_eq!(says(&pace), "429: waiting 0:12");
    tokio::time::advance(Duration::from_millis(7_700)).await;
    assert_eq!(says(&pace), "429: waiting 4.3 s");
    let later = now + 12 * SECOND;
    assert_eq!(pace.ask(later), Permit::Go);
    assert_eq!(says(&pace), "429: trying one");
    pace.pause(later, later + 60 * SECOND, Why::Unreachable);
    tokio::time::advance(Duration::from_millis(4_300)).await;
    assert_eq!(says(&pace), "unreachable: waiting 1:00");

    let mut failing = Pace::new(4, 4, None);
    for _ in 0..20 {
        assert_eq!(failing.ask(now), Permit::Go);
        failing.answered(now, now, Load::Trouble);
    }
    assert_eq!(says(&failing), "server fails: trying slowly");
    let mut asked = Pace::new(4, 4, Some(2.0));
    assert_eq!(asked.ask(now), Permit::Go);
    assert!(matches!(asked.ask(now), Permit::Wait(_)));
    progress.limits(now, &asked);
    assert!(progress.log().ends_with(", --rate 2/s"), "{}", progress.log());
}

#[tokio::test(start_paused = true)]
async fn a_pause_is_as_long_as_it_is_however_late_the_first_request_was() {
    let progress = Progress::default();
    progress.begin(9, 0, 0, 0);
    tokio::time::advance(40 * SECOND).await;
    // The desk begins to count now.
    let mut pace = Pace::new(4, 4, None);
    assert_eq!(pace.ask(Time::ZERO), Permit::Go);
    pace.answered(SECOND, Time::ZERO, Load::Refused);
    pace.pause(SECOND, 31 * SECOND, Why::Refused(429));
    progress.limits(SECOND, &pace);

    tokio::time::advance(10 * SECOND).await;

    assert!(progress.log().ends_with("429: waiting 0:20"), "{}", progress.log());
}

#[tokio::test(start_paused = true)]
async fn more_than_can_ever_be_fetched_has_no_eta() {
    let progress = Progress::default();
    progress.begin(u64::MAX, 0, 0, 0);
    for _ in 0..9 {
        tokio::time::advance(SECOND).await;
        progress.log();
    }
    progress.arrived(&stored(1));

    let log = progress.log();

    assert!(!log.contains("ETA"), "{log}");
}

#[tokio::test(start_paused = true)]
async fn a_log_knows_the_rate_though_it_looks_every_ten_seconds_only() {
    let progress = Progress::default();
    progress.begin(1000, 0, 0, 0);
    for _ in 0..110 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        progress.arrived(&What::Empty { status: 404, http: crate::store::Http::default() });
    }

    assert!(progress.log().contains(" 10/s"), "{}", progress.log());
}
