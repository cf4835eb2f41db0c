//! The synchronous acts of an abandoned service: all of them together have 200 ms.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use crate::shared::EmergencyHook;

/// What all emergency hooks together may take.
pub(crate) const EMERGENCY_LIMIT: Duration = Duration::from_millis(200);

/// Runs them here, each once; a panic in one stops no other.
pub(crate) fn run(hooks: Vec<(u64, EmergencyHook)>) {
    for (_, hook) in hooks {
        let _ = catch_unwind(AssertUnwindSafe(hook));
    }
}

/// Runs them on the blocking pool and waits for at most their limit.
pub(crate) async fn run_in_runtime(hooks: Vec<(u64, EmergencyHook)>) {
    if !hooks.is_empty() {
        let running = tokio::runtime::Handle::current().spawn_blocking(move || run(hooks));
        let _ = tokio::time::timeout(EMERGENCY_LIMIT, running).await;
    }
}
