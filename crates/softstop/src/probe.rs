//! Where a test looks into a run, and may reach into it. Nothing is set outside of [`testing`](crate::testing).

use std::{task::Context, time::Duration};

use crate::{error::BoxError, inner::Inner};

/// What a task does instead of going on.
#[cfg_attr(not(feature = "testing"), expect(dead_code, reason = "only `testing` injects anything"))]
pub(crate) enum Injected {
    Error(BoxError),
    Panic(String),
}

/// Called from whichever thread runs a task, outside every lock.
pub(crate) trait Probe: Send + Sync {
    /// A task is about to be polled, or, without a context, a blocking job about to begin.
    fn before(&self, scope: &Inner, slot: usize, cx: Option<&mut Context<'_>>) -> Option<Injected>;

    /// The poll, or the job, is over.
    fn after(&self, scope: &Inner, slot: usize);

    /// A resource of this kind is about to be opened.
    fn open(&self, kind: &str) -> Option<BoxError>;

    /// A closing act of this kind begins: how long it is held up, and whether it fails after that.
    fn close(&self, kind: &str) -> (Duration, Option<BoxError>);

    /// In place of everything that is drawn at random.
    fn seed(&self) -> u64;
}
