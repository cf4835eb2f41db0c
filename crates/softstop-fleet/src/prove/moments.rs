//! Plans the trials: which signals at which moments. Pure: the same scenario, rehearsal and seed give the same plan.
//!
//! A *rehearsal* is one run that was only watched, or signalled when it was ready: it says when the program is ready, how long its stop
//! takes and which system calls it makes.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    draw::Draw,
    replay::{Deed, Edge, Moment, Pattern, Replay, When},
    scenario::{Moments, Scenario},
    trial::{Milestones, Origin, Planned},
};

/// Trials where the scenario says no number: so many at most, however quick the program is.
const MOST_UNSTATED: u32 = 300;
/// And so many at least, however slow.
const FEWEST_UNSTATED: u32 = 10;
/// Where in its window a moment lies on the average: half of them are uniform, half log-uniform.
const MEAN_MOMENT: f64 = 0.3;
/// What starting, containing and looking at a program costs us.
const OWN_WORK: Duration = Duration::from_millis(8);
/// However little a program does, each has its processes and its threads.
const MOST_PER_CORE: u32 = 16;
/// A sweep of more is a slip of the unit.
pub(super) const MOST_STEPS: u32 = 100_000;
/// What log-uniform moments begin with: about what starting a process takes.
const EARLIEST: Duration = Duration::from_micros(100);
/// A signal right after ready, when the program has most to do at once.
const RIGHT_AFTER: Duration = Duration::from_millis(1);

/// A system call that the rehearsal made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Its name.
    pub call: String,
    /// Its number among the calls of this name in this thread, from 1; once it was asked to stop, since then.
    pub nth: u32,
    /// The number of the process, from 1, in the order in which they began.
    pub process: u32,
    /// The number of the thread in it, from 1.
    pub thread: u32,
    /// From where in the program it was made: equal for calls from the same place.
    pub site: u64,
    /// Whether it changes what others can see: between two such calls a program can be caught in the middle.
    pub telling: bool,
    /// Whether it came before the program had said what the signal shall do, so that it could not be blamed for much.
    pub early: bool,
    /// Whether it came after the rehearsal had been asked to stop.
    pub stopping: bool,
}

/// What a run without disturbance has shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rehearsal {
    /// The states it went through.
    pub milestones: Milestones,
    /// When it ended by itself, if it did.
    pub ends: Option<Duration>,
    /// From the signal at ready to its end.
    pub stop: Duration,
    /// The whole trial, from preparing to the last check.
    pub took: Duration,
    /// How long it used a processor.
    pub cpu: Duration,
    /// What it called, in order; empty where that cannot be recorded.
    pub calls: Vec<Call>,
}

impl Rehearsal {
    /// How late a random moment may be: the run, and of one that does not end a while after it was ready.
    fn window(&self, loaded: bool) -> Duration {
        let ready = self.milestones.ready.unwrap_or(Duration::from_secs(1));
        let least = Duration::from_millis(if loaded { 1000 } else { 250 });
        let while_ready = ready.saturating_add(least.max(ready / 2));
        self.ends.map_or(while_ready, |ends| ends.min(while_ready)).max(EARLIEST * 2)
    }
}

/// How many trials at once keep this many processors busy: a trial mostly waits for its moment.
///
/// What is not timed need not be alone. More than are busy at the same time would make every start slower and no trial more.
pub fn at_once(rehearsal: &Rehearsal, loaded: bool, cores: u32) -> u32 {
    let waits = rehearsal.window(loaded).mul_f64(MEAN_MOMENT) + rehearsal.stop;
    let works = rehearsal.cpu + OWN_WORK;
    let each = waits.as_secs_f64().max(works.as_secs_f64()) / works.as_secs_f64();
    ((each * f64::from(cores)) as u32).clamp(cores, cores * MOST_PER_CORE)
}

