//! Saves its state every 60 ms: beside the file, and then in its place, which is one call. A signal may come at any time.
#![expect(clippy::print_stdout, reason = "a program")]

use std::{fs, io, time::Duration};

use tokio::time::{Instant, interval_at};

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    fs::create_dir_all("data")?;
    let (began, every) = (Instant::now(), Duration::from_millis(60));
    let mut save = interval_at(began + every, every);
    println!("ready");
    loop {
        save.tick().await;
        fs::write("data/state.tmp", format!("{{\"up_ms\": {}}}\n", began.elapsed().as_millis()))?;
        fs::rename("data/state.tmp", "data/state.json")?;
    }
}
