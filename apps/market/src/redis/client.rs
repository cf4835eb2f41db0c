//! One connection to Redis: one request, one reply, nothing repeated.
//!
//! Our own and not the crate `redis`, because that brings some forty crates for its URLs (Unicode tables among them), and because what
//! must be certain here is what it hides: nothing is ever sent twice, no task runs beside the call, and a call that is dropped takes its
//! connection with it. What is needed of the protocol (RESP 2) are five kinds of replies.

use std::time::Duration;

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream},
    net::TcpStream,
    time::timeout,
};

use crate::config::Redis;

/// No reply is as long; who sends a longer one is no Redis.
const LONGEST: usize = 1 << 30;

/// What Redis answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    Number(i64),
    Text(Vec<u8>),
    Nothing,
    /// Of the others.
    List(Vec<Reply>),
}

/// A program that Redis runs whole or not at all.
#[derive(Debug, Clone, Copy)]
pub(super) enum Script {
    Publish,
    Trim,
    Depth,
}

const SCRIPTS: [(Script, &str); 3] = [
    (Script::Publish, include_str!("publish.lua")),
    (Script::Trim, include_str!("trim.lua")),
    (Script::Depth, include_str!("depth.lua")),
];

struct Open {
    stream: BufStream<TcpStream>,
    /// What Redis calls the scripts.
    names: Vec<Vec<u8>>,
}

/// The way to Redis. An error closes the connection; what became of the call is not known then.
pub(super) struct Client {
    to: Redis,
    /// Taken out for as long as a call is under way: one that is dropped leaves nothing behind to be mistaken for an answer.
    open: Option<Open>,
}

