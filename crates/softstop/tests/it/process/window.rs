//! What signals mean that come close together, or late, or that were ignored before we started.

use rustix::process::Signal;

use super::{Ended, lab, pause};

/// How often a run is tried whose signals must arrive at certain times on a busy machine.
const TRIES: usize = 8;

/// Runs until the signals really arrived as wanted, by the times in the program's own report.
fn timed(run: impl Fn() -> Ended, arrived_in_time: impl Fn(&[f64]) -> bool) -> Ended {
    for _ in 0..TRIES {
        let ended = run();
        if arrived_in_time(&ended.arrivals()) {
            return ended;
        }
    }
    panic!("the machine is too busy: in {TRIES} runs the signals never arrived in time");
}

#[test]
fn three_taps_at_0_300_and_600_ms_do_not_give_up() {
    let mut lab = lab("stack save=1.5 save_limit=9").start();
    lab.noted("ready");

    lab.signal(Signal::INT);
    lab.noted("store saves");
    pause(300);
    lab.signal(Signal::INT);
    lab.printed("hurrying");
    pause(300);
    lab.signal(Signal::INT);
    let ended = lab.end().left_with(0);

    assert_eq!(ended.effects(), ["SIGINT stop", "SIGINT hurry", "SIGINT nothing"]);
    ended.noted(&["store saved", "store closed"]);
}

#[test]
fn three_taps_at_0_300_and_1400_ms_give_up() {
    let mut lab = lab("stack save=9 save_limit=10").start();
    lab.noted("ready");

    lab.signal(Signal::INT);
    lab.noted("store saves");
    pause(300);
    lab.signal(Signal::INT);
    lab.printed("hurrying");
    pause(1100);
    lab.signal(Signal::INT);
    let ended = lab.end().left_with(83).within(5);

    assert_eq!(ended.effects(), ["SIGINT stop", "SIGINT hurry", "SIGINT abandon"]);
}

#[test]
fn a_key_held_for_three_seconds_does_not_give_up() {
    // A machine that stands still for 250 ms makes two presses out of one held key: then again.
    let held = || {
        let mut lab = lab("stack save=4 save_limit=9").start();
        lab.noted("ready");
        for _ in 0..100 {
            lab.signal(Signal::INT);
            pause(30);
        }
        lab.end()
    };

    let ended = timed(held, |at| at.windows(2).all(|pair| pair[1] - pair[0] < 240.0)).left_with(0);

    assert_eq!(ended.level(), "hurry");
    ended.noted(&["store saved", "store closed"]);
}

#[test]
fn sigterm_and_sigint_5_ms_apart_are_one() {
    let run = || {
        let mut lab = lab("stack save=0.6 save_limit=9").start();
        lab.noted("ready");
        lab.signal(Signal::TERM);
        pause(5);
        lab.signal(Signal::INT);
        lab.end()
    };

    let ended = timed(run, |at| at.len() == 2 && at[1] < 240.0).left_with(0);

    assert_eq!(ended.level(), "graceful");
    let effects: Vec<String> = ended.effects().iter().map(|e| e.split_once(' ').unwrap().1.to_owned()).collect();
    assert_eq!(effects, ["stop", "nothing"]);
}

#[test]
fn a_failure_and_a_first_ctrl_c_50_ms_later_are_one() {
    let run = || {
        let mut lab = lab("stack fails save=0.6 save_limit=9").start();
        lab.noted("ready");
        lab.open_gate();
        lab.printed("stopping: feed failed");
        pause(50);
        lab.signal(Signal::INT);
        lab.end()
    };

    let ended = timed(run, |at| at.len() == 1 && at[0] < 240.0).left_with(81);

    assert_eq!((ended.level(), ended.reason().as_str()), ("graceful", "failed feed"));
    assert_eq!(ended.effects(), ["SIGINT nothing"]);
}

#[test]
fn a_ctrl_c_well_after_a_failure_hurries() {
    let mut lab = lab("stack fails save=1 save_limit=9").start();
    lab.noted("ready");

    lab.open_gate();
    lab.noted("store saves");
    pause(300);
    lab.signal(Signal::INT);
    let ended = lab.end().left_with(81);

    assert_eq!(ended.effects(), ["SIGINT hurry"]);
    ended.noted(&["store saved"]);
}

