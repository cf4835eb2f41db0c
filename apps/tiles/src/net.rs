//! Connections to servers: TCP, and TLS where the address says https.

use std::{fmt, future::Future, io, path::Path, pin::Pin, sync::Arc};

use dial::{RootsError, Tls};
use tokio::io::{AsyncRead, AsyncWrite};

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
pub fn internet(roots: Option<&Path>) -> Result<Connect, RootsError> {
    let tls = Tls::new(roots, &["h2", "http/1.1"])?;
    Ok(Arc::new(move |target| Box::pin(call(target, tls.clone()))))
}

async fn call(target: Target, tls: Tls) -> io::Result<Dialed> {
    let stream = dial::tcp(&target.host, target.port).await?;
    if !target.tls {
        return Ok(Dialed { wire: Box::new(stream), http2: false });
    }
    let stream = tls.connect(&target.host, stream).await?;
    let http2 = dial::protocol(&stream) == Some(b"h2");
    Ok(Dialed { wire: Box::new(stream), http2 })
}
