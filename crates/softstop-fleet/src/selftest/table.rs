//! What was found, as a table for people and as JSON between two of our own processes.

use std::{fmt, io::Write, time::Duration};

use serde_json::{Value, json};

use super::{Pattern, Selftest, Trial, Tried, User};
use crate::process::{Level, StartError};

impl fmt::Display for Selftest {
    /// A table for each user: a line for each way to escape, a column for each level.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for user in &self.users {
            writeln!(f, "{}", user.who())?;
            let here: Vec<&Tried> = user.levels.iter().filter(|tried| tried.refused.is_none()).collect();
            write!(f, "  {:42}", "processes left after (ms)")?;
            here.iter().try_for_each(|tried| write!(f, "{:>18}", tried.level))?;
            writeln!(f)?;
            for (index, trial) in here.first().map(|tried| &tried.trials).into_iter().flatten().enumerate() {
                write!(f, "  {:42}", trial.name())?;
                let cells = here.iter().filter_map(|tried| Some(tried.trials.get(index)?.cell(tried.level)));
                cells.into_iter().try_for_each(|cell| write!(f, "{cell:>18}"))?;
                writeln!(f)?;
            }
            write!(f, "  {:42}", "start of `true`, start to end (ms)")?;
            here.iter().try_for_each(|tried| write!(f, "{:>18}", tried.times()))?;
            writeln!(f)?;
            for tried in &user.levels {
                if let Some(refused) = &tried.refused {
                    writeln!(f, "  no {}: {refused}", tried.level)?;
                }
            }
            writeln!(f)?;
        }
        writeln!(f, "* not promised by this level")?;
        write!(f, "{}", if self.passes() { "passed: nobody escaped where nobody may" } else { "FAILED" })
    }
}

impl User {
    fn who(&self) -> String {
        if self.uid == 0 { "as root".to_owned() } else { format!("as an ordinary user ({})", self.uid) }
    }
}

impl Tried {
    fn times(&self) -> String {
        let ms = |time: Duration| format!("{:.1}", time.as_secs_f64() * 1000.0);
        self.start.map_or_else(|| "-".to_owned(), |(started, all)| format!("{}, {}", ms(started), ms(all)))
    }
}

impl Trial {
    fn name(&self) -> String {
        let name = self.pattern.name();
        if self.watcher_killed { format!("kill -9 of us: {name}") } else { name.to_owned() }
    }

    fn cell(&self, level: Level) -> String {
        if let Some(failed) = &self.failed {
            return failed.clone();
        }
        let star = if self.is_promised(level) { "" } else { "*" };
        let after = self.took.map(|took| format!(" ({:.0})", took.as_secs_f64() * 1000.0)).unwrap_or_default();
        format!("{}{star}{after}", self.left)
    }
}

/// Written by the process that has become an ordinary user.
pub(super) fn write(user: &Result<User, StartError>) {
    let Ok(user) = user else { return };
    let micros = |time: Option<Duration>| time.map(|time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    let trial = |trial: &Trial| {
        json!({
            "pattern": trial.pattern.name(), "watcher_killed": trial.watcher_killed, "left": trial.left,
            "took_us": micros(trial.took), "failed": trial.failed,
        })
    };
    let tried = |tried: &Tried| {
        json!({
            "level": tried.level.name(), "refused": tried.refused,
            "trials": tried.trials.iter().map(trial).collect::<Vec<_>>(),
            "started_us": micros(tried.start.map(|start| start.0)), "all_us": micros(tried.start.map(|start| start.1)),
        })
    };
    let levels: Vec<Value> = user.levels.iter().map(tried).collect();
    let _ = writeln!(std::io::stdout(), "{}", json!({ "uid": user.uid, "levels": levels }));
}

/// None if it is not what [`write`] has written: that process has failed.
pub(super) fn read(text: &str) -> Option<User> {
    let user: Value = serde_json::from_str(text).ok()?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let micros = |value: &Value| value.as_u64().map(Duration::from_micros);
    let trial = |trial: &Value| {
        let pattern = Pattern::ALL.into_iter().find(|pattern| trial["pattern"] == pattern.name())?;
        Some(Trial {
            pattern,
            watcher_killed: trial["watcher_killed"].as_bool()?,
            left: usize::try_from(trial["left"].as_u64()?).ok()?,
            took: micros(&trial["took_us"]),
            failed: text(&trial["failed"]),
        })
    };
    let tried = |tried: &Value| {
        let level = Level::ALL.into_iter().find(|level| tried["level"] == level.name())?;
        Some(Tried {
            level,
            trials: tried["trials"].as_array()?.iter().map(trial).collect::<Option<_>>()?,
            start: micros(&tried["started_us"]).zip(micros(&tried["all_us"])),
            refused: text(&tried["refused"]),
        })
    };
    let levels = user["levels"].as_array()?.iter().map(tried).collect::<Option<_>>()?;
    Some(User { uid: u32::try_from(user["uid"].as_u64()?).ok()?, levels })
}
