use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::prove::replay::{Fault, Signal};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A start that opens, reads and renames, and a cleanup that renames once more.
pub(crate) fn rehearsal() -> Rehearsal {
    let mut calls = Vec::new();
    let mut counts = BTreeMap::new();
    let mut call = |name: &str, thread: u32, site: u64, stopping: bool| {
        let nth = counts.entry((name.to_owned(), thread)).or_insert(0);
        *nth += 1;
        let telling = !["read", "mmap", "futex"].contains(&name);
        calls.push(Call {
            call: name.to_owned(),
            nth: *nth,
            process: 1,
            thread,
            site,
            telling,
            early: false,
            stopping,
        });
    };
    call("execve", 1, 1, false);
    for at in 0..50 {
        call("openat", 1, 10 + at % 3, false);
        call("read", 1, 20 + at % 2, false);
        call("mmap", 1, 30, false);
    }
    for _ in 0..20 {
        call("futex", 2, 40, false);
    }
    call("renameat2", 1, 50, true);
    call("unlink", 1, 51, true);
    let milestones = Milestones { handler: Some(ms(20)), output: Some(ms(25)), listening: None, ready: Some(ms(30)) };
    Rehearsal { milestones, ends: None, stop: ms(8), took: ms(100), cpu: ms(20), calls }
}

fn lines(plan: &[Planned]) -> Vec<String> {
    plan.iter().map(|planned| planned.replay.to_string()).collect()
}

#[test]
fn nothing_said_gives_something_of_everything() {
    let scenario = Scenario::default();
    let trials = count(&scenario, &rehearsal(), 2);

    let plan = plan(&scenario, &rehearsal(), trials);

    assert_eq!((trials, plan.len()), (300, 300));
    let of = |origin| plan.iter().filter(|planned| planned.origin == origin).count();
    let (edges, calls, random) = (of(Origin::Edge), of(Origin::Syscall), of(Origin::Random));
    assert_eq!(edges, 3 * 6 + 2, "at 0, 15 ms, handler, output, ready, right after; and two pairs within the cleanup");
    assert!(calls > 50 && random > 100, "{calls} {random}");
    let lines = lines(&plan).join("\n");
    for expected in ["TERM at 0ms,", "INT at handler,", "INT at ready, INT at acted,", "INT at ready, INT 4ms later,"] {
        assert!(lines.contains(expected), "{expected} in\n{lines}");
    }
    assert!(lines.contains("INT at ready, INT at renameat2#1 pid1,"), "the second signal within the cleanup\n{lines}");
    assert!(!lines.contains("listening"), "it never listened");
}

#[test]
fn nothing_is_placed_in_a_cleanup_that_does_not_begin_or_cannot_be_seen() {
    let signals = ["close-stdout+TERM", "hang-up+TERM", "INT+INT"].map(|pattern| pattern.parse().unwrap()).to_vec();
    let moments = vec![Moments::Edges, Moments::Syscalls { at_most: 50 }];
    let scenario = Scenario { signals, moments, ..Scenario::default() };

    let lines = lines(&plan(&scenario, &rehearsal(), 200));

    let has = |begin: &str, end: &str| lines.iter().any(|line| line.starts_with(begin) && line.contains(end));
    assert!(!has("close-stdout", "at acted") && !has("close-stdout", "at renameat2") && !has("hang-up", "at acted"));
    assert!(has("close-stdout at ready, TERM 4ms later", "") && has("hang-up at ready, TERM at", "pid1"));
    assert!(has("INT at ready, INT at acted", ""), "{}", lines.join("\n"));
}

#[test]
fn the_number_of_trials_follows_budget_and_speed() {
    let scenario = Scenario::default();
    let slow = |took| Rehearsal { took, ..rehearsal() };

    assert_eq!(count(&scenario, &slow(ms(500)), 1), 90);
    assert_eq!(count(&scenario, &slow(ms(60_000)), 1), 10);
    assert_eq!(count(&Scenario { trials: Some(1000), ..scenario }, &slow(ms(500)), 1), 1000);
}

