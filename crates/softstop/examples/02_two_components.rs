//! A feed that sends numbers and a sink that writes them to a file: the feed stops first, the sink
//! empties its channel, and then its file is synced and closed.
//!
//! Run it: `cargo run --example 02_two_components`. Press Ctrl+C.
//! You see one line at once and one line at the end; `ticks.log` holds every number that was sent.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use softstop::{Result, Service};
use tokio::{fs::File, io::AsyncWriteExt, sync::mpsc};

fn main() -> ExitCode {
    softstop::main(|s| service(s, "ticks.log".into()))
}

pub(crate) fn service(s: &mut Service, path: PathBuf) -> Result {
    let sink = s.component("sink", (), async |scope, ()| {
        let file = File::create(path);
        let mut file = scope.open("file", file, async |f: File| Ok(f.sync_all().await?)).await?;
        let (tx, mut rx) = mpsc::channel::<u64>(64);
        scope.spawn_with("write", async move |scope| {
            while let Some(n) = scope.next(rx.recv()).await {
                file.write_all(format!("{n}\n").as_bytes()).await?;
            }
            file.flush().await?;
            file.close().await
        });
        Ok(tx)
    });
    s.component("feed", sink, async |scope, tx| {
        scope.spawn_with("tick", async move |scope| {
            for n in 0.. {
                tx.send(n).await?;
                if scope.sleep(Duration::from_millis(100)).await.is_err() {
                    break;
                }
            }
            Ok(())
        });
        Ok(())
    });
    Ok(())
}
