//! The machine against whole services, on a virtual clock.
//!
//! [`Shell`] is the reference for the async one: it carries each action out on simulated work and
//! answers as `steps.rs` does. [`Checked`] holds what is true of every run of the machine.
//!
//! `SOFTSTOP_SIM_CASES` says how many services of each class are tried, `SOFTSTOP_SIM_SEED` which
//! one is the first.

use std::{
    collections::{BTreeMap, VecDeque},
    env,
    ops::Deref,
    thread,
};

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::plan::{self, Budget, Limits, Node, Plan};

const NEVER: Time = Time::MAX;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A machine that is looked at after each event.
pub(super) struct Checked {
    machine: Machine,
    /// How often each step of each component was ordered, and how far it has come.
    ordered: BTreeMap<(usize, u32), u32>,
    reached: Vec<u32>,
    /// `Running`, `Stopping`, `Done` and the levels, as they were told.
    told: Vec<Action>,
}

impl Deref for Checked {
    type Target = Machine;

    fn deref(&self) -> &Machine {
        &self.machine
    }
}

impl Checked {
    pub(super) fn new(plan: &[Planned], total: Duration) -> Self {
        let machine = Machine::new(plan, total);
        Self { machine, ordered: BTreeMap::new(), reached: vec![0; plan.len()], told: Vec::new() }
    }

    /// How often the step that this action orders was ordered.
    pub(super) fn count(&self, action: &Action) -> u32 {
        let Some((c, step, _)) = step_of(action) else { return 0 };
        self.ordered.get(&(c, step)).copied().unwrap_or_default()
    }

    fn states(&self) -> Vec<State> {
        self.machine.components.iter().map(|c| c.state).collect()
    }

    pub(super) fn handle(&mut self, event: Event, now: Time) -> Vec<Action> {
        let before = (self.states(), self.service_state(), self.level(), self.done());

        let actions = self.machine.handle(event.clone(), now);

        let after = self.states();
        for (c, (from, to)) in before.0.iter().zip(&after).enumerate() {
            assert!(from <= to, "{event:?} at {now:?}: {c} went back from {from} to {to}");
            let asked = *to > State::Running;
            let gone = |d: &usize| after[*d] == State::Stopped;
            let dependents = &self.machine.components[c].plan.dependents;
            assert!(!asked || dependents.iter().all(gone), "{event:?}: {c} was asked before its dependents had gone");
        }
        assert!(before.1 <= self.service_state(), "{event:?}: {:?} to {:?}", before.1, self.service_state());
        assert!(before.2 <= self.level());
        assert!(!before.3 || actions.is_empty(), "{event:?} after the end: {actions:?}");
        for action in &actions {
            self.check(action);
        }
        actions
    }

    fn check(&mut self, action: &Action) {
        let Some((c, step, most)) = step_of(action) else {
            assert!(!self.told.contains(action), "{action:?} twice");
            return self.told.push(action.clone());
        };
        // Tasks that are told together are cancelled once by the failure, once in their turn.
        let early = matches!(action, Action::Cancel(_)) && self.machine.components[c].cancelled_early;
        let most = if early { 2 } else { most };
        let times = self.ordered.entry((c, step)).or_default();
        *times += 1;
        assert!(*times <= most, "{action:?} {times} times");
        assert!(self.reached[c] <= step, "{action:?} after a later step");
        self.reached[c] = step;
    }
}

/// The component, the place of the step in a life, and how often it may be ordered.
fn step_of(action: &Action) -> Option<(usize, u32, u32)> {
    Some(match *action {
        Action::Start(c) => (c, 1, 1),
        Action::CutStart(c) => (c, 2, 1),
        Action::Unready(c) => (c, 3, 1),
        Action::Drain(c) => (c, 4, 1),
        Action::Cancel(c) => (c, 5, 1),
        Action::AbortIdle(c, _) => (c, 6, u32::MAX),
        Action::Abort(c) => (c, 7, 1),
        Action::Count(c) => (c, 8, u32::MAX),
        Action::Stuck(c) => (c, 9, 1),
        Action::Save(c) => (c, 10, 1),
        Action::CutSave(c) => (c, 11, 1),
        Action::Close(c) => (c, 12, 1),
        Action::CutClose(c) => (c, 13, 1),
        Action::Stopped(c) => (c, 14, 1),
        Action::Running | Action::Stopping(_) | Action::Level(_) | Action::Done => return None,
    })
}

