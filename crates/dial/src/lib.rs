//! Calls servers: TCP to whichever of their addresses answers, TLS with Mozilla's roots and those of a file.
//!
//! Says nothing of how long a call may take: who calls does, by dropping it.

mod first;

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        self, CertificateError, ClientConfig, RootCertStore,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};

/// Connects over TCP to a name or an address, without brackets.
///
/// Of several addresses the first is waited for 250 ms before the next one is tried beside it (RFC 8305, section 8). What is written is
/// sent at once.
///
/// # Errors
/// The name is not known, or that of the last address, where there is no connection to any.
///
/// # Cancel safety
/// Dropped before it completes, nothing is open.
pub async fn tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let addresses = lookup_host((host, port)).await?;
    let stream = first::first(addresses.collect(), TcpStream::connect).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Speaks TLS 1.2 and 1.3 with servers whose certificates are good: issued for their name, by somebody who is trusted.
#[derive(Clone)]
pub struct Tls(TlsConnector);

impl Tls {
    /// Trusts Mozilla's roots, and the certificates of a PEM file besides; offers these protocols (ALPN), the best first.
    ///
    /// # Errors
    /// The file cannot be read, or has no certificate in it.
    pub fn new(roots: Option<&Path>, protocols: &[&str]) -> Result<Self, RootsError> {
        let mut config = config(roots)?;
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    /// Speaks TLS on a connection to `host`, a name or an address without brackets.
    ///
    /// # Errors
    /// The handshake fails; where the certificate is to blame, it says why.
    ///
    /// # Cancel safety
    /// Dropped before it completes, the connection is closed.
    pub async fn connect(&self, host: &str, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        self.0.connect(name, stream).await.map_err(in_words)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

/// What was agreed on by ALPN.
pub fn protocol(stream: &TlsStream<TcpStream>) -> Option<&[u8]> {
    stream.get_ref().1.alpn_protocol()
}

fn config(file: Option<&Path>) -> Result<ClientConfig, RootsError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = file {
        let wrong = |why: String| RootsError { path: path.to_owned(), why };
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
    let builder = builder.map_err(|error| RootsError { path: PathBuf::new(), why: error.to_string() })?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// What most people meet first says what it means.
fn in_words(error: io::Error) -> io::Error {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            io::Error::new(error.kind(), "nobody who is trusted here has issued its certificate (UnknownIssuer)")
        }
        _ => error,
    }
}

/// Roots that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootsError {
    path: PathBuf,
    why: String,
}

impl fmt::Display for RootsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot trust the certificates of {}: {}", self.path.display(), self.why)
    }
}

impl std::error::Error for RootsError {}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
