//! What is done to the program of a trial, and the wait for its end.

use std::time::{Duration, Instant};

use super::{GRACE, KILL, live::Trial};
use crate::{
    process,
    prove::{
        replay::{Act, Deed, Edge, Moment, Signal, Target, When},
        trial::{Exit, Planned, Sent},
        watch::LOOK,
    },
};

impl Trial<'_> {
    /// Does what was planned. If its moment never comes, nothing is sent.
    pub(super) fn act(&mut self, planned: &Planned) {
        self.do_all(planned);
        self.unfollow();
    }

    fn do_all(&mut self, planned: &Planned) {
        let replay = &planned.replay;
        let target = match replay.target {
            Target::Main => process::Target::Main,
            Target::Group => process::Target::Group,
            Target::All => process::Target::All,
        };
        if !self.reach(&replay.at) {
            return;
        }
        self.served = self.listening();
        self.send(replay.first, target, &replay.then);
        for (at, (act, when)) in replay.then.iter().enumerate() {
            let reached = match when {
                When::Later(gap) => {
                    let at = Instant::now() + *gap;
                    self.running.wait_for(at, |seen| seen.exit.is_some());
                    self.running.exited().is_none()
                }
                When::At(moment) => self.reach(moment),
            };
            if !reached {
                return;
            }
            self.send(*act, target, &replay.then[at + 1..]);
        }
    }

    /// Waits for a moment; whether it came.
    pub(super) fn reach(&mut self, moment: &Moment) -> bool {
        match moment {
            Moment::At(at) => {
                let at = self.running.began() + *at;
                self.until(Some(at), |_| false);
                self.running.exited().is_none()
            }
            Moment::Edge(edge, after) => {
                let reached = match edge {
                    Edge::Acted => self.until(None, |trial| trial.acted().is_some()),
                    edge => self.until(None, |trial| trial.milestones.of(*edge).is_some()),
                };
                if reached && !after.is_zero() {
                    let at = Instant::now() + *after;
                    self.until(Some(at), |_| false);
                }
                reached && self.running.exited().is_none()
            }
            Moment::Call { .. } => self.reach_call(),
        }
    }

    /// Does one act; `rest` is what follows it.
    pub(super) fn send(&mut self, act: Act, target: process::Target, rest: &[(Act, When)]) {
        self.aim(rest);
        let signal = match act.deed {
            Deed::Signal(Signal::Term) => process::Signal::TERM,
            Deed::Signal(Signal::Int) => process::Signal::INT,
            Deed::Signal(Signal::Quit) => process::Signal::QUIT,
            Deed::Signal(Signal::Kill) => process::Signal::KILL,
            Deed::Signal(Signal::Hup) | Deed::HangUp => process::Signal::HUP,
            Deed::CloseStdout => return,
        };
        let target = if act.deed == Deed::HangUp { process::Target::Group } else { target };
        if self.sent.is_empty() {
            self.running.mark();
        }
        let at = Instant::now();
        for _ in 0..act.times {
            // It may have ended meanwhile.
            let _ = self.running.signal(target, signal);
        }
        self.sent.push(Sent { act, at: self.since(at) });
        self.let_go();
    }

    /// When it first did something that can be seen after the first signal.
    pub(super) fn acted(&self) -> Option<Duration> {
        self.running.look(|seen| seen.wrote).map(|at| self.since(at))
    }

    /// Waits for its end, for no longer than the rules allow, and ends it by force then.
    pub(super) fn await_end(&mut self) -> Exit {
        let allowed = self.theatre.scenario.rules.gone_within;
        let Some(first) = self.sent.first().map(|sent| sent.at) else {
            self.running.kill_all(KILL);
            return self.status();
        };
        let until = self.running.began() + self.sent.last().map_or(first, |sent| sent.at) + allowed;
        while self.running.exited().is_none() && Instant::now() < until {
            if self.ladder.unserving.is_none() && !self.served.is_empty() && self.listening().is_disjoint(&self.served)
            {
                self.ladder.unserving = Some(self.since(Instant::now()));
            }
            let look = if self.served.is_empty() || self.ladder.unserving.is_some() { allowed } else { 2 * LOOK };
            self.running.wait_for((Instant::now() + look).min(until), |seen| seen.exit.is_some());
        }
        let exit = self.running.exited();
        if exit.is_some_and(|exit| self.since(exit.at) <= first) {
            // It ended by itself just before.
            self.sent.clear();
            return self.status();
        }
        self.ladder.exited = exit.map(|exit| self.since(exit.at));
        self.ladder.acted = [self.acted(), self.ladder.unserving, self.ladder.exited].into_iter().flatten().min();
        if exit.is_none() {
            return Exit::Forced;
        }
        self.running.wait_gone(Instant::now() + GRACE);
        self.status()
    }

    pub(super) fn status(&self) -> Exit {
        use std::os::unix::process::ExitStatusExt;
        let status = self.running.exited().and_then(|exit| exit.status);
        match status.map(|status| (status.code(), status.signal())) {
            Some((Some(code), _)) => Exit::Status(code),
            Some((_, Some(signal))) => Exit::Signal(signal),
            _ => Exit::Forced,
        }
    }
}
