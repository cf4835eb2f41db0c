//! What all connections have in common, whatever is spoken on them.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::watch,
};
use tokio_rustls::server::TlsStream;

use super::{desk::Desk, journal::Connected, judge::Wait, script::Site};

/// A connection, plain or within TLS.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// The socket beneath.
    fn tcp(&self) -> &TcpStream;

    /// From now on, dropping it sends a reset instead of an end. What is unread at the other end stays readable.
    fn reset(&self) {
        // Fails only where the socket is broken already.
        let _ = self.tcp().set_zero_linger();
    }
}

impl Wire for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Wire for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// One connection's place in the origin.
pub(crate) struct Link {
    pub(crate) desk: Arc<Desk>,
    pub(crate) site: Site,
    pub(crate) connected: Connected,
    /// Whether it is one too many.
    pub(crate) turned_away: bool,
    pub(crate) stop: watch::Receiver<bool>,
}

impl Link {
    /// Completes when the origin is stopped, or dropped.
    pub(crate) async fn stopped(&self) {
        let _ = self.stop.clone().wait_for(|stop| *stop).await;
    }

    /// Whether the wait ended by itself; `false`: the origin is stopped.
    pub(crate) async fn wait(&self, wait: Wait) -> bool {
        let over = async {
            match wait {
                Wait::For(time) => tokio::time::sleep(time).await,
                Wait::Ever => std::future::pending().await,
            }
        };
        if wait == Wait::default() {
            return true;
        }
        tokio::select! {
            () = self.stopped() => false,
            () = over => true,
        }
    }
}

/// What is sent at once and how long to wait between, for so many bytes a second.
pub(crate) fn drops(rate: u32) -> (usize, Duration) {
    let piece = (rate / 20).max(1);
    (piece as usize, Duration::from_secs_f64(f64::from(piece) / f64::from(rate)))
}
