//! One trial: the program is started, signalled at its moment, and looked at until nothing of it is left to look at.

mod acts;
mod ask;
mod audit;
mod calls;
mod faults;
mod folders;
mod live;
mod needs;
mod own;

use std::{
    collections::BTreeSet,
    error::Error as _,
    iter,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use regex_lite::Regex;

pub(crate) use self::ask::play;
pub(super) use self::own::Stage;
use self::{folders::Folders, live::Trial};
use super::{
    replay::{Deed, Signal},
    run::Options,
    scenario::{Ready, Scenario, Stdin},
    trial::{Exit, Leftovers, LogLine, Observation, Planned, Resumed, Said, Stream},
    watch,
};
use crate::process::{self, Namespaces, Recorded, Running, Spec, StartError, Trace, Tracing};

/// When a trial began and its recorded system calls, or why there are none.
type Calls = Result<(Instant, Vec<Recorded>), String>;

/// How long what is left may take to be gone after the main process: what is still there then is left behind.
const GRACE: Duration = Duration::from_millis(200);
/// Ending by force.
const KILL: Duration = Duration::from_secs(5);
/// How long a command of the scenario may take.
const COMMAND: Duration = Duration::from_secs(60);
/// Folders in which everybody's files lie: where a trial cannot have one for itself, what is new in it may be anybody's.
const COMMON: [&str; 4] = ["/tmp", "/var/tmp", "/run", "/dev/shm"];
/// Columns and rows of the terminal that a program has where it is hung up.
const TERMINAL: (u16, u16) = (80, 24);
/// How often the processor time is looked at, for a program that is ready when it is quiet.
const QUIET_LOOK: Duration = Duration::from_millis(20);
/// How often whoever waits looks whether to give up.
const STOP_LOOK: Duration = Duration::from_millis(100);

/// What all trials have in common.
#[derive(Clone)]
pub(super) struct Theatre<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) stage: Stage,
    pub(super) trampoline: PathBuf,
    pub(super) ready_log: Vec<Regex>,
    /// Asked while a trial waits: whether to give it up. What it has seen then says nothing.
    pub(super) stop: &'a (dyn Fn() -> bool + Sync),
    /// Those of one trial.
    folders: Arc<Folders>,
}

/// Why a trial could not be made, for people.
#[derive(Debug)]
pub(super) struct Untried(pub(super) String);

impl From<StartError> for Untried {
    fn from(error: StartError) -> Self {
        let mut said = error.to_string();
        for cause in iter::successors(error.source(), |cause| (*cause).source()).map(ToString::to_string) {
            if !said.contains(&cause) {
                said = format!("{said}: {cause}");
            }
        }
        Self(format!("{said}; {}", error.hint()))
    }
}