/// What the work of one component does.
#[derive(Debug, Clone)]
struct Part {
    start: Time,
    start_fails: bool,
    /// From being cancelled until a start returns.
    start_returns: Time,
    tasks: Vec<Work>,
    save: Option<Time>,
    close: Time,
}

/// What one task does.
#[derive(Debug, Clone, Copy)]
struct Work {
    /// It uses `draining()`, and needs so long from there to its end.
    drain: Option<Time>,
    /// From being cancelled until it returns.
    returns: Time,
    /// From being aborted until its future is dropped.
    drops: Time,
    /// It is polled all the time.
    busy: bool,
    /// From its beginning until it fails.
    fails: Time,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Returns, saves and closes within what it was granted.
    WellBehaved,
    /// As before, but for one component.
    OneWrong,
    /// Anything.
    Hostile,
}

#[derive(Debug, Clone)]
struct Scenario {
    class: Class,
    total: Duration,
    plan: Plan,
    parts: Vec<Part>,
    signals: Vec<(Time, Event)>,
    /// The component that may do anything, in a service where only one may.
    wrong: Option<usize>,
    /// By how much the clock of the shell is late.
    late: Duration,
}

/// Numbers that decide a scenario; 0 is the simplest choice, so that it shrinks well.
struct Choices<'a>(&'a mut dyn Iterator<Item = u64>);

impl Choices<'_> {
    fn below(&mut self, bound: u64) -> u64 {
        self.0.next().unwrap_or_default() % bound
    }

    fn index(&mut self, bound: usize) -> usize {
        usize::try_from(self.below(bound as u64)).unwrap()
    }

    fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == many - 1
    }

    fn up_to(&mut self, most: Duration) -> Duration {
        ms(self.below(u64::try_from(most.as_millis()).unwrap() + 1))
    }

    fn sometimes(&mut self, many: u64, most: Duration) -> Option<Duration> {
        self.one_in(many).then(|| self.up_to(most))
    }

    /// Often around a limit, sometimes nothing, far too long or for ever.
    fn anything(&mut self, limit: Duration) -> Duration {
        match self.below(6) {
            0 | 1 => self.up_to(limit),
            2 => Duration::ZERO,
            3 => limit,
            4 => self.up_to(limit * 4 + ms(10_000)),
            _ => NEVER,
        }
    }
}

impl Scenario {
    /// `None` where the plan refuses it.
    fn draw(class: Class, choices: &mut Choices<'_>) -> Option<Self> {
        let count = 1 + choices.index(8);
        let total = ms([25_000, 10_000, 5000, 60_000, 2000][choices.index(5)]);
        // Indices are to say nothing about the order.
        let flipped = choices.one_in(2);
        let place = |c: usize| if flipped { count - 1 - c } else { c };
        let mut nodes = vec![Node::default(); count];
        for c in 0..count {
            let needs = if c == 0 { 0 } else { choices.below(3) };
            nodes[place(c)] = Node {
                name: format!("c{}", place(c)),
                needs: (0..needs).map(|_| Some(place(choices.index(c)))).collect(),
                after: Vec::new(),
                limits: Limits {
                    start: choices.sometimes(8, ms(2000)),
                    drain: choices.sometimes(4, total / 2),
                    cancel: choices.sometimes(4, ms(2000)),
                    save: choices.sometimes(4, ms(3000)),
                    close: choices.sometimes(4, ms(1500)),
                },
                unready: choices.sometimes(8, ms(2000)).unwrap_or_default(),
                main_job: false,
                together: choices.one_in(5),
            };
        }
        let plan = plan::plan(&nodes, &Budget { total, chain: Limits::default() }).ok()?;
        let wrong = choices.index(count);
        let parts = (0..count).map(|c| {
            let good = class == Class::WellBehaved || class == Class::OneWrong && c != wrong;
            Part::draw(&plan, c, good, choices)
        });
        let parts = parts.collect();
        let stop = choices.up_to(ms(8000));
        let mut signals = vec![(stop, Event::Stop(Reason::Signal(15)))];
        for _ in 0..choices.below(3) {
            signals.push((stop + choices.up_to(total), Event::Hurry));
        }
        if choices.one_in(4) {
            signals.push((choices.up_to(total), Event::Hurry));
            signals.push((stop + choices.up_to(total), Event::Stop(Reason::Requested("test".into()))));
        }
        signals.sort_by_key(|(at, _)| *at);
        let late = if class == Class::Hostile { choices.sometimes(6, ms(500)).unwrap_or_default() } else { ms(0) };
        Some(Self { class, total, plan, parts, signals, wrong: (class == Class::OneWrong).then_some(wrong), late })
    }

