//! What is seen of a program, and when.

use std::{
    fs,
    time::{Duration, Instant},
};

use softstop_fleet::process::{Sink, Stream};

use crate::support::{LONG, at, available, await_line, run, shell, soon, spec, status_of, until, written};

#[test]
fn exit_code_and_signal_are_told_apart() {
    for level in available() {
        let exits = run(&at(level, shell("exit 7")));
        let dies = run(&at(level, shell("kill -TERM $$; sleep 60")));

        assert_eq!(status_of(&exits), (Some(7), None), "{level}");
        assert_eq!(status_of(&dies), (None, Some(15)), "{level}");
    }
}

#[test]
fn lines_of_both_streams_come_with_the_time_of_their_arrival() {
    let folder = tempfile::tempdir().unwrap();
    let wait = |file: &str| format!("while [ ! -e {}/{file} ]; do sleep 0.01; done", folder.path().display());
    let before = Instant::now();
    let running = run(&shell(&format!("echo one; {}; echo two >&2; {}; printf three", wait("a"), wait("b"))));
    // It goes on only once the line before was seen.
    let [first, second] = [("one", "a"), ("two", "b")].map(|(line, file)| {
        await_line(&running, line);
        let seen = Instant::now();
        fs::write(folder.path().join(file), "").unwrap();
        seen
    });
    assert_eq!(status_of(&running), (Some(0), None));
    assert!(running.wait_gone(soon()).is_some());

    let seen = running.finish();

    let lines: Vec<_> = seen.output.lines().map(|line| (line.stream, line.text(), line.complete)).collect();
    let expected = [(Stream::Out, "one", true), (Stream::Err, "two", true), (Stream::Out, "three", false)];
    assert_eq!(lines, expected.map(|(stream, text, complete)| (stream, text.to_owned(), complete)));
    let times: Vec<Instant> = seen.output.lines().map(|line| line.began).collect();
    let order = [before, times[0], first, times[1], second, times[2], seen.exit.unwrap().at];
    assert!(order.is_sorted(), "{order:?}");
}

#[test]
fn a_child_that_holds_the_streams_open_hangs_nobody() {
    for level in available() {
        let running = run(&at(level, shell("sleep 61 & echo started")));

        assert_eq!(status_of(&running), (Some(0), None));
        await_line(&running, "started");

        assert!(running.look(|seen| seen.gone.is_none() && seen.streams_closed.is_none()), "{level}");
        until(|| running.tree().into_iter().map(|process| process.command).eq([["sleep", "61"]]));
        let killed = running.kill_all(LONG);
        assert!(killed.left.is_empty() && killed.found.len() == 1, "{level}: {killed:?}");
        assert!(running.wait_for(soon(), |seen| seen.streams_closed.is_some()), "{level}");
    }
}

#[test]
fn the_end_of_the_tree_is_told_after_the_exit_and_once_all_children_have_ended() {
    for level in available() {
        let running = run(&at(level, shell("sleep 0.2 & exit 3")));

        let gone = running.wait_gone(soon()).expect("it ends by itself");

        let exit = running.exited().expect("the exit is told first");
        assert_eq!(exit.status.and_then(|status| status.code()), Some(3), "{level}");
        assert!(gone - exit.at >= Duration::from_millis(100), "{level}: {:?}", gone - exit.at);
        assert!(running.look(|seen| !seen.held_open && !seen.keeper_lost), "{level}");
    }
}

#[test]
fn the_time_of_an_exit_does_not_depend_on_who_asks_when() {
    let running = run(&spec("true", &[]));
    assert!(running.wait_gone(soon()).is_some());
    let asked = Instant::now();

    let exit = running.exited().unwrap();

    assert!(running.began() < exit.at && exit.at < asked);
}

#[test]
fn usage_is_that_of_the_whole_tree() {
    for level in available() {
        // A grandchild burns the time, and nobody of the tree waits for it.
        let burn = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done";
        let running = run(&at(level, shell(&format!("({burn}) & exit 0"))));
        assert!(running.wait_gone(soon()).is_some());

        let used = running.look(|seen| seen.usage).unwrap();

        if level != softstop_fleet::process::Level::Group {
            assert!(used.user + used.system > Duration::from_millis(10), "{level}: {used:?}");
        }
        assert!(used.largest_rss_kib > 100, "{level}: {used:?}");
    }
}

#[test]
fn only_the_latest_output_is_kept() {
    let mut wanted = shell("seq 1 20000");
    wanted.output_limit = 10_000;
    let running = run(&wanted);
    assert!(running.wait_gone(soon()).is_some());

    let (last, kept, dropped) = running.look(|seen| {
        let lines = seen.output.lines();
        let kept = lines.len();
        (lines.last().map(|line| line.text()), kept, seen.output.dropped())
    });

    assert_eq!(last.as_deref(), Some("20000"));
    assert!(kept < 200);
    assert_eq!(kept as u64 + dropped, 20_000);
}

#[test]
fn who_writes_to_a_closed_stream_is_told_by_sigpipe() {
    let running = run(&shell("echo first; while sleep 0.01; do echo more; done"));
    await_line(&running, "first");

    running.close_stream(Stream::Out);

    assert_eq!(status_of(&running), (None, Some(13)));
    assert!(running.wait_for(soon(), |seen| seen.streams_closed.is_some() && !seen.held_open));
}

#[test]
fn a_main_process_that_ends_at_once_has_a_number_all_the_same() {
    for level in available() {
        for _ in 0..10 {
            assert_ne!(run(&at(level, spec("true", &[]))).pid(), 0, "{level}");
        }
    }
}

#[test]
fn times_are_those_of_the_monotonic_clock_that_the_program_reads_too() {
    let script = "import os,time; os.write(1, b'%d\\n' % time.monotonic_ns()); os._exit(0)";
    let (mut late, mut ended) = (Vec::new(), Vec::new());
    for _ in 0..15 {
        let running = run(&spec("python3", &["-c", script]));
        assert_eq!(status_of(&running), (Some(0), None));
        assert!(running.wait_for(soon(), |seen| seen.streams_closed.is_some()));
        let written_at = Duration::from_nanos(written(&running)[0].parse().unwrap());

        let clock = monotonic();
        let now = Instant::now();
        let arrived = running.look(|seen| seen.output.lines().next().unwrap().began);
        let exited = running.exited().unwrap().at;
        late.push((clock - (now - arrived)).saturating_sub(written_at));
        ended.push((clock - (now - exited)).saturating_sub(written_at));
    }

    late.sort();
    ended.sort();
    eprintln!("a line arrives after {late:?},\nan exit right after it is told after {ended:?}");
    assert!(late[late.len() / 2] < Duration::from_millis(20), "{late:?}");
    assert!(ended[ended.len() / 2] < Duration::from_millis(50), "{ended:?}");
}

fn monotonic() -> Duration {
    rustix::time::clock_gettime(rustix::time::ClockId::Monotonic).try_into().unwrap()
}

#[test]
fn a_stream_that_goes_elsewhere_is_not_captured() {
    let mut wanted = shell("echo out; echo err >&2");
    wanted.stdout = Sink::Null;
    let running = run(&wanted);
    assert!(running.wait_gone(soon()).is_some());

    assert_eq!(written(&running), ["err"]);
}
