//! The plain thread: it owns the signals and the deadline, and needs neither the runtime nor a
//! lock that a task could hold. It stays until the process is really gone.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use crate::{
    console::{Console, Say},
    driver::Message,
    emergency::{self, EMERGENCY_LIMIT},
    events::Event,
    machine::{Level, Meaning, Reason, Signals as Rules, Time},
    plan::EXIT_RESERVE,
    report::{SignalReport, Status},
    shared::{Shared, lock},
    signal::{self, Asked, Signals, Waker, asks, exit_now},
    systemd::{Flush, Notifier},
};

/// So much later than the runtime's own timers the thread steps in for them.
const LATE: Duration = Duration::from_millis(20);

/// How often the thread looks for the first alarm of a stop.
const MOMENT: Duration = Duration::from_millis(20);

/// What the main thread tells the plain one.
#[derive(Clone)]
pub(crate) struct Watch {
    /// The exit status once it is decided, plus one.
    decided: Arc<AtomicU16>,
    manager: Flush,
}

impl Watch {
    /// Starts the thread, which waits for these signals.
    pub(crate) fn start(shared: &Arc<Shared>, console: &Console, signals: (Signals, Waker)) -> io::Result<Self> {
        let (signals, waker) = signals;
        let _ = shared.wake.set(Box::new(move || waker.wake()));
        let told = Arc::downgrade(shared);
        shared.observe(move |event| {
            if let (Event::Stopping { .. }, Some(shared)) = (event, told.upgrade()) {
                shared.wake_by(shared.deadline());
            }
        });
        let (notifier, manager) = Notifier::start(shared);
        let watch = Self { decided: Arc::new(AtomicU16::new(0)), manager };
        let thread = Thread {
            shared: Arc::clone(shared),
            console: console.clone(),
            rules: Rules::default(),
            first: None,
            asked: false,
            watch: watch.clone(),
            notifier,
        };
        thread::Builder::new().name("softstop".to_owned()).spawn(move || thread.run(signals))?;
        Ok(watch)
    }

    /// The run has ended with this status: from now on the thread only sees the process out.
    pub(crate) fn decided(&self, status: u8) {
        self.decided.store(u16::from(status) + 1, Ordering::Release);
    }

    /// Waits until the service manager has been told of all that happened, but no longer than `limit`.
    pub(crate) fn tell_manager(&self, limit: Duration) {
        self.manager.wait(limit);
    }

    fn status(&self) -> Option<u8> {
        let decided = self.decided.load(Ordering::Acquire);
        u8::try_from(decided.checked_sub(1)?).ok()
    }
}

struct Thread {
    shared: Arc<Shared>,
    console: Console,
    rules: Rules,
    /// The signal that began the stop, whether or not the runtime has taken notice.
    first: Option<i32>,
    /// The runtime has been asked, during this stop, whether it answers.
    asked: bool,
    watch: Watch,
    notifier: Notifier,
}

impl Thread {
    fn run(mut self, mut signals: Signals) {
        loop {
            let deadline = self.shared.deadline();
            let now = self.shared.now();
            if let Some(deadline) = deadline {
                match self.watch.status() {
                    Some(status) if now >= deadline => exit_now(status),
                    None if now >= deadline.saturating_sub(EXIT_RESERVE) => self.leave(Status::Overrun, deadline),
                    _ => {}
                }
            }
            if self.shared.begun().is_some_and(|begun| now >= begun.saturating_add(MOMENT)) && !self.asked {
                // A stop that takes longer than a moment: is there anybody to do it?
                self.asked = true;
                self.shared.ask();
            }
            let reserve = if self.watch.status().is_some() { Duration::ZERO } else { EXIT_RESERVE };
            let leave = deadline.map(|deadline| deadline.saturating_sub(reserve));
            let alarm = self.shared.alarm().map(|alarm| alarm.saturating_add(LATE));
            if alarm.is_some_and(|alarm| now >= alarm) {
                // The runtime's timers do not answer: a worker that holds them is blocked.
                self.shared.set_alarm(None);
                self.shared.send(Message::Tick);
                continue;
            }
            let told = self.notifier.turn(&self.shared, now);
            // The driver takes notice of a stop in a moment; most are over before anybody needs to wake this thread.
            let waits = alarm.is_none() || !self.asked;
            let soon = (deadline.is_some() && waits).then(|| now.saturating_add(MOMENT));
            let next = leave.into_iter().chain(alarm).chain(soon).chain(told).min();
            self.shared.looks_at(next);
            let again = self.shared.alarm().map(|alarm| alarm.saturating_add(LATE));
            if (again, self.shared.deadline()) != (alarm, deadline) {
                continue;
            }
            for number in signals.wait(next.map(|next| next.saturating_sub(now))) {
                self.signal(number);
            }
        }
    }

