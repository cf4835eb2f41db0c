//! The few error types of the library.

use std::{borrow::Cow, fmt};

use crate::{Outcome, Reason};

/// Any error that can cross threads; what the functions of a component return.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A result whose error is a [`BoxError`] unless stated otherwise.
pub type Result<T = (), E = BoxError> = std::result::Result<T, E>;

/// The scope was told to stop, for this reason.
///
/// Pass it on with `?`: a task that was told and returns an error with a `Stopping` in its source
/// chain counts as cancelled, not as failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopping(pub Reason);

impl fmt::Display for Stopping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stopping: {}", self.0)
    }
}

impl std::error::Error for Stopping {}

impl Stopping {
    pub(crate) fn is_in(error: &(dyn std::error::Error + 'static)) -> bool {
        std::iter::successors(Some(error), |e| e.source()).any(<dyn std::error::Error>::is::<Self>)
    }
}

/// A resource was opened after its scope had begun to close; it was closed at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopeClosed {
    /// What was to be opened, as named in `open`.
    pub kind: Cow<'static, str>,
    /// The scope, by its component's name and those of the nested scopes within.
    pub scope: String,
}

impl fmt::Display for ScopeClosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot keep `{}` open: scope `{}` is closing its resources", self.kind, self.scope)
    }
}

impl std::error::Error for ScopeClosed {}

/// The future was not run: its scope takes no more tasks. Nothing of it has been polled.
pub struct Refused<F> {
    /// What was to be run, untouched.
    pub future: F,
    /// Why the scope takes no more tasks.
    pub reason: Reason,
}

impl<F> fmt::Debug for Refused<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refused").field("reason", &self.reason).finish_non_exhaustive()
    }
}

impl<F> fmt::Display for Refused<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the scope takes no more tasks: {}", self.reason)
    }
}

impl<F> std::error::Error for Refused<F> {}

/// A task that did not return `Ok`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskError {
    /// The task's name.
    pub task: Cow<'static, str>,
    /// How it ended instead.
    pub outcome: Outcome,
    /// Its error with the causes, or the panic's text; empty where there is none.
    pub message: String,
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task `{}` {}", self.task, self.outcome)?;
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for TaskError {}

/// The error and its causes on one line.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let parts: Vec<String> = std::iter::successors(Some(error), |e| e.source()).map(ToString::to_string).collect();
    parts.join(": ")
}
