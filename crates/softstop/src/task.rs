//! One task: the wrapper around a future that counts how it ended, whatever ends it.

use std::{
    any::Any,
    borrow::Cow,
    cell::Cell,
    fmt,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;

use crate::{
    busy::{self, Doing, LONG},
    error::{BoxError, Stopping, TaskError, chain},
    inner::{Inner, Phase},
    probe::Injected,
    report::Leak,
};

/// The name of a task or a resource; a literal costs nothing.
pub type Name = Cow<'static, str>;

/// How a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// It returned `Ok`.
    Finished,
    /// It returned an error.
    Failed,
    /// It was told to stop and did: a plain future was dropped, or a cooperative one passed [`Stopping`] on.
    Cancelled,
    /// It was cooperative and was dropped when its time was over.
    Aborted,
    /// It panicked.
    Panicked,
    /// It was aborted and never reached an await point; it counts as gone, and may still run.
    Stuck,
    /// It never ran: its scope took no more tasks.
    Refused,
}

/// All outcomes that a task which ran can have, in the order of their counters.
pub(crate) const OUTCOMES: [Outcome; 6] =
    [Outcome::Finished, Outcome::Failed, Outcome::Cancelled, Outcome::Aborted, Outcome::Panicked, Outcome::Stuck];

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Aborted => "aborted",
            Self::Panicked => "panicked",
            Self::Stuck => "stuck",
            Self::Refused => "refused",
        })
    }
}

/// What a task is to its scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Knows nothing of stopping.
    Plain,
    /// Was given a scope.
    Cooperative,
    /// Holds the drain whatever it does.
    Critical,
    /// Runs on the blocking pool.
    Blocking,
    /// A component's start function.
    Start,
    /// Part of saving or closing.
    Step,
    /// Closes one leaked resource.
    Sweep,
}

impl Kind {
    /// Whether it goes on after being cancelled.
    pub(crate) fn cooperates(self) -> bool {
        !matches!(self, Self::Plain)
    }

    /// Whether it is one of the user's, and counted in the report.
    pub(crate) fn counted(self) -> bool {
        matches!(self, Self::Plain | Self::Cooperative | Self::Critical | Self::Blocking)
    }
}

/// The task that this thread is polling.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Current {
    pub(crate) scope: u64,
    pub(crate) slot: usize,
    pub(crate) kind: Kind,
    /// It holds the drain of its scope.
    pub(crate) drains: bool,
    /// It has dropped something open in this poll.
    dropped: bool,
}

thread_local! {
    static CURRENT: Cell<Option<Current>> = const { Cell::new(None) };
    /// What was dropped open in this poll: leaks, unless the task fails with it.
    static DROPPED: Cell<Vec<(Arc<Inner>, Leak)>> = const { Cell::new(Vec::new()) };
}

/// Something open was dropped, by the present task if there is one.
pub(crate) fn note_drop(inner: &Arc<Inner>, leak: Leak) {
    let Some(current) = CURRENT.get() else { return inner.note_leak(leak) };
    CURRENT.set(Some(Current { dropped: true, ..current }));
    let mut dropped = DROPPED.take();
    dropped.push((Arc::clone(inner), leak));
    DROPPED.set(dropped);
}

pub(crate) fn current() -> Option<Current> {
    CURRENT.get()
}

pub(crate) fn mark_current_as_draining() {
    CURRENT.set(CURRENT.get().map(|current| Current { drains: true, ..current }));
}

/// Puts the task before this one back, also while unwinding.
struct Restore(Option<Current>);

impl Drop for Restore {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

/// Tells the scope that the task has ended, when it is dropped: no abort and no panic is missed.
pub(crate) struct Guard {
    pub(crate) inner: Arc<Inner>,
    pub(crate) slot: usize,
    pub(crate) kind: Kind,
    /// Whether the scope counts it among those that hold the drain.
    drains: bool,
    /// Cooperative, and has not had its first poll.
    unpolled: bool,
    /// It has dropped something open in its last poll.
    dropped: bool,
    outcome: Option<Outcome>,
}

impl Guard {
    pub(crate) fn new(inner: Arc<Inner>, slot: usize, kind: Kind) -> Self {
        let (drains, unpolled) = (kind == Kind::Critical, kind == Kind::Cooperative);
        Self { inner, slot, kind, drains, unpolled, dropped: false, outcome: None }
    }

