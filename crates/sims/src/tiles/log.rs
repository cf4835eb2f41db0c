//! What was asked and what became of it: every request, once.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use super::{script::Site, tile::Tile};

/// Everything that was asked since the start or the last reset, in order of arrival. `/truth`, `/log` and `/reset` are not in it.
#[derive(Debug, Clone, Default)]
pub struct Log {
    pub(crate) entries: Vec<Entry>,
    pub(crate) hosts: BTreeMap<Site, Host>,
    pub(crate) dropped_streams: u64,
}

/// One request.
#[derive(Debug, Clone)]
pub struct Entry {
    /// When its head had been read, since the start or the last reset.
    pub at: Duration,
    /// How long it took until its answer had been handed to the kernel or had failed; `None` while that goes on.
    pub took: Option<Duration>,
    /// The host that was asked.
    pub site: Site,
    /// The number of its connection, from 1.
    pub connection: u64,
    /// What was spoken on it.
    pub protocol: Protocol,
    /// `GET`, `HEAD` or what else was tried.
    pub method: Arc<str>,
    /// The address without scheme and host, with its query.
    pub path: String,
    /// The head as it came, a line for each field, names in lower case.
    pub headers: Arc<str>,
    /// The tile that was asked for, if one was.
    pub tile: Option<Tile>,
    /// The place in the script of the rule that decided what happened.
    pub rule: Option<usize>,
    /// The status given; `None` if there was no answer.
    pub status: Option<u16>,
    /// How many bytes of the body were sent.
    pub bytes: u64,
    /// Whether the answer was sent whole.
    pub complete: bool,
    /// Whether the answer was the truth about the tile: status 200 with its bytes (however wrapped), or that it is not there.
    pub genuine: bool,
}

impl Entry {
    /// Whether this request was given the tile, whole. Given to the kernel: a client that dies may not have read it.
    pub fn served(&self) -> bool {
        self.genuine && self.complete && self.status == Some(200) && self.bytes > 0
    }

    /// A field of the head; the name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.headers.lines().filter_map(|line| line.split_once(": "));
        fields.find(|(field, _)| *field == name).map(|(_, value)| value)
    }
}

/// What was spoken on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// HTTP/1.1 or 1.0
    Http1,
    /// HTTP/2
    Http2,
}

/// How often a tile was asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Asked {
    /// All requests.
    pub requests: u64,
    /// Those that were given the tile, whole.
    pub served: u64,
}

/// What came in a span of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Window {
    /// When it begins.
    pub from: Duration,
    /// Requests.
    pub requests: u64,
    /// Those that were answered 429 or 503.
    pub refused: u64,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Host {
    pub(crate) in_flight: Gauge,
    pub(crate) connections: Gauge,
    pub(crate) opened: u64,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Gauge {
    pub(crate) now: usize,
    pub(crate) most: usize,
}

impl Gauge {
    pub(crate) fn up(&mut self) {
        self.now += 1;
        self.most = self.most.max(self.now);
    }

    pub(crate) fn down(&mut self) {
        self.now -= 1;
    }
}

impl Log {
    /// Every request.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// How often each tile was asked for, of both hosts together.
    pub fn tiles(&self) -> BTreeMap<Tile, Asked> {
        let mut tiles = BTreeMap::<Tile, Asked>::new();
        for (tile, entry) in self.entries.iter().filter_map(|entry| Some((entry.tile?, entry))) {
            let asked = tiles.entry(tile).or_default();
            asked.requests += 1;
            asked.served += u64::from(entry.served());
        }
        tiles
    }

    /// The tiles that were asked for again after they had been served whole, with how often they were asked for in all.
    pub fn asked_again(&self) -> BTreeMap<Tile, u64> {
        let mut served = HashSet::new();
        let mut again = BTreeMap::new();
        for (tile, entry) in self.entries.iter().filter_map(|entry| Some((entry.tile?, entry))) {
            if served.contains(&tile) {
                *again.entry(tile).or_insert(1) += 1;
            }
            if entry.served() {
                served.insert(tile);
            }
        }
        again
    }

    /// How many requests were given this status.
    pub fn count(&self, status: u16) -> usize {
        self.entries.iter().filter(|entry| entry.status == Some(status)).count()
    }

    /// Requests and refusals in spans of this length, without gaps, from the beginning to the last request.
    pub fn windows(&self, length: Duration) -> Vec<Window> {
        let length = length.max(Duration::from_millis(1));
        let mut windows: Vec<Window> = Vec::new();
        for entry in &self.entries {
            let at = (entry.at.as_nanos() / length.as_nanos()) as usize;
            while windows.len() <= at {
                windows.push(Window { from: length * windows.len() as u32, ..Window::default() });
            }
            windows[at].requests += 1;
            windows[at].refused += u64::from(matches!(entry.status, Some(429 | 503)));
        }
        windows
    }

    /// The most requests that one host had to answer at one time.
    pub fn most_in_flight(&self, site: Site) -> usize {
        self.hosts.get(&site).map_or(0, |host| host.in_flight.most)
    }

    /// The requests that are being answered now.
    pub fn in_flight(&self) -> usize {
        self.hosts.values().map(|host| host.in_flight.now).sum()
    }

    /// The connections that one host has now.
    pub fn connections(&self, site: Site) -> usize {
        self.hosts.get(&site).map_or(0, |host| host.connections.now)
    }

    /// The most connections that one host had at one time, those that were turned away included.
    pub fn most_connections(&self, site: Site) -> usize {
        self.hosts.get(&site).map_or(0, |host| host.connections.most)
    }

    /// How many connections to one host were opened.
    pub fn opened(&self, site: Site) -> u64 {
        self.hosts.get(&site).map_or(0, |host| host.opened)
    }

    /// How many HTTP/2 streams were dropped unread after a GOAWAY; they are not among the entries.
    pub fn dropped_streams(&self) -> u64 {
        self.dropped_streams
    }
}
