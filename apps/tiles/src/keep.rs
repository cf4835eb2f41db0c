//! The component that writes: what arrives is gathered and committed in groups.

use std::{sync::Arc, time::Duration};

use softstop::{BoxError, Held, Result, Scope, Task};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::{Instant, sleep, timeout_at},
};

use crate::{
    fetch::Progress,
    store::{Metadata, Row, Store, StoreError, What},
};

/// How the report names tiles that were received and are not committed.
pub(crate) const TILES: &str = "tiles";
/// So many rows are a group.
const GROUP: usize = 250;
/// Nobody waits longer than this for a group to fill.
const GATHER: Duration = Duration::from_millis(100);
/// How long until a file that is locked is tried again.
const AGAIN: Duration = Duration::from_millis(500);
/// So many rows may wait for the group before them.
const WAITING: usize = 256;
/// Bodies on their way to the file, in units of [`UNIT`].
const MOST: u32 = 32 << 10;
const UNIT: usize = 1 << 10;

/// What the job and the file are to say of themselves.
#[derive(Debug, Default)]
pub(crate) struct Note {
    /// What the server said before is of no use: another one is asked now.
    pub(crate) forget: bool,
    pub(crate) job: Vec<(&'static str, Option<String>)>,
    pub(crate) metadata: Metadata,
}

enum Message {
    Row(Row, OwnedSemaphorePermit),
    /// Written after all rows that were sent before it.
    Note(Note, oneshot::Sender<()>),
}

/// The way to the file.
#[derive(Clone)]
pub(crate) struct Rows {
    sender: mpsc::Sender<Message>,
    room: Arc<Semaphore>,
    scope: Scope,
}

/// The file has been closed: what was on its way to it is fetched again the next time.
#[derive(Debug)]
pub(crate) struct Closed;

impl Rows {
    /// Hands a row over. Waits while too much is on its way.
    pub(crate) async fn send(&self, row: Row) -> Result<(), Closed> {
        // From here on somebody waits for it to be safe.
        self.scope.owe(TILES, 1);
        let size = match &row.what {
            What::Stored { body, .. } => body.len(),
            _ => 0,
        };
        let units = u32::try_from(size / UNIT + 1).unwrap_or(MOST).min(MOST);
        let sent = async {
            let room = Arc::clone(&self.room).acquire_many_owned(units).await.map_err(|_| Closed)?;
            self.sender.send(Message::Row(row, room)).await.map_err(|_| Closed)
        };
        let sent = sent.await;
        if sent.is_err() {
            self.scope.settle(TILES, 1);
        }
        sent
    }

    /// Completes when all that was sent before, and this, is safe.
    pub(crate) async fn note(&self, note: Note) -> Result<(), Closed> {
        let (done, safe) = oneshot::channel();
        self.sender.send(Message::Note(note, done)).await.map_err(|_| Closed)?;
        safe.await.map_err(|_| Closed)
    }
}

/// What the task that writes hands over at its end.
struct Keeper {
    file: Held<Store>,
    received: mpsc::Receiver<Message>,
    group: Vec<Message>,
    progress: Arc<Progress>,
    scope: Scope,
}

/// Takes over an open file and starts the task.
pub(crate) async fn start(scope: &Scope, file: Store, progress: Arc<Progress>) -> Result<Rows> {
    let file = scope.open("file", async { Ok::<_, BoxError>(file) }, async |file| file.close().map_err(told)).await?;
    let (sender, received) = mpsc::channel(WAITING);
    let keeper = Keeper { file, received, group: Vec::with_capacity(GROUP), progress, scope: scope.clone() };
    let writing: Task<Keeper> = scope.spawn_with("write", |scope| keeper.run(scope));
    scope.on_stop(async move |_| writing.await?.rest());
    Ok(Rows { sender, room: Arc::new(Semaphore::new(MOST as usize)), scope: scope.clone() })
}

impl Keeper {
    /// Until nobody sends any more, or there is no time left.
    async fn run(mut self, scope: Scope) -> Result<Self> {
        let mut waits = false;
        while let Some(true) = scope.until_cancelled(self.gather()).await {
            let commit = move |_| {
                let committed = self.commit();
                Ok((self, committed))
            };
            let committed;
            (self, committed) = scope.spawn_blocking("commit", commit).await?;
            match committed {
                // The group is still here: somebody reads the file for long.
                Err(StoreError::Busy { path }) => {
                    if !std::mem::replace(&mut waits, true) {
                        scope.say(format!("{} is kept locked by another program: waiting", path.display()));
                    }
                    if scope.until_cancelled(sleep(AGAIN)).await.is_none() {
                        break;
                    }
                }
                committed => {
                    committed.map_err(told)?;
                    waits = false;
                }
            }
        }
        Ok(self)
    }