    /// Whether one signal leaves time for all drains of all chains.
    fn fits_the_slack(&self) -> bool {
        fn drains(scenario: &Scenario, c: usize) -> Duration {
            let node = &scenario.plan.nodes[c];
            let below = node.needs.iter().map(|n| drains(scenario, *n)).max().unwrap_or_default();
            node.unready + scenario.parts[c].drain() + below
        }
        // An unready delay as long as the stated drain leaves no moment in which tasks could be told.
        let stated = |(node, part): (&Planned, &Part)| {
            let told = |most| node.unready.is_zero() || node.unready < most;
            node.drain.is_none_or(|most| node.unready + part.drain() <= most && told(most))
        };
        let room = self.plan.slack + self.plan.nodes.iter().map(|node| node.unready).max().unwrap_or_default();
        self.plan.nodes.iter().zip(&self.parts).all(stated) && (0..self.parts.len()).all(|c| drains(self, c) <= room)
    }
}

impl Part {
    fn draw(plan: &Plan, c: usize, good: bool, choices: &mut Choices<'_>) -> Self {
        let node = &plan.nodes[c];
        let share = plan.slack / u32::try_from(plan.nodes.len()).unwrap();
        let tasks = choices.below(4);
        let (start, most) = (choices.up_to(ms(500)), node.drain.map_or(share, |drain| drain.min(share)));
        let save = choices.one_in(2);
        if good {
            let work = |choices: &mut Choices<'_>| Work {
                drain: choices.sometimes(2, most.saturating_sub(node.unready)),
                returns: choices.up_to(node.cancel.time),
                drops: ms(0),
                busy: choices.one_in(2),
                fails: NEVER,
            };
            return Self {
                start: node.start.map_or(start, |limit| limit.min(start)),
                start_fails: false,
                start_returns: choices.up_to(node.cancel.time),
                tasks: (0..tasks).map(|_| work(choices)).collect(),
                save: save.then(|| choices.up_to(node.save.time)),
                close: choices.up_to(node.close.time),
            };
        }
        let work = |choices: &mut Choices<'_>| Work {
            drain: choices.one_in(2).then(|| choices.anything(most)),
            returns: choices.anything(node.cancel.time),
            drops: if choices.one_in(2) { choices.anything(ms(100)) } else { ms(0) },
            busy: choices.one_in(2),
            fails: choices.sometimes(4, ms(8000)).unwrap_or(NEVER),
        };
        Self {
            start: if choices.one_in(4) { choices.anything(ms(2000)) } else { start },
            start_fails: choices.one_in(6),
            start_returns: choices.anything(node.cancel.time),
            tasks: (0..tasks).map(|_| work(choices)).collect(),
            save: save.then(|| choices.anything(node.save.time)),
            close: choices.anything(node.close.time),
        }
    }

    fn drain(&self) -> Duration {
        self.tasks.iter().filter_map(|work| work.drain).max().unwrap_or_default()
    }
}

/// What was cut, and what else is worth counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Note {
    CutStart,
    CutDrain,
    Idle,
    Aborted,
    Stuck,
    CutSave,
    CutClose,
    Hurried,
    Together,
    Unready,
    WhileStarting,
    FitsTheSlack,
    Abandoned,
}

#[derive(Debug, Clone, Default)]
struct Life {
    /// When the start ends, as long as it runs.
    start: Option<Time>,
    tasks: Vec<Task>,
    save: Option<Time>,
    close: Option<Time>,

