//! The ledger: what is open, who owns it, and how it is closed exactly once.
//!
//! There is no async `Drop`, so a [`Held`] value that is dropped goes back to the ledger together
//! with its closing act, and the ledger runs it: at the end of its component, or at once where its
//! task forgot it.

use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    ops::{Deref, DerefMut},
    panic::Location,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use slab::Slab;

use crate::{
    error::{BoxError, Result, ScopeClosed, chain},
    events::Event,
    inner::{Inner, Phase},
    machine::Time,
    report::{Closed, Failure, Leak, ResourceGroup, StillOpen},
    scope::{BoxFuture, Scope},
    shared::{lock, next_number},
    task::{Kind, Name, Outcome, catch_panic, current, note_drop},
};

/// Leaks that are kept one by one; further ones are only counted.
const MOST_LEAKS: usize = 100;

type Act = Box<dyn FnOnce() -> BoxFuture<Result> + Send>;

/// Who must see that a resource is closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The scope: opened while starting or saving, or handed on to it.
    Scope,
    /// The task with this name.
    Task(Name),
}

pub(crate) enum Place {
    /// With its `Held`.
    Held,
    /// Here, with the act that closes it.
    Returned(Act),
    /// Its closing act has begun.
    Closing,
}

pub(crate) struct Resource {
    kind: Name,
    site: &'static Location<'static>,
    opened: Time,
    owner: Owner,
    serial: u64,
    place: Place,
}

#[derive(Default)]
pub(crate) struct Ledger {
    open: Slab<Resource>,
    /// Those of them whose closing act waits here, by opening number.
    waiting: BTreeMap<u64, usize>,
    /// The time of closing is over.
    over: bool,
    kinds: BTreeMap<Name, [u64; CLOSED.len() + 1]>,
    leaks: Vec<Leak>,
    leaked: u64,
}

const CLOSED: [Closed; 4] = [Closed::Clean, Closed::Failed, Closed::Cut, Closed::Released];

impl Ledger {
    fn insert(&mut self, resource: Resource) -> usize {
        self.kinds.entry(resource.kind.clone()).or_default()[CLOSED.len()] += 1;
        self.open.insert(resource)
    }

    /// Only for what is held or being closed: a waiting act must not be dropped under the lock.
    fn remove(&mut self, key: usize, how: Closed) {
        if let Some(resource) = self.open.try_remove(key) {
            let at = CLOSED.iter().position(|c| *c == how).unwrap_or_default();
            self.kinds.entry(resource.kind).or_default()[at] += 1;
        }
    }

    pub(crate) fn leaks(&self) -> (&[Leak], u64) {
        (&self.leaks, self.leaked)
    }

    pub(crate) fn kinds(&self) -> Vec<ResourceGroup> {
        let row = |(kind, n): (&Name, &[u64; 5])| ResourceGroup {
            kind: kind.to_string(),
            opened: n[4],
            closed: n[0],
            failed: n[1],
            cut: n[2],
            released: n[3],
        };
        self.kinds.iter().map(row).collect()
    }

    /// What is open now, oldest first.
    pub(crate) fn still_open(&self, now: Time) -> Vec<StillOpen> {
        let mut open: Vec<&Resource> = self.open.iter().map(|(_, resource)| resource).collect();
        open.sort_by_key(|resource| resource.serial);
        let row = |r: &Resource| StillOpen {
            kind: r.kind.to_string(),
            site: r.site.to_string(),
            age: now.saturating_sub(r.opened),
            task: match &r.owner {
                Owner::Scope => None,
                Owner::Task(name) => Some(name.to_string()),
            },
        };
        open.into_iter().map(row).collect()
    }

    /// Takes over what a nested scope has counted.
    pub(crate) fn absorb(&mut self, nested: &Self) {
        for (kind, counts) in &nested.kinds {
            for (sum, n) in self.kinds.entry(kind.clone()).or_default().iter_mut().zip(counts) {
                *sum += n;
            }
        }
        self.leaked += nested.leaked;
        let room = MOST_LEAKS.saturating_sub(self.leaks.len());
        self.leaks.extend(nested.leaks.iter().take(room).cloned());
    }

