//! All trials of a scenario, from the rehearsal to the verdict.

use std::{
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    judge,
    moments::{self, Rehearsal},
    packs::Lines,
    replay::{Edge, Moment, Replay, Signal},
    scenario::{Moments, Scenario, Severity, Wish},
    shrink::Limits,
    stage::{Stage, Theatre, Untried},
    trial::{Exit, Observation, Origin, Planned},
    verdict::{Ended, Tally, Verdict},
};
use crate::process::{Level, strongest};

/// Trials are made one after the other for this part of the budget at most.
const ALONE: f64 = 0.4;
/// How long a rehearsed program is left alone once it is ready: what says that it is and fails then does not run at all.
const SETTLE: Duration = Duration::from_millis(100);
/// Of those that were late beside others, so many are made once more.
const MOST_ONCE_MORE: usize = 10;
/// What of the budget may go into making failures shorter.
const SHRINK: f64 = 0.25;

/// What a run needs besides the scenario.
pub struct Options<'a> {
    /// The binary whose main function calls [`trampoline`](crate::trampoline).
    pub trampoline: PathBuf,
    /// Asked again and again, within a trial too: whether to end.
    pub stop: &'a (dyn Fn() -> bool + Sync),
    /// Told after each trial.
    pub tell: &'a (dyn Fn(Progress) + Sync),
    /// Only this trial, so often.
    pub replay: Option<(Replay, u32)>,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Trials made.
    pub done: u64,
    /// Trials planned.
    pub planned: u64,
    /// Trials that failed.
    pub failed: u64,
    /// Since the beginning.
    pub took: Duration,
}

/// Proves how a program stops.
pub fn run(scenario: &Scenario, options: &Options<'_>) -> Verdict {
    let began = Instant::now();
    let (theatre, rehearsal) = match rehearse(scenario, options, Stage::wanted(scenario)) {
        Ok(found) => found,
        Err(why) => {
            let ended = if (options.stop)() { Ended::Interrupted } else { Ended::NotStarted(why) };
            return Tally::new(scenario).finish(ended, began.elapsed(), Vec::new());
        }
    };
    // Beside each other only what has nothing in common. Whether other data lie in a folder of the trial's own, only who wrote the
    // scenario knows.
    let data = scenario.prepare.is_some() || scenario.check.is_some() || scenario.resume.is_some();
    let apart = theatre.stage.namespaces.network && (!data || scenario.uses_data()) && theatre.stage.shared.is_empty();
    let cores = thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(1));
    let fitting = || moments::at_once(&rehearsal, scenario.load.is_some(), cores);
    let at_once = scenario.parallel.unwrap_or_else(|| if apart { fitting() } else { 1 });
    let plan = match &options.replay {
        Some((replay, times)) => {
            vec![Planned { replay: replay.clone(), origin: Origin::Replay }; *times as usize]
        }
        None => {
            let trials = moments::count(scenario, &rehearsal, at_once);
            moments::plan(scenario, &rehearsal, trials)
        }
    };
    let run = Run {
        scenario,
        theatre: &theatre,
        lines: Lines::new(&scenario.rules.packs, &scenario.rules.lines),
        tally: Mutex::new(Tally::new(scenario)),
        options,
        planned: plan.len() as u64,
        began,
        late: Mutex::default(),
        broken: Mutex::new(None),
    };
    let until = began + scenario.budget.mul_f64(1.0 - SHRINK);
    let alone = &plan[..plan.len().min(scenario.alone as usize)];
    let mut made = run.some(alone, 1, true, until.min(began + scenario.budget.mul_f64(ALONE)));
    made += run.some(&plan[made..], at_once as usize, at_once == 1, until);
    run.once_more(until);
    let broken = run.broken.lock().unwrap_or_else(PoisonError::into_inner).take();
    let interrupted = (options.stop)();
    if broken.is_none() && !interrupted && options.replay.is_none() {
        run.shrink(began + scenario.budget);
    }
    let ended = match broken {
        Some(why) => Ended::NotStarted(why),
        None if (options.stop)() => Ended::Interrupted,
        None if made < plan.len() => Ended::BudgetSpent((plan.len() - made) as u64),
        None => Ended::Complete,
    };
    let tally = run.tally.into_inner().unwrap_or_else(PoisonError::into_inner);
    tally.finish(ended, began.elapsed(), theatre.stage.words())
}

