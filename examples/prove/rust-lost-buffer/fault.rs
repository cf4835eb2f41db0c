//! Writes records through a buffer, and leaves by `exit` on a stop: no destructor runs, and what is in the buffer is lost.
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
            _ = terminate.recv() => leave(),
            _ = interrupt.recv() => leave(),
        }
        writeln!(stored, "{number}")?;
        writeln!(accepted, "{number}")?;
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the planted fault")]
fn leave() {
    // Fault: the buffer is never flushed.
    std::process::exit(0);
}
