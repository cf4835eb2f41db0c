//! A trial under way: what is seen of the program from outside, and when.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use super::{
    COMMAND, QUIET_LOOK, Theatre,
    ask::{Answer, Asker, Question},
};
use crate::{
    process::{self, Process, Running, Squeezed, StartError},
    prove::{
        replay::Signal,
        scenario::Ready,
        trial::{Ladder, Made, Milestones, Sent},
        watch::{self, LOOK, SELDOM},
    },
};

/// A trial that is under way.
pub(super) struct Trial<'a> {
    pub(super) theatre: &'a Theatre<'a>,
    pub(super) running: Running,
    pub(super) milestones: Milestones,
    /// The signal for which a handler is looked for.
    pub(super) signal: Signal,
    pub(super) sent: Vec<Sent>,
    pub(super) ladder: Ladder,
    /// Whether times count: then further ones are taken that would cost other trials too much.
    pub(super) timed: bool,
    pub(super) faults: Vec<Made>,
    pub(super) squeezed: Option<Squeezed>,
    /// Who was left of a program that ended before it was asked to.
    pub(super) background: Vec<Process>,
    asker: Asker,
    /// The address by which it was ready, if it was asked.
    pub(super) health: Option<&'a str>,
    /// When it last wrote or used the processor, and how much it had used then.
    pub(super) busy: (Instant, u64),
    pub(super) looked: Instant,
    /// The listening sockets of the program before the first signal.
    pub(super) served: BTreeSet<u64>,
    pub(super) tried: Instant,
    /// Whether its system calls are followed to its end.
    pub(super) followed: bool,
    /// How often its state is looked at.
    pub(super) every: Duration,
}

impl<'a> Trial<'a> {
    /// `exactly` where something is to be done at the very moment a state is reached; else it is enough to know the state when it is done.
    pub(super) fn new(
        theatre: &'a Theatre<'a>,
        running: Running,
        signal: Signal,
        exactly: bool,
    ) -> Result<Self, StartError> {
        let asks = theatre.scenario.ready.iter().any(|ready| matches!(ready, Ready::Http(_) | Ready::Tcp(_)));
        let asker = if asks { Asker::new(theatre, &running)? } else { Asker::default() };
        let now = Instant::now();
        Ok(Self {
            theatre,
            running,
            milestones: Milestones::default(),
            signal,
            sent: Vec::new(),
            ladder: Ladder::default(),
            timed: false,
            faults: Vec::new(),
            squeezed: None,
            background: Vec::new(),
            asker,
            health: None,
            busy: (now, 0),
            looked: now,
            served: BTreeSet::new(),
            tried: now,
            followed: false,
            every: if exactly { LOOK } else { SELDOM },
        })
    }

