//! The one plain thread: it keeps the total and ends the process, whatever is stuck.

use std::{
    io::{Write, pipe},
    process::Command,
};

use rustix::process::Signal;

use super::lab;

#[test]
fn the_total_is_kept_while_every_worker_spins() {
    let mut lab = lab("blocked how=spin count=4 total=1.5").start();
    lab.noted_times("blocked", 2);
    lab.noted("ready");

    lab.signal(Signal::INT);
    lab.printed("stopping: SIGINT");
    let ended = lab.end().left_with(82).within(12);

    // The report was written although nothing of the runtime answered.
    assert_eq!(ended.level(), "abandon");
    assert_eq!(ended.report()["components"][0]["tasks"][0]["name"], "spinner");
}

#[test]
fn a_stop_goes_on_in_time_although_the_timers_of_the_runtime_do_not_answer() {
    let mut lab = lab("blocked how=spin count=1 total=20").start();
    lab.noted("blocked");
    lab.noted("ready");

    lab.signal(Signal::INT);
    let ended = lab.end().left_with(82).within(15).noted(&["hog saved"]);

    assert_eq!(ended.level(), "graceful");
    assert_eq!(ended.report()["components"][0]["tasks"][0]["outcome"], "stuck");
}

#[test]
fn a_third_ctrl_c_is_obeyed_while_every_worker_is_blocked() {
    let mut lab = lab("blocked how=park count=4").start();
    lab.noted_times("blocked", 2);
    lab.noted("ready");

    lab.signal(Signal::INT);
    lab.printed("stopping: SIGINT");
    super::pause(300);
    lab.signal(Signal::INT);
    lab.printed("hurrying");
    super::pause(1100);
    lab.signal(Signal::INT);
    let ended = lab.end().left_with(83).within(5).noted(&["emergency"]);

    assert_eq!(ended.effects(), ["SIGINT stop", "SIGINT hurry", "SIGINT abandon"]);
}

#[test]
fn blocking_work_that_never_returns_costs_its_grace_and_not_the_total() {
    let mut lab = lab("blocked how=pool cancel_limit=0.3").start();
    lab.noted("blocked");
    lab.noted("ready");

    lab.signal(Signal::INT);
    let ended = lab.end().left_with(82).within(12).noted(&["hog saved"]);

    assert_eq!(ended.level(), "graceful");
    assert_eq!(ended.report()["components"][0]["tasks"][0]["outcome"], "stuck");
}

#[test]
fn a_destructor_of_a_task_that_hangs_costs_its_grace_and_not_the_total() {
    let mut lab = lab("blocked how=destructor cancel_limit=0.3").start();
    lab.noted("blocked");
    lab.noted("ready");

    lab.signal(Signal::INT);
    let ended = lab.end().left_with(82).within(12).noted(&["destructor hangs", "hog saved"]);

    assert_eq!(ended.level(), "graceful");
}

#[test]
fn destructors_that_hang_on_every_worker_end_with_the_total() {
    let mut lab = lab("blocked how=destructor count=4 total=1.5").start();
    lab.noted_times("blocked", 4);
    lab.noted("ready");

    lab.signal(Signal::INT);

    lab.end().left_with(82).within(12).noted(&["destructor hangs", "destructor hangs"]);
}

#[test]
fn a_product_whose_destructor_hangs_costs_its_component_the_grace_and_is_an_overrun() {
    let mut lab = lab("product total=20").start();
    lab.noted("there");

    lab.signal(Signal::INT);
    let ended = lab.end().left_with(82).within(12).noted(&["destructor hangs"]);

    assert_eq!((ended.level(), ended.reason().as_str()), ("graceful", "signal SIGINT"));
}

#[test]
fn a_destructor_that_hangs_after_the_end_does_not_change_the_status() {
    let mut lab = lab("stack hang_at_exit total=3").start();
    lab.noted("ready");

    lab.signal(Signal::INT);

    lab.end().left_with(0).within(12).noted(&["store closed", "destructor hangs"]);
}

#[test]
fn a_full_stderr_holds_up_neither_a_clean_stop_nor_its_report() {
    let (_unread, full) = full_pipe();
    let mut lab = lab("stack save=0.1").output(full.try_clone().unwrap(), full).start();
    lab.noted("ready");

    lab.signal(Signal::USR1);
    lab.signal(Signal::INT);
    let ended = lab.end().left_with(0).within(12);

    assert_eq!(ended.reason(), "signal SIGINT");
}

