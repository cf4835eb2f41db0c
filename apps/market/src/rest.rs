//! Asks the exchange over HTTP: one connection that is kept, one request at a time, each with a time limit.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{
    Request, Response,
    body::Incoming,
    client::conn::http1::{SendRequest, handshake},
    header::HOST,
};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, sleep, timeout};

use crate::{
    Address, Connect,
    budget::Budget,
    wire::{
        LONGEST_ANSWER,
        rest::{Limits, Refusal, limits, refusal},
    },
};

/// What did not work.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// No answer: the connection could not be made or broke, or time was over.
    Unanswered(String),
    /// An answer that refuses.
    Refused(Refusal),
    /// An answer that cannot be read.
    Unreadable(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unanswered(why) => f.write_str(why),
            Self::Refused(refusal) => write!(f, "refused: {refusal:?}"),
            Self::Unreadable(why) => write!(f, "an answer that cannot be read: {why}"),
        }
    }
}

/// The way to the REST side of an exchange.
pub(crate) struct Client {
    to: Address,
    connect: Connect,
    limit: Duration,
    budget: Budget,
    begun: Instant,
    open: Option<Open>,
}

/// The connection, and what keeps it going while somebody waits for an answer.
struct Open {
    send: SendRequest<Empty<Bytes>>,
    run: Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>,
}

impl Client {
    pub(crate) fn new(to: Address, connect: Connect, limit: Duration) -> Self {
        Self { to, connect, limit, budget: Budget::new(), begun: Instant::now(), open: None }
    }

    pub(crate) fn allows(&mut self, per_minute: u32) {
        self.budget.allows(per_minute);
    }

    /// Waits until the budget allows it, asks, and returns the body of the answer.
    ///
    /// # Cancel safety
    /// Dropped, the connection is closed with it if the request was on its way.
    pub(crate) async fn get(&mut self, path: &str, weight: u32) -> Result<String, Trouble> {
        loop {
            match self.budget.wait(weight, self.begun.elapsed()) {
                Duration::ZERO => break,
                wait => sleep(wait).await,
            }
        }
        self.budget.asked(weight, self.begun.elapsed());
        let answer = timeout(self.limit, self.ask(path)).await;
        let answer = answer.unwrap_or_else(|_| Err(format!("no answer from {} within {:?}", self.to, self.limit)));
        let (status, limits, body) = answer.map_err(|why| {
            self.open = None;
            Trouble::Unanswered(why)
        })?;
        let refusal = refusal(status, limits, &body);
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let wall = i64::try_from(wall).unwrap_or(i64::MAX);
        self.budget.answered(limits, refusal.as_ref(), self.begun.elapsed(), wall);
        refusal.map_or(Ok(body), |refusal| Err(Trouble::Refused(refusal)))
    }

    async fn ask(&mut self, path: &str) -> Result<(u16, Limits, String), String> {
        // Taken out: if this future is dropped half-way, what is left of the answer must not be read as that of the next request.
        let mut open = match self.open.take().filter(|open| !open.send.is_closed()) {
            Some(open) => open,
            None => {
                open(&self.to, &self.connect).await.map_err(|why| format!("cannot connect to {}: {why}", self.to))?
            }
        };
        let request = Request::get(path)
            .header(HOST, self.to.authority())
            .body(Empty::new())
            .map_err(|error| error.to_string())?;
        let Open { send, run } = &mut open;
        let answer = async {
            let response: Response<Incoming> = send.send_request(request).await?;
            let (head, body) = response.into_parts();
            let names = head.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap_or_default()));
            let limits = limits(names);
            let body = Limited::new(body, LONGEST_ANSWER).collect().await?.to_bytes();
            Ok::<_, softstop::BoxError>((head.status.as_u16(), limits, body))
        };
        let (status, limits, body) = tokio::select! { biased;
            answer = answer => answer,
            // It may end before the answer was taken out of it; then nothing more comes.
            ended = run => Err(ended.map_or_else(Into::into, |()| "the connection was closed".into())),
        }
        .map_err(|error| format!("no answer from {}: {error}", self.to))?;
        self.open = Some(open);
        let body = String::from_utf8(body.to_vec()).map_err(|_| format!("{} answered what is no text", self.to))?;
        Ok((status, limits, body))
    }
}

async fn open(to: &Address, connect: &Connect) -> Result<Open, softstop::BoxError> {
    let stream = connect(to).await?;
    let (send, run) = handshake(TokioIo::new(stream)).await?;
    Ok(Open { send, run: Box::pin(run) })
}
