//! What `softstop::main` tells systemd over its notification socket (sd_notify(3)): readiness, status,
//! the stop, more time, and that the runtime answers (feature `systemd`).
//!
//! The plain thread is the only one that sends, so all of this works while the runtime does not. Nothing
//! waits for the socket, and no error of it changes anything. Beside `console` this is the only file that
//! reads the environment.

use std::{
    collections::VecDeque,
    ffi::{OsStr, OsString},
    io,
    os::unix::{
        ffi::OsStrExt,
        net::{SocketAddr, UnixDatagram},
    },
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    time::Duration,
};

use crate::{
    events::Event,
    machine::{Reason, ServiceState, State, Time},
    report::plural,
    shared::{Shared, nanos},
};

/// What systemd gives a unit to start, and to stop, where neither says otherwise (`DefaultTimeoutStopSec=`,
/// systemd-system.conf(5)).
const UNIT_TIMEOUT: Duration = Duration::from_secs(90);
/// More time is asked for again after this, or after a quarter of a shorter unit's time.
const EXTEND_EVERY: Duration = Duration::from_secs(5);
/// How long the process may take to be gone after its deadline.
const TO_BE_GONE: Duration = Duration::from_secs(1);
/// What systemd had no room for is sent again after this.
const RETRY: Duration = Duration::from_millis(50);
/// Messages that wait for room; the oldest give way.
const MOST_UNSENT: usize = 100;
/// Longer texts are cut: a message has to fit into one datagram of systemd's (4,096 bytes).
const LONGEST_STATUS: usize = 1000;
/// Names of components in one status line.
const MOST_NAMES: usize = 3;

/// What the parts of a service say of its unit.
pub(crate) struct Unit {
    timeout: AtomicU64,
    starting_until: AtomicU64,
    active: AtomicBool,
}

impl Default for Unit {
    fn default() -> Self {
        let (timeout, starting_until) = (AtomicU64::new(nanos(UNIT_TIMEOUT)), AtomicU64::new(0));
        Self { timeout, starting_until, active: AtomicBool::new(false) }
    }
}

impl Unit {
    pub(crate) fn set_timeout(&self, timeout: Duration) {
        self.timeout.store(nanos(timeout), Ordering::Release);
    }

    fn timeout(&self) -> Duration {
        Duration::from_nanos(self.timeout.load(Ordering::Acquire))
    }

    fn starting_until(&self) -> Option<Time> {
        let until = self.starting_until.load(Ordering::Acquire);
        (until > 0).then(|| Duration::from_nanos(until))
    }
}

impl Shared {
    /// Until when everything that starts now has started or failed, where all of that is limited.
    pub(crate) fn set_starting_until(&self, until: Option<Time>) {
        let until = until.map_or(0, nanos);
        let changed = self.unit.starting_until.swap(until, Ordering::AcqRel) != until;
        if let (true, true, Some(wake)) = (changed, self.unit.active.load(Ordering::Acquire), self.wake.get()) {
            wake();
        }
    }
}

enum Told {
    Event(Event),
    /// Answer when all that was told before has been sent.
    Flush(Sender<()>),
}

/// The way from the other threads to the [`Notifier`].
#[derive(Clone)]
pub(crate) struct Flush(Option<(Sender<Told>, Arc<Shared>)>);

impl Flush {
    /// Waits until systemd has been told everything that happened, but no longer than `limit`.
    pub(crate) fn wait(&self, limit: Duration) {
        let Some((sender, shared)) = &self.0 else { return };
        let (done, waiting) = channel();
        if sender.send(Told::Flush(done)).is_ok() {
            wake(shared);
            let _ = waiting.recv_timeout(limit);
        }
    }
}

fn wake(shared: &Shared) {
    if let Some(wake) = shared.wake.get() {
        wake();
    }
}

/// The plain thread's side.
pub(crate) struct Notifier(Option<Connected>);

struct Connected {
    socket: UnixDatagram,
    to: SocketAddr,
    told: Receiver<Told>,
    flushing: Vec<Sender<()>>,
    unsent: VecDeque<String>,
    status: Status,
    extended: Option<Time>,
    watchdog: Option<Watchdog>,
}

