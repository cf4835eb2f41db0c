//! A tile server at the other end of a pipe, for what takes an hour: on a paused clock nothing may wait for a real socket.

use std::{
    collections::{HashMap, VecDeque},
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sims::tiles::{Format, Tile, Truth};
use tiles::net::{Connect, Dialed, Target};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    task::JoinSet,
    time::{Instant, sleep},
};

use super::support::world;

/// One request for a tile.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    /// Since the server began.
    pub(crate) at: Duration,
    pub(crate) tile: Tile,
    /// How often this tile was asked for, from 1.
    pub(crate) time: u32,
}

/// What comes of a request.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// The tile.
    Tile,
    /// The tile, after a while.
    Late(Duration),
    /// The tile, its body one byte in this time.
    Drip(Duration),
    /// A status with these header lines and no body.
    Status(u16, &'static str),
    /// These bytes, and the end of the connection.
    Raw(Vec<u8>),
    Never,
}

/// What comes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    Taken,
    /// At once; and who is there is cut.
    Refused,
    Unheard,
}

type Decide = dyn Fn(Asked) -> Answer + Send + Sync;
type Take = dyn Fn(Duration) -> Call + Send + Sync;

/// The server. It ends when it is dropped.
#[derive(Clone)]
pub(crate) struct Memory(Arc<Inner>);

struct Inner {
    decide: Box<Decide>,
    began: Instant,
    asked: Mutex<Vec<Asked>>,
    times: Mutex<HashMap<Tile, u32>>,
    connections: Mutex<JoinSet<()>>,
    take: Box<Take>,
    calls: Mutex<Vec<(Duration, Target)>>,
    heads: Mutex<Vec<String>>,
    /// By path, whatever the server does with tiles; the last answer stays.
    documents: Mutex<HashMap<String, VecDeque<Vec<u8>>>>,
}

impl Memory {
    pub(crate) fn new(decide: impl Fn(Asked) -> Answer + Send + Sync + 'static) -> Self {
        Self::at_times(|_| Call::Taken, decide)
    }

