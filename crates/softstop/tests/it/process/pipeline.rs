//! A feed and a sink with a channel between them: what was accepted is kept, or declared lost.

use rustix::process::Signal;

use super::{lab, pause};

#[test]
fn a_full_pipeline_of_10_000_items_of_1_ms_is_emptied() {
    let mut lab = lab("pipeline items=10000 capacity=10000 pace=0.001").start();
    lab.noted("sent");

    lab.signal(Signal::INT);
    let ended = lab.end().left_with(0);

    assert_eq!((ended.level(), ended.number("kept")), ("graceful", 10_000));
}

#[test]
fn hurried_a_full_pipeline_keeps_or_declares_every_item() {
    let mut lab = lab("pipeline items=10000 capacity=10000 pace=0.001 owes heeds_cancel").start();
    lab.noted("sent");

    lab.signal(Signal::INT);
    lab.printed("stopping: SIGINT");
    pause(1000);
    lab.signal(Signal::INT);
    let ended = lab.end().left_with(85);

    assert_eq!((ended.level(), ended.number("accepted")), ("hurry", 10_000));
    assert!(ended.number("kept") > 0, "{ended:#?}");
    assert_eq!(ended.number("kept") + ended.lost("items"), 10_000, "{ended:#?}");
}

#[test]
fn hurried_a_consumer_that_is_aborted_loses_nothing_silently() {
    let mut lab = lab("pipeline items=10000 capacity=10000 pace=0.001 owes").start();
    lab.noted("sent");

    lab.signal(Signal::INT);
    lab.printed("stopping: SIGINT");
    pause(500);
    lab.signal(Signal::INT);
    let ended = lab.end().left_with(82);

    assert_eq!((ended.level(), ended.number("accepted")), ("hurry", 10_000));
    assert_eq!(ended.number("kept") + ended.lost("items"), 10_000, "{ended:#?}");
}

#[test]
fn given_up_a_full_pipeline_declares_what_it_did_not_keep() {
    let mut lab = lab("pipeline items=10000 capacity=10000 pace=0.001 owes").start();
    lab.noted("sent");

    lab.signal(Signal::INT);
    lab.printed("stopping: SIGINT");
    lab.signal(Signal::QUIT);
    let ended = lab.end().left_with(83);

    assert!(ended.lost("items") > 0, "{ended:#?}");
}

#[test]
fn a_feed_that_waits_for_room_loses_nothing_that_was_accepted() {
    let mut lab = lab("pipeline items=1000000 capacity=64 pace=0.001 owes").start();
    lab.noted("ready");

    lab.signal(Signal::TERM);
    let ended = lab.end().left_with(0);

    assert_eq!(ended.number("kept"), ended.number("accepted"), "{ended:#?}");
}

#[test]
fn with_nothing_stated_64_items_of_50_ms_are_kept() {
    let mut lab = lab("pipeline items=64 capacity=64 pace=0.05").start();
    lab.noted("sent");

    lab.signal(Signal::INT);
    let ended = lab.end().left_with(0);

    assert_eq!(ended.number("kept"), 64);
}

#[test]
fn a_full_channel_is_emptied_although_a_sender_lives_on() {
    for consumer in ["", "heeds_cancel"] {
        let words = format!("pipeline items=10000 capacity=10000 waits sender_lives {consumer}");
        let mut lab = lab(&words).start();
        lab.noted("sent");

        lab.signal(Signal::INT);
        let ended = lab.end().left_with(0).within(12);

        assert_eq!(ended.number("kept"), 10_000, "{ended:#?}");
    }
}
