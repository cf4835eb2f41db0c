//! Events: what happens, as data, told to whoever observes. All other outputs are made from them.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, Weak, atomic::Ordering},
    time::Duration,
};

use tokio::sync::Notify;

use crate::{
    inner::Inner,
    machine::{Level, Reason, ServiceState, State, Time},
    report::{Failure, Leak, Loss, Report, Saved, TaskGroup},
    shared::{Shared, lock},
};

/// Events that one reader may leave unread: some minutes of a service in trouble, a few hundred kilobytes.
const MOST_UNREAD: usize = 1024;

/// One thing that happened, as data. Times are counted from the making of the service.
///
/// All other outputs are made from these.
///
#[doc = include_str!("trace.md")]
///
#[doc = include_str!("metrics.md")]
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The service has moved on.
    Service {
        /// Where it is now.
        state: ServiceState,
        /// When.
        at: Duration,
    },
    /// A component has moved on.
    State {
        /// Its name.
        component: String,
        /// Where it is now.
        state: State,
        /// When.
        at: Duration,
    },
    /// A signal has arrived; only under [`main`](crate::main).
    Signal {
        /// Its number.
        number: i32,
        /// What it did: `stop`, `hurry`, `abandon` or `nothing`.
        effect: &'static str,
        /// When.
        at: Duration,
    },
    /// The stop has begun.
    Stopping {
        /// Why.
        reason: Reason,
        /// When.
        at: Duration,
    },
    /// The level has risen.
    Level {
        /// The new level.
        level: Level,
        /// When.
        at: Duration,
    },
    /// Something returned an error or panicked, and the service takes it as its failure. Where a policy
    /// or a nested scope takes it, there is no event.
    Failed(Failure),
    /// A supervised task has failed and will be run again after a pause, unless a stop comes first.
    Restarting {
        /// The component, with nested scopes after slashes.
        component: String,
        /// The task.
        task: String,
        /// Its error and the causes, or the panic's text.
        message: String,
        /// How long until it is run again.
        pause: Duration,
        /// When.
        at: Duration,
    },
    /// A task has left open what it opened.
    Leaked {
        /// The component, with nested scopes after slashes.
        component: String,
        /// What, by whom, and where it was opened.
        leak: Leak,
        /// When.
        at: Duration,
    },
    /// Tasks were still there when their time was over. Told when the step is over that they held up, a
    /// row per name, spawn site and outcome.
    Straggler {
        /// The component, with nested scopes after slashes.
        component: String,
        /// Which tasks and how many: [aborted](crate::Outcome::Aborted), [stuck](crate::Outcome::Stuck),
        /// or still running when the service was abandoned.
        tasks: TaskGroup,
        /// When.
        at: Duration,
    },
    /// An `on_stop` has ended, or was cut. One whose turn never came is told as [`Lost`](Self::Lost).
    Saved {
        /// The component, with nested scopes after slashes.
        component: String,
        /// How it went.
        saved: Saved,
        /// When.
        at: Duration,
    },
    /// Something is lost: declared by the program, or found at the end. The counts add up to those of
    /// the report.
    Lost {
        /// What, how many and why.
        loss: Loss,
        /// When.
        at: Duration,
    },
    /// A component has something to say to whoever watches; see [`Scope::say`](crate::Scope::say) and
    /// [`Handle::say`](crate::Handle::say).
    Said {
        /// The component, with nested scopes after slashes; of a handle, the service.
        component: String,
        /// What.
        text: String,
        /// When.
        at: Duration,
    },
    /// The service has stopped, and this is its report: the last event. What the hooks
    /// [after the stop](crate::Service::after_stop) add is not in it.
    Stopped {
        /// Everything, with the exit status.
        report: Arc<Report>,
        /// When.
        at: Duration,
    },
}

impl Event {
    /// When it happened, counted from the making of the service. Events are told in the order in which
    /// they were noticed; those of different threads may be some microseconds out of order.
    pub fn at(&self) -> Duration {
        match self {
            Self::Failed(failure) => failure.at,
            Self::Service { at, .. }
            | Self::State { at, .. }
            | Self::Signal { at, .. }
            | Self::Stopping { at, .. }
            | Self::Level { at, .. }
            | Self::Restarting { at, .. }
            | Self::Leaked { at, .. }
            | Self::Straggler { at, .. }
            | Self::Saved { at, .. }
            | Self::Lost { at, .. }
            | Self::Said { at, .. }
            | Self::Stopped { at, .. } => *at,
        }
    }
}

/// The events of a service; see [`Handle::events`](crate::Handle::events).
#[derive(Debug)]
pub struct Events {
    queue: Arc<Queue>,
}

impl Events {
    /// The next event; `None` after the end of the run.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no event is lost.
    pub async fn next(&mut self) -> Option<Event> {
        self.queue.next().await
    }

    /// How many events were dropped unread because 1,024 newer ones were waiting.
    pub fn missed(&self) -> u64 {
        self.queue.missed()
    }
}

/// What one reader has not read yet.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    unread: Mutex<Unread>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Unread {
    events: VecDeque<Event>,
    missed: u64,
    over: bool,
}

