//! How a program comes to run: its containment, its keeper, and the answer that it runs.

use std::{
    env,
    fs::File,
    io::{self, Write},
    net::Shutdown,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::ioctl_fionbio,
    pipe::{PipeFlags, pipe_with},
    process::{Pid, PidfdFlags, pidfd_open},
};

use super::{
    Contain, Input, Level, Running, Sink, Spec, StartError, Stream,
    cgroup::Cgroup,
    keeper,
    launch::monotonic,
    running::Parts,
    sockets::Network,
    terminal,
    trace::{Trace, Tracing},
    trampoline::{OURSELVES, Role, was_called},
    tree::{self, Process},
    watch::{Shared, Times, Watcher},
    wire::{Fds, Order, Told},
};

/// The keeper answers within milliseconds; who is not one does not, and a machine may be very busy.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);
/// A keeper whose program did not start leaves at once.
const KEEPER_LIMIT: Duration = Duration::from_secs(2);

/// Starts a program and returns once it is executed.
///
/// # Errors
///
/// If the program, its folder, user or namespaces, or the level asked for is not to be had. Nothing is left running then.
pub fn start(spec: &Spec) -> Result<Running, StartError> {
    match spec.contain {
        Contain::At(level) => start_at(spec, level, None),
        Contain::Strongest => start_at(spec, strongest(&spec.trampoline)?, None),
    }
}

/// Starts a program in the namespaces of another, which has to outlive it; `spec.namespaces` does not count.
///
/// It is contained by itself. In a PID namespace that it joins, the end of the other is its end too.
///
/// # Errors
///
/// As [`start`].
pub fn start_inside(spec: &Spec, other: &Running) -> Result<Running, StartError> {
    let level = match spec.contain {
        Contain::At(level) => level,
        Contain::Strongest => strongest(&spec.trampoline)?,
    };
    let (namespaces, keeper) = other.namespaces();
    // A further PID namespace would need a `/proc` of its own, in a mount namespace that is another's.
    let level = if level == Level::PidNamespace { Level::Subreaper } else { level };
    let joined = keeper.try_clone().map_err(StartError::keeper("a pidfd"))?;
    let spec = Spec {
        namespaces: namespaces.clone(),
        cwd: spec.cwd.clone().or_else(|| env::current_dir().ok()),
        ..spec.clone()
    };
    start_at(&spec, level, Some(joined))
}

/// The strongest level that works for this process, tried once and remembered; `trampoline` as in [`Spec`].
///
/// # Errors
///
/// If `trampoline` is not one, or no level but that of a plain group works.
pub fn strongest(trampoline: &Path) -> Result<Level, StartError> {
    static FOUND: OnceLock<Level> = OnceLock::new();
    if let Some(level) = FOUND.get() {
        return Ok(*level);
    }
    let mut last = None;
    for level in [Level::Cgroup, Level::PidNamespace, Level::Subreaper] {
        match attempt(trampoline, level) {
            Ok(()) => return Ok(*FOUND.get_or_init(|| level)),
            Err(error @ StartError::Keeper { .. }) => return Err(error),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| StartError::keeper("no level at all")(io::ErrorKind::Unsupported.into())))
}

/// Tries every level with a program that does nothing: which work for this process, and why the others do not.
pub fn levels(trampoline: &Path) -> Vec<(Level, Result<(), StartError>)> {
    Level::ALL.into_iter().map(|level| (level, attempt(trampoline, level))).collect()
}

fn attempt(trampoline: &Path, level: Level) -> Result<(), StartError> {
    let mut spec = Spec::new(OURSELVES).args(Role::Nothing.arguments());
    spec.trampoline = trampoline.to_owned();
    spec.stdout = Sink::Null;
    spec.stderr = Sink::Null;
    start_at(&spec, level, None).map(drop)
}

fn start_at(spec: &Spec, level: Level, joined: Option<OwnedFd>) -> Result<Running, StartError> {
    // A PID namespace that was asked for contains as well as one that was chosen.
    let level = if spec.namespaces.pid && joined.is_none() { level.min(Level::PidNamespace) } else { level };
    let id = next_id();
    let marker = format!("SOFTSTOP_RUN_{id}");
    let cgroup = (level == Level::Cgroup).then(|| make_cgroup(&id)).transpose()?;
    let started = start_in(spec, level, cgroup.as_ref(), joined, &marker);
    match started {
        Ok(mut parts) => {
            parts.cgroup = cgroup;
            Ok(Running::new(parts))
        }
        Err(error) => {
            if let Some(cgroup) = cgroup {
                let _ = cgroup.kill();
                cgroup.remove();
            }
            Err(error)
        }
    }
}

