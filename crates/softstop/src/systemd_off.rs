//! Without the feature `systemd` nobody is told.

use std::{sync::Arc, time::Duration};

use crate::{machine::Time, shared::Shared};

impl Shared {
    pub(crate) fn set_starting_until(&self, _: Option<Time>) {}
}

#[derive(Clone)]
pub(crate) struct Flush;

impl Flush {
    pub(crate) fn wait(&self, _: Duration) {}
}

pub(crate) struct Notifier;

impl Notifier {
    pub(crate) fn start(_: &Arc<Shared>) -> (Self, Flush) {
        (Self, Flush)
    }

    pub(crate) fn turn(&mut self, _: &Arc<Shared>, _: Time) -> Option<Time> {
        None
    }
}