    /// When the start would end by itself.
    starts_until: Time,
    asked: Option<Time>,
    asked_while_starting: bool,
    cancelled: Time,
    aborted: Option<Time>,
    /// When a task ended last.
    ended: Time,
    saving: Time,
    closing: Time,
    stopped: Option<Time>,
}

impl Life {
    fn drainers(&self) -> usize {
        self.tasks.iter().filter(|task| task.work.drain.is_some()).count()
    }

    fn left(&self) -> usize {
        self.tasks.len() + usize::from(self.start.is_some())
    }
}

#[derive(Debug, Clone, Copy)]
struct Task {
    work: Work,
    ends: Time,
    fails_at: Time,
    polled: Time,
}

/// Carries out what the machine decides, on simulated work.
struct Shell<'a> {
    scenario: &'a Scenario,
    machine: Checked,
    now: Time,
    lives: Vec<Life>,
    queue: VecDeque<Event>,
    hurried: Option<Time>,
    notes: Vec<Note>,
}

impl<'a> Shell<'a> {
    fn new(scenario: &'a Scenario) -> Self {
        Self {
            scenario,
            machine: Checked::new(&scenario.plan.nodes, scenario.total),
            now: Time::ZERO,
            lives: vec![Life::default(); scenario.parts.len()],
            queue: VecDeque::from([Event::Begin]),
            hurried: None,
            notes: Vec::new(),
        }
    }

    fn run(mut self) -> Vec<Note> {
        let mut signals = VecDeque::from(self.scenario.signals.clone());
        self.work();
        let mut at_once = 0;
        while !self.machine.done() {
            let tick = self.machine.next_tick().map(|at| at.saturating_add(self.scenario.late).max(self.now));
            let signal = signals.front().map(|(at, _)| *at);
            let next = self.next_end().into_iter().chain(tick).chain(signal).min();
            let next = next.expect("a service that was asked to stop waits for something");
            at_once += 1;
            if next > self.now {
                self.check_settled();
                at_once = 0;
            }
            assert!(at_once < 1000, "time stands still at {next:?}");
            self.now = next;
            if self.end_something() {
            } else if signal == Some(self.now) {
                self.queue.extend(signals.pop_front().map(|(_, event)| event));
            } else {
                self.queue.push_back(Event::Tick);
            }
            self.work();
        }
        self.check_end();
        self.notes
    }

    /// Handles all events that wait, and those that follow from them.
    fn work(&mut self) {
        while let Some(event) = self.queue.pop_front() {
            for action in self.machine.handle(event, self.now) {
                self.check_action(&action);
                let answer = self.carry_out(&action);
                self.queue.extend(answer);
            }
        }
    }

    fn carry_out(&mut self, action: &Action) -> Option<Event> {
        let now = self.now;
        match *action {
            Action::Start(c) => {
                let part = &self.scenario.parts[c];
                let task = |work: &Work| {
                    let ends = now.saturating_add(work.fails);
                    Task { work: *work, ends, fails_at: ends, polled: now }
                };
                self.lives[c].starts_until = now.saturating_add(part.start);
                self.lives[c].start = Some(self.lives[c].starts_until);
                self.lives[c].tasks = part.tasks.iter().map(task).collect();
            }
            Action::CutStart(c) => self.lives[c].start = None,
            Action::Drain(c) => {
                for task in &mut self.lives[c].tasks {
                    task.ends = task.work.drain.map_or(task.ends, |drain| task.ends.min(now.saturating_add(drain)));
                }
                return self.answer(c, State::Draining);
            }
            Action::Cancel(c) => {
                let returns = now.saturating_add(self.scenario.parts[c].start_returns);
                let life = &mut self.lives[c];
                life.start = life.start.map(|ends| ends.min(returns));
                for task in &mut life.tasks {
                    task.ends = task.ends.min(now.saturating_add(task.work.returns));
                    task.polled = now;
                }
                return self.answer(c, State::Cancelling);
            }
            Action::AbortIdle(c, idle) => {
                let mut next = None::<Time>;
                for task in &mut self.lives[c].tasks {
                    let polled = if task.work.busy { now } else { task.polled };
                    if polled + idle <= now {
                        task.ends = task.ends.min(now.saturating_add(task.work.drops));
                    } else {
                        next = Some(next.map_or(polled + idle, |next| next.min(polled + idle)));
                    }
                }
                return Some(Event::NextIdle(c, next));
            }
            Action::Abort(c) => {
                let life = &mut self.lives[c];
                life.start = life.start.map(|_| now);
                for task in &mut life.tasks {
                    task.ends = task.ends.min(now.saturating_add(task.work.drops));
                }
                return self.answer(c, State::Cancelling);
            }
            Action::Count(c) => return self.answer(c, State::Cancelling),
            Action::Stuck(c) => {
                self.lives[c].start = None;
                self.lives[c].tasks.clear();
            }
            Action::Save(c) => {
                self.lives[c].save = self.scenario.parts[c].save.map(|save| now.saturating_add(save));
                return self.answer(c, State::Saving);
            }
            Action::CutSave(c) => self.lives[c].save = None,
            Action::Close(c) => {
                self.lives[c].close = Some(now.saturating_add(self.scenario.parts[c].close));
                return self.answer(c, State::Closing);
            }
            Action::CutClose(c) => self.lives[c].close = None,
            Action::Unready(_)
            | Action::Stopped(_)
            | Action::Running
            | Action::Stopping(_)
            | Action::Level(_)
            | Action::Done => {}
        }
        None
    }

