//! Makes a failing trial as short as possible. Pure: asks for a trial, is told whether it failed, asks for the next.
//!
//! It first repeats the trial to see whether it fails again. Then it tries what is simpler, one change at a time, and keeps what still
//! fails: without a fault, without the load, to the main process only, without the second signal, once instead of a storm, with a
//! shorter gap, at an earlier moment, after a state instead of after so much time. At the end it repeats the shortest one, to say how
//! often it fails.

use std::{collections::BTreeSet, time::Duration};

use super::{
    replay::{Act, Edge, Moment, Replay, Target, When},
    trial::Milestones,
};

/// How much it may try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Trials in all.
    pub trials: u32,
    /// Of these, the repetitions of the shortest at the end.
    pub repeats: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { trials: 40, repeats: 5 }
    }
}

/// Attempts at a trial that does not fail every time.
const ATTEMPTS: u32 = 3;

/// A failing trial on its way to a shorter one.
#[derive(Debug, Clone)]
pub struct Shrink {
    best: Replay,
    /// Those before it, which were not as short: one of them takes its place where it failed by luck alone.
    before: Vec<Replay>,
    milestones: Milestones,
    loaded: bool,
    limits: Limits,
    tried: BTreeSet<Replay>,
    /// How often a trial is tried before it counts as one that does not fail.
    attempts: u32,
    ran: u32,
    repeated: u32,
    failed: u32,
    state: State,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Confirming,
    /// This one, for so many attempts more.
    Trying(Replay, u32),
    Repeating,
    Done,
}

/// The shortest trial that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shrunk {
    /// It.
    pub replay: Replay,
    /// How often it failed when it was repeated.
    pub failed: u32,
    /// How often it was repeated; may be 0 where the limit came first.
    pub of: u32,
}

impl Shrunk {
    /// Whether it did not fail every time.
    pub fn flaky(&self) -> bool {
        self.failed < self.of
    }
}

impl Shrink {
    /// Begins with a trial that failed once. `milestones` are those of that trial, `loaded` whether the scenario has a load.
    pub fn new(failing: Replay, milestones: Milestones, loaded: bool, limits: Limits) -> Self {
        Self {
            tried: BTreeSet::from([failing.clone()]),
            best: failing,
            before: Vec::new(),
            milestones,
            loaded,
            limits,
            attempts: 1,
            ran: 0,
            repeated: 0,
            failed: 0,
            state: State::Confirming,
        }
    }

    /// The trial to run next; the same until [`Self::told`]. `None` when there is nothing left to try.
    pub fn next(&self) -> Option<&Replay> {
        match &self.state {
            State::Confirming | State::Repeating => Some(&self.best),
            State::Trying(replay, _) => Some(replay),
            State::Done => None,
        }
    }

    /// Takes in whether the trial broke the same rule again.
    pub fn told(&mut self, failed: bool) {
        self.ran += 1;
        match std::mem::replace(&mut self.state, State::Done) {
            State::Confirming => {
                self.count(failed);
                if failed {
                    self.attempts = if self.repeated == 1 { 1 } else { ATTEMPTS };
                    self.search();
                } else if self.repeated < ATTEMPTS && self.ran < self.limits.trials {
                    self.state = State::Confirming;
                }
            }
            State::Trying(replay, _) if failed => {
                self.before.push(std::mem::replace(&mut self.best, replay));
                self.search();
            }
            State::Trying(replay, left) if left > 1 && self.ran + self.kept() < self.limits.trials => {
                self.state = State::Trying(replay, left - 1);
            }
            State::Trying(..) => self.search(),
            State::Repeating => {
                self.count(failed);
                self.repeat();
            }
            State::Done => {}
        }
    }

    /// The shortest trial so far, and how often it failed when it was repeated.
    pub fn shrunk(&self) -> Shrunk {
        Shrunk { replay: self.best.clone(), failed: self.failed, of: self.repeated }
    }

    fn count(&mut self, failed: bool) {
        self.repeated += 1;
        self.failed += u32::from(failed);
    }

    /// Goes on to the next simpler trial that was not tried, or to the repetitions.
    fn search(&mut self) {
        let simpler =
            simpler(&self.best, &self.milestones, self.loaded).into_iter().find(|replay| !self.tried.contains(replay));
        match simpler {
            Some(replay) if self.ran + self.kept() < self.limits.trials => {
                self.tried.insert(replay.clone());
                self.state = State::Trying(replay, self.attempts);
            }
            _ => {
                (self.repeated, self.failed) = (0, 0);
                self.repeat();
            }
        }
    }

