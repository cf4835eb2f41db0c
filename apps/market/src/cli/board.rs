//! The line at the bottom of the terminal: what is told becomes how things stand. Pure: what time it is is handed in.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use market::{Progress, RedisProgress, Second, table::count};

/// Over so many seconds is the rate: one alone jumps.
const SECONDS: usize = 5;
/// Nothing was told for so long: what counts is held up.
const HELD_UP: Duration = Duration::from_secs(3);
const BETWEEN: &str = " | ";

/// How things stand.
pub(crate) struct Board {
    stream: Stream,
    second: Option<(Second, Instant)>,
    rates: VecDeque<i64>,
    /// When a second last had trades.
    traded: Option<Instant>,
    /// How Redis stands, once anything was told of it.
    redis: Option<&'static str>,
    /// Sinks that do not work, with what to say of them.
    troubles: BTreeMap<String, String>,
    silent: bool,
}

enum Stream {
    Connecting(String, Instant),
    Connected,
    Lost(String, Instant),
}

impl Board {
    /// Nothing was told yet; it connects to `to`.
    pub(crate) fn new(to: String, now: Instant) -> Self {
        Self {
            stream: Stream::Connecting(to, now),
            second: None,
            rates: VecDeque::new(),
            traded: None,
            redis: None,
            troubles: BTreeMap::new(),
            silent: false,
        }
    }

    /// Shows nothing from now on.
    pub(crate) fn silence(&mut self) {
        self.silent = true;
    }

    pub(crate) fn take(&mut self, progress: &Progress, now: Instant) {
        match progress {
            Progress::Connected => self.stream = Stream::Connected,
            Progress::Disconnected(error) => match &mut self.stream {
                Stream::Lost(why, _) => why.clone_from(error),
                Stream::Connecting(_, since) => self.stream = Stream::Lost(error.clone(), *since),
                Stream::Connected => self.stream = Stream::Lost(error.clone(), now),
            },
            Progress::Unwritten(file, error) => {
                self.troubles.insert(file.clone(), format!("cannot write to {file}: {error}"));
            }
            Progress::Written(file) => {
                self.troubles.remove(file);
            }
            Progress::Redis(redis) => match redis {
                RedisProgress::Connected(_) => self.redis = Some("Redis catches up"),
                RedisProgress::Away(error) => {
                    self.redis = None;
                    self.troubles.insert("Redis".into(), format!("Redis: {error}"));
                }
                RedisProgress::Unkept(error) => drop(self.troubles.insert("storage".into(), error.clone())),
                RedisProgress::Kept => drop(self.troubles.remove("storage")),
                RedisProgress::CaughtUp(_) => {
                    self.redis = Some("Redis ok");
                    self.troubles.remove("Redis");
                }
                _ => {}
            },
            Progress::Second(second) => {
                if second.trades > 0 {
                    self.traded = Some(now);
                }
                self.rates.push_back(second.trades);
                if self.rates.len() > SECONDS {
                    self.rates.pop_front();
                }
                self.second = Some((second.clone(), now));
            }
            _ => {}
        }
    }

    /// At most so many columns; what matters least is left out.
    pub(crate) fn line(&self, width: usize, now: Instant) -> String {
        if self.silent {
            return String::new();
        }
        let mut parts: Vec<Option<(u8, String)>> = self.parts(now).into_iter().map(Some).collect();
        let length = |parts: &[Option<(u8, String)>]| {
            let lengths = parts.iter().flatten().map(|(_, text)| text.chars().count() + BETWEEN.len());
            lengths.sum::<usize>().saturating_sub(BETWEEN.len())
        };
        while length(&parts) > width && parts.iter().flatten().count() > 1 {
            let least = parts.iter().flatten().map(|(rank, _)| *rank).max();
            let at = parts.iter().position(|part| part.as_ref().map(|(rank, _)| *rank) == least);
            at.into_iter().for_each(|at| parts[at] = None);
        }
        let line = parts.into_iter().flatten().map(|(_, text)| text).collect::<Vec<_>>().join(BETWEEN);
        line.chars().take(width).collect()
    }

    /// In the order in which they are shown, each with its rank: the higher, the less it matters.
    fn parts(&self, now: Instant) -> Vec<(u8, String)> {
        let mut parts = Vec::new();
        let since = |then: Instant| now.saturating_duration_since(then);
        match &self.stream {
            Stream::Connected => {}
            Stream::Connecting(to, at) => parts.push((0, format!("connecting to {to}{}", after(since(*at))))),
            Stream::Lost(_, at) => parts.push((0, format!("not connected{}", after(since(*at))))),
        }
        if let Some((second, told)) = &self.second {
            let trades: i64 = self.rates.iter().sum();
            let seconds = i64::try_from(self.rates.len().max(1)).unwrap_or(1);
            parts.push((1, format!("{} trades/s", (trades + seconds / 2) / seconds)));
            parts.extend(self.age(second, now).map(|age| (3, age)));
            if let Some(begin) = second.minute_ms() {
                parts.push((5, format!("{} {}", hour_and_minute(begin), count(second.minute_trades(), "trade"))));
            }
            match second.missing() {
                (0, _) => parts.push((6, "nothing missing".to_owned())),
                (gaps, missing) => parts.push((2, format!("{missing} missing in {}", count(gaps as i128, "gap")))),
            }
            if second.filled() > 0 {
                parts.push((7, format!("{} fetched later", second.filled())));
            }
            if since(*told) >= HELD_UP {
                parts.push((1, format!("held up for {}", span(since(*told)))));
            }
        }
        parts.extend(self.redis.map(|stands| (6, stands.to_owned())));
        parts.extend(self.troubles.values().map(|trouble| (4, trouble.clone())));
        if let Stream::Lost(why, _) = &self.stream {
            parts.push((8, why.clone()));
        }
        parts
    }

    /// How late trades are; where none come, since when.
    fn age(&self, second: &Second, now: Instant) -> Option<String> {
        let quiet = self.traded.map(|at| now.saturating_duration_since(at)).filter(|quiet| *quiet >= HELD_UP);
        match (quiet, second.lag_ms) {
            (Some(quiet), _) => Some(format!("last trade {} ago", span(quiet))),
            (None, Some(lag)) => {
                let (sign, lag) = (if lag < 0 { "-" } else { "" }, Duration::from_millis(lag.unsigned_abs()));
                Some(format!("lag {sign}{}", span(lag)))
            }
            (None, None) => None,
        }
    }
}

/// ` for 12 s`; nothing in the first seconds.
fn after(time: Duration) -> String {
    if time < HELD_UP { String::new() } else { format!(" for {}", span(time)) }
}

/// `84 ms`, `1.2 s`, `12 s`, `5 min`, `3 h`.
fn span(time: Duration) -> String {
    match time.as_millis() {
        ms @ 0..1000 => format!("{ms} ms"),
        ms @ 1000..9_950 => format!("{:.1} s", ms as f64 / 1000.0),
        ms @ 9_950..120_000 => format!("{} s", ms.div_ceil(1000)),
        ms @ 120_000..7_200_000 => format!("{} min", ms / 60_000),
        ms => format!("{} h", ms / 3_600_000),
    }
}

/// `12:51`, of milliseconds since 1970.
fn hour_and_minute(ms: i64) -> String {
    let minutes = ms.div_euclid(60_000).rem_euclid(24 * 60);
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

#[cfg(test)]
#[path = "board_tests.rs"]
mod tests;
