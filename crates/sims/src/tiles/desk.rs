//! Where a request becomes an answer: knows the world, the script and the log, and nothing of sockets.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use serde_json::json;
use tokio::sync::Notify;

use super::{
    answer::{self, Answer, Caching, Conditions},
    documents,
    journal::{Arrival, Journal, Ticket},
    judge::{Ask, Judge, Verdict, Wait},
    log::{Log, Protocol},
    report,
    route::{self, Route},
    script::{At, Connections, Fault, Script, Site, To},
    tile::{Format, Tile},
    world::{Truth, World},
};

/// The head of a request.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) site: Site,
    pub(crate) connection: u64,
    pub(crate) protocol: Protocol,
    pub(crate) method: String,
    /// The path and the query.
    pub(crate) target: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// Whether its connection is one too many.
    pub(crate) turned_away: bool,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A request that has been written down and judged.
pub(crate) struct Case {
    /// Questions about the simulator have none.
    pub(crate) ticket: Option<Ticket>,
    pub(crate) wait: Wait,
    /// Whether the head alone is wanted.
    pub(crate) head_only: bool,
    request: Request,
    route: Route,
    fault: Option<(usize, Fault)>,
}

#[derive(Debug)]
pub(crate) struct Desk {
    world: World,
    caching: Caching,
    clock_skew: i64,
    /// Scheme and authority of the two hosts.
    bases: [String; 2],
    state: Mutex<State>,
    pub(crate) journal: Arc<Journal>,
    /// Told when a time or a rule for whole connections has changed.
    pub(crate) changed: Notify,
}

#[derive(Debug)]
struct State {
    script: Script,
    judge: Judge,
    /// When the script began, by the time of the log.
    since: Duration,
    revision: u32,
    gone: bool,
}

