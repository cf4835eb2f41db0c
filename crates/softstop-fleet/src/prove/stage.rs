//! One trial: the program is started, signalled at its moment, and looked at until nothing of it is left to look at.

use std::{
    collections::BTreeSet,
    fs,
    net::{TcpStream, ToSocketAddrs},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use regex_lite::Regex;

use super::{
    replay::{Act, Deed, Edge, Moment, Signal, Target, When},
    scenario::{Ready, Scenario, Wish},
    trial::{Exit, Ladder, Leftovers, LogLine, Milestones, Observation, Orphan, Planned, Resumed, Said, Sent, Stream},
    watch::{self, LOOK},
};
use crate::process::{self, Contain, Level, Namespaces, Running, Spec, StartError};

/// How long what is left may take to be gone after the main process: what is still there then is left behind.
const GRACE: Duration = Duration::from_millis(200);
/// Ending by force.
const KILL: Duration = Duration::from_secs(5);
/// How long a command of the scenario may take.
const COMMAND: Duration = Duration::from_secs(60);
/// Folders in which everybody's files lie: where a trial cannot have one for itself, what is new in it may be anybody's.
const COMMON: [&str; 4] = ["/tmp", "/var/tmp", "/run", "/dev/shm"];
/// How often the processor time is looked at, for a program that is ready when it is quiet.
const QUIET_LOOK: Duration = Duration::from_millis(20);

/// What each trial has for itself, as far as it was found to work.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Stage {
    pub(super) namespaces: Namespaces,
    pub(super) level: Option<Level>,
}

impl Stage {
    /// As much as the scenario wants and the program can bear.
    ///
    /// Folders that the program, its arguments or its working folder lie in are not covered. What runs beside the program, or is asked
    /// from outside, needs the network that we are in.
    pub(super) fn wanted(scenario: &Scenario) -> Self {
        let outside = scenario.load.is_some()
            || scenario.check.is_some()
            || scenario.ready.iter().any(|ready| matches!(ready, Ready::Http(_) | Ready::Tcp(_) | Ready::Command(_)));
        let here = std::env::current_dir().unwrap_or_default();
        let given = scenario.command.iter().map(|word| here.join(word)).filter(|path| path.exists());
        let needed: Vec<PathBuf> = given.chain([here.clone()]).collect();
        let free = |folder: &&String| {
            let folder = Path::new(folder.as_str());
            folder.is_dir()
                && !needed.iter().any(|path| path.starts_with(folder))
                && !std::env::current_exe().is_ok_and(|exe| exe.starts_with(folder))
        };
        let private = match scenario.isolation.files {
            Wish::Off => Vec::new(),
            _ => scenario.watch.iter().filter(free).map(PathBuf::from).collect(),
        };
        let namespaces = Namespaces {
            network: scenario.isolation.network != Wish::Off && !outside,
            private,
            ipc: scenario.isolation.ipc != Wish::Off,
            ..Namespaces::default()
        };
        Self { namespaces, level: None }
    }

    /// The same without anything that could keep a program from working.
    pub(super) fn open(&self) -> Self {
        Self { namespaces: Namespaces::default(), level: self.level }
    }

    /// In words, for the verdict.
    pub(super) fn words(&self) -> Vec<String> {
        let has = |has: bool, what: &str| if has { format!("{what}: its own") } else { format!("{what}: shared") };
        let folders: Vec<String> = self.namespaces.private.iter().map(|path| path.display().to_string()).collect();
        vec![
            format!("processes: {}", self.level.map_or("?", Level::name)),
            has(self.namespaces.network, "network"),
            has(self.namespaces.ipc, "shared memory"),
            "system calls: signals are not placed at them in this version".to_owned(),
            if folders.is_empty() {
                "folders: TMPDIR its own, others shared and not counted".to_owned()
            } else {
                format!("folders: {} its own", folders.join(" "))
            },
        ]
    }

    fn spec(&self, command: &[String], trampoline: &Path, seed: u64) -> Spec {
        let mut spec = Spec::new(command.first().cloned().unwrap_or_default()).args(command.iter().skip(1).cloned());
        spec.namespaces = self.namespaces.clone();
        spec.trampoline = trampoline.to_owned();
        spec.env.push(("SOFTSTOP_SEED".into(), Some(seed.to_string().into())));
        if let Some(level) = self.level {
            spec.contain = Contain::At(level);
        }
        spec
    }
}

/// What all trials have in common.
#[derive(Clone)]
pub(super) struct Theatre<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) stage: Stage,
    pub(super) trampoline: PathBuf,
    pub(super) ready_log: Vec<Regex>,
    /// The folder for temporary files of one trial, if it needs one.
    pub(super) temporary: Vec<String>,
}

