//! What a component hands its code: tasks, the signals of the stop, resources, the account.

use std::{fmt, future::Future, panic::Location, sync::Arc, time::Duration};

use crate::{
    error::{BoxError, Refused, Result, Stopping, TaskError},
    events::Event,
    inner::{Inner, Phase},
    machine::{Level, Reason},
    report::{Exit, Loss, TaskGroup},
    shared::lock,
    task::{Kind, Name, Task},
    wait::{Before, Draining, Told},
};

/// What `on_stop` is told.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct End {
    /// Why the service, or the nested scope, stops.
    pub reason: Reason,
    /// How hard it presses at this moment.
    pub level: Level,
    /// How long saving may take; after that it is dropped at its await point.
    pub remaining: Duration,
    /// How the tasks of this scope ended, a row per name, spawn site and outcome; in the order in
    /// which the names were first used, empty if no task was spawned.
    pub tasks: Vec<TaskGroup>,
}

pub(crate) type BoxFuture<T> = std::pin::Pin<Box<dyn Future<Output = T> + Send>>;
pub(crate) type Hook = Box<dyn FnOnce(End) -> BoxFuture<Result> + Send>;

/// A component's, or a nested part's, way to spawn, open, wait, and learn of the stop.
///
/// Cloning is cheap and gives another handle to the same scope. A scope does not keep its service
/// alive: when the service has gone, spawning is refused.
///
/// | call | ends on | holds the drain |
/// |---|---|---|
/// | [`next`](Self::next) | an empty source when draining; cancel | yes |
/// | [`until_draining`](Self::until_draining), [`draining`](Self::draining), [`is_draining`](Self::is_draining) | drain | yes |
/// | [`critical`](Self::critical) | its own end | yes |
/// | [`sleep`](Self::sleep), [`unready`](Self::unready) | drain, or the unready delay before it | no |
/// | [`until_cancelled`](Self::until_cancelled), [`cancelled`](Self::cancelled) | cancel | no |
///
/// While a task that used one of the first three rows is there, its component is not cancelled until
/// the time of the drain is over. A cooperative task that has not had its first poll counts as one.
#[derive(Clone)]
pub struct Scope {
    pub(crate) inner: Arc<Inner>,
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("name", &self.inner.name).field("phase", &self.inner.phase()).finish()
    }
}

impl Scope {
    /// The component's name, with those of nested scopes after slashes.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    // ---- tasks ----------------------------------------------------------------------------

    /// Runs a future that knows nothing of stopping. When the scope is cancelled the future is
    /// dropped at its next await point, and that is its normal end.
    ///
    /// Its error or panic stops the service. In a scope that takes no more tasks the future is
    /// dropped unrun and the handle gives [`Outcome::Refused`](crate::Outcome::Refused); to get it back use
    /// [`try_spawn`](Self::try_spawn).
    #[track_caller]
    pub fn spawn<T: Send + 'static>(
        &self,
        name: impl Into<Name>,
        future: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Task<T> {
        self.spawn_as(name.into(), Kind::Plain, false, future)
    }

    /// Runs a cooperative task: it goes on through drain and cancel until it returns, or until
    /// its time is over and it is dropped.
    ///
    /// Its error or panic stops the service, except an error with a [`Stopping`] in its source
    /// chain after the scope was told. For one connection of many, whose peer may go away, see
    /// [`spawn_ignoring`](Self::spawn_ignoring); to run it again, [`supervise`](Self::supervise).
    #[track_caller]
    pub fn spawn_with<T, F, Fut>(&self, name: impl Into<Name>, task: F) -> Task<T>
    where
        T: Send + 'static,
        F: FnOnce(Scope) -> Fut,
        Fut: Future<Output = Result<T>> + Send + 'static,
    {
        let future = task(self.clone());
        self.spawn_as(name.into(), Kind::Cooperative, false, future)
    }

    /// Like [`spawn_with`](Self::spawn_with), for a task whose failure is no failure of the service:
    /// one connection of many, whose peer may go away. Its error or panic is counted, nothing else.
    #[track_caller]
    pub fn spawn_ignoring<T, F, Fut>(&self, name: impl Into<Name>, task: F) -> Task<T>
    where
        T: Send + 'static,
        F: FnOnce(Scope) -> Fut,
        Fut: Future<Output = Result<T>> + Send + 'static,
    {
        let future = task(self.clone());
        self.spawn_as(name.into(), Kind::Cooperative, true, future)
    }

