//! What the tests share.

use std::{
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::Command,
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use softstop_fleet::process::{Contain, Level, Running, Spec, levels, start};

/// Longer than anything takes; a test that waits for it fails.
pub(crate) const LONG: Duration = Duration::from_secs(20);

pub(crate) fn keeper() -> PathBuf {
    env!("CARGO_BIN_EXE_softstop-keeper").into()
}

pub(crate) fn soon() -> Instant {
    Instant::now() + LONG
}

/// A program, started by the crate's own keeper: the main function of a test is the test runner's.
pub(crate) fn spec(program: &str, args: &[&str]) -> Spec {
    let mut spec = Spec::new(program).args(args);
    spec.trampoline = keeper();
    spec
}

pub(crate) fn shell(script: &str) -> Spec {
    spec("sh", &["-c", script])
}

pub(crate) fn at(level: Level, mut spec: Spec) -> Spec {
    spec.contain = Contain::At(level);
    spec
}

pub(crate) fn run(spec: &Spec) -> Running {
    start(spec).unwrap_or_else(|error| panic!("{error}: {:?}; {}", std::error::Error::source(&error), error.hint()))
}

/// The levels that work here; that of the subreaper always does.
pub(crate) fn available() -> Vec<Level> {
    let tried = levels(&keeper());
    tried.into_iter().filter(|(_, works)| works.is_ok()).map(|(level, _)| level).collect()
}

/// What the program has written, the lines of both streams.
pub(crate) fn written(running: &Running) -> Vec<String> {
    running.look(|seen| seen.output.lines().map(|line| line.text()).collect())
}

/// Waits for what nobody tells us of.
pub(crate) fn until(mut is_so: impl FnMut() -> bool) {
    let end = soon();
    while !is_so() {
        assert!(Instant::now() < end, "it never came");
        thread::park_timeout(Duration::from_millis(2));
    }
}

/// Waits until the program has written this line.
pub(crate) fn await_line(running: &Running, text: &str) {
    let written_it =
        running.wait_for(soon(), |seen| seen.output.lines().any(|line| line.complete && line.text() == text));
    assert!(written_it, "no line `{text}` in {:?}", written(running));
}

/// Waits for the end of the main process: its exit code, or the signal that ended it.
pub(crate) fn status_of(running: &Running) -> (Option<i32>, Option<i32>) {
    let exit = running.wait(soon()).expect("the program ends");
    let status = exit.status.expect("the keeper has told it");
    (status.code(), status.signal())
}

/// Python itself: what is found by the name may be a script that looks for it.
pub(crate) fn interpreter() -> &'static str {
    static FOUND: OnceLock<String> = OnceLock::new();
    FOUND.get_or_init(|| {
        let asked = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output().unwrap();
        String::from_utf8(asked.stdout).unwrap().trim().to_owned()
    })
}
