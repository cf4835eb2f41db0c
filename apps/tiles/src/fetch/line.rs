//! One HTTP/1.1 connection and what is asked on it, driven by whoever asks: no task beside it.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use hyper::{
    Request, Response, Version,
    body::{Body as _, Incoming},
    client::conn::http1,
    header::{CONTENT_LENGTH, TRANSFER_ENCODING},
};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use super::{body::LARGEST, request::Nothing};
use crate::{
    answer::{Broken, End},
    net::Wire,
};

/// What is read at once: most tiles with their head.
const READ: usize = 16 << 10;

/// What came, not looked into.
#[derive(Debug)]
pub(crate) struct Raw {
    pub(crate) head: hyper::http::response::Parts,
    pub(crate) body: Vec<u8>,
    pub(crate) end: End,
}

type Driver = Pin<Box<http1::Connection<TokioIo<Box<dyn Wire>>, Nothing>>>;

/// A connection for one request after another.
pub(crate) struct Line {
    sender: http1::SendRequest<Nothing>,
    /// None when it has ended: what it had received may still be there.
    driver: Option<Driver>,
    used: bool,
}

impl Line {
    pub(crate) async fn new(wire: Box<dyn Wire>) -> hyper::Result<Self> {
        let mut builder = http1::Builder::new();
        builder.read_buf_exact_size(Some(READ));
        let (sender, driver) = builder.handshake(TokioIo::new(wire)).await?;
        Ok(Self { sender, driver: Some(Box::pin(driver)), used: false })
    }

    /// Whether another request may be sent.
    pub(crate) fn is_open(&self) -> bool {
        self.driver.is_some() && !self.sender.is_closed()
    }

    /// Sends a request and takes in the whole answer; `idle` is how long nothing may come.
    pub(crate) async fn ask(&mut self, request: Request<Nothing>, idle: Duration) -> Result<Raw, Broken> {
        // One that was kept may have ended meanwhile, and then nothing was asked.
        let broken = if std::mem::replace(&mut self.used, true) { Broken::Stale } else { Broken::Reset };
        let Self { sender, driver, .. } = self;
        let answer = async {
            sender.ready().await?;
            sender.send_request(request).await
        };
        let answered = timeout(idle, beside(driver, answer)).await.map_err(|_| Broken::Timeout)?;
        let (head, body) = answered.map_err(|_| broken)?.into_parts();
        let framed = head.headers.contains_key(CONTENT_LENGTH) || head.headers.contains_key(TRANSFER_ENCODING);
        let whole = if framed || head.version > Version::HTTP_11 { End::Whole } else { End::Closed };
        let (body, end) = read(driver, body, whole, idle).await?;
        Ok(Raw { head, body, end })
    }
}

/// Reads a body to its end, or to where it was cut.
pub(crate) async fn read(
    driver: &mut Option<Driver>,
    body: Incoming,
    whole: End,
    idle: Duration,
) -> Result<(Vec<u8>, End), Broken> {
    let mut body = pin!(body);
    let hint = body.size_hint().exact().and_then(|length| usize::try_from(length).ok()).unwrap_or(READ);
    if hint > LARGEST {
        return Err(Broken::TooLarge);
    }
    let mut bytes = Vec::with_capacity(hint);
    while !body.is_end_stream() {
        let frame = beside(driver, poll_fn(|cx| body.as_mut().poll_frame(cx)));
        match timeout(idle, frame).await.map_err(|_| Broken::Timeout)? {
            None => break,
            Some(Ok(frame)) => bytes.extend_from_slice(&frame.into_data().unwrap_or_else(|_| Bytes::new())),
            Some(Err(_)) => return Ok((bytes, End::Cut)),
        }
        if bytes.len() > LARGEST {
            return Err(Broken::TooLarge);
        }
    }
    // Nothing where something was announced, or less than that, is an error of hyper's.
    Ok((bytes, whole))
}

/// Waits for a future that needs the connection to go on.
async fn beside<F: Future>(driver: &mut Option<Driver>, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|cx| {
        if let Poll::Ready(done) = future.as_mut().poll(cx) {
            return Poll::Ready(done);
        }
        let Some(running) = driver else { return Poll::Pending };
        if running.as_mut().poll(cx).is_ready() {
            *driver = None;
        }
        // It may have brought what was waited for.
        future.as_mut().poll(cx)
    })
    .await
}

/// The same for an answer whose connection is driven by a task of its own.
pub(crate) async fn answered(response: Response<Incoming>, idle: Duration) -> Result<Raw, Broken> {
    let (head, body) = response.into_parts();
    let (body, end) = read(&mut None, body, End::Whole, idle).await?;
    Ok(Raw { head, body, end })
}