impl Queue {
    fn push(&self, event: &Event) {
        let event = event.clone();
        let oldest = {
            let mut unread = lock(&self.unread);
            let full = unread.events.len() >= MOST_UNREAD;
            unread.missed += u64::from(full);
            let oldest = if full { unread.events.pop_front() } else { None };
            unread.events.push_back(event);
            oldest
        };
        drop(oldest);
        self.changed.notify_one();
    }

    /// Nothing follows what is waiting.
    pub(crate) fn finish(&self) {
        lock(&self.unread).over = true;
        self.changed.notify_one();
    }

    pub(crate) fn missed(&self) -> u64 {
        lock(&self.unread).missed
    }

    #[cfg(any(feature = "metrics", feature = "tracing"))]
    pub(crate) fn try_next(&self) -> Option<Event> {
        lock(&self.unread).events.pop_front()
    }

    pub(crate) async fn next(&self) -> Option<Event> {
        loop {
            let changed = self.changed.notified();
            {
                let mut unread = lock(&self.unread);
                let next = unread.events.pop_front();
                if next.is_some() || unread.over {
                    return next;
                }
            }
            changed.await;
        }
    }
}

type Call = Box<dyn Fn(&Event) + Send + Sync>;

enum Observer {
    Reader(Weak<Queue>),
    /// Only ever a closure of this library that neither waits nor runs anything of the user's.
    Own(Call),
}

/// Who is told.
#[derive(Default)]
pub(crate) struct Observers {
    list: Vec<Arc<Observer>>,
    over: bool,
}

impl Observers {
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    pub(crate) fn of(reader: &Arc<Queue>) -> Self {
        Self { list: vec![Arc::new(Observer::Reader(Arc::downgrade(reader)))], over: false }
    }

    fn add(&mut self, observer: Observer) {
        let reads = |observer: &Arc<Observer>| match &**observer {
            Observer::Reader(queue) => queue.strong_count() > 0,
            Observer::Own(_) => true,
        };
        self.list.retain(reads);
        self.list.push(Arc::new(observer));
    }
}

impl Shared {
    /// Calls `observer` with every event from now on, on whatever thread it happens: it must neither
    /// wait nor run anything of the user's.
    pub(crate) fn observe(&self, observer: impl Fn(&Event) + Send + Sync + 'static) {
        lock(&self.observers).add(Observer::Own(Box::new(observer)));
    }

    pub(crate) fn read_events(&self) -> Events {
        let queue = Arc::new(Queue::default());
        let mut observers = lock(&self.observers);
        if observers.over {
            queue.finish();
        } else {
            observers.add(Observer::Reader(Arc::downgrade(&queue)));
        }
        Events { queue }
    }

    /// The run has ended: nothing is told any more.
    pub(crate) fn forget_observers(&self) {
        let list = {
            let mut observers = lock(&self.observers);
            observers.over = true;
            std::mem::take(&mut observers.list)
        };
        for observer in list {
            if let Observer::Reader(queue) = &*observer
                && let Some(queue) = queue.upgrade()
            {
                queue.finish();
            }
        }
    }

    /// Tells who observes. The lock is not held meanwhile: to wake a reader is to run its executor's code.
    pub(crate) fn tell(&self, event: &Event) {
        let observers = lock(&self.observers).list.clone();
        for observer in observers {
            match &*observer {
                Observer::Own(call) => call(event),
                Observer::Reader(queue) => {
                    if let Some(queue) = queue.upgrade() {
                        queue.push(event);
                    }
                }
            }
        }
    }

    /// Tells of the tasks of a scope that were given up since the last time.
    pub(crate) fn tell_stragglers(&self, scope: &Inner, at: Time) {
        for tasks in scope.take_stragglers() {
            self.tell(&Event::Straggler { component: scope.name.clone(), tasks, at });
        }
    }

    /// Tells of the end, once: what is still there, what is lost, and the report.
    pub(crate) fn tell_end(&self, report: &Report) {
        if self.end_told.swap(true, Ordering::AcqRel) {
            return;
        }
        let at = self.now();
        let scopes = lock(&self.record).scopes.clone();
        for scope in scopes {
            self.tell_stragglers(&scope, at);
        }
        for component in &report.components {
            for tasks in component.tasks.iter().filter(|tasks| tasks.outcome.is_none()) {
                self.tell(&Event::Straggler { component: component.name.clone(), tasks: tasks.clone(), at });
            }
        }
        for loss in self.untold_losses(&report.losses) {
            self.tell(&Event::Lost { loss, at });
        }
        self.tell(&Event::Service { state: ServiceState::Stopped, at });
        self.tell(&Event::Stopped { report: Arc::new(report.clone()), at });
    }

    /// What was lost and has not been told when it was declared.
    fn untold_losses(&self, losses: &[Loss]) -> Vec<Loss> {
        let accounts = lock(&self.accounts);
        let untold = |loss: &Loss| {
            let account = accounts.get(loss.what.as_str()).filter(|_| !loss.is_of_a_save());
            let told = account.map_or(0, |account| account.lost);
            let why = if told > 0 { "accepted and never settled" } else { loss.why };
            (loss.count > told).then(|| Loss { what: loss.what.clone(), count: loss.count - told, why })
        };
        losses.iter().filter_map(untold).collect()
    }
}

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;
