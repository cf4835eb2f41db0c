//! What a real process tells systemd, heard over a real socket.

use std::{
    ffi::OsString,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram},
    },
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use rustix::process::Signal;
use tempfile::TempDir;

use super::{Lab, PATIENCE, Running, lab, pause};

/// A message, and when it arrived.
type Heard = (Instant, String);

/// Stands in for systemd: holds the socket, and notes what arrives in the moment in which it does.
struct Systemd {
    name: OsString,
    heard: Arc<Mutex<Vec<Heard>>>,
    /// So many of them have been looked at.
    seen: usize,
    _dir: Option<TempDir>,
}

impl Systemd {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        Self::reading(socket, path.into(), Some(dir))
    }

    /// With a name in the abstract namespace, which no file stands for.
    fn abstract_one() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("softstop-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst));
        let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        Self::reading(socket, format!("@{name}").into(), None)
    }

    fn reading(socket: UnixDatagram, name: OsString, dir: Option<TempDir>) -> Self {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::downgrade(&heard);
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Some(notes) = notes.upgrade() {
                if let Ok(length) = socket.recv(&mut buffer) {
                    let message = String::from_utf8(buffer[..length].to_vec()).unwrap();
                    notes.lock().unwrap().push((Instant::now(), message));
                }
            }
        });
        Self { name, heard, seen: 0, _dir: dir }
    }

    fn starts(&self, lab: Lab) -> Running {
        lab.with("NOTIFY_SOCKET", &self.name).start()
    }

    /// All that has arrived so far.
    fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    /// The next message, if one comes within this time.
    fn next(&mut self, patience: Duration) -> Option<Heard> {
        let until = Instant::now() + patience;
        loop {
            if let Some(next) = self.heard().get(self.seen) {
                self.seen += 1;
                return Some(next.clone());
            }
            if Instant::now() > until {
                return None;
            }
            pause(2);
        }
    }

    /// Waits until a message has a line that starts so, and says when it came; others may come before.
    #[track_caller]
    fn hears(&mut self, line: &str) -> Instant {
        while let Some((at, message)) = self.next(PATIENCE) {
            if message.lines().any(|l| l.starts_with(line)) {
                return at;
            }
        }
        panic!("`{line}` was not said: {:#?}", self.heard());
    }

    #[track_caller]
    fn hears_pings(&mut self, count: usize) {
        (0..count).for_each(|_| {
            self.hears("WATCHDOG=1");
        });
    }

    /// Hears out what is said until nothing comes for this time.
    fn hears_out(&mut self, quiet: Duration) {
        while self.next(quiet).is_some() {}
    }

    fn messages(&self) -> Vec<String> {
        self.heard().into_iter().map(|(_, message)| message).collect()
    }

    fn pings(&self) -> Vec<Instant> {
        self.heard().into_iter().filter(|(_, message)| message == "WATCHDOG=1").map(|(at, _)| at).collect()
    }

    /// When more time was asked for, and how much.
    fn extensions(&self) -> Vec<(Instant, Duration)> {
        let asked = |(at, message): Heard| {
            let usec = message.strip_prefix("EXTEND_TIMEOUT_USEC=")?.parse().unwrap();
            Some((at, Duration::from_micros(usec)))
        };
        self.heard().into_iter().filter_map(asked).collect()
    }
}