fn start_in(
    spec: &Spec,
    level: Level,
    cgroup: Option<&Cgroup>,
    joined: Option<OwnedFd>,
    marker: &str,
) -> Result<Parts, StartError> {
    let streams = Streams::new(spec).map_err(StartError::keeper("pipes"))?;
    let handles = cgroup.map(Cgroup::handles).transpose().map_err(no_level("the files of the group"))?;
    let events = cgroup.map(Cgroup::events).transpose().map_err(no_level("cgroup.events"))?;
    let mut namespaces = spec.namespaces.clone();
    namespaces.pid |= level == Level::PidNamespace;
    let has_first = namespaces.pid && joined.is_none();
    let order = Order {
        level,
        namespaces: namespaces.clone(),
        joins: joined.is_some(),
        terminal: spec.terminal.is_some(),
        program: spec.program.clone(),
        args: spec.args.clone(),
        env: spec.environment(marker),
        cwd: spec.cwd.clone(),
        user: spec.user,
        cgroup: cgroup.map(|cgroup| cgroup.folder().to_owned()),
        hold: spec.trace.is_some(),
        fds: Fds {
            stdin: streams.stdin,
            stdout: streams.stdout,
            stderr: streams.stderr,
            cgroup: handles,
            joined,
            control: None,
        },
    };
    let (control, theirs) = UnixStream::pair().map_err(StartError::keeper("a socket"))?;
    let mut process = KeeperProcess(Some(spawn_keeper(&spec.trampoline, theirs)?), &control);
    let sent = control.set_read_timeout(Some(ANSWER_LIMIT)).and_then(|()| order.send(&control));
    sent.map_err(StartError::keeper(format!("{} took no order", spec.trampoline.display())))?;
    drop(order);

    let mut following = Following(None);
    let (keeper_fd, network, at, main) = wait_started(&control, level, spec, &mut following)?;
    let clone = control.set_read_timeout(None).and_then(|()| control.try_clone());
    let heard = clone.map_err(StartError::keeper("a socket"))?;
    let (end, their_end) = UnixStream::pair().map_err(StartError::keeper("a socket"))?;
    let began = Instant::now().checked_sub(monotonic().saturating_sub(at)).unwrap_or_else(Instant::now);
    let (keeper_fd, main) = (Arc::new(keeper_fd), Arc::new(main));
    let shared = Arc::new(Shared::new(spec.output_limit));
    let pid = tree::pid_of(&main).unwrap_or_default();
    let keeper_pid = tree::pid_of(&keeper_fd).unwrap_or_default();
    (&control).write_all(&[keeper::SEEN]).map_err(StartError::keeper("the keeper has ended"))?;
    let watcher = Watcher {
        shared: Arc::clone(&shared),
        control: Some(heard),
        main: Some(Arc::clone(&main)),
        streams: streams.ours,
        events,
        first: has_first.then(|| Arc::clone(&keeper_fd)),
        end: their_end,
        times: Times::default(),
    };
    let thread = thread::Builder::new().name("softstop watch".to_owned()).spawn(move || watcher.run());
    let thread = thread.map_err(StartError::keeper("a thread"))?;
    Ok(Parts {
        level,
        marker: marker.to_owned(),
        namespaces,
        began,
        pid,
        keeper_pid,
        main,
        keeper: keeper_fd,
        control: control.try_clone().map_err(StartError::keeper("a socket"))?,
        shared,
        watcher: Some(thread),
        end: Some(end),
        trace: following.0.take(),
        stdin: streams.silent,
        network: network.map(Network::new),
        outer: process.0.take(),
        cgroup: None,
    })
}

fn wait_started(
    mut control: &UnixStream,
    level: Level,
    spec: &Spec,
    following: &mut Following,
) -> Result<(OwnedFd, Option<OwnedFd>, Duration, OwnedFd), StartError> {
    let silent = || StartError::keeper(format!("{} did not answer", spec.trampoline.display()));
    let mut keeper = None;
    loop {
        match Told::receive(control).map_err(silent())? {
            Some(Told::Ready { keeper: fd, network }) => keeper = Some((fd, network)),
            Some(Told::Held(main)) => {
                following.0 = Some(follow(&main, spec.trace.clone().unwrap_or_default())?);
                control.write_all(&[keeper::GO]).map_err(silent())?;
            }
            Some(Told::Started { at, main }) => {
                let (keeper, network) = keeper.ok_or_else(|| silent()(io::ErrorKind::InvalidData.into()))?;
                return Ok((keeper, network, at, main));
            }
            Some(Told::Failed(failure)) => return Err(StartError::from_failure(failure, level)),
            Some(_) => {}
            None => return Err(silent()(io::ErrorKind::UnexpectedEof.into())),
        }
    }
}

