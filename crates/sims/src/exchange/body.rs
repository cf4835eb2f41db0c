//! Bodies that may come slowly, stop in the middle, or be too short.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

#[derive(Debug)]
pub(crate) struct Pieces {
    left: Bytes,
    /// What Content-Length says.
    told: u64,
    /// So many bytes at a time, each after so long.
    pace: Option<(usize, Duration)>,
    wait: Option<Pin<Box<Sleep>>>,
    ending: Ending,
}

/// What comes after the last byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Fine,
    Break,
}

impl Pieces {
    pub(crate) fn new(body: String) -> Self {
        Self { told: body.len() as u64, left: body.into(), pace: None, wait: None, ending: Ending::Fine }
    }

    /// Half of it is missing, and Content-Length knows.
    pub(crate) fn truncate(&mut self) {
        self.left.truncate(self.left.len() / 2);
        self.told = self.left.len() as u64;
    }

    pub(crate) fn slow(&mut self, rate: u32) {
        let piece = (rate / 20).max(1);
        self.pace = Some((piece as usize, Duration::from_secs_f64(f64::from(piece) / f64::from(rate.max(1)))));
    }

    /// Half of it is missing, and Content-Length does not know.
    pub(crate) fn end(&mut self, ending: Ending) {
        self.left.truncate(self.left.len() / 2);
        self.ending = ending;
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.left.is_empty() {
            return Poll::Ready(match self.ending {
                Ending::Fine => None,
                Ending::Break => Some(Err(io::ErrorKind::ConnectionReset.into())),
            });
        }
        let Some((piece, pause)) = self.pace else {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.left)))));
        };
        let wait = self.wait.get_or_insert_with(|| Box::pin(sleep(Duration::ZERO)));
        ready!(wait.as_mut().poll(context));
        wait.as_mut().reset(Instant::now() + pause);
        let piece = piece.min(self.left.len());
        Poll::Ready(Some(Ok(Frame::data(self.left.split_to(piece)))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.told)
    }
}