    /// Runs `f` as this task. Returns its value, or the text of its panic.
    fn enter<T>(&mut self, doing: Doing, f: impl FnOnce() -> T) -> Result<T, String> {
        let (scope, slot, kind) = (self.inner.id, self.slot, self.kind);
        let me = Current { scope, slot, kind, drains: self.drains, dropped: self.dropped };
        let restore = Restore(CURRENT.replace(Some(me)));
        let (result, held) = busy::during(self.inner.id, self.slot, doing, || catch_unwind(AssertUnwindSafe(f)));
        (self.drains, self.dropped) = CURRENT.get().map_or((false, false), |current| (current.drains, current.dropped));
        drop(restore);
        if self.unpolled {
            self.unpolled = false;
            self.inner.first_polled();
        }
        if held >= LONG && doing != Doing::Job {
            self.inner.held(self.slot, doing, held);
        }
        result.map_err(|panic| panic_text(&*panic))
    }

    fn before(&self, cx: Option<&mut Context<'_>>) -> Option<Injected> {
        self.inner.shared.probe.get()?.before(&self.inner, self.slot, cx)
    }

    fn after(&self) {
        if let Some(probe) = self.inner.shared.probe.get() {
            probe.after(&self.inner, self.slot);
        }
    }

    /// A destructor of its future panicked while it was dropped.
    fn panicked(&mut self, panic: &str) {
        self.inner.failed(self.slot, self.kind, Outcome::Panicked, panic);
        self.outcome = Some(Outcome::Panicked);
    }

    /// What was dropped open in the last poll is a leak, unless the task has failed with it.
    fn settle_drops(&mut self, forgotten: bool) {
        if std::mem::take(&mut self.dropped) {
            let dropped = DROPPED.take();
            dropped.into_iter().filter(|_| forgotten).for_each(|(inner, leak)| inner.note_leak(leak));
        }
    }

    /// Notes how the task ended and turns its result into what its handle gives.
    fn finish<T>(&mut self, result: Result<Result<T, BoxError>, String>) -> Result<T, TaskError> {
        self.settle_drops(matches!(result, Ok(Ok(_))));
        let (outcome, message) = match result {
            Ok(Ok(value)) => {
                self.outcome = Some(Outcome::Finished);
                return Ok(value);
            }
            Ok(Err(error)) => {
                let told = self.inner.phase() >= Phase::Draining;
                let outcome =
                    if told && Stopping::is_in(error.as_ref()) { Outcome::Cancelled } else { Outcome::Failed };
                (outcome, chain(error.as_ref()))
            }
            Err(text) => (Outcome::Panicked, text),
        };
        self.outcome = Some(outcome);
        let task = self.inner.task_name(self.slot);
        if outcome != Outcome::Cancelled {
            self.inner.failed(self.slot, self.kind, outcome, &message);
        }
        Err(TaskError { task, outcome, message })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let dropped = if self.kind.cooperates() { Outcome::Aborted } else { Outcome::Cancelled };
        let outcome = self.outcome.unwrap_or(dropped);
        self.inner.ended(self.slot, self.kind, outcome);
    }
}

pin_project! {
    /// A future of the user's inside its guard. The future is dropped before the guard.
    pub(crate) struct Tracked<F> {
        #[pin]
        future: Option<F>,
        guard: Guard,
    }

    impl<F> PinnedDrop for Tracked<F> {
        // An abort drops the future unpolled: its destructors run as the task, too.
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.future.is_some()
                && let Err(panic) = this.guard.enter(Doing::Dropping, || this.future.set(None))
            {
                this.guard.panicked(&panic);
            }
            this.guard.settle_drops(false);
        }
    }
}

impl<F> Tracked<F> {
    pub(crate) fn new(future: F, guard: Guard) -> Self {
        Self { future: Some(future), guard }
    }
}