#[test]
fn a_sweep_goes_in_steps_with_every_signal() {
    let scenario = Scenario {
        moments: vec![Moments::Sweep { from: ms(10), to: ms(40), step: ms(10) }],
        signals: vec![Signal::Term.into(), Signal::Int.into()],
        ..Scenario::default()
    };

    let mut lines = lines(&plan(&scenario, &rehearsal(), 100));
    lines.iter_mut().for_each(|line| line.truncate(line.find(',').unwrap()));
    lines.sort();

    let expected = [
        "INT at 10ms",
        "INT at 20ms",
        "INT at 30ms",
        "INT at 40ms",
        "TERM at 10ms",
        "TERM at 20ms",
        "TERM at 30ms",
        "TERM at 40ms",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn half_of_the_random_moments_are_early() {
    let scenario = Scenario { moments: vec![Moments::Random], ..Scenario::default() };

    let plan = plan(&scenario, &rehearsal(), 1000);

    let early = plan.iter().filter(|planned| matches!(planned.replay.at, Moment::At(at) if at < ms(28))).count();
    assert!((350..450).contains(&early), "a tenth of 500, and seven tenths of 500: {early}");
}

#[test]
fn a_scenario_that_no_file_gives_does_no_harm() {
    let none = Scenario { signals: Vec::new(), ..Scenario::default() };
    assert_eq!(plan(&none, &rehearsal(), 10), []);

    let no_gaps = Scenario { gaps: Vec::new(), ..Scenario::default() };
    assert_eq!(plan(&no_gaps, &rehearsal(), 10).len(), 10);

    let sweep = Moments::Sweep { from: ms(0), to: Duration::MAX, step: Duration::from_nanos(1) };
    let endless = Scenario { moments: vec![sweep], ..Scenario::default() };
    assert_eq!(plan(&endless, &rehearsal(), 10).len(), 10);
}

#[test]
fn faults_take_turns_with_none() {
    let scenario = Scenario { faults: vec![Fault::StoppedChild, Fault::Cpu(10)], ..Scenario::default() };

    let plan = plan(&scenario, &rehearsal(), 9);

    let faults: Vec<usize> = plan.iter().map(|planned| planned.replay.faults.len()).collect();
    assert_eq!(faults, [0, 1, 1, 0, 1, 1, 0, 1, 1]);
}

#[test]
fn stated_trials_repeat_what_is_not_drawn() {
    let scenario = Scenario { moments: vec![Moments::Edges], trials: Some(40), ..Scenario::default() };

    let plan = plan(&scenario, &rehearsal(), 40);

    assert_eq!(plan.len(), 40);
    assert_eq!(plan[0].replay.at, plan[20].replay.at);
    assert_ne!(plan[0].replay.seed, plan[20].replay.seed);
}

#[test]
fn calls_before_the_handler_take_a_quarter_unless_there_are_few_others() {
    let call = |nth, early| Call { nth, early, telling: true, site: nth.into(), ..rehearsal().calls[0].clone() };
    let kept = |early: u32, late: u32, most| {
        let calls: Vec<Call> =
            (0..early).map(|nth| call(nth, true)).chain((0..late).map(|nth| call(nth, false))).collect();
        let kept = thin(&calls.iter().collect::<Vec<_>>(), most);
        (kept.iter().filter(|call| call.early).count(), kept.iter().filter(|call| !call.early).count())
    };

    assert_eq!(kept(1000, 30, 20), (5, 15));
    assert_eq!(kept(1000, 3, 20), (17, 3));
    assert_eq!(kept(2, 1000, 20), (2, 18));
}

#[test]
fn thinning_keeps_the_telling_calls_first() {
    let calls = rehearsal().calls;
    let calls: Vec<&Call> = calls.iter().collect();

    let few = thin(&calls, 6);
    let names: Vec<&str> = few.iter().map(|call| call.call.as_str()).collect();
    assert_eq!(names, ["execve", "openat", "openat", "openat", "renameat2", "unlink"], "each place once");

    let all = thin(&calls, usize::MAX);
    let futexes: Vec<u32> = all.iter().filter(|call| call.call == "futex").map(|call| call.nth).collect();
    assert_eq!(futexes, [1, 20], "first and last");
    assert_eq!(all.iter().filter(|call| call.call == "openat").count(), 50);
    assert_eq!(all.iter().filter(|call| call.call == "read").count(), 3, "first, last, and the other place");
}

#[test]
fn what_waits_is_made_beside_others_and_what_works_is_not() {
    let quick = Rehearsal { cpu: ms(1), ..rehearsal() };
    let heavy = Rehearsal { cpu: ms(400), ..rehearsal() };

    assert!(at_once(&quick, false, 2) >= 16);
    assert_eq!(at_once(&heavy, false, 2), 2);
    assert_eq!(at_once(&Rehearsal::default(), false, 64), at_once(&Rehearsal::default(), false, 64).clamp(64, 1024));
}

proptest! {
    #[test]
    fn every_plan_is_bounded_repeatable_and_can_be_written(seed: u64, trials in 0_u32..400, kinds in 1_u8..16, ready in prop::option::of(0_u64..5_000_000_000)) {
        let all = [
            Moments::Edges,
            Moments::Syscalls { at_most: 40 },
            Moments::Sweep { from: ms(0), to: ms(100), step: ms(7) },
            Moments::Random,
        ];
        let moments: Vec<Moments> = (0..4).filter(|bit| kinds & (1 << bit) != 0).map(|bit| all[bit]).collect();
        let scenario = Scenario { moments, seed, ..Scenario::default() };
        let mut rehearsal = rehearsal();
        rehearsal.milestones.ready = ready.map(Duration::from_nanos);
        (rehearsal.milestones.handler, rehearsal.stop) = (rehearsal.milestones.ready, Duration::from_nanos(seed >> 32));

        let planned = plan(&scenario, &rehearsal, trials);

        prop_assert!(planned.len() <= trials as usize);
        prop_assert!(kinds & 8 == 0 || planned.len() == trials as usize);
        for one in &planned {
            prop_assert_eq!(one.replay.to_string().parse(), Ok(one.replay.clone()));
        }
        prop_assert_eq!(planned, plan(&scenario, &rehearsal, trials));
    }

    #[test]
    fn thinning_keeps_order_and_number(most in 0_usize..200) {
        let calls = rehearsal().calls;
        let calls: Vec<&Call> = calls.iter().collect();

        let kept = thin(&calls, most);

        prop_assert!(kept.len() <= most);
        let places: Vec<usize> = kept.iter().map(|kept| calls.iter().position(|call| call == kept).unwrap()).collect();
        prop_assert!(places.is_sorted());
    }
}
