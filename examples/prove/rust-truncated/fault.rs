//! Saves its state every 60 ms. It empties the file and then writes it: a signal between the two leaves it empty.
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
        // Fault: some 10 µs lie between the two calls in here, and nothing handles a signal.
        fs::write("data/state.json", format!("{{\"up_ms\": {}}}\n", began.elapsed().as_millis()))?;
    }
}
