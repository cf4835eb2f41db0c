//! A connection that fails again and again, and is made anew after a growing pause.
//!
//! Run it: `cargo run --example 04_supervise`. Press Ctrl+C during a pause.
//! You see it end at once: the pause ends, nothing is run again, and the report notes the failure.

use std::process::ExitCode;

use softstop::{Policy, Restart};
use tokio::net::TcpStream;

fn main() -> ExitCode {
    softstop::main(|service| {
        service.component("feed", (), async |scope, ()| {
            // Port 9 on this machine: nobody listens there.
            scope.supervise("connection", Policy::Restart(Restart::forever()), async |scope| {
                let connect = TcpStream::connect("127.0.0.1:9");
                let Some(connected) = scope.until_cancelled(connect).await else { return Ok(()) };
                let stream = scope.open("connection", async { connected }, async |_| Ok(())).await?;
                scope.draining().await;
                stream.close().await
            });
            Ok(())
        });
        Ok(())
    })
}
