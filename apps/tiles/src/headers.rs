//! What the headers of an answer say of waiting and of keeping (RFC 9110, RFC 9111).
//!
//! Moments are seconds since 1970.

use std::time::{Duration, UNIX_EPOCH};

/// When to come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAfter {
    /// After so many seconds.
    Seconds(u64),
    /// At this moment, by the clock of the server.
    At(u64),
}

/// The headers that matter, read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers {
    /// `Retry-After` in either of its forms.
    pub retry_after: Option<RetryAfter>,
    /// The server's clock.
    pub date: Option<u64>,
    /// Where it sends us, as it says it.
    pub location: Option<String>,
    /// As it stands there, quotes and `W/` included.
    pub etag: Option<String>,
    /// As it stands there.
    pub last_modified: Option<String>,
    /// For how many seconds the answer stays fresh, by its `Cache-Control` or by `Expires` and `Date`, its `Age` taken off.
    pub fresh: Option<u64>,
}

impl Headers {
    /// Reads them from whatever gives a header by its lower-case name. What cannot be understood counts as absent.
    pub fn read<'a>(header: impl Fn(&'static str) -> Option<&'a str>) -> Self {
        let date = header("date").and_then(moment);
        let text = |name| header(name).map(str::trim).filter(|value| !value.is_empty()).map(str::to_owned);
        let age = header("age").and_then(|age| age.trim().parse().ok()).unwrap_or(0);
        let by_age = header("cache-control").and_then(max_age).map(|seconds: u64| seconds.saturating_sub(age));
        // What cannot be read as a moment, such as 0, means that it has expired.
        let by_moment =
            || Some(header("expires")?).map(|at| moment(at).zip(date).map_or(0, |(at, now)| at.saturating_sub(now)));
        Self {
            retry_after: header("retry-after").and_then(retry_after),
            date,
            location: text("location"),
            etag: text("etag"),
            last_modified: text("last-modified"),
            fresh: by_age.or_else(by_moment),
        }
    }

    /// How long to wait, if it says so: a moment is taken relative to the server's own clock, or to `now` where it tells no time.
    pub fn wait(&self, now: u64) -> Option<Duration> {
        Some(Duration::from_secs(match self.retry_after? {
            RetryAfter::Seconds(seconds) => seconds,
            RetryAfter::At(moment) => moment.saturating_sub(self.date.unwrap_or(now)),
        }))
    }
}

fn retry_after(value: &str) -> Option<RetryAfter> {
    let seconds = value.trim().parse().ok().map(RetryAfter::Seconds);
    seconds.or_else(|| moment(value).map(RetryAfter::At))
}

/// A date in any of the three forms of HTTP.
fn moment(value: &str) -> Option<u64> {
    let time = httpdate::parse_http_date(value.trim()).ok()?;
    time.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
}

/// Nothing where the directives say nothing of time.
fn max_age(value: &str) -> Option<u64> {
    let mut age = None;
    for directive in value.split(',').map(|directive| directive.trim().to_ascii_lowercase()) {
        match directive.split_once('=') {
            None if directive == "no-store" || directive == "no-cache" => return Some(0),
            Some(("max-age", seconds)) => age = seconds.trim_matches('"').parse().ok(),
            _ => {}
        }
    }
    age
}

#[cfg(test)]
#[path = "headers_tests.rs"]
mod tests;
