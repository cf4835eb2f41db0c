//! Programs that try to escape, each a process or two of ourselves, so that nothing has to be installed.
//!
//! They start processes because that is what they are about; nothing else outside of `process` does.

use std::{
    env,
    process::{Command, Stdio},
    sync::{Arc, atomic::AtomicBool},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    process::setsid,
    time::{ClockId, clock_gettime},
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::MARK;
use crate::process::OURSELVES;

/// What the process that tries to escape writes once it is there.
pub(super) const READY: &str = "ready";
/// Whoever does escape ends by itself after this time.
const LIFETIME: Duration = Duration::from_secs(20);
/// A chain that escapes costs a processor, so it ends sooner.
const CHAIN_LIFETIME: Duration = Duration::from_secs(6);

/// A way to outlive who started you.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pattern {
    /// A child in the same process group.
    Plain,
    /// The same, deaf to TERM, INT and HUP.
    IgnoresTerm,
    /// A child in a session of its own.
    Setsid,
    /// A grandchild in a session of its own, whose parent has ended.
    DoubleFork,
    /// The same, deaf to TERM, INT and HUP.
    DoubleForkIgnoresTerm,
    /// Each generation turns deaf, starts a session, starts the next one, and ends.
    ForkChain,
}

impl Pattern {
    pub(super) const ALL: [Self; 6] =
        [Self::Plain, Self::IgnoresTerm, Self::Setsid, Self::DoubleFork, Self::DoubleForkIgnoresTerm, Self::ForkChain];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::IgnoresTerm => "ignores TERM",
            Self::Setsid => "setsid",
            Self::DoubleFork => "double fork",
            Self::DoubleForkIgnoresTerm => "double fork, ignores TERM",
            Self::ForkChain => "fork chain",
        }
    }

    /// The acts of the process that is started by the main one.
    fn acts(self) -> &'static [&'static str] {
        match self {
            Self::Plain => &["stay"],
            Self::IgnoresTerm => &["deaf", "stay"],
            Self::Setsid => &["setsid", "stay"],
            Self::DoubleFork => &["setsid", "fork", "stay"],
            Self::DoubleForkIgnoresTerm => &["deaf", "setsid", "fork", "deaf", "stay"],
            Self::ForkChain => &["setsid", "fork", "chain"],
        }
    }
}

/// The arguments of the main process.
pub(super) fn arguments(pattern: Pattern) -> Vec<&'static str> {
    let acts = ["start"].iter().chain(pattern.acts());
    [MARK, "pattern"].iter().chain(acts).copied().collect()
}

/// Does what the arguments say, one after another.
pub(super) fn perform(acts: &[String]) {
    let mut rest = acts;
    while let Some((act, then)) = rest.split_first() {
        rest = then;
        match act.as_str() {
            "start" => {
                go_on(then.to_vec());
                return stay();
            }
            "fork" => return go_on(then.to_vec()),
            "setsid" => drop(setsid()),
            "deaf" => deafen(),
            "stay" => {
                say_ready();
                return stay();
            }
            "chain" => return chain(then.first()),
            _ => return,
        }
    }
}

fn go_on(acts: Vec<String>) {
    let mut command = Command::new(OURSELVES);
    command.args([MARK, "pattern"]).args(acts).stdin(Stdio::null());
    // Who cannot start another has failed to escape, and the test says that nobody was ready.
    drop(command.spawn());
}

fn deafen() {
    for number in [SIGTERM, SIGINT, SIGHUP] {
        let _ = signal_hook::flag::register(number, Arc::new(AtomicBool::new(false)));
    }
}

#[expect(clippy::print_stdout, reason = "the program of a pattern writes as any program does")]
fn say_ready() {
    println!("{READY}");
}

fn stay() {
    let end = Instant::now() + LIFETIME;
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        thread::park_timeout(left);
    }
}

/// `end` is a time of the monotonic clock in milliseconds; the first generation sets it.
fn chain(end: Option<&String>) {
    deafen();
    let _ = setsid();
    let now = Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap_or_default();
    let end = end.and_then(|end| end.parse().ok()).map_or_else(
        || {
            say_ready();
            now + CHAIN_LIFETIME
        },
        Duration::from_millis,
    );
    if now < end {
        go_on(vec!["chain".to_owned(), end.as_millis().to_string()]);
    }
}

/// The acts that this process was started for.
pub(super) fn acts() -> Vec<String> {
    env::args().skip(3).collect()
}
