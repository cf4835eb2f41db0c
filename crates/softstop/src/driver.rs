//! The thin async shell around the machine: carries its actions out and brings it what happened.

use std::{
    collections::VecDeque,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::{Arc, atomic::Ordering},
    task::Poll,
    time::Duration,
};

use tokio::{sync::mpsc::UnboundedReceiver, time::Sleep};

use crate::{
    error::{BoxError, Stopping, chain},
    events::Event as Told,
    hooks::Hooks,
    inner::{Inner, Phase},
    machine::{Action, Event, Level, Machine, Reason, ServiceState, State},
    outlet::{Outlet, PuttingOut},
    plan::Plan,
    report::{ComponentRecord, Failure, Report},
    scope::Scope,
    service::{Site, Start, Value},
    shared::{Shared, lock, nanos},
    steps,
    task::{Kind, Name, Outcome, catch_panic, panic_text},
};

/// What the driver is told from other tasks and threads.
pub(crate) enum Message {
    /// A start function has ended: with what it produced, an error, or the text of a panic.
    Started(usize, Result<Result<Value, BoxError>, String>),
    /// A task has failed by its policy.
    Failed(usize, Failure),
    /// Tasks of this component have ended: its step may be over.
    Progress(usize),
    /// Somebody asks for a stop.
    Stop(Reason),
    /// Somebody shortens the waiting.
    Hurry,
    /// The plain thread says that time has passed.
    Tick,
}

/// One run of one service.
pub(crate) struct Driver {
    shared: Arc<Shared>,
    machine: Machine,
    plan: Plan,
    /// What each start function takes, in its order.
    handles: Vec<Vec<usize>>,
    starts: Vec<Option<Start>>,
    scopes: Vec<Arc<Inner>>,
    values: Vec<Option<Value>>,
    /// How many components have not received each value yet.
    takers: Vec<usize>,
    queue: VecDeque<Event>,
    told: Option<ServiceState>,
    hooks: Hooks,
}

/// Ends whatever is left when the run ends or is dropped, and lets the parts go of one another.
struct Dissolve(Arc<Shared>);

impl Drop for Dissolve {
    fn drop(&mut self) {
        let reason = Reason::Requested("the end of the run".into());
        // A panic in here would abort a process that is unwinding already.
        let made = lock(&self.0.record).last.is_some();
        let report = if made { None } else { catch_unwind(AssertUnwindSafe(|| self.0.report())).ok() };
        let scopes = {
            let mut record = lock(&self.0.record);
            record.last = record.last.take().or(report);
            std::mem::take(&mut record.scopes)
        };
        let hooks = std::mem::take(&mut *lock(&self.0.emergency));
        drop(hooks);
        for scope in scopes {
            scope.dissolve(&reason);
        }
    }
}

enum Wake {
    Message(Message),
    Stop(Reason),
    Tick,
}

impl Driver {
    pub(crate) fn new(
        shared: Arc<Shared>,
        plan: Plan,
        handles: Vec<Vec<usize>>,
        starts: Vec<Start>,
        sites: &[Site],
        hooks: Hooks,
    ) -> Self {
        let count = plan.nodes.len();
        let scope = |at: usize| Inner::new(plan.nodes[at].name.clone(), at, sites[at], Arc::clone(&shared), None);
        let scopes: Vec<Arc<Inner>> = (0..count).map(scope).collect();
        let takers = (0..count).map(|at| handles.iter().filter(|of| of.contains(&at)).count()).collect();
        for (scope, node) in scopes.iter().zip(&plan.nodes) {
            if node.main_job {
                scope.watch();
            }
        }
        shared.set_components(count);
        shared.total.store(nanos(plan.total), Ordering::Release);
        let mut record = lock(&shared.record);
        record.names = plan.nodes.iter().map(|node| node.name.clone()).collect();
        record.needs = plan.nodes.iter().map(|node| node.needs.clone()).collect();
        record.components = vec![ComponentRecord::default(); count];
        record.states = vec![State::Waiting; count];
        record.scopes.clone_from(&scopes);
        drop(record);
        Self {
            machine: Machine::new(&plan.nodes, plan.total),
            shared,
            plan,
            handles,
            starts: starts.into_iter().map(Some).collect(),
            scopes,
            values: vec![None; count],
            takers,
            queue: VecDeque::new(),
            told: None,
            hooks,
        }
    }

