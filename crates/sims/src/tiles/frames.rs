//! Between the socket and HTTP/2: makes a GOAWAY leave streams behind.
//!
//! A GOAWAY names the last stream that was looked at; what the client opened beyond it is lost and may be asked again (RFC 9113,
//! section 6.8). h2 looks at everything that arrives, so the frames of streams beyond the last one are taken out before it sees them.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{journal::Journal, link::Wire};

/// `PRI * HTTP/2.0` and what follows it, before the first frame.
const PREFACE: usize = 24;
const HEADER: usize = 9;
const HEADERS: u8 = 1;

pub(crate) struct Frames<W: Wire> {
    wire: W,
    sieve: Sieve,
    /// What is to be read before anything of the wire.
    ready: Vec<u8>,
    at: usize,
    journal: Arc<Journal>,
    reset: Arc<AtomicBool>,
}

impl<W: Wire> Frames<W> {
    /// `first` was read from the wire already. With `most`, the frames of all streams after so many are dropped. If `reset` is true
    /// in the end, the connection is reset instead of closed.
    pub(crate) fn new(wire: W, first: &[u8], most: Option<u64>, journal: Arc<Journal>, reset: Arc<AtomicBool>) -> Self {
        let mut frames = Self { wire, sieve: Sieve::new(most), ready: Vec::new(), at: 0, journal, reset };
        frames.take(first);
        frames
    }

    fn take(&mut self, bytes: &[u8]) {
        for _ in 0..self.sieve.pass(bytes, &mut self.ready) {
            self.journal.drop_stream();
        }
    }
}

impl<W: Wire> AsyncRead for Frames<W> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if this.at < this.ready.len() {
                let now = buf.remaining().min(this.ready.len() - this.at);
                buf.put_slice(&this.ready[this.at..this.at + now]);
                this.at += now;
                return Poll::Ready(Ok(()));
            }
            if this.sieve.most.is_none() {
                return Pin::new(&mut this.wire).poll_read(cx, buf);
            }
            let mut space = [0; 8192];
            let mut read = ReadBuf::new(&mut space);
            ready!(Pin::new(&mut this.wire).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.ready.clear();
            this.at = 0;
            this.take(read.filled());
        }
    }
}

impl<W: Wire> Drop for Frames<W> {
    fn drop(&mut self) {
        if self.reset.load(Ordering::Relaxed) {
            self.wire.reset();
        }
    }
}

impl<W: Wire> AsyncWrite for Frames<W> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_shutdown(cx)
    }
}

/// Lets frames pass until so many streams were opened, and from then on only those of these streams and of the connection.
struct Sieve {
    most: Option<u64>,
    opened: u64,
    last: u32,
    preface: usize,
    header: Vec<u8>,
    /// What is left of the frame at hand, and whether it passes.
    left: usize,
    passes: bool,
}

impl Sieve {
    fn new(most: Option<u64>) -> Self {
        Self { most, opened: 0, last: 0, preface: PREFACE, header: Vec::new(), left: 0, passes: true }
    }

    /// Appends what passes; how many streams were dropped.
    fn pass(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) -> u64 {
        if self.most.is_none() {
            out.extend_from_slice(bytes);
            return 0;
        }
        let mut dropped = 0;
        while !bytes.is_empty() {
            let begun = self.preface + self.left;
            if begun > 0 {
                let now = begun.min(bytes.len());
                if self.passes {
                    out.extend_from_slice(&bytes[..now]);
                }
                bytes = &bytes[now..];
                *(if self.preface > 0 { &mut self.preface } else { &mut self.left }) -= now;
                continue;
            }
            let now = (HEADER - self.header.len()).min(bytes.len());
            self.header.extend_from_slice(&bytes[..now]);
            bytes = &bytes[now..];
            if self.header.len() == HEADER {
                dropped += u64::from(self.begin());
                if self.passes {
                    out.extend_from_slice(&self.header);
                }
                self.header.clear();
            }
        }
        dropped
    }

    /// A frame begins; whether it would have opened a stream and does not pass.
    fn begin(&mut self) -> bool {
        let header = &self.header;
        self.left = usize::from(header[0]) << 16 | usize::from(header[1]) << 8 | usize::from(header[2]);
        let stream = u32::from_be_bytes([header[5] & 0x7f, header[6], header[7], header[8]]);
        let opens = header[3] == HEADERS && stream > self.last;
        if opens && self.most.is_none_or(|most| self.opened < most) {
            self.opened += 1;
            self.last = stream;
        }
        self.passes = stream <= self.last;
        opens && !self.passes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        [&[0, 0, payload.len() as u8, kind, 0, 0, 0, 0, stream][..], payload].concat()
    }

    #[test]
    fn streams_beyond_the_last_are_dropped_however_the_bytes_are_cut() {
        let settings = frame(4, 0, b"");
        let (first, second) = (frame(HEADERS, 1, b"one"), frame(HEADERS, 3, b"three"));
        let third = [frame(HEADERS, 5, b"five"), frame(8, 5, b"more")].concat();
        let late = [frame(8, 3, b"more"), frame(6, 0, b"pingpong")].concat();
        let preface = [7; PREFACE];
        let all = [&preface[..], &settings, &first, &second, &third, &late].concat();

        for size in 1..40 {
            let (mut sieve, mut out, mut dropped) = (Sieve::new(Some(2)), Vec::new(), 0);
            for piece in all.chunks(size) {
                dropped += sieve.pass(piece, &mut out);
            }
            assert_eq!(out, [&preface[..], &settings, &first, &second, &late].concat(), "pieces of {size}");
            assert_eq!(dropped, 1);
        }
    }
}
