//! Bytes to and from the exchange, within TLS where its address says so.

use std::{io, path::Path, sync::Arc};

use dial::{RootsError, Tls};
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::Address;

/// Bytes to and from the exchange, over which WebSocket or HTTP is spoken.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// Connects to an address; dropped before it completes, nothing is open.
pub type Connect = Arc<dyn Fn(&Address) -> BoxFuture<'static, io::Result<Box<dyn Connection>>> + Send + Sync>;

/// Connects over TCP; an address that asks for TLS is an error.
pub fn tcp() -> Connect {
    Arc::new(|to| Box::pin(call(to.clone(), None)))
}

/// Connects over TCP, and speaks TLS where the address says so. It trusts Mozilla's roots, and the certificates of a PEM file besides.
///
/// # Errors
/// The file cannot be read, or has no certificate in it.
pub fn internet(roots: Option<&Path>) -> Result<Connect, RootsError> {
    let tls = Tls::new(roots, &["http/1.1"])?;
    Ok(Arc::new(move |to| Box::pin(call(to.clone(), Some(tls.clone())))))
}

async fn call(to: Address, tls: Option<Tls>) -> io::Result<Box<dyn Connection>> {
    let host = to.host.trim_matches(['[', ']']);
    let tls = match (to.scheme.is_tls(), tls) {
        (false, _) => return Ok(Box::new(dial::tcp(host, to.port).await?)),
        (true, Some(tls)) => tls,
        (true, None) => return Err(io::Error::new(io::ErrorKind::Unsupported, "nothing here speaks TLS")),
    };
    let stream = dial::tcp(host, to.port).await?;
    Ok(Box::new(tls.connect(host, stream).await?))
}
