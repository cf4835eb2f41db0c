//! Real processes and real signals. Each test starts the helper program `tests/lab`, tells it by
//! signals, and looks at what it left: status, journal, report, standard error.
//!
//! Waiting is always for a state, with a bound far beyond what it takes; pauses stand only where
//! the time between two signals is what is tested.
#![expect(
    clippy::unwrap_used,
    reason = "a test may stop at the first surprise; clippy.toml does not reach the helpers of tests/"
)]

mod blockers;
mod hooks;
mod levels;
mod observe;
mod output;
mod pipeline;
mod starting;
mod statuses;
#[cfg(feature = "systemd")]
mod systemd;
mod thread;
mod window;

use std::{
    ffi::OsString,
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// Whatever is waited for comes at once on an idle machine; this one is busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// The helper program, not started yet.
struct Lab {
    words: Vec<String>,
    dispositions: Vec<String>,
    before: Vec<String>,
    variables: Vec<(String, OsString)>,
    report: bool,
    output: Option<(Stdio, Stdio)>,
}

fn lab(words: &str) -> Lab {
    Lab {
        words: words.split_whitespace().map(str::to_owned).collect(),
        // A shell in the background, and nohup, start their children with signals ignored.
        dispositions: vec!["--default-signal=HUP,INT,QUIT,TERM,USR1".to_owned()],
        before: Vec::new(),
        variables: Vec::new(),
        report: true,
        output: None,
    }
}

impl Lab {
    /// Started with this signal ignored, as `nohup` and `&` do.
    fn ignoring(mut self, signal: &str) -> Self {
        self.dispositions.push(format!("--ignore-signal={signal}"));
        self
    }

    /// Started with this signal blocked, as by a parent that waits for it by sigwait(3).
    fn blocking(mut self, signal: &str) -> Self {
        self.dispositions.push(format!("--block-signal={signal}"));
        self
    }

    /// Started by another command, in front of its own words.
    fn started_by(mut self, words: &[&str]) -> Self {
        self.before = words.iter().map(ToString::to_string).collect();
        self
    }

    /// Started with this variable in its environment.
    #[cfg(feature = "systemd")]
    fn with(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    fn output(mut self, stdout: impl Into<Stdio>, stderr: impl Into<Stdio>) -> Self {
        self.output = Some((stdout.into(), stderr.into()));
        self
    }

    fn without_report(mut self) -> Self {
        self.report = false;
        self
    }

    fn start(self) -> Running {
        let dir = tempfile::tempdir().unwrap();
        let words: Vec<String> = self.before.into_iter().chain(["env".to_owned()]).chain(self.dispositions).collect();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg(program()).args(&self.words).stdin(Stdio::null());
        command.env("LAB_JOURNAL", dir.path().join("journal")).env("TOKIO_WORKER_THREADS", "2");
        // A backtrace of a debug build takes longer than all emergency hooks together may.
        command.env_remove("SOFTSTOP_REPORT").env("RUST_BACKTRACE", "0");
        // What a service manager may have said to these tests is not meant for the program.
        for name in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"] {
            command.env_remove(name);
        }
        command.envs(self.variables);
        if self.report {
            command.env("SOFTSTOP_REPORT", dir.path().join("report.json"));
        }
        let (stdout, stderr) = self.output.unwrap_or_else(|| (Stdio::piped(), Stdio::piped()));
        let mut child = command.stdout(stdout).stderr(stderr).spawn().unwrap();
        let said = Said::default();
        if let Some(stderr) = child.stderr.take() {
            said.read(stderr);
        }
        if let Some(stdout) = child.stdout.take() {
            said.read(stdout);
        }
        let pid = child.id();
        Running { child, pid, dir, said, signalled: Instant::now() }
    }
}

/// Where cargo puts the examples of the profile that these tests were built with.
fn program() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let program = tests.parent().and_then(Path::parent).unwrap().join("examples/lab");
    assert!(program.exists(), "no {}: build it with `cargo build -p softstop --example lab`", program.display());
    program
}

/// What the program printed so far, line by line.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<String>>>);

impl Said {
    fn read(&self, from: impl Read + Send + 'static) {
        let lines = Arc::clone(&self.0);
        let read = move || {
            for line in BufReader::new(from).lines().map_while(Result::ok) {
                lines.lock().unwrap().push(line);
            }
        };
        std::thread::spawn(read);
    }

