//! What `tiles get` says when all is over.

use std::path::PathBuf;

use super::{Ending, Which};
use crate::{
    answer::Class,
    fetch::Progress,
    words::{bytes, count, number, shown, span},
};

/// What is said when all is over.
pub(super) struct LastWords {
    pub(super) path: PathBuf,
    /// Whether the file is only a part of what was asked for.
    pub(super) part: bool,
    /// Whether another layout of the file would keep equal bodies once.
    pub(super) flat: bool,
    pub(super) which: Which,
}

impl LastWords {
    pub(super) fn say(&self, progress: &Progress, ending: &Ending) -> Vec<String> {
        let numbers = progress.now();
        let path = shown(&self.path);
        if numbers.wanted == 0 && !ending.finished {
            return Vec::new(); // It never began.
        }
        let safe = numbers.safe;
        let mut line = match (numbers.wanted, safe.stored + safe.unchanged + safe.empty) {
            (0, _) => {
                let empty = match numbers.empty_before {
                    0 => String::new(),
                    empty => format!(" ({} empty)", number(empty)),
                };
                format!("{} there{empty}, nothing to do", count(numbers.before, "tile"))
            }
            (_, done) => {
                let took = progress.took();
                let rate = (done as f64 / took.as_secs_f64().max(0.001)).round() as u64;
                let stored = count(safe.stored, "tile");
                format!("{stored} stored in {}, {}, {}/s", span(took), bytes(safe.bytes), number(rate))
            }
        };
        for (many, what) in [
            (safe.unchanged.saturating_sub(numbers.gone), "unchanged"),
            (safe.empty, "empty"),
            (numbers.gone, "gone at the server and kept"),
            (numbers.failures(), "failed"),
        ] {
            if many > 0 {
                line.push_str(&format!(", {} {what}", number(many)));
            }
        }
        let mut lines = Vec::new();
        let left = numbers.wanted.saturating_sub(safe.stored + safe.unchanged + safe.empty + safe.failed);
        if left > 0 {
            line.push_str(&format!("; {} to go, continue with: tiles get {path}", number(left)));
            line.push_str(match self.which {
                Which::Missing => "",
                Which::Failed => " --failed",
                Which::Stale => " --refresh",
            });
        } else if numbers.failures() > 0 {
            let classes: Vec<String> =
                numbers.failed.iter().map(|(class, many)| format!("{} {}", number(*many), class.name())).collect();
            if !classes.is_empty() {
                line.push_str(&format!(" ({})", classes.join(", ")));
            }
            let other_format = numbers.failed.get(&Class::Format).copied().unwrap_or_default();
            if other_format > 0 && other_format == numbers.failures() {
                line.push_str("; tiles of another format belong into another file");
            } else {
                line.push_str(&format!("; try those again with: tiles get {path} --failed"));
            }
        } else if numbers.missing > 0 {
            line.push_str(&format!("; {} missing, fetch them with: tiles get {path}", number(numbers.missing)));
        } else if numbers.wanted > 0 {
            line.push_str("; all there");
        }
        if self.part && ending.finished && !ending.delivered && numbers.failures() == 0 {
            line.push_str(&format!("; {path} is not made yet: tiles get {path}"));
        }
        lines.push(line);
        if self.flat && safe.bytes > 0 && safe.repeated * 5 > safe.bytes {
            let share = safe.repeated * 100 / safe.bytes;
            lines.push(format!(
                "{share} % of these bytes came more than once: `--schema dedup` in a new file would keep them once"
            ));
        }
        lines
    }
}