    /// What the machine is to be told of `c` in `state`, if its step is over or may be.
    fn answer(&self, c: usize, state: State) -> Option<Event> {
        let life = &self.lives[c];
        match state {
            State::Draining => (life.drainers() == 0).then_some(Event::Drained(c)),
            State::Cancelling => Some(Event::Left(c, life.left())),
            State::Saving => life.save.is_none().then_some(Event::Saved(c)),
            State::Closing => life.close.is_none().then_some(Event::Closed(c)),
            _ => None,
        }
    }

    /// When the next piece of work ends.
    fn next_end(&self) -> Option<Time> {
        let ends = |life: &Life| {
            let tasks = life.tasks.iter().map(|task| task.ends);
            tasks.chain(life.start).chain(life.save).chain(life.close).min()
        };
        self.lives.iter().filter_map(ends).min()
    }

    /// Ends one piece of work whose time has come, and tells the machine.
    fn end_something(&mut self) -> bool {
        let (now, mut ended) = (self.now, false);
        for c in 0..self.lives.len() {
            let reason = Reason::Failed(self.scenario.plan.nodes[c].name.as_str().into());
            let life = &mut self.lives[c];
            let due = |ends: &Time| *ends <= now;
            if life.start.take_if(|ends| due(ends)).is_some() {
                let fails = self.scenario.parts[c].start_fails;
                self.queue.push_back(if fails { Event::StartFailed(c, reason) } else { Event::Ready(c) });
            } else if let Some(at) = life.tasks.iter().position(|task| due(&task.ends)) {
                let task = life.tasks.swap_remove(at);
                life.ended = now;
                self.queue.extend((task.fails_at == now).then_some(Event::Failed(c, reason)));
            } else if life.save.take_if(|ends| due(ends)).is_none() && life.close.take_if(|ends| due(ends)).is_none() {
                continue;
            }
            ended = true;
            self.work();
            let progress = self.answer(c, self.machine.state(c));
            self.queue.extend(progress);
            break;
        }
        ended
    }

    fn end(&self) -> Time {
        self.machine.begun().map_or(NEVER, |begun| begun + self.scenario.total - EXIT_RESERVE)
    }

    /// What stops after `c`, found by walking all ways down.
    fn tail(&self, c: usize) -> Duration {
        let nodes = &self.scenario.plan.nodes;
        let reserve = |n: &Planned| n.cancel.time + ms(100) + n.save.time + n.close.time;
        nodes[c].needs.iter().map(|n| reserve(&nodes[*n]) + self.tail(*n)).max().unwrap_or_default()
    }

