//! The keeper: one process of ours beside each program, which starts it, adopts what it leaves behind, and survives us.
//!
//! It is the child subreaper of the tree, or the first process of its PID namespace, so every orphan becomes its child
//! and the tree is gone when it has no child left. It holds one end of a socket whose other end is ours. Whatever ends
//! us, `kill -9` included, ends that socket, and then the keeper kills everything and leaves.

use std::{
    io::{self, Read, Write},
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use nix::sys::{
    resource::{UsageWho, getrusage},
    signal::SigSet,
};
use rustix::{
    event::{PollFd, PollFlags, poll},
    process::{
        Pid, PidfdFlags, Signal, WaitOptions, getpid, kill_process, kill_process_group, pidfd_open,
        set_child_subreaper, setsid, test_kill_process_group, wait,
    },
};
use signal_hook::consts::{SIGALRM, SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};

use super::{
    Level, Usage, cgroup,
    sockets::Network,
    trampoline::{OURSELVES, Role},
    tree,
    wire::{Failure, Launched, Order, Step, Told, retry},
};

/// The first byte on the socket: the main process has been looked at, and may be waited for now, which frees its number.
pub(super) const SEEN: u8 = b's';
/// A byte on the socket that says: the process that was held may become the program.
pub(super) const GO: u8 = b'g';
/// A byte on the socket that says: kill everything. The end of the socket says the same, and to leave after it.
pub(super) const KILL: u8 = b'k';
/// How long the killing waits for a child to end before it looks for new ones; after that many rounds longer.
const ROUND: Duration = Duration::from_millis(1);
const QUICK_ROUNDS: u32 = 200;
const SLOW_ROUND: Duration = Duration::from_millis(50);

/// Carries out the order that comes on `socket`. Returns when nobody holds the other end and the tree is gone.
pub(super) fn run(socket: UnixStream) {
    // Ctrl+C on our terminal is meant for whoever started us.
    let _ = setsid();
    let _ = rustix::thread::set_name(c"softstop-keeper");
    let Ok(mut order) = Order::receive(&socket) else { return };
    match order.fds.control.take() {
        Some(control) => keep(order, &control.into()),
        None if order.namespaces.pid => stay_outside(order, socket),
        None => match enter(&mut order) {
            Ok(()) => keep(order, &socket),
            Err(failure) => drop(Told::Failed(failure).send(&socket)),
        },
    }
}

/// A PID namespace begins with a child of who made it: that child is the keeper, and here we only wait for it.
fn stay_outside(mut order: Order, socket: UnixStream) {
    let mut begin = || {
        enter(&mut order)?;
        let (ours, theirs) = UnixStream::pair().map_err(Failure::new(Step::Keeper, "a socket"))?;
        let child = ourselves(Role::Keeper, theirs)?;
        order.fds.control = Some(socket.try_clone().map_err(Failure::new(Step::Keeper, "a socket"))?.into());
        order.send(&ours).map_err(Failure::new(Step::Keeper, "the first process of the namespace")).map(|()| child)
    };
    let begun = begin();
    drop(order);
    match begun {
        Ok(mut child) => {
            // The end of the socket has to be seen when the inner keeper ends, so we let go of it.
            drop(socket);
            let _ = child.wait();
        }
        Err(failure) => drop(Told::Failed(failure).send(&socket)),
    }
}

/// Makes the namespaces, or joins those of another program.
fn enter(order: &mut Order) -> Result<(), Failure> {
    match order.fds.joined.take() {
        _ if order.namespaces.is_none() => Ok(()),
        Some(keeper) => order.namespaces.join(&keeper),
        None => order.namespaces.enter(),
    }
}

fn keep(order: Order, control: &UnixStream) {
    match Keeper::start(order, control) {
        Ok(keeper) => keeper.run(),
        Err(failure) => drop(Told::Failed(failure).send(control)),
    }
}

/// Starts ourselves again in another role, with `socket` as its standard input.
fn ourselves(role: Role, socket: UnixStream) -> Result<Child, Failure> {
    let mut command = Command::new(OURSELVES);
    role.give(&mut command);
    command.stdin(OwnedFd::from(socket)).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().map_err(Failure::new(Step::Keeper, OURSELVES))
}

struct Keeper<'a> {
    control: &'a UnixStream,
    /// Has something to read after a child has ended.
    ended: UnixStream,
    level: Level,
    main: Pid,
    gone: bool,
    /// The folder, and `cgroup.kill`.
    cgroup: Option<(PathBuf, OwnedFd)>,
}

impl<'a> Keeper<'a> {
    fn start(mut order: Order, control: &'a UnixStream) -> Result<Self, Failure> {
        let io = io::Error::from;
        if !order.namespaces.is_none() && !order.joins {
            order.namespaces.furnish()?;
        }
        let set = set_child_subreaper(Some(getpid()));
        set.map_err(io).map_err(Failure::new(Step::Keeper, "child subreaper"))?;
        let ended = hear_signals().map_err(Failure::new(Step::Signals, "the keeper's own"))?;
        let own = pidfd_open(getpid(), PidfdFlags::empty()).map_err(io).map_err(Failure::new(Step::Keeper, "pidfd"))?;
        tell(control, &Told::Ready { keeper: own, network: Network::open().ok() })?;

        let (at, main, pidfd) = launch(&order, control)?;
        let kill = order.fds.cgroup.take().map(|(_, kill)| kill);
        tell(control, &Told::Started { at, main: pidfd })?;
        // Its end is found again below.
        let _ = (&mut &*control).read(&mut [0]);
        let cgroup = order.cgroup.take().zip(kill);
        Ok(Self { control, ended, level: order.level, main, gone: false, cgroup })
    }