    /// How many closing acts wait here, and the opening number of the youngest.
    fn waiting(&self) -> (usize, Option<u64>) {
        (self.waiting.len(), self.waiting.last_key_value().map(|(serial, _)| *serial))
    }

    fn take_act(&mut self, serial: u64) -> Option<Waiting> {
        let key = *self.waiting.get(&serial)?;
        let act = self.begin(key)?;
        let resource = self.open.get(key)?;
        Some(Waiting { key, act, name: format!("closing {}", resource.kind).into(), site: resource.site })
    }

    fn put_back(&mut self, key: usize, act: Act) {
        if let Some(resource) = self.open.get_mut(key) {
            resource.place = Place::Returned(act);
            self.waiting.insert(resource.serial, key);
        }
    }

    fn begin(&mut self, key: usize) -> Option<Act> {
        let resource = self.open.get_mut(key)?;
        self.waiting.remove(&resource.serial);
        match std::mem::replace(&mut resource.place, Place::Closing) {
            Place::Returned(act) => Some(act),
            other => {
                resource.place = other;
                None
            }
        }
    }

    /// The time of closing is over: counts what is not closed, and hands it out, because its
    /// destructors must run without the lock.
    pub(crate) fn cut(&mut self) -> Vec<Resource> {
        let unfinished = |(key, r): (usize, &Resource)| (!matches!(r.place, Place::Held)).then_some(key);
        let keys: Vec<usize> = self.open.iter().filter_map(unfinished).collect();
        let cut: Vec<Resource> = keys.into_iter().filter_map(|key| self.open.try_remove(key)).collect();
        self.waiting.clear();
        self.over = true;
        for resource in &cut {
            self.kinds.entry(resource.kind.clone()).or_default()[2] += 1;
        }
        cut
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Whether closing acts wait here.
    pub(crate) fn waits(&self) -> bool {
        !self.waiting.is_empty()
    }
}

/// An open resource and its only owner.
///
/// Dropping it hands the value back to the ledger, which closes it: at the end of the component
/// where it was opened while starting, or its task was cancelled; at once where a task opened it. That
/// is reported as a leak unless the task has failed with it, by `?` for instance: then it did not forget.
pub struct Held<T: Send + 'static> {
    value: Option<Open<T>>,
    inner: Arc<Inner>,
    key: usize,
}

struct Open<T> {
    value: T,
    /// Behind a lock that nobody takes: it lets the owner be shared, whatever the act holds.
    close: Mutex<CloseAct<T>>,
}

type CloseAct<T> = Box<dyn FnOnce(T) -> BoxFuture<Result> + Send>;

impl<T> Open<T> {
    fn close(self) -> BoxFuture<Result> {
        (self.close.into_inner().unwrap_or_else(PoisonError::into_inner))(self.value)
    }
}

impl<T: Send + 'static + fmt::Debug> fmt::Debug for Held<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.as_ref().map(|open| &open.value).fmt(f)
    }
}

impl<T: Send + 'static> Deref for Held<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self
            .value
            .as_ref()
            .expect("only `close`, `release` and `drop` take the value, and all consume the owner")
            .value
    }
}

impl<T: Send + 'static> DerefMut for Held<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self
            .value
            .as_mut()
            .expect("only `close`, `release` and `drop` take the value, and all consume the owner")
            .value
    }
}

