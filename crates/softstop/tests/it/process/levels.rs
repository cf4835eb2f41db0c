//! Every row of the table of levels.

use rustix::process::Signal;

use super::{lab, pause};

#[test]
fn the_first_sigint_stops_in_order_with_status_0() {
    first_signal_stops_in_order(Signal::INT, "signal SIGINT");
}

#[test]
fn the_first_sigterm_stops_in_order_with_status_0() {
    first_signal_stops_in_order(Signal::TERM, "signal SIGTERM");
}

#[test]
fn the_first_sighup_stops_in_order_with_status_0() {
    first_signal_stops_in_order(Signal::HUP, "signal SIGHUP");
}

#[track_caller]
fn first_signal_stops_in_order(signal: Signal, reason: &str) {
    let mut lab = lab("stack").start();
    lab.noted("ready");

    lab.signal(signal);
    let ended = lab.end().left_with(0);

    let ended = ended.noted(&["feed drains", "feed ends", "feed saved", "feed closed", "store saves", "store closed"]);
    assert_eq!((ended.level(), ended.reason().as_str()), ("graceful", reason));
}

#[test]
fn the_first_line_is_printed_while_the_tasks_still_run() {
    let mut lab = lab("stack hold=gate").start();
    lab.noted("ready");

    lab.signal(Signal::INT);
    lab.printed("stopping: SIGINT, 2 components, at most 25 s; Ctrl+C again to hurry");
    assert!(!lab.journal().contains(&"feed ends".to_owned()));
    lab.open_gate();

    lab.end().left_with(0);
}

#[test]
fn a_second_ctrl_c_shortens_the_waiting_and_keeps_the_order() {
    let mut lab = lab("stack hold=cancel").start();
    lab.noted("ready");

    lab.signal(Signal::INT);
    lab.noted("feed drains");
    pause(300);
    lab.signal(Signal::INT);
    let ended = lab.end().left_with(0);

    let ended = ended.noted(&["feed drains", "feed ends", "feed saved", "feed closed", "store saves", "store closed"]);
    assert_eq!(ended.level(), "hurry");
    assert_eq!(ended.effects(), ["SIGINT stop", "SIGINT hurry"]);
}

#[test]
fn a_save_of_800_ms_runs_to_its_end_after_a_second_ctrl_c() {
    let mut lab = lab("stack save=0.8").start();
    lab.noted("ready");

    lab.signal(Signal::INT);
    lab.noted("store saves");
    pause(300);
    lab.signal(Signal::INT);
    let ended = lab.end().left_with(0);

    assert_eq!(ended.level(), "hurry");
    ended.noted(&["store saves", "store saved", "store closed"]);
}

#[test]
fn a_slow_hurry_says_which_save_another_ctrl_c_would_lose() {
    let mut lab = lab("stack save=1.6").start();
    lab.noted("ready");

    lab.signal(Signal::INT);
    lab.noted("store saves");
    pause(300);
    lab.signal(Signal::INT);
    lab.printed("Ctrl+C: gives up at once and loses the save of store");

    lab.end().left_with(0).noted(&["store saved"]);
}

#[test]
fn a_third_ctrl_c_gives_up_and_says_what_is_lost() {
    let mut lab = lab("stack hold=cancel save=9 save_limit=10 owe=3").start();
    lab.noted("ready");

    lab.signal(Signal::INT);
    lab.noted("feed drains");
    pause(300);
    lab.signal(Signal::INT);
    lab.noted("store saves");
    pause(1100);
    lab.signal(Signal::INT);
    let ended = lab.end().left_with(83).within(5).never_noted("store saved");

    assert_eq!(ended.effects(), ["SIGINT stop", "SIGINT hurry", "SIGINT abandon"]);
    assert_eq!((ended.level(), ended.lost("items"), ended.lost("save of store")), ("abandon", 3, 1));
    ended.printed("3 items").printed("save of store").printed("status 83");
}

#[test]
fn what_is_stuck_is_printed_when_a_person_gives_up() {
    let mut lab = lab("stack hold=never").start();
    lab.noted("ready");

    lab.signal(Signal::INT);
    lab.noted("feed drains");
    lab.signal(Signal::QUIT);
    let ended = lab.end().left_with(83);

    ended.printed("feed/work").printed("save of feed").printed("save of store");
}

#[test]
fn sigquit_gives_up_at_once_before_any_stop() {
    let mut lab = lab("stack").start();
    lab.noted("ready");

    lab.signal(Signal::QUIT);
    let ended = lab.end().left_with(83).within(5).never_noted("feed drains");

    assert_eq!((ended.level(), ended.reason().as_str()), ("abandon", "signal SIGQUIT"));
    assert_eq!((ended.lost("save of feed"), ended.lost("save of store")), (1, 1));
}

#[test]
fn sigquit_gives_up_at_once_within_the_window_of_the_first_signal() {
    let mut lab = lab("stack hold=never").start();
    lab.noted("ready");

    lab.signal(Signal::INT);
    lab.signal(Signal::QUIT);
    let ended = lab.end().left_with(83).within(5);

    // Both wait at once, so the kernel may deliver the second one first; the reason is the first to arrive.
    assert_eq!(ended.level(), "abandon");
}

#[test]
fn a_spent_total_abandons_with_82() {
    // Two workers, both held: no step can end by itself, only the plain thread can.
    let mut lab = lab("blocked how=park count=4 total=1.5").start();
    lab.noted_times("blocked", 2);
    lab.noted("ready");

    lab.signal(Signal::TERM);
    let ended = lab.end().left_with(82);

    assert_eq!((ended.level(), ended.reason().as_str()), ("abandon", "signal SIGTERM"));
    assert_eq!(ended.lost("save of hog"), 1);
    ended.printed("hog/sleeper").printed("save of hog");
}

#[test]
fn a_task_that_never_returns_is_aborted_with_82_and_the_rest_stops_in_order() {
    let mut lab = lab("stack hold=never drain_limit=0.2 cancel_limit=0.3").start();
    lab.noted("ready");

    lab.signal(Signal::INT);
    lab.noted("feed drains");
    pause(300);
    lab.signal(Signal::INT);
    let ended = lab.end().left_with(82).within(10);

    assert_eq!(ended.level(), "hurry");
    ended.noted(&["feed drains", "feed saved", "feed closed", "store saves", "store saved", "store closed"]);
}

#[test]
fn emergency_hooks_run_on_abandon_and_a_panic_in_one_stops_no_other() {
    let mut lab = lab("stack emergency=panics,second").start();
    lab.noted("ready");

    lab.signal(Signal::QUIT);
    let ended = lab.end().left_with(83);

    ended.noted(&["emergency panics", "emergency second"]);
}

#[test]
fn emergency_hooks_run_when_the_total_is_spent() {
    let mut lab = lab("blocked how=park count=4 total=1.5").start();
    lab.noted_times("blocked", 2);
    lab.noted("ready");

    lab.signal(Signal::INT);

    lab.end().left_with(82).noted(&["emergency"]);
}

#[test]
fn an_emergency_hook_that_hangs_delays_the_end_by_its_200_ms_only() {
    let mut lab = lab("stack emergency=hangs").start();
    lab.noted("ready");

    lab.signal(Signal::QUIT);

    lab.end().left_with(83).within(2).noted(&["emergency hangs"]);
}

#[test]
fn emergency_hooks_do_not_run_after_a_clean_stop() {
    let mut lab = lab("stack emergency=first").start();
    lab.noted("ready");

    lab.signal(Signal::INT);

    lab.end().left_with(0).never_noted("emergency first");
}
