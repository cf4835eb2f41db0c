//! What one round does: the calls to Redis, and what of the file goes into them.

use std::time::{SystemTime, UNIX_EPOCH};

use softstop::{Result, Scope};

use super::{Publisher, Symbol};
use crate::{
    Progress,
    redis::{
        Keys, RedisProgress,
        client::{Reply, Script, unexpected},
        place::Place,
        text,
    },
    store::{Changed, Changes},
};

/// A call is no longer than this, unless one minute is: what is held at once, and for how long Redis does nothing else.
const MINUTES: usize = 64;
const BYTES: usize = 1 << 20;

/// A minute of which no later trade tells that it is over is over when the clock is so far past its beginning.
const OVER_MS: i64 = 70_000;

/// What of a symbol goes to Redis in one call.
#[derive(Debug)]
struct Piece {
    /// Timestamp and text, in the order of time.
    minutes: Vec<(String, String)>,
    /// Where the list stands then.
    place: Place,
    more: bool,
}

impl Publisher {
    /// Puts there all that is missing. The last one also the open minutes.
    pub(super) async fn round(&mut self, scope: &Scope, last: bool) -> Result<(), String> {
        if !self.client.is_open() {
            self.client.connect().await?;
            self.put = 0;
            self.symbols.iter_mut().for_each(|symbol| symbol.depth_ms = i64::MIN);
        }
        let mut first = Ok(());
        for at in 0..self.symbols.len() {
            let done = match self.minutes(scope, at, last).await {
                Ok(()) => self.depth(scope, at).await,
                failed => failed,
            };
            // A list that somebody else fills, or that is none, keeps no other back.
            first = first.and(done);
            if !self.client.is_open() {
                break;
            }
        }
        first
    }

    async fn minutes(&mut self, scope: &Scope, at: usize, last: bool) -> Result<(), String> {
        // Expects what never is: an answer without a change.
        let (_, mut stands, length) = self.publish(at, "?", None).await?;
        self.trim(scope, at, length).await?;
        loop {
            let place = self.place(scope, at, &stands).await?;
            self.symbols[at].place = Some(place.clone());
            let piece = self.read(scope, at, place, last).await?;
            if piece.minutes.is_empty() {
                return Ok(());
            }
            let (done, now, length) = self.publish(at, &stands, Some(&piece)).await?;
            stands = now;
            if done {
                self.symbols[at].ours = true;
                self.put += piece.minutes.len() as u64;
                self.is_connected();
                self.trim(scope, at, length).await?;
                if !piece.more {
                    self.symbols[at].place = Some(piece.place);
                    return Ok(());
                }
            }
        }
    }

    /// What the list is of and how far it has come, by the text that stands beside it.
    async fn place(&mut self, scope: &Scope, at: usize, stands: &str) -> Result<Place, String> {
        let Symbol { keys: Keys { symbol, list, .. }, ours, .. } = &self.symbols[at];
        match Place::read(stands) {
            Some(place) if place.file == self.name && place.symbol == *symbol => {
                return Ok(if *ours { place } else { place.at_most(self.last_at_start) });
            }
            Some(_) if *ours => {
                return Err(format!(
                    "another `market collect` puts its minutes into {list}; stop it, or give one of them another database of Redis"
                ));
            }
            _ => {}
        }
        // A Redis that knows nothing of this file gets as much of it as the list holds.
        let (name, symbol, window) = (self.name.clone(), symbol.clone(), self.sink.window_minutes);
        self.symbols[at].depth_ms = i64::MIN;
        self.ask(scope, move |file| Ok(Place::none(&name, &symbol, file.floor(&symbol, window)?))).await
    }

    async fn read(&self, scope: &Scope, at: usize, place: Place, last: bool) -> Result<Piece, String> {
        let (rounding, symbol) = (self.rounding, self.symbols[at].keys.symbol.clone());
        self.ask(scope, move |file| {
            let mut minutes = Vec::new();
            let mut bytes = 0;
            let mut to = place.clone();
            let mut put = |minute: Changed| {
                let Changed { at, scale, levels, revision, .. } = minute;
                let text = text::minute(&at, &rounding.merge(&levels, scale), rounding.places, scale.quantity);
                bytes += text.len();
                minutes.push((at, text));
                (revision, bytes < BYTES)
            };
            let more = file.over(&symbol, place.since, MINUTES, |minute| {
                let (revision, goes_on) = put(minute);
                to.since.revision = revision;
                goes_on
            })?;
            let is_over = |begin_ms: i64| now_ms() >= begin_ms.saturating_add(OVER_MS);
            if !more
                && (last || file.newest(&symbol)?.is_some_and(is_over))
                && let Some(minute) = file.open_minute(&symbol, place.open)?
            {
                (to.open, _) = put(minute);
            }
            minutes.sort();
            Ok(Piece { minutes, place: to, more })
        })
        .await
    }

