//! The WebSocket side: listening, handshakes, and the faults that come before the first message.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::{
    accept_hdr_async,
    tungstenite::{
        self,
        handshake::server::{ErrorResponse, Request, Response},
        http::{HeaderValue, StatusCode},
    },
};

use super::{
    FAREWELL, SocketFault,
    desk::{Desk, Fate},
    session::Session,
    stopped,
    wants::Wants,
    wire::Wire,
};

/// How long a client may take for its handshake.
const GREETING: Duration = Duration::from_secs(5);

pub(crate) async fn serve(
    listener: TcpListener,
    desk: Arc<Desk>,
    tls: Option<TlsAcceptor>,
    mut stop: watch::Receiver<bool>,
) {
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            Ok((stream, from)) = listener.accept() => {
                sessions.spawn(connection(stream, from, Arc::clone(&desk), tls.clone(), stop.clone()));
            }
            Some(_) = sessions.join_next() => {}
            () = stopped(&mut stop) => break,
        }
    }
    let all_gone = async { while sessions.join_next().await.is_some() {} };
    let _ = timeout(FAREWELL, all_gone).await;
}

async fn connection(
    tcp: TcpStream,
    from: SocketAddr,
    desk: Arc<Desk>,
    tls: Option<TlsAcceptor>,
    mut stop: watch::Receiver<bool>,
) {
    if desk.is_gone() {
        let _ = tcp.set_zero_linger();
        return;
    }
    let mut orders = desk.orders.subscribe();
    let fate = desk.connect(from.ip());
    if fate.handshake == Some(SocketFault::HalfOpen) {
        // Held, so that the client has to find out by itself.
        tokio::select! {
            () = stopped(&mut stop) => {}
            _ = orders.changed() => {}
        }
        return drop(tcp);
    }
    let greeted = async {
        let wire = Wire::accept(tcp, tls).await?;
        greet(wire, &desk, &fate).await
    };
    tokio::select! {
        greeted = timeout(GREETING, greeted) => {
            let Ok(Some((socket, wants))) = greeted else { return };
            let session = Session::new(socket, desk, wants, fate);
            // An error is a connection that broke: nobody is left to tell.
            let _ = session.run(stop, orders).await;
        }
        () = stopped(&mut stop) => {}
    }
}

/// The handshake; `None` if it was refused or the client gave up.
async fn greet(wire: Wire, desk: &Desk, fate: &Fate) -> Option<(super::session::Socket, Wants)> {
    let mut wants = None;
    #[expect(clippy::result_large_err, reason = "the signature is tungstenite's")]
    let route = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
        if let Some(SocketFault::Refuse(status)) = fate.handshake {
            return Err(refusal(status, "refused"));
        }
        let (path, query) = (request.uri().path(), request.uri().query());
        wants = Wants::from_address(path, query, &desk.symbols, desk.limits.streams);
        if wants.is_some() {
            return Ok(response);
        }
        Err(refusal(404, "paths are /ws/<stream> and /stream?streams=<stream>/<stream>, with at most 1024 streams"))
    };
    let socket = accept_hdr_async(wire, route).await.ok()?;
    Some((socket, wants?))
}

fn refusal(status: u16, text: &str) -> ErrorResponse {
    let mut refusal = ErrorResponse::new(Some(text.into()));
    *refusal.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let length = HeaderValue::from(text.len());
    refusal.headers_mut().insert(tungstenite::http::header::CONTENT_LENGTH, length);
    refusal
}
