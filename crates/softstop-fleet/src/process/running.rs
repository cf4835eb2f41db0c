//! A program that was started.

use std::{
    io::{self, Write},
    net::Shutdown,
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::PathBuf,
    process::Child,
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, kill_process_group},
};

use super::{
    Exit, Level, Namespaces, Seen, Signal, Squeezed, Stream,
    cgroup::Cgroup,
    keeper,
    sockets::{Listener, Network},
    start::wait_end,
    trace::Trace,
    tree,
    tree::Process,
    watch::{CLOSE_ERR, CLOSE_OUT, Shared},
    wire::retry,
};

/// How long a dropped program, and a keeper at its end, is waited for.
const LEAVE_LIMIT: Duration = Duration::from_secs(5);
/// How long the watching thread may take to close a stream.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);
/// How often a sweep looks again for processes that only their environment gives away.
const SWEEP: Duration = Duration::from_millis(5);

/// Who of a program's tree is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The process that was started.
    Main,
    /// Its process group, as a terminal does it.
    Group,
    /// Every process of the tree, wherever it has gone.
    All,
}

/// What [`Running::kill_all`] did.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Killed {
    /// Who was alive before.
    pub found: Vec<Process>,
    /// Who still was at the end: nobody, unless the level promises nothing or a process cannot be disturbed.
    pub left: Vec<Process>,
    /// From the call until nobody was left, or the time was over.
    pub took: Duration,
}

/// A program that was started, with all that came of it. Dropping it kills what is left.
pub struct Running {
    parts: Parts,
}

pub(super) struct Parts {
    pub(super) level: Level,
    pub(super) marker: String,
    /// Those it is in, whoever made them.
    pub(super) namespaces: Namespaces,
    pub(super) began: Instant,
    pub(super) pid: u32,
    pub(super) keeper_pid: u32,
    pub(super) main: Arc<OwnedFd>,
    pub(super) keeper: Arc<OwnedFd>,
    pub(super) control: UnixStream,
    pub(super) shared: Arc<Shared>,
    pub(super) watcher: Option<JoinHandle<()>>,
    pub(super) end: Option<UnixStream>,
    pub(super) trace: Option<Trace>,
    pub(super) stdin: Option<OwnedFd>,
    pub(super) network: Option<Network>,
    /// Our child: the keeper, or with a PID namespace who waits for it.
    pub(super) outer: Option<Child>,
    pub(super) cgroup: Option<Cgroup>,
}

impl Running {
    pub(super) fn new(parts: Parts) -> Self {
        Self { parts }
    }