    #[track_caller]
    pub(crate) fn spawn_as<T, F>(&self, name: Name, kind: Kind, ignored: bool, future: F) -> Task<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let refused = Task { name: name.clone(), kind, join: None };
        self.inner.run(name, kind, ignored, Location::caller(), future).unwrap_or(refused)
    }

    /// Like [`spawn`](Self::spawn), and hands the future back where the scope takes no more tasks.
    ///
    /// # Errors
    ///
    /// [`Refused`] with the future, of which nothing was polled, and the reason of the stop.
    #[track_caller]
    pub fn try_spawn<T, F>(&self, name: impl Into<Name>, future: F) -> Result<Task<T>, Refused<F>>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let refused = |future| Refused { future, reason: self.inner.stop_reason() };
        self.inner.run(name.into(), Kind::Plain, false, Location::caller(), future).map_err(refused)
    }

    /// Runs a blocking job on the runtime's pool for such jobs, with a flag to look at.
    ///
    /// A job cannot be dropped: one that has not begun is never run after its time is over, one
    /// that goes on is reported as stuck, and the process leaves without it.
    #[track_caller]
    pub fn spawn_blocking<T: Send + 'static>(
        &self,
        name: impl Into<Name>,
        job: impl FnOnce(Flag) -> Result<T> + Send + 'static,
    ) -> Task<T> {
        let name = name.into();
        let inner = Arc::clone(&self.inner);
        let job = move |slot, serial| job(Flag { inner, slot, serial });
        self.inner.run_job(name, Location::caller(), job)
    }

    /// Runs a future to its end although the caller may be dropped: it keeps the grace of a
    /// cooperative task, holds the drain, and saving waits for it.
    ///
    /// # Errors
    ///
    /// [`TaskError`] where the scope takes no more tasks, or the future was aborted or panicked.
    ///
    /// # Cancel safety
    ///
    /// Dropping the call after its first poll does not stop the future; only its value is lost.
    pub async fn critical<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, TaskError> {
        self.spawn_as(Name::Borrowed("critical"), Kind::Critical, false, async { Ok(future.await) }).await
    }

    // ---- signals of the stop ---------------------------------------------------------------

    /// Completes when the tasks of this scope should finish what they hold and take nothing new.
    ///
    /// A task that has polled this once holds the drain: the scope is cancelled only after it has
    /// returned, or when the time of the drain is over.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub fn draining(&self) -> impl Future<Output = Reason> + Send {
        Told::new(&self.inner, Phase::Draining, true)
    }

    /// Completes when the tasks of this scope should return now.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub fn cancelled(&self) -> impl Future<Output = Reason> + Send {
        Told::new(&self.inner, Phase::Cancelled, false)
    }

    /// Completes when the service stops accepting from outside: at the beginning of the unready
    /// delay where this component has one, with the drain otherwise.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub fn unready(&self) -> impl Future<Output = Reason> + Send {
        Told::new(&self.inner, Phase::Unready, false)
    }

    /// Sleeps, and ends early when the scope is told to drain.
    ///
    /// # Errors
    ///
    /// [`Stopping`] where it ended early, or the stop had come before.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn sleep(&self, duration: Duration) -> Result<(), Stopping> {
        if self.inner.phase() >= Phase::Draining {
            // A loop that forgets to look at the error still comes to an await point.
            tokio::task::coop::consume_budget().await;
        }
        let sleep = Before::new(&self.inner, Phase::Draining, tokio::time::sleep(duration));
        sleep.await.ok_or_else(|| Stopping(self.inner.stop_reason()))
    }

    /// Runs `future`; gives it up only when it is pending and the scope is told to drain.
    ///
    /// The future is polled first, and being pending because the runtime asks a busy task to yield
    /// does not count. A component is asked to stop only after its dependents have gone, so a
    /// pending `recv()` means an empty channel, even where a clone of a sender lives on somewhere.
    /// Like [`draining`](Self::draining) it makes the task hold the drain.
    ///
    /// # Cancel safety
    ///
    /// As cancel safe as `future`.
    pub fn until_draining<F: Future>(&self, future: F) -> impl Future<Output = Option<F::Output>> {
        Draining::new(&self.inner, future)
    }

    /// Runs `future`; gives it up as soon as the scope is cancelled. The signal is looked at first.
    ///
    /// # Cancel safety
    ///
    /// As cancel safe as `future`.
    pub fn until_cancelled<F: Future>(&self, future: F) -> impl Future<Output = Option<F::Output>> {
        Before::new(&self.inner, Phase::Cancelled, future)
    }

    /// The next item of a channel or stream, for the loop of a consumer:
    /// `while let Some(item) = scope.next(rx.recv()).await { … }`.
    ///
    /// It ends when the source has ended, when it is empty and the scope is told to drain, or as
    /// soon as the scope is cancelled: `until_cancelled(until_draining(future))` in one word.
    /// What is still in the source after a cancel is the task's to hand to `on_stop`. A task that
    /// comes to its first `next` only after a graceful cancel still empties its source.
    ///
    /// # Cancel safety
    ///
    /// As cancel safe as `future`; `recv` of tokio's channels is, so a consumer with a timer selects
    /// over it:
    ///
    /// ```no_run
    /// # async fn consumer(scope: softstop::Scope, mut rx: tokio::sync::mpsc::Receiver<u64>) -> softstop::Result {
    /// let mut flush = tokio::time::interval(std::time::Duration::from_secs(1));
    /// let mut held = Vec::new();
    /// loop {
    ///     tokio::select! {
    ///         item = scope.next(rx.recv()) => match item {
    ///             Some(item) => held.push(item),
    ///             None => break,
    ///         },
    ///         _ = flush.tick() => held.clear(), // write them
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn next<T>(&self, future: impl Future<Output = Option<T>>) -> Option<T> {
        Draining::until_cancelled(&self.inner, future).await.flatten()
    }

    /// How long the present step of the stop may still take; `None` as long as no stop limits it.
    pub fn remaining(&self) -> Option<Duration> {
        Some(self.inner.limit()?.saturating_sub(self.inner.shared.now()))
    }

    /// Why the scope stops; `None` as long as it was not told.
    pub fn reason(&self) -> Option<Reason> {
        self.inner.reason()
    }

    /// Whether the scope was told to drain, or more. Like [`draining`](Self::draining) it makes the
    /// task hold the drain: a task that looks wants to finish what it is at.
    pub fn is_draining(&self) -> bool {
        self.inner.mark_draining();
        self.inner.phase() >= Phase::Draining
    }

    /// Whether the scope was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.inner.phase() >= Phase::Cancelled
    }

    // ---- words and the end -------------------------------------------------------------------

    /// Tells whoever watches: an [`Event`]. [`main`](crate::main) prints it to stderr as a line, above what it draws there,
    /// and holds nothing up for that; with [`run`](crate::Service::run) nobody prints it.
    pub fn say(&self, text: impl Into<String>) {
        let shared = &self.inner.shared;
        shared.tell(&Event::Said { component: self.name().to_owned(), text: text.into(), at: shared.now() });
    }

    /// Says with what status the program ends if its stop is clean, and why in a few words; the last call counts.
    ///
    /// For jobs that end by themselves and have more to say than that they ended: a part could not be done, there was nothing
    /// to do, the rest has to wait. It stops nothing. A stop that is not clean keeps its own [`Status`](crate::Status), so
    /// numbers from 78 to 85 would say two things. With [`dies_by_signal`](crate::Service::dies_by_signal) any other number than 0
    /// goes before the signal.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let mut service = softstop::Service::new("copy");
    /// let job = service.component("copy", (), async |scope, ()| {
    ///     scope.spawn_with("copy", async |scope| {
    ///         let failed = 2;
    ///         scope.exit_status(3, format!("{failed} files could not be copied"));
    ///         Ok(())
    ///     });
    ///     Ok(())
    /// });
    /// service.options(job).main_job();
    /// let report = service.run(std::future::pending()).await;
    /// assert_eq!((report.code(), report.why.as_str()), (3, "2 files could not be copied"));
    /// # }
    /// ```
    pub fn exit_status(&self, code: u8, why: impl Into<String>) {
        lock(&self.inner.shared.record).exit = Some(Exit { code, why: why.into() });
    }

    // ---- saving and the account -------------------------------------------------------------

    /// Registers what runs once, after every task of this scope has ended and before its resources
    /// are closed. A second call replaces the first.
    ///
    /// It runs exactly once unless the service is abandoned before its turn, which is reported as
    /// a loss. It may open and spawn; what it spawns has the same time.
    ///
    /// By then the scope has been cancelled: its `sleep`, `next`, `until_draining` and `until_cancelled` end at
    /// once, and so do the flags of its jobs. Wait with tokio's own; the time of the save ends it.
    pub fn on_stop<F, Fut>(&self, save: F)
    where
        F: FnOnce(End) -> Fut + Send + 'static,
        Fut: Future<Output = Result> + Send + 'static,
    {
        let before = lock(&self.inner.local).hook.replace(Box::new(move |end| Box::pin(save(end))));
        drop(before);
    }

    /// Registers a synchronous act for the case that the service is abandoned: all of them
    /// together have at most 200 ms, on a thread of their own, while everything else is stuck.
    pub fn emergency(&self, hook: impl FnOnce() + Send + 'static) {
        lock(&self.inner.shared.emergency).push((self.inner.id, Box::new(hook)));
    }

    /// Notes that `count` of `what` were accepted and are not safe yet. One counter per name for
    /// the whole service; what is still owed at the end is a declared loss, exit status 85.
    pub fn owe(&self, what: impl Into<Name>, count: u64) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.inner.shared.account(what.into(), |account| account.owed = account.owed.saturating_add(count));
    }

    /// Notes that `count` of `what` are safe now.
    pub fn settle(&self, what: impl Into<Name>, count: u64) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.inner.shared.account(what.into(), |account| account.owed = account.owed.saturating_sub(count));
    }

    /// Declares that `count` of `what` could not be saved. They are not owed any more if they
    /// were: a loss is counted once.
    pub fn lost(&self, what: impl Into<Name>, count: u64) {
        let (what, shared) = (what.into(), &self.inner.shared);
        let loss = Loss { what: what.to_string(), count, why: "declared" };
        shared.account(what, |account| {
            let owed = i64::try_from(count).unwrap_or(i64::MAX).min(account.owed.max(0));
            account.owed -= owed;
            account.lost = account.lost.saturating_add(count);
        });
        if count > 0 {
            shared.tell(&Event::Lost { loss, at: shared.now() });
        }
    }
}

