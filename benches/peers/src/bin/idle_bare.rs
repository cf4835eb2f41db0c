//! The same with tokio alone: one task that waits, and a `main` that returns at SIGTERM.

use std::{
    future::pending,
    io::{Result, Write},
};

use tokio::{
    runtime::{Builder, Handle},
    signal::unix::{SignalKind, signal},
};

fn main() -> Result<()> {
    Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let mut terminated = signal(SignalKind::terminate())?;
        Handle::current().spawn(pending::<()>());
        writeln!(std::io::stdout(), "ready")?;
        terminated.recv().await;
        Ok(())
    })
}
