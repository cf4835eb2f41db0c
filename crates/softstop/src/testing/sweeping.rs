//! Goes through all the runs of one sweep, and judges them.

use std::{collections::BTreeSet, sync::Arc, thread, time::Duration};

use crate::{
    console::say_of_replay,
    report::{Report, Status},
    task::Outcome,
};

use super::{
    Swept,
    bench::{Bench, Ran},
    fault::Fault,
    lens::{Run, Trace},
    moment::{Moment, Point, Schedule, Stop},
};

/// Failures that are shown; a sweep ends early with so many.
const MOST_FAILURES: usize = 5;
/// Each so-manieth run is made twice.
const TWICE: usize = 8;

/// A sweep under way.
pub(super) struct Sweeping {
    pub(super) bench: Bench,
    pub(super) lasting: Duration,
    pub(super) most: usize,
    pub(super) pairs: usize,
    pub(super) seed: u64,
    pub(super) faults: Arc<Vec<Fault>>,
    pub(super) allowed: BTreeSet<Status>,
    pub(super) repeatable: bool,
    pub(super) swept: Swept,
    pub(super) failures: Vec<String>,
}

impl Sweeping {
    #[track_caller]
    pub(super) fn sweep(mut self) -> Swept {
        for schedule in [Schedule::Coarse, Schedule::Fine] {
            self.sweep_schedule(schedule);
        }
        if !self.failures.is_empty() {
            let (runs, points) = (self.swept.runs, self.swept.points.len());
            panic!("stopped at {points} points in {runs} runs; failed:\n{}", self.failures.join("\n"));
        }
        self.swept
    }

    fn sweep_schedule(&mut self, schedule: Schedule) {
        let whole = Moment { schedule, stop: Stop::Last, hurry: None };
        let Some((_, trace)) = self.make(&whole) else { return };
        let never = self.faults.iter().enumerate().find(|(at, _)| !trace.happened.contains(at));
        if let Some((_, fault)) = never {
            let seen = trace.names_seen().into_iter().collect::<Vec<_>>().join(", ");
            panic!("never happened: {fault}; there are {seen}");
        }
        let points = trace.before_stop;
        let mut draw = Draw::new(self.seed);
        let chosen = draw.some(points.len(), self.most);
        self.swept.left_out += points.len() - chosen.len();
        let hurried: BTreeSet<usize> = draw.some(chosen.len(), self.pairs).into_iter().map(|at| chosen[at]).collect();
        let _ = self.make(&Moment { schedule, stop: Stop::First, hurry: None });
        for at in chosen {
            if self.failures.len() >= MOST_FAILURES {
                return;
            }
            let moment = Moment { schedule, stop: Stop::At(points[at].clone()), hurry: None };
            self.swept.points.push(format!("{moment}"));
            let Some((_, trace)) = self.make(&moment) else { continue };
            if !trace.before_stop.contains(&points[at]) {
                self.swept.missed += 1;
            }
            if hurried.contains(&at) && !trace.after_stop.is_empty() {
                let hurry = trace.after_stop[draw.below(trace.after_stop.len())].clone();
                self.swept.pairs += 1;
                let hurried = self.make(&Moment { hurry: Some(hurry), ..moment });
                self.swept.missed += usize::from(hurried.is_some_and(|(_, trace)| !trace.hurried));
            }
        }
    }

    /// Makes one run and notes what is wrong with it. `None` where it has failed.
    pub(super) fn make(&mut self, moment: &Moment) -> Option<(Ran, Trace)> {
        let run =
            Run { moment: moment.clone(), lasting: self.lasting, seed: self.seed, faults: Arc::clone(&self.faults) };
        self.swept.runs += 1;
        let (ran, trace) = match self.bench.make(&run) {
            Ok(made) => made,
            Err(error) => {
                self.fail(moment, &error);
                // Its thread is lost, and with it every further run.
                let shown = self.failures.join("\n");
                panic!("stopped at {} points in {} runs; failed:\n{shown}", self.swept.points.len(), self.swept.runs);
            }
        };
        let mut wrong = self.wrong_with(&ran, moment);
        if wrong.is_none() && self.repeatable && self.swept.runs.is_multiple_of(TWICE) {
            self.swept.runs += 1;
            wrong = match self.bench.make(&run) {
                Ok((again, _)) => difference(&ran.report, &again.report),
                Err(error) => Some(error),
            };
        }
        match wrong {
            None => Some((ran, trace)),
            Some(wrong) => {
                self.fail(moment, &wrong);
                None
            }
        }
    }

