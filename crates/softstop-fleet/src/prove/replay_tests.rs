use proptest::prelude::*;

use super::*;

fn read(line: &str) -> Replay {
    line.parse().unwrap_or_else(|error: ReplayError| panic!("{error}"))
}

#[test]
fn the_lines_of_the_documentation_are_read_and_written_the_same() {
    let lines = [
        "TERM at renameat2#3 pid1, seed 17",
        "INT at 12.5ms, INT 100ms later, seed 3",
        "TERM at ready+2ms, seed 0",
        "INT at handler, INT at acted+40us, to group, seed 1",
        "TERM x50 at output, fault disk-full#3, fault cpu-10%, without load, seed 9",
        "close-stdout at ready, hang-up 0ms later, fault silent-peer, fault stopped-child, seed 2",
        "KILL at openat#12 pid2.3, to all, seed 18446744073709551615",
    ];

    for line in lines {
        assert_eq!(read(line).to_string(), line);
    }
}

#[test]
fn what_is_left_out_has_the_plain_meaning() {
    let replay = read("  sigterm at ready ");

    assert_eq!(replay, Replay::new(Signal::Term, Moment::Edge(Edge::Ready, Duration::ZERO)));
}

#[test]
fn errors_show_the_place_and_what_may_stand_there() {
    let wrong = [
        ("", 0, "TERM, INT"),
        ("TERM", 4, "` at `"),
        ("TREM at ready", 0, "TERM, INT"),
        ("TERM at raedy", 8, "a moment"),
        ("TERM at rename#0 pid1", 15, "from 1 on"),
        ("TERM at rename#2", 15, "3 pid1"),
        ("TERM at Rename#2 pid1", 8, "system call"),
        ("TERM at 5ms, INT soon", 13, "TERM, INT"),
        ("TERM at 5ms, INT 5 later", 17, "a duration"),
        ("TERM at 5ms, INT", 13, "later"),
        ("TERM at 5ms, seed x", 18, "a number"),
        ("TERM at 5ms, to nobody", 16, "main, group"),
        ("TERM at 5ms, fault cpu-0%", 23, "from 1 to 100"),
        ("TERM at acted", 8, "before the first signal"),
        ("close-stdout at ready", 0, "asks nothing to stop"),
        ("TERM at ready+é", 14, "a duration"),
        ("msé at ready", 0, "TERM, INT"),
    ];

    for (line, at, expected) in wrong {
        let error = line.parse::<Replay>().unwrap_err();
        assert_eq!(error.at, at, "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }
    assert!(
        "TERM at raedy, seed 3"
            .parse::<Replay>()
            .unwrap_err()
            .to_string()
            .ends_with("\n  TERM at raedy, seed 3\n          ^")
    );
}

#[test]
fn patterns_leave_the_gap_open_or_say_it() {
    let pair: Pattern = "INT+INT to group".parse().unwrap();
    assert_eq!(pair.then, [(Signal::Int.into(), None)]);
    assert_eq!(pair.target, Some(Target::Group));

    let stated: Pattern = "INT, TERM 100ms later".parse().unwrap();
    assert_eq!(stated.then, [(Signal::Term.into(), Some(When::Later(Duration::from_millis(100))))]);

    assert!("close-stdout".parse::<Pattern>().unwrap_err().to_string().contains("close-stdout+TERM"));
}

#[test]
fn the_label_names_what_is_sent_and_no_times() {
    let of = |line| {
        let replay = read(line);
        label(replay.acts(), replay.target)
    };

    assert_eq!(of("INT at 5ms, INT 1ms later, to group"), "INT+INT to group");
    assert_eq!(of("TERM x50 at 5ms"), "TERM x50");
}

pub(crate) fn any_moment() -> impl Strategy<Value = Moment> {
    let micros = || (0_u64..100_000_000).prop_map(Duration::from_micros);
    let before = prop::sample::select(vec![Edge::Handler, Edge::Output, Edge::Listening, Edge::Ready]);
    let call = prop::sample::select(vec!["renameat2", "openat", "rt_sigaction", "clone3"]);
    prop_oneof![
        micros().prop_map(Moment::At),
        (before, micros()).prop_map(|(edge, after)| Moment::Edge(edge, after)),
        (call, 1_u32..999, 1_u32..9, 1_u32..9).prop_map(|(call, nth, process, thread)| Moment::Call {
            call: call.to_owned(),
            nth,
            process,
            thread
        }),
    ]
}

pub(crate) fn any_replay() -> impl Strategy<Value = Replay> {
    let act = || {
        let signals = Signal::ALL.map(Deed::Signal).to_vec();
        (prop::sample::select([signals, vec![Deed::HangUp]].concat()), 1_u32..60)
            .prop_map(|(deed, times)| Act { deed, times })
    };
    let when = prop_oneof![
        (0_u64..10_000_000).prop_map(|us| When::Later(Duration::from_micros(us))),
        any_moment().prop_map(When::At),
        Just(When::At(Moment::Edge(Edge::Acted, Duration::ZERO))),
    ];
    let fault = prop_oneof![
        (1_u32..99).prop_map(Fault::DiskFull),
        (1_u8..=100).prop_map(Fault::Cpu),
        Just(Fault::StoppedChild),
        Just(Fault::SilentPeer)
    ];
    (
        act(),
        any_moment(),
        prop::collection::vec((act(), when), 0..3),
        prop::sample::select(Target::ALL.to_vec()),
        prop::collection::vec(fault, 0..3),
        any::<bool>(),
        any::<u64>(),
    )
        .prop_map(|(first, at, then, target, faults, without_load, seed)| Replay {
            first,
            at,
            then,
            target,
            faults,
            without_load,
            seed,
        })
}

proptest! {
    #[test]
    fn every_trial_is_read_back_from_its_line(replay in any_replay()) {
        prop_assert_eq!(read(&replay.to_string()), replay);
    }

    #[test]
    fn no_text_makes_it_panic(text in "([A-Z]{3,4}| at |ready|#|pid|\\+|, |x|[0-9]|ms| later|fault |é|%|\\.){0,12}") {
        if let Err(error) = text.parse::<Replay>() {
            prop_assert!(text.is_char_boundary(error.at), "{}", error);
            prop_assert!(!error.to_string().is_empty());
        }
        let _ = text.parse::<Pattern>();
        let _ = text.parse::<Fault>();
    }
}
