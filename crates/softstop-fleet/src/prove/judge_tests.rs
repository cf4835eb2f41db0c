use std::time::Duration;

use super::*;
use crate::prove::{
    packs::Pack,
    trial::{Ladder, Leftovers, LogLine, Milestones, Origin, Orphan, Planned, Resumed, Said, Sent, StaleLock, Stream},
};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A good stop: ready at 50 ms, signalled as the line says at 100 ms, acts after 2 ms, gone after 20.
pub(crate) fn good(line: &str) -> Observation {
    let replay: crate::prove::Replay = line.parse().unwrap();
    let sent = replay.acts().enumerate().map(|(n, act)| Sent { act, at: ms(100 + n as u64) }).collect();
    Observation {
        sent,
        planned: Planned { replay, origin: Origin::Random },
        timed: true,
        faults: Vec::new(),
        unsaved: None,
        loaded: false,
        milestones: Milestones { handler: Some(ms(40)), output: Some(ms(45)), listening: None, ready: Some(ms(50)) },
        ladder: Ladder {
            delivered: Some(ms(100)),
            acted: Some(ms(102)),
            unserving: None,
            exited: Some(ms(120)),
            clean: Some(ms(121)),
        },
        exit: Exit::Status(0),
        leftovers: Leftovers::default(),
        log: vec![LogLine { at: ms(102), stream: Stream::Err, text: "stopping".to_owned() }],
        load: None,
        check: None,
        resumed: None,
        cpu: Duration::ZERO,
    }
}

fn judged(seen: &Observation) -> Vec<(Rule, Severity)> {
    let lines = Lines::new(&Pack::ALL, &[]);
    judge(&Rules::default(), &lines, seen).into_iter().map(|finding| (finding.rule, finding.severity)).collect()
}

fn text(seen: &Observation) -> String {
    let found = judge(&Rules::default(), &Lines::new(&Pack::ALL, &[]), seen);
    found.into_iter().map(|finding| finding.text).collect::<Vec<_>>().join("\n")
}

/// Everything that can be wrong at once.
fn bad(line: &str) -> Observation {
    let bad = |text: &str| Some(Said { ok: false, text: text.to_owned() });
    Observation {
        ladder: Ladder { acted: Some(ms(1600)), exited: Some(ms(1600)), ..good(line).ladder },
        exit: Exit::Status(3),
        leftovers: Leftovers {
            orphans: vec![Orphan { pid: 42, command: "sleep 1000".to_owned() }],
            ports: vec!["tcp 127.0.0.1:8000".to_owned()],
            files: (0..5).map(|n| format!("/tmp/a{n}")).collect(),
            locks: vec![StaleLock { path: "/run/a.pid".to_owned(), pid: 41 }],
        },
        log: vec![LogLine { at: ms(110), stream: Stream::Err, text: "panic: closed".to_owned() }],
        load: bad("3 of 100 requests failed\n"),
        check: bad("row 7 is missing"),
        resumed: Some(Resumed { ready: None, check: None }),
        ..good(line)
    }
}

#[test]
fn a_good_stop_has_no_findings() {
    for line in ["TERM at ready", "INT at ready, INT 1ms later", "hang-up at ready", "TERM x50 at ready"] {
        assert_eq!(judged(&good(line)), [], "{line}");
    }
}

#[test]
fn the_handler_of_the_interpreter_is_not_the_programs() {
    let line = LogLine { at: ms(102), stream: Stream::Err, text: "KeyboardInterrupt".to_owned() };
    let early = |line: &str| Observation {
        milestones: Milestones { ready: None, ..good("TERM at ready").milestones },
        exit: Exit::Status(1),
        ..good(line)
    };
    let struck = |seen: Observation| Observation { log: vec![line.clone()], ..seen };

    assert_eq!(early("INT at 10ms").phase(), Some(Phase::Starting));
    assert_eq!(struck(early("INT at 10ms")).phase(), Some(Phase::BeforeHandler));
    assert_eq!(struck(early("TERM at 10ms")).phase(), Some(Phase::Starting));
    assert_eq!(struck(good("INT at ready")).phase(), Some(Phase::Idle));
}