impl<T, F: Future<Output = Result<T, BoxError>>> Future for Tracked<F> {
    type Output = Result<T, TaskError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let injected = this.guard.before(Some(cx));
        let polled = this.guard.enter(Doing::Polling, || {
            let Some(future) = this.future.as_mut().as_pin_mut() else { return Poll::Pending };
            let result = match injected {
                None => ready!(future.poll(cx)),
                Some(Injected::Error(error)) => Err(error),
                // Without the panic hook: nobody wants to read of what was planned.
                Some(Injected::Panic(text)) => resume_unwind(Box::new(text)),
            };
            // What the future held is dropped before its end is counted, a panic in there included.
            busy::now_dropping();
            this.future.set(None);
            Poll::Ready(result)
        });
        this.guard.after();
        let result = match polled {
            Ok(Poll::Ready(result)) => Ok(result),
            Ok(Poll::Pending) => {
                this.guard.settle_drops(true);
                this.guard.inner.polled(this.guard.slot);
                return Poll::Pending;
            }
            Err(panic) => {
                // One panic is enough to tell; a second one, of a destructor, is only caught.
                let _ = this.guard.enter(Doing::Dropping, || this.future.set(None));
                Err(panic)
            }
        };
        Poll::Ready(this.guard.finish(result))
    }
}

/// A blocking job of the user's with its guard. A job that never runs is dropped before the guard, too.
pub(crate) struct Job<J> {
    job: Option<J>,
    guard: Guard,
}

impl<J> Job<J> {
    pub(crate) fn new(job: J, guard: Guard) -> Self {
        Self { job: Some(job), guard }
    }

    /// Runs it on this thread.
    pub(crate) fn run<T>(mut self) -> Result<T, TaskError>
    where
        J: FnOnce() -> Result<T, BoxError>,
    {
        let job = self.job.take().expect("only `run` and `drop` take it, and both end it");
        let injected = self.guard.before(None);
        let result = self.guard.enter(Doing::Job, || match injected {
            None => job(),
            Some(Injected::Error(error)) => Err(error),
            Some(Injected::Panic(text)) => resume_unwind(Box::new(text)),
        });
        self.guard.after();
        self.guard.finish(result)
    }
}

impl<J> Drop for Job<J> {
    fn drop(&mut self) {
        if let Some(job) = self.job.take()
            && let Err(panic) = self.guard.enter(Doing::Dropping, || drop(job))
        {
            self.guard.panicked(&panic);
        }
        self.guard.settle_drops(false);
    }
}

/// Polls a future and turns its panic into a value.
pub(crate) async fn catch_panic<T>(future: impl Future<Output = T>) -> Result<T, String> {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Ok),
        Err(panic) => Poll::Ready(Err(panic_text(&*panic))),
    })
    .await
}

pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without text".to_owned())
}

/// A handle to wait for a task. Dropping it changes nothing: the scope owns the task.
///
/// As a future it gives the task's value, or [`TaskError`] saying how it ended instead. Inside
/// `on_stop` every task of the scope has ended, so awaiting takes no time.
///
/// # Cancel safety
///
/// Cancel safe: dropping or not polling it loses nothing but the value.
pub struct Task<T> {
    pub(crate) name: Name,
    pub(crate) kind: Kind,
    /// `None` for a task that was refused.
    pub(crate) join: Option<tokio::task::JoinHandle<Result<T, TaskError>>>,
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<T> Task<T> {
    /// Whether it has ended, or never ran.
    pub fn is_finished(&self) -> bool {
        self.join.as_ref().is_none_or(tokio::task::JoinHandle::is_finished)
    }

    fn error(&self, outcome: Outcome, message: String) -> TaskError {
        TaskError { task: self.name.clone(), outcome, message }
    }
}

impl<T> Future for Task<T> {
    type Output = Result<T, TaskError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(join) = self.join.as_mut() else {
            return Poll::Ready(Err(self.error(Outcome::Refused, String::new())));
        };
        Poll::Ready(match ready!(Pin::new(join).poll(cx)) {
            Ok(result) => result,
            Err(error) if error.is_panic() => Err(self.error(Outcome::Panicked, panic_text(&*error.into_panic()))),
            Err(_) if self.kind.cooperates() => Err(self.error(Outcome::Aborted, String::new())),
            Err(_) => Err(self.error(Outcome::Cancelled, String::new())),
        })
    }
}