    fn run(mut self) {
        loop {
            if self.reap() && !self.gone {
                self.gone = true;
                let _ = Told::Gone { usage: usage() }.send(self.control);
            }
            if self.wait() {
                let mut word = [0];
                match (&mut &*self.control).read(&mut word) {
                    Ok(1) if word == [KILL] => self.kill(),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    _ => break,
                }
            }
        }
        self.kill();
        if let Some((folder, _)) = &self.cgroup {
            cgroup::remove(folder);
        }
    }

    /// Waits until there is something to do; true if it is a word from the other end.
    fn wait(&self) -> bool {
        let mut fds = [PollFd::new(self.control, PollFlags::IN), PollFd::new(&self.ended, PollFlags::IN)];
        let _ = poll(&mut fds, None);
        !fds[0].revents().is_empty()
    }

    /// Takes note of every child that has ended; true if the tree is gone.
    fn reap(&mut self) -> bool {
        let mut heard = [0; 64];
        while matches!((&mut &self.ended).read(&mut heard), Ok(64)) {}
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid == self.main => {
                    let _ = Told::Exited { status: status.as_raw(), usage: usage() }.send(self.control);
                }
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return true,
            }
        }
        false
    }

    /// Kills everything and waits until it is gone. Only a process that cannot be disturbed makes this long.
    fn kill(&mut self) {
        let mut rounds = 0;
        loop {
            self.strike();
            let childless = self.reap();
            if childless || (self.level == Level::Group && !self.group_lives()) {
                return;
            }
            rounds += 1;
            let limit = if rounds < QUICK_ROUNDS { ROUND } else { SLOW_ROUND };
            let mut fds = [PollFd::new(&self.ended, PollFlags::IN)];
            let _ = poll(&mut fds, limit.try_into().ok().as_ref());
        }
    }

    fn strike(&self) {
        if let Some((_, kill)) = &self.cgroup {
            let _ = retry(|| rustix::io::write(kill, b"1"));
        }
        if self.level == Level::Group {
            if self.group_lives() {
                let _ = kill_process_group(self.main, Signal::KILL);
            }
            return;
        }
        if getpid().is_init() {
            // All of our namespace but us, in one step that no fork gets around (kill(2)).
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(-1), nix::sys::signal::SIGKILL);
        }
        // What a dead child leaves behind is our child next, so generation after generation comes by here. Nobody but
        // us waits for our children, so their numbers are theirs.
        for child in tree::children(getpid().as_raw_nonzero().get().unsigned_abs()) {
            if let Some(child) = i32::try_from(child).ok().and_then(Pid::from_raw) {
                let _ = kill_process(child, Signal::KILL);
            }
        }
    }

    /// Its members are our descendants, so it is empty once we have waited for the last of them.
    fn group_lives(&self) -> bool {
        test_kill_process_group(self.main).is_ok()
    }
}

/// Starts the program, and waits until its process has become it: when, its number, its pidfd.
fn launch(order: &Order, control: &UnixStream) -> Result<(Duration, Pid, OwnedFd), Failure> {
    let (ours, theirs) = UnixStream::pair().map_err(Failure::new(Step::Keeper, "a socket"))?;
    let child = ourselves(Role::Launch, theirs)?;
    let pid = Pid::from_child(&child);
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).map_err(io::Error::from);
    let pidfd = pidfd.map_err(Failure::new(Step::Keeper, "pidfd_open"))?;
    order.send(&ours).map_err(Failure::new(Step::Keeper, "the program's process"))?;

    let mut began = None;
    loop {
        match Launched::receive(&ours).map_err(Failure::new(Step::Keeper, "the program's process"))? {
            Some(Launched::At(at)) => began = Some(at),
            Some(Launched::Held) => {
                let_go(&pidfd, control, &ours).map_err(Failure::new(Step::Keeper, "the word to go on"))?
            }
            Some(Launched::Failed(failure)) => return Err(failure),
            None => break,
        }
    }
    let killed = || Failure {
        step: Step::Keeper,
        what: "the process that was to become the program".into(),
        error: io::ErrorKind::UnexpectedEof.into(),
    };
    Ok((began.ok_or_else(killed)?, pid, pidfd))
}

/// Tells that the process waits, and hands on the word to go on.
fn let_go(pidfd: &OwnedFd, mut control: &UnixStream, mut process: &UnixStream) -> io::Result<()> {
    Told::Held(pidfd.try_clone()?).send(control)?;
    let mut word = [0];
    control.read_exact(&mut word)?;
    process.write_all(&word)
}

fn tell(control: &UnixStream, told: &Told) -> Result<(), Failure> {
    told.send(control).map_err(Failure::new(Step::Keeper, "whoever gave the order"))
}

/// From here on signals do not end us, and a child that ends can be heard. The program does not inherit it: exec
/// resets what is handled.
fn hear_signals() -> io::Result<UnixStream> {
    SigSet::empty().thread_set_mask()?;
    for number in [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM] {
        signal_hook::flag::register(number, Arc::new(AtomicBool::new(false)))?;
    }
    let (read, write) = UnixStream::pair()?;
    read.set_nonblocking(true)?;
    signal_hook::low_level::pipe::register(SIGCHLD, write)?;
    Ok(read)
}

fn usage() -> Usage {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_CHILDREN) else { return Usage::default() };
    let time = |time: nix::sys::time::TimeVal| {
        use nix::sys::time::TimeValLike;
        Duration::from_micros(time.num_microseconds().unsigned_abs())
    };
    Usage {
        user: time(usage.user_time()),
        system: time(usage.system_time()),
        largest_rss_kib: usage.max_rss().unsigned_abs(),
    }
}