#[test]
fn who_was_ended_by_force_could_not_tidy_up() {
    let seen = Observation { exit: Exit::Forced, ..bad("TERM at ready") };

    let failed = |rule| judged(&seen).contains(&(rule, Severity::Failure));
    assert!(failed(Rule::Gone));
    assert!(![Rule::Orphans, Rule::Ports, Rule::Files, Rule::Locks].into_iter().any(failed));
}

#[test]
fn who_is_late_beside_others_may_be_on_time_alone() {
    let late = |timed: bool, exit: Exit| Observation {
        ladder: Ladder { exited: Some(ms(11_000)), ..good("TERM at ready").ladder },
        timed,
        exit,
        ..good("TERM at ready")
    };

    assert_eq!(judged(&late(true, Exit::Status(0))), [(Rule::Gone, Severity::Failure)]);
    assert_eq!(judged(&late(false, Exit::Status(0))), [(Rule::Gone, Severity::Note)]);
    assert_eq!(judged(&late(false, Exit::Forced)), [(Rule::Gone, Severity::Failure)]);
}

#[test]
fn everything_wrong_is_found_and_says_its_values() {
    let seen = bad("TERM at ready");

    let all = [
        Rule::Response,
        Rule::Exit,
        Rule::Orphans,
        Rule::Ports,
        Rule::Files,
        Rule::Locks,
        Rule::Lines,
        Rule::Load,
        Rule::Check,
        Rule::Resume,
    ];
    assert_eq!(judged(&seen), all.map(|rule| (rule, Severity::Failure)));
    let text = text(&seen);
    for expected in [
        "first visible act 1.5 s after TERM, more than 1 s; the kernel had delivered it after 0 µs",
        "exit status 3 after TERM; allowed: status 0, 128+n, by the signal",
        "process left: sleep 1000 (42)",
        "/tmp/a2 and 2 more",
        "/run/a.pid names 41",
        "wrote `panic: closed`: a goroutine panicked",
        "the load failed: 3 of 100 requests failed",
        "the check failed: row 7 is missing",
        "not ready again in time",
    ] {
        assert!(text.contains(expected), "{expected} in\n{text}");
    }
}

#[test]
fn before_a_handler_only_what_is_left_counts() {
    let mut seen = bad("TERM at 0ms");
    seen.milestones = Milestones::default();

    let failures: Vec<Rule> = judged(&seen)
        .into_iter()
        .filter(|(_, severity)| *severity == Severity::Failure)
        .map(|(rule, _)| rule)
        .collect();

    assert_eq!(failures, [Rule::Orphans, Rule::Ports, Rule::Files, Rule::Locks]);
    let warned = judged(&seen).into_iter().filter(|(_, severity)| *severity == Severity::Warning);
    assert_eq!(warned.count(), 3, "load, check, resume");
}

#[test]
fn a_signal_that_is_ignored_is_no_excuse() {
    let mut seen = good("TERM at 60ms");
    seen.milestones = Milestones { handler: Some(ms(10)), ..Milestones::default() };
    (seen.exit, seen.ladder.exited, seen.ladder.acted) = (Exit::Forced, None, None);

    assert_eq!(judged(&seen), [(Rule::Gone, Severity::Failure)]);
    assert_eq!(text(&seen), "still there 10 s after TERM; it showed nothing of having heard");
}

#[test]
fn after_kill_only_the_data_count() {
    let mut seen = bad("KILL at ready");
    seen.exit = Exit::Signal(9);

    let failures: Vec<Rule> = judged(&seen)
        .into_iter()
        .filter(|(_, severity)| *severity == Severity::Failure)
        .map(|(rule, _)| rule)
        .collect();

    assert_eq!(failures, [Rule::Check, Rule::Resume]);
}

