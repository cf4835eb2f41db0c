//! The REST side: connections, weights, and the faults of the script.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_rustls::TlsAcceptor;

use super::{
    RequestFault,
    answers::{self, Query, Refusal},
    body::{Ending, Pieces},
    desk::{Desk, Order},
    log::Asked,
    stopped,
    weight::Verdict,
    wire::Wire,
};

type Answer = Response<Pieces>;

const USED_WEIGHT: [&str; 2] = ["x-mbx-used-weight", "x-mbx-used-weight-1m"];

pub(crate) async fn serve(
    listener: TcpListener,
    desk: Arc<Desk>,
    tls: Option<TlsAcceptor>,
    mut stop: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((stream, from)) = listener.accept() => {
                connections.spawn(connection(stream, from, Arc::clone(&desk), tls.clone()));
            }
            Some(_) = connections.join_next() => {}
            () = stopped(&mut stop) => return,
        }
    }
}

async fn connection(tcp: TcpStream, from: SocketAddr, desk: Arc<Desk>, tls: Option<TlsAcceptor>) {
    if desk.is_gone() {
        let _ = tcp.set_zero_linger();
        return;
    }
    let mut orders = desk.orders.subscribe();
    let Some(wire) = Wire::accept(tcp, tls).await else { return };
    let answer = service_fn(|request: Request<Incoming>| {
        let desk = Arc::clone(&desk);
        async move { desk.answer(&request, from.ip()).await }
    });
    let gone = async {
        // A cut of the streams does not touch requests, unless the exchange is gone.
        while orders.changed().await.is_ok() {
            if matches!(*orders.borrow_and_update(), Order::Cut(_)) && desk.is_gone() {
                return;
            }
        }
    };
    tokio::select! {
        _ = http1::Builder::new().serve_connection(TokioIo::new(wire), answer) => {}
        () = gone => {}
    }
}

impl Desk {
    /// An error breaks the connection.
    async fn answer(&self, request: &Request<Incoming>, from: IpAddr) -> io::Result<Answer> {
        let path = request.uri().path();
        let what = request.uri().path_and_query().map_or(path, |all| all.as_str()).to_owned();
        let query = Query::new(request.uri().query().unwrap_or_default(), request.headers());
        if let Some(body) = path.strip_prefix("/truth/").and_then(|kind| self.tell(kind, &query)) {
            return Ok(reply(StatusCode::OK, body));
        }
        let weight = answers::weight(path, &query);
        let (verdict, offence) = self.weights(|weights| weights.ask(from, weight, Instant::now()));
        if let Some(offence) = offence {
            self.offence(offence);
        }
        let (delay, fault) = match verdict {
            Verdict::Fine { .. } => self.strike(path, query.text("symbol").unwrap_or_default()),
            _ => (Duration::ZERO, None),
        };
        let note = |status: u16| {
            let asked = Asked { what: what.clone(), status, weight };
            self.note(|log| log.requests.push(asked));
        };
        if !delay.is_zero() {
            sleep(delay).await;
        }
        let broken = || io::Error::from(io::ErrorKind::ConnectionReset);
        let mut answer = match (verdict, fault) {
            (Verdict::Banned { wait, .. }, _) => self.banned(wait),
            (Verdict::TooMuch { wait, .. }, _) => self.too_much(wait),
            (_, Some(RequestFault::Drop)) => {
                note(0);
                return Err(broken());
            }
            (_, Some(RequestFault::Hang)) => {
                note(0);
                std::future::pending().await
            }
            (_, Some(RequestFault::Ban(time))) => {
                self.weights(|weights| weights.told_to_wait(from, Instant::now() + time, true));
                self.banned(time)
            }
            (_, Some(RequestFault::Status(code, retry))) => {
                if let Some(seconds) = retry.filter(|_| code == 429 || code == 418) {
                    let until = Instant::now() + Duration::from_secs(seconds);
                    self.weights(|weights| weights.told_to_wait(from, until, code == 418));
                }
                self.refused(code, retry)
            }
            (_, fault) => self.ordinary(request.method(), path, &query, fault),
        };
        let (Verdict::Fine { used } | Verdict::TooMuch { used, .. } | Verdict::Banned { used, .. }) = verdict;
        for name in USED_WEIGHT {
            answer.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from(used));
        }
        note(answer.status().as_u16());
        Ok(answer)
    }

    fn ordinary(&self, method: &Method, path: &str, query: &Query<'_>, fault: Option<RequestFault>) -> Answer {
        let body = if method == Method::GET { self.content(path, query, fault) } else { None };
        let (status, body) = match body {
            None => (StatusCode::NOT_FOUND, Refusal::new(-1000, "No such path.").to_json()),
            Some(Err(refusal)) => (StatusCode::BAD_REQUEST, refusal.to_json()),
            Some(Ok(body)) => (StatusCode::OK, body),
        };
        let mut answer = reply(status, body);
        match fault {
            Some(RequestFault::Truncate) => answer.body_mut().truncate(),
            Some(RequestFault::Slow(rate)) => answer.body_mut().slow(rate),
            Some(RequestFault::Break) => answer.body_mut().end(Ending::Break),
            _ => {}
        }
        answer
    }

    fn too_much(&self, wait: Duration) -> Answer {
        let text = format!(
            "Too much request weight used; current limit is {} request weight per 1 MINUTE. Please use WebSocket Streams for live updates to avoid polling the API.",
            self.limits.weight
        );
        wait_answer(StatusCode::TOO_MANY_REQUESTS, &text, wait)
    }

    fn banned(&self, wait: Duration) -> Answer {
        let until = self.tape.now_ms() + u64::try_from(wait.as_millis()).unwrap_or(u64::MAX / 2);
        let text = format!(
            "Way too much request weight used; IP banned until {until}. Please use WebSocket Streams for live updates to avoid bans."
        );
        wait_answer(StatusCode::IM_A_TEAPOT, &text, wait)
    }

    fn refused(&self, code: u16, retry: Option<u64>) -> Answer {
        let wait = Duration::from_secs(retry.unwrap_or(0));
        let mut answer = match code {
            418 => self.banned(wait),
            429 => self.too_much(wait),
            403 => Response::new(Pieces::new("<html><body><h1>403 Forbidden</h1></body></html>\n".into())),
            _ => {
                let (error, text) = match code {
                    503 => (
                        -1008,
                        "Server is currently overloaded with other requests. Please try again in a few minutes.",
                    ),
                    504 => (
                        -1007,
                        "Timeout waiting for response from backend server. Send status unknown; execution status unknown.",
                    ),
                    _ => (-1000, "An unknown error occurred while processing the request."),
                };
                reply(StatusCode::OK, Refusal::new(error, text).to_json())
            }
        };
        *answer.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        answer.headers_mut().remove(RETRY_AFTER);
        if let Some(seconds) = retry {
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        answer
    }
}

fn wait_answer(status: StatusCode, text: &str, wait: Duration) -> Answer {
    let mut answer = reply(status, json!({ "code": -1003, "msg": text }).to_string());
    // Whole seconds, never too few.
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    answer
}

fn reply(status: StatusCode, body: String) -> Answer {
    let mut response = Response::new(Pieces::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json;charset=UTF-8"));
    response
}
