//! A client that believes nothing: it reads from the socket and says what came and how it ended.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What came of an answer.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Seen {
    /// 0: no head came.
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    /// Without the frames of chunks.
    pub(crate) body: Vec<u8>,
    pub(crate) end: End,
}

#[derive(Debug, Default, PartialEq)]
pub(crate) enum End {
    /// The head told where it ends, and there it ended.
    #[default]
    Whole,
    /// The connection was closed.
    Closed,
    /// The connection was reset, or TLS was cut off.
    Broken,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

pub(crate) struct Client<S> {
    stream: S,
    buffer: Vec<u8>,
}

/// One request on a connection of its own, which is closed after it.
pub(crate) async fn get(at: SocketAddr, path: &str) -> Seen {
    Client::connect(at).await.get(path).await
}

pub(crate) async fn get_with(at: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Seen {
    let mut client = Client::connect(at).await;
    client.send("GET", path, headers).await;
    client.answer().await
}

impl Client<TcpStream> {
    pub(crate) async fn connect(at: SocketAddr) -> Self {
        Self::on(TcpStream::connect(at).await.unwrap())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(crate) fn on(stream: S) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Seen {
        self.send("GET", path, &[]).await;
        self.answer().await
    }

    pub(crate) async fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)]) {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: tiles\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        // A connection that is closed already shows in the answer.
        let _ = self.stream.write_all(format!("{head}\r\n").as_bytes()).await;
    }

    pub(crate) async fn answer(&mut self) -> Seen {
        let mut seen = Seen::default();
        let read = timeout(PATIENCE, self.read(&mut seen)).await.expect("an answer within the time");
        seen.end = match read {
            Ok(()) => End::Whole,
            Err(error) if error.kind() == io::ErrorKind::WriteZero => End::Closed,
            Err(_) => End::Broken,
        };
        seen
    }

    /// What has come after so many bytes of a body whose end never comes.
    pub(crate) async fn begins(&mut self, bytes: usize) -> Seen {
        let mut seen = Seen::default();
        let read = async {
            self.head(&mut seen).await?;
            seen.body = self.exactly(bytes).await?;
            io::Result::Ok(())
        };
        timeout(PATIENCE, read).await.expect("so many bytes within the time").unwrap();
        seen
    }

    async fn read(&mut self, seen: &mut Seen) -> io::Result<()> {
        self.head(seen).await?;
        let length = seen.header("content-length").map(|length| length.parse::<usize>().unwrap());
        if seen.header("transfer-encoding") == Some("chunked") {
            loop {
                let line = self.line().await?;
                let length = usize::from_str_radix(&line, 16).unwrap();
                self.body(length, seen).await?;
                assert_eq!(self.line().await?, "", "a chunk ends with an empty line");
                if length == 0 {
                    return Ok(());
                }
            }
        } else if let Some(length) = length {
            self.body(length, seen).await
        } else if matches!(seen.status, 204 | 304) {
            Ok(())
        } else {
            self.body(usize::MAX, seen).await
        }
    }

    async fn head(&mut self, seen: &mut Seen) -> io::Result<()> {
        let first = self.line().await?;
        let mut lines = Vec::new();
        loop {
            match self.line().await? {
                line if line.is_empty() => break,
                line => lines.push(line),
            }
        }
        let field = |line: &String| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_ascii_lowercase(), value.to_owned())
        };
        seen.headers = lines.iter().map(field).collect();
        seen.status = first.strip_prefix("HTTP/1.1 ").unwrap()[..3].parse().unwrap();
        Ok(())
    }

    async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|two| two == b"\r\n") {
                let line = self.buffer.drain(..end + 2).collect::<Vec<u8>>();
                return Ok(String::from_utf8(line[..end].to_vec()).unwrap());
            }
            self.more().await?;
        }
    }

    /// What came before an error stays in what was seen.
    async fn body(&mut self, length: usize, seen: &mut Seen) -> io::Result<()> {
        let mut left = length;
        loop {
            let now = left.min(self.buffer.len());
            seen.body.extend(self.buffer.drain(..now));
            left -= now;
            if left == 0 {
                return Ok(());
            }
            self.more().await?;
        }
    }

    async fn exactly(&mut self, bytes: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < bytes {
            self.more().await?;
        }
        Ok(self.buffer.drain(..bytes).collect())
    }

    /// `WriteZero` stands for an end in good order, which no other error means.
    async fn more(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(io::ErrorKind::WriteZero.into()),
            _ => Ok(()),
        }
    }
}