impl Notifier {
    /// Takes part where `NOTIFY_SOCKET` names a socket; else it does nothing.
    pub(crate) fn start(shared: &Arc<Shared>) -> (Self, Flush) {
        let to = std::env::var_os("NOTIFY_SOCKET").and_then(|name| address(&name));
        let Some((to, socket)) = to.and_then(|to| Some((to, open().ok()?))) else { return (Self(None), Flush(None)) };
        let (sender, told) = channel();
        let variable = |name| std::env::var_os(name);
        let watchdog = watchdog_interval(variable("WATCHDOG_USEC"), variable("WATCHDOG_PID"), std::process::id());
        shared.question.set_wakes(watchdog.is_some());
        shared.unit.active.store(true, Ordering::Release);
        let (observer, observed) = (sender.clone(), Arc::downgrade(shared));
        shared.observe(move |event| {
            if Status::looks_at(event) {
                let _ = observer.send(Told::Event(event.clone()));
                observed.upgrade().iter().for_each(|shared| wake(shared));
            }
        });
        let connected = Connected {
            socket,
            to,
            told,
            flushing: Vec::new(),
            unsent: VecDeque::new(),
            status: Status::default(),
            extended: None,
            watchdog: watchdog.map(|interval| Watchdog { interval, next: Time::ZERO, waits: false }),
        };
        (Self(Some(connected)), Flush(Some((sender, Arc::clone(shared)))))
    }

    /// Sends what is to be sent now; returns when to come back even if nothing happens.
    pub(crate) fn turn(&mut self, shared: &Arc<Shared>, now: Time) -> Option<Time> {
        self.0.as_mut()?.turn(shared, now)
    }
}

impl Connected {
    fn turn(&mut self, shared: &Arc<Shared>, now: Time) -> Option<Time> {
        while let Ok(told) = self.told.try_recv() {
            match told {
                Told::Event(event) => self.unsent.extend(self.status.lines(&event, shared.components())),
                Told::Flush(done) => self.flushing.push(done),
            }
        }
        let mut next = None;
        if let Some(span) = self.span(shared) {
            let (ask, again) = extension(span, shared.unit.timeout(), self.extended, now);
            if let Some(ask) = ask {
                self.extended = Some(now);
                self.unsent.push_back(format!("EXTEND_TIMEOUT_USEC={}", ask.as_micros()));
            }
            next = again;
        }
        if let Some(watchdog) = &mut self.watchdog {
            // During a stop the total is in force: who kills us earlier only cuts what is being saved.
            let stopping = shared.begun().is_some();
            if watchdog.is_due(now) && !stopping {
                shared.ask();
            }
            if watchdog.pings(stopping || shared.deaf_for().is_none()) {
                self.unsent.push_back("WATCHDOG=1".to_owned());
            }
            next = next.into_iter().chain([watchdog.next]).min();
        }
        self.send();
        if self.unsent.is_empty() {
            for done in self.flushing.drain(..) {
                let _ = done.send(());
            }
            return next;
        }
        // A datagram socket cannot tell when its reader has room again.
        next.into_iter().chain([now + RETRY]).min()
    }

    /// What systemd's clock runs over at present, and until when we may need it to. A service that is
    /// not ready yet is still starting for systemd, also while it is unwound.
    fn span(&self, shared: &Shared) -> Option<(Time, Time)> {
        match shared.begun().zip(shared.deadline()) {
            None => Some((Time::ZERO, shared.unit.starting_until()?)),
            Some((begun, deadline)) => Some((if self.status.ready { begun } else { Time::ZERO }, deadline)),
        }
    }

    fn send(&mut self) {
        while let Some(message) = self.unsent.front() {
            match self.socket.send_to_addr(message.as_bytes(), &self.to) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // Sent; or nobody is there, and nothing depends on it.
                _ => drop(self.unsent.pop_front()),
            }
        }
        let excess = self.unsent.len().saturating_sub(MOST_UNSENT);
        self.unsent.drain(..excess);
    }
}

fn open() -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// A path, or with `@` a name in Linux's abstract namespace (unix(7)). Other kinds are not for us.
fn address(name: &OsStr) -> Option<SocketAddr> {
    let bytes = name.as_bytes();
    match bytes.first()? {
        b'/' => SocketAddr::from_pathname(name).ok(),
        #[cfg(target_os = "linux")]
        b'@' => <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(&bytes[1..]).ok(),
        _ => None,
    }
}

/// Half of what systemd allows, where it is this process that is watched (sd_watchdog_enabled(3)).
fn watchdog_interval(usec: Option<OsString>, pid: Option<OsString>, own: u32) -> Option<Duration> {
    let number = |text: OsString| text.to_str().and_then(|text| text.parse::<u64>().ok());
    if pid.is_some_and(|pid| number(pid) != Some(u64::from(own))) {
        return None;
    }
    usec.and_then(number).filter(|usec| *usec > 0).map(|usec| Duration::from_micros(usec) / 2)
}

/// A ping says that since the last one the runtime has run a task.
struct Watchdog {
    interval: Duration,
    next: Time,
    /// A ping is due, and sent as soon as the runtime answers.
    waits: bool,
}