impl<'a> Theatre<'a> {
    pub(super) fn new(scenario: &'a Scenario, stage: Stage, options: &Options<'a>) -> Self {
        let ready_log = scenario.ready.iter().filter_map(|ready| match ready {
            Ready::Log(pattern) => Regex::new(pattern).ok(),
            _ => None,
        });
        let (trampoline, stop) = (options.trampoline.clone(), options.stop);
        Self { ready_log: ready_log.collect(), scenario, stage, trampoline, stop, folders: Arc::default() }
    }

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
        let mut own = self.clone();
        let folders = Folders::make(self.scenario, &self.stage.namespaces.private).map_err(Untried)?;
        if let Some(data) = &folders.data {
            own.stage.namespaces.keep_below(data);
        }
        own.folders = Arc::new(folders);
        own.play_in(planned, timed, tracing)
    }

    fn play_in(
        &self,
        planned: &Planned,
        timed: bool,
        tracing: Option<Tracing>,
    ) -> Result<(Observation, Calls), Untried> {
        let scenario = self.scenario;
        if let Some(command) = &scenario.prepare {
            let spec = self.stage.open().spec(&self.folders.fill(command), &self.trampoline, planned.replay.seed);
            let said = self.ended(process::start(&spec)?, COMMAND);
            if !said.ok {
                return Err(Untried(format!("the command `prepare` failed: {}", said.text)));
            }
        }
        let before = self.shared_files();
        let mut spec = self.spec(&scenario.command, planned.replay.seed);
        spec.trace = tracing;
        spec.terminal = planned.replay.acts().any(|act| act.deed == Deed::HangUp).then_some(TERMINAL);
        let running = process::start(&spec)?;
        let signal = planned.replay.signals().next().unwrap_or(Signal::Term);
        let mut trial = Trial::new(self, running, signal, planned.replay.at_states() || planned.replay.traced())?;
        trial.followed = spec.trace.as_ref().is_some_and(|tracing| tracing.record || !tracing.meddling.is_empty());
        trial.timed = timed && spec.trace.is_none() && planned.replay.faults.is_empty();
        trial.begin_faults(&planned.replay.faults);
        let load = match &scenario.load {
            Some(command) if !planned.replay.without_load => {
                // Held at a call before it is ready, it has nothing to serve.
                trial.until(None, |trial| trial.milestones.ready.is_some() || trial.holds());
                let held = trial.holds() && trial.milestones.ready.is_none();
                if held { None } else { Some(self.beside(command, planned.replay.seed, &trial.running)?) }
            }
            _ => None,
        };
        trial.act(planned);
        let exit = trial.await_end();
        trial.squeezed = None;
        // A load may wait for a program that does not end.
        let forced = (exit == Exit::Forced).then(|| {
            let leftovers = trial.leftovers(&before);
            trial.running.kill_all(KILL);
            leftovers
        });
        let load_said = load.map(|load| self.ended(load, COMMAND));
        let mut leftovers = forced.unwrap_or_else(|| trial.leftovers(&before));
        leftovers.orphans.extend(std::mem::take(&mut trial.background).into_iter().map(audit::orphan));
        let unsaved = trial.called_faults(&planned.replay.faults);
        let trace = trial.running.trace();
        let calls = match trace.and_then(Trace::lost) {
            // What it did says nothing: as if the moment had not come.
            Some(why) => {
                trial.sent.clear();
                Err(why.to_owned())
            }
            None => Ok((trial.running.began(), trace.map(Trace::calls).unwrap_or_default())),
        };
        let mut observation = Observation {
            planned: planned.clone(),
            sent: std::mem::take(&mut trial.sent),
            timed: trial.timed,
            faults: std::mem::take(&mut trial.faults),
            unsaved,
            loaded: load_said.is_some(),
            milestones: trial.milestones,
            ladder: trial.ladder,
            exit,
            leftovers,
            log: Vec::new(),
            load: load_said,
            check: None,
            resumed: None,
            cpu: Duration::ZERO,
        };
        let (began, gone) = (trial.running.began(), trial.running.look(|seen| seen.gone));
        self.afterwards(&trial.running, signal, &mut observation)?;
        let clean = observation.leftovers == Leftovers::default();
        observation.ladder.clean = gone.filter(|_| clean).map(|at| at.saturating_duration_since(began));
        let seen = trial.running.finish();
        let lines = seen.output.lines().map(|line| LogLine {
            at: line.began.saturating_duration_since(began),
            stream: match line.stream {
                process::Stream::Out => Stream::Out,
                process::Stream::Err => Stream::Err,
            },
            text: line.text(),
        });
        observation.log = lines.collect();
        observation.cpu = seen.usage.map_or(Duration::ZERO, |usage| usage.user + usage.system);
        Ok((observation, calls))
    }

    /// What comes once the program has ended, in its namespaces: whether the data are intact, and whether it starts again on them.
    fn afterwards(&self, running: &Running, signal: Signal, seen: &mut Observation) -> Result<(), StartError> {
        let killed = seen.signals().contains(&Signal::Kill);
        let resume = self.scenario.resume.as_ref().filter(|resume| killed || !resume.only_after_kill);
        if self.scenario.check.is_none() && resume.is_none() {
            return Ok(());
        }
        // What it has left must not go on writing.
        running.kill_all(KILL);
        seen.check = self.check(running)?;
        if let Some(resume) = resume {
            let command = resume.command.as_deref().unwrap_or(&self.scenario.command);
            seen.resumed = Some(self.resume(command, resume.within, signal, running)?);
        }
        Ok(())
    }

    /// Starts a command in the namespaces of the program.
    fn beside(&self, command: &[String], seed: u64, of: &Running) -> Result<Running, StartError> {
        self.inside(Spec { stdin: process::Input::Null, ..self.spec(command, seed) }, of)
    }

    /// The same, from outside where the program has nothing for itself and its namespaces cannot be joined.
    fn inside(&self, mut spec: Spec, of: &Running) -> Result<Running, StartError> {
        match process::start_inside(&spec, of) {
            Err(StartError::Namespaces { .. }) if self.stage.namespaces == Namespaces::default() => {
                spec.namespaces = Namespaces::default();
                process::start(&spec)
            }
            started => started,
        }
    }

    fn spec(&self, command: &[String], seed: u64) -> Spec {
        let mut spec = self.stage.spec(&self.folders.fill(command), &self.trampoline, seed);
        spec.stdin = match self.scenario.stdin {
            Stdin::Open => process::Input::Silent,
            Stdin::Empty => process::Input::Null,
        };
        spec.env.extend(self.folders.temporary.iter().map(|path| ("TMPDIR".into(), Some(path.into()))));
        spec
    }

    /// Whether a file that the program wrote is the same in every trial.
    fn is_shared(&self, file: &str) -> bool {
        let path = Path::new(file);
        let below = |folders: &[PathBuf]| folders.iter().any(|folder| path.starts_with(folder));
        let Namespaces { private, keep, .. } = &self.stage.namespaces;
        let own = (below(private) && !below(keep)) || folders::is_of_a_trial(path);
        !own && !file.ends_with(" (deleted)")
    }

    /// What is in the watched folders that the program does not have for itself.
    fn shared_files(&self) -> BTreeSet<PathBuf> {
        watch::files(Path::new("/"), &self.shared_folders(), &[], watch::SHARED)
    }

    fn shared_folders(&self) -> Vec<String> {
        let own = |folder: &String| self.stage.namespaces.private.iter().any(|path| path == Path::new(folder.as_str()));
        let counts = |folder: &&String| !own(folder) && !COMMON.contains(&folder.trim_end_matches('/'));
        self.scenario.watch.iter().filter(counts).chain(&self.folders.temporary).cloned().collect()
    }

    fn check(&self, of: &Running) -> Result<Option<Said>, StartError> {
        let Some(command) = &self.scenario.check else { return Ok(None) };
        Ok(Some(self.ended(self.beside(command, self.scenario.seed, of)?, COMMAND)))
    }

    /// Starts it again on the same data, and stops it when it was ready.
    fn resume(
        &self,
        command: &[String],
        within: Duration,
        signal: Signal,
        of: &Running,
    ) -> Result<Resumed, StartError> {
        let running = self.inside(self.spec(command, self.scenario.seed), of)?;
        let mut trial = Trial::new(self, running, signal, true)?;
        trial.until(Some(trial.running.began() + within), |trial| trial.milestones.ready.is_some());
        // A job that had nothing left to do has gone on as well as can be.
        let done = || trial.running.exited().filter(|exit| exit.status.is_some_and(|status| status.success()));
        let ready = trial.milestones.ready.or_else(|| done().map(|exit| trial.since(exit.at)));
        let check = self.check(of)?;
        let _ = trial.running.signal(process::Target::Main, process::Signal::TERM);
        self.wait_end(&trial.running, Instant::now() + self.scenario.rules.gone_within);
        Ok(Resumed { ready, check })
    }

    /// Waits until a program has ended, at the latest until `until`, or until the trial is given up.
    fn wait_end(&self, running: &Running, until: Instant) {
        while running.exited().is_none() && Instant::now() < until && !(self.stop)() {
            running.wait((Instant::now() + STOP_LOOK).min(until));
        }
    }

    /// What a command said, once it has ended.
    fn ended(&self, running: Running, limit: Duration) -> Said {
        self.wait_end(&running, Instant::now() + limit);
        let exit = running.exited();
        let seen = running.finish();
        let ok = exit.and_then(|exit| exit.status).is_some_and(|status| status.success());
        let last: Vec<String> = seen.output.lines().rev().take(5).map(process::Line::text).collect();
        Said { ok, text: last.into_iter().rev().collect::<Vec<_>>().join("\n") }
    }
}
