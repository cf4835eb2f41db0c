//! What systemd is told and when, as tables; what really arrives is tested with real processes.

use std::fs;

use super::*;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Runs the clock from `from`: when more time is asked for, and until when, in milliseconds.
fn asks(span: (Time, Time), unit: Duration, from: Time) -> Vec<(u128, u128)> {
    let (mut now, mut last, mut asked) = (from, None, Vec::new());
    loop {
        let (ask, next) = extension(span, unit, last, now);
        if let Some(ask) = ask {
            asked.push((now.as_millis(), (now + ask).as_millis()));
            last = Some(now);
        }
        match next {
            Some(next) => now = next,
            None => return asked,
        }
    }
}

#[test]
fn a_budget_that_the_unit_allows_asks_for_nothing() {
    for until in [s(25), s(90)] {
        assert_eq!(extension((s(0), until), s(90), None, s(60)), (None, None), "{until:?}");
    }
}

#[test]
fn a_longer_budget_is_asked_for_in_time_again_and_again_and_not_beyond_its_end() {
    for (begun, total, unit) in [(s(7), s(120), s(90)), (s(0), s(91), s(90)), (s(3), s(60), s(10)), (s(0), s(3), s(1))]
    {
        let asked = asks((begun, begun + total), unit, begun);

        let (first, last) = (asked[0], asked[asked.len() - 1]);
        let (begun, unit, end) = (begun.as_millis(), unit.as_millis(), (begun + total).as_millis());
        assert_eq!(first.0, begun + unit / 2, "the first one comes well before the unit's time is over");
        assert!(first.1 <= begun + unit, "and systemd takes no notice of it yet");
        // What systemd makes of it: a deadline only ever moves on, and must not be missed.
        let mut deadline = begun + unit;
        for (at, until) in &asked {
            assert!(*at < deadline, "at {at} the deadline of {deadline} was over: {asked:?}");
            deadline = deadline.max(*until);
        }
        assert!(deadline > end, "{deadline} is too early for {end}: {asked:?}");
        assert!(last.1 <= end + 1_000, "{last:?} goes beyond {end}");
        assert!(asked.windows(2).all(|pair| pair[1].0 - pair[0].0 <= 5_000), "{asked:?}");
    }
}

#[test]
fn who_is_late_asks_at_once_and_who_is_over_never_again() {
    assert_eq!(extension((s(0), s(200)), s(90), None, s(80)), (Some(s(10)), Some(s(85))), "a second start began late");
    assert_eq!(extension((s(0), s(200)), s(90), Some(s(80)), s(84)), (None, Some(s(85))));
    assert_eq!(extension((s(100), s(300)), s(90), Some(s(95)), s(100)), (None, Some(s(145))), "asked before this stop");
    assert_eq!(extension((s(0), s(200)), s(90), Some(s(195)), s(200)), (None, None));
}

#[test]
fn a_ping_needs_an_answer_and_its_turn() {
    let mut watchdog = Watchdog { interval: s(5), next: s(0), waits: false };

    assert!(!watchdog.pings(true), "before its turn");
    assert!(watchdog.is_due(s(0)) && watchdog.pings(true));
    assert!(!watchdog.is_due(s(4)) && !watchdog.pings(true), "one answer is one ping");
    assert!(watchdog.is_due(s(5)) && !watchdog.pings(false), "no answer yet");
    assert!(!watchdog.is_due(s(6)) && watchdog.pings(true), "it comes late and is sent at once");
    assert!(watchdog.is_due(s(10)) && !watchdog.pings(false));
    assert!(watchdog.is_due(s(15)) && !watchdog.pings(false), "none is sent for a runtime that stays deaf");
    assert_eq!(watchdog.next, s(20));
}

