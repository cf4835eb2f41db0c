//! What a real process tells of itself while it runs.

use rustix::process::Signal;

use super::lab;

#[test]
fn every_signal_is_told_with_its_effect_also_while_every_worker_is_blocked() {
    let mut lab = lab("blocked how=park count=4 total=20 signals").start();
    lab.noted_times("blocked", 2);
    lab.noted("ready");

    lab.signal(Signal::TERM);
    lab.noted("signal 15: stop");
    super::pause(300);
    lab.signal(Signal::HUP);
    lab.noted("signal 1: nothing");
    lab.signal(Signal::INT);
    lab.noted("signal 2: hurry");

    lab.signal(Signal::QUIT);
    lab.end().left_with(83);
}

#[test]
fn a_signal_ends_readiness_at_once_also_while_every_worker_is_blocked() {
    let mut lab = lab("blocked how=park count=4 total=20").start();
    lab.noted_times("blocked", 2);
    lab.noted("ready");

    lab.signal(Signal::TERM);
    lab.noted("not ready");

    lab.signal(Signal::QUIT);
    lab.end().left_with(83);
}
