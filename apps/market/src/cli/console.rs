//! What a person, a program and the log are told of what happens.

use std::{
    io::{IsTerminal, stderr, stdout},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use market::{
    Progress,
    config::{Level, Logging},
};
use serde_json::json;
use softstop::{Handle, Reason, Report, Service, Status};

use super::{
    asked::Asked,
    board::Board,
    json,
    log::Log,
    outlet::{Outlet, Stdout},
};

/// How long the end waits for what was said to be written.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Where lines go.
enum Manner {
    /// Above the line at the bottom of the terminal.
    Terminal(Handle),
    /// To stdout, one for what matters.
    Lines(Outlet),
    /// To stdout, one object for everything.
    Json(Outlet),
}

/// Tells everybody. Nobody who tells it something waits.
pub(crate) struct Console {
    manner: Manner,
    /// What matters less is not said in words.
    level: Level,
    log: Option<Log>,
    board: Mutex<Board>,
    /// Why there is no connection, as it was said last.
    refused: Mutex<Option<String>>,
}

impl Console {
    /// Begins to speak, and sees to the last words.
    ///
    /// # Errors
    /// The log cannot be opened.
    pub(crate) fn start(service: &mut Service, asked: &Asked) -> Result<Arc<Self>, String> {
        let handle = service.handle();
        let words = service.handle();
        let logging = asked.settings.logging.as_ref();
        let log = logging.map(|logging: &Logging| Log::open(logging, move |text| words.say(text))).transpose()?;
        let outlet = |missed| Outlet::start("market-stdout", Stdout { missed });
        let terminal = stderr().is_terminal() && stdout().is_terminal();
        let manner = match asked.json {
            true => Manner::Json(outlet(json::missed)),
            false if terminal => Manner::Terminal(handle),
            false => Manner::Lines(outlet(|lines| format!("{lines} lines were left out: they were not read"))),
        };
        let level = logging.map_or(Level::Info, |logging| logging.level.max(Level::Info));
        let board = Mutex::new(Board::new(asked.ws.to_string(), Instant::now()));
        let console = Arc::new(Self { manner, level, log, board, refused: Mutex::default() });
        if !(asked.json && terminal) {
            let line = Arc::clone(&console);
            service.status_line(move |width| line.board(|board| board.line(width, Instant::now())));
        }
        let (begin, end) = (Arc::clone(&console), Arc::clone(&console));
        service.before_stop(move |reason| begin.stopping(reason));
        service.after_stop(move |report| end.stopped(report));
        Ok(console)
    }

    /// The first words: what is collected, and what of the settings is not done.
    pub(crate) fn begin(&self, asked: &Asked) {
        let Asked { ws, rest, symbols, db, settings, .. } = asked;
        let symbols: Vec<&str> = symbols.iter().map(String::as_str).collect();
        let words = format!("collecting {} from {ws} into {}", symbols.join(", "), db.display());
        let rest = rest.as_ref().map(ToString::to_string);
        let fields = json!({
            "symbols": symbols,
            "ws": ws.to_string(),
            "rest": rest,
            "db": db.display().to_string(),
            "warnings": settings.warnings,
        });
        self.say(Level::Info, &words, || json::object("collecting", fields));
        settings.warnings.iter().for_each(|warning| self.log(Level::Warning, warning));
    }

    /// Takes what happens.
    pub(crate) fn tell(&self, progress: &Progress) {
        self.board(|board| board.take(progress, Instant::now()));
        self.say(self.level_of(progress), &progress.to_string(), || json::progress(progress));
    }

    /// How much it matters now: that the same is wrong again with every try matters little.
    fn level_of(&self, progress: &Progress) -> Level {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        match progress {
            Progress::Connected => *refused = None,
            Progress::Disconnected(error) if refused.as_ref() == Some(error) => return Level::Debug,
            Progress::Disconnected(error) => *refused = Some(error.clone()),
            _ => {}
        }
        progress.level()
    }

    fn stopping(&self, reason: &Reason) {
        self.board(Board::silence);
        self.log(Level::Info, &format!("stopping: {reason}"));
        if let Manner::Json(outlet) = &self.manner {
            outlet.send(json::object("stopping", json!({ "reason": reason.to_string() })));
        }
    }

    fn stopped(&self, report: &Report) {
        let level = if report.status == Status::Clean { Level::Info } else { Level::Error };
        self.log(level, &report.line());
        let fields = json!({ "reason": report.reason.to_string(), "status": report.code(), "text": report.line() });
        match &self.manner {
            Manner::Terminal(_) => {}
            Manner::Lines(outlet) => outlet.finish(LAST_WORDS),
            Manner::Json(outlet) => {
                outlet.send(json::object("stopped", fields));
                outlet.finish(LAST_WORDS);
            }
        }
        if let Some(log) = &self.log {
            log.finish(LAST_WORDS);
        }
    }

    fn say(&self, level: Level, words: &str, json: impl FnOnce() -> String) {
        self.log(level, words);
        match &self.manner {
            Manner::Json(outlet) => outlet.send(json()),
            Manner::Lines(outlet) if level >= self.level => outlet.send(words.to_owned()),
            Manner::Terminal(handle) if level >= self.level => handle.say(words),
            _ => {}
        }
    }

    fn log(&self, level: Level, words: &str) {
        if let Some(log) = &self.log {
            log.write(level, words);
        }
    }

    fn board<T>(&self, look: impl FnOnce(&mut Board) -> T) -> T {
        look(&mut self.board.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
