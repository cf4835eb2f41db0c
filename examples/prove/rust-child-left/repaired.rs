//! Starts a worker in a process group of its own, and ends it on a stop.
#![expect(clippy::print_stdout, reason = "a program")]

use std::{io, os::unix::process::CommandExt as _, process::Command};

use tokio::signal::unix::{SignalKind, signal};

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut worker = Command::new("sleep").arg("60").process_group(0).spawn()?;
    println!("ready");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    worker.kill()?;
    worker.wait()?;
    Ok(())
}
