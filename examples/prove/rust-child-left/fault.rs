//! Starts a worker in a process group of its own, and returns from main on a stop: the worker goes on.
#![expect(clippy::print_stdout, reason = "a program")]

use std::{io, os::unix::process::CommandExt as _, process::Command};

use tokio::signal::unix::{SignalKind, signal};

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let _worker = Command::new("sleep").arg("60").process_group(0).spawn()?;
    println!("ready");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    // Fault: dropping a child of the standard library does not end it.
    Ok(())
}