/// How many trials: what the scenario says, else what fits three quarters of its budget. The rest is for shrinking.
pub fn count(scenario: &Scenario, rehearsal: &Rehearsal, at_once: u32) -> u32 {
    scenario.trials.unwrap_or_else(|| {
        let took = rehearsal.took.as_secs_f64().max(0.001);
        let fit = scenario.budget.as_secs_f64() * 0.75 * f64::from(at_once.max(1)) / took;
        (fit as u32).clamp(FEWEST_UNSTATED, MOST_UNSTATED)
    })
}

/// Plans so many trials. Edges come first, the others in a random order, so that a plan cut short has something of everything.
///
/// Edges take half of the trials at most, system calls a third, a sweep half of what is left if there are random moments as well; these
/// take the rest. Without random moments the others are repeated where the scenario says how many trials there shall be. A scenario
/// without signals, which no file gives, has no plan.
pub fn plan(scenario: &Scenario, rehearsal: &Rehearsal, trials: u32) -> Vec<Planned> {
    let trials = if scenario.signals.is_empty() { 0 } else { trials as usize };
    let planner = Planner { scenario, rehearsal };
    let mut draw = Draw::new(scenario.seed);
    let random = scenario.moments.contains(&Moments::Random);
    let alone = scenario.moments.len() == 1;
    let (mut first, mut others) = (Vec::new(), Vec::new());
    for moments in &scenario.moments {
        let room = trials - first.len() - others.len();
        let part = |of: usize| if alone { trials } else { of };
        match *moments {
            Moments::Edges => first.extend(evenly(planner.edges(), part(trials.div_ceil(2)).min(room))),
            Moments::Syscalls { at_most } => {
                others.extend(planner.calls((at_most as usize).min(part(trials / 3)).min(room)));
            }
            Moments::Sweep { from, to, step } => {
                let room = if random { part(room.div_ceil(2)) } else { room };
                others.extend(evenly(planner.sweep(from, to, step), room));
            }
            Moments::Random => {}
        }
    }
    if random {
        let rest = trials - first.len() - others.len();
        others.extend(planner.random(rest, &mut draw));
    }
    shuffle(&mut others, &mut draw);
    first.extend(others);
    let mut plan = first;
    if scenario.trials.is_some() && !plan.is_empty() {
        let once = plan.len();
        (once..trials).for_each(|at| plan.push(plan[at % once].clone()));
    }
    for (at, planned) in plan.iter_mut().enumerate() {
        planner.finish(&mut planned.replay, at, &mut draw);
    }
    plan
}

struct Planner<'a> {
    scenario: &'a Scenario,
    rehearsal: &'a Rehearsal,
}

/// A gap that is still to be drawn. No scenario has a gap so long: what is read is a year at most.
const UNDRAWN: When = When::Later(Duration::MAX);

