//! Without the features that run code of the program's own for events there is nothing to do.

use std::{sync::Arc, time::Duration};

use crate::{events::Observers, shared::Shared};

#[derive(Default)]
pub(crate) struct Outlet(());

pub(crate) struct PuttingOut;

impl Outlet {
    pub(crate) fn observers(&self) -> Observers {
        Observers::default()
    }

    pub(crate) fn start(_: &Arc<Shared>) -> PuttingOut {
        PuttingOut
    }

    pub(crate) async fn finish(&self, PuttingOut: PuttingOut, _: Duration) {}

    pub(crate) fn drain(&self, _: &Shared) {}
}
