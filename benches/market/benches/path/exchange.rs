//! An exchange in memory: frames that were made before, over a pipe.

use std::{
    io,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures_util::StreamExt;
use market::{Connect, Connection};
use tokio::{
    io::{AsyncWriteExt, DuplexStream, duplex},
    sync::Notify,
    time,
};
use tokio_tungstenite::accept_async;

pub(crate) const SYMBOL: &str = "BTCFDUSD";
/// The first aggregate of [`frames`].
pub(crate) const FIRST: u64 = 98_000_001;
/// What lies between the two sides: as much as a socket's buffers hold.
const PIPE: usize = 256 * 1024;

/// Whole messages, as a server sends them, and where each ends.
pub(crate) struct Frames {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

pub(crate) fn frames(messages: &[String]) -> Frames {
    let (mut bytes, mut ends) = (Vec::new(), Vec::with_capacity(messages.len()));
    for message in messages {
        // A text of 126 to 65,535 bytes, as RFC 6455 frames it.
        bytes.extend([0x81, 126]);
        bytes.extend(u16::try_from(message.len()).expect("a trade is short").to_be_bytes());
        bytes.extend(message.as_bytes());
        ends.push(bytes.len());
    }
    Frames { bytes, ends }
}

#[derive(Clone)]
pub(crate) struct Exchange {
    frames: Arc<Frames>,
    /// So many a second for so long; `None`: all, as fast as they are taken.
    pace: Option<(usize, Duration)>,
    /// Of each group that was sent: when, and the aggregate behind its last.
    pub(crate) sent: Arc<Mutex<Vec<(Instant, u64)>>>,
    done: Arc<Notify>,
}

impl Exchange {
    pub(crate) fn new(frames: &Arc<Frames>, pace: Option<(usize, Duration)>) -> Self {
        Self { frames: Arc::clone(frames), pace, sent: Arc::default(), done: Arc::default() }
    }

    #[expect(clippy::disallowed_methods, reason = "the other side is no part of the service that is measured")]
    pub(crate) fn connect(&self) -> Connect {
        let exchange = self.clone();
        Arc::new(move |_| {
            let (ours, theirs) = duplex(PIPE);
            tokio::task::spawn(exchange.clone().serve(theirs));
            Box::pin(std::future::ready(Ok(Box::new(ours) as Box<dyn Connection>)))
        })
    }

    /// Completes when the last frame was taken out of our hands.
    pub(crate) async fn all_sent(&self) {
        self.done.notified().await;
    }

    async fn serve(self, pipe: DuplexStream) -> io::Result<()> {
        let mut socket = accept_async(pipe).await.map_err(io::Error::other)?;
        // The subscription.
        let _ = socket.next().await;
        let out = socket.get_mut();
        match self.pace {
            None => out.write_all(&self.frames.bytes).await?,
            Some((rate, lasting)) => self.paced(out, rate, lasting).await?,
        }
        out.flush().await?;
        self.done.notify_one();
        // Until the farewell, which is answered on the way.
        while let Some(Ok(_)) = socket.next().await {}
        Ok(())
    }

    async fn paced(&self, out: &mut DuplexStream, rate: usize, lasting: Duration) -> io::Result<()> {
        let (mut every, began, mut at) = (time::interval(Duration::from_millis(1)), Instant::now(), 0);
        while began.elapsed() < lasting && at < self.frames.ends.len() {
            every.tick().await;
            let due = (began.elapsed().as_secs_f64() * rate as f64) as usize;
            let next = due.min(self.frames.ends.len());
            if next > at {
                let from = at.checked_sub(1).map_or(0, |before| self.frames.ends[before]);
                self.sent.lock().expect("nobody panics with it").push((Instant::now(), FIRST + next as u64));
                out.write_all(&self.frames.bytes[from..self.frames.ends[next - 1]]).await?;
                at = next;
            }
        }
        Ok(())
    }
}