    /// The table of latest ends, once more.
    fn latest(&self, c: usize) -> Option<Time> {
        let (plan, life) = (&self.scenario.plan.nodes[c], &self.lives[c]);
        let asked = life.asked.unwrap_or_default();
        let closed = self.end().saturating_sub(self.tail(c));
        let saved = closed.saturating_sub(plan.close.time);
        let aborted = saved.saturating_sub(plan.save.time + ms(100));
        Some(match self.machine.state(c) {
            State::Draining => {
                let drained = aborted.saturating_sub(plan.cancel.time);
                plan.drain.map_or(drained, |drain| drained.min(asked + drain))
            }
            State::Cancelling if plan.cancel.stated || life.asked_while_starting => life.cancelled + plan.cancel.time,
            State::Cancelling => self.hurried.map_or(aborted, |at| aborted.min(at.max(asked) + plan.cancel.time)),
            State::Saving if plan.save.stated => life.saving + plan.save.time,
            State::Saving => self.hurried.map_or(saved, |at| saved.min(at.max(life.saving) + plan.save.time)),
            State::Closing => life.closing + plan.close.time,
            _ => return None,
        })
    }

    /// What an action must be true of before it is carried out.
    fn check_action(&mut self, action: &Action) {
        let (now, exact) = (self.now, self.scenario.late.is_zero());
        let fits = |what: &str, c: usize, needed: Duration| {
            let most = self.end().saturating_sub(self.tail(c));
            assert!(!exact || now + needed <= most, "{what} of {c} at {now:?} leaves less than {needed:?}");
        };
        let note = match *action {
            Action::Unready(c) | Action::Drain(c) => {
                if self.lives[c].asked.is_none() {
                    fits("asking", c, self.scenario.plan.nodes[c].reserve());
                }
                self.lives[c].asked.get_or_insert(now);
                matches!(action, Action::Unready(_)).then_some(Note::Unready)
            }
            Action::Cancel(c) if self.machine.state(c) <= State::Running => Some(Note::Together),
            Action::Cancel(c) => {
                fits("cancelling", c, self.scenario.plan.nodes[c].reserve());
                let drained = self.machine.count(&Action::Drain(c)) + self.machine.count(&Action::Unready(c)) > 0;
                let life = &mut self.lives[c];
                life.asked.get_or_insert(now);
                life.cancelled = now;
                life.asked_while_starting = !drained && life.start.is_some();
                let cut = drained && life.drainers() > 0;
                if life.asked_while_starting { Some(Note::WhileStarting) } else { cut.then_some(Note::CutDrain) }
            }
            Action::AbortIdle(c, _) => {
                let plan = &self.scenario.plan.nodes[c];
                assert!(!plan.cancel.stated && self.hurried.is_none());
                assert!(now >= self.lives[c].cancelled + plan.cancel.time, "idle tasks of {c} lost their guarantee");
                let idle = |task: &Task| !task.work.busy && task.polled + IDLE_LIMIT <= now;
                self.lives[c].tasks.iter().any(idle).then_some(Note::Idle)
            }
            Action::Abort(c) => {
                let (plan, life) = (&self.scenario.plan.nodes[c], &mut self.lives[c]);
                let granted = life.cancelled + plan.cancel.time;
                assert!(!exact || now >= granted, "{c} was aborted at {now:?}, granted until {granted:?}");
                life.aborted = Some(now);
                life.ended = now;
                Some(Note::Aborted)
            }
            Action::Stuck(c) => {
                let plan = &self.scenario.plan.nodes[c];
                let before_save = self.end().saturating_sub(self.tail(c) + plan.close.time + plan.save.time);
                assert!(now >= self.lives[c].ended + ms(100) || now >= before_save, "{c} was stuck too early");
                Some(Note::Stuck)
            }
            Action::Save(c) => {
                let plan = &self.scenario.plan.nodes[c];
                fits("saving", c, plan.save.time + plan.close.time);
                assert_eq!(self.lives[c].left(), 0);
                self.lives[c].saving = now;
                None
            }
            Action::CutSave(c) => {
                let (plan, since) = (&self.scenario.plan.nodes[c], self.lives[c].saving);
                let granted = since + plan.save.time;
                assert!(!exact || now >= granted, "the save of {c} was cut at {now:?}, granted until {granted:?}");
                Some(Note::CutSave)
            }
            Action::Close(c) => {
                fits("closing", c, self.scenario.plan.nodes[c].close.time);
                self.lives[c].closing = now;
                None
            }
            Action::CutClose(c) => {
                let granted = self.lives[c].closing + self.scenario.plan.nodes[c].close.time;
                assert!(if exact { now == granted } else { now >= granted }, "the close of {c} was cut at {now:?}");
                Some(Note::CutClose)
            }
            Action::Stopped(c) => {
                fits("the end", c, Duration::ZERO);
                self.lives[c].stopped = Some(now);
                None
            }
            Action::CutStart(_) => Some(Note::CutStart),
            Action::Level(Level::Hurry) => {
                self.hurried = Some(now);
                Some(Note::Hurried)
            }
            Action::Level(_) => Some(Note::Abandoned),
            _ => None,
        };
        if let (Some(note), Some((c, _, _))) = (note, step_of(action)) {
            let good = self.scenario.class != Class::Hostile && self.scenario.wrong != Some(c);
            let loses = note == Note::CutStart || (Note::Idle..=Note::CutClose).contains(&note);
            // A stated grace of nothing is no time to return in.
            let no_grace = note == Note::Aborted && self.scenario.plan.nodes[c].cancel.time.is_zero();
            assert!(!good || !loses || no_grace, "{c} keeps its limits, and still: {note:?}");
        }
        self.notes.extend(note);
    }