    /// Runs to the end. With `leaves` the plain thread ends the process when the service is
    /// abandoned, and this never returns then.
    pub(crate) async fn run(
        mut self,
        mut messages: UnboundedReceiver<Message>,
        stop: impl Future<Output = Reason>,
        leaves: bool,
    ) -> Report {
        let _dissolve = Dissolve(Arc::clone(&self.shared));
        let putting_out = Outlet::start(&self.shared);
        let mut stop = pin!(stop);
        let mut asked = false;
        let mut sleep = pin!(tokio::time::sleep_until(self.shared.origin));
        // Who asked for a stop while the graph was being described wants nothing started.
        while let Ok(message) = messages.try_recv() {
            self.take(message);
        }
        self.queue.push_back(Event::Begin);
        loop {
            self.work();
            if self.machine.done() {
                break;
            }
            let next = self.machine.next_tick();
            if leaves {
                self.shared.set_alarm(next);
                self.shared.set_starting_until(self.machine.starting_until());
            }
            let tick = next.map(|at| self.shared.instant(at));
            if let Some(at) = tick
                && sleep.deadline() != at
            {
                sleep.as_mut().reset(at);
            }
            let stop = if asked { None } else { Some(stop.as_mut()) };
            match wait(&mut messages, stop, tick.map(|_| sleep.as_mut())).await {
                Wake::Message(message @ (Message::Stop(_) | Message::Failed(..))) => {
                    self.take_beginning(message, &mut messages);
                }
                Wake::Message(message) => self.take(message),
                Wake::Stop(reason) => {
                    asked = true;
                    self.take_beginning(Message::Stop(reason), &mut messages);
                }
                Wake::Tick => self.queue.push_back(Event::Tick),
            }
        }
        // The last steps may have gone by without a look at the messages: no failure is lost for that.
        while let Ok(message) = messages.try_recv() {
            self.take(message);
        }
        self.finish(putting_out, leaves).await
    }

    /// Takes a message that may begin the stop. A start that had returned before is ready, although
    /// nobody has looked: its component drains like any other. Nothing is started for it any more.
    fn take_beginning(&mut self, message: Message, messages: &mut UnboundedReceiver<Message>) {
        let mut later = Vec::new();
        while let Ok(message) = messages.try_recv() {
            match message {
                Message::Started(c, Ok(Ok(value))) if self.machine.state(c) == State::Starting => {
                    self.drop_value(c, value);
                    self.ready(c);
                    self.queue.push_back(Event::Returned(c));
                }
                message => later.push(message),
            }
        }
        self.take(message);
        later.into_iter().for_each(|message| self.take(message));
    }

    async fn finish(mut self, putting_out: PuttingOut, leaves: bool) -> Report {
        let abandoned = self.machine.level() == Level::Abandon;
        {
            let mut record = lock(&self.shared.record);
            record.ended = Some(self.shared.now());
            record.overrun |= abandoned;
        }
        if abandoned && leaves {
            // The plain thread has the same deadline and ends the process.
            std::future::pending::<()>().await;
        }
        let mut report = self.shared.report();
        let emergency = std::mem::take(&mut *lock(&self.shared.emergency));
        if abandoned {
            crate::emergency::run_in_runtime(emergency).await;
        } else {
            drop(emergency); // Everything is safe, also should the total be over before the hooks below are.
        }
        self.shared.tell_end(&report);
        let left = self.machine.end().filter(|_| leaves).map(|end| end.saturating_sub(self.shared.now()));
        self.shared.outlet.finish(putting_out, left.unwrap_or(Duration::MAX)).await;
        self.hooks.run_after(&mut report);
        lock(&self.shared.record).last = Some(report.clone());
        report
    }

    /// Handles all events that wait, and those that follow from them.
    fn work(&mut self) {
        while let Some(event) = self.queue.pop_front() {
            // The plain thread counts the total from the signal, however late it is handled here.
            let begun = matches!(event, Event::Stop(_)).then(|| self.shared.begun()).flatten();
            let now = begun.unwrap_or_else(|| self.shared.now());
            let mut actions = self.machine.handle(event, now);
            // A component that fails may be cancelled ahead of its turn: who is to be called before that is.
            actions.sort_by_key(|action| !matches!(action, Action::Stopping(_)));
            for action in actions {
                self.note(&action);
                self.act(action);
            }
            let state = self.machine.service_state();
            if self.told != Some(state) && state != ServiceState::Stopped {
                self.told = Some(state);
                self.shared.tell(&Told::Service { state, at: now });
            }
        }
    }

    fn take(&mut self, message: Message) {
        let event = match message {
            Message::Stop(reason) => Event::Stop(reason),
            Message::Hurry => Event::Hurry,
            Message::Tick => Event::Tick,
            Message::Failed(c, failure) => {
                let reason = self.reason_of(c, failure.outcome);
                self.shared.note_failure(failure);
                Event::Failed(c, reason)
            }
            Message::Started(c, result) => match self.started(c, result) {
                Some(event) => event,
                None => return,
            },
            Message::Progress(c) => match self.progress(c) {
                Some(event) => event,
                None => return,
            },
        };
        self.queue.push_back(event);
    }

