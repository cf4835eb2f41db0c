//! A pipeline inside one component: the reader has a nested scope, so that it can be stopped first.
//!
//! Run it: `cargo run --example 06_nested`. Press Ctrl+C.
//! The reader stops, its sender is dropped, and the channels close one after the other: the parser
//! has emptied its channel before the writer has, and every line that was read is written.

#![expect(clippy::print_stderr, reason = "an example talks to the person who runs it")]

use std::{process::ExitCode, time::Duration};

use softstop::{Limits, Result, Service};
use tokio::sync::mpsc;

fn main() -> ExitCode {
    softstop::main(service)
}

pub(crate) fn service(s: &mut Service) -> Result {
    s.component("pipeline", (), async |scope, ()| {
        let (lines, mut to_parse) = mpsc::channel::<String>(16);
        let (numbers, mut to_write) = mpsc::channel::<usize>(16);
        let reader = scope.nested("reader");
        let reading = lines.clone();
        reader.spawn("read", async move {
            for n in 0_u64.. {
                reading.send("x".repeat(n as usize % 80)).await?;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Ok(())
        });
        // These two end when their channel closes, or when they are cancelled.
        let parsing = scope.spawn_with("parse", async move |scope| {
            while let Some(Some(line)) = scope.until_cancelled(to_parse.recv()).await {
                tokio::time::sleep(Duration::from_millis(6)).await;
                // Hurried, all of them are told at once, and the writer may have gone first.
                if numbers.send(line.len()).await.is_err() {
                    break;
                }
            }
            Ok(())
        });
        let writing = scope.spawn_with("write", async move |scope| {
            let mut written = 0_u64;
            while let Some(Some(_)) = scope.until_cancelled(to_write.recv()).await {
                written += 1;
            }
            Ok(written)
        });
        // This one holds the drain until the last of them has ended.
        scope.spawn_with("in order", async move |scope| {
            scope.draining().await;
            reader.stop(Limits::default()).await;
            drop(lines);
            parsing.await?;
            eprintln!("wrote {} lines", writing.await?);
            Ok(())
        });
        Ok(())
    });
    Ok(())
}
