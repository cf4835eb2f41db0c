//! HTTP/1.1, written on the socket itself: hyper takes care never to send what this has to send.

use std::io;

use hyper::http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    answer::Answer,
    desk::Request,
    judge::Wait,
    link::{Link, Wire, drops},
    log::Protocol,
    script::{At, Framing, How, Site},
};

/// What a head may have at most, as nginx's `large_client_header_buffers` allows.
const LONGEST_HEAD: usize = 32 * 1024;
const MOST_HEADERS: usize = 100;
/// How much of a body comes in one chunk.
const CHUNK: usize = 4096;

/// Answers one request after the other until one side ends it.
pub(crate) async fn serve(mut wire: impl Wire, buffer: Vec<u8>, link: &Link) {
    let mut reader = Reader { buffer };
    let rules = link.desk.connections();
    let most = rules.requests.filter(|_| link.site == Site::Main);
    let mut answers = 0;
    loop {
        let head = tokio::select! {
            () = link.stopped() => return,
            head = reader.head(&mut wire, link) => head,
        };
        let (request, keep) = match head {
            Head::Request(request, keep) => (request, keep && !link.turned_away),
            Head::End => return,
            Head::Wrong(status) => {
                let answer = Answer::new(status, "text/plain", "this is not understood\n");
                let _ = wire.write_all(write_head(&answer, false).as_bytes()).await;
                return;
            }
        };
        answers += 1;
        let last = most.is_some_and(|most| answers >= most);
        let keep = keep && !(last && rules.announced);
        match exchange(&mut wire, &mut reader, link, request, keep).await {
            After::Next if keep && !last => {}
            // TLS, too, calls this an end.
            After::Next | After::Close => return drop(wire.shutdown().await),
            After::Drop => return,
            After::Reset => return wire.reset(),
        }
    }
}

/// How it goes on after an answer.
enum After {
    Next,
    /// The end of the connection is the end of the body.
    Close,
    /// The end comes without a word.
    Drop,
    Reset,
}

async fn exchange(wire: &mut impl Wire, reader: &mut Reader, link: &Link, request: Request, keep: bool) -> After {
    let mut case = link.desk.receive(request);
    let waited = tokio::select! { biased;
        waited = link.wait(case.wait) => waited,
        () = reader.gone(wire) => false,
    };
    if !waited {
        return After::Drop;
    }
    let answer = link.desk.answer(&case);
    let mut pen = Pen { wire, link, body: 0 };
    let end = pen.send(&answer, case.head_only, keep).await;
    let (body, whole) = (pen.body, matches!(end, Ok(None)) && answer.length_off == 0);
    if let Some(ticket) = &case.ticket {
        ticket.sent(body);
    }
    let after = match end {
        Err(_) => After::Drop,
        Ok(Some(How::Close)) => After::Drop,
        Ok(Some(How::Reset | How::Stream(_))) => After::Reset,
        Ok(Some(How::Stall)) => {
            tokio::select! {
                () = link.stopped() => {}
                () = reader.gone(wire) => {}
            }
            After::Drop
        }
        Ok(None) if answer.length_off != 0 || answer.framing == Framing::Close => After::Close,
        Ok(None) => After::Next,
    };
    if let Some(ticket) = case.ticket.take() {
        ticket.done(body, whole);
    }
    after
}

/// Writes one answer, and counts what went out of its body.
struct Pen<'a, W> {
    wire: &'a mut W,
    link: &'a Link,
    body: u64,
}

impl<W: Wire> Pen<'_, W> {
    /// How it is to end if it ends before its time.
    async fn send(&mut self, answer: &Answer, head_only: bool, keep: bool) -> io::Result<Option<How>> {
        let (body, how) = match answer.cut {
            Some((At::Head, how)) => return Ok(Some(how)),
            Some((At::Byte(byte), how)) => (&answer.body[..byte], Some(how)),
            None => (&answer.body[..], None),
        };
        let head = write_head(answer, keep).into_bytes();
        if head_only || answer.is_bodiless() {
            self.put(&head, head.len()).await?;
            self.wire.flush().await?;
            return Ok(how);
        }
        match (answer.drip, answer.framing) {
            (None, Framing::Length | Framing::Close) => {
                let all = [&head[..], body].concat();
                self.put(&all, head.len()).await?;
            }
            (drip, framing) => {
                self.put(&head, head.len()).await?;
                self.pieces(body, drip, framing).await?;
            }
        }
        if answer.framing == Framing::Chunked && how.is_none() {
            self.put(b"0\r\n\r\n", 5).await?;
        }
        self.wire.flush().await?;
        Ok(how)
    }

    async fn pieces(&mut self, body: &[u8], drip: Option<u32>, framing: Framing) -> io::Result<()> {
        let (size, pause) = drip.map_or((CHUNK, None), |rate| {
            let (size, pause) = drops(rate);
            (size, Some(pause))
        });
        for piece in body.chunks(size) {
            let (before, after) = match framing {
                Framing::Chunked => (format!("{:x}\r\n", piece.len()), "\r\n"),
                _ => (String::new(), ""),
            };
            let bytes = [before.as_bytes(), piece, after.as_bytes()].concat();
            self.put(&bytes, bytes.len() - piece.len()).await?;
            if let Some(pause) = pause {
                self.wire.flush().await?;
                if !self.link.wait(Wait::For(pause)).await {
                    return Err(io::ErrorKind::Interrupted.into());
                }
            }
        }
        Ok(())
    }

    /// Everything but the first `around` bytes belongs to the body.
    async fn put(&mut self, bytes: &[u8], around: usize) -> io::Result<()> {
        let mut written = 0;
        while written < bytes.len() {
            let more = match self.wire.write(&bytes[written..]).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                more => more,
            };
            let body = |written: usize| written.saturating_sub(around) as u64;
            self.body += body(written + more) - body(written);
            written += more;
        }
        Ok(())
    }
}

