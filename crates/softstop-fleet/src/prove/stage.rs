//! One trial: the program is started, signalled at its moment, and looked at until nothing of it is left to look at.

mod acts;
mod ask;
mod audit;
mod calls;
mod live;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use regex_lite::Regex;

use self::live::Trial;
use super::{
    replay::Signal,
    scenario::{Ready, Scenario, Stdin, Wish},
    trial::{Leftovers, LogLine, Observation, Planned, Resumed, Said, Stream},
    watch,
};
use crate::process::{self, Contain, Level, Namespaces, Recorded, Running, Spec, StartError, Trace, Tracing};

/// The recorded system calls of a trial, or why there are none.
type Calls = Result<Vec<Recorded>, String>;

/// How long what is left may take to be gone after the main process: what is still there then is left behind.
const GRACE: Duration = Duration::from_millis(200);
/// Ending by force.
const KILL: Duration = Duration::from_secs(5);
/// How long a command of the scenario may take.
const COMMAND: Duration = Duration::from_secs(60);
/// Folders in which everybody's files lie: where a trial cannot have one for itself, what is new in it may be anybody's.
const COMMON: [&str; 4] = ["/tmp", "/var/tmp", "/run", "/dev/shm"];
/// How often the processor time is looked at, for a program that is ready when it is quiet.
const QUIET_LOOK: Duration = Duration::from_millis(20);

/// What each trial has for itself, as far as it was found to work.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Stage {
    pub(super) namespaces: Namespaces,
    pub(super) level: Option<Level>,
    /// Whether its system calls can be followed, or why not; none where nobody asked.
    pub(super) followed: Option<Result<(), String>>,
}

impl Stage {
    /// As much as the scenario wants and the program can bear.
    ///
    /// Folders that the program, its arguments or its working folder lie in are not covered. What runs beside the program, or is asked
    /// from outside, needs the network that we are in.
    pub(super) fn wanted(scenario: &Scenario) -> Self {
        let outside = scenario.load.is_some()
            || scenario.check.is_some()
            || scenario.ready.iter().any(|ready| matches!(ready, Ready::Http(_) | Ready::Tcp(_) | Ready::Command(_)));
        let here = std::env::current_dir().unwrap_or_default();
        let given = scenario.command.iter().map(|word| here.join(word)).filter(|path| path.exists());
        let needed: Vec<PathBuf> = given.chain([here.clone()]).collect();
        let free = |folder: &&String| {
            let folder = Path::new(folder.as_str());
            folder.is_dir()
                && !needed.iter().any(|path| path.starts_with(folder))
                && !std::env::current_exe().is_ok_and(|exe| exe.starts_with(folder))
        };
        let private = match scenario.isolation.files {
            Wish::Off => Vec::new(),
            _ => scenario.watch.iter().filter(free).map(PathBuf::from).collect(),
        };
        let namespaces = Namespaces {
            network: scenario.isolation.network != Wish::Off && !outside,
            private,
            ipc: scenario.isolation.ipc != Wish::Off,
            ..Namespaces::default()
        };
        Self { namespaces, level: None, followed: None }
    }

    /// The same without anything that could keep a program from working.
    pub(super) fn open(&self) -> Self {
        Self { namespaces: Namespaces::default(), ..self.clone() }
    }

    /// In words, for the verdict: what each trial had.
    pub(super) fn words(&self) -> Vec<String> {
        let had = |own: bool, what: &str| format!("{what} {}", if own { "of its own" } else { "shared with all" });
        let folders: Vec<String> = self.namespaces.private.iter().map(|path| path.display().to_string()).collect();
        let mut words = vec![
            format!("its processes in a {}", self.level.map_or("?", Level::name)),
            had(self.namespaces.network, "a network"),
            had(self.namespaces.ipc, "shared memory"),
            if folders.is_empty() {
                "a TMPDIR of its own, and other folders shared with all, in which new files do not count".to_owned()
            } else {
                format!("{} of its own", folders.join(", "))
            },
        ];
        words.extend(self.followed.as_ref().map(|followed| match followed {
            Ok(()) => "its system calls followed where a signal or a fault waits for one".to_owned(),
            Err(why) => format!("no signal at a system call: {why}"),
        }));
        words
    }