#[test]
fn a_service_says_when_it_is_ready_what_it_stops_for_and_how_it_ended() {
    for mut systemd in [Systemd::new(), Systemd::abstract_one()] {
        let mut lab = systemd.starts(lab("chain at=3 how=gate"));
        lab.noted("there");
        systemd.hears("STATUS=starting, 3 of 4");
        lab.open_gate();
        systemd.hears("READY=1");

        lab.signal(Signal::TERM);
        lab.end().left_with(0);
        systemd.hears_out(Duration::from_millis(100));

        let mut life = systemd.messages();
        let end = life.pop().unwrap();
        assert_eq!(
            life,
            [
                "STATUS=starting, 0 of 4 components ready",
                "STATUS=starting, 1 of 4 components ready",
                "STATUS=starting, 2 of 4 components ready",
                "STATUS=starting, 3 of 4 components ready",
                "READY=1\nSTATUS=running, 4 components",
                "STOPPING=1\nSTATUS=stopping: SIGTERM, left: c0, c1, c2 and 1 more",
                "STATUS=stopping: SIGTERM, left: c0, c1, c2",
                "STATUS=stopping: SIGTERM, left: c0, c1",
                "STATUS=stopping: SIGTERM, left: c0",
                "STATUS=stopping: SIGTERM",
            ]
        );
        assert!(
            end.starts_with("STATUS=stopped: SIGTERM, 4 components in ") && end.ends_with("clean, status 0"),
            "{end}"
        );
    }
}

#[test]
fn a_start_that_fails_is_never_ready_and_says_why() {
    let mut systemd = Systemd::new();
    systemd.starts(lab("chain at=2 how=fails")).end().left_with(80);
    systemd.hears_out(Duration::from_millis(100));

    assert!(!systemd.messages().iter().any(|message| message.contains("READY")), "{:?}", systemd.messages());
    assert!(systemd.messages().contains(&"STOPPING=1\nSTATUS=stopping: c2 failed, left: c0, c1, c2".to_owned()));
    assert!(systemd.messages().last().unwrap().contains("status 80 (c2 failed while starting: no connection)"));
}

#[test]
fn a_description_that_cannot_be_run_is_the_last_status() {
    let mut systemd = Systemd::new();
    systemd.starts(lab("building fails")).end().left_with(78);
    systemd.hears_out(Duration::from_millis(100));

    let said = systemd.messages();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("status 78 (the file `lab.toml` is empty)"), "{said:?}");
}

#[test]
fn a_service_that_is_given_up_says_so_although_no_worker_answers() {
    let mut systemd = Systemd::new();
    let mut lab = systemd.starts(lab("blocked how=park count=4"));
    lab.noted_times("blocked", 2);
    lab.noted("ready");

    lab.signal(Signal::QUIT);
    lab.end().left_with(83);
    systemd.hears_out(Duration::from_millis(100));

    let said = systemd.messages();
    assert!(said.iter().any(|message| message.starts_with("STOPPING=1\nSTATUS=stopping: SIGQUIT")), "{said:?}");
    assert!(said.last().unwrap().starts_with("STATUS=stopped: SIGQUIT"), "{said:?}");
}

#[test]
fn a_socket_that_does_not_work_changes_no_status_and_holds_up_nothing() {
    let full = Systemd::new();
    let filler = UnixDatagram::unbound().unwrap();
    filler.set_nonblocking(true).unwrap();
    while filler.send_to(b"full", &full.name).is_ok() {}
    let gone = Systemd::new();
    let name = gone.name.clone();
    drop(gone);
    let names =
        [full.name.clone(), name, "/nowhere/notify".into(), "@".into(), "notify".into(), "vsock:2:1".into(), "".into()];
    for name in names {
        let mut lab = lab("stack total=6").with("NOTIFY_SOCKET", &name).with("WATCHDOG_USEC", "100000").start();
        lab.noted("ready");

        lab.signal(Signal::TERM);

        lab.end().left_with(0).within(5).noted(&["store saved", "store closed"]);
    }
}

#[test]
fn the_last_status_is_waited_for_where_systemd_is_slow() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let (systemd, filler) = (UnixDatagram::bind(&path).unwrap(), UnixDatagram::unbound().unwrap());
    systemd.set_nonblocking(true).unwrap();
    filler.set_nonblocking(true).unwrap();
    let mut lab = lab("stack hold=gate").with("NOTIFY_SOCKET", &path).start();
    lab.noted("ready");
    lab.signal(Signal::TERM);
    lab.noted("feed drains");
    while filler.send_to(b"full", &path).is_ok() {}

    lab.open_gate();
    lab.noted("store closed");
    let mut said = Vec::new();
    let mut hears_all = || {
        let mut buffer = [0; 4096];
        while let Ok(length) = systemd.recv(&mut buffer) {
            said.push(String::from_utf8(buffer[..length].to_vec()).unwrap());
        }
    };
    hears_all();
    lab.end().left_with(0);
    hears_all();

    assert!(said.last().unwrap().starts_with("STATUS=stopped: SIGTERM"), "{said:?}");
}

