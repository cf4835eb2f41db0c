//! Connections to servers: TCP, and TLS where the address says https.

use std::{
    fmt, fs,
    future::Future,
    io,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        self, ClientConfig, RootCertStore,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};

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
    let stream = TcpStream::connect((target.host.as_str(), target.port)).await?;
    stream.set_nodelay(true)?;
    if !target.tls {
        return Ok(Dialed { wire: Box::new(stream), http2: false });
    }
    let name = ServerName::try_from(target.host).map_err(io::Error::other)?;
    let stream = tls.connect(name, stream).await?;
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    Ok(Dialed { wire: Box::new(stream), http2 })
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