    /// Waits for a group to be full or old; `false` at the end.
    ///
    /// Cancel safe: what was received is in the group.
    async fn gather(&mut self) -> bool {
        if self.group.is_empty() && self.received.recv_many(&mut self.group, GROUP).await == 0 {
            return false;
        }
        let until = Instant::now() + GATHER;
        while self.group.len() < GROUP && !self.group.iter().any(|message| matches!(message, Message::Note(..))) {
            let room = GROUP - self.group.len();
            let more = self.received.recv_many(&mut self.group, room);
            if !matches!(timeout_at(until, more).await, Ok(1..)) {
                break;
            }
        }
        true
    }

    /// What was not written yet when time was over.
    fn rest(mut self) -> Result {
        self.received.close();
        while let Ok(message) = self.received.try_recv() {
            self.group.push(message);
        }
        let committed = self.commit();
        self.let_go();
        committed.map_err(told)
    }

    /// Writes the group. Where the file is locked for a while, it is still there to be written.
    fn commit(&mut self) -> Result<(), StoreError> {
        let (mut rows, mut room, mut notes) = (Vec::with_capacity(self.group.len()), Vec::new(), Vec::new());
        for message in self.group.drain(..) {
            match message {
                Message::Row(row, permit) => {
                    rows.push(row);
                    room.push(permit);
                }
                Message::Note(note, done) => notes.push((note, done)),
            }
        }
        let written = self.write(&rows);
        if let Err(StoreError::Busy { .. }) = written {
            let rows = rows.into_iter().zip(room).map(|(row, permit)| Message::Row(row, permit));
            self.group.extend(rows.chain(notes.into_iter().map(|(note, done)| Message::Note(note, done))));
            return written;
        }
        self.scope.settle(TILES, rows.len() as u64);
        let written = written.and_then(|()| self.note(notes));
        if written.is_err() {
            self.let_go();
        }
        written
    }

    /// What cannot be written is nobody's any more: it is fetched again the next time.
    fn let_go(&mut self) {
        self.received.close();
        while let Ok(message) = self.received.try_recv() {
            self.group.push(message);
        }
        let rows = self.group.drain(..).filter(|message| matches!(message, Message::Row(..))).count();
        self.scope.settle(TILES, rows as u64);
    }

    fn write(&mut self, rows: &[Row]) -> Result<(), StoreError> {
        if !rows.is_empty() {
            let committed = self.file.commit(rows)?;
            self.progress.safe(committed);
        }
        Ok(())
    }

    fn note(&mut self, notes: Vec<(Note, oneshot::Sender<()>)>) -> Result<(), StoreError> {
        for (Note { forget, job, metadata }, done) in notes {
            if forget {
                self.file.forget_answers()?;
            }
            if !job.is_empty() {
                let values: Vec<_> = job.iter().map(|(name, value)| (*name, value.as_deref())).collect();
                self.file.set_job(&values)?;
            }
            if metadata.iter().next().is_some() {
                self.file.set_metadata(&metadata)?;
            }
            let _ = done.send(());
        }
        Ok(())
    }
}

fn told(error: StoreError) -> BoxError {
    let hint = error.hint();
    let text = with_causes(&error);
    format!("{text}; {hint}").into()
}

/// An error with its causes.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

#[cfg(test)]
#[path = "keep_tests.rs"]
mod tests;