/// A trial that is under way.
struct Trial<'a> {
    theatre: &'a Theatre<'a>,
    running: Running,
    milestones: Milestones,
    /// The signal for which a handler is looked for.
    signal: Signal,
    sent: Vec<Sent>,
    ladder: Ladder,
    /// When it last wrote or used the processor, and how much it had used then.
    busy: (Instant, u64),
    looked: Instant,
    /// The listening sockets of the program before the first signal.
    served: BTreeSet<u64>,
    tried: Instant,
}

impl Theatre<'_> {
    /// Makes one trial.
    pub(super) fn play(&self, planned: &Planned, timed: bool) -> Result<Observation, StartError> {
        let temporary = self.temporary();
        let own = Self { temporary: temporary.iter().map(|path| path.display().to_string()).collect(), ..self.clone() };
        let seen = own.play_in(planned, timed);
        if let Some(path) = temporary {
            let _ = fs::remove_dir_all(path);
        }
        seen
    }

    /// A folder for temporary files, where those of everybody have to be shared.
    fn temporary(&self) -> Option<PathBuf> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        if self.stage.namespaces.private.iter().any(|path| path == Path::new("/tmp")) {
            return None;
        }
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("softstop-prove-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).ok().map(|()| path)
    }

    fn play_in(&self, planned: &Planned, timed: bool) -> Result<Observation, StartError> {
        let scenario = self.scenario;
        let before = self.shared_files();
        let spec = self.spec(&scenario.command, planned.replay.seed);
        let running = process::start(&spec)?;
        let signal = planned.replay.signals().next().unwrap_or(Signal::Term);
        let mut trial = Trial::new(self, running, signal);
        let load = match &scenario.load {
            Some(command) if !planned.replay.without_load => {
                trial.until(None, |trial| trial.milestones.ready.is_some());
                Some(process::start(&self.stage.open().spec(command, &self.trampoline, planned.replay.seed))?)
            }
            _ => None,
        };
        trial.act(planned);
        let exit = trial.await_end();
        let load_said = load.map(|load| ended(load, COMMAND));
        let leftovers = trial.leftovers(&before);
        let clean = leftovers == Leftovers::default();
        let began = trial.running.began();
        let Trial { running, milestones, sent, mut ladder, .. } = trial;
        let seen = running.finish();
        ladder.clean = seen.gone.filter(|_| clean).map(|at| at.saturating_duration_since(began));
        let log = seen.output.lines().map(|line| LogLine {
            at: line.began.saturating_duration_since(began),
            stream: match line.stream {
                process::Stream::Out => Stream::Out,
                process::Stream::Err => Stream::Err,
            },
            text: line.text(),
        });
        let mut observation = Observation {
            planned: planned.clone(),
            sent,
            timed,
            loaded: load_said.is_some(),
            milestones,
            ladder,
            exit,
            leftovers,
            log: log.collect(),
            load: load_said,
            check: None,
            resumed: None,
        };
        observation.check = self.check()?;
        let killed = observation.signals().contains(&Signal::Kill);
        if let Some(resume) = &scenario.resume
            && (killed || !resume.only_after_kill)
        {
            observation.resumed =
                Some(self.resume(resume.command.as_deref().unwrap_or(&scenario.command), resume.within, signal)?);
        }
        Ok(observation)
    }

    fn spec(&self, command: &[String], seed: u64) -> Spec {
        let mut spec = self.stage.spec(command, &self.trampoline, seed);
        spec.env.extend(self.temporary.iter().map(|path| ("TMPDIR".into(), Some(path.into()))));
        spec
    }

    /// What is in the watched folders that the program does not have for itself.
    fn shared_files(&self) -> BTreeSet<PathBuf> {
        watch::files(Path::new("/"), &self.shared_folders(), watch::SHARED)
    }

    fn shared_folders(&self) -> Vec<String> {
        let own = |folder: &String| self.stage.namespaces.private.iter().any(|path| path == Path::new(folder.as_str()));
        let counts = |folder: &&String| !own(folder) && !COMMON.contains(&folder.trim_end_matches('/'));
        self.scenario.watch.iter().filter(counts).chain(&self.temporary).cloned().collect()
    }

    fn check(&self) -> Result<Option<Said>, StartError> {
        let Some(command) = &self.scenario.check else { return Ok(None) };
        let running = process::start(&self.stage.open().spec(command, &self.trampoline, self.scenario.seed))?;
        Ok(Some(ended(running, COMMAND)))
    }

    /// Starts it again on the same data, and stops it when it was ready.
    fn resume(&self, command: &[String], within: Duration, signal: Signal) -> Result<Resumed, StartError> {
        let running = process::start(&self.spec(command, self.scenario.seed))?;
        let mut trial = Trial::new(self, running, signal);
        trial.until(Some(trial.running.began() + within), |trial| trial.milestones.ready.is_some());
        let ready = trial.milestones.ready;
        let check = self.check()?;
        let _ = trial.running.signal(process::Target::Main, process::Signal::TERM);
        trial.running.wait(Instant::now() + self.scenario.rules.gone_within);
        Ok(Resumed { ready, check })
    }
}

