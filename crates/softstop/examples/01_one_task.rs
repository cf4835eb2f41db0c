//! One component with one task that sleeps in a loop.
//!
//! Run it: `cargo run --example 01_one_task`. Press Ctrl+C.
//! You see the stop begin at once, and end at once: the sleep ends early, nobody waits for it.

use std::{process::ExitCode, time::Duration};

use softstop::{Result, Service};

fn main() -> ExitCode {
    softstop::main(service)
}

pub(crate) fn service(s: &mut Service) -> Result {
    s.component("ticker", (), async |scope, ()| {
        scope.spawn_with("tick", async |scope| {
            while scope.sleep(Duration::from_secs(60)).await.is_ok() {}
            Ok(())
        });
        Ok(())
    });
    Ok(())
}