#[test]
fn the_watchdog_is_on_where_systemd_says_so_to_this_process() {
    let on = |usec: Option<&str>, pid: Option<&str>| watchdog_interval(usec.map(Into::into), pid.map(Into::into), 7);

    assert_eq!(on(Some("30000000"), Some("7")), Some(s(15)));
    assert_eq!(on(Some("30000000"), None), Some(s(15)));
    for (usec, pid) in [
        (None, Some("7")),
        (Some("30000000"), Some("8")),
        (Some("30000000"), Some("")),
        (Some("0"), None),
        (Some("-1"), None),
        (Some("soon"), None),
    ] {
        assert_eq!(on(usec, pid), None, "{usec:?} {pid:?}");
    }
}

#[test]
fn another_end_of_what_starts_wakes_the_thread_that_has_to_ask_for_it() {
    let shared = Shared::new(tokio::sync::mpsc::unbounded_channel().0);
    let (woken, wakes) = channel();
    let _ = shared.wake.set(Box::new(move || woken.send(()).unwrap()));
    let wakes = || wakes.try_iter().count();

    shared.set_starting_until(Some(s(100)));
    assert_eq!(wakes(), 0, "nobody is there to be told");
    shared.unit.active.store(true, Ordering::Release);
    shared.set_starting_until(Some(s(100)));
    assert_eq!(wakes(), 0, "nothing new");
    shared.set_starting_until(Some(s(120)));
    shared.set_starting_until(None);
    assert_eq!(wakes(), 2);
}

fn state(component: &str, state: State) -> Event {
    Event::State { component: component.to_owned(), state, at: Duration::ZERO }
}

fn service(state: ServiceState) -> Event {
    Event::Service { state, at: Duration::ZERO }
}

fn stopping(reason: Reason) -> Event {
    Event::Stopping { reason, at: Duration::ZERO }
}

fn signal(number: i32, effect: &'static str) -> Event {
    Event::Signal { number, effect, at: Duration::ZERO }
}

/// What these events of a service of three components become.
fn told(events: &[Event]) -> Vec<String> {
    let mut status = Status::default();
    events.iter().filter_map(|event| status.lines(event, 3)).collect()
}

#[test]
fn a_service_is_told_from_its_start_to_its_end() {
    use State::*;

    let report = Shared::new(tokio::sync::mpsc::unbounded_channel().0).report();
    let end = format!("STATUS={}", report.line());
    let life = told(&[
        state("store", Starting),
        service(ServiceState::Starting),
        state("store", Running),
        state("sums", Starting),
        state("sums", Running),
        state("feed", Starting),
        state("feed", Running),
        service(ServiceState::Running),
        signal(15, "stop"),
        stopping(Reason::Signal(15)),
        state("feed", Draining),
        service(ServiceState::Stopping),
        state("feed", Stopped),
        signal(15, "nothing"),
        state("sums", Saving),
        state("sums", Stopped),
        state("store", Stopped),
        service(ServiceState::Stopped),
        Event::Stopped { report: Arc::new(report), at: Duration::ZERO },
    ]);

    assert_eq!(
        life,
        [
            "STATUS=starting, 0 of 3 components ready",
            "STATUS=starting, 1 of 3 components ready",
            "STATUS=starting, 2 of 3 components ready",
            "READY=1\nSTATUS=running, 3 components",
            "STOPPING=1\nSTATUS=stopping: SIGTERM, left: store, sums, feed",
            "STATUS=stopping: SIGTERM, left: store, sums",
            "STATUS=stopping: SIGTERM, left: store",
            "STATUS=stopping: SIGTERM",
            end.as_str(),
        ]
    );
}

#[test]
fn a_service_that_stops_while_it_starts_is_never_ready() {
    let life = told(&[
        state("store", State::Starting),
        service(ServiceState::Starting),
        stopping(Reason::Failed("store".into())),
        state("store", State::Running),
        service(ServiceState::Running),
    ]);

    assert_eq!(
        life,
        ["STATUS=starting, 0 of 3 components ready", "STOPPING=1\nSTATUS=stopping: store failed, left: store"]
    );
}

#[test]
fn giving_up_is_a_stop_that_nobody_else_tells_of() {
    assert_eq!(told(&[signal(3, "abandon")]), ["STOPPING=1\nSTATUS=stopping: SIGQUIT"]);
}

