use std::time::Duration;

use super::*;
use crate::prove::trial::Stream;

fn find(text: &str, signals: &[Signal]) -> Vec<Hit> {
    let line = |text: &str| LogLine { at: Duration::ZERO, stream: Stream::Err, text: text.to_owned() };
    let log: Vec<LogLine> = text.lines().map(line).collect();
    Lines::new(&Pack::ALL, &[]).find(&log, signals)
}

#[test]
fn every_pattern_of_every_pack_is_a_regular_expression() {
    for line in Pack::ALL.iter().flat_map(|pack| pack.lines()) {
        assert_eq!(check(line.pattern), Ok(()), "{}", line.pattern);
        assert!(!line.means.is_empty() && !line.hint.is_empty());
    }
}

#[test]
fn what_real_programs_print_is_found() {
    let printed = [
        "Task was destroyed but it is pending!",
        "Unclosed client session",
        "sys:1: RuntimeWarning: coroutine 'main' was never awaited",
        "Exception ignored in: <function _SSLProtocolTransport.__del__ at 0x7f>",
        "/usr/lib/python3/x.py:1: ResourceWarning: unclosed <socket.socket fd=3>",
        "node:internal/process/promises:394\n      triggerUncaughtException(err, true /* fromPromise */);",
        "[UnhandledPromiseRejection: This error originated either by throwing inside of an async function",
        "panic: send on closed channel",
        "fatal error: all goroutines are asleep - deadlock!",
        "thread 'main' panicked at src/main.rs:3:5:",
        "thread 'tokio-rt-worker' (12345) panicked at src/main.rs:3:5:",
        "Exception in thread \"main\" java.lang.InterruptedException",
    ];
    for text in printed {
        assert_eq!(find(text, &[Signal::Term]).len(), 1, "{text}");
    }
    let harmless = "INFO stopping\nno panic: all good\nINFO tasks pending: 0\nclosed client session";
    assert_eq!(find(harmless, &[Signal::Term]), []);
}

const INTERRUPTED: &str = r#"Traceback (most recent call last):
  File "/usr/lib/python3.11/asyncio/runners.py", line 118, in run
    return self._loop.run_until_complete(task)
asyncio.exceptions.CancelledError

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "agent.py", line 9, in <module>
    asyncio.run(main())
KeyboardInterrupt"#;

#[test]
fn a_traceback_that_ends_in_keyboard_interrupt_is_told_apart() {
    let hits = find(INTERRUPTED, &[Signal::Int]);
    assert_eq!((hits.len(), hits[0].times), (1, 2));
    assert!(hits[0].keyboard_interrupt);

    assert!(!find(INTERRUPTED, &[Signal::Term])[0].keyboard_interrupt, "nobody interrupted it");
    let other = "Traceback (most recent call last):\n  File \"a.py\", line 1\nOSError: disk full\nKeyboardInterrupt is mentioned";
    assert!(!find(other, &[Signal::Int])[0].keyboard_interrupt);
    let both = format!("{INTERRUPTED}\nTraceback (most recent call last):\n  File \"a.py\"\nOSError: disk full");
    assert!(!find(&both, &[Signal::Int])[0].keyboard_interrupt);
}

#[test]
fn so_is_one_whose_printing_a_second_one_interrupts() {
    let log = "Traceback (most recent call last):\n  File \"a.py\", line 1, in <module>\n         object address  : 0x7fc936ae03a0\n\
               object refcount : 2\nobject type     : 0x9f12e0\nobject type name: KeyboardInterrupt\n\
               object repr     : KeyboardInterrupt()\nlost sys.stderr";

    assert!(find(log, &[Signal::Int, Signal::Int])[0].keyboard_interrupt);
    let other = log.replace("KeyboardInterrupt", "OSError");
    assert!(!find(&other, &[Signal::Int, Signal::Int])[0].keyboard_interrupt);
}

#[test]
fn so_is_an_exception_that_nobody_could_take() {
    let ignored = |exception: &str| {
        format!(
            "Exception ignored in: <module 'threading' from 'threading.py'>\nTraceback (most recent call last):\n  File \"threading.py\"\n{exception}"
        )
    };

    assert!(find(&ignored("KeyboardInterrupt: "), &[Signal::Int]).iter().all(|hit| hit.keyboard_interrupt));
    assert!(find(&ignored("OSError: disk full"), &[Signal::Int]).iter().all(|hit| !hit.keyboard_interrupt));
}

#[test]
fn a_second_interrupt_breaks_into_what_is_being_closed() {
    let closing = format!(
        "Traceback (most recent call last):\n  File \"codecs\"\nOSError: [Errno 9] Bad file descriptor\n{INTERRUPTED}"
    );

    assert!(find(&closing, &[Signal::Int, Signal::Int])[0].keyboard_interrupt);
    assert!(!find(&closing, &[Signal::Int])[0].keyboard_interrupt, "it came once, and something else went wrong");
}

#[test]
fn a_signal_that_finds_the_loop_half_closed_is_a_warning() {
    let log = "Exception ignored when trying to write to the signal wakeup fd:\nTraceback (most recent call last):\n  File \"unix_events.py\"\nBrokenPipeError: [Errno 32] Broken pipe";

    let hits = find(log, &[Signal::Int, Signal::Int]);

    assert_eq!(hits.iter().map(|hit| hit.severity).collect::<Vec<_>>(), [Severity::Warning]);
}

#[test]
fn lines_of_ones_own_bring_their_hint() {
    let own = OwnLine { pattern: "lost [0-9]+ rows".to_owned(), hint: Some("flush first".to_owned()) };
    let log = [LogLine { at: Duration::ZERO, stream: Stream::Out, text: "lost 3 rows".to_owned() }];

    let hits = Lines::new(&[], &[own]).find(&log, &[]);

    assert_eq!(hits[0].hint, "flush first");
}
