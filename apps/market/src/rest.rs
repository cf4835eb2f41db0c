//! Asks the exchange over HTTP: each client has one connection that is kept, and one request at a time with a time limit. All of them
//! together keep within one budget.

use std::{
    fmt,
    future::Future,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
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
    budget::{Budget, Purpose},
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

/// When the exchange may be asked: one for all clients of the process.
#[derive(Clone)]
pub(crate) struct Allowance {
    begun: Instant,
    /// Never held across an await.
    budget: Arc<Mutex<Budget>>,
}

/// A request that is on its way, for as long as it lives.
struct Asked<'a>(&'a Allowance, u32);

impl Allowance {
    pub(crate) fn new() -> Self {
        Self { begun: Instant::now(), budget: Arc::new(Mutex::new(Budget::new())) }
    }

    /// What the exchange says it allows in a minute.
    pub(crate) fn allows(&self, per_minute: u32) {
        self.budget().allows(per_minute);
    }

    /// How long a request has to wait.
    pub(crate) fn wait(&self, weight: u32, purpose: Purpose) -> Duration {
        self.budget().wait(weight, purpose, self.begun.elapsed())
    }

    fn budget(&self) -> MutexGuard<'_, Budget> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a request, or says how long it has to wait: in one step, for others may ask as well.
    fn ask(&self, weight: u32, purpose: Purpose) -> Result<Asked<'_>, Duration> {
        let (mut budget, now) = (self.budget(), self.begun.elapsed());
        match budget.wait(weight, purpose, now) {
            Duration::ZERO => {
                budget.asked(weight, now);
                Ok(Asked(self, weight))
            }
            wait => Err(wait),
        }
    }

    fn answered(&self, limits: Limits, refusal: Option<&Refusal>) {
        self.budget().answered(limits, refusal, self.begun.elapsed(), wall_ms());
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.0.budget().ended(self.1);
    }
}

/// Milliseconds since 1970, by the clock of this machine.
pub(crate) fn wall_ms() -> i64 {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    i64::try_from(wall).unwrap_or(i64::MAX)
}

/// The way to the REST side of an exchange, within the allowance that it shares with others.
pub(crate) struct Client {
    to: Address,
    connect: Connect,
    limit: Duration,
    pub(crate) allowance: Allowance,
    open: Option<Open>,
}

/// The connection, and what keeps it going while somebody waits for an answer.
struct Open {
    send: SendRequest<Empty<Bytes>>,
    run: Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>,
}

/// Status, what it says of limits, and body.
type Answer = (u16, Limits, String);

/// Why there is no answer.
struct Unanswered {
    /// Something of it came, or the request cannot be made.
    begun: bool,
    why: String,
}

impl Client {
    pub(crate) fn new(to: Address, connect: Connect, limit: Duration, allowance: Allowance) -> Self {
        Self { to, connect, limit, allowance, open: None }
    }

    /// Waits until the budget allows it, asks, and returns the body of the answer.
    ///
    /// # Cancel safety
    /// Dropped, the connection is closed with it if the request was on its way.
    pub(crate) async fn get(&mut self, path: &str, weight: u32, purpose: Purpose) -> Result<String, Trouble> {
        let allowance = self.allowance.clone();
        let asked = loop {
            match allowance.ask(weight, purpose) {
                Ok(asked) => break asked,
                Err(wait) => sleep(wait).await,
            }
        };
        let answer = timeout(self.limit, self.ask(path)).await;
        drop(asked);
        let answer = answer.unwrap_or_else(|_| Err(format!("no answer from {} within {:?}", self.to, self.limit)));
        let (status, limits, body) = answer.map_err(|why| {
            self.open = None;
            Trouble::Unanswered(why)
        })?;
        let refusal = refusal(status, limits, &body);
        allowance.answered(limits, refusal.as_ref());
        refusal.map_or(Ok(body), |refusal| Err(Trouble::Refused(refusal)))
    }

    async fn ask(&mut self, path: &str) -> Result<Answer, String> {
        // Taken out: if this future is dropped half-way, what is left of the answer must not be read as that of the next request.
        if let Some(kept) = self.open.take().filter(|open| !open.send.is_closed()) {
            match self.ask_by(kept, path).await {
                // The exchange has closed what was idle for long. Every request can be made once more.
                Err(Unanswered { begun: false, .. }) => {}
                answer => return answer.map_err(|unanswered| unanswered.why),
            }
        }
        let fresh = open(&self.to, &self.connect).await;
        let fresh = fresh.map_err(|why| format!("cannot connect to {}: {why}", self.to))?;
        self.ask_by(fresh, path).await.map_err(|unanswered| unanswered.why)
    }

    /// Asks by this connection, and keeps it.
    async fn ask_by(&mut self, open: Open, path: &str) -> Result<Answer, Unanswered> {
        let begun = AtomicBool::new(false);
        let request = Request::get(path)
            .header(HOST, self.to.authority())
            .body(Empty::new())
            .map_err(|error| Unanswered { begun: true, why: error.to_string() })?;
        let Open { mut send, mut run } = open;
        let (answer, run) = {
            let mut answer = pin!(async {
                let response: Response<Incoming> = send.send_request(request).await?;
                begun.store(true, Ordering::Relaxed);
                let (head, body) = response.into_parts();
                let names =
                    head.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap_or_default()));
                let limits = limits(names);
                let body = Limited::new(body, LONGEST_ANSWER).collect().await?.to_bytes();
                Ok::<_, softstop::BoxError>((head.status.as_u16(), limits, body))
            });
            tokio::select! { biased;
                answer = &mut answer => (answer, Some(run)),
                // The answer may be in it all the same: a connection may end with it.
                ended = &mut run => {
                    // It holds a request that it has not taken.
                    drop(run);
                    (answer.await.map_err(|error| ended.err().map_or(error, Into::into)), None)
                }
            }
        };
        let (status, limits, body) = answer.map_err(|error| Unanswered {
            begun: begun.load(Ordering::Relaxed),
            why: format!("no answer from {}: {error}", self.to),
        })?;
        self.open = run.map(|run| Open { send, run });
        let body = String::from_utf8(body.to_vec())
            .map_err(|_| Unanswered { begun: true, why: format!("{} answered what is no text", self.to) })?;
        Ok((status, limits, body))
    }
}

async fn open(to: &Address, connect: &Connect) -> Result<Open, softstop::BoxError> {
    let stream = connect(to).await?;
    let (send, run) = handshake(TokioIo::new(stream)).await?;
    Ok(Open { send, run: Box::pin(run) })
}

#[cfg(test)]
#[path = "rest_tests.rs"]
mod tests;
