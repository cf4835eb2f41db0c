//! A counter whose state is saved when it stops, once, whatever ends it.
//!
//! Run it: `cargo run --example 03_saving`. Press Ctrl+C, and again after half a second.
//! The first Ctrl+C lets the task finish the step it is in (2 s); the second one cuts that short.
//! Either way the number is saved: a second Ctrl+C shortens the waiting, not the saving.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use softstop::{Result, Service};
use tokio::fs;

fn main() -> ExitCode {
    softstop::main(|s| service(s, "counter.txt".into()))
}

pub(crate) fn service(s: &mut Service, path: PathBuf) -> Result {
    s.component("counter", (), async |scope, ()| {
        let before = fs::read_to_string(&path).await.unwrap_or_default();
        let mut count: u64 = before.trim().parse().unwrap_or(0);
        let counting = scope.spawn_with("count", async move |scope| {
            // A task that looks at the drain holds it: the stop waits until it has returned.
            while !scope.is_draining() {
                let step = tokio::time::sleep(Duration::from_secs(2));
                if scope.until_cancelled(step).await.is_none() {
                    break;
                }
                count += 1;
            }
            Ok(count)
        });
        scope.on_stop(async move |_| {
            // Every task has ended: waiting for one takes no time, and gives what it returned.
            let count = counting.await?;
            fs::write(&path, format!("{count}\n")).await?;
            Ok(())
        });
        Ok(())
    });
    Ok(())
}
