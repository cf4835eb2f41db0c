//! Listening, and what becomes of a connection until it is known what is spoken on it.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{sleep, sleep_until, timeout},
};
use tokio_rustls::TlsAcceptor;

use super::{
    desk::Desk,
    h1, h2,
    link::{Link, Wire},
    script::Site,
};

/// How long connections may take to end once the origin is stopped.
const FAREWELL: Duration = Duration::from_secs(1);
/// How long a client may take to say what it speaks.
const GREETING: Duration = Duration::from_secs(10);
/// How long to wait before what the system refused is tried again.
const OUT_OF_FILES: Duration = Duration::from_millis(10);
/// Connections that wait to be accepted; more than the clients of one machine open at once.
const BACKLOG: u32 = 1024;

/// A port that stays this origin's while nobody listens on it.
#[derive(Debug)]
pub(crate) struct Port {
    at: SocketAddr,
    /// Bound and never listened on: a connection to it is refused, and nobody else is given its number.
    _kept: TcpSocket,
}

impl Port {
    pub(crate) fn bind(at: SocketAddr) -> io::Result<Self> {
        // Ports that may be shared are bound a second time without a word, so it is first asked for as one that may not.
        if at.port() != 0 {
            socket(at, false)?.listen(1).map_err(|error| named(at, error))?;
        }
        let kept = socket(at, true)?;
        Ok(Self { at: kept.local_addr()?, _kept: kept })
    }

    pub(crate) fn at(&self) -> SocketAddr {
        self.at
    }

    pub(crate) fn listen(&self) -> io::Result<TcpListener> {
        socket(self.at, true)?.listen(BACKLOG)
    }
}

fn named(at: SocketAddr, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot listen on {at}: {error}"))
}

fn socket(at: SocketAddr, shared: bool) -> io::Result<TcpSocket> {
    let named = |error| named(at, error);
    let socket = if at.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.map_err(named)?;
    socket.set_reuseaddr(true).map_err(named)?;
    socket.set_reuseport(shared).map_err(named)?;
    socket.bind(at).map_err(named)?;
    Ok(socket)
}

/// What every connection to one host gets.
#[derive(Clone)]
pub(crate) struct Host {
    pub(crate) desk: Arc<Desk>,
    pub(crate) site: Site,
    pub(crate) tls: Option<TlsAcceptor>,
    /// Whether HTTP/2 is understood.
    pub(crate) http2: bool,
    pub(crate) stop: watch::Receiver<bool>,
}

/// Serves one host until the origin is stopped; `listener` listens on `port`.
pub(crate) async fn serve(port: Port, mut listener: TcpListener, host: Host, mut gone: watch::Receiver<bool>) {
    let mut stop = host.stop.clone();
    loop {
        let mut connections = JoinSet::new();
        tokio::select! {
            () = accept(listener, &host, &mut connections) => {}
            () = turns(&mut gone, true) => connections.shutdown().await,
            () = turns(&mut stop, true) => {
                let all_gone = async { while connections.join_next().await.is_some() {} };
                let _ = timeout(FAREWELL, all_gone).await;
                return;
            }
        }
        tokio::select! {
            again = back(&port, &mut gone) => listener = again,
            () = turns(&mut stop, true) => return,
        }
    }
}

async fn back(port: &Port, gone: &mut watch::Receiver<bool>) -> TcpListener {
    turns(gone, false).await;
    loop {
        match port.listen() {
            Ok(listener) => return listener,
            Err(_) => sleep(OUT_OF_FILES).await,
        }
    }
}

/// Completes when it says so; never, once nobody is left to say it.
async fn turns(watched: &mut watch::Receiver<bool>, to: bool) {
    if watched.wait_for(|now| *now == to).await.is_err() {
        std::future::pending().await
    }
}

/// Never returns; dropped, it no longer listens.
async fn accept(listener: TcpListener, host: &Host, connections: &mut JoinSet<()>) {
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(connections.spawn(connection(stream, host.clone()))),
                Err(_) => sleep(OUT_OF_FILES).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, host: Host) {
    let Host { desk, site, tls, http2, stop } = host;
    let connected = desk.journal.connect(site);
    let rules = desk.connections();
    let turned_away = site == Site::Main && rules.at_most.is_some_and(|most| connected.open > most);
    if turned_away && !rules.over_is_503 {
        return stream.reset();
    }
    let _ = stream.set_nodelay(true);
    let link = Arc::new(Link { desk, site, connected, turned_away, stop });
    let farewell = async {
        link.stopped().await;
        sleep(FAREWELL).await;
    };
    tokio::select! {
        () = speak(stream, tls, http2, Arc::clone(&link)) => {}
        () = farewell => {}
    }
}

async fn speak(mut stream: TcpStream, tls: Option<TlsAcceptor>, http2: bool, link: Arc<Link>) {
    let Some(tls) = tls else {
        let mut first = Vec::new();
        let greeting = timeout(GREETING, greeting(&mut stream, &mut first));
        tokio::select! {
            _ = greeting => {}
            () = link.stopped() => return,
        }
        return if http2 && first.starts_with(h2::PREFACE) {
            h2::serve(stream, &first, link).await;
        } else {
            h1::serve(stream, first, &link).await;
        };
    };
    let Ok(Ok(stream)) = timeout(GREETING, tls.accept(stream)).await else { return };
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        h2::serve(stream, &[], link).await;
    } else {
        h1::serve(stream, Vec::new(), &link).await;
    }
}

/// Reads until it is clear whether this is the preface of HTTP/2.
async fn greeting(stream: &mut TcpStream, first: &mut Vec<u8>) {
    while first.len() < h2::PREFACE.len() && h2::PREFACE.starts_with(first) {
        if !matches!(stream.read_buf(first).await, Ok(1..)) {
            return;
        }
    }
}

/// Tells the main host when it is gone and when it is back.
pub(crate) async fn keep_hours(desk: Arc<Desk>, gone: watch::Sender<bool>) {
    loop {
        let changed = desk.changed.notified();
        let began = desk.journal.began();
        let (now_gone, edge) = desk.gone(began.elapsed());
        gone.send_if_modified(|gone| std::mem::replace(gone, now_gone) != now_gone);
        let edge = async {
            match edge.and_then(|edge| began.checked_add(edge)) {
                Some(edge) => sleep_until(edge).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = changed => {}
            () = edge => {}
        }
    }
}