    /// Nobody waits for time to pass when the work is done, nor beyond its time.
    fn check_settled(&self) {
        let begun = self.machine.begun().is_some();
        for (c, life) in self.lives.iter().enumerate() {
            let (state, plan) = (self.machine.state(c), &self.scenario.plan.nodes[c]);
            let is = |state| move |c: &usize| self.machine.state(*c) == state;
            let waits = match state {
                State::Waiting => !begun && !plan.needs.iter().all(is(State::Running)),
                State::Starting => life.start.is_some(),
                State::Running => !begun || !plan.dependents.iter().all(is(State::Stopped)),
                State::Draining => {
                    life.drainers() > 0 || self.now < life.asked.unwrap() + plan.unready + self.scenario.late
                }
                State::Cancelling => life.left() > 0,
                State::Saving => life.save.is_some(),
                State::Closing => life.close.is_some(),
                State::Stopped => true,
            };
            assert!(waits, "{c} is {state} at {:?} and waits for nothing", self.now);
            if self.scenario.late.is_zero() && state > State::Running && state < State::Stopped {
                assert_eq!(self.machine.limit(c), self.latest(c), "{c} is {state} at {:?}", self.now);
                self.check_stragglers(c);
            }
        }
    }

    /// What has had its time is really told so.
    fn check_stragglers(&self, c: usize) {
        let (plan, life) = (&self.scenario.plan.nodes[c], &self.lives[c]);
        if self.machine.state(c) != State::Cancelling {
            return;
        }
        if life.aborted.is_some() {
            let before_save = self.end().saturating_sub(self.tail(c) + plan.close.time + plan.save.time);
            assert!(self.now < (life.ended + ms(100)).min(before_save), "{c} is stuck, and nobody says so");
        } else if !plan.cancel.stated && !life.asked_while_starting && self.hurried.is_none() {
            let idle = |task: &Task| !task.work.busy && task.ends == NEVER && task.work.drops != NEVER;
            let late = self.now >= life.cancelled + IDLE_LIMIT;
            assert!(!late || !life.tasks.iter().any(idle), "{c} has an idle task, and nobody aborts it");
        }
    }

    fn check_end(&mut self) {
        let scenario = self.scenario;
        assert!(self.now <= self.end() + scenario.late, "over the total: {:?} of {:?}", self.now, self.end());
        let abandoned = self.notes.contains(&Note::Abandoned);
        // Else every step ends before the total does, whatever the work does.
        let may_be = !scenario.late.is_zero() || scenario.plan.nodes.iter().any(|node| node.close.time.is_zero());
        assert!(!abandoned || may_be, "a timely service was abandoned");
        for c in 0..self.lives.len() {
            let once = self.machine.count(&Action::Start(c));
            for action in [Action::Cancel(c), Action::Save(c), Action::Close(c), Action::Stopped(c)] {
                let times = self.machine.count(&action);
                assert!(times >= once || abandoned, "{action:?} {times} times");
                assert!(times == 0 || once == 1, "{action:?} without a start");
            }
        }
        if scenario.class == Class::WellBehaved && self.hurried.is_none() && scenario.fits_the_slack() {
            self.notes.push(Note::FitsTheSlack);
            assert!(!self.notes.contains(&Note::CutDrain), "a drain that fits was cut");
            assert_eq!(self.now, self.ideal_end(), "a stop takes as long as its critical path");
        }
    }