struct Run<'a> {
    scenario: &'a Scenario,
    theatre: &'a Theatre<'a>,
    lines: Lines,
    tally: Mutex<Tally>,
    options: &'a Options<'a>,
    planned: u64,
    began: Instant,
    /// Ended beside others, and later than they may.
    late: Mutex<Vec<(Planned, Observation)>>,
    /// Why the program cannot be started any more.
    broken: Mutex<Option<String>>,
}

impl Run<'_> {
    /// Makes trials, so many at once, until `until`; how many were made.
    fn some(&self, plan: &[Planned], at_once: usize, timed: bool, until: Instant) -> usize {
        let (next, made) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let work = || {
            while !(self.options.stop)() && !self.is_broken() && Instant::now() < until {
                let Some(planned) = plan.get(next.fetch_add(1, Ordering::Relaxed)) else { return };
                match self.theatre.play(planned, timed) {
                    // It was given up.
                    _ if (self.options.stop)() => return,
                    Ok(seen) if !timed && self.is_late(&seen) => self.hold_back(planned, seen),
                    Ok(seen) => self.add(&seen),
                    Err(error) => {
                        *self.broken.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.0);
                        return;
                    }
                }
                made.fetch_add(1, Ordering::Relaxed);
            }
        };
        thread::scope(|scope| {
            for _ in 1..at_once.min(plan.len().max(1)) {
                scope.spawn(work);
            }
            work();
        });
        made.into_inner()
    }

    /// Whether it ended, but later than it may: perhaps only because others ran beside it.
    fn is_late(&self, seen: &Observation) -> bool {
        let ended = seen.exit != Exit::Forced && !seen.planned.replay.traced();
        ended && seen.exit_time().is_some_and(|took| took > self.scenario.rules.gone_within)
    }

    fn hold_back(&self, planned: &Planned, seen: Observation) {
        self.late.lock().unwrap_or_else(PoisonError::into_inner).push((planned.clone(), seen));
    }

    /// Makes those that were late once more, alone, as far as there is time: that counts instead.
    fn once_more(&self, until: Instant) {
        let late = std::mem::take(&mut *self.late.lock().unwrap_or_else(PoisonError::into_inner));
        for (at, (planned, seen)) in late.into_iter().enumerate() {
            let tried = at < MOST_ONCE_MORE && !(self.options.stop)() && Instant::now() < until;
            let again = tried.then(|| self.theatre.play(&planned, true));
            self.add(&again.and_then(Result::ok).filter(|again| again.signalled().is_some()).unwrap_or(seen));
        }
    }

    fn is_broken(&self) -> bool {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn add(&self, seen: &Observation) {
        let findings = judge::judge(&self.scenario.rules, &self.lines, seen);
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.add(seen, &findings);
        let (done, failed) = tally.so_far();
        drop(tally);
        (self.options.tell)(Progress { done, planned: self.planned, failed, took: self.began.elapsed() });
    }

    /// Makes each failure as short as the time allows.
    fn shrink(&self, until: Instant) {
        let failures: Vec<_> = {
            let tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
            tally.failures().filter_map(|(at, rule)| Some((at, rule, tally.shrink(at, Limits::default())?))).collect()
        };
        let many = u32::try_from(failures.len().max(1)).unwrap_or(u32::MAX);
        for (at, rule, mut shrink) in failures {
            let share = Instant::now() + until.saturating_duration_since(Instant::now()) / many.max(1);
            while let Some(replay) = shrink.next().cloned() {
                if (self.options.stop)() || Instant::now() >= share {
                    break;
                }
                let planned = Planned { replay, origin: Origin::Replay };
                let Ok(seen) = self.theatre.play(&planned, true) else { break };
                if (self.options.stop)() {
                    break;
                }
                let findings = judge::judge(&self.scenario.rules, &self.lines, &seen);
                shrink.told(findings.iter().any(|found| found.rule == rule && found.severity == Severity::Failure));
            }
            self.tally.lock().unwrap_or_else(PoisonError::into_inner).shrunk(at, shrink.shrunk());
        }
    }
}

