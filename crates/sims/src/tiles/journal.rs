//! Where the log is written, and who waits for it.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use super::{
    log::{Entry, Gauge, Host, Log, Protocol},
    script::Site,
    tile::Tile,
};

/// The log, shared by all connections.
#[derive(Debug)]
pub(crate) struct Journal {
    state: Mutex<State>,
    written: Notify,
}

#[derive(Debug)]
struct State {
    log: Log,
    began: Instant,
    /// Counts the resets: what began before one is not written down after it.
    age: u64,
    /// One text for all requests that have the same.
    texts: HashSet<Arc<str>>,
    connections: u64,
}

impl State {
    fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return Arc::clone(known);
        }
        // Headers that are different every time, as validators are, fill no memory.
        if self.texts.len() >= 1000 {
            self.texts.clear();
        }
        let text: Arc<str> = text.into();
        self.texts.insert(Arc::clone(&text));
        text
    }
}

/// What is known of a request when it arrives.
pub(crate) struct Arrival<'a> {
    pub(crate) site: Site,
    pub(crate) connection: u64,
    pub(crate) protocol: Protocol,
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) headers: &'a [(String, String)],
    pub(crate) tile: Option<Tile>,
}

impl Journal {
    pub(crate) fn new() -> Self {
        let (log, texts) = (Log::default(), HashSet::new());
        let state = State { log, began: Instant::now(), age: 0, texts, connections: 0 };
        Self { state: Mutex::new(state), written: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write<R>(&self, write: impl FnOnce(&mut State) -> R) -> R {
        let result = write(&mut self.lock());
        self.written.notify_waiters();
        result
    }

    pub(crate) fn read<R>(&self, read: impl FnOnce(&Log) -> R) -> R {
        read(&self.lock().log)
    }

    /// The time since the start or the last reset.
    pub(crate) fn now(&self) -> Duration {
        self.lock().began.elapsed()
    }

    pub(crate) fn began(&self) -> Instant {
        self.lock().began
    }

    pub(crate) async fn until(&self, mut enough: impl FnMut(&Log) -> bool) {
        loop {
            let written = self.written.notified();
            if self.read(&mut enough) {
                return;
            }
            written.await;
        }
    }

    /// Forgets the requests; the connections that are open stay open.
    pub(crate) fn reset(&self) {
        self.write(|state| {
            state.age += 1;
            state.began = Instant::now();
            let open = |(site, host): (&Site, &Host)| {
                let connections = Gauge { now: host.connections.now, most: host.connections.now };
                (*site, Host { connections, ..Host::default() })
            };
            let hosts = state.log.hosts.iter().map(open).collect();
            state.log = Log { hosts, ..Log::default() };
        });
    }

    pub(crate) fn connect(self: &Arc<Self>, site: Site) -> Connected {
        let (number, open) = self.write(|state| {
            state.connections += 1;
            let host = state.log.hosts.entry(site).or_default();
            host.opened += 1;
            host.connections.up();
            (state.connections, host.connections.now)
        });
        Connected { journal: Arc::clone(self), site, number, open }
    }

    pub(crate) fn arrive(self: &Arc<Self>, arrival: &Arrival<'_>) -> Ticket {
        let headers: String = arrival.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
        let (age, at) = self.write(|state| {
            let (method, headers) = (state.text(arrival.method), state.text(&headers));
            state.log.hosts.entry(arrival.site).or_default().in_flight.up();
            state.log.entries.push(Entry {
                at: state.began.elapsed(),
                took: None,
                site: arrival.site,
                connection: arrival.connection,
                protocol: arrival.protocol,
                method,
                path: arrival.path.to_owned(),
                headers,
                tile: arrival.tile,
                rule: None,
                status: None,
                bytes: 0,
                complete: false,
                genuine: false,
            });
            (state.age, state.log.entries.len() - 1)
        });
        Ticket { journal: Arc::clone(self), age, at, done: false }
    }

    pub(crate) fn drop_stream(&self) {
        self.write(|state| state.log.dropped_streams += 1);
    }
}

/// A connection that is open until this is dropped.
#[derive(Debug)]
pub(crate) struct Connected {
    journal: Arc<Journal>,
    site: Site,
    pub(crate) number: u64,
    /// How many were open when it came, itself included.
    pub(crate) open: usize,
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.journal.write(|state| state.log.hosts.entry(self.site).or_default().connections.down());
    }
}

/// A request under way. Dropped without [`done`](Self::done), it counts as broken off.
#[derive(Debug)]
pub(crate) struct Ticket {
    journal: Arc<Journal>,
    age: u64,
    at: usize,
    done: bool,
}

impl Ticket {
    /// The head is on its way; this is what it says.
    pub(crate) fn answered(&self, status: u16, rule: Option<usize>, genuine: bool) {
        self.entry(|entry| {
            entry.status = Some(status);
            entry.genuine = genuine;
            entry.rule = rule;
        });
    }

    /// A rule decided, and there is no answer.
    pub(crate) fn unanswered(&self, rule: Option<usize>) {
        self.entry(|entry| entry.rule = rule);
    }

    /// So many bytes of the body were sent so far.
    pub(crate) fn sent(&self, bytes: u64) {
        self.entry(|entry| entry.bytes = bytes);
    }

    pub(crate) fn done(mut self, bytes: u64, complete: bool) {
        self.done = true;
        self.finish(Some((bytes, complete)));
    }

    fn entry(&self, change: impl FnOnce(&mut Entry)) {
        self.journal.write(|state| {
            if state.age == self.age {
                change(&mut state.log.entries[self.at]);
            }
        });
    }

    fn finish(&self, end: Option<(u64, bool)>) {
        self.journal.write(|state| {
            if state.age != self.age {
                return;
            }
            let now = state.began.elapsed();
            let entry = &mut state.log.entries[self.at];
            entry.took = Some(now.saturating_sub(entry.at));
            if let Some((bytes, complete)) = end {
                (entry.bytes, entry.complete) = (bytes, complete);
            }
            let site = entry.site;
            state.log.hosts.entry(site).or_default().in_flight.down();
        });
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.done {
            self.finish(None);
        }
    }
}
