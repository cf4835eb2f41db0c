//! Shows what the containment of this machine is worth: programs that try to escape, at every level, and who is left.
//!
//! Each trial asks all of the tree to end by TERM, kills it 0.3 s later, and then counts. Two more kill the
//! process that watches, by `kill -9`, and nothing else. Whether somebody is left is not asked of the code under test:
//! every process of a pattern holds a pipe, and the kernel says when the last one has let go of it.

mod patterns;
mod table;

use std::{
    env, io,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use rustix::process::getuid;

pub use patterns::Pattern;
use patterns::READY;

use crate::process::{Contain, Level, OURSELVES, Running, Signal, Sink, Spec, StartError, Target, levels, start};

/// The first argument of who plays a part in this test; the second is the part.
const MARK: &str = "--softstop-selftest";
/// An ordinary user where we are root: `nobody`.
const NOBODY: u32 = 65534;
/// From TERM to KILL.
const GRACE: Duration = Duration::from_millis(300);
/// Longer than any start or kill takes.
const LIMIT: Duration = Duration::from_secs(10);
/// How long after everything should be gone it is looked for.
const AFTER: Duration = Duration::from_secs(1);
/// Starts of `true` of which the median is shown.
const STARTS: usize = 21;

/// What was found, for root and for an ordinary user where both can be had.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Selftest {
    /// One for each user.
    pub users: Vec<User>,
}

/// What was found as one user.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct User {
    /// The user's number.
    pub uid: u32,
    /// All levels, strongest first.
    pub levels: Vec<Tried>,
}

/// What was found at one level.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Tried {
    /// The level.
    pub level: Level,
    /// The trials; none if the level cannot be had.
    pub trials: Vec<Trial>,
    /// Median time that starting `true` takes, until it is executed, and until everything of it is put away.
    pub start: Option<(Duration, Duration)>,
    /// Why the level cannot be had.
    pub refused: Option<String>,
}

/// One program that tried to escape.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Trial {
    /// How it tried.
    pub pattern: Pattern,
    /// Whether who watched it was killed, instead of it.
    pub watcher_killed: bool,
    /// How many processes were left.
    pub left: usize,
    /// From the first signal until the last process was gone, if it was.
    pub took: Option<Duration>,
    /// What went wrong with the trial itself.
    pub failed: Option<String>,
}

impl Selftest {
    /// Whether nobody has escaped from a level that promises so, and every trial could be made.
    #[must_use]
    pub fn passes(&self) -> bool {
        let was_tried = |user: &User| user.levels.iter().any(|tried| !tried.trials.is_empty());
        let tried = self.users.iter().flat_map(|user| &user.levels);
        let mut trials = tried.flat_map(|tried| tried.trials.iter().map(|trial| (tried.level, trial)));
        let good = |(level, trial): (Level, &Trial)| trial.failed.is_none() && !trial.breaks_promise(level);
        !self.users.is_empty() && self.users.iter().all(was_tried) && trials.all(good)
    }
}

impl Trial {
    /// A plain group promises nothing, and who is quicker than a subreaper finds it may get away.
    #[must_use]
    pub fn is_promised(&self, level: Level) -> bool {
        level.is_certain() || (level == Level::Subreaper && self.pattern != Pattern::ForkChain)
    }

    fn breaks_promise(&self, level: Level) -> bool {
        self.left > 0 && self.is_promised(level)
    }
}

/// Makes all trials, for about half a minute; `trampoline` as in [`Spec`].
///
/// # Errors
///
/// If `trampoline` is not one, or as root no process can become an ordinary user.
pub fn run(trampoline: &Path) -> Result<Selftest, StartError> {
    let mut users = vec![try_levels(trampoline)?];
    if getuid().is_root() {
        let mut spec = own(trampoline, &[MARK, "levels"], Level::Subreaper);
        spec.user = Some((NOBODY, NOBODY));
        let running = start(&spec)?;
        running.wait_gone(Instant::now() + 6 * LIMIT);
        let written: String = running.finish().output.lines().map(|line| line.text()).collect();
        let unreadable = || StartError::Keeper {
            tried: format!("the self-test as user {NOBODY} has written `{written}`"),
            source: io::ErrorKind::InvalidData.into(),
        };
        users.push(table::read(&written).ok_or_else(unreadable)?);
    }
    Ok(Selftest { users })
}

/// Plays the part that this process was started for; false if it was started for none.
pub(crate) fn play() -> bool {
    let mut args = env::args().skip(1);
    if args.next().is_none_or(|first| first != MARK) {
        return false;
    }
    match args.next().as_deref() {
        Some("pattern") => patterns::perform(&patterns::acts()),
        Some("watch") => watch(&args.collect::<Vec<_>>()),
        Some("levels") => table::write(&try_levels(Path::new(OURSELVES))),
        _ => {}
    }
    true
}

/// Ourselves again, in a part of this test.
fn own(trampoline: &Path, args: &[&str], level: Level) -> Spec {
    let mut spec = Spec::new(OURSELVES).args(args);
    spec.trampoline = trampoline.to_owned();
    spec.contain = Contain::At(level);
    spec
}