impl Watchdog {
    fn is_due(&mut self, now: Time) -> bool {
        let due = now >= self.next;
        if due {
            self.next = now + self.interval;
            self.waits = true;
        }
        due
    }

    fn pings(&mut self, answered: bool) -> bool {
        answered && std::mem::take(&mut self.waits)
    }
}

/// How much more time to ask for now, and when to look again. `span` is when systemd's clock began and
/// when we will be done at the latest; `unit` is what the unit gives; `last` is when more was asked for.
///
/// A message moves systemd's deadline to that time from now, never nearer (systemd.service(5)), and the
/// first has to come before it. So the first comes after half of the unit's time, and each is repeated
/// when half of what it gave is over: a process that hangs is missed soon.
fn extension(
    (since, until): (Time, Time),
    unit: Duration,
    last: Option<Time>,
    now: Time,
) -> (Option<Duration>, Option<Time>) {
    if until <= since.saturating_add(unit) || now >= until {
        return (None, None);
    }
    let every = (unit / 4).clamp(Duration::from_millis(1), EXTEND_EVERY);
    let due = last.filter(|last| *last >= since).map_or(since + unit / 2, |last| last + every);
    if now < due {
        return (None, Some(due));
    }
    let ask = (every * 2).min(until + TO_BE_GONE - now);
    (Some(ask), Some(now + every))
}

/// What systemd is told of the service: the one place where events become its messages.
#[derive(Debug, Default)]
struct Status {
    /// Those that have begun to start, in that order.
    components: Vec<(String, State)>,
    ready: bool,
    stopping: Option<String>,
}

impl Status {
    fn looks_at(event: &Event) -> bool {
        matches!(
            event,
            Event::Service { .. }
                | Event::State { .. }
                | Event::Signal { .. }
                | Event::Stopping { .. }
                | Event::Stopped { .. }
        )
    }

    /// One message; `count` is how many components there are.
    fn lines(&mut self, event: &Event, count: usize) -> Option<String> {
        match event {
            Event::Service { state: ServiceState::Starting, .. } => Some(self.starting(count)),
            Event::Service { state: ServiceState::Running, .. } if self.stopping.is_none() => {
                self.ready = true;
                Some(format!("READY=1\nSTATUS=running, {}", plural(count as u64, "component")))
            }
            Event::State { component, state, .. } => {
                self.note(component, *state);
                let started = *state == State::Running && self.ready_components() < count;
                match &self.stopping {
                    None => started.then(|| self.starting(count)),
                    Some(reason) => (*state == State::Stopped).then(|| self.stopping(reason)),
                }
            }
            // The plain thread knows of the stop before the runtime may have noticed.
            Event::Signal { number, effect: "stop" | "abandon", .. } => self.stops(&Reason::Signal(*number)),
            Event::Stopping { reason, .. } => self.stops(reason),
            Event::Stopped { report, .. } => Some(status(&report.line())),
            _ => None,
        }
    }

    fn note(&mut self, component: &str, state: State) {
        match self.components.iter_mut().find(|(name, _)| name == component) {
            Some((_, known)) => *known = state,
            None => self.components.push((component.to_owned(), state)),
        }
    }

    fn ready_components(&self) -> usize {
        self.components.iter().filter(|(_, state)| *state == State::Running).count()
    }

    fn starting(&self, count: usize) -> String {
        status(&format!("starting, {} of {} ready", self.ready_components(), plural(count as u64, "component")))
    }

    fn stops(&mut self, reason: &Reason) -> Option<String> {
        if self.stopping.is_some() {
            return None;
        }
        let reason = self.stopping.insert(reason.to_string()).clone();
        Some(format!("STOPPING=1\n{}", self.stopping(&reason)))
    }

    fn stopping(&self, reason: &str) -> String {
        let left: Vec<&str> = self
            .components
            .iter()
            .filter(|(_, state)| *state != State::Stopped)
            .map(|(name, _)| name.as_str())
            .collect();
        let names = left.iter().take(MOST_NAMES).copied().collect::<Vec<_>>().join(", ");
        status(&match left.len().saturating_sub(MOST_NAMES) {
            0 if left.is_empty() => format!("stopping: {reason}"),
            0 => format!("stopping: {reason}, left: {names}"),
            more => format!("stopping: {reason}, left: {names} and {more} more"),
        })
    }
}

/// On one line, whatever a program puts into its names and reasons: a further line would be a message.
fn status(text: &str) -> String {
    let line: String = text.chars().take(LONGEST_STATUS).map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("STATUS={line}")
}

#[cfg(test)]
#[path = "systemd_tests.rs"]
mod tests;
