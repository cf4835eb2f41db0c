//! Signals and faults at system calls.

use std::time::{Duration, Instant};

use softstop_fleet::prove::{judge::Rule, scenario::Severity};

use super::{Program, assert_passed, problem};
use crate::support::interpreter;

/// Saves before it is ready, and ends at once when it is told to.
fn saver(save: &str) -> Program {
    Program::new(&format!(
        "import os, signal, sys, time\nplace = os.path.dirname(sys.argv[0])\npath = os.path.join(place, 'data')\n\
         if 'check' in sys.argv: sys.exit(0 if not os.path.exists(path) or open(path).read() == 'all' else 'torn')\n\
         def stop(*_): sys.exit()\nsignal.signal(signal.SIGTERM, stop)\n\
         {save}\nos.write(1, b'ready\\n')\nwhile True: time.sleep(0.01)"
    ))
}

const TORN: &str = "f = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)\nos.write(f, b'all')\nos.close(f)";
const WHOLE: &str = "f = os.open(path + '.new', os.O_WRONLY | os.O_CREAT | os.O_TRUNC)\nos.write(f, b'all')\nos.close(f)\n\
                     os.rename(path + '.new', path)";

fn checked(program: &Program, rest: &str) -> String {
    let (python, script) = (interpreter(), program.script());
    let script = script.display();
    format!(
        "command: [{python}, -S, {script}]\ncheck: [{python}, -S, {script}, check]\nsignals: [TERM]\nbudget: 30s\n{rest}"
    )
}

#[test]
fn a_file_that_is_empty_between_two_calls_is_found_and_its_line_finds_it_again() {
    let program = saver(TORN);
    let verdict = program.prove(&checked(&program, "moments: [syscalls]\ntrials: 20"));

    let found = problem(&verdict, Rule::Check, Severity::Failure);
    let line = found.unwrap_or_else(|| panic!("{}", verdict.to_text(120))).replay.to_string();
    assert!(line.starts_with("TERM at openat#") && line.contains(" pid1,"), "{line}");
    for _ in 0..5 {
        let again = program.replay(&line, &checked(&program, ""));
        assert!(problem(&again, Rule::Check, Severity::Failure).is_some(), "{}", again.to_text(120));
    }
    assert!(verdict.rows.iter().all(|row| row.exit.is_none()), "times under ptrace are none");
    let repaired = saver(WHOLE);
    assert_passed(&repaired.prove(&checked(&repaired, "moments: [syscalls]\ntrials: 20")));
}

#[test]
fn a_second_act_comes_exactly_within_the_cleanup() {
    let program = Program::new(
        "import os, signal, sys, time\npath = os.path.join(os.path.dirname(sys.argv[0]), 'data')\nsteps = []\n\
         def step(call, *args):\n    call(*args)\n    open(path, 'a').write(call.__name__ + ' ')\n\
         def stop(*_):\n    f = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)\n\
         \x20   step(os.fsync, f); step(os.fsync, f); step(os.fdatasync, f)\n    sys.exit()\n\
         signal.signal(signal.SIGTERM, stop)\nos.sync()\nos.write(1, b'ready\\n')\nwhile True: time.sleep(0.01)",
    );
    let replayed = |line: &str| {
        assert_passed(&program.replay(line, ""));
        program.file("data")
    };

    assert_eq!(replayed("TERM at ready"), "fsync fsync fdatasync ");
    for _ in 0..5 {
        assert_eq!(replayed("TERM at ready, KILL at fsync#2 pid1"), "fsync ");
        assert_eq!(replayed("TERM at ready, KILL at fdatasync#1 pid1, to all"), "fsync fsync ");
        assert_eq!(replayed("TERM at sync#1 pid1, KILL at fdatasync#1 pid1"), "fsync fsync ");
    }
}

