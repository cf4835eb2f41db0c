//! The task that brings Redis up to the file, again and again.

mod round;

use std::sync::{Arc, Mutex, PoisonError};

use softstop::{Result, Scope};
use tokio::{sync::watch, time};

use super::{
    Keys, Patience, RedisProgress, SharedFile, Sink, client::Client, levels::Rounding, overflow::Folder, place::Place,
};
use crate::{Progress, Tell, backoff::Backoff, store::Changes};

/// What ends a pause.
pub(super) struct Wake {
    pub(super) changed: watch::Receiver<()>,
    pub(super) patience: Patience,
}

impl Wake {
    /// Until something has changed, or Redis should be looked at all the same: it may have lost what it had.
    async fn up(&mut self) {
        let look = time::sleep(self.patience.look);
        tokio::select! {
            biased;
            // Without a writer there is nothing but to look.
            Ok(()) = self.changed.changed() => {}
            () = look => {}
        }
    }
}

/// What was said last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Nothing,
    Connected,
    Away,
    CaughtUp,
}

/// A symbol, and what is known of its list.
struct Symbol {
    keys: Keys,
    /// As of the last answer.
    place: Option<Place>,
    /// This process has put something there: from now on nobody else may.
    ours: bool,
    /// The snapshot that was put there over this connection.
    depth_ms: i64,
}

pub(super) struct Publisher {
    sink: Sink,
    rounding: Rounding,
    folder: Folder,
    symbols: Vec<Symbol>,
    client: Client,
    file: SharedFile,
    name: String,
    last_at_start: i64,
    wake: Wake,
    backoff: Backoff,
    tell: Tell,
    said: Said,
    /// Minutes put there since the connection was made.
    put: u64,
    /// What the list drops cannot be kept.
    full: bool,
}

impl Publisher {
    pub(super) fn new(
        sink: Sink,
        keys: Vec<Keys>,
        (file, name, last_at_start): (Changes, String, i64),
        tell: Tell,
        wake: Wake,
    ) -> Self {
        let symbol = |keys| Symbol { keys, place: None, ours: false, depth_ms: i64::MIN };
        Self {
            rounding: Rounding::to(sink.price_precision),
            folder: Folder { path: sink.to.storage_dir.clone(), most: sink.to.max_storage_files },
            symbols: keys.into_iter().map(symbol).collect(),
            client: Client::new(sink.to.clone()),
            file: Arc::new(Mutex::new(file)),
            name,
            last_at_start,
            backoff: Backoff::new(wake.patience.retry),
            wake,
            tell,
            said: Said::Nothing,
            put: 0,
            full: false,
            sink,
        }
    }

    /// Until the stop, and then once more, for as long as a stop may wait for Redis.
    pub(super) async fn run(mut self, scope: &Scope) -> Result {
        let limit = self.wake.patience.stop;
        let over = async {
            scope.draining().await;
            time::sleep(limit).await;
        };
        let done = scope.until_cancelled(async {
            tokio::select! {
                done = self.go_on(scope) => done,
                () = over => false,
            }
        });
        if done.await != Some(true) {
            self.say_behind(scope).await;
        }
        Ok(())
    }

    /// Whether Redis has everything at the end.
    async fn go_on(&mut self, scope: &Scope) -> bool {
        let mut last = false;
        loop {
            let round = self.round(scope, last).await;
            let is_well = round.is_ok();
            match round {
                Ok(()) => self.is_well(),
                Err(why) => self.is_away(why),
            }
            if last {
                return is_well;
            }
            let pause = async {
                match is_well {
                    true => self.wake.up().await,
                    false => time::sleep(self.backoff.next()).await,
                }
            };
            last = scope.until_draining(pause).await.is_none();
        }
    }

    fn is_well(&mut self) {
        self.backoff.reset();
        self.is_connected();
        if self.said != Said::CaughtUp {
            self.say(Said::CaughtUp, RedisProgress::CaughtUp(self.put));
        }
    }

    fn is_connected(&mut self) {
        if matches!(self.said, Said::Nothing | Said::Away) {
            let to = format!("{}:{}", self.sink.to.host, self.sink.to.port);
            self.say(Said::Connected, RedisProgress::Connected(to));
        }
    }

    fn is_away(&mut self, why: String) {
        self.client.close();
        if self.said != Said::Away {
            self.say(Said::Away, RedisProgress::Away(why));
        }
    }

    fn say(&mut self, said: Said, progress: RedisProgress) {
        self.said = said;
        (self.tell)(Progress::Redis(progress));
    }

    /// What the file answers, asked on a thread that may wait for it.
    async fn ask<T: Send + 'static>(
        &self,
        scope: &Scope,
        question: impl FnOnce(&Changes) -> Result<T> + Send + 'static,
    ) -> Result<T, String> {
        let file = Arc::clone(&self.file);
        let ask = move |_: softstop::Flag| Ok(question(&file.lock().unwrap_or_else(PoisonError::into_inner)));
        let answer = scope.spawn_blocking("read", ask).await.map_err(|error| error.to_string())?;
        answer.map_err(|error| format!("cannot read the database for it: {error}"))
    }

    async fn say_behind(&mut self, scope: &Scope) {
        let mut places = Vec::new();
        for symbol in &self.symbols {
            places.extend(symbol.place.clone());
        }
        let all_known = places.len() == self.symbols.len();
        let count = move |file: &Changes| {
            let mut behind = 0;
            for Place { symbol, since, open, .. } in &places {
                behind += file.count(symbol, *since)?;
                behind += i64::from(file.open_minute(symbol, *open)?.is_some());
            }
            Ok(behind.unsigned_abs())
        };
        let behind = self.ask(scope, count).await.ok().filter(|_| all_known);
        if behind != Some(0) {
            (self.tell)(Progress::Redis(RedisProgress::Behind(behind)));
        }
    }
}