fn write_head(answer: &Answer, keep: bool) -> String {
    let reason = StatusCode::from_u16(answer.status).ok().and_then(|status| status.canonical_reason());
    let mut head = format!("HTTP/1.1 {} {}\r\n", answer.status, reason.unwrap_or("Unknown"));
    for (name, value) in &answer.headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    match answer.framing {
        _ if answer.is_bodiless() => {}
        Framing::Length => head.push_str(&format!("Content-Length: {}\r\n", answer.announced())),
        Framing::Chunked => head.push_str("Transfer-Encoding: chunked\r\n"),
        Framing::Close => {}
    }
    if !keep || answer.framing == Framing::Close {
        head.push_str("Connection: close\r\n");
    }
    head + "\r\n"
}

enum Head {
    Request(Request, bool),
    Wrong(u16),
    End,
}

/// What has come and was not looked at yet.
struct Reader {
    buffer: Vec<u8>,
}

impl Reader {
    async fn head(&mut self, wire: &mut impl Wire, link: &Link) -> Head {
        loop {
            match self.parse(link) {
                Ok(Some((request, keep, body))) => {
                    return if self.skip(wire, body).await { Head::Request(request, keep) } else { Head::End };
                }
                Ok(None) if self.buffer.len() > LONGEST_HEAD => return Head::Wrong(431),
                Ok(None) => {}
                Err(status) => return Head::Wrong(status),
            }
            match wire.read_buf(&mut self.buffer).await {
                Ok(0) | Err(_) => return Head::End,
                Ok(_) => {}
            }
        }
    }

    /// The request, whether the connection is to be kept, and the length of a body; it is taken out of the buffer.
    fn parse(&mut self, link: &Link) -> Result<Option<(Request, bool, usize)>, u16> {
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut parsed = httparse::Request::new(&mut headers);
        let length = match parsed.parse(&self.buffer) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => return Err(431),
            Err(_) => return Err(400),
        };
        let field = |header: &httparse::Header<'_>| {
            (header.name.to_ascii_lowercase(), String::from_utf8_lossy(header.value).into_owned())
        };
        let headers: Vec<(String, String)> = parsed.headers.iter().map(field).collect();
        let value = |name: &str| headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        if value("transfer-encoding").is_some() {
            return Err(411);
        }
        let body = value("content-length").map_or(Ok(0), |length| length.parse().map_err(|_| 400u16))?;
        let connection = value("connection").unwrap_or_default().to_ascii_lowercase();
        let keep = if parsed.version == Some(0) { connection == "keep-alive" } else { !connection.contains("close") };
        let target = parsed.path.unwrap_or_default();
        let request = Request {
            site: link.site,
            connection: link.connected.number,
            protocol: Protocol::Http1,
            method: parsed.method.unwrap_or_default().to_owned(),
            target: target.to_owned(),
            headers,
            turned_away: link.turned_away,
        };
        self.buffer.drain(..length);
        Ok(Some((request, keep, body)))
    }

    /// Reads over a body, which nothing here has a use for.
    async fn skip(&mut self, wire: &mut impl Wire, mut left: usize) -> bool {
        loop {
            let here = left.min(self.buffer.len());
            self.buffer.drain(..here);
            left -= here;
            if left == 0 {
                return true;
            }
            if !matches!(wire.read_buf(&mut self.buffer).await, Ok(1..)) {
                return false;
            }
        }
    }

    /// Completes when the client has gone.
    async fn gone(&mut self, wire: &mut impl Wire) {
        while let Ok(1..) = wire.read_buf(&mut self.buffer).await {}
    }
}
