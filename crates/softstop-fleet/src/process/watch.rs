//! The thread that watches one program: it waits in `poll` on everything at once, and writes down what happened when.
//!
//! A thread of its own for each program, because then nothing else can make a time stamp late: the clock is read once
//! `poll` returns, before anything is done about it. A runtime would put its own queue in between.

use std::{
    fs::File,
    io::Read,
    os::{
        fd::OwnedFd,
        unix::{net::UnixStream, process::ExitStatusExt},
    },
    process::ExitStatus,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, poll};

use super::{
    cgroup::is_populated,
    output::{Output, Stream},
    wire::Told,
};

/// How much is read from a pipe at once; what a pipe holds unless told otherwise (pipe(7)).
const CHUNK: usize = 64 * 1024;
/// What the watcher is told to close a stream.
pub(super) const CLOSE_OUT: u8 = b'o';
pub(super) const CLOSE_ERR: u8 = b'e';

/// How the main process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exit {
    /// When the kernel told us, which it does once it has freed the process's memory: 1 ms after the last act of a bare
    /// Python, measured.
    pub at: Instant,
    /// Its exit code or the signal that ended it; none if the keeper was killed before it could tell.
    pub status: Option<ExitStatus>,
}

/// What the processes of a tree have used, those included that have ended and were waited for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Time on a processor in the programs.
    pub user: Duration,
    /// Time on a processor in the kernel on their behalf.
    pub system: Duration,
    /// The largest memory that any one of them had resident, in KiB. Below 4 MiB it is that of our own launcher.
    pub largest_rss_kib: u64,
}

/// What was seen of a program so far.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Seen {
    /// What it wrote.
    pub output: Output,
    /// When it wrote first after [`Running::mark`](super::Running::mark).
    pub wrote: Option<Instant>,
    /// How its main process ended, once it has.
    pub exit: Option<Exit>,
    /// When no process of its tree was left.
    pub gone: Option<Instant>,
    /// What it has used: as of the exit, then as of the end of the tree. None while it runs.
    pub usage: Option<Usage>,
    /// When the last process that could write to a captured stream had closed it, or we had.
    pub streams_closed: Option<Instant>,
    /// The tree was gone and yet somebody held a captured stream open: a process that escaped.
    pub held_open: bool,
    /// The keeper was ended by somebody else.
    pub keeper_lost: bool,
    pub(super) marked: bool,
    /// The streams that we have closed.
    pub(super) closed: Vec<Stream>,
}

#[derive(Default)]
pub(super) struct Shared {
    seen: Mutex<Seen>,
    changed: Condvar,
}

impl Shared {
    pub(super) fn new(output_limit: usize) -> Self {
        let seen = Seen { output: Output::new(output_limit), ..Seen::default() };
        Self { seen: Mutex::new(seen), changed: Condvar::new() }
    }