/// Runs the program once, stopped when it is ready. Where it does not come so far with all that a trial has for itself, without that.
fn rehearse<'a>(
    scenario: &'a Scenario,
    options: &Options<'a>,
    stage: Stage,
) -> Result<(Theatre<'a>, Rehearsal), String> {
    let mut theatre = Theatre::new(scenario, stage, options);
    theatre.stage.level = Some(match scenario.isolation.processes {
        // Who leaves it is still found.
        Wish::Off => Level::Subreaper,
        _ => strongest(&theatre.trampoline).map_err(|error| Untried::from(error).0)?,
    });
    let mut stages = vec![theatre.stage.clone()];
    stages.extend(theatre.stage.with_all_files());
    if theatre.stage.open() != theatre.stage {
        stages.push(theatre.stage.open());
    }
    let lacking = stages.iter().find_map(|stage| stage.lacks(&scenario.isolation));
    stages.retain(|stage| stage.lacks(&scenario.isolation).is_none());
    let (mut theatre, mut rehearsal) = first_that_works(theatre, stages)
        .map_err(|why| if why.is_empty() { lacking.unwrap_or_default() } else { why })?;
    let at_calls = scenario.moments.iter().any(|moments| matches!(moments, Moments::Syscalls { .. }));
    // Also to know what it writes that all trials share, before any are made beside each other.
    let beside = scenario.parallel.is_none() && scenario.trials.is_none_or(|trials| trials > scenario.alone);
    if (at_calls || beside) && options.replay.is_none() {
        let recorded = theatre.record(first_signal(scenario));
        theatre.stage.followed = Some(recorded.as_ref().map(|_| ()).map_err(Clone::clone));
        let (calls, shared) = recorded.unwrap_or_default();
        rehearsal.calls = if at_calls { calls } else { Vec::new() };
        theatre.stage.shared = if scenario.parallel.is_none() { shared } else { Vec::new() };
    }
    Ok((theatre, rehearsal))
}

/// The first of these stages on which the program comes to be ready and its load goes well; else where it comes to be ready.
fn first_that_works<'a>(mut theatre: Theatre<'a>, stages: Vec<Stage>) -> Result<(Theatre<'a>, Rehearsal), String> {
    let mut found = None;
    let mut failed = None;
    for stage in stages {
        theatre.stage = stage;
        match rehearsed(&theatre) {
            Ok((rehearsal, true)) => return Ok((theatre, rehearsal)),
            // It may be the program's fault; then it is so with less as well.
            Ok((rehearsal, false)) => drop(found.get_or_insert((theatre.clone(), rehearsal))),
            Err(why) => drop(failed.get_or_insert(why)),
        }
        if (theatre.stop)() {
            break;
        }
    }
    found.ok_or(failed.unwrap_or_default())
}

/// What it has shown, and whether the load went well.
fn rehearsed(theatre: &Theatre<'_>) -> Result<(Rehearsal, bool), String> {
    let began = Instant::now();
    let signal = first_signal(theatre.scenario);
    let planned = Planned { replay: Replay::new(signal, Moment::Edge(Edge::Ready, SETTLE)), origin: Origin::Edge };
    let seen = theatre.play(&planned, true).map_err(|error| error.0)?;
    let (took, ready) = (began.elapsed(), seen.milestones.ready.is_some());
    if seen.signalled().is_none() && !(ready && seen.exit == Exit::Status(0)) {
        let last: Vec<&str> = seen.log.iter().rev().take(3).map(|line| line.text.as_str()).collect();
        let said: Vec<&str> = last.into_iter().rev().collect();
        let mut why = match seen.exit {
            Exit::Forced if !ready => format!("it was not ready within {:?}", theatre.scenario.ready_within),
            exit if ready => format!("it ended by itself as soon as it was ready: {exit}"),
            exit => format!("it ended before it was ready: {exit}"),
        };
        if !said.is_empty() {
            why = format!("{why}; it said: {}", said.join(" / "));
        }
        return Err(match (&seen.leftovers.orphans[..], seen.exit) {
            ([], Exit::Status(0)) => format!("{why}; what ends so soon cannot be asked to stop"),
            ([first, ..], _) => format!(
                "{why}; `{}` went on in the background: it has to be told to stay in the foreground",
                first.command
            ),
            _ => why,
        });
    }
    // A load may need what the trial does not have. A check that fails says nothing of the kind: among everybody's files it may find
    // data that another run has left.
    let well = seen.load.as_ref().is_none_or(|said| said.ok);
    let rehearsal = Rehearsal {
        milestones: seen.milestones,
        // One that has done its work before it is asked to stop is tried all the same.
        ends: seen.signalled().is_none().then_some(took),
        stop: seen.exit_time().unwrap_or(theatre.scenario.rules.gone_within),
        took: took.saturating_sub(SETTLE),
        cpu: seen.cpu,
        calls: Vec::new(),
    };
    Ok((rehearsal, well))
}

fn first_signal(scenario: &Scenario) -> Signal {
    scenario.signals.first().and_then(|pattern| pattern.first.deed.signal()).unwrap_or(Signal::Term)
}