impl Desk {
    pub(crate) fn new(world: World, caching: Caching, clock_skew: i64, script: Script, bases: [String; 2]) -> Self {
        let state =
            Mutex::new(State { judge: Judge::new(&script), script, since: Duration::ZERO, revision: 0, gone: false });
        let (journal, changed) = (Arc::new(Journal::new()), Notify::new());
        Self { world, caching, clock_skew, bases, state, journal, changed }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn base(&self, site: Site) -> &str {
        &self.bases[site as usize]
    }

    pub(crate) fn truth(&self, format: Format, tile: Tile) -> Truth {
        let revision = self.lock().revision;
        self.world.truth(format, tile, revision)
    }

    pub(crate) fn revise(&self) -> u32 {
        let mut state = self.lock();
        state.revision += 1;
        state.revision
    }

    pub(crate) fn connections(&self) -> Connections {
        self.lock().script.connections.clone()
    }

    pub(crate) fn reset(&self, script: Option<Script>) {
        {
            let mut state = self.lock();
            if let Some(script) = script {
                state.script = script;
            }
            state.judge = Judge::new(&state.script);
            state.since = Duration::ZERO;
        }
        self.journal.reset();
        self.changed.notify_waiters();
    }

    /// Begins another script, and keeps the log.
    pub(crate) fn set_script(&self, script: Script) {
        let now = self.journal.now();
        {
            let mut state = self.lock();
            state.judge = Judge::new(&script);
            state.script = script;
            state.since = now;
        }
        self.changed.notify_waiters();
    }

    pub(crate) fn set_gone(&self, gone: bool) {
        self.lock().gone = gone;
        self.changed.notify_waiters();
    }

    /// Whether the main host is gone at this time, and when that changes next without anybody's doing.
    pub(crate) fn gone(&self, now: Duration) -> (bool, Option<Duration>) {
        let state = self.lock();
        let ran = now.saturating_sub(state.since);
        let windows = &state.script.connections.gone;
        let gone = state.gone || windows.iter().any(|window| window.contains(&ran));
        let edges = windows.iter().flat_map(|window| [window.start, window.end]);
        let next = edges.filter(|edge| *edge > ran).min();
        (gone, next.and_then(|edge| edge.checked_add(state.since)))
    }

    /// Writes the request down, and decides what happens to it.
    pub(crate) fn receive(&self, request: Request) -> Case {
        let route = Route::of(&request.target);
        let ticket = (!route.is_control()).then(|| {
            self.journal.arrive(&Arrival {
                site: request.site,
                connection: request.connection,
                protocol: request.protocol,
                method: &request.method,
                path: &request.target,
                headers: &request.headers,
                tile: route.tile(),
            })
        });
        let verdict = match &route {
            Route::Tile { tile, redirected, .. } if !request.turned_away => {
                let ask = Ask { tile: *tile, site: request.site, redirected: *redirected };
                let now = self.journal.now();
                let mut state = self.lock();
                let ran = now.saturating_sub(state.since);
                state.judge.decide(ask, ran)
            }
            _ => Verdict::default(),
        };
        let head_only = request.method == "HEAD";
        Case { ticket, wait: verdict.wait, head_only, request, route, fault: verdict.fault }
    }

    /// What is answered now, after the wait.
    pub(crate) fn answer(&self, case: &Case) -> Answer {
        let now = self.wall();
        let answer = self.say(case, now).with("Date", httpdate::fmt_http_date(now));
        if let Some(ticket) = &case.ticket {
            let rule = case.fault.as_ref().map(|(at, _)| *at);
            match answer.cut {
                Some((At::Head, _)) => ticket.unanswered(rule),
                _ => ticket.answered(answer.status, rule, answer.genuine),
            }
        }
        answer
    }

    fn say(&self, case: &Case, now: SystemTime) -> Answer {
        let (request, json) = (&case.request, "application/json");
        if request.turned_away && case.ticket.is_some() {
            return Answer::new(503, "text/plain", "too many connections\n");
        }
        if !matches!(request.method.as_str(), "GET" | "HEAD") && case.ticket.is_some() {
            return Answer::new(405, "text/plain", "only GET and HEAD\n").with("Allow", "GET, HEAD".into());
        }
        let base = self.base(request.site);
        match case.route {
            Route::Tile { tile, format, hops, .. } => self.tile(case, tile, format, hops, now),
            Route::TileJson { format, tms } => {
                Answer::new(200, json, documents::tile_json(&self.world, base, format, tms))
            }
            Route::Capabilities => Answer::new(200, "application/xml", documents::capabilities(&self.world, base)),
            Route::NotWmts(wrong) => Answer::new(400, "application/xml", documents::exception(wrong)),
            Route::Truth { tile, format } => {
                answer::truth(self.truth(format, tile), format, &self.caching, Conditions::default(), now)
            }
            Route::Log { summary } => {
                let write = if summary { report::summary } else { report::full };
                Answer::new(200, json, self.journal.read(write).to_string())
            }
            Route::Reset { revise } => {
                self.reset(None);
                let revision = if revise { self.revise() } else { self.lock().revision };
                Answer::new(200, json, json!({ "revision": revision }).to_string())
            }
            Route::Nowhere => Answer::new(404, "text/plain", "nothing here\n"),
        }
    }

    fn tile(&self, case: &Case, tile: Tile, format: Format, hops: u32, now: SystemTime) -> Answer {
        let request = &case.request;
        if hops > 0 {
            return self.redirect(request, 302, request.site, &route::moved(&request.target, hops - 1, Site::Main));
        }
        let fault = case.fault.as_ref().map(|(_, fault)| fault);
        if let Some(Fault::Redirect { code, to }) = fault {
            let (site, path) = match to {
                To::SameHost => (request.site, route::moved(&request.target, 0, Site::Main)),
                To::OtherHost => (Site::Other, route::moved(&request.target, 0, Site::Other)),
                To::Hops(hops) => (request.site, route::moved(&request.target, hops.saturating_sub(1), Site::Main)),
                To::Itself => (request.site, request.target.clone()),
            };
            return self.redirect(request, *code, site, &path);
        }
        let conditions = Conditions {
            if_none_match: request.header("if-none-match"),
            if_modified_since: request.header("if-modified-since"),
        };
        let answer = answer::truth(self.truth(format, tile), format, &self.caching, conditions, now);
        match fault {
            Some(fault) => answer::struck(answer, fault, format, now),
            None => answer,
        }
    }

    /// On the same host the address is given without scheme and authority.
    fn redirect(&self, request: &Request, code: u16, site: Site, path: &str) -> Answer {
        let base = if site == request.site { "" } else { self.base(site) };
        Answer::new(code, "text/html", "<p>It has moved.</p>\n").with("Location", format!("{base}{path}"))
    }

    /// The time of day as the answers have it.
    fn wall(&self) -> SystemTime {
        let apart = Duration::from_secs(self.clock_skew.unsigned_abs());
        let now = SystemTime::now();
        if self.clock_skew < 0 { now - apart } else { now + apart }
    }

    pub(crate) fn log(&self) -> Log {
        self.journal.read(Clone::clone)
    }
}