    fn progress(&mut self, c: usize) -> Option<Event> {
        let state = self.machine.state(c);
        if state == State::Running && self.plan.nodes[c].main_job && self.machine.begun().is_none() {
            let name = self.plan.nodes[c].name.as_str().into();
            return (self.scopes[c].live() == 0).then_some(Event::Stop(Reason::Finished(name)));
        }
        steps::answer(&self.scopes[c], c, state)
    }

    fn ready(&self, c: usize) -> Event {
        let at = self.shared.now();
        let mut record = lock(&self.shared.record);
        record.components[c].ready = Some(at);
        record.states[c] = State::Running;
        let component = record.names[c].clone();
        drop(record);
        self.shared.tell(&Told::State { component, state: State::Running, at });
        Event::Ready(c)
    }

    fn started(&mut self, c: usize, result: Result<Result<Value, BoxError>, String>) -> Option<Event> {
        let starting = self.machine.state(c) == State::Starting;
        let (outcome, message, stopping) = match result {
            Ok(Ok(value)) if starting && self.takers[c] > 0 => {
                self.values[c] = Some(value);
                return Some(self.ready(c));
            }
            Ok(Ok(value)) => {
                self.drop_value(c, value);
                return starting.then(|| self.ready(c));
            }
            Ok(Err(error)) => (Outcome::Failed, chain(error.as_ref()), Stopping::is_in(error.as_ref())),
            Err(panic) => (Outcome::Panicked, panic, false),
        };
        let component = self.plan.nodes[c].name.clone();
        if starting {
            self.start_failed(c, outcome, message);
            return Some(Event::StartFailed(c, self.reason_of(c, outcome)));
        }
        if !stopping {
            let mut record = lock(&self.shared.record);
            record.notes.push(format!("the start of {component}, already cancelled, {outcome}: {message}"));
        }
        None
    }

    fn start_failed(&self, c: usize, outcome: Outcome, message: String) {
        let (component, at) = (self.plan.nodes[c].name.clone(), self.shared.now());
        lock(&self.shared.record).start_failed = true;
        self.shared.note_failure(Failure { component, task: None, site: None, outcome, message, at });
    }

    fn reason_of(&self, c: usize, outcome: Outcome) -> Reason {
        let name = self.plan.nodes[c].name.as_str().into();
        if outcome == Outcome::Panicked { Reason::Panicked(name) } else { Reason::Failed(name) }
    }

    /// Writes down what is about to be done, and tells who observes.
    fn note(&self, action: &Action) {
        let at = self.shared.now();
        if let Action::Save(c) | Action::Close(c) | Action::Stopped(c) = *action {
            self.shared.tell_stragglers(&self.scopes[c], at);
        }
        let mut record = lock(&self.shared.record);
        let told = match *action {
            Action::Start(c) => {
                record.components[c].started = Some(at);
                Some((c, State::Starting))
            }
            Action::Unready(c) | Action::Drain(c) => Some((c, State::Draining)),
            Action::Cancel(c) if self.machine.state(c) == State::Cancelling => Some((c, State::Cancelling)),
            Action::Save(c) => Some((c, State::Saving)),
            Action::Close(c) => Some((c, State::Closing)),
            Action::Stopped(c) => {
                record.components[c].stopped = Some(at);
                let waiting = |w: &usize| record.components[*w].stopped.is_none();
                let needs: Vec<usize> = self.plan.nodes[c].needs.iter().copied().filter(waiting).collect();
                needs.into_iter().for_each(|n| record.components[n].waited_for = Some(c));
                Some((c, State::Stopped))
            }
            Action::Level(level) => {
                record.levels.push((level, at));
                None
            }
            Action::CutStart(c) => {
                drop(record);
                let limit = self.plan.nodes[c].start.unwrap_or_default();
                return self.start_failed(c, Outcome::Aborted, format!("not ready within its limit of {limit:?}"));
            }
            _ => None,
        };
        let Some((c, state)) = told.filter(|(c, state)| record.states[*c] != *state) else { return };
        record.states[c] = state;
        if state > State::Running {
            let component = &mut record.components[c];
            component.asked.get_or_insert(at);
            if state != State::Stopped {
                component.steps.push((state, at, self.machine.limit(c)));
            }
        }
        let component = record.names[c].clone();
        drop(record);
        self.shared.tell(&Told::State { component, state, at });
    }