    /// Whether the piece was put there, where the list stands now, and how long it is.
    async fn publish(
        &mut self,
        at: usize,
        expected: &str,
        piece: Option<&Piece>,
    ) -> Result<(bool, String, i64), String> {
        let Keys { symbol, list, place, .. } = &self.symbols[at].keys;
        let (next, anew) = match piece {
            // Minutes of another symbol, from a time when that one was the only one, are not for this list.
            Some(piece) => {
                (piece.place.to_string(), Place::read(expected).is_some_and(|place| place.symbol != *symbol))
            }
            None => (String::new(), false),
        };
        let anew: &[u8] = if anew { b"anew" } else { b"" };
        let mut arguments = vec![expected.as_bytes(), next.as_bytes(), anew];
        for (time, text) in piece.iter().flat_map(|piece| &piece.minutes) {
            arguments.extend([time.as_bytes(), text.as_bytes()]);
        }
        match self.client.run(Script::Publish, &[list, place], &arguments).await? {
            Reply::List(answer) => match answer.as_slice() {
                [Reply::Number(done), Reply::Text(stands), Reply::Number(length)] => {
                    Ok((*done == 1, String::from_utf8_lossy(stands).into_owned(), *length))
                }
                _ => Err(unexpected(&Reply::List(answer))),
            },
            other => Err(unexpected(&other)),
        }
    }

    /// Keeps in files what is more than the window, and drops it from the list.
    async fn trim(&mut self, scope: &Scope, at: usize, mut length: i64) -> Result<(), String> {
        let window = i64::from(self.sink.window_minutes.max(1));
        while length > window {
            let Keys { list, suffix, .. } = self.symbols[at].keys.clone();
            let more = (length - window).min(MINUTES as i64);
            let range = format!("-{more}");
            let entries = match self.client.call(&[b"LRANGE", list.as_bytes(), range.as_bytes(), b"-1"]).await? {
                Reply::List(entries) => entries.into_iter().map(|entry| match entry {
                    Reply::Text(text) => Ok(text),
                    other => Err(unexpected(&other)),
                }),
                other => return Err(unexpected(&other)),
            };
            let entries = entries.collect::<Result<Vec<_>, _>>()?;
            let Some((newest, oldest)) = entries.first().cloned().zip(entries.last().cloned()) else { return Ok(()) };
            let (folder, safe) = (self.folder.clone(), entries.len().to_string());
            let kept = scope.spawn_blocking("keep", move |_| Ok(folder.keep(&entries, suffix.as_deref()))).await;
            if let Err(error) = kept.map_err(|error| error.to_string())? {
                if !self.full {
                    (self.tell)(Progress::Redis(RedisProgress::Unkept(error.to_string())));
                }
                self.full = true;
                return Ok(());
            }
            if std::mem::take(&mut self.full) {
                (self.tell)(Progress::Redis(RedisProgress::Kept));
            }
            let keep = window.to_string();
            let arguments: [&[u8]; 4] = [keep.as_bytes(), safe.as_bytes(), &newest, &oldest];
            length = match self.client.run(Script::Trim, &[&list], &arguments).await? {
                Reply::Number(left) if left < length => left,
                // Something else stands there by now; the next round sees.
                Reply::Number(_) => return Ok(()),
                other => return Err(unexpected(&other)),
            };
        }
        Ok(())
    }

    async fn depth(&mut self, scope: &Scope, at: usize) -> Result<(), String> {
        let Symbol { keys, depth_ms, .. } = &self.symbols[at];
        let (symbol, after, limit) = (keys.symbol.clone(), *depth_ms, self.sink.depth_limit as usize);
        let read = move |file: &Changes| match file.snapshot(&symbol, after)? {
            Some(snapshot) => Ok(Some((snapshot.time_ms, text::snapshot(&symbol, &snapshot, limit)?))),
            None => Ok(None),
        };
        let Some((time_ms, text)) = self.ask(scope, read).await? else { return Ok(()) };
        let Keys { symbol, depth, depth_place, .. } = &self.symbols[at].keys;
        let (whose, time) = (format!("{}:{symbol}", self.name), time_ms.to_string());
        self.client
            .run(Script::Depth, &[depth, depth_place], &[whose.as_bytes(), time.as_bytes(), text.as_bytes()])
            .await?;
        self.symbols[at].depth_ms = time_ms;
        Ok(())
    }
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}
