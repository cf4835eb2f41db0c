//! Nested scopes: a part of a component with steps of its own, stopped early or with its parent.

use std::{ops::Deref, panic::Location, sync::Arc, time::Duration};

use crate::{
    machine::{Action, Event, Level, Machine, Reason},
    plan::{Budget, EXIT_RESERVE, Limits, Node, plan},
    report::{Failure, TaskGroup},
    scope::Scope,
    shared::lock,
    steps,
    task::{Name, Outcome},
};

/// A scope within a scope: for one connection, one job, one stage of a pipeline.
///
/// Its tasks are told together with its parent's, and those that use `draining` in it hold the
/// parent's drain; plain tasks do not. Stop it with [`stop`](Self::stop); dropped without, it lives
/// on as part of its parent until that stops.
#[derive(Debug)]
pub struct Nested {
    scope: Scope,
}

impl Deref for Nested {
    type Target = Scope;

    fn deref(&self) -> &Scope {
        &self.scope
    }
}

/// How a nested scope ended.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NestedEnd {
    /// How its tasks ended, a row per name, spawn site and outcome; may be empty.
    pub tasks: Vec<TaskGroup>,
    /// Failures that were taken here and not yet fetched by [`Nested::failed`].
    pub failures: Vec<Failure>,
    /// How long the stop took.
    pub took: Duration,
}

impl Scope {
    /// Makes a scope within this one. `name` stands in reports after the parent's and a slash.
    #[track_caller]
    pub fn nested(&self, name: impl Into<Name>) -> Nested {
        Nested { scope: Scope { inner: self.inner.add_child(&name.into(), Location::caller()) } }
    }
}

impl Nested {
    /// From now on failures of its tasks are kept here instead of stopping the service.
    #[must_use]
    pub fn take_failures(self) -> Self {
        lock(&self.scope.inner.local).failures.get_or_insert_with(Vec::new);
        self
    }

    /// Waits for the next failure of a task, where [`take_failures`](Self::take_failures) keeps
    /// them. Without it this never completes.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn failed(&self) -> Failure {
        loop {
            if let Some(failure) = self.scope.inner.next_failure() {
                return failure;
            }
            self.scope.inner.progress.notified().await;
        }
    }

    /// Stops it: drain, cancel, save, close, with limits of its own, capped by what its parent has
    /// left. It is no event of the service. Call it from a task of the parent: a task of the scope
    /// itself would wait for its own end.
    ///
    /// # Cancel safety
    ///
    /// Dropped before its end, the scope stays told and goes on stopping with its parent.
    pub async fn stop(self, limits: Limits) -> NestedEnd {
        let inner = Arc::clone(&self.scope.inner);
        let begun = inner.shared.now();
        let reason = inner.reason().unwrap_or_else(|| Reason::Requested(self.scope.name().into()));
        let mut machine = machine(limits, steps::left_for_nested(&inner));
        machine.handle(Event::Begin, begun);
        machine.handle(Event::Ready(0), begun);
        inner.watch();

        let mut events = vec![Event::Stop(reason.clone())];
        while !machine.done() {
            if events.is_empty() {
                let tick = machine.next_tick().map(|at| inner.shared.instant(at));
                let progress = inner.progress.notified();
                let timed_out = match tick {
                    Some(at) => tokio::time::timeout_at(at, progress).await.is_err(),
                    None => {
                        progress.await;
                        false
                    }
                };
                events.extend(steps::answer(&inner, 0, machine.state(0)));
                events.extend(timed_out.then_some(Event::Tick));
            }
            if inner.shared.level() >= Level::Hurry && machine.level() == Level::Graceful {
                events.push(Event::Hurry);
            }
            for event in std::mem::take(&mut events) {
                for action in machine.handle(event, inner.shared.now()) {
                    events.extend(match action {
                        Action::Done if machine.level() == Level::Abandon => {
                            inner.give_up(Outcome::Aborted);
                            None
                        }
                        // Whoever saves what is in here closes it as well.
                        Action::Close(_) if inner.is_saved_from_outside() => Some(Event::Closed(0)),
                        _ => steps::carry_out(&inner, &action, machine.limit(0), machine.level(), &reason),
                    });
                }
            }
        }
        let tasks = inner.groups();
        inner.shared.tell_stragglers(&inner, inner.shared.now());
        let failures = inner.remaining_failures();
        inner.leave_parent();
        NestedEnd { tasks, failures, took: inner.shared.now().saturating_sub(begun) }
    }
}

/// A machine for this scope alone. Limits that cannot fit what is left are cut to a share of it.
fn machine(limits: Limits, left: Duration) -> Machine {
    let total = left.saturating_add(EXIT_RESERVE).max(EXIT_RESERVE + Duration::from_millis(10));
    let budget = Budget { total, ..Budget::default() };
    let node = |limits| [Node { name: "nested".to_owned(), limits, ..Node::default() }];
    let cut = |limit: Option<Duration>, share: u32| limit.map(|limit| limit.min(left / share));
    let shrunk = Limits {
        start: None,
        drain: cut(limits.drain, 5),
        cancel: cut(limits.cancel, 5),
        save: cut(limits.save, 5),
        close: cut(limits.close, 5),
    };
    let planned = plan(&node(limits), &budget).or_else(|_| plan(&node(shrunk), &budget));
    match planned {
        Ok(plan) => Machine::new(&plan.nodes, total),
        // Too little is left for any promise: all steps at once, until the parent's own end.
        Err(_) => Machine::hurried_single(total),
    }
}
