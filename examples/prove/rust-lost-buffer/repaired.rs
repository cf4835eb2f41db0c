//! Writes records through a buffer, and flushes it on a stop.
#![expect(clippy::print_stdout, reason = "a program")]

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write as _},
    time::Duration,
};

use tokio::signal::unix::{SignalKind, signal};

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    fs::create_dir_all("data")?;
    // What the sender was told: it will not send this again.
    let mut accepted = File::create("data/accepted")?;
    let mut stored = BufWriter::new(File::create("data/stored")?);
    println!("ready");
    let mut every = tokio::time::interval(Duration::from_millis(2));
    for number in 1.. {
        tokio::select! {
            _ = every.tick() => {}
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
        writeln!(stored, "{number}")?;
        writeln!(accepted, "{number}")?;
    }
    // Not left to the destructor, which could not say that it failed.
    stored.flush()
}