    /// The number of the main process in our own PID namespace. Once that has ended, another may get it.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.parts.pid
    }

    /// How it is contained.
    #[must_use]
    pub fn level(&self) -> Level {
        self.parts.level
    }

    /// The moment before the program was executed.
    #[must_use]
    pub fn began(&self) -> Instant {
        self.parts.began
    }

    /// The folder in `/proc` of a process in the program's namespaces that stays until this value is dropped: `root`,
    /// `net/tcp` and others below it show what the program has left behind.
    #[must_use]
    pub fn inside(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}", self.parts.keeper_pid))
    }

    /// Looks at what was seen so far. The watching stands still meanwhile.
    pub fn look<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&self.parts.shared.lock())
    }

    /// Remembers this moment: [`Seen::wrote`] is when it writes next.
    pub fn mark(&self) {
        self.parts.shared.mark();
    }

    /// Waits until `is_so` of what was seen, at the latest until `until`; what it was at the end.
    ///
    /// It is asked anew with each change.
    pub fn wait_for(&self, until: Instant, is_so: impl FnMut(&Seen) -> bool) -> bool {
        self.parts.shared.wait(until, is_so)
    }

    /// How the main process has ended, if it has.
    #[must_use]
    pub fn exited(&self) -> Option<Exit> {
        self.look(|seen| seen.exit)
    }

    /// Waits until the main process has ended, at the latest until `until`.
    pub fn wait(&self, until: Instant) -> Option<Exit> {
        self.wait_for(until, |seen| seen.exit.is_some());
        self.exited()
    }

    /// Waits until no process of the tree is left, at the latest until `until`; when that was.
    pub fn wait_gone(&self, until: Instant) -> Option<Instant> {
        self.wait_for(until, |seen| seen.gone.is_some());
        self.look(|seen| seen.gone)
    }

    /// Who is alive in the tree now, by number.
    #[must_use]
    pub fn tree(&self) -> Vec<Process> {
        self.members().into_iter().map(Process::with_command).collect()
    }

    /// Who is alive, is not in the tree, and yet was started by it: the environment says so.
    ///
    /// It reads the environment of every process on the machine that we may look at. Who has changed its environment is not found.
    #[must_use]
    pub fn escaped(&self) -> Vec<Process> {
        let members = self.members();
        let outside = tree::marked(&self.parts.marker).into_iter().filter(|process| !members.contains(process));
        outside.map(Process::with_command).collect()
    }

    /// The TCP sockets that listen in the network of the program, whoever listens.
    ///
    /// # Errors
    ///
    /// If the kernel cannot say (it needs the module tcp_diag); `net/tcp` below [`Self::inside`] says it more slowly.
    pub fn listening(&self) -> io::Result<Vec<Listener>> {
        self.parts.network.as_ref().ok_or(io::ErrorKind::Unsupported)?.listening()
    }

    /// Sends a signal, and says how many processes it reached, 0 if none was left; a group counts as one.
    ///
    /// With [`Target::All`], processes that are being forked while it is sent may miss it, except at [`Level::Cgroup`].
    ///
    /// # Errors
    ///
    /// If a process is there and may not be signalled by us, as after it became another user.
    pub fn signal(&self, target: Target, signal: Signal) -> io::Result<usize> {
        match target {
            Target::Main => tree::send(&self.parts.main, signal).map(usize::from),
            Target::Group => self.signal_group(signal).map(usize::from),
            Target::All => match &self.parts.cgroup {
                Some(cgroup) => cgroup.frozen(|members| signal_each(&members, signal)),
                None => signal_each(&self.members(), signal),
            },
        }
    }

    /// The following of its system calls, where that was asked for.
    #[must_use]
    pub fn trace(&self) -> Option<&Trace> {
        self.parts.trace.as_ref()
    }

    /// Closes our end of a captured stream and returns when it is closed. What is written there from then on is not seen.
    ///
    /// A pipe has then lost its reader: who writes is told by SIGPIPE. A terminal, which is the standard output, hangs up: the
    /// main process gets SIGHUP and SIGCONT, and whoever reads or writes there EIO.
    pub fn close_stream(&self, stream: Stream) {
        if let Some(mut end) = self.parts.end.as_ref() {
            let word = match stream {
                Stream::Out => CLOSE_OUT,
                Stream::Err => CLOSE_ERR,
            };
            // Should the thread be gone, so are the streams.
            if end.write_all(&[word]).is_ok() {
                self.wait_for(Instant::now() + CLOSE_LIMIT, |seen| seen.closed.contains(&stream));
            }
        }
    }

    /// Writes to the standard input of a program whose [`Spec::stdin`](super::Spec) is silent.
    ///
    /// # Errors
    ///
    /// If its input is another, or nobody reads it any more.
    pub fn feed(&self, bytes: &[u8]) -> io::Result<()> {
        let to = self.parts.stdin.as_ref().ok_or(io::ErrorKind::Unsupported)?;
        let mut left = bytes;
        while !left.is_empty() {
            let written = retry(|| rustix::io::write(to, left))?;
            left = left.get(written..).unwrap_or_default();
        }
        Ok(())
    }

    /// Lets the tree have only this percentage of one processor, from 1 to 99, until the returned value is dropped.
    ///
    /// # Errors
    ///
    /// If no way of doing so works here.
    pub fn squeeze(&self, percent: u8) -> io::Result<Squeezed> {
        let descendants = {
            let (keeper, number) = (Arc::clone(&self.parts.keeper), self.parts.keeper_pid);
            move || while_kept(&keeper, tree::descendants(number))
        };
        Squeezed::begin(percent, self.parts.cgroup.as_ref(), descendants)
    }

    /// The namespaces it is in, and a pidfd of a process that stays in them.
    pub(super) fn namespaces(&self) -> (&Namespaces, &OwnedFd) {
        (&self.parts.namespaces, &self.parts.keeper)
    }

    /// Kills every process of the tree, and waits until none is left, for no longer than `limit`.
    pub fn kill_all(&self, limit: Duration) -> Killed {
        let began = Instant::now();
        let until = began + limit;
        let found = self.tree();
        // Who follows it also waits for the dead first, and may be holding one of them.
        if let Some(trace) = &self.parts.trace {
            trace.leave();
            trace.let_go();
        }
        if let Some(cgroup) = &self.parts.cgroup {
            let _ = cgroup.kill();
        }
        // The first process of a PID namespace would kill those too that have joined it since.
        if self.look(|seen| seen.gone.is_none()) || self.parts.level == Level::Group {
            let _ = (&self.parts.control).write_all(&[keeper::KILL]);
        }
        self.await_end(began + limit / 2, until);
        let left = self.kill_stragglers(until);
        Killed { found, left, took: began.elapsed() }
    }

    /// Ends the watching and returns all that was seen; what is left of the program is killed.
    pub fn finish(mut self) -> Seen {
        self.close();
        std::mem::take(&mut *self.parts.shared.lock())
    }

    fn await_end(&self, patience: Instant, until: Instant) {
        let over = |seen: &Seen| seen.gone.is_some() || seen.keeper_lost;
        if self.parts.level == Level::Group {
            // Who has left the group stays, and nobody tells us that the others have gone.
            let in_group = || self.members().iter().any(|process| process.group == self.parts.pid);
            while in_group() && Instant::now() < until {
                self.wait_for(Instant::now() + SWEEP, over);
            }
            return;
        }
        if !self.wait_for(patience, over) && self.parts.level.is_certain() {
            // The keeper should have done it by now. Its end is that of its namespace; a control group needs no keeper.
            let _ = tree::send(&self.parts.keeper, Signal::KILL);
        }
        self.wait_for(until, over);
    }

    /// Where the keeper is gone, or never promised to find all: by the mark in the environment.
    fn kill_stragglers(&self, until: Instant) -> Vec<Process> {
        let promised = self.parts.level != Level::Group;
        let told = || self.look(|seen| seen.gone.is_some() && !seen.keeper_lost);
        let exact = promised && (self.parts.level.is_certain() || told());
        loop {
            let mut left = self.members();
            if exact && left.is_empty() {
                return left;
            }
            let strangers =
                tree::marked(&self.parts.marker).into_iter().filter(|process| process.pid != self.parts.keeper_pid);
            left.extend(strangers.filter(|process| !left.contains(process)).collect::<Vec<_>>());
            if left.is_empty() || !promised || Instant::now() >= until {
                return left.into_iter().map(Process::with_command).collect();
            }
            let _ = signal_each(&left, Signal::KILL);
            self.wait_for(Instant::now() + SWEEP, |_| false);
        }
    }

    fn members(&self) -> Vec<Process> {
        let keeper = self.parts.keeper_pid;
        match &self.parts.cgroup {
            Some(cgroup) => {
                let mut members = cgroup.members();
                // Who has left the group is found once it is an orphan.
                let orphans = tree::children(keeper).into_iter().filter_map(Process::read).collect();
                let strays =
                    while_kept(&self.parts.keeper, orphans).into_iter().filter(|orphan| !members.contains(orphan));
                members.extend(strays.collect::<Vec<_>>());
                members
            }
            None => while_kept(&self.parts.keeper, tree::descendants(keeper)),
        }
    }

    fn signal_group(&self, signal: Signal) -> io::Result<bool> {
        let pid = self.parts.pid;
        let has_member = || tree::all().iter().any(|process| process.group == pid);
        // The number belongs to the group as long as it has a member, and only then.
        if self.exited().is_some() && !has_member() {
            return Ok(false);
        }
        let Some(group) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return Ok(false) };
        match kill_process_group(group, signal.raw()) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::SRCH) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn close(&mut self) {
        if self.parts.end.is_none() {
            return;
        }
        if self.look(|seen| seen.gone.is_none()) {
            self.kill_all(LEAVE_LIMIT);
        }
        if let Some(trace) = self.parts.trace.take() {
            trace.leave();
            trace.let_go();
            if self.look(|seen| seen.gone.is_some()) {
                trace.wait_over(Instant::now() + LEAVE_LIMIT);
            }
        }
        // The keeper leaves when this ends; nothing is left for it to kill.
        let _ = self.parts.control.shutdown(Shutdown::Write);
        if let Some(mut child) = self.parts.outer.take() {
            wait_end(&mut child, LEAVE_LIMIT);
            let _ = tree::send(&self.parts.keeper, Signal::KILL);
        }
        drop(self.parts.end.take());
        if let Some(watcher) = self.parts.watcher.take() {
            let _ = watcher.join();
        }
        if let Some(cgroup) = &self.parts.cgroup {
            cgroup.remove();
        }
        self.parts.stdin = None;
    }
}

/// Those who are alive, if the keeper still is: else its number may be somebody else's, and so are these.
fn while_kept(keeper: &OwnedFd, processes: Vec<Process>) -> Vec<Process> {
    let mut fds = [PollFd::new(keeper, PollFlags::IN)];
    if poll(&mut fds, Some(&Timespec::default())) != Ok(0) {
        return Vec::new();
    }
    processes.into_iter().filter(Process::is_alive).collect()
}

impl Drop for Running {
    fn drop(&mut self) {
        self.close();
    }
}

/// All are signalled, whatever happens with one of them; the first failure is told.
fn signal_each(processes: &[Process], signal: Signal) -> io::Result<usize> {
    let mut reached = 0;
    let mut failed = None;
    for process in processes {
        match process.signal(signal) {
            Ok(true) => reached += 1,
            Ok(false) => {}
            Err(error) => drop(failed.get_or_insert(error)),
        }
    }
    failed.map_or(Ok(reached), Err)
}