    pub(super) fn since(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.running.began())
    }

    /// Looks at the program until `done`, its end, or `until`; whether it was done.
    pub(super) fn until(&mut self, until: Option<Instant>, done: impl Fn(&Self) -> bool) -> bool {
        let last = self.running.began() + self.theatre.scenario.ready_within;
        let until = until.unwrap_or(last);
        loop {
            // Asked before the look, so that nothing it did before its end is missed.
            let ended = self.running.exited().is_some();
            self.look();
            if done(self) {
                return true;
            }
            let now = Instant::now();
            if ended || now >= until || (self.theatre.stop)() {
                return false;
            }
            let written = self.running.look(|seen| seen.output.written());
            let changed = |seen: &process::Seen| seen.exit.is_some() || seen.output.written() != written;
            self.running.wait_for((now + self.every).min(until), changed);
        }
    }

    /// Notes which states were reached.
    pub(super) fn look(&mut self) {
        let first = self.running.look(|seen| seen.output.lines().next().map(|line| line.began));
        if self.milestones.output.is_none() {
            self.milestones.output = first.map(|at| self.since(at));
        }
        let now = Instant::now();
        let pid = self.running.pid();
        if self.milestones.handler.is_none() && watch::has_handler(pid, self.signal) {
            self.milestones.handler = Some(self.since(now));
        }
        if self.milestones.listening.is_none() && !self.listening().is_empty() {
            self.milestones.listening = Some(self.since(Instant::now()));
        }
        if self.milestones.ready.is_none() && self.sent.is_empty() {
            self.milestones.ready = self.ready();
        }
    }

    /// The sockets of the program that listen.
    pub(super) fn listening(&self) -> BTreeSet<u64> {
        let all = watch::listening(&self.running);
        if all.is_empty() {
            return BTreeSet::new();
        }
        let listening = all.into_iter().map(|listening| listening.inode);
        if self.theatre.stage.namespaces.network {
            return listening.collect();
        }
        let own = watch::sockets_of(
            [self.running.pid()].into_iter().chain(self.running.tree().into_iter().map(|process| process.pid)),
        );
        listening.filter(|inode| own.contains(inode)).collect()
    }

    pub(super) fn ready(&mut self) -> Option<Duration> {
        let now = Instant::now();
        let scenario = self.theatre.scenario;
        let turn = now.duration_since(self.tried) >= QUIET_LOOK;
        if turn {
            self.tried = now;
        }
        for ready in &scenario.ready {
            let at = match ready {
                Ready::Output => self.milestones.output,
                Ready::Listening => self.milestones.listening,
                Ready::Quiet(long) => self.quiet(now, *long),
                Ready::Delay(delay) => (self.since(now) >= *delay).then_some(*delay),
                Ready::Log(_) => self.logged(),
                Ready::Tcp(address) => self.asks(turn, || self.answers(Question::Tcp(address))),
                Ready::Http(address) => {
                    let at = self.asks(turn, || self.answers(Question::Http(address)));
                    self.health = at.and(Some(address));
                    at
                }
                Ready::Command(command) => self.asks(turn, || {
                    let asking = self.theatre.beside(command, scenario.seed, &self.running);
                    asking.is_ok_and(|running| self.theatre.ended(running, COMMAND).ok)
                }),
            };
            if at.is_some() {
                return at;
            }
        }
        None
    }

    fn answers(&self, question: Question<'_>) -> bool {
        self.asker.ask(question, false) == Answer::Ready
    }

    /// Whether what made it ready says by now that it is not.
    pub(super) fn turned(&self) -> bool {
        self.health.is_some_and(|address| self.asker.ask(Question::Http(address), true) == Answer::Unready)
    }

    /// Asks, when it is time to.
    pub(super) fn asks(&self, turn: bool, ask: impl FnOnce() -> bool) -> Option<Duration> {
        (turn && ask()).then(|| self.since(Instant::now()))
    }

    pub(super) fn logged(&self) -> Option<Duration> {
        let found = self.running.look(|seen| {
            let fits = |text: &str| self.theatre.ready_log.iter().any(|regex| regex.is_match(text));
            seen.output.lines().find(|line| fits(&line.text())).map(|line| line.ended)
        });
        found.map(|at| self.since(at))
    }

    /// When it had neither written nor used the processor for long.
    pub(super) fn quiet(&mut self, now: Instant, long: Duration) -> Option<Duration> {
        if now.duration_since(self.looked) >= QUIET_LOOK {
            self.looked = now;
            // A wrapper that only waits is not quiet while what it has started works.
            let tree = self.running.tree();
            let ticks = tree.iter().map(|process| watch::ticks(process.pid)).sum();
            let waits = tree.iter().any(|process| watch::wants_on(process.state));
            let wrote = self.running.look(|seen| seen.output.lines().next_back().map(|line| line.ended));
            if ticks != self.busy.1 || waits {
                self.busy = (now, ticks);
            }
            self.busy.0 = wrote.map_or(self.busy.0, |wrote| wrote.max(self.busy.0));
        }
        (now.duration_since(self.busy.0) >= long).then(|| self.since(now))
    }
}