/// What a blocking job looks at between two pieces of work.
#[derive(Clone)]
pub struct Flag {
    inner: Arc<Inner>,
    slot: usize,
    serial: u32,
}

impl fmt::Debug for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flag").field("is_set", &self.is_set()).finish()
    }
}

impl Flag {
    /// Whether the job should return now: its scope was cancelled. A cancelled job that has not
    /// looked for 5 s, and has no stated limit, is given up as stuck. For a job that `on_stop` spawns it is
    /// always set.
    pub fn is_set(&self) -> bool {
        self.inner.looked(self.slot, self.serial);
        self.inner.phase() >= Phase::Cancelled
    }

    /// Whether the job should take nothing new: its scope was told to drain, or more. A job that
    /// looks at this holds the drain.
    pub fn is_draining(&self) -> bool {
        self.inner.mark_draining();
        self.inner.phase() >= Phase::Draining
    }

    /// [`Stopping`] where [`is_set`](Self::is_set), to be passed on with `?`.
    ///
    /// # Errors
    ///
    /// [`Stopping`] once the scope was cancelled.
    pub fn check(&self) -> Result<(), Stopping> {
        let reason = self.inner.reason();
        match reason {
            Some(reason) if self.is_set() => Err(Stopping(reason)),
            _ => Ok(()),
        }
    }
}

const _: fn() = || {
    fn is_send_and_sync<T: Send + Sync>() {}
    is_send_and_sync::<Scope>();
    is_send_and_sync::<BoxError>();
};