impl Scope {
    /// Opens something that must be closed by an explicit act, and records it in the same poll
    /// that completes the opening: no cancellation can come between.
    ///
    /// `kind` is how reports name it ("connection", "file"). `close` runs exactly once, whoever
    /// begins it; its error or panic makes the exit status 81, so return `Ok` where a failure to
    /// close is normal (a peer that has gone). Where `acquire` borrows a temporary, as the builder of
    /// `OpenOptions` does, wrap it in `async move { … }`.
    ///
    /// # Errors
    ///
    /// The error of `acquire`; or [`ScopeClosed`] where the scope has begun to close its resources
    /// meanwhile: then what was acquired is closed at once.
    ///
    /// # Cancel safety
    ///
    /// As cancel safe as `acquire`: dropped before it completes, nothing is open.
    #[track_caller]
    pub fn open<K, T, E, A, C, Fut>(
        &self,
        kind: K,
        acquire: A,
        close: C,
    ) -> impl Future<Output = Result<Held<T>>> + Send + use<K, T, E, A, C, Fut>
    where
        K: Into<Name>,
        T: Send + 'static,
        E: Into<BoxError>,
        A: Future<Output = Result<T, E>> + Send,
        C: FnOnce(T) -> Fut + Send + 'static,
        Fut: Future<Output = Result> + Send + 'static,
    {
        self.clone().open_at(kind.into(), Location::caller(), acquire, close)
    }

    async fn open_at<T, E, A, C, Fut>(
        self,
        kind: Name,
        site: &'static Location<'static>,
        acquire: A,
        close: C,
    ) -> Result<Held<T>>
    where
        T: Send + 'static,
        E: Into<BoxError>,
        A: Future<Output = Result<T, E>> + Send,
        C: FnOnce(T) -> Fut + Send + 'static,
        Fut: Future<Output = Result> + Send + 'static,
    {
        let inner = self.inner;
        let closed = |kind: &Name| ScopeClosed { kind: kind.clone(), scope: inner.name.clone() };
        if inner.phase() >= Phase::Closing {
            return Err(closed(&kind).into());
        }
        if let Some(error) = inner.shared.probe.get().and_then(|probe| probe.open(&kind)) {
            return Err(error);
        }
        let value = acquire.await.map_err(Into::into)?;
        // No await from here to the end of the recording.
        let open = Open { value, close: Mutex::new(Box::new(move |value| Box::pin(close(value)))) };
        match inner.record(kind.clone(), site, Inner::owner_now(&inner)) {
            Some(key) => Ok(Held { value: Some(open), inner, key }),
            None => {
                let error = closed(&kind);
                open.close().await?;
                Err(error.into())
            }
        }
    }
}

impl Inner {
    /// A task owns what it opens in its own scope; all else belongs to the scope.
    fn owner_now(inner: &Self) -> Owner {
        match current() {
            Some(task) if task.scope == inner.id && task.kind.counted() => Owner::Task(inner.task_name(task.slot)),
            _ => Owner::Scope,
        }
    }

    fn record(&self, kind: Name, site: &'static Location<'static>, owner: Owner) -> Option<usize> {
        let (opened, serial) = (self.shared.now(), next_number());
        let mut local = lock(&self.local);
        if self.phase() >= Phase::Closing {
            return None;
        }
        Some(local.ledger.insert(Resource { kind, site, opened, owner, serial, place: Place::Held }))
    }

    /// A `Held` was dropped with its value: closes it now if its task forgot it or the component is
    /// closing already, else later. `begun` is for the rest of a closing act: that was not forgotten.
    fn take_back(self: &Arc<Self>, key: usize, act: Act, begun: bool) {
        let mut local = lock(&self.local);
        let Some(resource) = local.ledger.open.get(key) else { return };
        if local.dissolved {
            drop(local);
            return drop(act); // Nobody is left to run it; its destructors run without the lock.
        }
        let (phase, site) = (self.phase(), resource.site);
        let leak = match &resource.owner {
            Owner::Task(task) if phase < Phase::Cancelled && !begun => Some(Leak {
                kind: resource.kind.to_string(),
                task: task.to_string(),
                site: site.to_string(),
                age: self.shared.now().saturating_sub(resource.opened),
            }),
            _ => None,
        };
        local.ledger.put_back(key, act);
        drop(local);
        let leaked = leak.is_some();
        if let Some(leak) = leak {
            note_drop(self, leak);
        }
        let at_once = leaked || begun && phase < Phase::Cancelled;
        if at_once || phase >= Phase::Closing {
            let inner = Arc::clone(self);
            let sweep = async move {
                inner.close_one(key).await;
                Ok(())
            };
            // A sweep is refused only once closing has begun, and then closing finds it.
            let kind = if at_once { Kind::Sweep } else { Kind::Step };
            let _ = self.run(Name::Borrowed("sweep"), kind, true, site, sweep);
        }
    }

