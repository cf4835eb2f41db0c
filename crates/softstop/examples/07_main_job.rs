//! A job with an end: when it has finished, the service stops with status 0.
//!
//! Run it: `SOFTSTOP_REPORT=- cargo run --example 07_main_job`. Wait, or press Ctrl+C before.
//! You see the timeline of the stop.

#![expect(clippy::print_stderr, reason = "an example talks to the person who runs it")]

use std::{process::ExitCode, time::Duration};

use softstop::{Result, Service};
use tokio::sync::mpsc;

fn main() -> ExitCode {
    softstop::main(service)
}

pub(crate) fn service(s: &mut Service) -> Result {
    let sum = s.component("sum", (), async |scope, ()| {
        let (tx, mut rx) = mpsc::channel::<u64>(8);
        let adding = scope.spawn_with("add", async move |scope| {
            let mut sum = 0;
            while let Some(n) = scope.next(rx.recv()).await {
                sum += n;
            }
            Ok(sum)
        });
        scope.on_stop(async move |end| {
            eprintln!("the sum is {} ({})", adding.await?, end.reason);
            Ok(())
        });
        Ok(tx)
    });
    let job = s.component("job", sum, async |scope, tx| {
        scope.spawn_with("count", async move |scope| {
            for n in 1..=100 {
                tx.send(n).await?;
                scope.sleep(Duration::from_millis(20)).await?;
            }
            Ok(())
        });
        Ok(())
    });
    s.options(job).main_job();
    Ok(())
}