    /// The readers hold the lines as long as they read.
    fn is_being_read(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// The helper program while it runs; killed when the test is over before it is.
struct Running {
    child: Child,
    /// Of the helper itself, where something else started it.
    pid: u32,
    dir: TempDir,
    said: Said,
    signalled: Instant,
}

impl Running {
    fn signal(&mut self, signal: Signal) {
        let pid = Pid::from_raw(self.pid.try_into().unwrap()).unwrap();
        self.signalled = Instant::now();
        // Not waited for yet: at worst a zombie, so the number is nobody else's.
        kill_process(pid, signal).unwrap();
    }

    /// Lets the tasks go on that wait at the gate.
    fn open_gate(&self) {
        fs::write(self.dir.path().join("journal.go"), "").unwrap();
    }

    fn journal(&self) -> Vec<String> {
        let text = fs::read_to_string(self.dir.path().join("journal")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Waits until the program has noted this line.
    fn noted(&mut self, line: &str) {
        self.noted_times(line, 1);
    }

    fn noted_times(&mut self, line: &str, times: usize) {
        self.wait_for(&format!("journal: {line} x{times}"), |lab| {
            lab.journal().iter().filter(|l| *l == line).count() >= times
        });
    }

    /// Waits until the program has printed a line with this text.
    fn printed(&mut self, text: &str) {
        self.wait_for(&format!("printed: {text}"), |lab| lab.said.lines().iter().any(|line| line.contains(text)));
    }

    fn wait_for(&mut self, what: &str, seen: impl Fn(&Self) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !seen(self) {
            let ended = self.child.try_wait().unwrap();
            if (ended.is_some() && !seen(self)) || Instant::now() > until {
                panic!("waiting for `{what}`: {ended:?}\n{}", self.story());
            }
            pause(2);
        }
    }

    /// For a program started by another one, which is the parent of the one to be signalled.
    fn signal_its_child(&mut self) {
        let parent = self.child.id();
        self.pid = children_of(parent).into_iter().next().unwrap_or_else(|| panic!("{parent} has no child"));
    }

    /// Waits until it has ended.
    fn end(mut self) -> Ended {
        let until = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < until, "it does not end\n{}", self.story());
            pause(2);
        };
        let took = self.signalled.elapsed();
        let report = fs::read_to_string(self.dir.path().join("report.json")).ok();
        let report = report.map(|text| serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e} in {text}")));
        // Everything it printed is in the pipes by now: the readers come to their ends.
        let patience = Instant::now() + PATIENCE;
        while self.said.is_being_read() && Instant::now() < patience {
            pause(2);
        }
        Ended { status, took, report, journal: self.journal(), said: self.said.lines() }
    }

    fn story(&self) -> String {
        format!("journal: {:#?}\nprinted: {:#?}", self.journal(), self.said.lines())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a run left behind.
#[derive(Debug)]
struct Ended {
    status: ExitStatus,
    /// From the last signal to the end.
    took: Duration,
    report: Option<Value>,
    journal: Vec<String>,
    said: Vec<String>,
}

impl Ended {
    /// It left with this status, and its report says the same.
    #[track_caller]
    fn left_with(self, status: i32) -> Self {
        assert_eq!(self.status.code(), Some(status), "{self:#?}");
        if let Some(report) = &self.report {
            assert_eq!(report["status"], status, "{self:#?}");
        }
        self
    }

    #[track_caller]
    fn died_by(self, signal: Signal) -> Self {
        assert_eq!(self.status.signal(), Some(signal.as_raw()), "{self:#?}");
        self
    }

    #[track_caller]
    fn within(self, seconds: u64) -> Self {
        assert!(self.took < Duration::from_secs(seconds), "{self:#?}");
        self
    }

    #[track_caller]
    fn report(&self) -> &Value {
        self.report.as_ref().unwrap_or_else(|| panic!("no report: {self:#?}"))
    }

    /// The journal has these lines, in this order, possibly with others between.
    #[track_caller]
    fn noted(self, lines: &[&str]) -> Self {
        let mut journal = self.journal.iter();
        for line in lines {
            assert!(journal.any(|l| l == line), "`{line}` of {lines:?} is not in its place: {self:#?}");
        }
        self
    }

    #[track_caller]
    fn never_noted(self, line: &str) -> Self {
        assert!(!self.journal.iter().any(|l| l == line), "`{line}`: {self:#?}");
        self
    }

    #[track_caller]
    fn printed(self, text: &str) -> Self {
        assert!(self.said.iter().any(|line| line.contains(text)), "nothing with `{text}`: {self:#?}");
        self
    }

    /// What each signal did, in the order of arrival.
    #[track_caller]
    fn effects(&self) -> Vec<String> {
        let signals = self.report()["signals"].as_array().unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        signals.iter().map(|s| format!("{} {}", text(&s["signal"]), text(&s["effect"]))).collect()
    }

    /// When each signal arrived, in milliseconds from the beginning of the stop.
    #[track_caller]
    fn arrivals(&self) -> Vec<f64> {
        let begun = self.report()["ran_ms"].as_f64().unwrap();
        let signals = self.report()["signals"].as_array().unwrap();
        signals.iter().map(|s| s["at_ms"].as_f64().unwrap() - begun).collect()
    }

    #[track_caller]
    fn level(&self) -> &str {
        self.report()["level"].as_str().unwrap()
    }

    #[track_caller]
    fn reason(&self) -> String {
        let reason = &self.report()["reason"];
        format!("{} {}", reason["kind"].as_str().unwrap(), reason["detail"].as_str().unwrap())
    }

    /// How many of `what` were declared lost.
    #[track_caller]
    fn lost(&self, what: &str) -> u64 {
        let losses = self.report()["losses"].as_array().unwrap();
        losses.iter().filter(|loss| loss["what"] == what).map(|loss| loss["count"].as_u64().unwrap()).sum()
    }

    /// The number behind this word in the journal.
    #[track_caller]
    fn number(&self, word: &str) -> u64 {
        let number = self.journal.iter().find_map(|line| line.strip_prefix(word)?.trim().parse().ok());
        number.unwrap_or_else(|| panic!("no number of `{word}`: {self:#?}"))
    }
}

fn children_of(parent: u32) -> Vec<u32> {
    let numbers = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let is_child = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // proc_pid_stat(5): the name in brackets, then the state, then the parent.
        let parent_of_it = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)?.parse().ok());
        parent_of_it == Some(parent)
    };
    numbers.filter(is_child).collect()
}

#[expect(clippy::disallowed_methods, reason = "the time between two signals is what is tested; states are polled")]
fn pause(millis: u64) {
    std::thread::sleep(Duration::from_millis(millis));
}
