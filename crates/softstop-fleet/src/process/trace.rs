//! Programs whose system calls are followed: each one is known at its entry, and a thread can be held right there.
//!
//! A thread of ours attaches to the process that becomes the program (`PTRACE_SEIZE`, ptrace(2)), before it does, and
//! to every thread and process that comes of it. The program is not modified and not told. What it is sent while one of
//! its threads is held at the entry of a call waits for that thread: the call is still made, and before the thread does
//! anything else the signal is there. SIGKILL alone ends it before the call.
//!
//! # What cannot be followed
//!
//! - What was not allowed: a set-user-id program runs without its rights unless we are root, and a machine may forbid
//!   ptrace as a whole (`kernel.yama.ptrace_scope`, containers). [`StartError::Trace`](super::StartError) tells.
//! - A program that traces itself or its children, such as a debugger, or a process that one traces already.
//! - Real-time signals: they cannot be handed on, so the following ends where one is sent; [`Trace::lost`] tells.
//! - Calls of 32-bit programs, work that is done through io_uring, and memory that is mapped from a file.

mod kind;
mod meddle;
mod memory;
mod regs;
mod threads;
mod tracer;

use std::{
    fmt, io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

pub use self::meddle::Meddling;
use self::tracer::Tracer;

/// What is wanted of the system calls of a program; nothing unless set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tracing {
    /// Writes down every call: [`Trace::calls`].
    pub record: bool,
    /// The call at which a thread is held first; [`Trace::aim`] names further ones.
    pub hold_at: Option<Point>,
    /// What goes wrong with the calls; may be empty.
    pub meddling: Vec<Meddling>,
}

/// One system call of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    /// Its name.
    pub call: String,
    /// Its number among the calls of this name in this thread, from 1, since the start or since the last [`Trace::aim`].
    pub nth: u32,
    /// The number of the process, from 1, in the order in which they began.
    pub process: u32,
    /// The number of the thread in it, from 1.
    pub thread: u32,
}

/// A system call that was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recorded {
    /// Its name.
    pub call: &'static str,
    /// Its number among the calls of this name in this thread, from 1, since the start or since the last [`Trace::aim`].
    pub nth: u32,
    /// The number of the process, from 1, in the order in which they began.
    pub process: u32,
    /// The number of the thread in it, from 1.
    pub thread: u32,
    /// From where in the program it was made and on which file: equal for calls of one place. Means nothing in another run.
    pub site: u64,
    /// Whether it changes what others can see: files written, made, renamed or removed, processes, listening sockets, handlers.
    pub telling: bool,
    /// The file on a disk or in memory that it writes to, if it writes to one, as it is named where the program is.
    pub file: Option<String>,
    /// How often [`Trace::aim`] had been called.
    pub epoch: u32,
    /// When it was made.
    pub at: Instant,
}

/// A call that was not made, because of [`Tracing::meddling`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Denied {
    /// Its name.
    pub call: &'static str,
    /// The file as the program names it, or `socket:[number]`.
    pub file: String,
    /// Whether it was because the disk is full.
    pub disk_full: bool,
    /// How often [`Trace::aim`] had been called.
    pub epoch: u32,
}

/// The following of one program, as long as that runs.
#[derive(Clone)]
pub struct Trace {
    shared: Arc<Shared>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// The call that a thread is to be held at.
    aim: Option<Point>,
    epoch: u32,
    held: bool,
    /// Whoever comes by is let go for good.
    leaving: bool,
    calls: Vec<Recorded>,
    /// How many calls were made, and when the last.
    made: u64,
    last: Option<Instant>,
    denied: Vec<Denied>,
    lost: Option<&'static str>,
    over: bool,
}

impl Trace {
    /// Attaches to a process that waits to become a program.
    pub(super) fn begin(pid: u32, tracing: Tracing) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        shared.lock().aim.clone_from(&tracing.hold_at);
        let trace = Self { shared: Arc::clone(&shared), thread: Arc::default() };
        let (tell, told) = mpsc::sync_channel(1);
        // All ptrace calls have to come from the thread that attached (ptrace(2)), and waits there are for its own alone.
        let body = move || {
            let began = Tracer::seize(pid, tracing, Arc::clone(&shared));
            match began {
                Ok(tracer) => {
                    let _ = tell.send(Ok(()));
                    tracer.run();
                }
                Err(error) => drop(tell.send(Err(error))),
            }
            shared.change(|state| state.over = true);
        };
        let thread = thread::Builder::new().name("softstop trace".to_owned()).spawn(body)?;
        *trace.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        told.recv().unwrap_or_else(|_| Err(io::ErrorKind::Other.into())).map(|()| trace)
    }

    /// Names the call at which a thread is held next, and counts calls from here on; with none, nobody is.
    ///
    /// A thread that is held stays so until [`let_go`](Self::let_go).
    pub fn aim(&self, point: Option<Point>) {
        self.shared.change(|state| {
            state.aim = point;
            state.epoch += 1;
        });
    }

    /// Whether a thread is held at the call that was aimed at.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.shared.lock().held
    }

    /// Lets go of the thread that is held, if one is.
    pub fn let_go(&self) {
        self.shared.change(|state| state.held = false);
    }

    /// Ends the following: each thread goes on by itself from its next call on, and whoever waits in one is not disturbed. Who is held
    /// stays so.
    pub fn leave(&self) {
        self.shared.change(|state| {
            state.leaving = true;
            state.aim = None;
        });
    }

    /// Takes what was recorded so far, in the order in which it was made. Calls beyond the 100,000th are not kept.
    #[must_use]
    pub fn calls(&self) -> Vec<Recorded> {
        std::mem::take(&mut self.shared.lock().calls)
    }

    /// The calls that were not made, in order, the first hundred before each [`aim`](Self::aim) and after the last.
    #[must_use]
    pub fn denied(&self) -> Vec<Denied> {
        self.shared.lock().denied.clone()
    }

    /// How many calls were made, and how long ago the last one was.
    #[must_use]
    pub fn activity(&self) -> (u64, Option<Duration>) {
        let state = self.shared.lock();
        (state.made, state.last.map(|last| last.elapsed()))
    }

    /// Why the program could not be followed any further, and was disturbed by that; what it does from then on says nothing about it.
    #[must_use]
    pub fn lost(&self) -> Option<&'static str> {
        self.shared.lock().lost
    }

    /// Waits until everybody has ended or gone on by himself, at the latest until `until`; whether they have.
    pub(super) fn wait_over(&self, until: Instant) -> bool {
        let mut state = self.shared.lock();
        while !state.over {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(state);
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = thread.join();
        }
        true
    }
}

impl Shared {
    /// Nothing in here can be left half done by a panic.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, act: impl FnOnce(&mut State)) {
        act(&mut self.lock());
        self.changed.notify_all();
    }

    /// Holds the calling thread, and with it whoever waits for that.
    fn hold(&self) {
        let mut state = self.lock();
        state.held = true;
        state.aim = None;
        self.changed.notify_all();
        while state.held {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace").finish_non_exhaustive()
    }
}
