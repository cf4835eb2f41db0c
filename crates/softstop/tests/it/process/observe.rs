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

#[cfg(feature = "tracing")]
#[test]
fn what_happens_is_traced_to_the_end_also_where_no_worker_ever_comes_back() {
    let mut lab = lab("blocked how=park count=4 total=1.5 trace").start();
    lab.noted_times("blocked", 2);
    lab.noted("ready");

    lab.signal(Signal::INT);

    lab.end().left_with(82).within(12).noted(&["softstop.signal", "softstop.straggler", "softstop.stopped"]);
}

#[cfg(feature = "tracing")]
#[test]
fn giving_up_is_traced_although_the_runtime_takes_no_part_in_it() {
    let mut lab = lab("blocked how=park count=4 trace").start();
    lab.noted_times("blocked", 2);
    lab.noted("ready");

    lab.signal(Signal::QUIT);

    lab.end().left_with(83).noted(&["softstop.signal", "softstop.level", "softstop.straggler", "softstop.stopped"]);
}

#[cfg(feature = "metrics")]
#[test]
fn a_real_stop_is_counted_on_whatever_thread_it_is_measured() {
    let mut lab = lab("stack measure").start();
    lab.noted("ready");

    lab.signal(Signal::TERM);

    lab.end().left_with(0).noted(&[
        "softstop_signals_total{signal=SIGTERM,effect=stop} +1",
        "store closed",
        "softstop_stops_total{reason=signal,level=graceful,status=0} +1",
        "softstop_tasks_total{component=feed,outcome=finished} +1",
    ]);
}

#[cfg(feature = "metrics")]
#[test]
fn giving_up_is_counted_although_the_runtime_takes_no_part_in_it() {
    let mut lab = lab("blocked how=park count=4 measure").start();
    lab.noted_times("blocked", 2);
    lab.noted("ready");

    lab.signal(Signal::QUIT);

    lab.end().left_with(83).noted(&[
        "softstop_losses_total{what=save} +1",
        "softstop_stops_total{reason=signal,level=abandon,status=83} +1",
        "softstop_tasks_total{component=hog,outcome=running} +4",
    ]);
}