/// What a command said, once it has ended.
fn ended(running: Running, limit: Duration) -> Said {
    let exit = running.wait(Instant::now() + limit);
    let seen = running.finish();
    let ok = exit.and_then(|exit| exit.status).is_some_and(|status| status.success());
    let last: Vec<String> = seen.output.lines().rev().take(5).map(process::Line::text).collect();
    Said { ok, text: last.into_iter().rev().collect::<Vec<_>>().join("\n") }
}

impl<'a> Trial<'a> {
    fn new(theatre: &'a Theatre<'a>, running: Running, signal: Signal) -> Self {
        let now = Instant::now();
        Self {
            theatre,
            running,
            milestones: Milestones::default(),
            signal,
            sent: Vec::new(),
            ladder: Ladder::default(),
            busy: (now, 0),
            looked: now,
            served: BTreeSet::new(),
            tried: now,
        }
    }

    fn since(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.running.began())
    }

    /// Looks at the program until `done`, its end, or `until`; whether it was done.
    fn until(&mut self, until: Option<Instant>, done: impl Fn(&Self) -> bool) -> bool {
        let last = self.running.began() + self.theatre.scenario.ready_within;
        let until = until.unwrap_or(last);
        loop {
            self.look();
            if done(self) {
                return true;
            }
            let now = Instant::now();
            if self.running.exited().is_some() || now >= until {
                return false;
            }
            // Woken by what it writes, and by its end.
            self.running.wait_for((now + LOOK).min(until), |seen| seen.exit.is_some());
        }
    }

    /// Notes which states were reached.
    fn look(&mut self) {
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
    fn listening(&self) -> BTreeSet<u64> {
        let all = watch::listening(&self.running.inside());
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

    fn ready(&mut self) -> Option<Duration> {
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
                Ready::Tcp(address) => self.asks(turn, || connects(address)),
                Ready::Http(address) => self.asks(turn, || answers(address)),
                Ready::Command(command) => self.asks(turn, || {
                    let spec = self.theatre.stage.open().spec(command, &self.theatre.trampoline, scenario.seed);
                    process::start(&spec).is_ok_and(|running| ended(running, COMMAND).ok)
                }),
            };
            if at.is_some() {
                return at;
            }
        }
        None
    }

    /// Asks from outside, when it is time to.
    fn asks(&self, turn: bool, ask: impl FnOnce() -> bool) -> Option<Duration> {
        (turn && ask()).then(|| self.since(Instant::now()))
    }

    fn logged(&self) -> Option<Duration> {
        let found = self.running.look(|seen| {
            let fits = |text: &str| self.theatre.ready_log.iter().any(|regex| regex.is_match(text));
            seen.output.lines().find(|line| fits(&line.text())).map(|line| line.ended)
        });
        found.map(|at| self.since(at))
    }

    /// When it had neither written nor used the processor for long.
    fn quiet(&mut self, now: Instant, long: Duration) -> Option<Duration> {
        if now.duration_since(self.looked) >= QUIET_LOOK {
            self.looked = now;
            let ticks = watch::ticks(self.running.pid());
            let wrote = self.running.look(|seen| seen.output.lines().next_back().map(|line| line.ended));
            if ticks != self.busy.1 {
                self.busy = (now, ticks);
            }
            self.busy.0 = wrote.map_or(self.busy.0, |wrote| wrote.max(self.busy.0));
        }
        (now.duration_since(self.busy.0) >= long).then(|| self.since(now))
    }

    /// Does what was planned. If its moment never comes, nothing is sent.
    fn act(&mut self, planned: &Planned) {
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
        self.send(replay.first, target);
        for (act, when) in &replay.then {
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
            self.send(*act, target);
        }
    }

    /// Waits for a moment; whether it came.
    fn reach(&mut self, moment: &Moment) -> bool {
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
            // Placed by ptrace, which is not in this version: such a trial is not planned.
            Moment::Call { .. } => false,
        }
    }

    fn send(&mut self, act: Act, target: process::Target) {
        let signal = match act.deed {
            Deed::Signal(Signal::Term) => process::Signal::TERM,
            Deed::Signal(Signal::Int) => process::Signal::INT,
            Deed::Signal(Signal::Quit) => process::Signal::QUIT,
            Deed::Signal(Signal::Kill) => process::Signal::KILL,
            Deed::Signal(Signal::Hup) | Deed::HangUp => process::Signal::HUP,
            Deed::CloseStdout => return,
        };
        let target = if act.deed == Deed::HangUp { process::Target::Group } else { target };
        let at = Instant::now();
        for _ in 0..act.times {
            // It may have ended meanwhile.
            let _ = self.running.signal(target, signal);
        }
        self.sent.push(Sent { act, at: self.since(at) });
    }

    /// When it first did something that can be seen after the first signal.
    fn acted(&self) -> Option<Duration> {
        let sent = self.sent.first()?.at;
        let at = self.running.began() + sent;
        let wrote = self.running.look(|seen| seen.output.lines().map(|line| line.ended).find(|wrote| *wrote > at));
        wrote.map(|wrote| self.since(wrote))
    }

    /// Waits for its end, for no longer than the rules allow, and ends it by force then.
    fn await_end(&mut self) -> Exit {
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
        self.ladder.exited = exit.map(|exit| self.since(exit.at));
        self.ladder.acted = [self.acted(), self.ladder.unserving, self.ladder.exited].into_iter().flatten().min();
        if exit.is_none() {
            return Exit::Forced;
        }
        self.running.wait_gone(Instant::now() + GRACE);
        self.status()
    }

    fn status(&self) -> Exit {
        use std::os::unix::process::ExitStatusExt;
        let status = self.running.exited().and_then(|exit| exit.status);
        match status.map(|status| (status.code(), status.signal())) {
            Some((Some(code), _)) => Exit::Status(code),
            Some((_, Some(signal))) => Exit::Signal(signal),
            _ => Exit::Forced,
        }
    }

    /// What is left, looked at before anything is cleared away.
    fn leftovers(&self, before: &BTreeSet<PathBuf>) -> Leftovers {
        let exited = self.running.exited().is_some();
        let alive = if exited { self.running.tree() } else { Vec::new() };
        let escaped = if exited { self.running.escaped() } else { Vec::new() };
        let pids: Vec<u32> = alive.iter().chain(&escaped).map(|process| process.pid).collect();
        let orphan = |process: process::Process| Orphan { pid: process.pid, command: process.command.join(" ") };
        let all = watch::listening(&self.running.inside());
        let theirs = watch::sockets_of(pids.iter().copied());
        let own = self.theatre.stage.namespaces.network;
        let ports = all.into_iter().filter(|listening| exited && (own || theirs.contains(&listening.inode)));
        let ports = ports.map(|listening| listening.words).collect();

        let root = self.running.inside().join("root");
        let private: Vec<String> =
            self.theatre.stage.namespaces.private.iter().map(|path| path.display().to_string()).collect();
        let new = watch::files(&root, &private, watch::OWN).into_iter().map(|path| (root.as_path(), path));
        let here = Path::new("/");
        let shared = self.theatre.shared_files();
        let mut found: Vec<(&Path, PathBuf)> = new.collect();
        found.extend(shared.difference(before).map(|path| (here, path.clone())));
        let (mut files, mut locks) = (Vec::new(), Vec::new());
        for (root, path) in found {
            let name = path.display().to_string();
            if self.theatre.scenario.may_stay(&name) {
                continue;
            }
            let alive = |pid: u32| pids.contains(&pid) || (root == here && Path::new(&format!("/proc/{pid}")).exists());
            match watch::stale(root, &path, alive) {
                Some(lock) => locks.push(lock),
                None => files.push(name),
            }
        }
        Leftovers { orphans: alive.into_iter().chain(escaped).map(orphan).collect(), ports, files, locks }
    }
}

fn connects(address: &str) -> bool {
    let addresses = address.to_socket_addrs().into_iter().flatten();
    addresses.into_iter().any(|address| TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok())
}

/// Whether `http://host:port/path` answers with a status from 200 to 399.
fn answers(address: &str) -> bool {
    use std::io::{Read, Write};
    let rest = address.strip_prefix("http://").unwrap_or(address);
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let with_port = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
    let ask = || {
        let to = with_port.to_socket_addrs().ok()?.next()?;
        let mut stream = TcpStream::connect_timeout(&to, Duration::from_millis(200)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
        write!(stream, "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").ok()?;
        let mut head = [0; 12];
        stream.read_exact(&mut head).ok()?;
        std::str::from_utf8(&head).ok()?.rsplit(' ').next()?.parse::<u16>().ok()
    };
    ask().is_some_and(|status| (200..400).contains(&status))
}
