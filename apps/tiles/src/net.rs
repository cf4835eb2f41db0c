//! Connections to servers: TCP, and TLS where the address says https.

use std::{
    fmt, fs,
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
    time::sleep,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        self, ClientConfig, RootCertStore,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};

/// How long an address is waited for before the next one is tried beside it (RFC 8305, section 8).
const NEXT: Duration = Duration::from_millis(250);

/// Bytes to and from a server.
pub trait Wire: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Wire for T {}

/// Who is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// A name or an address, as it stands in the URL without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Whether TLS is spoken.
    pub tls: bool,
}

/// A connection, and what is spoken on it.
pub struct Dialed {
    /// The connection.
    pub wire: Box<dyn Wire>,
    /// HTTP/2 instead of HTTP/1.1, as agreed with the server.
    pub http2: bool,
}

impl fmt::Debug for Dialed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialed").field("http2", &self.http2).finish_non_exhaustive()
    }
}

/// A call that is under way; dropped before it completes, nothing is open.
pub type Dialing = Pin<Box<dyn Future<Output = io::Result<Dialed>> + Send>>;

/// How servers are called.
pub type Connect = Arc<dyn Fn(Target) -> Dialing + Send + Sync>;

/// Calls over TCP. TLS trusts Mozilla's roots and those of a PEM file besides.
///
/// # Errors
/// The file cannot be read, or has no certificate in it.
pub fn internet(roots: Option<&Path>) -> Result<Connect, NetError> {
    let tls = TlsConnector::from(Arc::new(config(roots)?));
    Ok(Arc::new(move |target| Box::pin(dial(target, tls.clone()))))
}

fn config(file: Option<&Path>) -> Result<ClientConfig, NetError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = file {
        let wrong = |why: String| NetError { path: path.to_owned(), why };
        let text = fs::read(path).map_err(|error| wrong(error.to_string()))?;
        let mut found = 0;
        for certificate in CertificateDer::pem_slice_iter(&text) {
            let certificate = certificate.map_err(|error| wrong(format!("{error:?}")))?;
            roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
            found += 1;
        }
        if found == 0 {
            return Err(wrong("it has no certificate in PEM form".to_owned()));
        }
    }
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    // The provider knows both versions; nothing here depends on what a person says.
    let builder = ClientConfig::builder_with_provider(ring).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| NetError { path: PathBuf::new(), why: error.to_string() })?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

async fn dial(target: Target, tls: TlsConnector) -> io::Result<Dialed> {
    let addresses = lookup_host((target.host.as_str(), target.port)).await?;
    let stream = first(addresses.collect(), TcpStream::connect).await?;
    stream.set_nodelay(true)?;
    if !target.tls {
        return Ok(Dialed { wire: Box::new(stream), http2: false });
    }
    let name = ServerName::try_from(target.host).map_err(io::Error::other)?;
    let stream = tls.connect(name, stream).await?;
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    Ok(Dialed { wire: Box::new(stream), http2 })
}

/// The first connection to any of these addresses. While one is silent the next is tried beside it: of IPv6 and IPv4 only one may work.
///
/// # Errors
/// That of the last address, where there is no connection to any.
///
/// # Cancel safety
/// Dropped before it completes, all calls end; those that come too late end with it as well.
async fn first<T, F: Future<Output = io::Result<T>>>(
    addresses: Vec<SocketAddr>,
    connect: impl Fn(SocketAddr) -> F,
) -> io::Result<T> {
    let mut rest = in_turns(addresses).into_iter();
    let mut calls: Vec<Pin<Box<F>>> = Vec::new();
    let mut error = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        calls.extend(rest.next().map(|address| Box::pin(connect(address))));
        if calls.is_empty() {
            return Err(error);
        }
        tokio::select! { biased;
            done = any(&mut calls) => match done {
                Ok(connection) => return Ok(connection),
                Err(failed) => error = failed,
            },
            () = sleep(NEXT), if rest.len() > 0 => {}
        }
    }
}

/// The result of the call that ends first, which is taken out.
async fn any<F: Future>(calls: &mut Vec<Pin<Box<F>>>) -> F::Output {
    poll_fn(|cx| {
        for at in 0..calls.len() {
            if let Poll::Ready(done) = calls[at].as_mut().poll(cx) {
                drop(calls.swap_remove(at));
                return Poll::Ready(done);
            }
        }
        Poll::Pending
    })
    .await
}

/// Each kind in its order, one after the other, beginning with that of the first.
fn in_turns(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let six = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (one, other): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|address| address.is_ipv6() == six);
    let most = one.len().max(other.len());
    (0..most).flat_map(|at| [one.get(at).copied(), other.get(at).copied()]).flatten().collect()
}

/// Roots that cannot be used.
#[derive(Debug)]
pub struct NetError {
    path: PathBuf,
    why: String,
}

impl fmt::Display for NetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot trust the certificates of {}: {}", self.path.display(), self.why)
    }
}

impl std::error::Error for NetError {}

#[cfg(test)]
#[path = "net_tests.rs"]
mod tests;
