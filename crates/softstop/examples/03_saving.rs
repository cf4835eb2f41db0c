//! A counter whose state is saved when it stops, once, whatever ends it.
//!
//! Run it: `cargo run --example 03_saving`. Press Ctrl+C, and again after half a second.
//! The first Ctrl+C lets the task finish the step it is in (2 s); the second one cuts that short.
//! Either way the number is saved: a second Ctrl+C shortens the waiting, not the saving.

use std::{process::ExitCode, time::Duration};

fn main() -> ExitCode {
    softstop::main(|service| {
        service.component("counter", (), async |scope, ()| {
            let before = tokio::fs::read_to_string("counter.txt").await.unwrap_or_default();
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
                tokio::fs::write("counter.txt", format!("{count}\n")).await?;
                Ok(())
            });
            Ok(())
        });
        Ok(())
    })
}