    /// Trials that are kept for the repetitions: of the shortest, and of one before it.
    fn kept(&self) -> u32 {
        2 * self.limits.repeats
    }

    fn repeat(&mut self) {
        if self.repeated == self.limits.repeats && self.failed == 0 && self.ran < self.limits.trials {
            let Some(before) = self.before.pop() else { return };
            self.best = before;
            self.repeated = 0;
        }
        let more = self.repeated < self.limits.repeats && self.ran < self.limits.trials;
        self.state = if more { State::Repeating } else { State::Done };
    }
}

/// All that is one step simpler than this trial, what simplifies most first.
fn simpler(replay: &Replay, milestones: &Milestones, loaded: bool) -> Vec<Replay> {
    let mut all = Vec::new();
    let mut with = |change: &dyn Fn(&mut Replay)| {
        let mut changed = replay.clone();
        change(&mut changed);
        // What is left has to ask the program to stop.
        if changed != *replay && changed.signals().next().is_some() {
            all.push(changed);
        }
    };
    for at in 0..replay.faults.len() {
        with(&|replay| {
            replay.faults.remove(at);
        });
    }
    with(&|replay| replay.without_load |= loaded);
    with(&|replay| replay.target = Target::Main);
    for at in (0..replay.then.len()).rev() {
        with(&|replay| {
            replay.then.remove(at);
        });
    }
    with(&|replay| replay.first.times = 1);
    for at in 0..replay.then.len() {
        with(&|replay| replay.then[at].0 = Act { times: 1, ..replay.then[at].0 });
    }
    for (at, (_, when)) in replay.then.iter().enumerate() {
        match when {
            When::Later(gap) => {
                for gap in shorter(*gap) {
                    with(&|replay| replay.then[at].1 = When::Later(gap));
                }
            }
            When::At(moment) => {
                for moment in earlier(moment, &Milestones::default()) {
                    with(&|replay| replay.then[at].1 = When::At(moment.clone()));
                }
            }
        }
    }
    for moment in earlier(&replay.at, milestones) {
        with(&|replay| replay.at = moment.clone());
    }
    all
}

/// Earlier moments of the same kind; before these the last state before a time, which is found again on a slower machine. It does not
/// go on to an earlier state: what fails there is another failure.
fn earlier(moment: &Moment, milestones: &Milestones) -> Vec<Moment> {
    match moment {
        Moment::At(time) => {
            let reached = Edge::ALL.into_iter().filter_map(|edge| Some((milestones.of(edge)?, edge)));
            let last = reached.filter(|(at, _)| at <= time).max();
            let after = last.map(|(at, edge)| Moment::Edge(edge, rounded(*time - at)));
            after.into_iter().chain(shorter(*time).into_iter().map(Moment::At)).collect()
        }
        Moment::Edge(edge, after) => shorter(*after).into_iter().map(|after| Moment::Edge(*edge, after)).collect(),
        Moment::Call { call, nth, process, thread } => {
            let all =
                BTreeSet::from([1, nth.div_ceil(2), nth - nth.div_ceil(4).min(nth - 1), nth.saturating_sub(1).max(1)]);
            let fewer = all.into_iter().filter(|fewer| fewer < nth);
            fewer.map(|nth| Moment::Call { call: call.clone(), nth, process: *process, thread: *thread }).collect()
        }
    }
}

/// 0, then halfway and nearer, so that repeated use comes close to the shortest that fails.
fn shorter(time: Duration) -> Vec<Duration> {
    let parts = [Duration::ZERO, time / 2, time - time / 4, time - time / 8].map(rounded);
    let mut shorter: Vec<Duration> = parts.into_iter().filter(|part| *part < time).collect();
    shorter.dedup();
    shorter
}