impl Planner<'_> {
    fn planned(&self, pattern: &Pattern, at: Moment, origin: Origin) -> Planned {
        let then = pattern.then.iter().map(|(act, when)| (*act, when.clone().unwrap_or(UNDRAWN))).collect();
        let target = pattern.target.unwrap_or(self.scenario.target);
        Planned { replay: Replay { then, target, ..Replay::new(pattern.first, at) }, origin }
    }

    /// The `at`-th pattern, in turn.
    fn in_turn(&self, at: usize, moment: Moment, origin: Origin) -> Planned {
        self.planned(&self.scenario.signals[at % self.scenario.signals.len()], moment, origin)
    }

    fn edges(&self) -> Vec<Planned> {
        let milestones = &self.rehearsal.milestones;
        let seen = Edge::ALL.into_iter().filter(|edge| milestones.of(*edge).is_some());
        let mut moments = vec![Moment::At(Duration::ZERO)];
        // Shortly before its handler, which for an interpreter is long after the start.
        moments.extend(milestones.handler.map(|handler| Moment::At(whole(handler - handler / 4))));
        moments.extend(seen.map(|edge| Moment::Edge(edge, Duration::ZERO)));
        if milestones.ready.is_some() {
            moments.push(Moment::Edge(Edge::Ready, RIGHT_AFTER));
        }
        let with = |moment: &Moment| -> Vec<Planned> {
            self.scenario.signals.iter().map(|pattern| self.planned(pattern, moment.clone(), Origin::Edge)).collect()
        };
        let mut all: Vec<Planned> = moments.iter().flat_map(with).collect();
        // Only a signal is followed by an act, and only what is still read shows one.
        let heard = self.pairs().filter(|pattern| matches!(pattern.first.deed, Deed::Signal(_)));
        let acted = When::At(Moment::Edge(Edge::Acted, Duration::ZERO));
        all.extend(heard.map(|pattern| self.during_cleanup(pattern, acted.clone(), Origin::Edge)));
        let halfway = When::Later(whole(self.rehearsal.stop / 2));
        all.extend(self.pairs().map(|pattern| self.during_cleanup(pattern, halfway.clone(), Origin::Edge)));
        all
    }

    /// The patterns whose second act comes when the planner says.
    fn pairs(&self) -> impl Iterator<Item = &Pattern> {
        self.scenario.signals.iter().filter(|pattern| pattern.then.first().is_some_and(|(_, when)| when.is_none()))
    }

    /// The first act when the program is ready, the second during its cleanup.
    fn during_cleanup(&self, pattern: &Pattern, when: When, origin: Origin) -> Planned {
        let at = match self.rehearsal.milestones.ready {
            Some(_) => Moment::Edge(Edge::Ready, Duration::ZERO),
            None => Moment::At(whole(self.rehearsal.window(false))),
        };
        let mut planned = self.planned(pattern, at, origin);
        if let Some((_, second)) = planned.replay.then.first_mut() {
            *second = when;
        }
        planned
    }

    /// At calls of the cleanup it is the second act that comes there, where there is one.
    fn calls(&self, most: usize) -> Vec<Planned> {
        // What asks nothing to stop is followed by no cleanup.
        let pairs: Vec<&Pattern> = self.pairs().filter(|pattern| pattern.first.deed.signal().is_some()).collect();
        let calls: Vec<&Call> =
            self.rehearsal.calls.iter().filter(|call| !call.stopping || !pairs.is_empty()).collect();
        let planned = thin(&calls, most).into_iter().enumerate().map(|(at, call)| {
            let Call { call: name, nth, process, thread, .. } = call.clone();
            let moment = Moment::Call { call: name, nth, process, thread };
            if call.stopping {
                self.during_cleanup(pairs[at % pairs.len()], When::At(moment), Origin::Syscall)
            } else {
                self.in_turn(at, moment, Origin::Syscall)
            }
        });
        planned.collect()
    }

    fn sweep(&self, from: Duration, to: Duration, step: Duration) -> Vec<Planned> {
        let steps = to.saturating_sub(from).as_micros() / step.as_micros().max(1);
        let steps = u32::try_from(steps).unwrap_or(MOST_STEPS).min(MOST_STEPS);
        let moments = (0..=steps).map(|at| Moment::At(whole(from + step * at)));
        let with = |moment: Moment| {
            self.scenario.signals.iter().map(move |pattern| self.planned(pattern, moment.clone(), Origin::Sweep))
        };
        moments.flat_map(with).collect()
    }

    fn random(&self, count: usize, draw: &mut Draw) -> Vec<Planned> {
        let window = self.rehearsal.window(self.scenario.load.is_some());
        let patterns = self.scenario.signals.len();
        let mut moment = |at: usize| {
            // One round of all patterns is uniform, the next log-uniform.
            let uniform = (at / patterns).is_multiple_of(2);
            Moment::At(if uniform { draw.uniform(window) } else { draw.log_uniform(EARLIEST, window) })
        };
        (0..count).map(|at| self.in_turn(at, moment(at), Origin::Random)).collect()
    }

    /// Gives a trial its seed, draws its gaps, and lets the faults take turns with none.
    fn finish(&self, replay: &mut Replay, at: usize, draw: &mut Draw) {
        replay.seed = self.scenario.seed.wrapping_add(at as u64);
        for (_, when) in &mut replay.then {
            if *when == UNDRAWN {
                let gap = self.scenario.gaps.get(draw.below(self.scenario.gaps.len()));
                *when = When::Later(gap.copied().unwrap_or_default());
            }
        }
        let faults = &self.scenario.faults;
        replay.faults.extend((at % (faults.len() + 1)).checked_sub(1).map(|fault| faults[fault]));
    }
}