#[test]
fn a_call_that_never_comes_is_waited_for_no_longer_than_makes_sense() {
    let began = Instant::now();

    let verdict = saver(WHOLE).replay("TERM at fsync#9 pid1", "");

    assert_eq!((verdict.trials, verdict.missed), (1, 1), "{}", verdict.to_text(120));
    assert!(began.elapsed() < Duration::from_secs(8));
}

#[test]
fn a_load_does_not_wait_for_who_is_held_before_he_is_ready() {
    let began = Instant::now();
    let program = saver(TORN);

    let load = "load: [sh, -c, 'sleep 0.2']\nready_within: 30s";
    let verdict = program.replay("TERM at sync#1 pid1", load);
    let early = Program::new(
        "import os, signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit())\nos.sync()\nos.write(1, b'ready\\n')\nwhile True: time.sleep(0.01)",
    );
    let held = early.replay("TERM at sync#1 pid1", load);

    assert_eq!(verdict.missed, 1, "it makes no such call: {}", verdict.to_text(120));
    assert_passed(&held);
    assert_eq!(held.missed, 0);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[test]
fn who_says_all_is_well_though_the_disk_was_full_is_found() {
    let saves = |failed: &str| {
        Program::new(&format!(
            "import os, signal, sys, time\npath = os.path.join(os.path.dirname(sys.argv[0]), 'data')\n\
             def stop(*_):\n    try:\n        with open(path, 'w') as data: data.write('all')\n    except OSError as error: {failed}\n    sys.exit()\n\
             signal.signal(signal.SIGTERM, stop)\nos.write(1, b'ready\\n')\nwhile True: time.sleep(0.01)"
        ))
    };
    let line = "TERM at ready, fault disk-full#1";

    let (silent, told) = (saves("print(error)").replay(line, ""), saves("sys.exit(1)").replay(line, ""));

    let found = problem(&silent, Rule::Exit, Severity::Failure);
    let found = found.unwrap_or_else(|| panic!("{}", silent.to_text(120)));
    assert!(found.text.contains("data could not be written"), "{}", found.text);
    assert_passed(&told);
    assert!(told.remarks().iter().any(|said| said == "In 1 trial fault disk-full#1: writes to files failed."));
    let later = saves("sys.exit(1)").replay("TERM at ready, fault disk-full#2", "");
    assert_passed(&later);
    let said = "In 1 trial fault disk-full#2 was not made: it did not write to files so often.";
    assert!(later.remarks().iter().any(|remark| remark == said), "{:?}", later.remarks());
}

#[test]
fn who_waits_for_an_answer_that_never_comes_is_found() {
    let client = |patience: &str| {
        Program::new(&format!(
            "import os, signal, socket, sys, threading, time\nserver = socket.create_server(('127.0.0.1', 0))\n\
             def serve():\n    peer, _ = server.accept()\n    while data := peer.recv(9): peer.sendall(data)\n\
             threading.Thread(target=serve, daemon=True).start()\n\
             peer = socket.create_connection(server.getsockname())\n\
             def ask():\n    peer.settimeout({patience})\n    peer.sendall(b'x')\n    peer.recv(9)\n\
             def stop(*_):\n    try: ask()\n    except TimeoutError: pass\n    os._exit(0)\n\
             signal.signal(signal.SIGTERM, stop)\nask()\nos.write(1, b'ready\\n')\nwhile True: time.sleep(0.01)"
        ))
    };
    let (line, rules) = ("TERM at ready, fault silent-peer", "rules: {gone_within: 2s}");

    let (waits, gives_up) = (client("None").replay(line, rules), client("0.3").replay(line, rules));

    assert!(problem(&waits, Rule::Gone, Severity::Failure).is_some(), "{}", waits.to_text(120));
    assert_passed(&gives_up);
    assert!(gives_up.remarks().iter().any(|said| said == "In 1 trial fault silent-peer: what it sent went nowhere."));
    assert_passed(&client("None").replay("TERM at ready", rules));
}
