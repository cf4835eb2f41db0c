//! Tasks that are run again after a failure.

use std::{
    future::poll_fn,
    hash::{BuildHasher, RandomState},
    panic::Location,
    pin::pin,
    time::Duration,
};

use crate::{
    error::{BoxError, Result, Stopping, chain},
    events::Event,
    inner::Phase,
    scope::Scope,
    shared::lock,
    task::{Kind, Name, Task, catch_panic, current},
};

/// What follows when a supervised task returns an error or panics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Policy {
    /// The service stops, exit status 81.
    #[default]
    Stop,
    /// It is noted in the counts, nothing else.
    Ignore,
    /// It is run again after a pause; too many failures stop the service.
    Restart(Restart),
}

/// How often, and how fast, a task is run again.
///
/// The pause before the first run is between half of `first` and `first`, drawn at random; it
/// doubles with every failure up to `longest`, and starts anew after a run longer than `within`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restart {
    /// So many failures `within` the time are borne; the next one stops the service.
    pub intensity: u32,
    /// The time in which failures are counted.
    pub within: Duration,
    /// The first pause.
    pub first: Duration,
    /// The longest pause.
    pub longest: Duration,
}

impl Default for Restart {
    /// Ten failures within a minute; pauses from 100 ms to 10 s.
    fn default() -> Self {
        Self {
            intensity: 10,
            within: Duration::from_secs(60),
            first: Duration::from_millis(100),
            longest: Duration::from_secs(10),
        }
    }
}

impl Restart {
    /// Never gives up: for a peer that may be away for hours.
    pub fn forever() -> Self {
        Self { intensity: u32::MAX, ..Self::default() }
    }
}

impl Scope {
    /// Runs what `factory` makes as a cooperative task, and again according to `policy`.
    ///
    /// A stop ends the pause between two runs, and nothing is run again after it; the failure that
    /// began the pause stays in the report. The factory is dropped with its last run.
    #[track_caller]
    pub fn supervise<F, Fut>(&self, name: impl Into<Name>, policy: Policy, factory: F) -> Task<()>
    where
        F: Fn(Scope) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result> + Send + 'static,
    {
        let scope = self.clone();
        let task = async move {
            match policy {
                Policy::Restart(restart) => scope.restarting(restart, factory).await,
                Policy::Stop | Policy::Ignore => factory(scope).await,
            }
        };
        let ignored = policy == Policy::Ignore;
        let refused = |name| Task { name, kind: Kind::Cooperative, join: None };
        let name = name.into();
        let spare = name.clone();
        self.inner.run(name, Kind::Cooperative, ignored, Location::caller(), task).unwrap_or_else(|_| refused(spare))
    }

    async fn restarting<F, Fut>(self, restart: Restart, factory: F) -> Result
    where
        F: Fn(Scope) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result> + Send + 'static,
    {
        let random = RandomState::new();
        let mut failures: Vec<Duration> = Vec::new();
        let first = restart.first.min(restart.longest);
        let mut pause = first;
        loop {
            let begun = self.inner.shared.now();
            let mut run = pin!(catch_panic(async { factory(self.clone()).await }));
            // What fails in a poll that began before the stop failed without knowing of it.
            let mut told = false;
            let ended = poll_fn(|cx| {
                told = self.inner.phase() >= Phase::Draining;
                run.as_mut().poll(cx)
            });
            let error: BoxError = match ended.await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => error,
                Err(panic) => format!("panicked: {panic}").into(),
            };
            if told {
                return Err(error);
            }
            let now = self.inner.shared.now();
            if now.saturating_sub(begun) > restart.within {
                pause = first;
            }
            failures.retain(|at| now.saturating_sub(*at) < restart.within);
            if failures.len() as u64 >= u64::from(restart.intensity) {
                return Err(Exhausted { restart, source: error }.into());
            }
            if restart.intensity < u32::MAX {
                failures.push(now);
            }
            let drawn = self.inner.shared.probe.get().map_or_else(|| random.hash_one(now), |probe| probe.seed());
            let jitter = pause.mul_f64(0.5 + (drawn % 1000) as f64 / 2000.0);
            if let Some(task) = current() {
                self.inner.count_restart(task.slot);
                self.inner.shared.tell(&Event::Restarting {
                    component: self.name().to_owned(),
                    task: self.inner.task_name(task.slot).into_owned(),
                    message: chain(error.as_ref()),
                    pause: jitter,
                    at: now,
                });
            }
            if let Err(Stopping(_)) = self.sleep(jitter).await {
                let text = chain(error.as_ref());
                lock(&self.inner.shared.record).notes.push(format!("{} was not run again: {text}", self.name()));
                if let Some(task) = current() {
                    self.inner.ignore(task.slot);
                }
                return Err(error);
            }
            pause = pause.saturating_mul(2).min(restart.longest);
        }
    }
}

/// A supervised task has failed more often than its policy bears.
#[derive(Debug)]
struct Exhausted {
    restart: Restart,
    source: BoxError,
}

impl std::fmt::Display for Exhausted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "failed more than {} times within {:?}", self.restart.intensity, self.restart.within)
    }
}

impl std::error::Error for Exhausted {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self.source.as_ref())
    }
}
