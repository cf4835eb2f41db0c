//! A tile server in memory, without a task of its own: it answers when it is read, after a time.

use std::{
    collections::BTreeMap,
    future::Future,
    io,
    path::Path,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use tempfile::TempDir;
use tiles::{
    grid::Tile,
    net::{Connect, Dialed},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

/// How long an answer takes.
const ANSWER: Duration = Duration::from_millis(7);

/// What the server was asked and has sent.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// By tile, how often it was asked for.
    pub(crate) asked: BTreeMap<Tile, u64>,
    /// Tiles and empty answers that were read to their end.
    pub(crate) served: Vec<Tile>,
}

pub(crate) type Shared = Arc<Mutex<Seen>>;

/// The bytes of a tile: as much of a PNG as is looked at.
pub(crate) fn body(tile: Tile) -> Vec<u8> {
    let text = format!("{}/{}/{}", tile.z(), tile.x(), tile.y());
    let length = u32::try_from(text.len()).unwrap().to_be_bytes();
    [b"\x89PNG\r\n\x1a\n", &length[..], b"tEXt", text.as_bytes(), b"\0\0\0\0", b"\0\0\0\0IEND\xAE\x42\x60\x82"].concat()
}

/// How a tile is answered: the one in the corner is empty, the second one is busy the first time, the third one broken.
fn answer(tile: Tile, times: u64) -> (String, Vec<u8>) {
    let head = |status: &str, length: usize| {
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nETag: \"{length}\"\r\n\r\n")
    };
    match (tile.z(), tile.x() % 4, tile.y() % 4, times) {
        (2, 0, 0, _) => (head("404 Not Found", 0), Vec::new()),
        (2, 1, 0, 1) => ("HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n".to_owned(), Vec::new()),
        (2, 2, 0, 1) => (head("500 Broken", 0), Vec::new()),
        _ => {
            let body = body(tile);
            (head("200 OK", body.len()), body)
        }
    }
}

/// A folder for a file that is written a lot: in memory, where the system has a place for that.
pub(crate) fn folder() -> io::Result<TempDir> {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }
}

/// Connections to it.
pub(crate) fn connect(seen: &Shared) -> Connect {
    let seen = Arc::clone(seen);
    Arc::new(move |_| {
        let seen = Arc::clone(&seen);
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(3)).await;
            Ok(Dialed { wire: Box::new(Wire::new(seen)), http2: false })
        })
    })
}

/// The tile that a request asks for.
pub(crate) fn asked_tile(request: &[u8]) -> Tile {
    let path = std::str::from_utf8(request).unwrap().split(' ').nth(1).unwrap();
    let numbers: Vec<u32> = path.split(['/', '.']).filter_map(|part| part.parse().ok()).collect();
    Tile::new(u8::try_from(numbers[0]).unwrap(), numbers[1], numbers[2]).unwrap()
}

struct Wire {
    seen: Shared,
    request: Vec<u8>,
    /// What is still to be read, and which tile is served with it.
    answer: Vec<u8>,
    serves: Option<Tile>,
    ready: Pin<Box<Sleep>>,
    reader: Option<std::task::Waker>,
}

impl Wire {
    fn new(seen: Shared) -> Self {
        let ready = Box::pin(sleep_until(Instant::now()));
        Self { seen, request: Vec::new(), answer: Vec::new(), serves: None, ready, reader: None }
    }

    fn take(&mut self) {
        if !self.request.ends_with(b"\r\n\r\n") {
            return;
        }
        let tile = asked_tile(&std::mem::take(&mut self.request));
        let mut seen = self.seen.lock().unwrap();
        let times = seen.asked.entry(tile).or_default();
        *times += 1;
        let (head, body) = answer(tile, *times);
        self.serves = (head.starts_with("HTTP/1.1 200") || head.starts_with("HTTP/1.1 404")).then_some(tile);
        drop(seen);
        self.answer = [head.into_bytes(), body].concat();
        self.ready.as_mut().reset(Instant::now() + ANSWER);
        self.reader.take().inspect(|waker| waker.wake_by_ref());
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.answer.is_empty() {
            self.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        if self.ready.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        // In two pieces, so that there is a moment between.
        let size = self.answer.len().min(into.remaining()).min(60);
        into.put_slice(&self.answer[..size]);
        self.answer.drain(..size);
        if self.answer.is_empty()
            && let Some(tile) = self.serves.take()
        {
            self.seen.lock().unwrap().served.push(tile);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.request.extend_from_slice(bytes);
        self.take();
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
