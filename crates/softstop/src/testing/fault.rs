//! What can be made to go wrong, by name.

use std::{fmt, time::Duration};

/// Something that goes wrong, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub(super) what: What,
    pub(super) name: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    OpenFails(Option<u32>),
    CloseTakes(Duration),
    CloseFails,
    TaskFails(u32),
    TaskPanics(u32),
}

impl Fault {
    pub(super) fn new(what: What, name: impl Into<String>) -> Self {
        Self { what, name: name.into() }
    }

    /// Every opening of this kind of resource fails.
    pub fn open_fails(kind: impl Into<String>) -> Self {
        Self::new(What::OpenFails(None), kind)
    }

    /// The `nth` opening of this kind fails, counted from 1 over the whole service.
    pub fn nth_open_fails(kind: impl Into<String>, nth: u32) -> Self {
        Self::new(What::OpenFails(Some(nth)), kind)
    }

    /// Every closing act of this kind takes longer by so much.
    pub fn close_takes(kind: impl Into<String>, longer: Duration) -> Self {
        Self::new(What::CloseTakes(longer), kind)
    }

    /// Every closing act of this kind is carried out and says that it failed.
    pub fn close_fails(kind: impl Into<String>) -> Self {
        Self::new(What::CloseFails, kind)
    }

    /// Instead of its poll number `poll` (from 1) the task returns an error. `task` is `component/task`, as in reports; `#2` after it
    /// means the second one of this name. The start of a component is `component/start`, its hook `component/on_stop`.
    pub fn task_fails(task: impl Into<String>, poll: u32) -> Self {
        Self::new(What::TaskFails(poll), task)
    }

    /// Instead of its poll number `poll` the task panics.
    pub fn task_panics(task: impl Into<String>, poll: u32) -> Self {
        Self::new(What::TaskPanics(poll), task)
    }

    pub(super) fn fails(&self) -> bool {
        !matches!(self.what, What::CloseTakes(_))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match &self.what {
            What::OpenFails(None) => write!(f, "opening `{name}` fails"),
            What::OpenFails(Some(nth)) => write!(f, "opening `{name}` number {nth} fails"),
            What::CloseTakes(longer) => write!(f, "closing `{name}` takes {longer:?} longer"),
            What::CloseFails => write!(f, "closing `{name}` fails"),
            What::TaskFails(poll) => write!(f, "poll {poll} of `{name}` fails"),
            What::TaskPanics(poll) => write!(f, "poll {poll} of `{name}` panics"),
        }
    }
}
