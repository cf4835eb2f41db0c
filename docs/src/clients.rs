//! Models of third-party clients. Each has one habit that a stop has to deal with, and no other.

use std::{
    io::{self, ErrorKind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc as blocking,
    },
    thread,
};

use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

/// Is shared by cloning and closed by an async call, as pools of database connections are.
#[derive(Debug, Clone, Default)]
pub struct Pool {
    closed: Arc<AtomicBool>,
}

impl Pool {
    /// Connects.
    ///
    /// # Errors
    ///
    /// None here.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it completes, nothing is open.
    pub async fn connect(_url: &str) -> io::Result<Self> {
        Ok(Self::default())
    }

    /// Runs a statement.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotConnected`] once the pool was closed.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn execute(&self, _statement: &str) -> io::Result<()> {
        if self.closed.load(Ordering::Acquire) { Err(ErrorKind::NotConnected.into()) } else { Ok(()) }
    }

    /// Says goodbye to the server.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it completes, the pool is still open.
    pub async fn close(&self) {
        tokio::task::yield_now().await;
        self.closed.store(true, Ordering::Release);
    }
}

/// Its work is done by a future that the caller has to run, as with some database drivers.
#[derive(Debug, Clone)]
pub struct Client {
    requests: mpsc::Sender<oneshot::Sender<()>>,
}

impl Client {
    /// Gives the client and the connection behind it, which ends when the last client is dropped.
    pub fn connect(_url: &str) -> (Self, impl Future<Output = io::Result<()>> + Send + use<>) {
        let (requests, mut incoming) = mpsc::channel::<oneshot::Sender<()>>(16);
        let connection = async move {
            while let Some(answer) = incoming.recv().await {
                let _ = answer.send(());
            }
            Ok(())
        };
        (Self { requests }, connection)
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotConnected`] where nobody runs the connection any more.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it completes, the request may have been answered.
    pub async fn ask(&self) -> io::Result<()> {
        let gone = || io::Error::from(ErrorKind::NotConnected);
        let (answer, answered) = oneshot::channel();
        self.requests.send(answer).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())
    }
}

/// Spawns a task by itself that sends what it was given, as some message producers do.
#[derive(Debug)]
pub struct Producer {
    queue: mpsc::UnboundedSender<String>,
    sending: JoinHandle<u64>,
}

impl Producer {
    /// Starts it.
    #[expect(clippy::disallowed_methods, reason = "a client that spawns where no scope sees it is what this models")]
    pub fn start() -> Self {
        let (queue, mut messages) = mpsc::unbounded_channel();
        let sending = tokio::spawn(async move {
            let mut sent = 0;
            while messages.recv().await.is_some() {
                sent += 1;
            }
            sent
        });
        Self { queue, sending }
    }

    /// Queues a message and returns at once.
    pub fn send(&self, message: impl Into<String>) {
        let _ = self.queue.send(message.into());
    }

    /// Sends what is queued, ends the task, and says how many messages were sent in all.
    ///
    /// # Errors
    ///
    /// If the task has panicked.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it completes, the task goes on by itself.
    pub async fn shutdown(self) -> io::Result<u64> {
        drop(self.queue);
        self.sending.await.map_err(io::Error::other)
    }
}

/// Writes on a thread of its own, and waits for that thread when it is dropped, as the guards of
/// some log writers do.
#[derive(Debug)]
pub struct Writer {
    lines: Option<blocking::Sender<String>>,
    writing: Option<thread::JoinHandle<()>>,
}

impl Writer {
    /// Starts it.
    pub fn start() -> Self {
        let (lines, written) = blocking::channel::<String>();
        let writing = thread::spawn(move || written.into_iter().for_each(drop));
        Self { lines: Some(lines), writing: Some(writing) }
    }

    /// Queues a line and returns at once.
    pub fn line(&self, line: impl Into<String>) {
        let _ = self.lines.as_ref().map(|lines| lines.send(line.into()));
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.lines.take());
        let _ = self.writing.take().map(thread::JoinHandle::join);
    }
}