    fn act(&mut self, action: Action) {
        let now = self.shared.now();
        match action {
            Action::Start(c) => self.start(c),
            Action::Running => self.shared.readiness.ready(),
            Action::Stopping(reason) => {
                let _ = self.shared.reason.set(reason.clone());
                self.shared.set_begun(self.machine.begun().unwrap_or(now));
                self.shared.readiness.over();
                self.shared.tell(&Told::Stopping { reason: reason.clone(), at: now });
                self.hooks.run_before(&self.shared, &reason);
                // Nobody will receive what was produced any more.
                for c in 0..self.values.len() {
                    self.give_up_value(c);
                }
                self.note_never_started();
            }
            Action::Level(level) => {
                self.shared.raise_level(level);
                self.shared.tell(&Told::Level { level, at: now });
                self.renew_limits();
            }
            Action::Done => {}
            action => {
                let Some(c) = component_of(&action) else { return };
                let reason = self.shared.reason.get().cloned().unwrap_or(Reason::Requested("its failure".into()));
                let scope = &self.scopes[c];
                let limit = self.machine.limit(c);
                let answer = steps::carry_out(scope, &action, limit, self.machine.level(), &reason);
                self.queue.extend(answer);
            }
        }
    }

    fn note_never_started(&self) {
        let mut record = lock(&self.shared.record);
        for c in 0..record.states.len() {
            if self.machine.state(c) == State::Stopped {
                record.states[c] = State::Stopped;
            } else if record.states[c] == State::Starting && self.machine.state(c) == State::Running {
                record.states[c] = State::Running;
            }
        }
    }

    /// Hurry changes the ends of steps that have begun.
    fn renew_limits(&self) {
        for (c, scope) in self.scopes.iter().enumerate() {
            if self.machine.limit(c).is_some() && scope.phase() > Phase::Running {
                scope.set_limit(self.machine.limit(c));
            }
        }
    }

    fn start(&mut self, c: usize) {
        let Some(start) = self.starts[c].take() else { return };
        let mut given = Vec::with_capacity(self.handles[c].len());
        for &h in &self.handles[c] {
            given.extend(self.values[h].clone());
        }
        let mut from = self.handles[c].clone();
        from.sort_unstable();
        from.dedup();
        for h in from {
            self.takers[h] -= 1;
            if self.takers[h] == 0 {
                self.give_up_value(h);
            }
        }
        let (shared, scope) = (Arc::clone(&self.shared), Scope { inner: Arc::clone(&self.scopes[c]) });
        let starting = async move {
            let result = catch_panic(async move { start(scope, given).await }).await;
            shared.send(Message::Started(c, result));
            Ok(())
        };
        let site = self.scopes[c].site;
        // Refused only when the scope was told already, and then nobody waits for the start.
        let _ = self.scopes[c].run(Name::Borrowed("start"), Kind::Start, true, site, starting);
    }

    fn give_up_value(&mut self, c: usize) {
        if let Some(value) = self.values[c].take() {
            self.drop_value(c, value);
        }
    }

    /// Drops what `c` produced in a task of its scope: a destructor that hangs or panics is that
    /// component's trouble, not the driver's.
    fn drop_value(&self, c: usize, value: Value) {
        let scope = &self.scopes[c];
        let (inner, component) = (Arc::clone(scope), self.plan.nodes[c].name.clone());
        let dropping = async move {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
                inner.shared.note_failure(Failure {
                    component,
                    task: Some("dropping its product".to_owned()),
                    site: None,
                    outcome: Outcome::Panicked,
                    message: panic_text(&*panic),
                    at: inner.shared.now(),
                });
            }
            Ok(())
        };
        // Never refused: steps are admitted in every phase.
        let _ = scope.run(Name::Borrowed("dropping its product"), Kind::Step, true, scope.site, dropping);
    }
}

fn component_of(action: &Action) -> Option<usize> {
    Some(match *action {
        Action::Unready(c)
        | Action::Drain(c)
        | Action::Cancel(c)
        | Action::AbortIdle(c, _)
        | Action::Abort(c)
        | Action::Count(c)
        | Action::Stuck(c)
        | Action::Save(c)
        | Action::CutSave(c)
        | Action::Close(c)
        | Action::CutClose(c)
        | Action::CutStart(c) => c,
        _ => return None,
    })
}

async fn wait<S: Future<Output = Reason>>(
    messages: &mut UnboundedReceiver<Message>,
    mut stop: Option<Pin<&mut S>>,
    mut sleep: Option<Pin<&mut Sleep>>,
) -> Wake {
    poll_fn(|cx| {
        if let Poll::Ready(Some(message)) = messages.poll_recv(cx) {
            return Poll::Ready(Wake::Message(message));
        }
        if let Some(Poll::Ready(reason)) = stop.as_mut().map(|stop| stop.as_mut().poll(cx)) {
            return Poll::Ready(Wake::Stop(reason));
        }
        if let Some(Poll::Ready(())) = sleep.as_mut().map(|sleep| sleep.as_mut().poll(cx)) {
            return Poll::Ready(Wake::Tick);
        }
        Poll::Pending
    })
    .await
}