    /// One that is not always there.
    pub(crate) fn at_times(
        take: impl Fn(Duration) -> Call + Send + Sync + 'static,
        decide: impl Fn(Asked) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Inner {
            take: Box::new(take),
            decide: Box::new(decide),
            began: Instant::now(),
            asked: Mutex::default(),
            times: Mutex::default(),
            connections: Mutex::default(),
            calls: Mutex::default(),
            heads: Mutex::default(),
            documents: Mutex::default(),
        }))
    }

    pub(crate) fn connect(&self) -> Connect {
        let server = self.clone();
        Arc::new(move |target: Target| {
            let server = server.clone();
            Box::pin(async move { server.call(target).await })
        })
    }

    async fn call(&self, target: Target) -> io::Result<Dialed> {
        let now = self.0.began.elapsed();
        self.0.calls.lock().unwrap().push((now, target));
        match (self.0.take)(now) {
            Call::Taken => {}
            Call::Refused => return Err(io::ErrorKind::ConnectionRefused.into()),
            Call::Unheard => std::future::pending().await,
        }
        let (client, server) = tokio::io::duplex(64 << 10);
        let this = self.clone();
        self.0.connections.lock().unwrap().spawn(async move { this.serve(server).await.unwrap_or_default() });
        Ok(Dialed { wire: Box::new(client), http2: false })
    }

    async fn serve(&self, mut wire: DuplexStream) -> io::Result<()> {
        let mut head = Vec::new();
        loop {
            head.clear();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(wire.read_u8().await?);
            }
            if (self.0.take)(self.0.began.elapsed()) != Call::Taken {
                return Ok(());
            }
            let text = String::from_utf8(head.clone()).unwrap();
            self.0.heads.lock().unwrap().push(text.clone());
            let path = text.split([' ', '?']).nth(1).unwrap().to_owned();
            if let Some(answer) = self.document_at(&path) {
                wire.write_all(&answer).await?;
                if answer.is_empty() {
                    return Ok(());
                }
                continue;
            }
            let asked = self.receive(&path);
            let Truth::There(content) = truth(asked.tile) else { panic!("every tile is there") };
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", content.bytes.len());
            match (self.0.decide)(asked) {
                Answer::Tile => wire.write_all(&[head.as_bytes(), &content.bytes].concat()).await?,
                Answer::Late(after) => {
                    sleep(after).await;
                    wire.write_all(&[head.as_bytes(), &content.bytes].concat()).await?;
                }
                Answer::Drip(pause) => {
                    wire.write_all(head.as_bytes()).await?;
                    for byte in content.bytes {
                        wire.write_u8(byte).await?;
                        sleep(pause).await;
                    }
                }
                Answer::Status(code, head) => {
                    wire.write_all(format!("HTTP/1.1 {code} X\r\nContent-Length: 0\r\n{head}\r\n").as_bytes()).await?;
                }
                Answer::Raw(bytes) => return wire.write_all(&bytes).await,
                Answer::Never => std::future::pending().await,
            }
        }
    }

    fn document_at(&self, path: &str) -> Option<Vec<u8>> {
        let mut documents = self.0.documents.lock().unwrap();
        let answers = documents.get_mut(path)?;
        if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() }
    }

    fn receive(&self, path: &str) -> Asked {
        let tile: Tile = path.trim_start_matches('/').split('.').next().unwrap().parse().unwrap();
        let time = {
            let mut times = self.0.times.lock().unwrap();
            let time = times.entry(tile).or_default();
            *time += 1;
            *time
        };
        let asked = Asked { at: self.0.began.elapsed(), tile, time };
        self.0.asked.lock().unwrap().push(asked);
        asked
    }

    /// All requests, in order.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.0.asked.lock().unwrap().clone()
    }

    /// When it was called.
    pub(crate) fn calls(&self) -> Vec<Duration> {
        self.0.calls.lock().unwrap().iter().map(|(at, _)| *at).collect()
    }

    /// The heads of all requests.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.0.heads.lock().unwrap().clone()
    }

    /// Answers a path with a text.
    pub(crate) fn document(self, path: &str, text: &str) -> Self {
        let document = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len());
        self.0.documents.lock().unwrap().entry(path.to_owned()).or_default().push_back(document.into_bytes());
        self
    }

    /// Answers a path with these bytes before whatever is added after them.
    pub(crate) fn bytes(self, path: &str, bytes: &str) -> Self {
        self.0.documents.lock().unwrap().entry(path.to_owned()).or_default().push_back(bytes.as_bytes().to_vec());
        self
    }
}

/// What every server of this kind has.
pub(crate) fn truth(tile: Tile) -> Truth {
    world().truth(Format::Png, tile, 0)
}

/// HTTP/2 at the other end of a pipe: after so many answers the first connection is dead without a word, and later ones are not.
pub(crate) fn dead_after(answers: usize) -> (Connect, Arc<Mutex<Vec<Tile>>>) {
    let asked: Arc<Mutex<Vec<Tile>>> = Arc::default();
    let (log, first) = (Arc::clone(&asked), Arc::new(AtomicBool::new(true)));
    let connections = Arc::new(Mutex::new(JoinSet::new()));
    let connect: Connect = Arc::new(move |_: Target| {
        let (client, server) = tokio::io::duplex(64 << 10);
        let most = if first.swap(false, Ordering::Relaxed) { answers } else { usize::MAX };
        let log = Arc::clone(&log);
        connections.lock().unwrap().spawn(async move {
            let mut connection = h2::server::handshake(server).await.unwrap();
            for _ in 0..most {
                let Some(Ok((request, mut respond))) = connection.accept().await else { return };
                let path = request.uri().path().trim_start_matches('/').split('.').next().unwrap().to_owned();
                let tile: Tile = path.parse().unwrap();
                log.lock().unwrap().push(tile);
                let Truth::There(content) = truth(tile) else { unreachable!() };
                let mut stream = respond.send_response(hyper::Response::new(()), false).unwrap();
                stream.send_data(content.bytes.into(), true).unwrap();
            }
            std::future::pending::<()>().await;
        });
        Box::pin(std::future::ready(Ok(Dialed { wire: Box::new(client), http2: true })))
    });
    (connect, asked)
}
