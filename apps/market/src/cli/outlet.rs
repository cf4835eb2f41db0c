//! Lines that are written on a thread of their own: whoever has something to say never waits for a full pipe or a full disk.

use std::{
    io::Write as _,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

/// So many lines wait at most; at ten a second some minutes, and half a megabyte.
const WAITING: usize = 4096;

/// Where the lines go, on the outlet's thread.
pub(crate) trait Sink: Send + 'static {
    /// One line, without its end.
    fn line(&mut self, line: &str);

    /// So many lines had no room before this moment.
    fn missed(&mut self, lines: u64);
}

/// The way to the thread. Lines come in their order; when too many wait, further ones are left out and counted.
pub(crate) struct Outlet {
    lines: Mutex<Option<SyncSender<String>>>,
    missed: Arc<AtomicU64>,
    ended: Mutex<Receiver<()>>,
}

impl Outlet {
    /// Starts the thread. Where it cannot be started nothing is written.
    pub(crate) fn start(name: &str, mut sink: impl Sink) -> Self {
        let (lines, received) = sync_channel::<String>(WAITING);
        let (end, ended) = sync_channel(1);
        let missed = Arc::<AtomicU64>::default();
        let count = Arc::clone(&missed);
        let _ = thread::Builder::new().name(name.to_owned()).spawn(move || {
            for line in received {
                sink.line(&line);
                match count.swap(0, Ordering::Relaxed) {
                    0 => {}
                    missed => sink.missed(missed),
                }
            }
            let _ = end.send(());
        });
        Self { lines: Mutex::new(Some(lines)), missed, ended: Mutex::new(ended) }
    }

    /// Never waits.
    pub(crate) fn send(&self, line: String) {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.as_ref().is_some_and(|lines| lines.try_send(line).is_err()) {
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until all is written, but no longer than `limit`; what is sent later is not written.
    pub(crate) fn finish(&self, limit: Duration) {
        drop(self.lines.lock().unwrap_or_else(PoisonError::into_inner).take());
        let _ = self.ended.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(limit);
    }
}

/// Standard output; a closed one changes nothing.
pub(crate) struct Stdout {
    /// Makes a line of how many were left out.
    pub(crate) missed: fn(u64) -> String,
}

impl Sink for Stdout {
    fn line(&mut self, line: &str) {
        let _ = writeln!(std::io::stdout(), "{line}");
    }

    fn missed(&mut self, lines: u64) {
        self.line(&(self.missed)(lines));
    }
}

#[cfg(test)]
#[path = "outlet_tests.rs"]
mod tests;