/// systemd's own bookkeeping: a deadline that messages move on, and never back. Says what was too late.
fn too_late(since: Instant, unit: Duration, asked: &[(Instant, Duration)], end: Instant) -> Option<String> {
    let mut deadline = since + unit;
    for (at, more) in asked {
        if *at > deadline {
            return Some(format!("{at:?} is after {deadline:?}: {asked:?}"));
        }
        deadline = deadline.max(*at + *more);
    }
    (end > deadline).then(|| format!("the end {end:?} is after {deadline:?}: {asked:?}"))
}

#[test]
fn a_stop_that_may_outlast_its_unit_asks_for_time_until_it_is_over() {
    let mut systemd = Systemd::new();
    let mut lab = systemd.starts(lab("stack hold=gate total=20 unit=2"));
    lab.noted("ready");
    lab.signal(Signal::TERM);
    let since = systemd.hears("STOPPING=1");

    while systemd.extensions().len() < 5 {
        systemd.hears("EXTEND_TIMEOUT_USEC=");
    }
    lab.open_gate();
    lab.end().left_with(0);
    let end = Instant::now();
    systemd.hears_out(Duration::from_millis(700));

    let asked = systemd.extensions();
    assert!(end - since > Duration::from_secs(2), "it did outlast the unit");
    assert_eq!(too_late(since, Duration::from_secs(2), &asked, end), None);
    assert!(asked[0].0 - since > Duration::from_millis(900), "not before half of the unit's time");
    assert!(asked.iter().all(|(_, more)| *more == Duration::from_secs(1)), "{asked:?}");
}

#[test]
fn a_stop_that_spends_its_total_has_time_to_the_end_and_no_longer() {
    let mut systemd = Systemd::new();
    let mut lab = systemd.starts(lab("blocked how=park count=4 total=3 unit=1"));
    lab.noted_times("blocked", 2);
    lab.noted("ready");
    lab.signal(Signal::TERM);
    let since = systemd.hears("STOPPING=1");

    lab.end().left_with(82);
    let end = Instant::now();
    systemd.hears_out(Duration::from_millis(100));

    let asked = systemd.extensions();
    assert_eq!(too_late(since, Duration::from_secs(1), &asked, end), None);
    let (last, more) = asked[asked.len() - 1];
    assert!(last + more < since + Duration::from_secs(5), "{asked:?}");
}

#[test]
fn a_stop_within_its_unit_asks_for_nothing() {
    let mut systemd = Systemd::new();
    let mut lab = systemd.starts(lab("stack hold=gate total=20 unit=20"));
    lab.noted("ready");
    lab.signal(Signal::TERM);
    lab.noted("feed drains");
    pause(300);
    lab.open_gate();
    lab.end().left_with(0);
    systemd.hears_out(Duration::from_millis(100));

    assert_eq!(systemd.extensions(), []);
}

#[test]
fn a_start_with_a_limit_beyond_its_unit_asks_for_time_until_it_is_ready() {
    let mut systemd = Systemd::new();
    let since = Instant::now();
    let mut lab = systemd.starts(lab("chain at=2 how=gate start_limit=30 unit=2"));
    while systemd.extensions().len() < 5 {
        systemd.hears("EXTEND_TIMEOUT_USEC=");
    }
    lab.open_gate();
    let ready = systemd.hears("READY=1");
    pause(1_200);

    lab.signal(Signal::TERM);
    lab.end().left_with(0);
    systemd.hears_out(Duration::from_millis(100));

    let asked = systemd.extensions();
    assert!(ready - since > Duration::from_secs(2), "it did outlast the unit");
    assert_eq!(too_late(since, Duration::from_secs(2), &asked, ready), None);
    assert!(asked.iter().all(|(at, _)| *at < ready), "nothing is asked for while it runs: {asked:?}");
}