    /// Nothing in here can be left half done by a panic, so a poisoned lock is as good as any.
    pub(super) fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `is_so`, at the latest until `until`; what it was at the end.
    pub(super) fn wait(&self, until: Instant, mut is_so: impl FnMut(&Seen) -> bool) -> bool {
        let mut seen = self.lock();
        loop {
            if is_so(&seen) {
                return true;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            seen = self.changed.wait_timeout(seen, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// What is written from now on is a first write.
    pub(super) fn mark(&self) {
        let mut seen = self.lock();
        (seen.marked, seen.wrote) = (true, None);
    }

    fn note(&self, act: impl FnOnce(&mut Seen)) {
        act(&mut self.lock());
        self.changed.notify_all();
    }
}

pub(super) struct Watcher {
    pub(super) shared: Arc<Shared>,
    /// From the keeper.
    pub(super) control: Option<UnixStream>,
    /// The main process.
    pub(super) main: Option<Arc<OwnedFd>>,
    /// Those that have ended are none.
    pub(super) streams: Vec<(Stream, Option<OwnedFd>)>,
    /// `cgroup.events`, where the kernel itself says that the tree is gone.
    pub(super) events: Option<File>,
    /// The keeper, where its end is the end of all: it is the first process of a PID namespace.
    pub(super) first: Option<Arc<OwnedFd>>,
    /// Its end is ours; a byte is [`CLOSE_OUT`] or [`CLOSE_ERR`].
    pub(super) end: UnixStream,
    pub(super) times: Times,
}

/// What the kernel or the keeper has told, before it is put together.
#[derive(Default)]
pub(super) struct Times {
    exited: Option<Instant>,
    /// The keeper has no child left.
    childless: Option<Instant>,
    /// The control group has no member left.
    unpopulated: Option<Instant>,
    /// The keeper, first process of a PID namespace, has ended.
    ended: Option<Instant>,
}

/// What a descriptor in `poll` is.
#[derive(Clone, Copy)]
enum Source {
    End,
    Main,
    Control,
    Events,
    First,
    Stream(usize),
}

impl Watcher {
    pub(super) fn run(mut self) {
        if !self.open_streams() {
            self.shared.note(|seen| seen.streams_closed = Some(Instant::now()));
        }
        let mut ready = Vec::new();
        let mut buffer = vec![0; CHUNK];
        loop {
            let at = self.wait(&mut ready);
            for source in ready.iter().copied() {
                match source {
                    Source::End => match self.told() {
                        Some(stream) => self.close(stream),
                        None => return,
                    },
                    Source::Main => {
                        self.main = None;
                        self.times.exited.get_or_insert(at);
                    }
                    Source::Control => self.hear(at),
                    Source::Events => self.look(at),
                    Source::First => {
                        self.first = None;
                        self.times.ended = Some(at);
                    }
                    Source::Stream(index) => drop(self.read(index, at, &mut buffer)),
                }
            }
            self.conclude(&mut buffer);
        }
    }

    fn wait(&self, ready: &mut Vec<Source>) -> Instant {
        let mut fds = Vec::new();
        let mut sources = Vec::new();
        let mut add = |source, fd| {
            fds.push(fd);
            sources.push(source);
        };
        // The streams first: what was written before an end is there when the end is told.
        for (index, (_, stream)) in self.streams.iter().enumerate() {
            if let Some(stream) = stream {
                add(Source::Stream(index), PollFd::new(stream, PollFlags::IN));
            }
        }
        if let Some(main) = &self.main {
            add(Source::Main, PollFd::new(main, PollFlags::IN));
        }
        if let Some(control) = &self.control {
            add(Source::Control, PollFd::new(control, PollFlags::IN));
        }
        if let Some(events) = &self.events {
            add(Source::Events, PollFd::new(events, PollFlags::PRI));
        }
        if let Some(first) = &self.first {
            add(Source::First, PollFd::new(first, PollFlags::IN));
        }
        add(Source::End, PollFd::new(&self.end, PollFlags::IN));
        // Interrupted, it has nothing ready.
        let _ = poll(&mut fds, None);
        let at = Instant::now();
        ready.clear();
        let is_ready = |(fd, source): (&PollFd<'_>, Source)| (!fd.revents().is_empty()).then_some(source);
        ready.extend(fds.iter().zip(sources).filter_map(is_ready));
        at
    }

    fn hear(&mut self, at: Instant) {
        match self.control.as_ref().map(Told::receive) {
            Some(Ok(Some(Told::Exited { status, usage }))) => {
                // The pidfd is told first; this is for a machine that is so busy that it is not.
                let at = *self.times.exited.get_or_insert(at);
                self.main = None;
                let status = Some(ExitStatus::from_raw(status));
                self.shared.note(|seen| {
                    seen.exit = Some(Exit { at, status });
                    seen.usage = Some(usage);
                });
            }
            Some(Ok(Some(Told::Gone { usage }))) => {
                self.shared.note(|seen| seen.usage = Some(usage));
                self.times.childless = Some(at);
                // The kernel tells of changes to this file no oftener than every 10 ms; asked, it knows at once.
                self.look(at);
            }
            Some(Ok(Some(_))) => {}
            _ => self.control = None,
        }
    }

    fn look(&mut self, at: Instant) {
        if self.events.as_mut().is_some_and(|events| !is_populated(events)) {
            self.events = None;
            self.times.unpopulated = Some(at);
        }
    }

    /// Says of exit and end of the tree what is known by now. The exit is never told after the end.
    fn conclude(&mut self, buffer: &mut [u8]) {
        let seen = self.shared.lock();
        let (mut told_exit, told_gone, told_lost) = (seen.exit.is_some(), seen.gone.is_some(), seen.keeper_lost);
        drop(seen);
        let lost = self.control.is_none();
        if lost && !told_lost && !told_gone {
            self.shared.note(|seen| seen.keeper_lost = true);
        }
        if let (true, false, Some(at)) = (lost, told_exit, self.times.exited) {
            self.shared.note(|seen| seen.exit = Some(Exit { at, status: None }));
            told_exit = true;
        }
        if let (true, false, Some(at)) = (told_exit, told_gone, self.gone_at()) {
            self.gone(at, buffer);
        }
    }

    /// Both the keeper and the control group, where there is one, have to say that nobody is left. Where the keeper
    /// cannot, the group's word counts, or the end of the PID namespace.
    fn gone_at(&self) -> Option<Instant> {
        let Times { childless, unpopulated, ended, .. } = self.times;
        if self.control.is_none() && childless.is_none() {
            return unpopulated.or(ended);
        }
        if self.events.is_some() { None } else { childless.max(unpopulated.filter(|_| childless.is_some())) }
    }

    /// What was written before is in the pipes by now. Who still holds them is none of the tree.
    fn gone(&mut self, at: Instant, buffer: &mut [u8]) {
        for index in 0..self.streams.len() {
            while self.read(index, at, buffer) {}
        }
        let held_open = self.open_streams();
        self.shared.note(|seen| {
            seen.gone = Some(at);
            seen.held_open = held_open;
        });
    }

    /// Reads what there is, once; false if there was nothing or the stream has ended.
    fn read(&mut self, index: usize, at: Instant, buffer: &mut [u8]) -> bool {
        let Some((stream, Some(fd))) = self.streams.get(index) else { return false };
        match rustix::io::read(fd, &mut *buffer) {
            Ok(length @ 1..) => {
                let bytes = buffer.get(..length).unwrap_or_default();
                self.shared.note(|seen| {
                    seen.output.add(*stream, bytes, at);
                    if seen.marked {
                        seen.wrote.get_or_insert(at);
                    }
                });
                true
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => false,
            Ok(0) | Err(_) => {
                if let Some((_, fd)) = self.streams.get_mut(index) {
                    *fd = None;
                }
                if !self.open_streams() {
                    self.shared.note(|seen| seen.streams_closed = Some(at));
                }
                false
            }
        }
    }

    /// The stream that is to be closed; none if the watching is to end.
    fn told(&self) -> Option<Stream> {
        let mut word = [0];
        match (&self.end).read(&mut word) {
            Ok(1) if word == [CLOSE_ERR] => Some(Stream::Err),
            Ok(1) => Some(Stream::Out),
            _ => None,
        }
    }

    fn close(&mut self, stream: Stream) {
        for (_, fd) in self.streams.iter_mut().filter(|(of, _)| *of == stream) {
            *fd = None;
        }
        let none_open = !self.open_streams();
        self.shared.note(|seen| {
            seen.closed.push(stream);
            if none_open {
                seen.streams_closed.get_or_insert_with(Instant::now);
            }
        });
    }

    fn open_streams(&self) -> bool {
        self.streams.iter().any(|(_, fd)| fd.is_some())
    }
}
