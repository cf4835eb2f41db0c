//! HTTP/2, on the crate beneath hyper's: streams are reset one by one, and the connection says GOAWAY when the script wants it.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
};

use h2::{
    Reason, RecvStream, SendStream,
    server::{Builder, Connection, SendResponse},
};
use hyper::{body::Bytes, http};
use tokio::{sync::mpsc, task::JoinSet};

use super::{
    answer::Answer,
    desk::Request,
    frames::Frames,
    judge::Wait,
    link::{Link, Wire, drops},
    log::Protocol,
    script::{At, Connections, Framing, How, Site},
};

/// What the preface of HTTP/2 begins with; no method of HTTP/1.1 does.
pub(crate) const PREFACE: &[u8] = b"PRI ";

/// Large enough that nothing but the client's own windows holds anything up.
const WINDOW: u32 = 1 << 20;
/// Answers that wait to be broken off; each waits for its turn.
const BREAKS: usize = 16;

/// Answers until one side ends it. `first` was read already.
pub(crate) async fn serve<W: Wire>(wire: W, first: &[u8], link: Arc<Link>) {
    let rules = if link.site == Site::Main { link.desk.connections() } else { Connections::default() };
    let goaway = rules.goaway.filter(|streams| *streams > 0);
    let mut builder = Builder::new();
    builder.initial_window_size(WINDOW).initial_connection_window_size(WINDOW);
    if let Some(streams) = rules.streams {
        builder.max_concurrent_streams(streams);
    }
    let reset = Arc::new(AtomicBool::new(false));
    let frames = Frames::new(wire, first, goaway, Arc::clone(&link.desk.journal), Arc::clone(&reset));
    if let Ok(connection) = builder.handshake::<_, Bytes>(frames).await {
        run(connection, link, goaway, &reset).await;
    }
}

async fn run<W: Wire>(
    mut connection: Connection<Frames<W>, Bytes>,
    link: Arc<Link>,
    goaway: Option<u64>,
    reset: &AtomicBool,
) {
    let (breaks, mut broken) = mpsc::channel(BREAKS);
    let mut streams = JoinSet::new();
    let mut opened = 0;
    let mut stopping = false;
    loop {
        tokio::select! {
            accepted = connection.accept() => {
                let Some(Ok((request, respond))) = accepted else { return };
                opened += 1;
                streams.spawn(stream(request, respond, Arc::clone(&link), breaks.clone()));
                if link.turned_away || goaway == Some(opened) {
                    connection.graceful_shutdown();
                }
            }
            Some(Break { how, answer }) = broken.recv() => {
                // What was sent before is on its way before the end is.
                poll_fn(|cx| {
                    let _ = connection.poll_closed(cx);
                    Poll::Ready(())
                })
                .await;
                match how {
                    How::Stream(reason) => answer.reset(reason.into()),
                    How::Reset => return reset.store(true, Ordering::Relaxed),
                    How::Close | How::Stall => return,
                }
            }
            Some(_) = streams.join_next() => {}
            () = link.stopped(), if !stopping => {
                stopping = true;
                connection.graceful_shutdown();
            }
        }
    }
}

/// An answer that stops before its end.
struct Break {
    how: How,
    answer: Begun,
}

/// How far an answer has come.
enum Begun {
    Nothing(SendResponse<Bytes>),
    Head(SendStream<Bytes>),
}

impl Begun {
    fn reset(self, reason: Reason) {
        match self {
            Self::Nothing(mut respond) => respond.send_reset(reason),
            Self::Head(mut stream) => stream.send_reset(reason),
        }
    }

    async fn was_reset(&mut self) {
        // An error is a connection that has gone.
        let _ = poll_fn(|cx| match self {
            Self::Nothing(respond) => respond.poll_reset(cx),
            Self::Head(stream) => stream.poll_reset(cx),
        })
        .await;
    }
}

