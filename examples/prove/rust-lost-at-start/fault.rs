//! A server that asks for signals twice: to see whether it may while it starts, and again when it serves. What comes between is lost: tokio
//! keeps the handler of the first time, and nobody listens.
#![expect(clippy::print_stdout, reason = "a program")]

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    // Only to see whether it may.
    drop(signal(SignalKind::terminate())?);
    // Fault: from here on TERM is neither obeyed nor does it end the process.
    tokio::time::sleep(Duration::from_millis(160)).await;
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    println!("ready");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    println!("stopping");
    Ok(())
}
