//! What all connections and requests share: the tape, the limits, the script, the log.

use std::{
    collections::{BTreeMap, VecDeque},
    future::Future,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use super::{
    Limits, Log, Offence, RequestFault, Rule, Script, SocketFault, random::Random, tape::Tape, weight::Weights,
};

#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) tape: Arc<Tape>,
    pub(crate) limits: Limits,
    pub(crate) garble_every: Option<u64>,
    /// Upper case, by place.
    pub(crate) symbols: Vec<String>,
    state: Mutex<State>,
    pub(crate) orders: watch::Sender<Order>,
    /// Woken when something was written to the log.
    written: Notify,
}

/// What all connections are told.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) enum Order {
    #[default]
    Nothing,
    /// Break; who listens next gets so many trades once more.
    Cut(u64),
    /// Say `serverShutdown` and close after so long.
    Shutdown(Duration),
}

#[derive(Debug)]
struct State {
    script: Script,
    random: Random,
    /// Since the script began.
    connections: u64,
    requests: BTreeMap<String, u64>,
    /// Who is refused for now.
    gone: bool,
    connects: BTreeMap<IpAddr, VecDeque<Instant>>,
    weights: Weights,
    log: Log,
}

/// What becomes of a connection, as far as it is known when it begins.
pub(crate) struct Fate {
    pub(crate) number: u64,
    pub(crate) rules: Vec<Rule<SocketFault>>,
    pub(crate) random: Random,
    pub(crate) handshake: Option<SocketFault>,
}

impl Desk {
    pub(crate) fn new(
        tape: Arc<Tape>,
        symbols: Vec<String>,
        limits: Limits,
        garble_every: Option<u64>,
        script: Script,
    ) -> Self {
        let state = State {
            random: Random(script.seed),
            script,
            connections: 0,
            requests: BTreeMap::new(),
            gone: false,
            connects: BTreeMap::new(),
            weights: Weights::new(&limits),
            log: Log::default(),
        };
        Self {
            tape,
            limits,
            garble_every,
            symbols,
            state: Mutex::new(state),
            orders: watch::Sender::default(),
            written: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_script(&self, script: Script) {
        self.tape.change(|world| world.events.clone_from(&script.market));
        let mut state = self.lock();
        state.random = Random(script.seed);
        state.script = script;
        state.connections = 0;
        state.requests.clear();
    }

    pub(crate) fn set_gone(&self, gone: bool) {
        self.lock().gone = gone;
        if gone {
            self.orders.send_replace(Order::Cut(0));
        }
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.lock().gone
    }

    pub(crate) fn log(&self) -> Log {
        self.lock().log.clone()
    }

    pub(crate) fn read_log<T>(&self, read: impl FnOnce(&Log) -> T) -> T {
        read(&self.lock().log)
    }

    /// Completes when something was written after this call.
    pub(crate) fn written(&self) -> impl Future<Output = ()> + '_ {
        self.written.notified()
    }

    pub(crate) fn note(&self, write: impl FnOnce(&mut Log)) {
        write(&mut self.lock().log);
        self.written.notify_waiters();
    }

    pub(crate) fn struck(&self, fault: &'static str) {
        self.note(|log| *log.struck.entry(fault).or_default() += 1);
    }

    pub(crate) fn offence(&self, offence: Offence) {
        self.note(|log| log.offences.push(offence));
    }

    /// A connection begins.
    pub(crate) fn connect(&self, from: IpAddr) -> Fate {
        let mut state = self.lock();
        // Whoever is woken waits for the lock.
        self.written.notify_waiters();
        let state = &mut *state;
        state.log.connects += 1;
        state.connections += 1;
        let number = state.connections;
        let now = Instant::now();
        let connects = state.connects.entry(from).or_default();
        while connects.front().is_some_and(|at| now.duration_since(*at) >= self.limits.connect_window) {
            connects.pop_front();
        }
        let too_many = connects.len() >= self.limits.connects;
        connects.push_back(now);
        connects.truncate(self.limits.connects.saturating_add(1));
        let rules: Vec<_> =
            state.script.sockets.iter().filter(|rule| rule.numbers.contains(&number)).cloned().collect();
        let is_handshake =
            |rule: &Rule<SocketFault>| matches!(rule.fault, SocketFault::HalfOpen | SocketFault::Refuse(_));
        let (handshakes, rules): (Vec<_>, Vec<_>) = rules.into_iter().partition(is_handshake);
        let mut handshake =
            handshakes.iter().find(|rule| rule.strikes_handshake(number, &mut state.random)).map(|rule| rule.fault);
        if let Some(fault) = handshake {
            *state.log.struck.entry(fault.name()).or_default() += 1;
        }
        if too_many {
            state.log.offences.push(Offence::TooManyConnects);
            handshake = Some(SocketFault::Refuse(429));
        }
        Fate { number, rules, random: Random(state.script.seed ^ number.rotate_left(32)), handshake }
    }

    /// What strikes a request; the first fault and the delay before it.
    pub(crate) fn strike(&self, path: &str, symbol: &str) -> (Duration, Option<RequestFault>) {
        let mut state = self.lock();
        self.written.notify_waiters();
        let State { script, random, requests, log, .. } = &mut *state;
        let number = requests.entry(path.to_owned()).or_default();
        *number += 1;
        let mut delay = Duration::ZERO;
        for rule in &script.requests {
            if !rule.strikes_request(*number, path, symbol, random) {
                continue;
            }
            *log.struck.entry(rule.fault.name()).or_default() += 1;
            match rule.fault {
                RequestFault::Delay(time) => delay += time,
                fault => return (delay, Some(fault)),
            }
        }
        (delay, None)
    }

    pub(crate) fn weights<T>(&self, with: impl FnOnce(&mut Weights) -> T) -> T {
        with(&mut self.lock().weights)
    }
}
