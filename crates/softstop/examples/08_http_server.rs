//! A small HTTP server: each connection is a task that finishes its request before it goes.
//!
//! Run it: `cargo run --example 08_http_server`, and `curl http://127.0.0.1:8008/`; press Ctrl+C
//! while a request (they take 2 s) is on its way. No new connection is taken, the answer still
//! arrives, and then the process ends.

use std::{process::ExitCode, time::Duration};

use softstop::{Result, Scope};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

fn main() -> ExitCode {
    softstop::main(|service| {
        service.component("server", (), async |scope, ()| {
            let listener = TcpListener::bind("127.0.0.1:8008").await?;
            scope.spawn_with("accept", async move |scope| {
                while let Some(accepted) =
                    scope.until_cancelled(scope.until_draining(listener.accept())).await.flatten()
                {
                    let (stream, _) = accepted?;
                    // A peer that goes away is no failure of ours.
                    scope.spawn_ignoring("connection", async move |scope| answer(&scope, stream).await);
                }
                Ok(())
            });
            Ok(())
        });
        Ok(())
    })
}

async fn answer(scope: &Scope, mut stream: TcpStream) -> Result {
    let mut request = [0; 4096];
    // Idle: go as soon as the drain begins. Busy: finish, that is what the drain is for.
    let Some(read) = scope.until_draining(stream.read(&mut request)).await else { return Ok(()) };
    if read? > 0 {
        tokio::time::sleep(Duration::from_secs(2)).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n").await?;
        stream.shutdown().await?;
    }
    Ok(())
}
