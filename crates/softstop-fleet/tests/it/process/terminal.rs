//! A terminal of a program's own, and a reader that goes away.

use softstop_fleet::process::{Spec, Stream};

use crate::support::{at, available, await_line, run, shell, spec, status_of, written};

fn on_a_terminal(mut spec: Spec) -> Spec {
    spec.terminal = Some((97, 31));
    spec
}

#[test]
fn the_terminal_is_all_three_streams_has_its_size_and_is_the_controlling_one() {
    let script = "stty size; echo err >&2; echo direct > /dev/tty; for n in 0 1 2; do [ -t $n ] && echo is $n; done";
    for level in available() {
        let running = run(&at(level, on_a_terminal(shell(script))));

        assert_eq!(status_of(&running), (Some(0), None), "{level}: {:?}", written(&running));
        assert_eq!(written(&running), ["31 97", "err", "direct", "is 0", "is 1", "is 2"], "{level}");
    }
}

#[test]
fn closing_it_hangs_up_and_whoever_writes_there_gets_an_error() {
    let script = "trap 'trap \"\" HUP; echo x || exit 7; exit 8' HUP; echo there; while :; do sleep 0.01; done";
    for level in available() {
        let running = run(&at(level, on_a_terminal(shell(script))));
        await_line(&running, "there");

        running.close_stream(Stream::Out);

        assert_eq!(status_of(&running), (Some(7), None), "{level}");
    }
}

#[test]
fn who_knows_nothing_of_terminals_ends_by_the_hang_up() {
    let running = run(&on_a_terminal(spec("sleep", &["60"])));

    running.close_stream(Stream::Out);

    assert_eq!(status_of(&running), (None, Some(1)));
}

#[test]
fn one_stream_is_closed_and_the_other_still_read() {
    let script = "trap '' PIPE; echo there; while echo more; do sleep 0.01; done 2>/dev/null; echo told >&2";
    let running = run(&shell(script));
    await_line(&running, "there");

    running.close_stream(Stream::Out);

    await_line(&running, "told");
    assert_eq!(status_of(&running), (Some(0), None));
}
