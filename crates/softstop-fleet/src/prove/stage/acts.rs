//! What is done to the program of a trial, and the wait for its end.

use std::time::{Duration, Instant};

use super::{GRACE, KILL, STOP_LOOK, live::Trial};
use crate::{
    process,
    prove::{
        replay::{Act, Deed, Edge, Moment, Signal, Target, When},
        trial::{Exit, Planned, Sent},
        watch::{self, LOOK},
    },
};

/// How long the delivery of a signal is waited for before anything else is done.
const DELIVERY: Duration = Duration::from_millis(3);
/// And how long it is looked for meanwhile.
const DELIVERY_WATCHED: Duration = Duration::from_millis(50);
const DELIVERY_LOOK: Duration = Duration::from_micros(100);
/// How often a program is asked whether it is still ready.
const HEALTH: Duration = Duration::from_millis(20);

/// What a trial whose times do not count has more to end in.
const UNTIMED: Duration = Duration::from_secs(3);

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
        self.last_faults(&replay.faults);
        self.send(replay.first, target, &replay.then);
        let room = match replay.then.first() {
            None => DELIVERY,
            Some((_, When::Later(gap))) => DELIVERY.min(*gap),
            Some((_, When::At(_))) => Duration::ZERO,
        };
        self.await_delivery(room);
        for (at, (act, when)) in replay.then.iter().enumerate() {
            let reached = match when {
                When::Later(gap) => {
                    let at = Instant::now() + *gap;
                    self.theatre.wait_end(&self.running, at);
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
        if self.sent.is_empty() {
            self.running.mark();
        }
        let at = Instant::now();
        for _ in 0..act.times {
            match act.deed {
                // It may have ended meanwhile.
                Deed::Signal(signal) => drop(self.running.signal(target, real(signal))),
                // Where it has a terminal, that is its stdout.
                Deed::HangUp | Deed::CloseStdout => self.running.close_stream(process::Stream::Out),
            }
        }
        self.sent.push(Sent { act, at: self.since(at) });
        self.let_go();
    }

    /// Waits for the kernel to deliver the first signal, which it does at once unless the program has blocked it or cannot be
    /// disturbed.
    fn await_delivery(&mut self, room: Duration) {
        let until = Instant::now() + room;
        while self.undelivered() && Instant::now() < until {
            self.running.wait_for(Instant::now() + DELIVERY_LOOK, |seen| seen.exit.is_some());
        }
    }

    /// Whether the first signal still waits to be delivered, as far as it matters.
    fn undelivered(&mut self) -> bool {
        let [Sent { act: Act { deed: Deed::Signal(signal), .. }, at }, ..] = self.sent[..] else { return false };
        let asked = self.timed && signal != Signal::Kill && self.ladder.delivered.is_none();
        if !asked || self.since(Instant::now()) > at + DELIVERY_WATCHED {
            return false;
        }
        let pending = watch::is_pending(self.running.pid(), signal);
        if pending == Some(false) {
            self.ladder.delivered = Some(self.since(Instant::now()));
        }
        pending == Some(true)
    }

    /// When it first did something that can be seen after the first signal.
    pub(super) fn acted(&self) -> Option<Duration> {
        self.running.look(|seen| seen.wrote).map(|at| self.since(at))
    }

    /// Waits for its end, for no longer than the rules allow, and ends it by force then.
    pub(super) fn await_end(&mut self) -> Exit {
        // Beside others, or followed, it is slower for no reason of its own; who hangs is there after that too.
        let more = if self.timed { Duration::ZERO } else { UNTIMED };
        let allowed = self.theatre.scenario.rules.gone_within + more;
        let Some(first) = self.sent.first().map(|sent| sent.at) else {
            let ended = self.running.exited().is_some();
            let found = self.running.kill_all(KILL).found;
            if !ended {
                return Exit::Forced;
            }
            // Who is there after the main process has ended was put into the background.
            self.background = found;
            return self.status();
        };
        let until = self.running.began() + self.sent.last().map_or(first, |sent| sent.at) + allowed;
        while self.running.exited().is_none() && Instant::now() < until && !(self.theatre.stop)() {
            let undelivered = self.undelivered();
            let looks = self.unserving();
            let look = if undelivered { DELIVERY_LOOK } else { looks.unwrap_or(STOP_LOOK) };
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

    /// Notes when it stops serving; how soon to look again, if at all.
    fn unserving(&mut self) -> Option<Duration> {
        if self.ladder.unserving.is_some() {
            return None;
        }
        let closed = !self.served.is_empty() && self.listening().is_disjoint(&self.served);
        // Asking is a request of its own, so not where nobody counts the time.
        let polls = self.timed && self.health.is_some();
        let turn = polls && self.tried.elapsed() >= HEALTH;
        if turn {
            self.tried = Instant::now();
        }
        if closed || (turn && self.turned()) {
            self.ladder.unserving = Some(self.since(Instant::now()));
            return None;
        }
        if self.served.is_empty() { polls.then_some(HEALTH) } else { Some(2 * LOOK) }
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

fn real(signal: Signal) -> process::Signal {
    match signal {
        Signal::Term => process::Signal::TERM,
        Signal::Int => process::Signal::INT,
        Signal::Hup => process::Signal::HUP,
        Signal::Quit => process::Signal::QUIT,
        Signal::Kill => process::Signal::KILL,
    }
}