    /// The critical path of a stop in which nothing is cut.
    fn ideal_end(&self) -> Time {
        fn gone(shell: &Shell<'_>, c: usize) -> Time {
            let (plan, part, life) = (&shell.scenario.plan.nodes[c], &shell.scenario.parts[c], &shell.lives[c]);
            let begun = shell.machine.begun().unwrap();
            let asked = plan.dependents.iter().map(|d| gone(shell, *d)).max().unwrap_or(begun);
            if shell.machine.count(&Action::Start(c)) == 0 {
                return asked;
            }
            let all = part.tasks.iter();
            let left = if life.asked_while_starting {
                let started = life.starts_until.min(asked + part.start_returns);
                all.map(|work| asked + work.returns).chain([started]).max().unwrap()
            } else {
                let drained = asked + plan.unready + part.drain();
                let plain = all.filter(|work| work.drain.is_none());
                plain.map(|work| drained + work.returns).max().unwrap_or(drained)
            };
            left + part.save.unwrap_or_default() + part.close
        }
        (0..self.lives.len()).map(|c| gone(self, c)).max().unwrap()
    }
}

/// The same numbers for the same seed (splitmix64).
struct Random(u64);

impl Iterator for Random {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        Some(mixed ^ (mixed >> 31))
    }
}

/// Prints the seed of the run that failed.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("run it again with SOFTSTOP_SIM_CASES=1 SOFTSTOP_SIM_SEED={}", self.0);
        }
    }
}

/// Runs services until enough were accepted by the plan, and says what came up in how many.
fn simulate(class: Class) -> BTreeMap<Note, u32> {
    let number = |name: &str| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (cases, first) = (number("SOFTSTOP_SIM_CASES").unwrap_or(3000), number("SOFTSTOP_SIM_SEED"));
    let (mut accepted, mut found) = (0, BTreeMap::new());
    for seed in first.unwrap_or(1).. {
        if accepted == cases {
            break;
        }
        let guard = Seed(seed);
        if let Some(scenario) = Scenario::draw(class, &mut Choices(&mut Random(seed))) {
            accepted += 1;
            let mut notes = Shell::new(&scenario).run();
            notes.sort_unstable();
            notes.dedup();
            for note in notes {
                *found.entry(note).or_default() += 1;
            }
        }
        drop(guard);
    }
    eprintln!("{class:?}: {cases} services, {found:?}");
    found
}

/// A simulation in which nothing happens proves nothing.
fn expect_all(found: &BTreeMap<Note, u32>, expected: &[Note]) {
    let whole = found.values().sum::<u32>() > 100;
    for note in expected {
        assert!(!whole || found.contains_key(note), "{note:?} never came up: {found:?}");
    }
}

#[test]
fn well_behaved_services_lose_nothing() {
    let found = simulate(Class::WellBehaved);

    expect_all(&found, &[Note::FitsTheSlack, Note::Hurried, Note::CutDrain, Note::WhileStarting, Note::Unready]);
}

#[test]
fn one_wrong_component_costs_the_others_nothing() {
    let found = simulate(Class::OneWrong);

    use Note::*;
    expect_all(&found, &[CutStart, CutDrain, Idle, Aborted, Stuck, CutSave, CutClose, Hurried, Together]);
}

#[test]
fn hostile_services_end_in_order_and_in_time() {
    let found = simulate(Class::Hostile);

    use Note::*;
    expect_all(&found, &[CutStart, CutDrain, Idle, Aborted, Stuck, CutSave, CutClose, Hurried, Together, Abandoned]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_smallest_service_that_breaks_a_rule_is_found(
        class in prop_oneof![Just(Class::WellBehaved), Just(Class::OneWrong), Just(Class::Hostile)],
        choices in vec(any::<u16>(), 0..200),
    ) {
        let mut numbers = choices.into_iter().map(u64::from);
        if let Some(scenario) = Scenario::draw(class, &mut Choices(&mut numbers)) {
            Shell::new(&scenario).run();
        }
    }
}