/// At most so many of the calls, those before the handler a quarter of them unless there are few others.
pub fn thin<'a>(calls: &[&'a Call], most: usize) -> Vec<&'a Call> {
    let (early, others): (Vec<&Call>, Vec<&Call>) = calls.iter().partition(|call| call.early);
    let least_early = early.len().min(most / 4);
    let others = most_telling(&others, most - least_early);
    let mut kept = most_telling(&early, most - others.len());
    kept.extend(others);
    kept
}

/// At most so many of the calls, in their order, the most telling first:
///
/// 1. calls that change what others can see, each place in the program once;
/// 2. the same, from places that were chosen already;
/// 3. the first and the last of each name in each thread, before the stop and in it;
/// 4. each other place once.
///
/// Where a group does not fit whole, what is kept of it lies evenly over the run. What is in no group is left out: it repeats what was
/// seen.
fn most_telling<'a>(calls: &[&'a Call], most: usize) -> Vec<&'a Call> {
    let mut sites = BTreeSet::new();
    let new_site: Vec<bool> = calls.iter().map(|call| sites.insert((call.process, &call.call, call.site))).collect();
    let name = |call: &'a Call| (call.process, call.thread, call.call.as_str(), call.stopping);
    // Of two equal keys the later stays, which is the last call.
    let lasts: BTreeMap<_, usize> = calls.iter().enumerate().map(|(at, call)| (name(call), at)).collect();
    let group = |at: usize| {
        let call = calls[at];
        let last = lasts.get(&name(call)) == Some(&at);
        match (call.telling, new_site[at], call.nth == 1 || last) {
            (true, true, _) => 1,
            (true, false, _) => 2,
            (false, _, true) => 3,
            (false, true, false) => 4,
            (false, false, false) => 5,
        }
    };
    let groups: Vec<u8> = (0..calls.len()).map(group).collect();
    let mut kept = BTreeSet::new();
    for group in 1..=4 {
        let members: Vec<usize> = (0..calls.len()).filter(|at| groups[*at] == group).collect();
        kept.extend(evenly(members, most.saturating_sub(kept.len())));
    }
    kept.into_iter().map(|at| calls[at]).collect()
}

/// At most so many of them, the first and the last among these, evenly spread.
fn evenly<T>(all: Vec<T>, most: usize) -> Vec<T> {
    let count = all.len();
    if count <= most {
        return all;
    }
    let chosen: BTreeSet<usize> = match most {
        0 => BTreeSet::new(),
        1 => BTreeSet::from([0]),
        _ => (0..most).map(|at| at * (count - 1) / (most - 1)).collect(),
    };
    all.into_iter().enumerate().filter(|(at, _)| chosen.contains(at)).map(|(_, item)| item).collect()
}

/// Whole microseconds, as a line writes them.
fn whole(time: Duration) -> Duration {
    time - Duration::from_nanos(u64::from(time.subsec_nanos() % 1000))
}

/// Fisher–Yates.
fn shuffle<T>(items: &mut [T], draw: &mut Draw) {
    for at in (1..items.len()).rev() {
        items.swap(at, draw.below(at + 1));
    }
}

#[cfg(test)]
#[path = "moments_tests.rs"]
pub(super) mod tests;