#[test]
fn the_ways_to_end_are_held_apart() {
    let ended = |line: &str, exit| judged(&Observation { exit, ..good(line) }).is_empty();

    assert!(ended("TERM at ready", Exit::Status(143)));
    assert!(!ended("TERM at ready", Exit::Status(130)), "that is INT");
    assert!(ended("INT at ready, TERM 1ms later", Exit::Status(130)), "either of the two");
    assert!(ended("hang-up at ready", Exit::Signal(1)));
    assert!(!ended("TERM at ready", Exit::Signal(11)));
    assert!(!ended("TERM at ready", Exit::Status(1)));
}

#[test]
fn who_lost_its_reader_may_end_by_it_and_is_only_warned_of_what_it_says() {
    let line = "close-stdout at ready, TERM 1ms later";
    let ended = |exit| judged(&Observation { exit, ..good(line) });
    assert_eq!(ended(Exit::Signal(13)), []);
    assert_eq!(ended(Exit::Status(141)), []);
    assert_eq!(ended(Exit::Status(1)), [(Rule::Exit, Severity::Warning)]);

    let failures = |seen: &Observation| {
        let found = judged(seen).into_iter().filter(|(_, severity)| *severity == Severity::Failure);
        found.map(|(rule, _)| rule).collect::<Vec<_>>()
    };
    let left = [Rule::Orphans, Rule::Ports, Rule::Files, Rule::Locks, Rule::Load, Rule::Check, Rule::Resume];
    assert_eq!(failures(&bad(line)), left);
    assert!(!counts(Rule::Exit, &good(line)) && counts(Rule::Files, &good(line)));
}

#[test]
fn what_cannot_be_seen_after_a_hang_up_is_not_judged() {
    let mut seen = good("hang-up at ready");
    (seen.ladder.acted, seen.ladder.exited) = (Some(ms(1600)), Some(ms(1600)));

    assert_eq!(judged(&seen), []);
    assert!(!counts(Rule::Response, &seen) && counts(Rule::Exit, &seen));
}

#[test]
fn a_slow_response_counts_where_times_do() {
    let mut seen = good("TERM at ready");
    (seen.ladder.acted, seen.ladder.exited) = (Some(ms(550)), Some(ms(560)));
    assert_eq!(judged(&seen), [(Rule::Response, Severity::Warning)]);

    seen.timed = false;
    assert_eq!(judged(&seen), []);
}

#[test]
fn a_keyboard_interrupt_is_a_warning_unless_stated() {
    let mut seen = good("INT at ready");
    let lines = ["Traceback (most recent call last):", "  File \"a.py\", line 1", "KeyboardInterrupt"];
    seen.log = lines.map(|text| LogLine { at: ms(101), stream: Stream::Err, text: text.to_owned() }).to_vec();
    assert_eq!(judged(&seen), [(Rule::Lines, Severity::Warning)]);

    seen.log.iter_mut().for_each(|line| line.at = ms(99));
    assert_eq!(judged(&seen), [], "before the signal it says nothing of the stop");
}

#[test]
fn a_moment_that_never_came_has_no_findings() {
    let seen = Observation { sent: Vec::new(), ..bad("TERM at ready") };

    assert_eq!(judged(&seen), []);
}

#[test]
fn phases_follow_the_life_of_the_program() {
    let at = |line: &str, at: u64, loaded| {
        let mut seen = Observation { loaded, ..good(line) };
        seen.sent[0].at = ms(at);
        seen.phase().unwrap()
    };

    assert_eq!(at("TERM at ready", 10, false), Phase::BeforeHandler);
    assert_eq!(at("TERM at ready", 42, false), Phase::Starting);
    assert_eq!(at("TERM at ready", 60, false), Phase::Idle);
    assert_eq!(at("TERM at ready", 60, true), Phase::Busy);
    assert_eq!(at("INT at ready, INT 1ms later", 60, true), Phase::Stopping);
    assert_eq!(at("INT at ready, INT 1ms later", 10, true), Phase::BeforeHandler);
}