#[test]
fn a_start_without_a_limit_is_left_to_the_unit() {
    let mut systemd = Systemd::new();
    let mut lab = systemd.starts(lab("chain at=2 how=gate unit=1"));
    lab.noted("there");
    pause(1_500);
    lab.open_gate();
    systemd.hears("READY=1");

    assert_eq!(systemd.extensions(), []);
}

/// As much as this is between two pings when all is well.
const INTERVAL: Duration = Duration::from_millis(100);

fn watched(systemd: &Systemd, words: &str) -> Running {
    systemd.starts(lab(words).with("WATCHDOG_USEC", "200000"))
}

#[test]
fn a_runtime_that_answers_is_alive_also_with_one_blocked_worker_and_while_it_stops() {
    let mut systemd = Systemd::new();
    let begun = Instant::now();
    let mut lab = watched(&systemd, "blocked how=spin count=1 total=20");
    lab.noted("blocked");
    lab.noted("ready");

    systemd.hears_pings(5);
    lab.signal(Signal::TERM);
    systemd.hears("STOPPING=1");
    systemd.hears_pings(3);
    lab.end().left_with(82);

    let most = begun.elapsed().as_millis() / INTERVAL.as_millis() + 2;
    assert!(systemd.pings().len() as u128 <= most, "once in half of the time, not more: {:?}", systemd.pings());
}

#[test]
fn a_runtime_whose_workers_are_all_blocked_is_not_alive_until_a_stop_has_its_own_deadline() {
    let mut systemd = Systemd::new();
    let mut lab = watched(&systemd, "blocked how=park count=4 total=20");
    lab.noted_times("blocked", 2);
    lab.noted("ready");
    // What was answered before the second one blocked may still be on its way.
    systemd.hears_out(INTERVAL * 8);

    assert_eq!(systemd.next(INTERVAL * 10), None, "five times the time that systemd allows, without a ping");

    lab.signal(Signal::TERM);
    systemd.hears("STOPPING=1");
    systemd.hears_pings(3);
    lab.signal(Signal::QUIT);
    lab.end().left_with(83);
}

#[test]
fn a_ping_comes_with_the_answer_and_not_only_with_the_next_question() {
    let mut systemd = Systemd::new();
    let lab = systemd.starts(lab("stack").with("WATCHDOG_USEC", "4000000"));

    systemd.hears_pings(2);

    let pings = systemd.pings();
    assert!(pings[1] - pings[0] < Duration::from_millis(3_500), "systemd was about to lose its patience: {pings:?}");
    drop(lab);
}

#[test]
fn a_program_that_is_being_described_is_alive() {
    let mut systemd = Systemd::new();
    let mut lab = watched(&systemd, "building");
    lab.noted("building");

    systemd.hears_pings(4);
    lab.open_gate();
    systemd.hears("READY=1");
}

#[test]
fn the_watchdog_of_another_process_is_not_ours() {
    for (pid, ours) in [("1", false), ("$$", true)] {
        let mut systemd = Systemd::new();
        let script = format!(r#"WATCHDOG_PID={pid} exec "$@""#);
        let mut lab = watched_by(&systemd, &script);
        lab.noted("ready");
        systemd.hears("READY=1");
        let before = systemd.pings().len();
        pause(500);
        lab.signal(Signal::TERM);
        lab.end().left_with(0);
        systemd.hears_out(Duration::from_millis(100));

        assert_eq!(systemd.pings().len() > before, ours, "{pid}: {:?}", systemd.messages());
        assert!(ours || before == 0);
    }
}

fn watched_by(systemd: &Systemd, script: &str) -> Running {
    systemd.starts(lab("stack").with("WATCHDOG_USEC", "200000").started_by(&["sh", "-c", script, "sh"]))
}