impl Client {
    pub(super) fn new(to: Redis) -> Self {
        Self { to, open: None }
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    pub(super) fn close(&mut self) {
        self.open = None;
    }

    /// Connects, says who asks and which database is meant, and leaves the scripts there.
    pub(super) async fn connect(&mut self) -> Result<(), String> {
        let Redis { host, port, db, connect_timeout, timeout: each, username, password, .. } = &self.to;
        let connect = TcpStream::connect((host.as_str(), *port));
        let stream = match timeout(*connect_timeout, connect).await {
            Ok(stream) => stream.map_err(|error| format!("cannot connect: {error}"))?,
            Err(_) => return Err(format!("cannot connect: no answer within {connect_timeout:?}")),
        };
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        // Room for many minutes: each write is a call of the system.
        let mut stream = BufStream::with_capacity(8 * 1024, 256 * 1024, stream);
        if let Some(password) = password {
            let mut words: Vec<&[u8]> = vec![b"AUTH"];
            words.extend(username.as_ref().map(|name| name.as_bytes()));
            words.push(password.reveal().as_bytes());
            exchange(&mut stream, *each, &words).await?.map_err(refused)?;
        }
        if *db != 0 {
            exchange(&mut stream, *each, &[b"SELECT", db.to_string().as_bytes()]).await?.map_err(refused)?;
        }
        let mut names = Vec::new();
        for (_, text) in SCRIPTS {
            match exchange(&mut stream, *each, &[b"SCRIPT", b"LOAD", text.as_bytes()]).await?.map_err(refused)? {
                Reply::Text(name) => names.push(name),
                other => return Err(unexpected(&other)),
            }
        }
        self.open = Some(Open { stream, names });
        Ok(())
    }

    /// One command.
    pub(super) async fn call(&mut self, words: &[&[u8]]) -> Result<Reply, String> {
        let mut open = self.open.take().ok_or("not connected")?;
        let reply = exchange(&mut open.stream, self.to.timeout, words).await?;
        self.keep(open, reply)
    }

    /// One script; by its name, or whole where Redis has forgotten it.
    pub(super) async fn run(&mut self, script: Script, keys: &[&str], arguments: &[&[u8]]) -> Result<Reply, String> {
        let mut open = self.open.take().ok_or("not connected")?;
        let count = keys.len().to_string();
        let mut words: Vec<&[u8]> = vec![b"EVALSHA", &open.names[script as usize], count.as_bytes()];
        words.extend(keys.iter().map(|key| key.as_bytes()));
        words.extend(arguments);
        let mut reply = exchange(&mut open.stream, self.to.timeout, &words).await?;
        if reply.as_ref().is_err_and(|error| error.starts_with("NOSCRIPT")) {
            (words[0], words[1]) = (b"EVAL", SCRIPTS[script as usize].1.as_bytes());
            reply = exchange(&mut open.stream, self.to.timeout, &words).await?;
        }
        self.keep(open, reply)
    }

    /// Goes on with a connection over which an answer came. One that refuses may do so for good, as that to a replica does, unless it is
    /// about one key.
    fn keep(&mut self, open: Open, reply: Result<Reply, String>) -> Result<Reply, String> {
        if reply.as_ref().err().is_none_or(|error| error.contains("WRONGTYPE")) {
            self.open = Some(open);
        }
        reply.map_err(refused)
    }
}

fn refused(said: String) -> String {
    format!("it answers {said:?}")
}

/// An answer that no Redis gives to this question.
pub(super) fn unexpected(reply: &Reply) -> String {
    format!("it answers what Redis would not: {reply:?}").chars().take(200).collect()
}

type Answer = Result<Reply, String>;

/// Sends a request and waits for its reply; the inner error is one that Redis answered.
async fn exchange(stream: &mut BufStream<TcpStream>, limit: Duration, words: &[&[u8]]) -> Result<Answer, String> {
    let both = async {
        let mut head = format!("*{}\r\n", words.len());
        for word in words {
            head.push_str(&format!("${}\r\n", word.len()));
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(word).await?;
            head = "\r\n".to_owned();
        }
        stream.write_all(head.as_bytes()).await?;
        stream.flush().await?;
        reply(stream).await
    };
    match timeout(limit, both).await {
        Ok(answer) => answer.map_err(|error| format!("the connection broke: {error}")),
        Err(_) => Err(format!("no answer within {limit:?}")),
    }
}

async fn reply(stream: &mut BufStream<TcpStream>) -> std::io::Result<Answer> {
    let (kind, rest) = line(stream).await?;
    if kind != b'*' {
        return item(stream, kind, rest).await;
    }
    let mut list = Vec::new();
    for _ in 0..length(&rest)?.unwrap_or(0) {
        let (kind, rest) = line(stream).await?;
        match item(stream, kind, rest).await? {
            Ok(reply) => list.push(reply),
            said => return Ok(said),
        }
    }
    Ok(Ok(Reply::List(list)))
}

async fn item(stream: &mut BufStream<TcpStream>, kind: u8, rest: String) -> std::io::Result<Answer> {
    Ok(match kind {
        b'-' => Err(rest),
        b'+' => Ok(Reply::Text(rest.into_bytes())),
        b':' => Ok(Reply::Number(rest.parse().map_err(|_| malformed(&rest))?)),
        b'$' => Ok(match length(&rest)? {
            None => Reply::Nothing,
            Some(length) => {
                let mut text = vec![0; length + 2];
                stream.read_exact(&mut text).await?;
                text.truncate(length);
                Reply::Text(text)
            }
        }),
        _ => return Err(malformed(&rest)),
    })
}

/// The kind of what comes, and the rest of its line.
async fn line(stream: &mut BufStream<TcpStream>) -> std::io::Result<(u8, String)> {
    let mut line = Vec::new();
    stream.take(64 * 1024).read_until(b'\n', &mut line).await?;
    match line.as_slice() {
        [kind, rest @ .., b'\r', b'\n'] => Ok((*kind, String::from_utf8_lossy(rest).into_owned())),
        [] => Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "it was closed")),
        other => Err(malformed(&String::from_utf8_lossy(other))),
    }
}

fn length(text: &str) -> std::io::Result<Option<usize>> {
    if text == "-1" {
        return Ok(None);
    }
    text.parse().ok().filter(|length| *length <= LONGEST).map(Some).ok_or_else(|| malformed(text))
}

fn malformed(text: &str) -> std::io::Error {
    let text: String = text.chars().take(80).collect();
    std::io::Error::new(std::io::ErrorKind::InvalidData, format!("{text:?} is nothing that Redis says"))
}
