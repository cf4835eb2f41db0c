//! A signal while components are starting, and while the signals are registered.

use std::fs;

use rustix::process::Signal;

use super::lab;

/// A handler that the kernel has and that does not know yet what to do would swallow the first signal. strace lets a TERM come with each
/// of the calls that register handlers; either it ends the program as the kernel does, or the program stops.
#[test]
fn a_signal_that_comes_while_the_handlers_are_registered_is_not_swallowed() {
    let dir = tempfile::tempdir().unwrap();
    let calls = dir.path().join("calls");
    let mut counted = lab("chain").started_by(&["strace", "-qq", "-o", calls.to_str().unwrap()]).start();
    counted.noted("ready");
    let registered =
        fs::read_to_string(&calls).unwrap().lines().filter(|line| line.starts_with("rt_sigaction(")).count();
    counted.signal_its_child();
    counted.signal(Signal::TERM);
    counted.end().left_with(0);

    let mut ends = Vec::new();
    for call in 1..=registered {
        let inject = format!("inject=rt_sigaction:signal=TERM:when={call}");
        // It passes a TERM on to what it traces: nothing is left where this fails.
        let strace = ["timeout", "--kill-after=1", "20", "strace", "-qq", "-o", "/dev/null", "-e", &inject];

        let ended = lab("chain").started_by(&strace).start().end();

        match ended.status.code().unwrap_or(128 + Signal::TERM.as_raw()) {
            0 => assert_eq!(ended.reason(), "signal SIGTERM"),
            143 => assert!(ended.journal.is_empty(), "{ended:#?}"),
            _ => panic!("a signal with call {call} of rt_sigaction: {ended:#?}"),
        }
        ends.push(ended.status.success());
    }
    assert!(ends.contains(&true) && ends.contains(&false), "{ends:?}");
}

#[test]
fn a_signal_that_the_parent_has_blocked_is_heard() {
    for (name, signal) in [("TERM", Signal::TERM), ("INT", Signal::INT)] {
        let mut lab = lab("chain").blocking(name).start();
        lab.noted("ready");

        lab.signal(signal);

        assert_eq!(lab.end().left_with(0).reason(), format!("signal SIG{name}"));
    }
}

#[test]
fn a_stop_during_the_start_of_any_component_unwinds_what_had_started() {
    for how in ["hangs", "cooperates"] {
        for at in 0..4 {
            let mut lab = lab(&format!("chain at={at} how={how} cancel_limit=0.2")).start();
            lab.noted("there");

            lab.signal(Signal::INT);
            let mut ended = lab.end().left_with(0);

            let expected: Vec<String> =
                (0..=at).rev().flat_map(|n| [format!("c{n} saved"), format!("c{n} closed")]).collect();
            let from = ended.journal.iter().position(|line| line == "there").unwrap() + 1;
            assert_eq!(ended.journal[from..], expected, "{ended:#?}");
            for never in at + 1..4 {
                ended = ended.never_noted(&format!("c{never} starts"));
            }
            assert_eq!(ended.reason(), "signal SIGINT");
        }
    }
}

#[test]
fn the_error_of_a_start_that_was_already_cancelled_is_only_noted() {
    let mut lab = lab("chain at=1 how=cooperates").start();
    lab.noted("there");

    lab.signal(Signal::TERM);
    let ended = lab.end().left_with(0);

    assert!(ended.report()["failures"].as_array().unwrap().is_empty(), "{ended:#?}");
    assert!(ended.report()["notes"][0].as_str().unwrap().contains("the start was given up"), "{ended:#?}");
}

#[test]
fn a_start_that_blocks_its_thread_does_not_hold_up_the_stop() {
    let mut lab = lab("blocked how=start cancel_limit=0.3").start();
    lab.noted("blocked");

    lab.signal(Signal::INT);
    let ended = lab.end().left_with(82).within(12);

    assert_eq!(ended.level(), "graceful");
}

#[test]
fn starts_that_block_every_worker_end_with_the_total() {
    let mut lab = lab("blocked how=start count=4 total=1.5").start();
    lab.noted_times("blocked", 2);

    lab.signal(Signal::INT);
    let ended = lab.end().left_with(82).within(12);

    assert_eq!((ended.level(), ended.reason().as_str()), ("abandon", "signal SIGINT"));
}

#[test]
fn a_signal_while_the_description_blocks_ends_the_process_with_the_total() {
    let mut lab = lab("building for_ever total=1.5").start();
    lab.noted("building");

    lab.signal(Signal::INT);
    lab.printed("stopping: SIGINT");
    let ended = lab.end().left_with(82).within(12);

    assert_eq!((ended.level(), ended.reason().as_str()), ("abandon", "signal SIGINT"));
}

#[test]
fn a_signal_before_the_description_is_complete_starts_nothing() {
    let mut lab = lab("building").start();
    lab.noted("building");

    lab.signal(Signal::INT);
    lab.printed("stopping: SIGINT");
    lab.open_gate();
    let ended = lab.end().left_with(0).never_noted("one starts");

    assert_eq!(ended.reason(), "signal SIGINT");
}

#[test]
fn a_second_ctrl_c_during_a_start_keeps_the_order_and_the_saves() {
    let mut lab = lab("chain at=2 how=hangs cancel_limit=0.8").start();
    lab.noted("there");

    lab.signal(Signal::INT);
    lab.printed("stopping: SIGINT");
    super::pause(300);
    lab.signal(Signal::INT);
    let ended = lab.end().left_with(0);

    assert_eq!(ended.level(), "hurry");
    ended.noted(&["c2 saved", "c2 closed", "c1 saved", "c1 closed", "c0 saved", "c0 closed"]);
}