#[test]
fn a_full_stderr_does_not_hold_up_giving_up() {
    let (_unread, full) = full_pipe();
    let mut lab = lab("blocked how=park count=4").output(full.try_clone().unwrap(), full).start();
    lab.noted_times("blocked", 2);
    lab.noted("ready");

    lab.signal(Signal::QUIT);
    let ended = lab.end().left_with(83).within(5).noted(&["emergency"]);

    assert_eq!(ended.level(), "abandon");
}

#[test]
fn a_full_stderr_does_not_hold_up_the_end_of_the_total() {
    let (_unread, full) = full_pipe();
    let mut lab = lab("blocked how=park count=4 total=1.5").output(full.try_clone().unwrap(), full).start();
    lab.noted_times("blocked", 2);
    lab.noted("ready");

    lab.signal(Signal::INT);

    assert_eq!(lab.end().left_with(82).within(12).level(), "abandon");
}

#[test]
fn a_task_that_hangs_in_a_write_to_a_full_stderr_costs_its_grace_and_not_the_total() {
    let (_unread, full) = full_pipe();
    let mut lab = lab("blocked how=stderr cancel_limit=0.3").output(full.try_clone().unwrap(), full).start();
    lab.noted("blocked");
    lab.noted("ready");

    lab.signal(Signal::INT);
    let ended = lab.end().left_with(82).within(12).noted(&["hog saved"]);

    assert_eq!(ended.level(), "graceful");
}

#[test]
fn a_full_stderr_does_not_hold_up_the_refusal_of_a_bad_description() {
    let (_unread, full) = full_pipe();
    let ended = lab("circle").output(full.try_clone().unwrap(), full).start().end();

    assert_eq!(ended.status.code(), Some(78), "{ended:#?}");
}

/// A pipe into which nothing more fits, and its reading end, which nobody reads.
fn full_pipe() -> (std::io::PipeReader, std::io::PipeWriter) {
    let (reader, mut writer) = pipe().unwrap();
    let size = rustix::pipe::fcntl_getpipe_size(&writer).unwrap();
    writer.write_all(&vec![b'.'; size]).unwrap();
    (reader, writer)
}

#[test]
fn as_process_1_every_first_signal_stops_it_clean() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let mut lab = lab("stack").started_by(&as_process_1()).start();
        lab.noted("ready");
        lab.signal_its_child();

        lab.signal(signal);

        lab.end().left_with(0).noted(&["feed saved", "store saved", "store closed"]);
    }
}

#[test]
fn as_process_1_the_total_is_kept_while_every_worker_is_blocked() {
    let mut lab = lab("blocked how=park count=4 total=1.5").started_by(&as_process_1()).start();
    lab.noted_times("blocked", 2);
    lab.noted("ready");
    lab.signal_its_child();

    lab.signal(Signal::TERM);

    lab.end().left_with(82).within(12);
}

#[test]
fn as_process_1_sigquit_gives_up() {
    let mut lab = lab("stack hold=never").started_by(&as_process_1()).start();
    lab.noted("ready");
    lab.signal_its_child();

    lab.signal(Signal::QUIT);

    lab.end().left_with(83).within(5);
}

#[test]
fn as_process_1_which_cannot_die_by_a_signal_the_status_is_the_one_a_shell_would_show() {
    let mut lab = lab("stack dies").started_by(&as_process_1()).start();
    lab.noted("ready");
    lab.signal_its_child();

    lab.signal(Signal::TERM);
    let ended = lab.end();

    assert_eq!(ended.status.code(), Some(143), "{ended:#?}");
}

/// The words that start a command as process 1 of a namespace of its own.
fn as_process_1() -> Vec<&'static str> {
    let as_root = vec!["unshare", "--pid", "--fork", "--kill-child"];
    let as_anyone = vec!["unshare", "--pid", "--fork", "--kill-child", "--user", "--map-root-user"];
    let works = |words: &Vec<&str>| {
        let tried = Command::new(words[0]).args(&words[1..]).arg("true").output();
        tried.is_ok_and(|output| output.status.success())
    };
    let found = [as_root, as_anyone].into_iter().find(works);
    found.expect("cannot test as process 1: `unshare --pid --fork` works neither as root nor as anyone else")
}
