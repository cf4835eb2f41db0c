//! What is done to a program arrives there as it is said.

use softstop_fleet::prove::{judge::Rule, scenario::Severity};

use super::{Program, assert_passed, log, only, problem};

/// Writes who of it received which signal. It has a child, and another one in a session of its own.
const RECORDER: &str = r#"
import os, signal, subprocess, sys, time
name = sys.argv[1] if len(sys.argv) > 1 else "main"
until = float("inf")
def on(number, frame):
    global until
    os.write(1, f"{name} {signal.Signals(number).name[3:]}\n".encode())
    until = min(until, time.monotonic() + 0.25)
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
    signal.signal(number, on)
children = []
if name == "main":
    here, there = os.pipe()
    for child, far in (("child", False), ("far", True)):
        command = [sys.executable, __file__, child, str(there)]
        children.append(subprocess.Popen(command, start_new_session=far, pass_fds=[there]))
    up = b""
    while len(up) < 2:
        up += os.read(here, 2)
    os.write(1, b"ready\n")
else:
    os.write(int(sys.argv[2]), b"u")
while time.monotonic() < until:
    time.sleep(0.01)
for child in children:
    child.kill()
    child.wait()
"#;

/// What the recorder wrote after it was ready, sorted: who comes first among several processes is the kernel's choice.
fn received(line: &str) -> Vec<String> {
    let verdict = Program::new(RECORDER).replay(line, "");
    assert_passed(&verdict);
    let mut lines: Vec<String> = log(&verdict).into_iter().map(str::to_owned).collect();
    lines.retain(|line| line != "ready");
    lines.sort();
    lines
}

#[test]
fn a_signal_goes_to_the_main_process_the_group_or_all() {
    assert_eq!(received("INT at ready"), ["main INT"]);
    assert_eq!(received("INT at ready, to group"), ["child INT", "main INT"]);
    assert_eq!(received("TERM at ready, to all"), ["child TERM", "far TERM", "main TERM"]);
}

#[test]
fn pairs_come_both_in_their_order_and_after_their_gap() {
    let program = Program::new(RECORDER);
    for (line, expected) in [
        ("INT at ready, INT 50ms later", ["ready", "main INT", "main INT"]),
        ("INT at ready, TERM 50ms later", ["ready", "main INT", "main TERM"]),
        ("HUP at ready, QUIT at acted+20ms", ["ready", "main HUP", "main QUIT"]),
    ] {
        let verdict = program.replay(line, "");

        assert_passed(&verdict);
        assert_eq!(log(&verdict), expected, "{line}");
        let sent = &only(&verdict).sent;
        let gap = (sent[1].at - sent[0].at).as_millis();
        assert!((20..200).contains(&gap), "{line}: {gap} ms");
    }
}

#[test]
fn a_storm_is_so_many_signals_of_which_the_kernel_keeps_at_least_one() {
    let verdict = Program::new(RECORDER).replay("TERM x50 at ready", "");

    assert_passed(&verdict);
    assert_eq!(only(&verdict).sent[0].act.times, 50);
    let received = log(&verdict).into_iter().filter(|line| *line == "main TERM").count();
    assert!((1..=50).contains(&received), "{received}");
}

#[test]
fn kill_after_term_ends_at_once_and_is_no_fault_of_the_exit() {
    let deaf = "import os, signal, time\nsignal.signal(signal.SIGTERM, lambda *_: os.write(1, b'heard\\n'))\n\
                os.write(1, b'ready\\n')\nwhile True: time.sleep(0.01)";

    let verdict = Program::new(deaf).replay("TERM at ready, KILL 50ms later", "rules: {gone_within: 300ms}");

    assert_passed(&verdict);
    assert_eq!(log(&verdict), ["ready", "heard"]);
    assert_eq!(only(&verdict).exit.to_string(), "ended by signal 9 (KILL)");
}

/// Writes into a file what became of its terminal.
const ON_A_TERMINAL: &str = r#"
import errno, os, signal, sys, time
file = open(os.path.join(os.path.dirname(__file__), "seen"), "a")
def on(number, frame):
    said = [signal.Signals(number).name]
    for deed in (lambda: os.write(1, b"bye\n"), lambda: os.write(2, b"bye\n")):
        try:
            deed()
            said.append("written")
        except OSError as error:
            said.append(errno.errorcode[error.errno])
    said.append("empty" if os.read(0, 1) == b"" else "typed")
    print(*said, file=file, flush=True)
    os._exit(0)
signal.signal(signal.SIGHUP, on)
terminals = [os.isatty(n) for n in (0, 1, 2)]
print(terminals, *os.get_terminal_size() if all(terminals) else (), file=file, flush=True)
os.write(1, b"ready\n")
while True:
    time.sleep(0.01)
"#;

#[test]
fn a_hang_up_takes_a_real_terminal_away() {
    let program = Program::new(ON_A_TERMINAL);

    let verdict = program.replay("hang-up at ready", "");

    assert_passed(&verdict);
    let seen = program.file("seen");
    let lines: Vec<&str> = seen.lines().collect();
    // The first is that of the rehearsal, which is no trial of a hang-up.
    assert_eq!(lines[1..], ["[True, True, True] 80 24", "SIGHUP EIO EIO empty"], "{seen}");
    assert_eq!(lines[0], "[False, False, False]");
    assert_eq!(log(&verdict), ["ready"]);
}

#[test]
fn who_ends_by_sigpipe_after_its_reader_has_gone_has_done_well() {
    let shell = "command: [sh, -c, \"trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.01; done\"]";

    let verdict = Program::new("").replay("close-stdout at ready, TERM 0ms later", shell);

    assert_passed(&verdict);
    assert_eq!(only(&verdict).exit.to_string(), "ended by signal 13");
    assert_eq!(verdict.warned, 0, "{}", verdict.to_text(120));
}

#[test]
fn what_a_language_says_of_a_lost_reader_is_a_warning_and_what_is_left_a_failure() {
    let program = |path: &str| {
        Program::new(&format!(
            "import os, signal, sys, time\nlock = open('{path}', 'w')\n\
             def stop(*_):\n    print('stopping', flush=True)\n    sys.exit()\n\
             signal.signal(signal.SIGTERM, stop)\nos.write(1, b'ready\\n')\nwhile True: time.sleep(0.01)"
        ))
    };
    let line = "close-stdout at ready, TERM 0ms later";

    let (quiet, leaves) = (program("/dev/null").replay(line, ""), program("/tmp/left").replay(line, ""));

    assert_passed(&quiet);
    let warned = problem(&quiet, Rule::Lines, Severity::Warning).unwrap();
    assert!(warned.log.iter().any(|line| line.text.contains("BrokenPipeError")), "{}", quiet.to_text(120));
    if leaves.isolation.iter().any(|had| had.starts_with("/tmp")) {
        assert!(problem(&leaves, Rule::Files, Severity::Failure).is_some(), "{}", leaves.to_text(120));
    }
}