#[test]
fn a_later_sigterm_or_sighup_is_only_noted() {
    let mut lab = lab("stack hold=gate").start();
    lab.noted("ready");

    lab.signal(Signal::TERM);
    lab.noted("feed drains");
    pause(300);
    lab.signal(Signal::TERM);
    pause(300);
    lab.signal(Signal::HUP);
    pause(1200);
    lab.signal(Signal::TERM);
    lab.printed("SIGTERM changes nothing now");
    lab.open_gate();
    let ended = lab.end().left_with(0);

    assert_eq!(ended.level(), "graceful");
    assert_eq!(ended.effects(), ["SIGTERM stop", "SIGTERM nothing", "SIGHUP nothing", "SIGTERM nothing"]);
}

#[test]
fn a_ctrl_c_after_a_sigterm_hurries() {
    let mut lab = lab("stack hold=cancel").start();
    lab.noted("ready");

    lab.signal(Signal::TERM);
    lab.noted("feed drains");
    pause(300);
    lab.signal(Signal::INT);
    let ended = lab.end().left_with(0);

    assert_eq!(ended.effects(), ["SIGTERM stop", "SIGINT hurry"]);
}

#[test]
fn where_the_program_hurried_the_first_ctrl_c_since_only_arms_and_the_next_gives_up() {
    let mut lab = lab("stack hurries save=9 save_limit=10").start();
    lab.noted("ready");

    lab.open_gate();
    lab.noted("store saves");
    pause(300);
    lab.signal(Signal::INT);
    pause(1300);
    lab.signal(Signal::INT);
    let ended = lab.end().left_with(83);

    assert_eq!(ended.reason(), "requested the lab");
    assert_eq!(ended.effects(), ["SIGINT nothing", "SIGINT abandon"]);
}

#[test]
fn a_storm_of_signals_that_ask_for_a_stop_loses_nothing() {
    let mut lab = lab("stack save=0.6 save_limit=9").start();
    lab.noted("ready");

    for _ in 0..200 {
        lab.signal(Signal::TERM);
        lab.signal(Signal::HUP);
        lab.signal(Signal::USR1);
    }
    let ended = lab.end().left_with(0);

    assert_eq!(ended.level(), "graceful");
    ended.noted(&["feed saved", "store saved", "store closed"]);
}

#[test]
fn sighup_that_was_ignored_at_the_start_stays_ignored() {
    stays_ignored("HUP", Signal::HUP);
}

#[test]
fn sigint_that_was_ignored_at_the_start_stays_ignored() {
    stays_ignored("INT", Signal::INT);
}

fn stays_ignored(name: &str, signal: Signal) {
    let mut lab = lab("stack").ignoring(name).start();
    lab.noted("ready");

    lab.signal(signal);
    lab.signal(Signal::USR1);
    lab.printed("lab: running for"); // It took the later signal, so it has had the earlier one.
    lab.signal(Signal::TERM);
    let ended = lab.end().left_with(0);

    assert_eq!(ended.reason(), "signal SIGTERM");
    assert_eq!(ended.effects(), ["SIGTERM stop"]);
}

#[test]
fn sigusr1_prints_what_is_running_and_changes_nothing() {
    let mut lab = lab("stack owe=3").start();
    lab.noted("ready");

    lab.signal(Signal::USR1);
    lab.printed("owed: 3 items");
    assert!(!lab.journal().contains(&"feed drains".to_owned()));
    lab.signal(Signal::INT);
    let ended = lab.end();

    assert_eq!((ended.level(), ended.reason().as_str()), ("graceful", "signal SIGINT"));
    ended.printed("lab: running for").printed("feed: running").printed("task work x1").printed("open thing for");
}

#[test]
fn sigusr1_answers_while_every_worker_is_blocked() {
    let mut lab = lab("blocked how=park count=4 total=1.5").start();
    lab.noted_times("blocked", 2);
    lab.noted("ready");

    lab.signal(Signal::USR1);
    lab.printed("task sleeper x4");
    lab.signal(Signal::QUIT);

    lab.end().left_with(83);
}
