//! Hooks around the stop of a real process: they cannot defeat its total.

use rustix::process::Signal;

use super::lab;

#[test]
fn hooks_are_called_before_anybody_is_told_and_after_everything_has_ended() {
    let mut lab = lab("stack before after").start();
    lab.noted("ready");

    lab.signal(Signal::TERM);

    lab.end().left_with(0).noted(&["before: SIGTERM", "feed drains", "store saved", "store closed", "after: clean"]);
}

#[test]
fn a_hook_that_hangs_before_the_stop_costs_no_more_than_the_total() {
    let mut lab = lab("stack before=hangs after total=1.5").start();
    lab.noted("ready");

    lab.signal(Signal::INT);
    let ended = lab.end().left_with(82).within(12).noted(&["before: SIGINT"]).never_noted("after: overrun");

    assert_eq!(ended.level(), "abandon");
}

#[test]
fn a_hook_that_hangs_before_a_stop_without_a_signal_costs_no_more_than_the_total() {
    let mut lab = lab("failing before=hangs total=1.5").start();
    lab.noted("ready");

    lab.open_gate();

    lab.end().left_with(82).within(12).noted(&["before: worker failed"]);
}

#[test]
fn a_hook_that_hangs_after_the_stop_costs_no_more_than_the_total_and_is_no_success() {
    let mut lab = lab("stack after=hangs emergency=note total=1.5").start();
    lab.noted("ready");

    lab.signal(Signal::INT);
    let ended = lab.end().left_with(82).within(12).noted(&["store saved", "store closed", "after: clean"]);

    assert_eq!(ended.lost("save of store"), 0);
    ended.never_noted("emergency note");
}

#[test]
fn a_panic_before_the_stop_is_a_failure_and_stops_nobody_else() {
    let mut lab = lab("stack before=panics after").start();
    lab.noted("ready");

    lab.signal(Signal::INT);
    let ended = lab.end().left_with(81).noted(&["before: SIGINT", "store saved", "store closed", "after: failed"]);

    assert_eq!(ended.reason(), "signal SIGINT");
    assert_eq!(ended.report()["failures"][0]["task"], "before_stop");
}

#[test]
fn a_panic_after_the_stop_is_a_note_and_changes_no_status() {
    let mut lab = lab("stack after=panics").start();
    lab.noted("ready");

    lab.signal(Signal::INT);
    let ended = lab.end().left_with(0).noted(&["store closed", "after: clean"]);

    let note = ended.report()["notes"][0].as_str().unwrap();
    assert!(note.contains("after_stop") && note.ends_with("panicked: a hook panicked"), "{note}");
}

#[test]
fn giving_up_calls_the_emergency_hooks_and_none_of_the_others() {
    let mut lab = lab("blocked how=park count=4 before after").start();
    lab.noted_times("blocked", 2);
    lab.noted("ready");

    lab.signal(Signal::QUIT);

    lab.end().left_with(83).within(5).noted(&["emergency"]).never_noted("after: forced");
}
