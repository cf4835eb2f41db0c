//! A connection that fails again and again, and is made anew after a growing pause.
//!
//! Run it: `cargo run --example 04_supervise`. Press Ctrl+C during a pause.
//! You see it end at once: the pause ends, nothing is run again, and the report notes the failure.

use std::{net::SocketAddr, process::ExitCode};

use softstop::{Policy, Restart, Result, Service};
use tokio::net::TcpStream;

fn main() -> ExitCode {
    // Port 9 on this machine: nobody listens there.
    softstop::main(|s| service(s, SocketAddr::from(([127, 0, 0, 1], 9))))
}

pub(crate) fn service(s: &mut Service, peer: SocketAddr) -> Result {
    s.component("feed", (), async move |scope, ()| {
        scope.supervise("connection", Policy::Restart(Restart::forever()), move |scope| async move {
            let connect = TcpStream::connect(peer);
            let Some(connected) = scope.until_cancelled(connect).await else { return Ok(()) };
            let stream = scope.open("connection", async { connected }, async |_| Ok(())).await?;
            scope.draining().await;
            stream.close().await
        });
        Ok(())
    });
    Ok(())
}