/// Attaches to the process that becomes the program.
fn follow(main: &OwnedFd, tracing: Tracing) -> Result<Trace, StartError> {
    let pid = tree::pid_of(main).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound));
    pid.and_then(|pid| Trace::begin(pid, tracing)).map_err(|source| StartError::Trace { source })
}

/// Ended unless somebody takes it: nobody else lets go of a thread that is held.
struct Following(Option<Trace>);

impl Drop for Following {
    fn drop(&mut self) {
        if let Some(trace) = &self.0 {
            trace.leave();
            trace.let_go();
        }
    }
}

/// Ended and waited for unless somebody takes it.
struct KeeperProcess<'a>(Option<Child>, &'a UnixStream);

impl Drop for KeeperProcess<'_> {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            // A keeper leaves by itself and takes with it what it has started; what is none is not waited for.
            let _ = self.1.shutdown(Shutdown::Both);
            wait_end(&mut child, KEEPER_LIMIT);
        }
    }
}

/// Waits for a child of ours to end by itself, and kills it after `limit`.
pub(super) fn wait_end(child: &mut Child, limit: Duration) {
    let limit = limit.try_into().ok();
    let ended = pidfd_open(Pid::from_child(child), PidfdFlags::empty());
    let ended = ended.and_then(|pidfd| poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], limit.as_ref()));
    if !matches!(ended, Ok(1..)) {
        let _ = child.kill();
    }
    let _ = child.wait();
}

fn spawn_keeper(trampoline: &Path, socket: UnixStream) -> Result<Child, StartError> {
    if trampoline == Path::new(OURSELVES) && !was_called() {
        let tried = "this binary did not call trampoline() before it started a program";
        return Err(StartError::keeper(tried)(io::ErrorKind::Unsupported.into()));
    }
    let mut command = Command::new(trampoline);
    Role::Keeper.give(&mut command);
    command.stdin(OwnedFd::from(socket)).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().map_err(StartError::keeper(trampoline.display().to_string()))
}

fn make_cgroup(id: &str) -> Result<Cgroup, StartError> {
    Cgroup::create(&format!("softstop_{id}")).map_err(no_level("making a group"))
}

fn no_level(tried: &str) -> impl FnOnce(io::Error) -> StartError {
    let tried = tried.to_owned();
    |source| StartError::Level { level: Level::Cgroup, tried, source }
}

/// One for each program ever started on this machine since it was booted.
fn next_id() -> String {
    static OURS: OnceLock<String> = OnceLock::new();
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let ours = OURS.get_or_init(|| {
        let pid = std::process::id();
        format!("{pid}_{}", Process::read(pid).map_or(0, |own| own.began_ticks))
    });
    format!("{ours}_{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Both ends of the three streams.
struct Streams {
    stdin: OwnedFd,
    stdout: OwnedFd,
    stderr: OwnedFd,
    ours: Vec<(Stream, Option<OwnedFd>)>,
    silent: Option<OwnedFd>,
}

impl Streams {
    fn new(spec: &Spec) -> io::Result<Self> {
        if let Some(size) = spec.terminal {
            let (master, [stdin, stdout, stderr]) = terminal::open(size)?;
            return Ok(Self { stdin, stdout, stderr, ours: vec![(Stream::Out, Some(master))], silent: None });
        }
        let (stdin, silent) = match spec.stdin {
            Input::Null => (File::open("/dev/null")?.into(), None),
            Input::Silent => pipe_with(PipeFlags::CLOEXEC).map(|(read, write)| (read, Some(write)))?,
            Input::Inherit => (io::stdin().as_fd().try_clone_to_owned()?, None),
        };
        let mut ours = Vec::new();
        let mut sink = |sink, stream, inherited: &dyn Fn() -> io::Result<OwnedFd>| match sink {
            Sink::Null => File::options().write(true).open("/dev/null").map(OwnedFd::from),
            Sink::Inherit => inherited(),
            Sink::Capture => {
                let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
                ioctl_fionbio(&read, true)?;
                ours.push((stream, Some(read)));
                Ok(write)
            }
        };
        let stdout = sink(spec.stdout, Stream::Out, &|| io::stdout().as_fd().try_clone_to_owned())?;
        let stderr = sink(spec.stderr, Stream::Err, &|| io::stderr().as_fd().try_clone_to_owned())?;
        Ok(Self { stdin, stdout, stderr, ours, silent })
    }
}