/// Cut to two figures, in whole microseconds, as a line to paste has it.
fn rounded(time: Duration) -> Duration {
    let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let unit = 10_u64.pow(us.max(1).ilog10().saturating_sub(1));
    Duration::from_micros(us / unit * unit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::prove::replay::tests::any_replay;

    /// Shrinks with a program that fails as `fails` says; returns the result and how many trials it took.
    fn shrunk(line: &str, mut fails: impl FnMut(&Replay) -> bool) -> (String, Shrunk, u32) {
        let ms = |n| Some(Duration::from_millis(n));
        let milestones = Milestones { handler: ms(5), output: ms(8), listening: None, ready: ms(10) };
        let mut shrink = Shrink::new(line.parse().unwrap(), milestones, true, Limits::default());
        let mut ran = 0;
        while let Some(replay) = shrink.next() {
            let failed = fails(replay);
            shrink.told(failed);
            ran += 1;
        }
        let shrunk = shrink.shrunk();
        (shrunk.replay.to_string(), shrunk, ran)
    }

    #[test]
    fn what_does_not_matter_goes() {
        let line =
            "INT x50 at 12.5ms, INT 100ms later, TERM 10ms later, to group, fault cpu-10%, fault disk-full#3, seed 3";

        let (shortest, shrunk, _) = shrunk(line, |_| true);

        assert_eq!(shortest, "INT at ready, without load, seed 3");
        assert_eq!((shrunk.failed, shrunk.of, shrunk.flaky()), (5, 5, false));
    }

    #[test]
    fn what_matters_stays() {
        let line = "INT at 12.5ms, INT 100ms later, fault stopped-child, seed 3";
        let later = |replay: &Replay, least: u64| matches!(replay.then.first(), Some((_, When::Later(gap))) if *gap >= Duration::from_millis(least));

        let (shortest, ..) = shrunk(line, |replay| later(replay, 30) && replay.at != Moment::At(Duration::ZERO));

        assert!(shortest.starts_with("INT at ready, INT 3"), "{shortest}: 30 to 39 ms");
        assert!(shortest.ends_with("ms later, without load, seed 3"), "{shortest}");
    }

    #[test]
    fn the_earliest_failing_call_is_found() {
        let from = |least: u32| move |replay: &Replay| matches!(replay.at, Moment::Call { nth, .. } if nth >= least);

        assert_eq!(shrunk("TERM at rename#60 pid1", from(37)).0, "TERM at rename#37 pid1, without load, seed 0");
        assert_eq!(shrunk("TERM at rename#3 pid1", from(3)).0, "TERM at rename#3 pid1, without load, seed 0");
    }

    #[test]
    fn flaky_is_told_from_certain() {
        let mut turn = 0;
        let (_, shrunk, _) = shrunk("TERM at ready", |_| {
            turn += 1;
            turn % 2 == 0
        });

        assert!(shrunk.flaky(), "{shrunk:?}");
        assert!(shrunk.failed > 0);
    }

    #[test]
    fn one_that_failed_by_luck_alone_gives_way_to_the_one_before() {
        let mut lucky = true;
        let (line, shrunk, _) = shrunk("TERM at 5ms, TERM 1ms later", |replay| match replay.signals().count() {
            1 => std::mem::take(&mut lucky),
            _ => true,
        });

        assert_eq!((shrunk.failed, shrunk.of), (5, 5), "{line}");
        assert_eq!(shrunk.replay.signals().count(), 2, "{line}");
    }

    #[test]
    fn one_that_never_fails_again_is_left_as_it_was() {
        let (line, shrunk, ran) = shrunk("TERM at 5ms, TERM 1ms later", |_| false);

        assert_eq!(line, "TERM at 5ms, TERM 1ms later, seed 0");
        assert_eq!((shrunk.failed, shrunk.of, ran), (0, 3, 3));
    }

    proptest! {
        #[test]
        fn it_ends_in_time_with_a_trial_that_failed(replay in any_replay(), luck: u64, trials in 1_u32..60) {
            let limits = Limits { trials, repeats: 5 };
            let mut shrink = Shrink::new(replay.clone(), Milestones::default(), luck % 2 == 0, limits);
            let (mut failed, mut ran) = (BTreeSet::from([replay]), 0);
            while let Some(next) = shrink.next().cloned() {
                let fails = (luck >> (ran % 64)) & 1 == 1;
                if fails {
                    failed.insert(next);
                }
                shrink.told(fails);
                ran += 1;
                prop_assert!(ran <= trials);
            }
            let shrunk = shrink.shrunk();
            prop_assert!(failed.contains(&shrunk.replay));
            prop_assert_eq!(shrunk.replay.to_string().parse(), Ok(shrunk.replay));
        }
    }
}