    pub(crate) fn note_leak(&self, leak: Leak) {
        {
            let ledger = &mut lock(&self.local).ledger;
            ledger.leaked += 1;
            if ledger.leaks.len() < MOST_LEAKS {
                ledger.leaks.push(leak.clone());
            }
        }
        self.shared.tell(&Event::Leaked { component: self.name.clone(), leak, at: self.shared.now() });
    }

    /// Runs the closing act of one resource, if nobody has begun it.
    async fn close_one(self: &Arc<Self>, key: usize) {
        let Some(act) = lock(&self.local).ledger.begin(key) else { return };
        let _ = Driving::new(Arc::clone(self), key, act).await;
    }

    fn closed(&self, key: usize, result: &Result<Result, String>) {
        let (how, outcome, message) = match result {
            Ok(Ok(())) => (Closed::Clean, None, String::new()),
            Ok(Err(error)) => (Closed::Failed, Some(Outcome::Failed), chain(error.as_ref())),
            Err(panic) => (Closed::Failed, Some(Outcome::Panicked), panic.clone()),
        };
        let mut local = lock(&self.local);
        let Some(resource) = local.ledger.open.get(key) else { return };
        let (kind, site) = (resource.kind.clone(), resource.site);
        local.ledger.remove(key, how);
        drop(local);
        if let Some(outcome) = outcome {
            self.shared.note_failure(Failure {
                component: self.name.clone(),
                task: Some(format!("close {kind}")),
                site: Some(site.to_string()),
                outcome,
                message,
                at: self.shared.now(),
            });
        }
    }

    /// Closes everything of this scope and those nested in it, youngest first, until `limit`.
    /// Each act has an equal share of the time that is left; one that overruns goes on beside
    /// the next ones, each in a task of its own.
    pub(crate) async fn close_all(self: Arc<Self>, limit: Time) {
        let family = self.family();
        loop {
            let waiting: Vec<(usize, Option<u64>)> = family.iter().map(|s| lock(&s.local).ledger.waiting()).collect();
            let left = u32::try_from(waiting.iter().map(|(n, _)| n).sum::<usize>()).unwrap_or(u32::MAX);
            let youngest = waiting.iter().enumerate().filter_map(|(at, (_, serial))| Some(((*serial)?, at))).max();
            let Some((serial, at)) = youngest else { return };
            let scope = &family[at];
            let Some(Waiting { key, act, name, site }) = lock(&scope.local).ledger.take_act(serial) else { continue };
            let now = self.shared.now();
            let share = limit.saturating_sub(now) / left.max(1);
            let driving = Driving::new(Arc::clone(scope), key, act);
            let closing = async move {
                let _ = driving.await;
                Ok(())
            };
            if let Ok(task) = self.run(name, Kind::Step, true, site, closing) {
                let _ = tokio::time::timeout_at(self.shared.instant(now + share), task).await;
            }
        }
    }
}

/// A closing act that waits for its turn.
struct Waiting {
    key: usize,
    act: Act,
    name: Name,
    site: &'static Location<'static>,
}

/// A closing act in progress. Dropped unfinished, it goes back to the ledger to be finished.
struct Driving {
    future: Option<BoxFuture<Result<Result, String>>>,
    inner: Arc<Inner>,
    key: usize,
}

