//! Moments that are system calls, and faults in what these do.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use super::{Theatre, live::Trial};
use crate::{
    process::{Meddling, Point, Recorded, Trace, Tracing},
    prove::{
        moments::Call,
        replay::{Act, Edge, Fault, Moment, Replay, Signal, When},
        trial::{Exit, Made, Origin, Planned},
        watch::LOOK,
    },
};

/// Of the files that all trials share, so many are named.
const MOST_NAMED: usize = 3;
/// How long after it was ready a program is followed before it is asked to stop, so that what it does meanwhile is known.
const WHILE_READY: Duration = Duration::from_millis(100);
/// A program that is ready and has made no call for so long will not come to the one that is waited for.
const QUIET: Duration = Duration::from_millis(300);
/// Nor will one that is ready for so long, whatever it does: the call was seen much earlier.
const HOPELESS: Duration = Duration::from_secs(2);

/// What has to be followed for a trial, if anything.
pub(super) fn tracing(replay: &Replay, record: bool) -> Option<Tracing> {
    let meddling = replay.faults.iter().filter_map(meddling).collect();
    let tracing = Tracing { record, hold_at: point(&replay.at), meddling };
    (replay.traced() || tracing != Tracing::default()).then_some(tracing)
}

fn meddling(fault: &Fault) -> Option<Meddling> {
    match fault {
        Fault::DiskFull(from) => Some(Meddling::DiskFull(*from)),
        Fault::SilentPeer => Some(Meddling::SilentPeer),
        Fault::StoppedChild | Fault::Cpu(_) => None,
    }
}

fn point(moment: &Moment) -> Option<Point> {
    match moment {
        Moment::Call { call, nth, process, thread } => {
            Some(Point { call: call.clone(), nth: *nth, process: *process, thread: *thread })
        }
        _ => None,
    }
}

impl Theatre<'_> {
    /// The system calls of one run that is asked to stop a while after it was ready. Why not, if the program cannot be followed.
    ///
    /// With them the files that it wrote and that all trials share, at most a few.
    pub(in crate::prove) fn record(&self, signal: Signal) -> Result<(Vec<Call>, Vec<String>), String> {
        let replay = Replay::new(signal, Moment::Edge(Edge::Ready, WHILE_READY));
        let planned = Planned { replay, origin: Origin::Syscall };
        let (seen, calls) = self.play_recorded(&planned).map_err(|error| error.0)?;
        let states = [seen.milestones.handler, seen.milestones.ready];
        let (began, calls) = calls?;
        // A state is seen a little after it was reached.
        let able = states.into_iter().flatten().min().map(|able| began + able.saturating_sub(2 * LOOK));
        let written: BTreeSet<&String> = calls.iter().filter_map(|made| made.file.as_ref()).collect();
        let shared = written.into_iter().filter(|file| self.is_shared(file)).take(MOST_NAMED).cloned().collect();
        let calls = calls.into_iter().map(|made| call(made, able)).collect();
        // One that has done its work before it is asked to stop was seen whole.
        if seen.signalled().is_some() || seen.exit == Exit::Status(0) {
            Ok((calls, shared))
        } else {
            Err(format!("while its system calls were followed it was not ready in time: {}", seen.exit))
        }
    }
}

impl Trial<'_> {
    /// Before an act: what is waited for after it. Where that is no call, and no fault needs it, the program goes on by itself.
    pub(super) fn aim(&self, rest: &[(Act, When)]) {
        let Some(trace) = self.running.trace() else { return };
        let of = |when: &When| match when {
            When::At(moment) => point(moment),
            When::Later(_) => None,
        };
        trace.aim(rest.first().and_then(|(_, when)| of(when)));
        if !self.followed && rest.iter().all(|(_, when)| of(when).is_none()) {
            trace.leave();
        }
    }

    /// Waits until a thread is held at the call that was aimed at; whether it came.
    pub(super) fn reach_call(&mut self) -> bool {
        let Some(trace) = self.running.trace().cloned() else { return false };
        let began = Instant::now();
        // Asked to stop already, it has as long as its stop may take; else until it is ready.
        let until = self.sent.last().map(|_| began + self.theatre.scenario.rules.gone_within);
        let waited_for = |trial: &Self| {
            let now = Instant::now();
            let since = match (trial.sent.is_empty(), trial.milestones.ready) {
                (true, None) => None,
                (true, Some(ready)) => Some(trial.running.began() + ready),
                (false, _) => Some(began),
            };
            let ready_for = since.map(|since| now.saturating_duration_since(since));
            let quiet_for = trace.activity().1.unwrap_or_default();
            ready_for.is_some_and(|long| long >= HOPELESS || (long >= QUIET && quiet_for >= QUIET))
        };
        self.until(until, |trial| trace.holds() || waited_for(trial));
        let held = trace.holds();
        if held {
            // While it stands still, what is seen of it is exact.
            self.look();
        }
        held
    }

    /// Whether a thread is held at the call that was aimed at.
    pub(super) fn holds(&self) -> bool {
        self.running.trace().is_some_and(Trace::holds)
    }

    /// After an act, or when its moment did not come: whoever is held goes on.
    pub(super) fn let_go(&self) {
        if let Some(trace) = self.running.trace() {
            trace.let_go();
        }
    }

    /// What became of the faults in its system calls, once it has ended; the file that could not be written after the first signal.
    pub(super) fn called_faults(&mut self, faults: &[Fault]) -> Option<String> {
        let denied = self.running.trace().map(Trace::denied).unwrap_or_default();
        let mut unsaved = None;
        for fault in faults {
            let (how, why_not) = match fault {
                Fault::DiskFull(_) => ("writes to files failed", "it did not write to files so often"),
                Fault::SilentPeer => {
                    ("what it sent went nowhere", "after the signal it sent nothing over connections of its own")
                }
                Fault::StoppedChild | Fault::Cpu(_) => continue,
            };
            let is_full = matches!(fault, Fault::DiskFull(_));
            let mut struck = denied.iter().filter(|denied| denied.disk_full == is_full);
            let first = struck.next();
            let how = first.map(|_| how.to_owned()).ok_or_else(|| why_not.to_owned());
            self.faults.push(Made { fault: *fault, how });
            if is_full {
                unsaved =
                    first.into_iter().chain(struck).find(|denied| denied.epoch > 0).map(|denied| denied.file.clone());
            }
        }
        unsaved
    }

    /// No moment of the trial is a call any more.
    pub(super) fn unfollow(&self) {
        if let Some(trace) = self.running.trace().filter(|_| !self.followed) {
            trace.leave();
        }
        self.let_go();
    }
}

/// As the planner sees it; `able`: when the program could first act upon a signal.
fn call(made: Recorded, able: Option<Instant>) -> Call {
    Call {
        call: made.call.to_owned(),
        nth: made.nth,
        process: made.process,
        thread: made.thread,
        site: made.site,
        telling: made.telling,
        early: able.is_some_and(|able| made.at < able),
        stopping: made.epoch > 0,
    }
}