    fn signal(&mut self, number: i32) {
        let now = self.shared.now();
        let Asked::Stop(stop) = asks(number) else {
            self.shared.ask();
            return self.console.say(Say::Dump);
        };
        let hurried = self.shared.level() >= Level::Hurry;
        let meaning = self.rules.meaning(stop, now, self.shared.begun(), hurried);
        let effect = match meaning {
            Meaning::Begin => "stop",
            Meaning::Hurry => "hurry",
            Meaning::Abandon => "abandon",
            Meaning::Nothing => "nothing",
        };
        if meaning == Meaning::Begin {
            // The total counts from here, whether or not the runtime answers.
            self.shared.set_begun(now);
        }
        self.shared.tell(&Event::Signal { number, effect, at: now });
        match meaning {
            Meaning::Begin => {
                self.first = Some(number);
                self.console.say(Say::Stopping(Reason::Signal(number)));
                self.shared.send(Message::Stop(Reason::Signal(number)));
            }
            Meaning::Hurry => {
                self.console.say(Say::Hurrying);
                self.shared.send(Message::Hurry);
            }
            Meaning::Abandon => {}
            Meaning::Nothing => self.console.say(Say::Ignored(number)),
        }
        self.note(SignalReport { number, effect, at: now });
        if meaning == Meaning::Abandon {
            self.shared.set_begun(now);
            self.first.get_or_insert(number);
            self.leave(Status::Forced, now + EMERGENCY_LIMIT);
        }
    }

    /// Notes a signal for the report without ever waiting for the lock.
    fn note(&self, signal: SignalReport) {
        for _ in 0..100 {
            if let Ok(mut record) = self.shared.record.try_lock() {
                return record.signals.push(signal);
            }
            thread::yield_now();
        }
    }

    /// Tries the report and the emergency hooks, each on a thread of its own, then ends the
    /// process, no later than `latest`.
    fn leave(&mut self, status: Status, latest: Time) -> ! {
        if let Some(decided) = self.watch.status() {
            exit_now(decided);
        }
        if let Some(number) = self.first {
            let _ = self.shared.reason.set(Reason::Signal(number));
        }
        self.shared.raise_level(Level::Abandon);
        let (done, waiting) = mpsc::channel();
        let (shared, console, told) = (Arc::clone(&self.shared), self.console.clone(), done.clone());
        let reporting = move || {
            let at = shared.now();
            let risen = {
                let mut record = lock(&shared.record);
                record.forced |= status == Status::Forced;
                record.overrun |= status == Status::Overrun;
                let risen = record.levels.last().is_none_or(|(level, _)| *level != Level::Abandon);
                if risen {
                    record.levels.push((Level::Abandon, at));
                }
                record.ended.get_or_insert(at);
                risen
            };
            let report = shared.report();
            console.finish(&report, false, EMERGENCY_LIMIT);
            if risen {
                shared.tell(&Event::Level { level: Level::Abandon, at });
            }
            shared.tell_end(&report);
            shared.outlet.drain(&shared);
            let _ = told.send(());
        };
        let shared = Arc::clone(&self.shared);
        let hooks = move || {
            let hooks = std::mem::take(&mut *lock(&shared.emergency));
            emergency::run(hooks);
            let _ = done.send(());
        };
        let started = [thread::Builder::new().spawn(reporting).is_ok(), thread::Builder::new().spawn(hooks).is_ok()];
        let latest = latest.saturating_sub(Duration::from_millis(10));
        for _ in started.into_iter().filter(|started| *started) {
            let left = latest.saturating_sub(self.shared.now());
            if waiting.recv_timeout(left).is_err() {
                break;
            }
        }
        self.notifier.turn(&self.shared, self.shared.now());
        exit_now(status.code());
    }
}

/// Ends the process by the signal that stopped it.
pub(crate) fn die_by_signal(number: i32) {
    signal::die_by(number);
}