    fn spec(&self, command: &[String], trampoline: &Path, seed: u64) -> Spec {
        let mut spec = Spec::new(command.first().cloned().unwrap_or_default()).args(command.iter().skip(1).cloned());
        spec.namespaces = self.namespaces.clone();
        spec.trampoline = trampoline.to_owned();
        spec.env.push(("SOFTSTOP_SEED".into(), Some(seed.to_string().into())));
        if let Some(level) = self.level {
            spec.contain = Contain::At(level);
        }
        spec
    }
}

/// What all trials have in common.
#[derive(Clone)]
pub(super) struct Theatre<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) stage: Stage,
    pub(super) trampoline: PathBuf,
    pub(super) ready_log: Vec<Regex>,
    /// The folder for temporary files of one trial, if it needs one.
    pub(super) temporary: Vec<String>,
}

/// Why a trial could not be made, for people.
#[derive(Debug)]
pub(super) struct Untried(pub(super) String);

impl From<StartError> for Untried {
    fn from(error: StartError) -> Self {
        let hint = error.hint();
        Self(if hint.is_empty() { error.to_string() } else { format!("{error}; {hint}") })
    }
}

impl Theatre<'_> {
    /// Makes one trial.
    pub(super) fn play(&self, planned: &Planned, timed: bool) -> Result<Observation, Untried> {
        let tracing = calls::tracing(&planned.replay, false);
        self.play_followed(planned, timed, tracing).map(|(seen, _)| seen)
    }

    /// Makes one trial, and writes down its system calls.
    fn play_recorded(&self, planned: &Planned) -> Result<(Observation, Calls), Untried> {
        self.play_followed(planned, false, calls::tracing(&planned.replay, true))
    }

    fn play_followed(
        &self,
        planned: &Planned,
        timed: bool,
        tracing: Option<Tracing>,
    ) -> Result<(Observation, Calls), Untried> {
        let temporary = self.temporary();
        let own = Self { temporary: temporary.iter().map(|path| path.display().to_string()).collect(), ..self.clone() };
        let seen = own.play_in(planned, timed, tracing);
        if let Some(path) = temporary {
            let _ = fs::remove_dir_all(path);
        }
        seen
    }

    /// A folder for temporary files, where those of everybody have to be shared.
    fn temporary(&self) -> Option<PathBuf> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        if self.stage.namespaces.private.iter().any(|path| path == Path::new("/tmp")) {
            return None;
        }
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("softstop-prove-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).ok().map(|()| path)
    }

    fn play_in(
        &self,
        planned: &Planned,
        timed: bool,
        tracing: Option<Tracing>,
    ) -> Result<(Observation, Calls), Untried> {
        let scenario = self.scenario;
        if let Some(command) = &scenario.prepare {
            let spec = self.stage.open().spec(command, &self.trampoline, planned.replay.seed);
            let said = ended(process::start(&spec)?, COMMAND);
            if !said.ok {
                return Err(Untried(format!("the command `prepare` failed: {}", said.text)));
            }
        }
        let before = self.shared_files();
        let mut spec = self.spec(&scenario.command, planned.replay.seed);
        spec.trace = tracing;
        let running = process::start(&spec)?;
        let signal = planned.replay.signals().next().unwrap_or(Signal::Term);
        let mut trial = Trial::new(self, running, signal, planned.replay.at_states() || planned.replay.traced());
        trial.followed = spec.trace.as_ref().is_some_and(|tracing| tracing.record || !tracing.meddling.is_empty());
        let load = match &scenario.load {
            Some(command) if !planned.replay.without_load => {
                trial.until(None, |trial| trial.milestones.ready.is_some());
                Some(process::start(&self.stage.open().spec(command, &self.trampoline, planned.replay.seed))?)
            }
            _ => None,
        };
        trial.act(planned);
        let exit = trial.await_end();
        let load_said = load.map(|load| ended(load, COMMAND));
        let leftovers = trial.leftovers(&before);
        let clean = leftovers == Leftovers::default();
        let began = trial.running.began();
        let Trial { running, milestones, mut sent, mut ladder, .. } = trial;
        let lost = running.trace().and_then(Trace::lost);
        let calls =
            lost.map_or_else(|| Ok(running.trace().map(Trace::calls).unwrap_or_default()), |why| Err(why.to_owned()));
        if lost.is_some() {
            // What it did says nothing: as if the moment had not come.
            sent.clear();
        }
        let seen = running.finish();
        ladder.clean = seen.gone.filter(|_| clean).map(|at| at.saturating_duration_since(began));
        let log = seen.output.lines().map(|line| LogLine {
            at: line.began.saturating_duration_since(began),
            stream: match line.stream {
                process::Stream::Out => Stream::Out,
                process::Stream::Err => Stream::Err,
            },
            text: line.text(),
        });
        let mut observation = Observation {
            planned: planned.clone(),
            sent,
            timed: timed && spec.trace.is_none(),
            loaded: load_said.is_some(),
            milestones,
            ladder,
            exit,
            leftovers,
            log: log.collect(),
            load: load_said,
            check: None,
            resumed: None,
            cpu: seen.usage.map_or(Duration::ZERO, |usage| usage.user + usage.system),
        };
        observation.check = self.check()?;
        let killed = observation.signals().contains(&Signal::Kill);
        if let Some(resume) = &scenario.resume
            && (killed || !resume.only_after_kill)
        {
            observation.resumed =
                Some(self.resume(resume.command.as_deref().unwrap_or(&scenario.command), resume.within, signal)?);
        }
        Ok((observation, calls))
    }

    fn spec(&self, command: &[String], seed: u64) -> Spec {
        let mut spec = self.stage.spec(command, &self.trampoline, seed);
        spec.stdin = match self.scenario.stdin {
            Stdin::Open => process::Input::Silent,
            Stdin::Empty => process::Input::Null,
        };
        spec.env.extend(self.temporary.iter().map(|path| ("TMPDIR".into(), Some(path.into()))));
        spec
    }

    /// What is in the watched folders that the program does not have for itself.
    fn shared_files(&self) -> BTreeSet<PathBuf> {
        watch::files(Path::new("/"), &self.shared_folders(), watch::SHARED)
    }

    fn shared_folders(&self) -> Vec<String> {
        let own = |folder: &String| self.stage.namespaces.private.iter().any(|path| path == Path::new(folder.as_str()));
        let counts = |folder: &&String| !own(folder) && !COMMON.contains(&folder.trim_end_matches('/'));
        self.scenario.watch.iter().filter(counts).chain(&self.temporary).cloned().collect()
    }

    fn check(&self) -> Result<Option<Said>, Untried> {
        let Some(command) = &self.scenario.check else { return Ok(None) };
        let running = process::start(&self.stage.open().spec(command, &self.trampoline, self.scenario.seed))?;
        Ok(Some(ended(running, COMMAND)))
    }

    /// Starts it again on the same data, and stops it when it was ready.
    fn resume(&self, command: &[String], within: Duration, signal: Signal) -> Result<Resumed, Untried> {
        let running = process::start(&self.spec(command, self.scenario.seed))?;
        let mut trial = Trial::new(self, running, signal, true);
        trial.until(Some(trial.running.began() + within), |trial| trial.milestones.ready.is_some());
        let ready = trial.milestones.ready;
        let check = self.check()?;
        let _ = trial.running.signal(process::Target::Main, process::Signal::TERM);
        trial.running.wait(Instant::now() + self.scenario.rules.gone_within);
        Ok(Resumed { ready, check })
    }
}

/// What a command said, once it has ended.
fn ended(running: Running, limit: Duration) -> Said {
    let exit = running.wait(Instant::now() + limit);
    let seen = running.finish();
    let ok = exit.and_then(|exit| exit.status).is_some_and(|status| status.success());
    let last: Vec<String> = seen.output.lines().rev().take(5).map(process::Line::text).collect();
    Said { ok, text: last.into_iter().rev().collect::<Vec<_>>().join("\n") }
}