    fn fail(&mut self, moment: &Moment, wrong: &str) {
        let test = thread::current().name().filter(|name| *name != "main").map(str::to_owned).unwrap_or_default();
        let replay = format!("SOFTSTOP_REPLAY='{moment}' cargo test --all-features {test}");
        self.failures.push(format!("  {moment}: {wrong}\n    replay: {}", replay.trim_end()));
    }

    fn wrong_with(&self, ran: &Ran, moment: &Moment) -> Option<String> {
        let report = &ran.report;
        if let Err(error) = &ran.verdict {
            return Some(error.clone());
        }
        if report.took > report.total {
            return Some(format!("the stop took {:?} of at most {:?}", report.took, report.total));
        }
        let tasks = || report.components.iter().flat_map(|c| c.tasks.iter().map(move |t| (c, t)));
        if let Some((c, t)) = tasks().find(|(_, t)| matches!(t.outcome, None | Some(Outcome::Stuck))) {
            return Some(format!("stuck: {}/{}, spawned at {}", c.name, t.name, t.site));
        }
        // With a hurry a declared loss is what was asked for; without one it is a loss.
        let hurried = moment.hurry.is_some() && report.status == Status::Lost;
        if !self.allowed.contains(&report.status) && !hurried {
            let aborted = tasks().find(|(_, t)| t.outcome == Some(Outcome::Aborted));
            let who = aborted.map_or(String::new(), |(c, t)| format!("; {}/{} was aborted", c.name, t.name));
            return Some(format!("status {} ({}){who}", report.status.code(), report.why));
        }
        if let Some(leak) = report.leaks.first() {
            return Some(format!("{} left open by {}, opened at {}", leak.kind, leak.task, leak.site));
        }
        let open = report.components.iter().flat_map(|c| &c.open).next();
        open.map(|open| format!("{} still open, opened at {}", open.kind, open.site))
    }

    #[track_caller]
    pub(super) fn replay(mut self, moment: Moment) -> Swept {
        let Some((ran, trace)) = self.make(&moment) else {
            panic!("replayed:\n{}", self.failures.join("\n"));
        };
        let points = |points: &[Point]| points.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let (before, after) = (points(&trace.before_stop), points(&trace.after_stop));
        let missed = matches!(&moment.stop, Stop::At(point) if !trace.before_stop.contains(point));
        let came = if missed { "did not come to" } else { "replayed" };
        let timeline = ran.report.timeline(120);
        say_of_replay(&format!("{came} {moment}\n{timeline}before the stop: {before}\nafter it: {after}"));
        self.swept
    }
}

/// The first difference between two reports of the same run; blockers and deafness are measured in real time and left out.
pub(super) fn difference(one: &Report, other: &Report) -> Option<String> {
    let json = |report: &Report| Report { blockers: Vec::new(), deaf: None, ..report.clone() }.to_json();
    let (one, other) = (json(one), json(other));
    let (a, b) = one.lines().zip(other.lines()).find(|(a, b)| a != b)?;
    Some(format!(
        "the same run gave two reports: `{}` and `{}`; if the service draws at random, say `not_repeatable`",
        a.trim(),
        b.trim()
    ))
}

/// Draws numbers by a seed: splitmix64, <https://prng.di.unimi.it/splitmix64.c>.
pub(super) struct Draw(u64);

impl Draw {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % (n.max(1) as u64)).unwrap_or_default()
    }

    /// At most `most` of the numbers below `n`, in order.
    fn some(&mut self, n: usize, most: usize) -> Vec<usize> {
        if n <= most {
            return (0..n).collect();
        }
        let mut chosen = BTreeSet::new();
        while chosen.len() < most {
            chosen.insert(self.below(n));
        }
        chosen.into_iter().collect()
    }
}