impl Driving {
    fn new(inner: Arc<Inner>, key: usize, act: Act) -> Self {
        let probed = inner.shared.probe.get().and_then(|probe| {
            let local = lock(&inner.local);
            Some(probe.close(&local.ledger.open.get(key)?.kind))
        });
        let act = async move {
            let (delay, error) = probed.unwrap_or_default();
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            act().await.and(error.map_or(Ok(()), Err))
        };
        Self { future: Some(Box::pin(catch_panic(act))), inner, key }
    }
}

impl Future for Driving {
    type Output = Result<Result, String>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(future) = self.future.as_mut() else { return Poll::Pending };
        match future.as_mut().poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(result) => {
                self.future = None;
                self.inner.closed(self.key, &result);
                Poll::Ready(result)
            }
        }
    }
}

impl Drop for Driving {
    fn drop(&mut self) {
        let Some(rest) = self.future.take() else { return };
        let act: Act = Box::new(move || {
            Box::pin(async move { rest.await.unwrap_or_else(|panic| Err(format!("panicked: {panic}").into())) })
        });
        let over = {
            let local = lock(&self.inner.local);
            local.dissolved
                || local.ledger.over
                || self
                    .inner
                    .limit()
                    .is_some_and(|limit| self.inner.phase() >= Phase::Closing && self.inner.shared.now() >= limit)
        };
        if !over {
            self.inner.take_back(self.key, act, true);
        }
    }
}

impl<T: Send + 'static> Held<T> {
    /// Closes it now.
    ///
    /// # Errors
    ///
    /// The error of its closing act, also noted in the report; its panic, as text.
    ///
    /// # Cancel safety
    ///
    /// Dropping the call leaves the rest of the closing act to the ledger.
    pub async fn close(mut self) -> Result {
        let Some(open) = self.value.take() else { return Ok(()) };
        if let Some(resource) = lock(&self.inner.local).ledger.open.get_mut(self.key) {
            resource.place = Place::Closing;
        }
        let act: Act = Box::new(move || open.close());
        let result = Driving::new(Arc::clone(&self.inner), self.key, act).await;
        result.unwrap_or_else(|panic| Err(format!("closing panicked: {panic}").into()))
    }

    /// Gives the value away, and with it the duty to close it. The report counts it as released.
    pub fn release(mut self) -> T {
        let open =
            self.value.take().expect("only `close`, `release` and `drop` take the value, and all consume the owner");
        lock(&self.inner.local).ledger.remove(self.key, Closed::Released);
        open.value
    }

    /// Hands it on to a scope, which closes it at its end: no task has to any more.
    ///
    /// # Errors
    ///
    /// The resource itself, unchanged, where that scope has begun to close its resources.
    pub fn hand_on(mut self, to: &Scope) -> Result<Self, Self> {
        if Arc::ptr_eq(&self.inner, &to.inner) {
            if let Some(resource) = lock(&self.inner.local).ledger.open.get_mut(self.key) {
                resource.owner = Owner::Scope;
            }
            return Ok(self);
        }
        let Some((kind, site)) =
            lock(&self.inner.local).ledger.open.get(self.key).map(|resource| (resource.kind.clone(), resource.site))
        else {
            return Err(self);
        };
        let Some(key) = to.inner.record(kind, site, Owner::Scope) else { return Err(self) };
        lock(&self.inner.local).ledger.remove(self.key, Closed::Released);
        (self.inner, self.key) = (Arc::clone(&to.inner), key);
        Ok(self)
    }

    /// Shares it; it goes back to the ledger when the last of the shares is dropped.
    pub fn shared(self) -> Arc<Self> {
        Arc::new(self)
    }
}

impl<T: Send + 'static> Drop for Held<T> {
    fn drop(&mut self) {
        if let Some(open) = self.value.take() {
            self.inner.take_back(self.key, Box::new(move || open.close()), false);
        }
    }
}