fn try_levels(trampoline: &Path) -> Result<User, StartError> {
    let mut tried = Vec::new();
    for (level, works) in levels(trampoline) {
        tried.push(match works {
            Ok(()) => try_level(trampoline, level),
            Err(error @ StartError::Keeper { .. }) => return Err(error),
            Err(error) => Tried { level, trials: Vec::new(), start: None, refused: Some(chain(&error)) },
        });
    }
    Ok(User { uid: getuid().as_raw(), levels: tried })
}

fn try_level(trampoline: &Path, level: Level) -> Tried {
    let killed = Pattern::ALL.map(|pattern| (pattern, false));
    let orphaned = [(Pattern::DoubleForkIgnoresTerm, true), (Pattern::ForkChain, true)];
    let made = |(pattern, watcher_killed): (Pattern, bool)| {
        let trial = if watcher_killed { kill_watcher } else { kill_program };
        let (left, took, failed) = match trial(trampoline, level, pattern) {
            Ok((left, took)) => (left, took, None),
            Err(failed) => (0, None, Some(failed)),
        };
        Trial { pattern, watcher_killed, left, took, failed }
    };
    let trials = killed.into_iter().chain(orphaned).map(made).collect();
    Tried { level, trials, start: time_start(trampoline, level).ok(), refused: None }
}

/// How many were left, and when the last one had gone.
type Outcome = Result<(usize, Option<Duration>), String>;

fn kill_program(trampoline: &Path, level: Level, pattern: Pattern) -> Outcome {
    let running = begin(&own(trampoline, &patterns::arguments(pattern), level))?;
    let asked = Instant::now();
    running.signal(Target::All, Signal::TERM).map_err(|error| error.to_string())?;
    running.wait_gone(asked + GRACE);
    let killed = running.kill_all(LIMIT / 2);

    let (closed, took) = last_gone(&running, asked);
    let left = killed.left.len().max(usize::from(!closed));
    clean_up(&running);
    Ok((left, took))
}

fn kill_watcher(trampoline: &Path, level: Level, pattern: Pattern) -> Outcome {
    let mut args = vec![MARK, "watch", level.name()];
    args.extend(patterns::arguments(pattern));
    // The watcher itself is watched too, by a level that does not touch what it does.
    let running = begin(&own(trampoline, &args, Level::Subreaper))?;
    let asked = Instant::now();
    running.signal(Target::Main, Signal::KILL).map_err(|error| error.to_string())?;

    let (closed, took) = last_gone(&running, asked);
    // The keeper itself puts its control group away, and then it leaves too.
    let gone = running.wait_gone(Instant::now() + AFTER);
    let left = if closed && gone.is_some() { 0 } else { running.tree().len().max(1) };
    clean_up(&running);
    Ok((left, took))
}

/// Starts the program and waits until the process that tries to escape is there.
fn begin(spec: &Spec) -> Result<Running, String> {
    let running = start(spec).map_err(|error| chain(&error))?;
    let is_ready =
        running.wait_for(Instant::now() + LIMIT, |seen| seen.output.lines().any(|line| line.text() == READY));
    if is_ready { Ok(running) } else { Err("nobody tried to escape".to_owned()) }
}

/// Whether all have let go of the pipe, and how long after `asked` the last one did.
fn last_gone(running: &Running, asked: Instant) -> (bool, Option<Duration>) {
    let closed = running.wait_for(Instant::now() + AFTER, |seen| seen.streams_closed.is_some());
    let at = running.look(|seen| seen.streams_closed);
    (closed, at.map(|at| at.saturating_duration_since(asked)))
}

/// Ends who has escaped from a plain group. A chain may go on, and ends by itself.
fn clean_up(running: &Running) {
    let until = Instant::now() + AFTER;
    while running.look(|seen| seen.streams_closed.is_none()) && Instant::now() < until {
        for process in running.tree() {
            let _ = process.signal(Signal::KILL);
        }
        running.wait_for(Instant::now() + Duration::from_millis(1), |seen| seen.streams_closed.is_some());
    }
}

/// Starts what the arguments name, and stays until somebody kills us.
fn watch(args: &[String]) {
    let Some((level, args)) = args.split_first() else { return };
    let Some(level) = Level::ALL.into_iter().find(|known| known.name() == level) else { return };
    let mut spec = own(Path::new(OURSELVES), &args.iter().map(String::as_str).collect::<Vec<_>>(), level);
    spec.stdout = Sink::Inherit;
    spec.stderr = Sink::Inherit;
    let running = start(&spec);
    if let Ok(running) = &running {
        running.wait_gone(Instant::now() + LIMIT);
    }
}

fn time_start(trampoline: &Path, level: Level) -> Result<(Duration, Duration), StartError> {
    let mut spec = Spec::new("true");
    spec.trampoline = trampoline.to_owned();
    spec.contain = Contain::At(level);
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let begin = Instant::now();
        let running = start(&spec)?;
        let started = begin.elapsed();
        running.wait_gone(Instant::now() + LIMIT);
        drop(running);
        times.push((started, begin.elapsed()));
        thread::yield_now();
    }
    let median = |mut times: Vec<Duration>| {
        times.sort_unstable();
        times.get(STARTS / 2).copied().unwrap_or_default()
    };
    let (starts, all): (Vec<_>, Vec<_>) = times.into_iter().unzip();
    Ok((median(starts), median(all)))
}

/// The error and its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let parts = std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string);
    parts.collect::<Vec<_>>().join(": ")
}
