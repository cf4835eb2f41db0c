//! A loopback port in front of a server, on which calls go wrong. What it is asked and answered it knows whole, so that it can cut between the two.

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream, UnixStream},
    task::JoinHandle,
    time::sleep,
};

use crate::Random;

/// What becomes of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    Pass,
    /// The connection breaks in the middle of the request.
    CutBefore,
    /// It breaks when the server has done what it was asked, in the middle of the answer.
    CutAfter,
    /// The server is asked twice, and the second answer is passed on.
    Twice,
    /// The request comes in pieces, the answer late.
    Slow(Duration),
}

#[derive(Default)]
struct State {
    /// For the next calls; then all pass.
    next: VecDeque<Manner>,
    /// For all of them.
    always: Option<Manner>,
    seed: Option<Random>,
    /// Whole requests, as they came.
    asked: Vec<Vec<u8>>,
}

impl State {
    fn manner(&mut self) -> Manner {
        if let Some(random) = &mut self.seed {
            let slow = Manner::Slow(Duration::from_millis(2));
            let manners = [Manner::Pass, Manner::CutBefore, Manner::CutAfter, Manner::Twice, slow];
            return manners[random.below(manners.len())];
        }
        self.next.pop_front().or(self.always).unwrap_or(Manner::Pass)
    }
}

pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn start(socket: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, state) = (listener.local_addr().unwrap(), Arc::<Mutex<State>>::default());
        let shared = Arc::clone(&state);
        #[expect(clippy::disallowed_methods, reason = "a test has no scope; it ends with the proxy")]
        let accepting = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (socket, state) = (socket.clone(), Arc::clone(&shared));
                // An error is a connection that broke.
                connections.spawn(async move { drop(serve(stream, socket, state).await) });
            }
        });
        Self { address, state, accepting }
    }

    /// From now on every call.
    pub(crate) fn always(&self, manner: Manner) {
        self.state.lock().unwrap().always = Some(manner);
    }

    /// From now on at random, or, without a seed, as if nothing were the matter.
    pub(crate) fn at_random(&self, seed: Option<u64>) {
        self.state.lock().unwrap().seed = seed.map(Random);
    }

    /// What was asked so far.
    pub(crate) fn asked(&self) -> Vec<Vec<u8>> {
        self.state.lock().unwrap().asked.clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(stream: TcpStream, socket: PathBuf, state: Arc<Mutex<State>>) -> io::Result<()> {
    let (from_client, mut to_client) = stream.into_split();
    let mut from_client = BufReader::new(from_client);
    let (from_server, mut to_server) = UnixStream::connect(socket).await?.into_split();
    let mut from_server = BufReader::new(from_server);
    loop {
        let request = message(&mut from_client).await?;
        let manner = {
            let mut state = state.lock().unwrap();
            state.asked.push(request.clone());
            state.manner()
        };
        match manner {
            Manner::CutBefore => return to_server.write_all(&request[..request.len() / 2]).await,
            Manner::Slow(pause) => {
                for piece in request.chunks(request.len().div_ceil(3)) {
                    to_server.write_all(piece).await?;
                    sleep(pause).await;
                }
            }
            _ => to_server.write_all(&request).await?,
        }
        let mut answer = message(&mut from_server).await?;
        if manner == Manner::Twice {
            to_server.write_all(&request).await?;
            answer = message(&mut from_server).await?;
        }
        if manner == Manner::CutAfter {
            return to_client.write_all(&answer[..answer.len() / 2]).await;
        }
        to_client.write_all(&answer).await?;
    }
}

/// A whole request or answer, as bytes.
async fn message(from: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Vec<u8>> {
    let (mut bytes, mut left) = (Vec::new(), 1_usize);
    while left > 0 {
        left -= 1;
        let at = bytes.len();
        from.read_until(b'\n', &mut bytes).await?;
        if bytes.len() == at {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let number = std::str::from_utf8(&bytes[at + 1..]).ok().and_then(|line| line.trim_end().parse::<i64>().ok());
        match (bytes[at], number) {
            (b'*', Some(items)) => left += usize::try_from(items).unwrap_or(0),
            (b'$', Some(length @ 0..)) => {
                let length = u64::try_from(length).unwrap() + 2;
                from.take(length).read_to_end(&mut bytes).await?;
            }
            _ => {}
        }
    }
    Ok(bytes)
}
