//! When a run is disturbed, and how that is written on the line that replays it.

use std::{fmt, str::FromStr, sync::Arc};

/// How tasks are given the thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Schedule {
    /// Each runs until it has to wait.
    Coarse,
    /// Each is handed one item a poll.
    Fine,
}

/// The end of one poll of one task.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Point {
    pub(super) task: Arc<str>,
    pub(super) poll: u32,
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.task, self.poll)
    }
}

/// When one run is disturbed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) schedule: Schedule,
    pub(super) stop: Stop,
    pub(super) hurry: Option<Point>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stop {
    /// Before anything starts.
    First,
    At(Point),
    /// When its time is over.
    Last,
}

impl fmt::Display for Moment {
    /// As the variable for a replay takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.schedule {
            Schedule::Coarse => "coarse",
            Schedule::Fine => "fine",
        })?;
        match &self.stop {
            Stop::First => f.write_str(" first")?,
            Stop::At(point) => write!(f, " {point}")?,
            Stop::Last => f.write_str(" last")?,
        }
        self.hurry.as_ref().map_or(Ok(()), |point| write!(f, ", hurry {point}"))
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = "expected `coarse` or `fine`, a point such as `feed/send@3` (or `first`, `last`), \
                        and perhaps `, hurry store/on_stop@1`";
        let point = |text: &str| {
            let (task, poll) = text.rsplit_once('@')?;
            Some(Point { task: task.into(), poll: poll.parse().ok()? })
        };
        let parse = || {
            let (stop, hurry) = match text.trim().split_once(", hurry ") {
                Some((stop, hurry)) => (stop, Some(point(hurry)?)),
                None => (text.trim(), None),
            };
            let (schedule, stop) = stop.split_once(' ')?;
            let schedule = match schedule {
                "coarse" => Schedule::Coarse,
                "fine" => Schedule::Fine,
                _ => return None,
            };
            let stop = match stop {
                "first" => Stop::First,
                "last" => Stop::Last,
                at => Stop::At(point(at)?),
            };
            Some(Moment { schedule, stop, hurry })
        };
        parse().ok_or_else(|| expected.to_owned())
    }
}
