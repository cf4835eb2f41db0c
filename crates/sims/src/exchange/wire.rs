//! A connection, plain or within TLS, that can be made to send in small pieces, and to break.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// How long a client may take to agree on TLS.
const GREETING: Duration = Duration::from_secs(10);
/// Between two pieces, so that they are read apart.
const BETWEEN: Duration = Duration::from_millis(1);

#[derive(Debug)]
pub(crate) struct Wire {
    stream: Stream,
    /// At most so many bytes at a time; 0: as many as there are.
    piece: usize,
    pause: Pin<Box<Sleep>>,
    paused: bool,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Wire {
    /// `None` if the client does not agree on TLS.
    pub(crate) async fn accept(tcp: TcpStream, tls: Option<TlsAcceptor>) -> Option<Self> {
        let _ = tcp.set_nodelay(true);
        let stream = match tls {
            None => Stream::Plain(tcp),
            Some(tls) => Stream::Tls(Box::new(timeout(GREETING, tls.accept(tcp)).await.ok()?.ok()?)),
        };
        Some(Self { stream, piece: 0, pause: Box::pin(sleep(Duration::ZERO)), paused: false })
    }

    pub(crate) fn split(&mut self, piece: usize) {
        self.piece = piece;
    }

    /// From now on, dropping it sends a reset instead of an end. What is unread at the other end stays readable.
    pub(crate) fn reset(&self) {
        let tcp = match &self.stream {
            Stream::Plain(tcp) => tcp,
            Stream::Tls(tls) => tls.get_ref().0,
        };
        // Fails only where the socket is broken already.
        let _ = tcp.set_zero_linger();
    }

    fn stream(self: Pin<&mut Self>) -> Pin<&mut (dyn Both + Send + Unpin)> {
        match &mut self.get_mut().stream {
            Stream::Plain(tcp) => Pin::new(tcp),
            Stream::Tls(tls) => Pin::new(&mut **tls),
        }
    }
}

trait Both: AsyncRead + AsyncWrite {}

impl<T: AsyncRead + AsyncWrite> Both for T {}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_read(context, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.paused {
            std::task::ready!(self.pause.as_mut().poll(context));
            self.paused = false;
        }
        let piece = if self.piece == 0 { bytes.len() } else { self.piece.min(bytes.len()) };
        let written = std::task::ready!(self.as_mut().stream().poll_write(context, &bytes[..piece]))?;
        if self.piece > 0 {
            self.pause.as_mut().reset(Instant::now() + BETWEEN);
            self.paused = true;
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(context)
    }
}