async fn stream(
    request: http::Request<RecvStream>,
    respond: SendResponse<Bytes>,
    link: Arc<Link>,
    breaks: mpsc::Sender<Break>,
) {
    let mut case = link.desk.receive(read(&request, &link));
    let mut begun = Begun::Nothing(respond);
    let waited = tokio::select! { biased;
        waited = link.wait(case.wait) => waited,
        () = begun.was_reset() => false,
    };
    if !waited {
        return;
    }
    let answer = link.desk.answer(&case);
    let mut pen = Pen { link: &link, body: 0 };
    let (begun, whole) = pen.send(begun, &answer, case.head_only).await;
    if let Some(ticket) = &case.ticket {
        ticket.sent(pen.body);
    }
    if let (Some(mut begun), Some((_, how))) = (begun, answer.cut) {
        if how == How::Stall {
            tokio::select! {
                () = link.stopped() => {}
                () = begun.was_reset() => {}
            }
        } else {
            // Nobody to tell is a connection that has gone.
            let _ = breaks.send(Break { how, answer: begun }).await;
        }
    }
    if let Some(ticket) = case.ticket.take() {
        ticket.done(pen.body, whole);
    }
}

fn read(request: &http::Request<RecvStream>, link: &Link) -> Request {
    let authority = request.uri().authority().map(|authority| ("host".to_owned(), authority.to_string()));
    let fields = request
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
    Request {
        site: link.site,
        connection: link.connected.number,
        protocol: Protocol::Http2,
        method: request.method().as_str().to_owned(),
        target: request.uri().path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string),
        headers: authority.into_iter().chain(fields).collect(),
        turned_away: link.turned_away,
    }
}

/// Writes one answer, and counts what was handed over of its body.
struct Pen<'a> {
    link: &'a Link,
    body: u64,
}

impl Pen<'_> {
    /// What is left to be ended in another way, unless it was sent whole or the stream has gone; and whether it was sent whole.
    async fn send(&mut self, begun: Begun, answer: &Answer, head_only: bool) -> (Option<Begun>, bool) {
        let body = match answer.cut {
            Some((At::Head, _)) => return (Some(begun), false),
            Some((At::Byte(byte), _)) => answer.body.slice(..byte),
            None if head_only => Bytes::new(),
            None => answer.body.clone(),
        };
        let Begun::Nothing(mut respond) = begun else { return (Some(begun), false) };
        let whole = answer.cut.is_none();
        let Ok(mut stream) = respond.send_response(head(answer), whole && body.is_empty()) else {
            return (None, false);
        };
        let sent = self.data(&mut stream, body, answer.drip, whole).await.is_some();
        let left = (sent && !whole).then_some(Begun::Head(stream));
        (left, sent && whole && answer.length_off == 0)
    }

    /// `None`: the stream has gone.
    async fn data(
        &mut self,
        stream: &mut SendStream<Bytes>,
        mut body: Bytes,
        drip: Option<u32>,
        end: bool,
    ) -> Option<()> {
        let drip = drip.map(drops);
        while !body.is_empty() {
            let wanted = drip.map_or(body.len(), |(size, _)| size.min(body.len()));
            stream.reserve_capacity(wanted);
            let capacity = poll_fn(|cx| stream.poll_capacity(cx)).await?.ok()?;
            let piece = body.split_to(capacity.min(wanted));
            let sent = piece.len() as u64;
            stream.send_data(piece, end && body.is_empty()).ok()?;
            self.body += sent;
            if let Some((_, pause)) = drip
                && !self.link.wait(Wait::For(pause)).await
            {
                return None;
            }
        }
        Some(())
    }
}

fn head(answer: &Answer) -> http::Response<()> {
    let mut head = http::Response::new(());
    *head.status_mut() = http::StatusCode::from_u16(answer.status).unwrap_or(http::StatusCode::OK);
    let length = (answer.framing == Framing::Length && !answer.is_bodiless())
        .then(|| ("Content-Length", answer.announced().to_string()));
    for (name, value) in answer.headers.iter().chain(&length) {
        let value = http::HeaderValue::from_str(value);
        if let (Ok(name), Ok(value)) = (http::HeaderName::from_bytes(name.as_bytes()), value) {
            head.headers_mut().append(name, value);
        }
    }
    head
}
