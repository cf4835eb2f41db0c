//! Bytes to and from the exchange.

use std::{io, sync::Arc};

use futures_util::future::BoxFuture;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use crate::Address;

/// Bytes to and from the exchange, over which WebSocket or HTTP is spoken.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// Connects to an address; dropped before it completes, nothing is open.
pub type Connect = Arc<dyn Fn(&Address) -> BoxFuture<'static, io::Result<Box<dyn Connection>>> + Send + Sync>;

/// Connects over TCP.
pub fn tcp() -> Connect {
    Arc::new(|to| {
        let (host, port) = (to.host.trim_matches(['[', ']']).to_owned(), to.port);
        Box::pin(async move {
            let stream = TcpStream::connect((host, port)).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn Connection>)
        })
    })
}