#[test]
fn what_the_program_calls_things_adds_no_line_and_fits_one_datagram() {
    let forged = Reason::Requested("me\nREADY=1\nWATCHDOG=trigger".into());
    let long = Reason::Requested("x".repeat(10_000).into());
    let many: Vec<Event> = (0..9).map(|n| state(&format!("c{n}"), State::Running)).collect();

    assert_eq!(told(&[stopping(forged)]), ["STOPPING=1\nSTATUS=stopping: requested by me READY=1 WATCHDOG=trigger"]);
    assert!(told(&[stopping(long)])[0].len() < 1_100);
    let mut status = Status::default();
    many.iter().for_each(|event| drop(status.lines(event, 9)));
    let line = status.lines(&stopping(Reason::ParentGone), 9).unwrap();
    assert!(line.ends_with("left: c0, c1, c2 and 6 more"), "{line}");
}

#[test]
fn only_paths_and_abstract_names_are_addresses() {
    let of = |name: &str| address(OsStr::new(name));

    assert_eq!(of("/run/notify").unwrap().as_pathname(), Some("/run/notify".as_ref()));
    #[cfg(target_os = "linux")]
    assert!(of("@softstop").is_some_and(|address| address.as_pathname().is_none() && !address.is_unnamed()));
    for other in ["", "notify", "vsock:2:1234", &format!("/{}", "x".repeat(200))] {
        assert!(of(other).is_none(), "{other}");
    }
}

/// A notifier that sends to a socket of this test, without an environment.
fn connected(to: &std::path::Path) -> (Connected, Sender<Told>) {
    let (sender, told) = channel();
    let connected = Connected {
        socket: open().unwrap(),
        to: SocketAddr::from_pathname(to).unwrap(),
        told,
        flushing: Vec::new(),
        unsent: VecDeque::new(),
        status: Status::default(),
        extended: None,
        watchdog: None,
    };
    (connected, sender)
}

#[test]
fn what_systemd_has_no_room_for_is_sent_later_and_nobody_waits() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let systemd = UnixDatagram::bind(&path).unwrap();
    let (mut notifier, sender) = connected(&path);
    let shared = Arc::new(Shared::new(tokio::sync::mpsc::unbounded_channel().0));
    let mut fill = 0;
    while notifier.socket.send_to_addr(b"full", &notifier.to).is_ok() {
        fill += 1;
    }

    sender.send(Told::Event(service(ServiceState::Running))).unwrap();
    let (done, flushed) = channel();
    sender.send(Told::Flush(done)).unwrap();
    let again = notifier.turn(&shared, s(1));

    assert_eq!(again, Some(s(1) + RETRY));
    assert!(flushed.try_recv().is_err(), "it is not sent yet");
    let mut buffer = [0; 200];
    for _ in 0..fill {
        systemd.recv(&mut buffer).unwrap();
    }
    assert_eq!(notifier.turn(&shared, s(2)), None);
    assert!(flushed.try_recv().is_ok());
    let length = systemd.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"READY=1\nSTATUS=running, 0 components");
}

#[test]
fn a_socket_that_nobody_holds_costs_the_message_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let (mut notifier, sender) = connected(&path);
    let shared = Arc::new(Shared::new(tokio::sync::mpsc::unbounded_channel().0));

    sender.send(Told::Event(service(ServiceState::Running))).unwrap();
    assert_eq!(notifier.turn(&shared, s(1)), None, "no socket");
    let gone = UnixDatagram::bind(&path).unwrap();
    drop(gone);
    sender.send(Told::Event(signal(15, "stop"))).unwrap();
    assert_eq!(notifier.turn(&shared, s(1)), None, "a socket without a reader");
    fs::remove_file(&path).unwrap();
    let back = UnixDatagram::bind(&path).unwrap();
    sender.send(Told::Event(state("c", State::Stopped))).unwrap();
    notifier.turn(&shared, s(1));

    let mut buffer = [0; 200];
    let length = back.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"STATUS=stopping: SIGTERM", "it tells the one that comes after");
}
