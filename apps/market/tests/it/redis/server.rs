//! A real `redis-server` on a socket in a folder of its own, and a plain client beside the one under test.

use std::{
    io::{self, BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tokio::time::sleep;

use crate::PATIENCE;

/// What a server answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Nothing,
    Number(i64),
    Text(String),
    Error(String),
    List(Vec<Value>),
}

pub(crate) struct Server {
    folder: TempDir,
    arguments: Vec<String>,
    process: Child,
}

impl Server {
    /// One that writes nothing to disk.
    pub(crate) async fn start() -> Self {
        Self::with(&["--save", "", "--appendonly", "no"]).await
    }

    /// One that has on disk what it has answered.
    pub(crate) async fn persistent() -> Self {
        Self::with(&["--save", "", "--appendonly", "yes", "--appendfsync", "always"]).await
    }

    pub(crate) async fn with(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        let process = run(folder.path(), &arguments);
        let server = Self { folder, arguments, process };
        server.until_it_answers().await;
        server
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("redis.sock")
    }

    /// As `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again where it was killed.
    pub(crate) async fn again(&mut self) {
        self.process = run(self.folder.path(), &self.arguments);
        self.until_it_answers().await;
    }

    pub(crate) fn freeze(&self) {
        self.signal("-STOP");
    }

    pub(crate) fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.process.id().to_string()]).status().unwrap().success());
    }

    pub(crate) fn call(&self, words: &[&str]) -> Value {
        self.try_call(words).unwrap()
    }

    /// The entries of a list, newest first.
    pub(crate) fn list(&self, key: &str) -> Vec<String> {
        match self.call(&["LRANGE", key, "0", "-1"]) {
            Value::List(entries) => entries.into_iter().map(Value::text).collect(),
            other => panic!("{other:?}"),
        }
    }

    fn try_call(&self, words: &[&str]) -> io::Result<Value> {
        let stream = UnixStream::connect(self.socket())?;
        let mut request = format!("*{}\r\n", words.len());
        words.iter().for_each(|word| request.push_str(&format!("${}\r\n{word}\r\n", word.len())));
        (&stream).write_all(request.as_bytes())?;
        read(&mut BufReader::new(stream))
    }

    async fn until_it_answers(&self) {
        let began = Instant::now();
        while self.try_call(&["PING"]).ok() != Some(Value::Text("PONG".into())) {
            assert!(began.elapsed() < PATIENCE, "redis-server does not answer");
            sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Value {
    pub(crate) fn text(self) -> String {
        match self {
            Self::Text(text) => text,
            other => panic!("{other:?}"),
        }
    }
}

fn run(folder: &Path, arguments: &[String]) -> Child {
    Command::new("redis-server")
        .args(["--port", "0", "--unixsocket", "redis.sock", "--daemonize", "no", "--loglevel", "warning", "--dir"])
        .arg(folder)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server is there; if not: apt-get install redis-server")
}

/// One answer as bytes, for whoever passes it on.
pub(crate) fn read(from: &mut impl BufRead) -> io::Result<Value> {
    let mut line = String::new();
    if from.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let rest = line[1..].trim_end().to_owned();
    Ok(match line.as_bytes()[0] {
        b'+' => Value::Text(rest),
        b'-' => Value::Error(rest),
        b':' => Value::Number(rest.parse().unwrap()),
        b'$' if rest == "-1" => Value::Nothing,
        b'$' => {
            let mut text = vec![0; rest.parse::<usize>().unwrap() + 2];
            from.read_exact(&mut text)?;
            text.truncate(text.len() - 2);
            Value::Text(String::from_utf8(text).unwrap())
        }
        b'*' => Value::List((0..rest.parse().unwrap()).map(|_| read(from)).collect::<io::Result<_>>()?),
        other => panic!("{other}: {rest}"),
    })
}
