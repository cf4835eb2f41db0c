//! A small HTTP server: each connection is a task that finishes its request before it goes.
//!
//! Run it: `cargo run --example 08_http_server`, and `curl http://127.0.0.1:8008/`; press Ctrl+C
//! while a request (they take 2 s) is on its way. No new connection is taken, the answer still
//! arrives, and then the process ends. A second Ctrl+C answers 503 at once.

use std::{net::TcpListener as StdListener, process::ExitCode, time::Duration};

use softstop::{Result, Scope, Service};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

fn main() -> ExitCode {
    softstop::main(|s| service(s, StdListener::bind("127.0.0.1:8008")?))
}

pub(crate) fn service(s: &mut Service, listener: StdListener) -> Result {
    s.component("server", (), async |scope, ()| {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        scope.spawn_with("accept", async move |scope| {
            while let Some(accepted) = scope.until_cancelled(scope.until_draining(listener.accept())).await.flatten() {
                let (stream, _) = accepted?;
                // A peer that goes away is no failure of ours.
                scope.spawn_ignoring("connection", async move |scope| answer(&scope, stream).await);
            }
            Ok(())
        });
        Ok(())
    });
    Ok(())
}

async fn answer(scope: &Scope, mut stream: TcpStream) -> Result {
    let mut request = [0; 4096];
    // Idle: go as soon as the drain begins. Busy: finish, that is what the drain is for.
    let Some(read) = scope.until_draining(stream.read(&mut request)).await else { return Ok(()) };
    if read? > 0 {
        let work = scope.until_cancelled(tokio::time::sleep(Duration::from_secs(2)));
        let answer: &[u8] = match work.await {
            Some(()) => b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n",
            // Somebody hurries.
            None => b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        };
        stream.write_all(answer).await?;
        stream.shutdown().await?;
    }
    Ok(())
}
